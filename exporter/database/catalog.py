"""Questions to PostgreSQL's catalog: where a table is, and which columns it has."""

from typing import Any

from psycopg import Cursor

from exporter.config import QualifiedName
from exporter.database.errors import SchemaProblem
from exporter.database.layout import Column, Relation

Rows = Cursor[tuple[Any, ...]]

_FIND = """
SELECT n.nspname, c.relname, c.oid::bigint
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN %(schema)s::text IS NOT NULL THEN n.nspname = %(schema)s
           ELSE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%%' END
ORDER BY pg_catalog.pg_table_is_visible(c.oid) DESC, n.nspname
"""

_VISIBLE = "SELECT pg_catalog.pg_table_is_visible(%(oid)s::oid)"

_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typcategory
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def find_relation(cursor: Rows, name: QualifiedName, setting: str) -> Relation | None:
    """The table or view of this name, or None.

    Without a schema the search path decides, then the only schema that has the name. Raises `SchemaProblem` where
    several have it; `setting` is what to write then.
    """
    found = cursor.execute(_FIND, {"name": name.name, "schema": name.schema}).fetchall()
    if not found:
        return None
    schema, table, oid = found[0]
    if len(found) > 1:
        (visible,) = cursor.execute(_VISIBLE, {"oid": oid}).fetchone() or (False,)
        if not visible:
            places = ", ".join(f"{row[0]}.{row[1]}" for row in found)
            raise SchemaProblem(
                f"table {name} stands in several schemas: {places}", f"write one with its schema into {setting}"
            )
    columns = cursor.execute(_COLUMNS, {"oid": oid}).fetchall()
    return Relation(
        QualifiedName(schema, table),
        oid,
        {column: Column(column, kind, category) for column, kind, category in columns},
    )
