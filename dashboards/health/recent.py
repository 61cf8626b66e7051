"""The row of Health with the newest calls."""

from dashboards import sql, style
from dashboards.base import COST, to_dashboard
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, link, table
from dashboards.settings import Settings
from dashboards.style import SECONDS, USD


def row(_: Settings) -> Row:
    """The row."""
    calls = calls_table(
        "Recent operations",
        "The newest calls of the time range, failed or not, from the log.",
        "To find a call that somebody complains about, narrow the time range, the operation and the model.",
    )
    return Row("Recent operations", (line(10, calls),))


def calls_table(title: str, shows: str, act: str, condition: str = "true") -> Panel:
    """A table of single calls, newest first; `condition` is SQL on the view's columns."""
    colors = {
        "ok": style.GOOD,
        "failed": style.BAD,
        "timeout": style.BAD,
        "running": style.CALM,
        "pending": style.DIM,
    }
    outcomes = style.value_mappings({name: (name, color) for name, color in colors.items()})
    return table(
        title,
        shows,
        act,
        sql.rows(("operation", "model"), condition),
        columns=[
            column("Time", unit=style.TIME, width=170),
            column("Operation", width=150),
            column("Model", width=150),
            column("User", width=275, links=[link("This user's cost", to_dashboard(COST, user="${__value.raw}"))]),
            column("Outcome", width=90, colored=True, mappings=outcomes),
            column("Cost", unit=USD, decimals=6, width=100),
            column("Latency", unit=SECONDS, decimals=2, width=90),
        ],
    )
