"""Which column it is whose value in some row cannot be cast, as by the query of a view."""

import psycopg
from psycopg import sql

from exporter.database.errors import DatabaseError
from exporter.database.log_query import bounds
from exporter.database.names import identifier, table_sql
from exporter.findings import Finding, fail
from exporter.humanize import listing
from exporter.ledger.model import TimeRange
from exporter.preflight.scene import Scene

# A count evaluates the column, and nothing else of the row but its time.
_EVALUATED = sql.SQL("SELECT count({column}) FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s")


def bad_cast(scene: Scene, name: str, span: TimeRange, error: psycopg.DataError) -> Finding:
    """The failure of a check whose query met such a value, with the columns that have one in a span of time."""
    told = scene.session.translate(error)
    columns = _failing_columns(scene, span)
    if not columns:
        return fail(name, told.detail, told.hint)
    table = table_sql(scene.relation.name)
    hint = f"correct the rows, or change {table} into a view that gives NULL where the cast of {listing(columns)} fails"
    return fail(name, f"{listing(columns)}: {told.detail}", hint)


def _failing_columns(scene: Scene, span: TimeRange) -> list[str]:
    time = scene.log.columns["time"].name
    if _fails(scene, "time", span):
        return [time]  # every other statement needs it
    return [column.name for role, column in scene.log.columns.items() if _fails(scene, role, span)]


def _fails(scene: Scene, role: str, span: TimeRange) -> bool:
    log = scene.log
    lower, upper = bounds(log, scene.rules, span)
    statement = _EVALUATED.format(
        column=log.column(role), table=identifier(*log.relation.name.parts), time=log.column("time")
    )
    try:
        with scene.session.savepoint():
            scene.session.run(statement, {"from": lower, "until": upper})
    except psycopg.DataError:
        return True
    except (psycopg.Error, DatabaseError):
        if scene.session.lost:
            raise
    return False
