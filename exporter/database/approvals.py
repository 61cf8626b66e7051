"""The approvals that are pending."""

from itertools import product

from psycopg import sql

from exporter.config import Config
from exporter.database.names import identifier
from exporter.database.session import Session
from exporter.database.tables import PENDING, ReadPlan, Table, find_table, read_planned

_APPROVALS = sql.SQL("SELECT count(*) FROM {table} WHERE {status} = ANY({words})")
_ENUM = """
SELECT n.nspname::text, t.typname::text,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
             WHERE e.enumtypid = t.oid AND lower(e.enumlabel) = %(word)s)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = %(type)s::oid
"""


def read_approvals(session: Session, config: Config) -> int | None:
    """How many approvals are pending, in upper or lower case."""
    return read_planned(session, plan_approvals(session, config))


def plan_approvals(session: Session, config: Config) -> ReadPlan[int] | None:
    """How `read_approvals` reads; None where there is no such table."""
    table = find_table(session, config, "approvals")
    if table is None:
        return None
    return ReadPlan(approvals_query(session, table), session.row_security, lambda _, rows: int(rows[0][0]))


def approvals_query(session: Session, table: Table) -> sql.Composed:
    """The query for the rows that are pending.

    It can use an index on the status: the bare column is compared with every spelling of the word.
    """
    column, status = table.columns["status"], table.group("status")
    if column.category == "E":
        # comparing with a word that the type does not have is an error
        ((schema, kind, labels),) = session.look_up(_ENUM, {"type": column.type_oid, "word": PENDING})
        enum = identifier(schema, kind)
        words = sql.SQL("{}::text[]::{}[]").format(sql.Literal(labels), enum)
        # a domain over the type has no operators of its own
        status = sql.SQL("{}::{}").format(table.column("status"), enum)
    else:
        spellings = ["".join(letters) for letters in product(*((c, c.upper()) for c in PENDING))]
        words = sql.SQL("{}::text[]").format(sql.Literal(spellings))
    return _APPROVALS.format(table=table.name, status=status, words=words)
