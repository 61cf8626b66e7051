"""The log itself: found, readable, whole."""

import time

import psycopg

from exporter.database.layout import Relation
from exporter.database.log_query import LogTable
from exporter.database.reader import read_span, read_undated
from exporter.database.visibility import Visibility
from exporter.figures import Figure
from exporter.findings import Finding, ok, warn
from exporter.ledger.calendar import MINUTE, floor_to
from exporter.ledger.model import TimeRange
from exporter.preflight.access import GRANTS, evaluate_excess, evaluate_grants, read_access
from exporter.preflight.bad_cast import bad_cast
from exporter.preflight.context import CheckContext

TABLE, COLUMNS, VISIBLE, OPEN_WINDOW, UNDATED = "log table", "columns", "rows visible", "open window", "undated rows"


def check_table(context: CheckContext) -> list[Finding]:
    """The table is there."""
    return [ok(TABLE, f"{context.relation.name} with {len(context.relation.columns)} columns")]


def check_columns(context: CheckContext) -> list[Finding]:
    """Each role has its column, and only one."""
    log = context.log
    layout = "status" if log.has_status else "success"
    roles = ", ".join(f"{role}: {column.name}" for role, column in log.columns.items())
    return [ok(COLUMNS, f'layout "{layout}" ({roles})')]


def check_grants(context: CheckContext) -> list[Finding]:
    """Every column that is used can be read."""
    access = read_access(context.session, context.relation)
    return [evaluate_grants(GRANTS, context.relation, context.log.columns, access)]


def check_excess(context: CheckContext) -> list[Finding]:
    """The role may do nothing but read what is used."""
    access = read_access(context.session, context.relation)
    return [evaluate_excess(context.relation, context.log.columns, access)]


def check_visible(context: CheckContext) -> list[Finding]:
    """No row is hidden by row-level security."""
    visibility = context.session.prove_visible(context.relation, columns=context.log.columns.values())
    if visibility.doubts:
        return evaluate_doubts(VISIBLE, context.relation, visibility)
    by_policy = (
        "by a policy that shows all" if visibility.by_policy else "row-level security does not apply to the role"
    )
    return [ok(VISIBLE, f"every row: {by_policy}")]


def evaluate_doubts(name: str, relation: Relation, visibility: Visibility) -> list[Finding]:
    """What is not proven of a table's rows, and was accepted."""
    return [
        warn(name, f"accepted, not proven: {doubt.reason} ({relation.name})", doubt.hint) for doubt in visibility.doubts
    ]


def open_window(context: CheckContext) -> TimeRange:
    """What a scrape reads when all is quiet."""
    clock = int(context.session.clock)
    return TimeRange(floor_to(clock - int(context.config.open_window_seconds), MINUTE), clock + 1)


def check_open_window(context: CheckContext) -> list[Finding]:
    """The scrape's own query answers, with the scrape's own settings and in its time."""
    context.session.prove_visible(context.relation)
    span = open_window(context)
    began = time.monotonic()
    try:
        with context.session.savepoint():
            buckets = read_span(context.session, context.log, context.rules, span)
    except psycopg.DataError as error:
        return [bad_cast(context, OPEN_WINDOW, span, error)]
    seconds = time.monotonic() - began
    rows = sum(cell[Figure.ROWS] for minute in buckets.values() for cell in minute.cells.values())
    return [evaluate_reading(rows, span.hi - span.lo, seconds, context.config.scrape.timeout)]


def evaluate_reading(rows: int, span: int, seconds: float, timeout: float) -> Finding:
    """Whether a read leaves a scrape enough of its time."""
    detail = f"{rows} rows of the last {span} s read in {seconds * 1000:.0f} ms"
    if seconds > timeout / 2:
        hint = "shorten open_window, raise scrape.timeout, or give the server more memory"
        return warn(OPEN_WINDOW, f"{detail}, more than half of scrape.timeout ({timeout:g} s)", hint)
    return ok(OPEN_WINDOW, detail)


def check_undated(context: CheckContext) -> list[Finding]:
    """No rows without a usable time, which can be counted nowhere."""
    context.session.prove_visible(context.relation)
    return [evaluate_undated(context.log, sum(read_undated(context.session, context.log).values()))]


def evaluate_undated(log: LogTable, rows: int) -> Finding:
    """What rows without a usable time mean."""
    if not rows:
        return ok(UNDATED, "every row has a time")
    column = log.columns["time"].name
    return warn(
        UNDATED,
        f"{rows} rows (or more) have no {column}, or an infinite one: they are reported as skipped, and not counted",
        f"let the writer set {column}, or make it NOT NULL with a default",
    )
