"""Check what the configuration's condition leaves out: it can hide calls, and nothing else would say so."""

from psycopg import sql

from exporter.database.names import identifier, written
from exporter.findings import Finding, ok, warn
from exporter.humanize import span_text
from exporter.preflight.context import CheckContext
from exporter.preflight.recent_activity import unread

CALLS = "calls"

_SETTING = "columns.log.where"

_COUNTED = sql.SQL("""
SELECT count(*), count(*) FILTER (WHERE {where}), count(*) FILTER (WHERE ({where}) IS NULL)
FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s
""")


def check_calls(context: CheckContext) -> list[Finding]:
    """Check how many rows of the last day are calls by the condition.

    Where it is NULL, a row is no call, although nobody has said so.
    """
    log = context.log
    if log.where is None:
        return [ok(CALLS, f"each row is a call: {_SETTING} is not set")]
    context.session.prove_visible(context.relation)
    statement = _COUNTED.format(
        where=written(log.where), table=identifier(*log.relation.name.parts), time=log.column("time")
    )
    found = context.in_a_day(statement)
    if found is None:
        return [unread(CALLS)]
    reach, rows, calls, unknown = found
    within = f"of {rows} rows of the last {span_text(reach)}"
    if unknown:
        finding = warn(
            CALLS,
            f"{_SETTING} is NULL for {unknown} {within}: they are left out",
            f"write {_SETTING} so that it is true or false then, such as COALESCE(is_test, false) = false",
        )
    elif rows and not calls:
        finding = warn(CALLS, f"none {within} is a call by {_SETTING}", f"make sure that {_SETTING} says what is meant")
    else:
        finding = ok(CALLS, f"{calls} {within} are calls by {_SETTING}")
    return [finding]
