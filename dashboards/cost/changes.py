"""The row of Cost with what should change: open recommendations, and what they would save."""

from dashboards import promql as q
from dashboards import style
from dashboards.grid import Row, line
from dashboards.panels import Panel, bar_gauge, stat
from dashboards.promql import prom
from dashboards.settings import Settings
from exporter import catalog


def row(_: Settings) -> Row:
    """The row."""
    return Row("What should change (team)", (line(7, _savings(), _savings_by_type(), _open()),), collapsed=True)


def _savings() -> Panel:
    total = f"sum({q.max_of(q.for_job(catalog.RECOMMENDATION_SAVINGS), 'type')})"
    return stat(
        "Open savings",
        "What pending recommendations would save, as the table says; those from `recommend --store` are for a day."
        " Only if the database has that table.",
        "Decide on the recommendations in the application. Some may count the same money twice.",
        prom(q.or_sentinel(total, q.max_of(q.for_job(catalog.LOG_NEWEST_ROW))), instant=True),
        unit=style.USD,
        mappings=style.not_set("No such table"),
    )


def _savings_by_type() -> Panel:
    return bar_gauge(
        "Open savings by type",
        "What pending recommendations of each type would save.",
        "Begin with the longest bar. `ai-operation-exporter recommend` prints the SQL that shows why.",
        prom(q.max_of(q.for_job(catalog.RECOMMENDATION_SAVINGS), "type"), "{{type}}", instant=True),
        unit=style.USD,
        empty="No such table",
    )


def _open() -> Panel:
    pending = q.max_of(q.for_job(catalog.RECOMMENDATIONS, 'status="pending"'), "type")
    return bar_gauge(
        "Open recommendations",
        "Recommendations by type that nobody has decided on.",
        "Approve or reject them: while one is open, `recommend` writes no second one for the same operation and model.",
        prom(pending, "{{type}}", instant=True),
        unit=style.PLAIN,
        empty="No such table",
    )
