"""The optional tables: budgets, routes, recommendations, approvals. Each is None where there is no such table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg import sql

from exporter.config import Config, QualifiedName
from exporter.database.layout import (
    APPROVAL_ROLES,
    BUDGET_ROLES,
    FLAG,
    NUMBER,
    RECOMMENDATION_ROLES,
    ROUTE_ROLES,
    Column,
    Relation,
    Role,
    find_columns,
)
from exporter.database.names import identifier
from exporter.database.rows import clean_label
from exporter.database.session import Session
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN, Skip
from exporter.ledger.users import Budget

DEFAULT_WARNING = Decimal("0.8")
"""Share of the daily limit that is a warning where the table has no threshold of its own."""

MOST_GROUPS = 100
"""Label sets of recommendations that are shown; the rest is summed as `other`."""


@dataclass(frozen=True)
class Budgets:
    """The users' budgets, what the table believes was spent today (money units), and values that could not be used."""

    by_user: Mapping[str, Budget]
    recorded_today: int | None
    skipped: Mapping[Skip, int]


@dataclass(frozen=True)
class Route:
    """Which model serves an operation; names as the log spells them, `fallback_model` empty where there is none."""

    operation: str
    primary_model: str
    fallback_model: str
    enabled: bool


def read_budgets(session: Session, config: Config) -> Budgets | None:
    """The budgets of all users."""
    explicit = config.columns.budgets.model_dump()
    table = _open(session, config.tables.budgets, "budgets", BUDGET_ROLES, explicit)
    if table is None:
        return None
    relation, columns = table
    roles = ("user", "daily_limit", "warning_threshold", "spent_today")
    percentage = "perc" in columns["warning_threshold"].name if "warning_threshold" in columns else False
    by_user: dict[str, Budget] = {}
    skipped: Counter[Skip] = Counter({Skip("limit", "nan"): 0, Skip("limit", "negative"): 0})
    recorded = Decimal(0)
    for user, limit, threshold, spent in session.run(_select(relation, columns, BUDGET_ROLES, roles)):
        if limit is not None and (limit.is_nan() or limit < 0):
            skipped[Skip("limit", "nan" if limit.is_nan() else "negative")] += 1
        by_user[clean_label(user, UNATTRIBUTED)] = _budget(limit, threshold, percentage=percentage)
        if _usable(spent):
            recorded += spent
    return Budgets(by_user, money_units(recorded) if "spent_today" in columns else None, skipped)


def read_routes(session: Session, config: Config) -> list[Route] | None:
    """The routes in force, one an operation."""
    explicit = config.columns.routes.model_dump()
    table = _open(session, config.tables.routes, "routes", ROUTE_ROLES, explicit)
    if table is None:
        return None
    relation, columns = table
    aliases = config.models.aliases
    routes: dict[str, Route] = {}
    for operation, primary, fallback, enabled in session.run(
        _select(relation, columns, ROUTE_ROLES, tuple(ROUTE_ROLES))
    ):
        name = clean_label(operation, UNKNOWN)
        routes[name] = Route(
            name,
            clean_label(aliases.get(primary, primary), UNKNOWN),
            clean_label(aliases.get(fallback, fallback), ""),
            enabled is not False,
        )
    return [routes[name] for name in sorted(routes)]


def read_recommendations(session: Session, config: Config) -> dict[tuple[str, str], int] | None:
    """How many recommendations there are by type and status, both in lower case."""
    explicit = config.columns.recommendations.model_dump()
    table = _open(session, config.tables.recommendations, "recommendations", RECOMMENDATION_ROLES, explicit)
    if table is None:
        return None
    relation, columns = table
    statement = sql.SQL("SELECT lower({}::text), lower({}::text), count(*) FROM {} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2")
    rows = session.run(
        statement.format(
            identifier(columns["type"].name),
            identifier(columns["status"].name),
            identifier(*relation.name.parts),
        )
    )
    counts: Counter[tuple[str, str]] = Counter()
    for kind, status, count in rows:
        labels = clean_label(kind, UNKNOWN), clean_label(status, UNKNOWN)
        counts[labels if labels in counts or len(counts) < MOST_GROUPS else ("other", "other")] += count
    return dict(counts)


def read_approvals(session: Session, config: Config) -> int | None:
    """How many approvals are pending."""
    explicit = config.columns.approvals.model_dump()
    table = _open(session, config.tables.approvals, "approvals", APPROVAL_ROLES, explicit)
    if table is None:
        return None
    relation, columns = table
    statement = sql.SQL("SELECT count(*) FROM {} WHERE lower({}::text) = 'pending'")
    ((pending,),) = session.run(statement.format(identifier(*relation.name.parts), identifier(columns["status"].name)))
    return int(pending)


def _open(
    session: Session, name: QualifiedName | None, section: str, roles: Mapping[str, Role], explicit: Mapping[str, Any]
) -> tuple[Relation, dict[str, Column]] | None:
    relation = None if name is None else session.relation(name, f"tables.{section}")
    if relation is None:
        return None
    columns = find_columns(relation, section, roles, explicit)
    session.prove_visible(relation)
    return relation, columns


def _select(
    relation: Relation, columns: Mapping[str, Column], roles: Mapping[str, Role], wanted: tuple[str, ...]
) -> sql.Composed:
    """The columns of the wanted roles: numbers as NUMERIC, flags as they are, else text; NULL where there is none."""
    expressions = [_expression(columns.get(role), roles[role]) for role in wanted]
    table = identifier(*relation.name.parts)
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(expressions), table)


def _expression(column: Column | None, role: Role) -> sql.Composable:
    if column is None:
        return sql.SQL("NULL")
    if role.categories == FLAG:
        return identifier(column.name)
    kind = sql.SQL("numeric" if role.categories == NUMBER else "text")
    return sql.SQL("{}::{}").format(identifier(column.name), kind)


def _usable(number: Decimal | None) -> bool:
    return number is not None and number.is_finite() and number >= 0


def _budget(limit: Decimal | None, threshold: Decimal | None, *, percentage: bool) -> Budget:
    if limit is None or not _usable(limit):
        return Budget()
    if threshold is None or not _usable(threshold):
        warning = limit * DEFAULT_WARNING
    elif percentage:
        # written as 80 by some and as 0.8 by others
        warning = limit * (threshold if threshold <= 1 else threshold / 100)
    else:
        warning = threshold
    return Budget(money_units(limit), money_units(warning))
