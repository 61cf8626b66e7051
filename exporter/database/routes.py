"""The routes: which model serves an operation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql

from exporter.config import Config, clean_label
from exporter.database.labels import model_name
from exporter.database.session import Session
from exporter.database.tables import ReadPlan, Table, bound, find_table, read_planned
from exporter.ledger.model import UNKNOWN

MOST_ROUTES = 10_000
"""The most routes that are read."""


@dataclass(frozen=True)
class Route:
    """Which model serves an operation; names as the log spells them, `fallback_model` empty where there is none.

    `rows` is how many rows of the table name the operation; the others do not count.
    """

    operation: str
    primary_model: str
    fallback_model: str
    enabled: bool
    rows: int = 1


_ROUTES = sql.SQL("SELECT {operation}, {primary}, {fallback}, {enabled} FROM {table} LIMIT {rows}")


def read_routes(session: Session, config: Config) -> list[Route] | None:
    """The routes in force, one an operation. Raises `TooManyRows` where there are more than `MOST_ROUTES`.

    Of several rows for an operation, one that is switched on counts, and of these the first by its models: an update of
    an unrelated column must not change which.
    """
    return read_planned(session, plan_routes(session, config))


def plan_routes(session: Session, config: Config) -> ReadPlan[list[Route]] | None:
    """How `read_routes` reads; None where there is no such table."""
    table = find_table(session, config, "routes")
    if table is None:
        return None
    statement = _ROUTES.format(
        operation=table.value("operation"),
        primary=table.value("primary_model"),
        fallback=table.value("fallback_model"),
        enabled=table.value("enabled"),
        table=table.name,
        rows=sql.Literal(MOST_ROUTES + 1),
    )
    return ReadPlan(statement, session.row_security, lambda _, rows: _take_routes(table, config.models.aliases, rows))


def _take_routes(table: Table, aliases: Mapping[str, str], rows: list[tuple[Any, ...]]) -> list[Route]:
    """The routes; `aliases` are labels, since the configuration cleans them."""
    bound(table, len(rows), MOST_ROUTES)
    named: dict[str, list[Route]] = {}
    for operation, primary, fallback, enabled in rows:
        name = clean_label(operation, UNKNOWN)
        primary_model, fallback_model = model_name(aliases, primary), model_name(aliases, fallback, "")
        named.setdefault(name, []).append(Route(name, primary_model, fallback_model, enabled is not False))
    return [replace(min(named[name], key=_counts_first), rows=len(named[name])) for name in sorted(named)]


def _counts_first(route: Route) -> tuple[bool, str, str]:
    return not route.enabled, route.primary_model, route.fallback_model
