"""Check the log table: it exists, it is readable, and no row is hidden."""

import time

import psycopg

from exporter.database.errors import SchemaProblem
from exporter.database.layout import Relation
from exporter.database.reader import read_span, read_undated
from exporter.database.visibility import Visibility
from exporter.database.window import versions_of
from exporter.figures import Figure
from exporter.findings import Finding, ok, warn
from exporter.ledger.calendar import MINUTE, floor_to
from exporter.ledger.model import TimeRange
from exporter.preflight.access import GRANTS, evaluate_excess, evaluate_grants, read_access
from exporter.preflight.bad_cast import bad_cast
from exporter.preflight.context import CheckContext
from exporter.preflight.known_sources import with_source

TABLE, COLUMNS, VISIBLE, OPEN_WINDOW, UNDATED = "log table", "columns", "rows visible", "open window", "undated rows"


def check_table(context: CheckContext) -> list[Finding]:
    """Check that the table exists."""
    try:
        relation = context.relation
    except SchemaProblem as problem:
        raise with_source(context.session, problem, context.config.source) from None
    return [ok(TABLE, f"{relation.name} with {len(relation.columns)} columns")]


def check_columns(context: CheckContext) -> list[Finding]:
    """Check that there is exactly one column for each role."""
    try:
        log = context.log
    except SchemaProblem as problem:
        raise with_source(context.session, problem, context.config.source, context.relation) from None
    layout = "status" if log.has_status else "success"
    roles = ", ".join(f"{role}: {column.shown}" for role, column in log.columns.items())
    return [ok(COLUMNS, f'layout "{layout}" ({roles})')]


def check_grants(context: CheckContext) -> list[Finding]:
    """Check that the role can read every column that is used."""
    access = read_access(context.session, context.relation)
    return [evaluate_grants(GRANTS, context.relation, context.log.read_columns, access)]


def check_excess(context: CheckContext) -> list[Finding]:
    """Check that the role can only read what is used."""
    access = read_access(context.session, context.relation)
    return [evaluate_excess(context.relation, context.log.read_columns, access)]


def check_visible(context: CheckContext) -> list[Finding]:
    """Check that row-level security hides no row."""
    visibility = context.session.prove_visible(context.relation, columns=context.log.read_columns)
    if visibility.doubts:
        return evaluate_doubts(VISIBLE, context.relation, visibility)
    by_policy = "a policy shows all rows" if visibility.by_policy else "row-level security does not apply to the role"
    return [ok(VISIBLE, f"every row: {by_policy}")]


def evaluate_doubts(name: str, relation: Relation, visibility: Visibility) -> list[Finding]:
    """Warn of what the configuration accepts without proof."""
    return [
        warn(name, f"accepted, not proven: {doubt.reason} ({relation.name})", doubt.hint) for doubt in visibility.doubts
    ]


def open_window(context: CheckContext) -> TimeRange:
    """The time range of an ordinary scrape."""
    clock = int(context.session.clock)
    return TimeRange(floor_to(clock - int(context.config.open_window_seconds), MINUTE), clock + 1)


def check_open_window(context: CheckContext) -> list[Finding]:
    """Check that the scrape's own query succeeds within the scrape's time."""
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
    blind = versions_of(context.session, context.log, context.rules).blind
    return [evaluate_reading(rows, span.hi - span.lo, seconds, context.config.scrape.timeout, blind)]


def evaluate_reading(rows: int, span: int, seconds: float, timeout: float, blind: str = "") -> Finding:
    """Evaluate whether a read leaves the scrape enough time; `blind` is why a scrape reads all rows of its span."""
    again = f"a scrape reads all of them ({blind})" if blind else "a scrape reads only those that have changed"
    detail = f"{rows} rows of the last {span} s read in {seconds * 1000:.0f} ms; {again}"
    if seconds > timeout / 2:
        hint = "lower open_window, raise scrape.timeout, or give the server more memory"
        return warn(OPEN_WINDOW, f"{detail}, more than half of scrape.timeout ({timeout:g} s)", hint)
    return ok(OPEN_WINDOW, detail)


def check_undated(context: CheckContext) -> list[Finding]:
    """Check that every row has a usable time: others cannot be counted."""
    context.session.prove_visible(context.relation)
    log = context.log
    rows = sum(read_undated(context.session, log).values())
    if not rows:
        return [ok(UNDATED, "every row has a time")]
    column = log.columns["time"].name
    hint = f"set {column} in every row, or make it NOT NULL with a default"
    if log.time_unit != "timestamp":
        setting = f"write the unit of {column} into columns.log.time_unit, if it is another than {log.time_unit}"
        hint = f"{setting}; or {hint}"
    found = f"{rows} rows (or more) have no {column}, or an infinite one"
    return [warn(UNDATED, f"{found}: they are reported as skipped, and not counted", hint)]
