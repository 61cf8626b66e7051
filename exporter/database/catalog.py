"""Questions to PostgreSQL's catalog: where a table is, and which columns it has."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from exporter.config import QualifiedName
from exporter.database.columns import Column
from exporter.database.errors import SchemaProblem
from exporter.database.foresight import Answer, CatalogReader, Question, Row
from exporter.database.layout import TABLES, Relation
from exporter.database.names import LONGEST_NAME
from exporter.database.visibility_walk import state_question

# Asked in each transaction: what Python can tell as well is left to it, since that is quicker than to have it planned.
# Whether row-level security is in force comes along, so that most tables need no other question.
_FIND = """
SELECT c.relname, (SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace), c.oid::bigint,
       c.relowner::bigint, c.relkind, c.relhassubclass, pg_catalog.row_security_active(c.oid),
       c.relfilenode::bigint
FROM pg_catalog.pg_class c
WHERE c.relname = ANY(%(names)s::name[])
"""
_IN_SCHEMA = """
AND c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = %(schema)s::name)
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

# Enough for columns of `_OWN_TYPES` with the collations that every database has, which are deterministic.
_COLUMNS = """
SELECT a.attrelid::bigint, a.attcollation >= 16384, a.attnum, a.attname, a.atttypid::bigint,
       pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY(%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
"""
_OWN_TYPES = {
    oid: category
    for category, oids in {
        "A": (1000, 1005, 1007, 1009, 1015, 1016, 1021, 1022, 1115, 1182, 1185, 1231, 2951, 3807),
        "B": (16,),
        "D": (1082, 1083, 1114, 1184, 1266),
        "N": (20, 21, 23, 700, 701, 790, 1700),
        "S": (19, 25, 1042, 1043),
        "T": (1186,),
        "U": (17, 114, 2950, 3802),
    }.items()
    for oid in oids
}
"""Types of PostgreSQL's own that logs have, by their numbers, which are the same everywhere, and their categories."""

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


_READABLE = (*TABLES, "v", "m", "f")


class _Found(NamedTuple):
    """A row of `_FIND`."""

    name: str
    schema: str
    oid: int
    owner: int
    kind: str
    has_children: bool
    guarded: bool
    file: int


class _Attribute(NamedTuple):
    """A row of `_COLUMNS`; `has_own_collation` says that somebody created its collation, which may fold text."""

    table: int
    has_own_collation: bool
    number: int
    name: str
    type_oid: int
    type: str


def _find_question(name: QualifiedName) -> Question:
    # PostgreSQL cuts long names, and replaces characters of others: then a row does not say which name it answers
    each = "names" if name.name.isascii() and len(name.name) <= LONGEST_NAME else ""
    if name.schema is None:
        return Question(_FIND, {"names": [name.name]}, each)
    return Question(_FIND + _IN_SCHEMA, {"names": [name.name], "schema": name.schema}, each)


def _columns_question(oid: int) -> Question:
    return Question(_COLUMNS, {"oids": [oid]}, "oids")


def find_questions(tables: Iterable[tuple[QualifiedName, QualifiedName | None]]) -> tuple[Question, ...]:
    """What `find_relation` asks first for each table, and for the log if it must stand beside that."""
    names = (name for pair in tables for name in pair if name is not None)
    return tuple(_find_question(name) for name in dict.fromkeys(names))


def _found(answer: Answer, name: QualifiedName, path: Sequence[str]) -> list[_Found]:
    """The tables and views that a name may mean; those in schemas of the path first, in its order."""
    tables = (_Found(*row) for row in answer)
    return sorted(
        (
            table
            for table in tables
            if table.kind in _READABLE and (name.schema is not None or not _is_system(table.schema))
        ),
        key=lambda table: (path.index(table.schema) if table.schema in path else len(path), table.schema),
    )


def _meant(question: Question, answer: Answer, path: Sequence[str]) -> list[_Found]:
    """The table or view that a question of `_FIND` looks for; all of them where it cannot be told which."""
    name = QualifiedName(question.parameters.get("schema"), *question.parameters["names"])
    tables = _found(answer, name, path)
    return tables[:1] if tables and tables[0].schema in path else tables


