"""The row of Health with the newest calls."""

from dashboards import sql
from dashboards.calls import calls_table
from dashboards.grid import Row, line
from dashboards.settings import Settings


def row(_: Settings) -> Row:
    """The row."""
    calls = calls_table(
        "Recent operations",
        "The newest calls of the time range, failed or not, from the log.",
        "To find a call that somebody complains about, narrow the time range, the operation and the model.",
        sql.rows(("operation", "model")),
    )
    return Row("Newest calls", (line(10, calls),), collapsed=True)
