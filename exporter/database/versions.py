"""Whether the versions of a table's rows tell what has changed in it between two reads.

PostgreSQL changes no row in its place: who inserts or updates one writes a new version, which names the transaction
that wrote it (`xmin`). Each snapshot knows the oldest transaction that may be under way. What was written by one before
that, and can be seen, is settled: a later snapshot of the same server has it as it was, or not at all. So with a count
of all rows, those that are not settled are all that a later read needs.

That holds for a plain table of PostgreSQL's own, as long as nothing is swapped below it. It does not hold for tables
with partitions or children, which may be attached with their rows; for other ways to store a table; where rows come
from other servers with transactions of their own; and after a change of the server, which may have lost some.
"""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from exporter.database.foresight import Question

if TYPE_CHECKING:
    from exporter.database.log_query import LogTable
    from exporter.database.session import Session

# A column that is dropped and added again with a default changes values without a new version: `relnatts` counts both.
# Others than PostgreSQL itself may answer by its protocol, and mean something else by `xmin`. It may be read by those
# who may read the whole table. A server before 12 has no access methods of tables, and no generated columns.
_TELLS = """
SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_postmaster_start_time()::pg_catalog.text, c.relnatts::pg_catalog.int4
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'heap'
                       AND a.amhandler::pg_catalog.text = 'heap_tableam_handler'
WHERE c.oid = %(oid)s::oid AND c.relkind = 'r' AND NOT c.relhassubclass
  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
  AND pg_catalog.version() ~ '^PostgreSQL [0-9.]+[a-z0-9]*( \\((Debian|Ubuntu) [^()]*\\))? on '
  AND pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NULL
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute g
                  WHERE g.attrelid = c.oid AND pg_catalog.to_jsonb(g) ->> 'attgenerated' = 'v')
"""
_ENUMERATION = "E"


def versions_question(oid: int) -> Question:
    """What `versions_tell` asks the catalog."""
    return Question(_TELLS, {"oid": oid})


def versions_tell(session: "Session", log: "LogTable") -> Hashable:
    """None where versions of rows do not tell what has changed; else what must be equal in the reads that are compared.

    A pooler may hand each transaction to another server: only a connection to the server itself will do. Rows that a
    policy shows change with the policy, and the names of an enumeration's values without any row.
    """
    if not session.sends_together or session.reads_by_policy:
        return None
    if any(column.category == _ENUMERATION for column in log.columns.values()):
        return None
    found = session.look_up(*versions_question(log.relation.oid))
    if not found or found[0][0] != session.server_process:
        return None
    return (session.connection, *found[0])