def mean_the_same(question: Question, one: Answer, other: Answer, path: Sequence[str]) -> bool:
    """Whether two answers to a question say the same of what is read.

    Others may make what they like under the same name, such as temporary tables, and the rows have no order.
    """
    if question.statement.startswith(_FIND):
        return _meant(question, one, path) == _meant(question, other, path)
    return sorted(one, key=repr) == sorted(other, key=repr)


def _is_system(schema: str) -> bool:
    return schema == "information_schema" or schema.startswith("pg_")


def next_questions(question: Question, answer: Answer, path: Sequence[str]) -> list[Question]:
    """What will be asked after this answer, if it has found a table: its columns, and its rows' visibility."""
    if not question.statement.startswith(_FIND):
        return []
    questions = []
    for found in _meant(question, answer, path)[:1]:
        questions.append(_columns_question(found.oid))
        if found.kind in TABLES and (found.has_children or found.guarded):
            questions.append(state_question(found.oid))
    return questions


def find_relation(
    catalog: CatalogReader, name: QualifiedName, setting: str, path: Sequence[str], log: QualifiedName | None = None
) -> Relation | None:
    """The table or view of this name, or None.

    Without a schema the search path decides, then the only schema that has the name. The session's own search path is
    locked: `path` has the schemas of the one that the role has without us. Raises `SchemaProblem` where several have
    it; `setting` is what to write then.

    With `log`, a table without a schema is refused if its owner has no right on the log: somebody may have put it where
    the search path finds it, and a view calls its functions with the rights of whoever reads it.
    """
    tables = _found(catalog.execute(*_find_question(name)), name, path)
    if not tables:
        return None
    found = tables[0]
    if len(tables) > 1 and found.schema not in path:
        places = ", ".join(f"{table.schema}.{table.name}" for table in tables)
        raise SchemaProblem(
            f"table {name} stands in several schemas: {places}", f"write one with its schema into {setting}"
        )
    if log is not None and name.schema is None:
        logs = _found(catalog.once(_find_question(log)), log, path)
        # a right on each, where it cannot be told which is meant
        for each in logs[:1] if logs and logs[0].schema in path else logs:
            _refuse_foreign_owner(catalog, found, each, setting)
    return _relation(found, _columns_of(catalog, found.oid))


def _columns_of(catalog: CatalogReader, oid: int) -> tuple[Row, ...]:
    """The columns of a table as `_BENEATH` tells them, which is asked only where `_COLUMNS` does not tell enough."""
    columns = [_Attribute(*row) for row in catalog.execute(*_columns_question(oid))]
    if any(each.has_own_collation or each.type_oid not in _OWN_TYPES for each in columns):
        return tuple(catalog.execute(_BENEATH, {"oid": oid}))
    return tuple(
        (each.number, each.name, "pg_catalog", "", each.type, _OWN_TYPES[each.type_oid], each.type_oid, each.type)
        for each in sorted(columns)
    )


def _refuse_foreign_owner(catalog: CatalogReader, found: _Found, log: _Found, setting: str) -> None:
    """Raise `SchemaProblem` if the table's owner has no right on the log."""
    if log.owner == found.owner:
        return
    ((known, owner),) = catalog.once(Question(_KNOWS, {"owner": found.owner, "log": log.oid}))
    if not known:
        raise SchemaProblem(
            f"{found.schema}.{found.name} belongs to {owner}, who has no right on the log",
            f"if {owner} is to be trusted, write it with its schema, else null, into {setting}",
        )


# asked with each transaction, and nearly always answered as before
@lru_cache(maxsize=16)
def _relation(found: _Found, columns: tuple[Row, ...]) -> Relation:
    return Relation(
        QualifiedName(found.schema, found.name),
        found.oid,
        {row[1]: read_column(*row[1:], number=row[0]) for row in columns},
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
