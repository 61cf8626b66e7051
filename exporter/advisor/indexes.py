"""Indexes that the queries of the exporter and of Grafana miss, as `check` finds them by their plans."""

from collections.abc import Iterator

import psycopg

from exporter.advisor.calls import LOCK
from exporter.advisor.model import ALL, Recommendation, confident
from exporter.database.names import columns_sql, table_sql
from exporter.findings import Finding
from exporter.preflight.context import CheckContext
from exporter.preflight.index import check_index
from exporter.preflight.lookup_index import LOOKUPS, check_lookup

_PLAN = "EXPLAIN SELECT FROM {table} WHERE {column} = (SELECT {column} FROM {table} LIMIT 1);"
_FIXES = ("CREATE INDEX", "REINDEX", "ANALYZE")


def missing_indexes(context: CheckContext) -> Iterator[Recommendation]:
    """What `check` says of indexes on the log, where it knows the SQL that fixes it."""
    for role in ("time", *LOOKUPS):
        for finding in _findings(context, role):
            if finding.hint.startswith(_FIXES):
                yield _recommendation(context, finding, role)


def _findings(context: CheckContext, role: str) -> list[Finding]:
    try:
        with context.session.savepoint():
            return check_index(context) if role == "time" else check_lookup(role, context)
    except psycopg.Error:
        # hosted servers and forks refuse parts of the catalog in many ways, and no other rule depends on it
        if context.session.lost:
            raise
        return []


def _recommendation(context: CheckContext, finding: Finding, role: str) -> Recommendation:
    column = context.log.columns[role].name
    found = {"column": columns_sql([column]), "table": table_sql(context.relation.name)}
    return Recommendation(
        kind="missing_index",
        operation=ALL,
        title=f"Let an index serve the queries by {column}",
        reasoning=f"{finding.detail}. Run: {finding.hint}",
        figures={"column": column},
        proposal={"sql": finding.hint},
        confidence=confident(0.9),
        evidence=LOCK + _PLAN.format(**found),
    )
