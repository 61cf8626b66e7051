"""Questions to PostgreSQL's catalog: where a table is, which columns it has, whether every row can be seen."""

from dataclasses import dataclass
from typing import Any

from psycopg import Cursor

from exporter.config import QualifiedName
from exporter.database.columns import Column
from exporter.database.errors import SchemaProblem, hidden_rows
from exporter.database.layout import Relation
from exporter.database.names import quoted, table_sql

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

# The last type of a chain of domains is the one that decides. A server before 12 has no collisdeterministic.
_COLUMNS = """
WITH RECURSIVE typed AS (
  SELECT a.attnum, a.attname, a.attcollation, a.atttypid AS declared, a.atttypmod AS declared_as,
         a.atttypid AS type, a.atttypmod AS modifier
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
  SELECT d.attnum, d.attname, d.attcollation, d.declared, d.declared_as, t.typbasetype, t.typtypmod
  FROM typed d JOIN pg_catalog.pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
)
SELECT d.attname, n.nspname, t.typname, pg_catalog.format_type(d.type, d.modifier), t.typcategory,
       pg_catalog.format_type(d.declared, d.declared_as), t.oid::bigint,
       coalesce(pg_catalog.to_jsonb(c) ->> 'collisdeterministic' = 'false', false)
FROM typed d
JOIN pg_catalog.pg_type t ON t.oid = d.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_collation c ON c.oid = d.attcollation
WHERE t.typtype <> 'd'
ORDER BY d.attnum
"""

_POLICIES = """
SELECT pg_catalog.row_security_active(%(oid)s::oid),
       coalesce(bool_or(p.polpermissive AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'), false),
       coalesce(bool_or(NOT p.polpermissive), false),
       current_user::text
FROM (SELECT) AS one
LEFT JOIN pg_catalog.pg_policy p ON p.polrelid = %(oid)s::oid AND p.polcmd IN ('r', '*')
  AND EXISTS (SELECT FROM unnest(p.polroles) AS role
              WHERE role = 0 OR pg_catalog.pg_has_role(current_user, role, 'USAGE'))
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
        {row[0]: _column(*row) for row in columns},
    )


def _column(
    name: str, schema: str, kind: str, written: str, category: str, declared: str, oid: int, folds_text: bool
) -> Column:
    own = schema == "pg_catalog"
    return Column(
        name,
        written.removeprefix("pg_catalog.") if own else f"{schema}.{kind}",
        category,
        declared.removeprefix("pg_catalog."),
        oid,
        folds_text,
    )


@dataclass(frozen=True)
class Visibility:
    """How row-level security meets the role: not at all, or through a policy that shows every row."""

    by_policy: bool


def prove_visible(cursor: Rows, relation: Relation) -> Visibility:
    """Prove that the role sees every row of a table, or raise `NotVisible` with the SQL that mends it.

    Reading with `row_security = off` turns hidden rows into an error, but also refuses a policy that hides nothing.
    Such a policy is accepted when it is permissive, for SELECT, for this role, `true`, and no restrictive one stands
    beside it.
    """
    row = cursor.execute(_POLICIES, {"oid": relation.oid}).fetchone()
    if row is None or not row[0]:
        return Visibility(by_policy=False)
    _, shows_all, restricted, user = row
    if shows_all and not restricted:
        return Visibility(by_policy=True)
    raise hidden_rows(table_sql(relation.name), quoted(user))
