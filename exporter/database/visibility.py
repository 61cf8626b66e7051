"""Whether every row of a table or view can be seen: judged from the catalog, for each role whose rights count.

Reading with `row_security = off` turns rows that a policy hides into an error. That net has holes: a materialized view
holds what its owner saw, a foreign table what another server shows, and a function may do anything. So the catalog is
walked from the relation down to whatever it reads.
"""

from collections.abc import Collection
from dataclasses import dataclass

from exporter.database.errors import MissingGrant, NotVisible, hidden_rows, policy_sql
from exporter.database.foresight import CatalogReader
from exporter.database.layout import KNOWN_COLUMNS, TABLES, Relation
from exporter.database.names import quoted, table_sql
from exporter.database.visibility_walk import Fact, table_state, walk


@dataclass(frozen=True)
class Doubt:
    """Why it cannot be proven that every row is visible, and what to do about it."""

    reason: str
    hint: str


@dataclass(frozen=True)
class Visibility:
    """How row-level security meets whoever reads: not at all, or `by_policy` through ones that show every row.

    `doubts` are left where it cannot be told.
    """

    by_policy: bool
    doubts: tuple[Doubt, ...] = ()


def look_for_hidden_rows(
    catalog: CatalogReader, relation: Relation, columns: Collection[str] = KNOWN_COLUMNS
) -> Visibility:
    """What the catalog says of the rows of a relation, for the role that is logged in.

    `columns` are those that are read: in them, too, nothing may depend on who asks. A policy shows every row when it is
    permissive, for SELECT, for the role whose rights count, `true`, and no restrictive one stands beside it. Raises
    `NotVisible` where rows that are read live are hidden, and `MissingGrant` where what a view reads may not be read,
    both with the SQL for the role whose rights count.
    """
    if relation.kind in TABLES:
        if not relation.has_children and not relation.guarded:
            return Visibility(by_policy=False)
        table = table_state(catalog, relation.oid)
        if table.is_alone:
            if table.guarded and not table.shows_all:
                raise hidden_rows(table_sql(relation.name), quoted(table.role))
            return Visibility(by_policy=table.guarded)
    facts = walk(catalog, relation.oid, columns)
    for fact in facts:
        if fact.what == "grant":
            raise _denied(fact, relation)
        if fact.what == "hidden" and fact.copy is None:
            raise _hidden(fact, relation)
    by_policy = any(fact.what == "policy" and fact.copy is None for fact in facts)
    return Visibility(by_policy, tuple(_doubt(fact) for fact in facts if fact.what != "policy"))


def refuse_doubts(visibility: Visibility, relation: Relation, table: str, accepted: Collection[str]) -> None:
    """Raise `NotVisible` where it cannot be proven that every row is visible, unless that is accepted for the table.

    `table` is its place in the configuration: `log`, or that of an optional table.
    """
    if visibility.doubts and table not in accepted:
        doubt = visibility.doubts[0]
        raise NotVisible(
            f"it cannot be proven that every row of {relation.name} is visible: {doubt.reason}",
            f"{doubt.hint} -- then, or if you know that it shows every row: tables.accept_unproven: [{table}]",
        )


def _denied(fact: Fact, relation: Relation) -> MissingGrant:
    table, role = table_sql(fact.relation), quoted(fact.role)
    message = f"{role} may not read {table}, and its rights count when {table_sql(relation.name)} is read"
    return MissingGrant(message, f"GRANT SELECT ON {table} TO {role};")


def _hidden(fact: Fact, relation: Relation) -> NotVisible:
    if fact.relation == relation.name:
        return hidden_rows(table_sql(fact.relation), quoted(fact.role))
    through = f", whose rights count when {table_sql(relation.name)} is read"
    return hidden_rows(table_sql(fact.relation), quoted(fact.role), through)


def _doubt(fact: Fact) -> Doubt:
    name, role = table_sql(fact.relation), quoted(fact.role)
    match fact.what:
        case "hidden":
            copy = table_sql(fact.copy or fact.relation)
            return Doubt(
                f"materialized view {copy} was filled by {role}, from whom row-level security hides rows of {name}",
                f"{policy_sql(name, role)}; then: REFRESH MATERIALIZED VIEW {copy};",
            )
        case "foreign":
            remote = f"role {quoted(fact.second)}" if fact.second else f"the role that {role} is mapped to"
            return Doubt(
                f"{name} is a foreign table: what {remote} sees on server {quoted(fact.first)} is not known here",
                f"give {remote} every row there, as deploy/sql/role_policies.sql does",
            )
        case "function":
            uses = "takes rows from function" if fact.second is None else f"computes column {quoted(fact.second)} with"
            chosen = ", or chooses them by it," if fact.second is None else ""
            return Doubt(
                f"{name} {uses} {fact.first}{chosen} and what it reads is not known",
                "in the configuration (tables), name a view that reads the table itself",
            )
        case "sample":
            return Doubt(
                f"{name} shows a random choice of rows: {fact.first}",
                "name a view that shows every row in the configuration: tables",
            )
        case _:
            uses = "chooses rows by" if fact.second is None else f"computes column {quoted(fact.second)} with"
            return Doubt(
                f"{name} {uses} {fact.first}: what it shows depends on who asks",
                f"let it show every row to {role}, or name another view in the configuration: tables",
            )
