"""The row of Cost with limits for other periods than a day: of the team, of each user, and of each group."""

from dashboards import promql as q
from dashboards import style
from dashboards.colors import colored
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, table, timeseries, values
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import AGE, DOLLARS, SHARE
from exporter import catalog
from exporter.catalog import Metric

_NONE = "No budgets with a period, or the log is not read"


def row(settings: Settings) -> Row:
    """The row."""
    panels = line(9, _budgets(settings), _users(), widths=(14, 10))
    return Row("Budgets with a period (team, all operations)", (panels,), collapsed=True)


def _shown(metric: Metric) -> str:
    """A selector for the budgets of the chosen users, and of groups and the team, which have no user."""
    no_user = 'user!~".+"'
    return f"({q.filtered(metric)} or {q.for_job(metric, no_user)})"


def _of_each(metric: Metric, function: str) -> str:
    """A figure of each budget, told apart by the label `key`."""
    value = f"max by (user, group, period) ({function} by (job, user, group, period) ({_shown(metric)}))"
    return f'label_join({value}, "key", "/", "user", "group", "period")'


def _called(figure: str, source: str) -> str:
    """Figures of each budget with what it is called as the label `budget`: its user, group or team, and period."""
    named = f'label_replace({q.named(figure, source)}, "budget", "$1", "name", "(.+)")'
    named = f'label_replace({named}, "budget", "group $1", "group", "(.+)")'
    named = f'label_replace({named}, "budget", "team", "budget", "")'
    return f'label_join({named}, "budget", ", ", "budget", "period")'


def _budgets(settings: Settings) -> Panel:
    spent, limit = _of_each(catalog.PERIOD_SPEND, "max"), _of_each(catalog.PERIOD_LIMIT, "min")
    soft, reset = _of_each(catalog.PERIOD_SOFT_LIMIT, "min"), _of_each(catalog.PERIOD_RESET, "max")
    shown = values(("Used", "Spent", "Limit", "Soft limit", "Resets in"))
    return table(
        "Budgets by user or group and period, and the team's",
        "What has been spent since each budget's period began, its limit, its soft limit, the share of the limit that"
        " is used, and how long it is until the period ends."
        f"{settings.alerts.budget_note()} Users and groups near or over a limit are always listed.",
        "Compare the share with how much of the period is left. Raise the limit in the budgets table or the"
        " configuration, or talk to the user or group.",
        prom(f"{spent} / ({limit} > 0)", table=True),
        prom(_called(spent, _shown(catalog.PERIOD_SPEND)), table=True),
        prom(limit, table=True),
        prom(soft, table=True),
        prom(f"clamp_min({reset} - time(), 0)", table=True),
        transformations=joined("key", {"budget": "Budget", **shown}),
        sort="Used",
        then="Spent",
        empty=_NONE,
        columns=[
            column("Used", unit=SHARE, decimals=0, bar=True, high=1, steps=settings.alerts.budget_steps(), width=120),
            *(column(name, unit=DOLLARS, decimals=2, width=100) for name in ("Spent", "Limit", "Soft limit")),
            column("Resets in", unit=AGE, decimals=0, width=130),
        ],
    )


def _users() -> Panel:
    counts = f"max by (state) (sum by (job, instance, state) ({q.for_job(catalog.PERIOD_USERS)}))"
    return timeseries(
        "Users by state of budgets with a period",
        "How many budgets of users are within their limit, past the warning, and past the limit, shown or not.",
        "If exceeded rises, the table beside this one says who it is: they may be stopped until the period ends.",
        prom(counts, q.legend("state")),
        unit=style.COUNT,
        decimals=0,
        empty=_NONE,
        overrides=[colored("ok", style.GOOD), colored("warning", style.WARN), colored("exceeded", style.BAD)],
    )
