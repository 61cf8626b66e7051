"""The rows of Cost with what past days have cost."""

from dashboards import sql
from dashboards.colors import MODELS, NAMES, OPERATIONS
from dashboards.cost.spend import FILTERS
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.settings import Settings
from dashboards.style import DOLLARS


def row(_: Settings) -> Row:
    """The row."""
    return Row("Past days (exact, from the log)", (line(8, _daily_spend_by("model")),))


def closed(_: Settings) -> Row:
    """The row with the same days by other names: each is another query of a month of the log."""
    others = (_daily_spend_by(by) for by in ("operation", "user"))
    return Row("Past days by operation and user", (line(9, *others),), collapsed=True)


def _daily_spend_by(by: str) -> Panel:
    return timeseries(
        f"Daily spend by {by}",
        f"Spend of each of the last 30 calendar days by {by}, in the budget's time zone, from the log. All but the"
        f" ten largest are `all others`; the last bar is today so far.",
        "Find the day on which spend changed, and compare it with what was released that day.",
        sql.daily_spend(by, FILTERS),
        unit=DOLLARS,
        decimals=2,
        soft={"axisSoftMax": 0.05},
        bars=True,
        stacked=True,
        back="30d",
        table_legend=by == "user",
        empty=sql.NOT_IN_LOG,
        colors={"operation": OPERATIONS, "model": MODELS, "user": NAMES}[by],
    )
