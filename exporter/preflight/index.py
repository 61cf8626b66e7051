"""Check that a scrape's cost stays flat: an index on the time serves its query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from exporter.config import QualifiedName
from exporter.database.log_query import span_query
from exporter.database.names import columns_sql, table_sql
from exporter.database.session import Session
from exporter.findings import Finding, fail, ok, warn
from exporter.humanize import listing
from exporter.ledger.calendar import MINUTE
from exporter.preflight.context import CheckContext
from exporter.preflight.log_table import open_window
from exporter.preflight.plan import Scans, asks_for_window, is_sought, read_plan

TIME_INDEX = "time index"

FEW_ROWS, FEW_BYTES = 1000, 1_000_000
"""Below these, a sequential scan is right, whatever the indexes."""

MOST_OF_IT = 0.1
"""From this share of a table's rows on, a sequential scan can be the better plan."""

_WINDOW = sql.SQL("SELECT FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s")
_TABLE = """
SELECT n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::float8,
       coalesce(pg_catalog.pg_relation_size(c.oid), 0)::float8, i.schema, i.name, i.valid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT xn.nspname::text AS schema, x.relname::text AS name, p.indisvalid AS valid
  FROM pg_catalog.pg_index p
  JOIN pg_catalog.pg_class x ON x.oid = p.indexrelid
  JOIN pg_catalog.pg_namespace xn ON xn.oid = x.relnamespace
  JOIN pg_catalog.pg_am m ON m.oid = x.relam
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.indrelid AND a.attnum = p.indkey[0]
  WHERE p.indrelid = c.oid AND m.amname = 'btree' AND a.attname = %(column)s AND p.indpred IS NULL
  ORDER BY p.indisvalid DESC, x.relname LIMIT 1
) AS i ON true
WHERE c.relname = %(name)s AND n.nspname = %(schema)s
"""

_INDEXES = """
SELECT c.relname::text, pg_catalog.pg_get_indexdef(c.oid, 1, false), n.nspname::text, t.relname::text
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
WHERE c.relname = ANY(%(names)s::name[])
"""


@dataclass(frozen=True)
class IndexedTable:
    """A table: its kind as in `pg_class`, rows as last estimated (below 0: never), bytes, and an index that begins with
    the column in question.
    """

    name: QualifiedName
    kind: str
    rows: float
    size: float
    index: QualifiedName | None
    valid: bool

    @property
    def is_small(self) -> bool:
        """Whether a sequential scan is right."""
        return self.rows < FEW_ROWS and self.size < FEW_BYTES


def check_index(context: CheckContext) -> list[Finding]:
    """Check that the plan of the scrape's own query uses an index on the time column."""
    session, log = context.session, context.log
    session.prove_visible(context.relation)
    statement, parameters = span_query(log, context.rules, open_window(context), MINUTE)
    time_column = log.columns["time"].name
    scans = _serving(session, read_plan(explain(session, statement, parameters), time_column))
    # the plan of the whole query does not show how many rows the time alone selects
    window = _WINDOW.format(table=log.source(), time=log.column("time"))
    rows = float(explain(session, window, {name: parameters[name] for name in ("from", "until")})["Plan Rows"])
    names = dict.fromkeys([context.relation.name, *scans.whole, *(table for _, table in scans.passed)])
    own, *others = [table for name in names for table in read_tables(session, name, time_column)]
    return [evaluate_index(own, {table.name: table for table in (own, *others)}, scans, rows, time_column)]


def _serving(session: Session, scans: Scans) -> Scans:
    """The scans with only those indexes that the window is a stretch of; an index by another key is read whole."""
    names = [name for name, _ in scans.conditions]
    found = session.run(_INDEXES, {"names": names}) if names else []
    keys = {name: [key for index, key, *_ in found if index == name] for name in names}
    served = {name for name, condition in scans.conditions for key in keys[name] if is_sought(condition, key)}
    # beside one that serves, an index may be that of a joined table
    others = {name for name, condition in scans.conditions if not served or asks_for_window(condition)} - served
    passed = [(index, QualifiedName(schema, table)) for index, _, schema, table in found if index in others]
    return replace(scans, indexes=tuple(sorted(served)), passed=tuple(passed))


