"""Questions to PostgreSQL's catalog: where a table is, and which columns it has."""

from functools import lru_cache

from exporter.config import QualifiedName
from exporter.database.columns import Column
from exporter.database.errors import SchemaProblem
from exporter.database.foresight import Answer, CatalogReader, Question, Row
from exporter.database.layout import Relation
from exporter.database.visibility_walk import state_question

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


def find_question(name: QualifiedName, path: str, log: QualifiedName | None = None) -> Question:
    """What `find_relation` asks first."""
    beside = {"log": None, "log_schema": None} if log is None else {"log": log.name, "log_schema": log.schema}
    return Question(_FIND, {"name": name.name, "schema": name.schema, "path": path, **beside})


def next_questions(question: Question, answer: Answer) -> list[Question]:
    """What will be asked after this answer, if it has found a table: its columns, and its rows' visibility."""
    found = answer.fetchone() if question.statement == _FIND else None
    if found is None:
        return []
    return [Question(_COLUMNS, {"oid": found[2]}), state_question(found[2])]


def find_relation(
    catalog: CatalogReader, name: QualifiedName, setting: str, path: str, log: QualifiedName | None = None
) -> Relation | None:
    """The table or view of this name, or None.

    Without a schema the search path decides, then the only schema that has the name. `path` holds the schemas of the
    search path, as an array in SQL. Raises `SchemaProblem` where several have it; `setting` is what to write then.

    With `log`, a table without a schema is refused if its owner has no right on the log: somebody may have put it where
    the search path finds it, and a view calls its functions with the rights of whoever reads it.
    """
    found = catalog.execute(*find_question(name, path, log)).fetchall()
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
    columns = catalog.execute(_COLUMNS, {"oid": oid}).fetchall()
    return _relation(schema, table, oid, tuple(columns))


# asked with each transaction, and nearly always answered as before
@lru_cache(maxsize=16)
def _relation(schema: str, table: str, oid: int, columns: tuple[Row, ...]) -> Relation:
    return Relation(QualifiedName(schema, table), oid, {row[0]: read_column(*row) for row in columns})


def read_column(
    name: str, schema: str, kind: str, written: str, category: str, declared: str, oid: int, folds_text: bool = False
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
    )
