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
from exporter.preflight.access import GRANTS, judge_excess, judge_grants, read_access
from exporter.preflight.bad_cast import bad_cast
from exporter.preflight.scene import Scene

TABLE, COLUMNS, VISIBLE, OPEN_WINDOW, UNDATED = "log table", "columns", "rows visible", "open window", "undated rows"


def check_table(scene: Scene) -> list[Finding]:
    """The table is there."""
    return [ok(TABLE, f"{scene.relation.name} with {len(scene.relation.columns)} columns")]


def check_columns(scene: Scene) -> list[Finding]:
    """Each role has its column, and only one."""
    log = scene.log
    layout = "status" if log.has_status else "success"
    roles = ", ".join(f"{role}: {column.name}" for role, column in log.columns.items())
    return [ok(COLUMNS, f'layout "{layout}" ({roles})')]


def check_grants(scene: Scene) -> list[Finding]:
    """Every column that is used can be read."""
    access = read_access(scene.session, scene.relation)
    return [judge_grants(GRANTS, scene.relation, scene.log.columns, access)]


def check_excess(scene: Scene) -> list[Finding]:
    """The role may do nothing but read what is used."""
    access = read_access(scene.session, scene.relation)
    return [judge_excess(scene.relation, scene.log.columns, access)]


def check_visible(scene: Scene) -> list[Finding]:
    """No row is hidden by row-level security."""
    visibility = scene.session.prove_visible(scene.relation, columns=scene.log.columns.values())
    if visibility.doubts:
        return judge_doubts(VISIBLE, scene.relation, visibility)
    by_policy = (
        "by a policy that shows all" if visibility.by_policy else "row-level security does not apply to the role"
    )
    return [ok(VISIBLE, f"every row: {by_policy}")]


def judge_doubts(name: str, relation: Relation, visibility: Visibility) -> list[Finding]:
    """What is not proven of a table's rows, and was accepted."""
    return [
        warn(name, f"accepted, not proven: {doubt.reason} ({relation.name})", doubt.hint) for doubt in visibility.doubts
    ]


def open_window(scene: Scene) -> TimeRange:
    """What a scrape reads when all is quiet."""
    clock = int(scene.session.clock)
    return TimeRange(floor_to(clock - int(scene.config.open_window_seconds), MINUTE), clock + 1)


def check_open_window(scene: Scene) -> list[Finding]:
    """The scrape's own query answers, with the scrape's own settings and in its time."""
    scene.session.prove_visible(scene.relation)
    span = open_window(scene)
    began = time.monotonic()
    try:
        with scene.session.savepoint():
            buckets = read_span(scene.session, scene.log, scene.rules, span)
    except psycopg.DataError as error:
        return [bad_cast(scene, OPEN_WINDOW, span, error)]
    seconds = time.monotonic() - began
    rows = sum(cell[Figure.ROWS] for minute in buckets.values() for cell in minute.cells.values())
    return [judge_reading(rows, span.hi - span.lo, seconds, scene.config.scrape.timeout)]


def judge_reading(rows: int, span: int, seconds: float, timeout: float) -> Finding:
    """Whether a read leaves a scrape enough of its time."""
    detail = f"{rows} rows of the last {span} s read in {seconds * 1000:.0f} ms"
    if seconds > timeout / 2:
        hint = "shorten open_window, raise scrape.timeout, or give the server more memory"
        return warn(OPEN_WINDOW, f"{detail}, more than half of scrape.timeout ({timeout:g} s)", hint)
    return ok(OPEN_WINDOW, detail)


def check_undated(scene: Scene) -> list[Finding]:
    """No rows without a usable time, which can be counted nowhere."""
    scene.session.prove_visible(scene.relation)
    return [judge_undated(scene.log, sum(read_undated(scene.session, scene.log).values()))]


def judge_undated(log: LogTable, rows: int) -> Finding:
    """What rows without a usable time mean."""
    if not rows:
        return ok(UNDATED, "every row has a time")
    column = log.columns["time"].name
    return warn(
        UNDATED,
        f"{rows} rows (or more) have no {column}, or an infinite one: they are reported as skipped, and not counted",
        f"let the writer set {column}, or make it NOT NULL with a default",
    )
