"""Which columns of which table hold what: guessed from the catalog's names, unless the configuration says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.config import QualifiedName
from exporter.database.errors import SchemaProblem


@dataclass(frozen=True)
class Column:
    """A column of the database: its name, its type as PostgreSQL writes it, and the type's category letter."""

    name: str
    type: str
    category: str


@dataclass(frozen=True)
class Relation:
    """A table or view as the catalog has it."""

    name: QualifiedName
    oid: int
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Role:
    """What a column is for: names it may have, the type categories that fit, and whether it must be there."""

    names: Sequence[str]
    categories: str
    required: bool = True


NUMBER, TIME, FLAG = "N", "D", "B"
ANY_TEXT = "SEUX"

LOG_ROLES: Mapping[str, Role] = {
    "time": Role(("created_at", "executed_at"), TIME),
    "operation": Role(("operation_id",), ANY_TEXT, required=False),
    "operation_type": Role(("operation_type",), ANY_TEXT, required=False),
    "model": Role(("model_used", "model"), ANY_TEXT),
    "user": Role(("user_id",), ANY_TEXT + NUMBER),
    "input_tokens": Role(("input_tokens",), NUMBER),
    "output_tokens": Role(("output_tokens",), NUMBER),
    "cost": Role(("cost_usd",), NUMBER),
    "latency": Role(("latency_ms",), NUMBER),
    "success": Role(("success",), FLAG, required=False),
    "status": Role(("status",), ANY_TEXT, required=False),
    "error_message": Role(("error_message",), ANY_TEXT),
}
BUDGET_ROLES: Mapping[str, Role] = {
    "user": Role(("user_id",), ANY_TEXT + NUMBER),
    "daily_limit": Role(("daily_limit_usd", "daily_budget_usd"), NUMBER),
    "monthly_limit": Role(("monthly_limit_usd", "monthly_budget_usd"), NUMBER, required=False),
    "warning_threshold": Role(("warning_threshold_usd", "warning_threshold_percentage"), NUMBER, required=False),
    "spent_today": Role(("current_spend_today", "daily_spent_usd"), NUMBER, required=False),
}
ROUTE_ROLES: Mapping[str, Role] = {
    "operation": Role(("operation_id",), ANY_TEXT),
    "primary_model": Role(("primary_model",), ANY_TEXT),
    "fallback_model": Role(("fallback_model",), ANY_TEXT, required=False),
    "enabled": Role(("enabled",), FLAG, required=False),
}
RECOMMENDATION_ROLES: Mapping[str, Role] = {
    "type": Role(("recommendation_type",), ANY_TEXT),
    "status": Role(("approval_status",), ANY_TEXT),
}
APPROVAL_ROLES: Mapping[str, Role] = {"status": Role(("status",), ANY_TEXT)}

ROLES: Mapping[str, Mapping[str, Role]] = {
    "budgets": BUDGET_ROLES,
    "routes": ROUTE_ROLES,
    "recommendations": RECOMMENDATION_ROLES,
    "approvals": APPROVAL_ROLES,
}
"""The optional tables' roles, by the table's place in the configuration."""

_WANTED = {NUMBER: "a number", TIME: "timestamp or timestamptz", FLAG: "boolean"}


def find_columns(
    relation: Relation, section: str, roles: Mapping[str, Role], explicit: Mapping[str, str | None]
) -> dict[str, Column]:
    """The column for each role that has one.

    `section` is the part of `columns` in the configuration that `explicit` comes from. Raises `SchemaProblem`, which
    names the table, the columns seen and the setting to write.
    """
    return {
        role: column
        for role, wanted in roles.items()
        if (column := _find(relation, f"columns.{section}.{role}", wanted, explicit.get(role))) is not None
    }


def find_log_columns(relation: Relation, explicit: Mapping[str, str | None]) -> dict[str, Column]:
    """`find_columns` for the log, where an operation and one kind of outcome must be found too."""
    columns = find_columns(relation, "log", LOG_ROLES, explicit)
    if "operation" not in columns and "operation_type" not in columns:
        raise _problem(relation, "no column for the operation", "columns.log.operation")
    outcomes = [role for role in ("success", "status") if role in columns]
    named = [role for role in outcomes if explicit.get(role)]
    if len(outcomes) == 2 and len(named) == 1:
        del columns[next(role for role in outcomes if role not in named)]
    elif len(outcomes) != 1:
        found = "both success and status could be the outcome" if outcomes else "no column for the outcome"
        raise _problem(relation, found, "columns.log.success or columns.log.status")
    if not columns["time"].type.startswith("timestamp"):
        raise _problem(relation, f"{columns['time'].name} is of type {columns['time'].type}", "columns.log.time")
    return columns


def _find(relation: Relation, setting: str, role: Role, explicit: str | None) -> Column | None:
    if explicit is not None:
        if explicit not in relation.columns:
            raise _problem(relation, f"no column {explicit}", setting)
        candidates = [relation.columns[explicit]]
    else:
        candidates = [relation.columns[name] for name in role.names if name in relation.columns]
    if len(candidates) > 1:
        names = " and ".join(column.name for column in candidates)
        raise _problem(relation, f"{names} could both be meant", setting)
    if not candidates:
        if role.required:
            raise _problem(relation, f"no column {' or '.join(role.names)}", setting)
        return None
    (column,) = candidates
    if column.category not in role.categories:
        wanted = _WANTED.get(role.categories, "text")
        raise _problem(relation, f"{column.name} is of type {column.type}, where {wanted} is needed", setting)
    return column


def _problem(relation: Relation, found: str, setting: str) -> SchemaProblem:
    seen = ", ".join(relation.columns)
    return SchemaProblem(
        f"table {relation.name}: {found}; columns seen: {seen}",
        f"name the column in the configuration: {setting}",
    )
