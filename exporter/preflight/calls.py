"""Check what the configuration's condition leaves out: it can hide calls, and nothing else would say so."""

from dataclasses import dataclass

from psycopg import sql

from exporter.database.names import identifier, written
from exporter.findings import Finding, ok, warn
from exporter.humanize import span_text
from exporter.preflight.context import CheckContext
from exporter.preflight.recent_activity import read_a_day, unread

CALLS = "calls"

_SETTING = "columns.log.where"

_COUNTED = sql.SQL("""
SELECT count(*), count(*) FILTER (WHERE {where}), count(*) FILTER (WHERE ({where}) IS NULL)
FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s
""")


@dataclass(frozen=True)
class Chosen:
    """Of the last `reach` seconds all rows, those that the condition chooses, and those for which it is NULL."""

    reach: int
    rows: int
    calls: int
    unknown: int


def check_calls(context: CheckContext) -> list[Finding]:
    """Check how many rows of the last day are calls by the condition."""
    if context.log.where is None:
        return [ok(CALLS, f"each row is a call: {_SETTING} is not set")]
    context.session.prove_visible(context.relation)
    found = read_a_day(context.session, lambda age: _read(context, age))
    if found is None:
        return [unread(CALLS)]
    return [evaluate_calls(found)]


def evaluate_calls(found: Chosen) -> Finding:
    """Evaluate what the condition chooses: where it is NULL, a row is no call, although nobody has said so."""
    within = f"of {found.rows} rows of the last {span_text(found.reach)}"
    if found.unknown:
        return warn(
            CALLS,
            f"{_SETTING} is NULL for {found.unknown} {within}: they are left out",
            f"write {_SETTING} so that it is true or false then, such as COALESCE(is_test, false) = false",
        )
    if found.rows and not found.calls:
        return warn(CALLS, f"none {within} is a call by {_SETTING}", f"make sure that {_SETTING} says what is meant")
    return ok(CALLS, f"{found.calls} {within} are calls by {_SETTING}")


def _read(context: CheckContext, age: int) -> Chosen:
    log = context.log
    statement = _COUNTED.format(
        where=sql.SQL("true") if log.where is None else written(log.where),
        table=identifier(*log.relation.name.parts),
        time=log.column("time"),
    )
    ((rows, calls, unknown),) = context.session.run(statement, context.last(age))
    return Chosen(age, rows, calls, unknown)
