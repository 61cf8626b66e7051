"""Check that reading an optional table is cheap: by an index, or because it is small."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from exporter.config import QualifiedName
from exporter.database.names import columns_sql, table_sql
from exporter.database.tables import Table
from exporter.findings import Finding, ok, warn
from exporter.humanize import listing
from exporter.preflight.context import CheckContext
from exporter.preflight.index import explain
from exporter.preflight.plan import read_plan

MANY_ROWS, MANY_BYTES = 100_000, 50_000_000
"""From either on, reading it all once a minute costs more than an index."""

_TABLE = """
SELECT c.relkind::text, greatest(c.reltuples, 0)::float8, coalesce(pg_catalog.pg_relation_size(c.oid), 0)::float8,
       EXISTS (
         SELECT FROM pg_catalog.pg_index i
         WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND (
           SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum = ANY((i.indkey::int2[])[0:%(count)s - 1])
         ) = %(columns)s::text[]
       )
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND n.nspname = %(schema)s
"""


@dataclass(frozen=True)
class Whole:
    """A table that is read whole: its kind as in `pg_class`, its estimated rows, its bytes, and whether it has an index
    that could be used.
    """

    name: QualifiedName
    kind: str
    rows: float
    size: float
    indexed: bool

    @property
    def is_large(self) -> bool:
        """Whether reading all of it is worth a warning. Even with an index, it can be right for narrow rows."""
        return self.size >= MANY_BYTES or (self.rows >= MANY_ROWS and not self.indexed)


def check_served(
    context: CheckContext, section: str, table: Table, statement: sql.Composed, roles: Sequence[str]
) -> Finding:
    """Check the plan of a table's own query; `roles` are those of the columns that an index must begin with."""
    found, columns = f"{section} index", [table.columns[role].name for role in roles]
    scans = read_plan(explain(context.session, statement, {}), columns[0])
    read = [_read(context, name, columns) for name in scans.whole]
    whole = [one for tables in read if tables is not None for one in tables]
    if None in read:
        untold = f"{table.relation.name} is read whole, and the server does not show its size"
        return warn(found, untold, "make sure that it is small: it is read once a minute")
    large = [one for one in whole if one.is_large]
    if not large:
        how = "small enough to be read whole" if whole else "read by an index"
        return ok(found, f"{table.relation.name} is {how}")
    worst = max(large, key=lambda one: one.size)
    detail = f"{worst.name} is read whole once a minute: about {worst.rows:.0f} rows, {worst.size / 1e6:.0f} MB"
    if worst.indexed:
        hint = f"VACUUM ANALYZE {table_sql(worst.name)};"
        return warn(found, f"{detail}, although it has an index on {listing(columns)}", hint)
    concurrently = "" if worst.kind == "p" else " CONCURRENTLY"
    hint = f"CREATE INDEX{concurrently} ON {table_sql(worst.name)} ({columns_sql(columns)});"
    return warn(found, f"{detail}, since it has no index on {listing(columns)}", hint)


def _read(context: CheckContext, name: QualifiedName, columns: Sequence[str]) -> list[Whole] | None:
    asked = {"name": name.name, "schema": name.schema, "columns": sorted(columns), "count": len(columns)}
    found = context.session.ask(_TABLE, asked)
    return None if found is None else [Whole(name, *row) for row in found]
