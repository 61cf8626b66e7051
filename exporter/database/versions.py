"""Whether the versions of a table's rows tell what has changed in it between two reads.

PostgreSQL changes no row in its place: who inserts or updates one writes a new version, which names the transaction
that wrote it (`xmin`). Each snapshot knows the oldest transaction that may be under way. What was written by one before
that, and can be seen, is settled: a later snapshot of the same server has it as it was, or not at all. So with a count
of all rows, those that are not settled are all that a later read needs.

That holds for a plain table of PostgreSQL's own, as long as nothing is swapped below it. It does not hold for tables
with partitions or children, which may be attached with their rows; for other ways to store a table; where rows come
from other servers with transactions of their own; and after a change of the server, which may have lost some.
"""

import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

from exporter.database.foresight import Question

if TYPE_CHECKING:
    from exporter.database.log_table import LogTable
    from exporter.database.session import Session

# What puts other files below a table may change versions without changing values. A server before 12 has no access
# methods of tables; 3 is the function of `heap` in all others.
_VERSIONS = """
SELECT pg_catalog.version(), pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NULL,
       coalesce(a.amname = 'heap' AND a.amhandler::pg_catalog.oid = 3, false),
       pg_catalog.has_column_privilege(c.oid, 'xmin'::pg_catalog.text, 'SELECT'),
       {virtual}, pg_catalog.pg_backend_pid(), c.relfilenode::pg_catalog.int8
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_am a ON a.oid = c.relam
WHERE c.oid = %(oid)s::oid
"""
_HAS_VIRTUAL = """EXISTS (SELECT FROM pg_catalog.pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated = 'v')"""
_FIRST_WITH_VIRTUAL = 180000  # the server's version
_WITHOUT, _WITH = _VERSIONS.format(virtual="false"), _VERSIONS.format(virtual=_HAS_VIRTUAL)

_POSTGRESQL = re.compile(r"PostgreSQL [0-9.]+[a-z0-9]*( \((Debian|Ubuntu) [^()]*\))? on ")
"""How PostgreSQL itself says its version: others may answer by its protocol, and mean something else by `xmin`."""

_ENUMERATION = "E"
_CATALOG_NAMES = tuple(
    """
    regrole regclass regtype regproc regprocedure regoper regoperator regconfig regdictionary regnamespace
    regcollation
    """.split()
)
"""Types whose text is the present name of an object."""


class Versions(NamedTuple):
    """What versions of rows tell: `proof` must be equal in the reads that are compared, or why they tell nothing."""

    proof: Hashable = None
    blind: str = ""


def look_at_versions(session: "Session", log: "LogTable") -> Versions:
    """Whether versions of rows tell what has changed in the log.

    A pooler may hand each transaction to another server: only a connection to the server itself will do. Rows that a
    policy shows change with the policy, and the names of an enumeration's values without any row.
    """
    if not session.sends_together:
        return Versions(blind="statements are not sent together")
    if session.reads_by_policy:
        return Versions(blind="a policy shows its rows")
    if any(column.category == _ENUMERATION or column.type in _CATALOG_NAMES for column in log.columns.values()):
        return Versions(blind="names in it can change without its rows")
    if log.where is not None or any(column.expression is not None for column in log.columns.values()):
        return Versions(blind="its rows are chosen, or its values made, by expressions")
    if log.relation.kind != "r" or log.relation.has_children:
        return Versions(blind="it is not a plain table")
    may_have_virtual = session.connection.info.server_version >= _FIRST_WITH_VIRTUAL
    question = Question(_WITH if may_have_virtual else _WITHOUT, {"oid": log.relation.oid})
    found = session.look_up_if_answered(question)
    if found is None:
        return Versions(blind="the server does not say how it keeps its rows")
    if not found:
        return Versions(blind="it is gone")
    ((version, is_whole, is_heap, is_granted, has_virtual, process, file),) = found
    if process != session.server_process:
        return Versions(blind="a pooler is in between")
    if not is_whole or not _POSTGRESQL.match(version):
        return Versions(blind="the server is a fork")
    if not is_heap:
        return Versions(blind="its rows are not stored as heap")
    if has_virtual:
        return Versions(blind="it has a virtual column")
    if not is_granted:
        return Versions(blind="the role has no SELECT (xmin) on it, which its file grants: run that again")
    # Columns that are dropped and added again with a default, or that change their names, change values without a new
    # version.
    names = tuple((column.number, column.name) for column in log.relation.columns.values())
    return Versions((session.connection, process, file, names))
