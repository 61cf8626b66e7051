"""Check the role's privileges on a table: too few are a failure, too many a warning."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from exporter.database.columns import Column
from exporter.database.layout import Relation
from exporter.database.names import columns_sql, quoted, table_sql
from exporter.database.session import Session
from exporter.findings import Finding, fail, ok, warn
from exporter.humanize import listing

GRANTS = "grants"
LEAST_PRIVILEGE = "least privilege"

_READABLE = """
SELECT a.attname::text
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = %(oid)s::oid AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
"""
_ROLE = """
SELECT current_user::text, pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')
FROM pg_catalog.pg_class c WHERE c.oid = %(oid)s::oid
"""
_EXCESS = """
SELECT pg_catalog.has_any_column_privilege(c.oid, 'INSERT'), pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'),
       pg_catalog.has_table_privilege(c.oid, 'DELETE'), pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'),
       coalesce((SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user), false),
       pg_catalog.pg_has_role(c.relowner, 'USAGE')
FROM pg_catalog.pg_class c WHERE c.oid = %(oid)s::oid
"""
_WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
_OUR_ROLE = "connect as the role that deploy/sql/role_bypassrls.sql or deploy/sql/role_policies.sql creates"


@dataclass(frozen=True)
class Access:
    """A role's privileges: `readable` columns, `writes` as SQL names them, and whether it is a superuser or owner.

    `told` is whether the server shows privileges other than reading.
    """

    user: str
    schema: bool
    readable: frozenset[str]
    writes: tuple[str, ...]
    superuser: bool = False
    owner: bool = False
    told: bool = True


def read_access(session: Session, relation: Relation) -> Access:
    """The privileges of the current role on a table."""
    asked = {"oid": relation.oid}
    ((user, schema),) = session.run(_ROLE, asked)
    readable = frozenset(name for (name,) in session.run(_READABLE, asked))
    excess = session.ask(_EXCESS, asked)
    if not excess:
        return Access(user, schema, readable, (), told=False)
    ((*writes, superuser, owner),) = excess
    may = tuple(name for name, allowed in zip(_WRITES, writes, strict=True) if allowed)
    return Access(user, schema, readable, may, superuser, owner)


def evaluate_grants(name: str, relation: Relation, used: Iterable[Column], access: Access) -> Finding:
    """Evaluate whether the role can read every column that is used."""
    wanted = {column.name for column in used}
    missing = wanted - access.readable
    hints = []
    if not access.schema:
        schema = relation.name.schema or "public"
        hints.append(f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(access.user)};")
    if missing:
        hints.append(_grant(relation, missing, access.user))
    if not hints:
        return ok(name, f"{access.user} reads {len(wanted)} columns of {relation.name}")
    lacking = f"columns {listing(missing)}" if missing else "anything in its schema"
    return fail(name, f"{access.user} cannot read {lacking} of {relation.name}", "\n".join(hints))


def evaluate_excess(relation: Relation, used: Iterable[Column], access: Access) -> Finding:
    """Evaluate whether the role can do more than it needs: write, or read prompts and answers."""
    name = LEAST_PRIVILEGE
    if not access.told:
        return warn(name, f"the server does not show the privileges of {access.user} on {relation.name}", _OUR_ROLE)
    if access.superuser:
        return warn(name, f"{access.user} is a superuser: it can read and write everything", _OUR_ROLE)
    if access.owner:
        return warn(name, f"{access.user} owns {relation.name}: it can read and write all of it", _OUR_ROLE)
    wanted = {column.name for column in used}
    content = {column.name for column in relation.columns.values() if _may_hold_content(column)}
    unneeded = (content & access.readable) - wanted
    problems, hints = [], []
    if access.writes:
        problems.append(f"can {', '.join(access.writes)}")
        hints.append(_revoke(", ".join(access.writes), relation, access.user))
    if unneeded:
        problems.append(f"can read {listing(unneeded)}, which the exporter does not need")
        hints.append(_revoke("SELECT", relation, access.user))
        hints.append(_grant(relation, wanted, access.user))
    if not problems:
        return ok(name, f"{access.user} can read what the exporter needs of {relation.name}, and cannot write")
    return warn(name, f"{access.user} {' and '.join(problems)} ({relation.name})", "\n".join(hints))


def evaluate_writes(relation: Relation, used: Iterable[Column], access: Access) -> list[Finding]:
    """Evaluate whether the role can write a table that holds no prompts; the log's check covers the role as a whole."""
    if not access.writes or access.superuser:
        return []
    return [evaluate_excess(relation, used, replace(access, readable=frozenset()))]


def _grant(relation: Relation, columns: Collection[str], user: str) -> str:
    in_order = columns_sql(name for name in relation.columns if name in columns)
    return f"GRANT SELECT ({in_order}) ON {table_sql(relation.name)} TO {quoted(user)};"


def _revoke(privileges: str, relation: Relation, user: str) -> str:
    return f"REVOKE {privileges} ON {table_sql(relation.name)} FROM {quoted(user)};"


def _may_hold_content(column: Column) -> bool:
    """Whether prompts and answers could be in it: text and documents."""
    return column.category == "S" or column.type in ("json", "jsonb", "bytea")
