"""The row of Cost with what is still to come: where the day and the month will end, and when limits are reached."""

from dashboards import promql as q
from dashboards import style
from dashboards.calls import user_columns
from dashboards.colors import PURPLE, colored
from dashboards.cost.spend import DAILY_LIMIT, MONTH, MONTHLY_LIMIT, TODAY
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, stat, table, timeseries, values
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import AGE, DOLLARS, USD
from exporter import catalog


def row(_: Settings) -> Row:
    """The row."""
    return Row(
        "Where the month will end (team)",
        (
            line(8, _end("day", TODAY, DAILY_LIMIT), _end("month", MONTH, MONTHLY_LIMIT), widths=(12, 12)),
            line(6, limit_reached("month", "Monthly limit reached in"), _users(), widths=(7, 17)),
        ),
        collapsed=True,
    )


def _forecast(window: str, bound: str) -> str:
    return q.gauge(q.for_job(catalog.SPEND_FORECAST, f'window="{window}"', f'bound="{bound}"'))


def _end(window: str, spent: str, limit: str) -> Panel:
    names = f"Spend of the {window}", "Expected", "At least", "At most", "Limit"
    return timeseries(
        f"Where the {window} will end",
        f"Spend of the {window} so far, what is expected at its end, and the bounds between which four of five end. The"
        " forecast starts from a usual day and follows how today goes. Empty until four whole days are known.",
        "If the limit is below what is expected, reduce the largest operation now, or raise the limit in time.",
        prom(spent, names[0]),
        prom(_forecast(window, "expected"), names[1]),
        prom(_forecast(window, "lower"), names[2]),
        prom(_forecast(window, "upper"), names[3]),
        prom(limit, names[4]),
        unit=USD,
        overrides=[
            colored(names[0], style.CALM, lineWidth=2, fillOpacity=20),
            colored(names[1], PURPLE, fillOpacity=0),
            colored(names[2], PURPLE, fillOpacity=0, lineStyle={"dash": [2, 6], "fill": "dash"}),
            colored(names[3], PURPLE, fillOpacity=0, lineStyle={"dash": [2, 6], "fill": "dash"}),
            colored(names[4], style.BAD, fillOpacity=0, lineStyle={"dash": [8, 8], "fill": "dash"}),
        ],
    )


def limit_reached(window: str, title: str) -> Panel:
    """The time until a day or a month is expected to exceed its limit."""
    limit = DAILY_LIMIT if window == "day" else MONTHLY_LIMIT
    reached = q.for_job(catalog.LIMIT_REACHED, f'window="{window}"')
    left = f"clamp_min(min({reached}) - time(), 0)"
    # nothing is expected of a limit without a forecast, and nothing at all without a limit
    known = f"({limit} and on () {_forecast(window, 'expected')})"
    shown = f"{q.or_sentinel(left, known)} or (0 * {limit} - {-_NO_FORECAST}) or (0 * max({q.UP}) - {-_NO_LIMIT})"
    texts = {
        0: ("Reached", style.BAD),
        style.NOT_SET: ("Not expected", style.GOOD),
        _NO_FORECAST: ("No forecast", style.DIM),
        _NO_LIMIT: ("No limit", style.DIM),
    }
    return stat(
        title,
        f"The time until spend is expected to exceed the team's limit of the {window}. “Reached” means that it does"
        " already; the forecast needs four whole days.",
        f"If a time is shown, spend will exceed the limit before the {window} ends: reduce the largest operation.",
        prom(f"({shown}) and on () max({q.UP})", instant=True),
        unit=AGE,
        decimals=0,
        mappings=style.value_mappings(texts),
        steps=(style.Step(style.BAD),),
    )


_NO_FORECAST, _NO_LIMIT = -2, -3


def _users() -> Panel:
    users = q.filtered(catalog.USER_SPEND_TODAY)
    spent = q.named(q.gauge(users, "user"), users)
    ends = f"max by (user) ({q.filtered(catalog.USER_SPEND_FORECAST)})"
    limit = f"sum by (user) (min by (job, user) ({q.filtered(catalog.USER_DAILY_LIMIT)}))"
    left = f"clamp_min(min by (user) ({q.filtered(catalog.USER_LIMIT_REACHED)}) - time(), 0)"
    shown = values(("Spent today", "Expected today", "Daily limit", "Limit reached in"))
    return table(
        "Where the day will end by user, all operations",
        "What each user has spent today, what they are expected to spend by midnight, and when they will exceed their"
        " daily limit.",
        "Talk to those who will exceed their limit, or raise it in the budgets table before they are stopped.",
        *(prom(expr, table=True) for expr in (spent, ends, limit, left)),
        transformations=joined("user", {"name": "User", **shown, "user": "Id"}),
        sort="Expected today",
        columns=[
            *user_columns(),
            column("Spent today", unit=DOLLARS, decimals=2, width=110),
            column("Expected today", unit=DOLLARS, decimals=2, width=145),
            column("Daily limit", unit=DOLLARS, decimals=2, width=110),
            column("Limit reached in", unit=AGE, decimals=0),
        ],
    )
