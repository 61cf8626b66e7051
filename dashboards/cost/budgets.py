"""The row of Cost with limits: of the team, and of each user."""

from typing import Any

from dashboards import promql as q
from dashboards import style
from dashboards.calls import user_columns
from dashboards.colors import PURPLE, colored
from dashboards.cost.spend import DAILY_LIMIT, PROJECTED, TODAY
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import DOLLARS, SHARE, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    panels = line(9, _user_budgets(settings), _day_against_limit(), widths=(13, 11))
    return Row("Budgets (team, all operations)", (panels,))


def _user_budgets(settings: Settings) -> Panel:
    # `other` is not a user: no limit is theirs, and nothing is behind a click
    users = q.filtered(catalog.USER_SPEND_TODAY).replace("}", ', user!="other"}')
    spent = q.gauge(users, "user")
    limit, used = limit_and_share("user", spent, q.filtered(catalog.USER_DAILY_LIMIT))
    return table(
        "Budget utilization by user",
        "What each user has spent today, their daily limit, and the share of it that is used."
        f"{settings.alerts.budget_note()} Users near or over their limit are always listed.",
        "Click a user to narrow this page to them. Raise their limit in the budgets table, or talk to them.",
        *(prom(expr, table=True) for expr in (q.named(spent, users), limit, used)),
        transformations=joined("user", {"name": "User", **USED, "user": "Id"}),
        sort="Used",
        then="Spent today",
        empty="No budgets, or the log is not read",
        columns=[*user_columns(), *used_columns(settings, width=130)],
    )


# the share comes first: a phone shows only the left columns
USED = {"Value #C": "Used", "Value #A": "Spent today", "Value #B": "Daily limit"}
"""The columns of a table whose queries are the spend and `limit_and_share`."""


def limit_and_share(by: str, spent: str, limits: str) -> tuple[str, str]:
    """The daily limits by a label, and the shares of them that are spent: -1 (`style.NOT_SET`) where there is none."""
    limit = f"sum by ({by}) (min by (job, {by}) ({limits}))"
    return limit, q.or_sentinel(f"{spent} / on ({by}) ({limit} > 0)", f"({spent} unless on ({by}) {limit} > 0)")


def used_columns(settings: Settings, width: int) -> list[dict[str, Any]]:
    """How the columns of `USED` look; `width` is that of the spend, in pixels."""
    steps, no_limit = settings.alerts.budget_steps(), style.not_set("No limit")
    return [
        column("Spent today", unit=DOLLARS, decimals=2, width=width),
        column("Daily limit", unit=DOLLARS, decimals=2, width=110),
        column("Used", unit=SHARE, decimals=0, bar=True, high=1, steps=steps, mappings=no_limit),
    ]


def _day_against_limit() -> Panel:
    return timeseries(
        "The day's spend against the limit",
        "Spend of the day so far, the team's daily limit, and the projected end of the day. Spend starts at 0 at"
        " midnight in the budget's time zone.",
        "While only the projection is above the limit, there is time: reduce the largest operation now.",
        prom(q.or_zero(TODAY), "Spend of the day"),
        prom(DAILY_LIMIT, "Daily limit"),
        prom(PROJECTED, "Projected end of day"),
        unit=USD,
        overrides=[
            colored("Spend of the day", style.CALM, lineWidth=2, fillOpacity=20),
            colored("Daily limit", style.BAD, fillOpacity=0, lineStyle={"dash": [8, 8], "fill": "dash"}),
            colored("Projected end of day", PURPLE),
        ],
    )
