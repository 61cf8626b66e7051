"""Questions to PostgreSQL's catalog: where a table is, and which columns it has."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from exporter.config import QualifiedName
from exporter.database.columns import Column
from exporter.database.errors import SchemaProblem
from exporter.database.foresight import Answer, CatalogReader, Question, Row
from exporter.database.layout import TABLES, Relation
from exporter.database.visibility_walk import state_question

# The session's own search path is locked: the one that the role has without us comes as a parameter. Whether row-level
# security is in force comes along, so that a table without needs no other question.
_FIND = """
SELECT wanted.name, n.nspname, c.relname, c.oid::bigint,
       pg_catalog.array_position(%(path)s::name[], n.nspname) AS place,
       c.relowner::bigint, c.relkind, c.relhassubclass, pg_catalog.row_security_active(c.oid)
FROM pg_catalog.unnest(%(names)s::text[]) AS wanted(name)
JOIN pg_catalog.pg_class c ON c.relname = wanted.name::name
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN %(schema)s::text IS NULL
           THEN n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%%'
           ELSE n.nspname = %(schema)s END
ORDER BY place, n.nspname
"""

# A table's owner is known who has a right on the log, or on all that the log's view reads.
_KNOWS = """
SELECT pg_catalog.has_any_column_privilege(%(owner)s::oid, %(log)s::oid, 'SELECT, INSERT, UPDATE') OR coalesce((
         SELECT bool_and(pg_catalog.has_any_column_privilege(%(owner)s::oid, d.refobjid, 'SELECT, INSERT, UPDATE'))
         FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.objid = r.oid
         WHERE r.ev_class = %(log)s::oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
           AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> %(log)s::oid), false),
       pg_catalog.pg_get_userbyid(%(owner)s::oid)::text
"""

# Enough for columns without domains, and whose collations are those that every database has: these are deterministic.
_COLUMNS = """
SELECT a.attrelid::bigint, t.typtype = 'd' OR a.attcollation >= 16384, a.attnum, a.attname, n.nspname, t.typname,
       pg_catalog.format_type(a.atttypid, a.atttypmod), t.typcategory, t.oid::bigint
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

# The last type of a chain of domains is the one that decides. A server before 12 has no collisdeterministic.
_BENEATH = """
WITH RECURSIVE typed AS (
  SELECT a.attnum, a.attname, a.attcollation, a.atttypid AS declared, a.atttypmod AS declared_as,
         a.atttypid AS type, a.atttypmod AS modifier
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
  SELECT d.attnum, d.attname, d.attcollation, d.declared, d.declared_as, t.typbasetype, t.typtypmod
  FROM typed d JOIN pg_catalog.pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
)
SELECT d.attnum, d.attname, n.nspname, t.typname, pg_catalog.format_type(d.type, d.modifier), t.typcategory,
       t.oid::bigint, pg_catalog.format_type(d.declared, d.declared_as),
       coalesce(pg_catalog.to_jsonb(c) ->> 'collisdeterministic' = 'false', false)
FROM typed d
JOIN pg_catalog.pg_type t ON t.oid = d.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_collation c ON c.oid = d.attcollation
WHERE t.typtype <> 'd'
ORDER BY d.attnum
"""


class _Found(NamedTuple):
    """A row of `_FIND`: `place` is that of its schema in the search path, None where it is in none."""

    wanted: str
    schema: str
    name: str
    oid: int
    place: int | None
    owner: int
    kind: str
    has_children: bool
    guarded: bool


def _find_question(name: QualifiedName, path: str) -> Question:
    return Question(_FIND, {"names": [name.name], "schema": name.schema, "path": path}, "names")


def _columns_question(oid: int) -> Question:
    return Question(_COLUMNS, {"oids": [oid]}, "oids")


def find_questions(tables: Iterable[tuple[QualifiedName, QualifiedName | None]], path: str) -> tuple[Question, ...]:
    """What `find_relation` asks first for each table, and for the log if it must stand beside that."""
    names = (name for pair in tables for name in pair if name is not None)
    return tuple(_find_question(name, path) for name in dict.fromkeys(names))


def next_questions(question: Question, answer: Answer) -> list[Question]:
    """What will be asked after this answer, if it has found a table: its columns, and its rows' visibility."""
    row = answer.fetchone() if question.statement == _FIND else None
    if row is None:
        return []
    found = _Found(*row)
    asks_state = found.kind in TABLES and (found.has_children or found.guarded)
    return [_columns_question(found.oid), *([state_question(found.oid)] if asks_state else [])]


def find_relation(
    catalog: CatalogReader, name: QualifiedName, setting: str, path: str, log: QualifiedName | None = None
) -> Relation | None:
    """The table or view of this name, or None.

    Without a schema the search path decides, then the only schema that has the name. `path` holds the schemas of the
    search path, as an array in SQL. Raises `SchemaProblem` where several have it; `setting` is what to write then.

    With `log`, a table without a schema is refused if its owner has no right on the log: somebody may have put it where
    the search path finds it, and a view calls its functions with the rights of whoever reads it.
    """
    tables = [_Found(*row) for row in catalog.execute(*_find_question(name, path))]
    if not tables:
        return None
    found = tables[0]
    if len(tables) > 1 and found.place is None:
        places = ", ".join(f"{table.schema}.{table.name}" for table in tables)
        raise SchemaProblem(
            f"table {name} stands in several schemas: {places}", f"write one with its schema into {setting}"
        )
    if log is not None and name.schema is None:
        _refuse_a_stranger_s(found, catalog, [_Found(*row) for row in catalog.once(_find_question(log, path))], setting)
    columns = catalog.execute(*_columns_question(found.oid)).fetchall()
    beneath = any(row[1] for row in columns)
    if beneath:
        columns = catalog.execute(_BENEATH, {"oid": found.oid}).fetchall()
    return _relation(found, tuple(columns), beneath=beneath)


def _refuse_a_stranger_s(found: _Found, catalog: CatalogReader, logs: Sequence[_Found], setting: str) -> None:
    """Raise `SchemaProblem` if the table's owner has no right on the log: on each, where it cannot be told which it is."""
    for log in logs if logs and logs[0].place is None else logs[:1]:
        if log.owner != found.owner:
            ((known, owner),) = catalog.once(Question(_KNOWS, {"owner": found.owner, "log": log.oid}))
            if not known:
                raise SchemaProblem(
                    f"{found.schema}.{found.name} belongs to {owner}, who has no right on the log",
                    f"if {owner} is to be trusted, write it with its schema, else null, into {setting}",
                )


# asked with each transaction, and nearly always answered as before
@lru_cache(maxsize=16)
def _relation(found: _Found, columns: tuple[Row, ...], *, beneath: bool) -> Relation:
    read = (row if beneath else (*row[2:], row[6]) for row in columns)
    return Relation(
        QualifiedName(found.schema, found.name),
        found.oid,
        {column.name: column for column in (read_column(*row[1:], number=row[0]) for row in read)},
        found.kind,
        has_children=found.has_children,
        guarded=found.guarded,
    )


def read_column(
    name: str,
    schema: str,
    kind: str,
    written: str,
    category: str,
    oid: int,
    declared: str,
    folds_text: bool = False,
    *,
    number: int = 0,
) -> Column:
    """A column, by what the catalog says of its type."""
    own = schema == "pg_catalog"
    return Column(
        name,
        written.removeprefix("pg_catalog.") if own else f"{schema}.{kind}",
        category,
        declared.removeprefix("pg_catalog."),
        oid,
        folds_text,
        number=number,
    )
