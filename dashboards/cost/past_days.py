"""The row of Cost with what past days have cost."""

from dashboards import sql
from dashboards.cost.spend import FILTERS
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.settings import Settings
from dashboards.style import USD


def row(_: Settings) -> Row:
    """The row."""
    return Row("Past days (exact, from the log)", (line(9, *map(_daily_spend_by, FILTERS)),))


def _daily_spend_by(by: str) -> Panel:
    return timeseries(
        f"Daily spend by {by}",
        f"Spend of each of the last 30 calendar days by {by}, in the budget's time zone, from the log. All but the"
        f" ten largest are `all others`; the last bar is today so far.",
        "Find the day on which spend changed, and compare it with what was released that day.",
        sql.daily_spend(by, FILTERS),
        unit=USD,
        bars=True,
        stacked=True,
        back="30d",
        table_legend=by == "user",
    )
