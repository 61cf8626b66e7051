"""Whether a table was rewritten or replaced since the snapshot by which it is read.

A change of a column's type writes the rows anew, as does who fills a table and gives it the name of another one. A
snapshot from before that finds none of them. It happens to a read that waits for the lock of such a change.

The catalog's tables are read by the snapshot, while the functions that are called here look at what is so now.
"""

from collections.abc import Collection, Iterable

from exporter.database.foresight import Question
from exporter.database.layout import Relation

# Operators are named with their schema: a function behind a view may have set another search path. A view has no file,
# for which the catalog says 0; of a table that is gone nothing is known now. The sub-select hides from the planner how
# many tables there are, so that the server keeps one plan for all.
_REPLACED = """
SELECT 1
FROM pg_catalog.unnest((SELECT %(oids)s::pg_catalog.oid[])) AS o
JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) o
WHERE coalesce(
  c.relfilenode OPERATOR(pg_catalog.<>) 0
    AND pg_catalog.pg_relation_filenode(c.oid) OPERATOR(pg_catalog.<>) c.relfilenode
  OR pg_catalog.to_regclass(pg_catalog.format('%%I.%%I', (
       SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.oid OPERATOR(pg_catalog.=) c.relnamespace
     ), c.relname))::pg_catalog.oid OPERATOR(pg_catalog.<>) c.oid,
  true)
"""

# What is read with a table or through a view is what the transaction has locked by now. What is new since the snapshot
# is not in its catalog.
_REPLACED_BENEATH = """
SELECT 1
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.relation IS NOT NULL
  AND coalesce(
    c.relfilenode OPERATOR(pg_catalog.<>) 0
      AND pg_catalog.pg_relation_filenode(c.oid) OPERATOR(pg_catalog.<>) c.relfilenode,
    true)
"""


def are_alone(relations: Iterable[Relation]) -> bool:
    """Whether nothing is read with tables or through views."""
    return not any(relation.has_children or relation.kind == "v" for relation in relations)


def replaced_question(relations: Collection[Relation]) -> Question:
    """Asks, behind all that was read of relations in a transaction, for rows: none where all are as they were.

    A table that was only packed anew, as `VACUUM FULL` does, counts as rewritten.
    """
    statement = _REPLACED if are_alone(relations) else f"{_REPLACED} UNION ALL {_REPLACED_BENEATH}"
    return Question(statement, {"oids": list(dict.fromkeys(relation.oid for relation in relations))})
