"""The row of Cost with the newest calls, which a choice of a user narrows too."""

from dashboards import sql
from dashboards.calls import calls_table
from dashboards.cost.spend import FILTERS
from dashboards.grid import Row, line
from dashboards.panels import Panel, stat
from dashboards.settings import Settings
from dashboards.style import DOLLARS


def row(_: Settings) -> Row:
    """The row."""
    calls = calls_table(
        "Newest calls",
        "The newest calls of the time range, failed or not, from the log, without prompts and answers.",
        "To see what a user's money went to, click the user under Budgets, then open this row.",
        sql.rows(FILTERS),
    )
    return Row("Newest calls", (line(10, calls, _paid_for_failures(), widths=(19, 5)),), collapsed=True)


def _paid_for_failures() -> Panel:
    return stat(
        "Failed, paid",
        "The cost of calls in the time range that failed or timed out.",
        "Lower the timeouts to waste less. The error log on Health shows which calls fail.",
        sql.paid_for_failures(FILTERS),
        unit=DOLLARS,
        decimals=2,
        empty="`other` is not in the log",
    )
