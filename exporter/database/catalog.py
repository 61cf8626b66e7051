"""Questions to PostgreSQL's catalog: where a table is, and which columns it has."""

from typing import Any

from psycopg import Cursor

from exporter.config import QualifiedName
from exporter.database.errors import SchemaProblem
from exporter.database.layout import Column, Relation

Rows = Cursor[tuple[Any, ...]]

# The session's own search path is locked: the one that the role has without us comes as a parameter. A table's owner is
# known who has a right on the log, or on all that the log's view reads; on each log where it cannot be told which is
# meant.
_FIND = """
WITH tables AS (
  SELECT n.nspname, c.relname, c.oid, c.relowner, pg_catalog.array_position(%(path)s::name[], n.nspname) AS place,
         n.nspname IN ('pg_catalog', 'information_schema') OR n.nspname LIKE 'pg\\_%%' AS system
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname IN (%(name)s, %(log)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
), logs AS (
  SELECT oid, rank() OVER (ORDER BY place) AS rank FROM tables
  WHERE relname = %(log)s AND CASE WHEN %(log_schema)s::text IS NULL THEN NOT system ELSE nspname = %(log_schema)s END
)
SELECT nspname, relname, oid::bigint, place, pg_catalog.pg_get_userbyid(relowner)::text,
       NOT EXISTS (
         SELECT FROM logs
         WHERE rank = 1 AND NOT pg_catalog.has_any_column_privilege(relowner, logs.oid, 'SELECT, INSERT, UPDATE')
           AND NOT coalesce((
             SELECT bool_and(pg_catalog.has_any_column_privilege(relowner, d.refobjid, 'SELECT, INSERT, UPDATE'))
             FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
             WHERE r.ev_class = logs.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
               AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> logs.oid), false)
       )
FROM tables
WHERE relname = %(name)s AND CASE WHEN %(schema)s::text IS NULL THEN NOT system ELSE nspname = %(schema)s END
ORDER BY place, nspname
"""

_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), t.typcategory
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def find_relation(
    cursor: Rows, name: QualifiedName, setting: str, path: str, log: QualifiedName | None = None
) -> Relation | None:
    """The table or view of this name, or None.

    Without a schema the search path decides, then the only schema that has the name. `path` holds the schemas of the
    search path, as an array in SQL. Raises `SchemaProblem` where several have it; `setting` is what to write then.

    With `log`, a table without a schema is refused if its owner has no right on the log: somebody may have put it where
    the search path finds it, and a view calls its functions with the rights of whoever reads it.
    """
    asked = {"name": name.name, "schema": name.schema, "path": path}
    beside = {"log": None, "log_schema": None} if log is None else {"log": log.name, "log_schema": log.schema}
    found = cursor.execute(_FIND, {**asked, **beside}).fetchall()
    if not found:
        return None
    schema, table, oid, place, owner, known = found[0]
    if len(found) > 1 and place is None:
        places = ", ".join(f"{row[0]}.{row[1]}" for row in found)
        raise SchemaProblem(
            f"table {name} stands in several schemas: {places}", f"write one with its schema into {setting}"
        )
    if name.schema is None and not known:
        raise SchemaProblem(
            f"{schema}.{table} belongs to {owner}, who has no right on the log",
            f"if {owner} is to be trusted, write it with its schema, else null, into {setting}",
        )
    columns = cursor.execute(_COLUMNS, {"oid": oid}).fetchall()
    return Relation(
        QualifiedName(schema, table),
        oid,
        {column: Column(column, kind, category) for column, kind, category in columns},
    )