def explain(session: Session, statement: sql.Composed, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plan of a statement, without running it."""
    explained = sql.Composed([sql.SQL("EXPLAIN (FORMAT JSON, VERBOSE) "), statement])
    (((found,),),) = session.run(explained, parameters)
    plan: Mapping[str, Any] = found["Plan"]
    return plan


def read_tables(session: Session, name: QualifiedName, column: str) -> Iterable[IndexedTable]:
    """The table of a name, with an index that begins with the column; nothing if there is no such table."""
    found = session.run(_TABLE, {"name": name.name, "schema": name.schema, "column": column})
    for schema, table, kind, rows, size, index_schema, index, valid in found:
        by = None if index is None else QualifiedName(index_schema, index)
        yield IndexedTable(QualifiedName(schema, table), kind, rows, size, by, bool(valid))


def evaluate_index(
    log: IndexedTable, tables: Mapping[QualifiedName, IndexedTable], scans: Scans, rows: float, time_column: str
) -> Finding:
    """Evaluate the plan; `tables` are read whole, `rows` is PostgreSQL's estimate for the open window."""
    if (unfit := _read_whole(log, tables, scans, time_column)) is not None:
        return unfit
    if scans.foreign or (log.kind == "v" and not scans.indexes):
        return _cannot_be_told(log, scans, time_column)
    # behind a view, the others may not be the log
    if scans.indexes and (log.kind == "v" or not scans.whole):
        return ok(TIME_INDEX, f"the scrape's query uses {listing(scans.indexes, 3)}")
    # nothing is read if no partition holds the present
    whole = [tables[name] for name in scans.whole] or [log]
    verdicts = [_evaluate_table(table, rows, time_column) for table in whole]
    return next((verdict for verdict in verdicts if verdict.hint), verdicts[0])


def _read_whole(
    log: IndexedTable, tables: Mapping[QualifiedName, IndexedTable], scans: Scans, time_column: str
) -> Finding | None:
    """The finding where all of an index, or of a large table behind a view, is read."""
    by = f"the source of {time_column}"
    # beside an index that serves, a table in which no window is sought may be joined to the log
    whole = scans.sifted if scans.indexes else scans.whole
    large = {str(name) for name in whole if log.kind == "v" and not tables[name].is_small}
    if large:
        detail = f"{listing(large)}, behind {log.name}, is read whole by each scrape"
        return fail(TIME_INDEX, detail, f"create an index there that begins with {by}")
    indexes = {index for index, name in scans.passed if name in tables and not tables[name].is_small}
    if not indexes or (scans.whole and not scans.indexes):
        return None
    detail = f"each scrape reads all of {listing(indexes, 3)}, which starts with another column than {time_column}"
    on_table = log.kind in ("r", "p", "m")
    hint = _create_index(log, time_column) if on_table else f"create an index that begins with {by}"
    return fail(TIME_INDEX, detail, hint)


def _cannot_be_told(log: IndexedTable, scans: Scans, time_column: str) -> Finding:
    what = "a foreign table" if scans.foreign else "a view"
    return warn(
        TIME_INDEX,
        f"{log.name} is {what}: its plan does not show whether an index on {time_column} serves it",
        f"make sure that the table behind it has an index that starts with the column behind {time_column}",
    )


def _evaluate_table(table: IndexedTable, rows: float, time_column: str) -> Finding:
    if table.index is None:
        detail = f"{table.name} has no index that starts with {time_column}: each scrape reads the whole table"
        return fail(TIME_INDEX, detail, _create_index(table, time_column))
    if not table.valid:
        detail = f"{table.index.name} is invalid: its build did not finish, and it is not used"
        return fail(TIME_INDEX, detail, f"REINDEX INDEX CONCURRENTLY {table_sql(table.index)};")
    if table.is_small:
        return ok(TIME_INDEX, f"{table.index.name} ({table.name} is still small, and read whole)")
    if rows >= MOST_OF_IT * table.rows:
        return ok(TIME_INDEX, f"{table.index.name} (not used: the open window holds much of {table.name})")
    return fail(
        TIME_INDEX,
        f"PostgreSQL reads all of {table.name}, although it has {table.index.name}: its statistics may be out of date",
        f"ANALYZE {table_sql(table.name)};",
    )


def _create_index(table: IndexedTable, time_column: str) -> str:
    on = f"ON {table_sql(table.name)} ({columns_sql([time_column])} DESC);"
    if table.kind == "p":
        return (
            f"CREATE INDEX {on} -- blocks writers; for a table in use, first create it CONCURRENTLY on each partition"
        )
    return f"CREATE INDEX CONCURRENTLY {on}"
