"""The row of Cost with groups, such as teams, projects or keys: for logs that have the group of a call."""

from dashboards import promql as q
from dashboards import style
from dashboards.cost.budgets import USED, limit_and_share, used_columns
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, stat, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import USD
from exporter import catalog

_EMPTY = "The log has no groups: see columns.log.group in the settings"


def row(settings: Settings) -> Row:
    """The row."""
    panels = line(9, _budgets(settings), _day(), _over(), widths=(10, 8, 6))
    return Row("By group (the whole team)", (panels,), collapsed=True)


def _spent(*matchers: str) -> str:
    return q.gauge(q.for_job(catalog.GROUP_SPEND_TODAY, *matchers), "group")


def _budgets(settings: Settings) -> Panel:
    # `other` is not a group and has no limit
    spent = _spent('group!="other"')
    limit, used = limit_and_share("group", spent, q.for_job(catalog.GROUP_DAILY_LIMIT))
    return table(
        "Budget utilization by group",
        "What each group has spent today, its daily limit, and the share of it that is used."
        f"{settings.alerts.budget_note()} Groups near or over their limit are always listed.",
        "Raise the limit in `groups.daily_limits`, in the exporter's configuration, or in the table of groups' limits.",
        *(prom(expr, table=True) for expr in (spent, limit, used)),
        transformations=joined("group", {"group": "Group", **USED}),
        sort="Used",
        then="Spent today",
        empty=_EMPTY,
        columns=[column("Group"), *used_columns(settings, width=110)],
    )


def _day() -> Panel:
    return timeseries(
        "The day's spend by group",
        "Spend of the day so far of the ten groups that have spent most, and of all groups without a series of their"
        " own as `other`. Spend starts at 0 at midnight in the budget's time zone.",
        "A line that climbs faster than the others says which group to ask. Compare it with its limit, beside.",
        prom(f"topk(10, {_spent()})", "{{group}}"),
        unit=USD,
        empty=_EMPTY,
    )


def _over() -> Panel:
    exceeded = q.gauge(q.for_job(catalog.BUDGET_GROUPS, 'state="exceeded"'))
    return stat(
        "Groups over day limit",
        "The number of groups that have spent more today than their daily limit, listed or not. Red from one group on:"
        " `budget_exceeded` fires for each of them.",
        "The table beside shows which they are, and their limits.",
        prom(q.or_sentinel(exceeded, f"max({q.UP})"), instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
        mappings=style.not_set("No limits"),
    )
