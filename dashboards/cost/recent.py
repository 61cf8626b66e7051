"""The row of Cost with the newest calls, which a choice of a user narrows too."""

from dashboards import sql
from dashboards.calls import calls_table
from dashboards.cost.spend import FILTERS
from dashboards.grid import Row, line
from dashboards.settings import Settings


def row(_: Settings) -> Row:
    """The row."""
    calls = calls_table(
        "Newest calls",
        "The newest calls of the time range, failed or not, from the log, without prompts and answers.",
        "To see what a user's money went to, click the user under Budgets, then open this row.",
        sql.rows(FILTERS),
    )
    return Row("Newest calls", (line(10, calls),), collapsed=True)
