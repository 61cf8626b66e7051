"""Check that the calls of one user, or of one model, are found by an index: panels and `operations` ask for them."""

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from exporter.database.names import columns_sql, table_sql
from exporter.findings import Finding, ok, warn
from exporter.humanize import listing
from exporter.ledger.calendar import DAY
from exporter.preflight.context import CheckContext
from exporter.preflight.index import IndexedTable, explain, read_tables
from exporter.preflight.plan import read_plan
from exporter.preflight.table_index import MANY_BYTES, MANY_ROWS

LOOKUPS = ("user", "model")
"""The roles of the columns that the log is looked up by."""

_WEEK = 7 * DAY

# The plan for a value that is known only when the statement runs, and so for one as frequent as most.
_LOOKUP = sql.SQL("""
SELECT FROM {table}
WHERE {column} = (SELECT {column} FROM {table} LIMIT 1) AND {time} >= %(from)s
ORDER BY {time} DESC LIMIT 20
""")


def index_of(role: str) -> str:
    """The name of the finding."""
    return f"{role} index"


def check_lookup(role: str, context: CheckContext) -> list[Finding]:
    """Check the plan of a week's calls of one user, or of one model."""
    context.session.prove_visible(context.relation)
    log, session = context.log, context.session
    if context.rules.log_columns.is_computed:
        return [ok(index_of(role), f"not needed: no panel looks for one {role} in {log.relation.name}")]
    column, time_column = log.columns[role].name, log.columns["time"].name
    statement = _LOOKUP.format(table=log.source(), column=log.column(role), time=log.column("time"))
    plan = _without_first_value(explain(session, statement, context.last(_WEEK)))
    (table,) = read_tables(session, context.relation.name, column)
    return [evaluate_lookup(role, table, plan, column, time_column)]


def _without_first_value(plan: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plan without the subselect that stands for a value."""
    parts = [_without_first_value(part) for part in plan.get("Plans", ()) if part["Parent Relationship"] != "InitPlan"]
    return {**plan, "Plans": parts}


def evaluate_lookup(role: str, table: IndexedTable, plan: Mapping[str, Any], column: str, time_column: str) -> Finding:
    """Evaluate the plan for one `role`, `user` or `model`. Without the index panels are slow, and no metric is."""
    name = index_of(role)
    scans = read_plan(plan, column, leading=True)
    if scans.indexes:
        return ok(name, f"the calls of one {role} are found by {listing(scans.indexes, 3)}")
    if table.index is not None and not table.valid:
        detail = f"{table.index.name} is invalid: its build did not finish, and it is not used"
        return warn(name, detail, f"REINDEX INDEX CONCURRENTLY {table_sql(table.index)};")
    if table.kind not in ("r", "p", "m"):
        return ok(name, f"{table.name} is no table: what it reads decides how the calls of one {role} are found")
    if table.index is None:
        return _missing(name, role, table, column, time_column)
    if table.is_small:
        return ok(name, f"{table.index.name} ({table.name} is still small, and read whole)")
    if scans.whole:
        detail = f"PostgreSQL reads all of {table.name}, although it has {table.index.name}"
        return warn(name, f"{detail}: its statistics may be out of date", f"ANALYZE {table_sql(table.name)};")
    return ok(name, f"{table.index.name} (not used: the index on {time_column} is cheaper)")


def _missing(name: str, role: str, table: IndexedTable, column: str, time_column: str) -> Finding:
    detail = f"{table.name} has no index that starts with {column}"
    if table.rows < MANY_ROWS and table.size < MANY_BYTES:
        return ok(name, f"{detail}, and needs none while it is small")
    concurrently = "" if table.kind == "p" else " CONCURRENTLY"
    columns = f"{columns_sql([column])}, {columns_sql([time_column])} DESC"
    hint = f"CREATE INDEX{concurrently} ON {table_sql(table.name)} ({columns});"
    return warn(name, f"{detail}: panels that look for one {role} are slow", hint)
