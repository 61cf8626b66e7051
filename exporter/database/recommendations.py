"""The recommendations, counted by type and status."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from psycopg import sql

from exporter.config import LARGEST_AMOUNT, Config, clean_label
from exporter.database import values
from exporter.database.labels import READ_LENGTH
from exporter.database.session import Session
from exporter.database.tables import PENDING, ReadPlan, Table, find_table, read_planned
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import UNKNOWN

MOST_GROUPS = 100
"""Label sets of recommendations that are shown; the rest is summed as `other`."""

MOST_SPELLINGS = 1_000
"""The most groups of recommendations that are read, before case is folded."""


@dataclass(frozen=True)
class Recommendations:
    """How many recommendations there are by type and status, both in lower case.

    `savings` is what the pending ones would save by type, in money units; None where the table does not say.
    """

    counts: Mapping[tuple[str, str], int]
    savings: Mapping[str, int] | None = None


_RECOMMENDATIONS = sql.SQL("""
SELECT kind, status, rows, sum(rows) OVER (), saved, sum(saved) FILTER (WHERE lower(status) = {pending}) OVER ()
FROM (SELECT left({type}, {length}) AS kind, left({status}, {length}) AS status, count(*) AS rows, {saved} AS saved
      FROM {table} GROUP BY {type_group}, {status_group}) AS groups
ORDER BY 3 DESC, 1, 2 LIMIT {groups}
""")
_SAVED = sql.SQL("coalesce(sum({usd}), 0)")
_IS_READABLE = """
SELECT pg_catalog.has_column_privilege(%(table)s::oid, a.attnum, 'SELECT') FROM pg_catalog.pg_attribute a
WHERE a.attrelid = %(table)s::oid AND a.attname = %(column)s
"""


def read_recommendations(session: Session, config: Config) -> Recommendations | None:
    """The recommendations by type and status."""
    return read_planned(session, plan_recommendations(session, config))


def plan_recommendations(session: Session, config: Config) -> ReadPlan[Recommendations] | None:
    """How `read_recommendations` reads; None where there is no such table."""
    table = find_table(session, config, "recommendations")
    if table is None:
        return None
    if not _says_savings(session, table):
        table = replace(table, columns={role: column for role, column in table.columns.items() if role != "savings"})
    with_savings = "savings" in table.columns
    return ReadPlan(
        recommendations_query(table),
        session.row_security,
        lambda _, rows: _take_recommendations(rows, with_savings=with_savings),
    )


def _says_savings(session: Session, table: Table) -> bool:
    """Whether the savings can be read: the role file of an earlier version does not grant them."""
    column = table.columns.get("savings")
    asked = column and session.look_up(_IS_READABLE, {"table": table.relation.oid, "column": column.name})
    return bool(asked and asked[0][0])


def _take_recommendations(rows: list[tuple[Any, ...]], *, with_savings: bool) -> Recommendations:
    counts: Counter[tuple[str, str]] = Counter()
    savings: Counter[str] = Counter()
    # those beyond the groups that are read, or shown, are summed
    rest, saved_rest = (int(rows[0][3]), money_units(rows[0][5] or Decimal(0))) if rows else (0, 0)
    for kind, status, count, _, saved, _ in rows:
        labels = clean_label(_lower(kind), UNKNOWN), clean_label(_lower(status), UNKNOWN)
        if labels in counts or len(counts) < MOST_GROUPS:
            counts[labels] += count
            rest -= count
            if labels[1] == PENDING:
                savings[labels[0]] += money_units(saved)
                saved_rest -= money_units(saved)
    if rest:
        counts["other", "other"] += rest
    if saved_rest:
        savings["other"] += saved_rest
    return Recommendations(dict(counts), dict(savings) if with_savings else None)


def recommendations_query(table: Table) -> sql.Composed:
    """The query for the largest groups as they are written: type, status, rows, the rows of all groups, what they would
    save in USD, and what all that are pending would.
    """
    saved: sql.Composable = sql.SQL("0::numeric")
    if "savings" in table.columns:
        saved = _SAVED.format(usd=values.usd(table.value("savings"), sql.Literal(LARGEST_AMOUNT)))
    return _RECOMMENDATIONS.format(
        type=table.value("type"),
        status=table.value("status"),
        saved=saved,
        pending=sql.Literal(PENDING),
        type_group=table.group("type"),
        status_group=table.group("status"),
        length=sql.Literal(READ_LENGTH),
        table=table.name,
        groups=sql.Literal(MOST_SPELLINGS),
    )


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
