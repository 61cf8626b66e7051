"""Find the column with a value that cannot be cast, for example by the query of a view."""

import psycopg
from psycopg import sql

from exporter.config.expressions import MARK
from exporter.database.errors import DatabaseError
from exporter.database.log_time import bounds
from exporter.database.names import table_sql
from exporter.findings import Finding, fail
from exporter.humanize import listing
from exporter.ledger.model import TimeRange
from exporter.preflight.context import CheckContext

# A count evaluates the column, and nothing else of the row but its time.
_EVALUATED = sql.SQL("SELECT count({column}) FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s")


def bad_cast(context: CheckContext, name: str, span: TimeRange, error: psycopg.DataError) -> Finding:
    """The failure of a check whose query met such a value, with the columns that have one in this time range."""
    told = context.session.translate(error)
    columns = _failing_columns(context, span)
    if not columns:
        return fail(name, told.detail, told.hint)
    table = table_sql(context.relation.name)
    hint = f"correct the rows, or change {table} into a view that gives NULL where the cast of {listing(columns)} fails"
    if any(column.startswith(MARK) for column in columns):
        hint = f"correct the rows, or the expression: let it give NULL where {listing(columns)} fails"
    return fail(name, f"{listing(columns)}: {told.detail}", hint)


def _failing_columns(context: CheckContext, span: TimeRange) -> list[str]:
    time = context.log.columns["time"].name
    if _fails(context, "time", span):
        return [time]  # every other statement needs it
    return [column.shown for role, column in context.log.columns.items() if _fails(context, role, span)]


def _fails(context: CheckContext, role: str, span: TimeRange) -> bool:
    log = context.log
    lower, upper = bounds(log, context.rules, span)
    statement = _EVALUATED.format(column=log.column(role), table=log.source(), time=log.column("time"))
    try:
        with context.session.savepoint():
            context.session.run(statement, {"from": lower, "until": upper})
    except psycopg.DataError:
        return True
    except (psycopg.Error, DatabaseError):
        if context.session.lost:
            raise
    return False
