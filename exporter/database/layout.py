"""Which columns of which table hold what: guessed from the catalog's names, unless the configuration says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.config import QualifiedName
from exporter.database.columns import Column, Kind, fits
from exporter.database.errors import SchemaProblem
from exporter.database.views import view_name, view_sql


@dataclass(frozen=True)
class Relation:
    """A table or view as the catalog has it."""

    name: QualifiedName
    oid: int
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Role:
    """What a column is for: names it may have, the kind of value that fits, and whether it must be there."""

    names: Sequence[str]
    kind: Kind
    required: bool = True


LOG_ROLES: Mapping[str, Role] = {
    "time": Role(("created_at", "executed_at"), Kind.TIME),
    "operation": Role(("operation_id",), Kind.KEY, required=False),
    "operation_type": Role(("operation_type",), Kind.KEY, required=False),
    "model": Role(("model_used", "model"), Kind.NAME),
    "user": Role(("user_id",), Kind.KEY),
    "input_tokens": Role(("input_tokens",), Kind.NUMBER),
    "output_tokens": Role(("output_tokens",), Kind.NUMBER),
    "cost": Role(("cost_usd",), Kind.NUMBER),
    "cached_tokens": Role(("cached_tokens", "cached_input_tokens", "cache_read_tokens"), Kind.NUMBER, required=False),
    "latency": Role(("latency_ms",), Kind.NUMBER),
    "success": Role(("success",), Kind.FLAG, required=False),
    "status": Role(("status",), Kind.NAME, required=False),
    "error_message": Role(("error_message",), Kind.MESSAGE),
}
OUTCOMES: Mapping[str, str] = {
    "success": "ok",
    "failed": "failed",
    "timeout": "timeout",
    "pending": "pending",
    "running": "running",
}
"""How a call ended, by what the column `status` says."""

FINAL, FAILED = ("ok", "failed", "timeout"), ("failed", "timeout")
"""The outcomes of calls that have ended, and of those that have not succeeded."""

BUDGET_ROLES: Mapping[str, Role] = {
    "user": Role(("user_id",), Kind.KEY),
    "daily_limit": Role(("daily_limit_usd", "daily_budget_usd"), Kind.NUMBER),
    "monthly_limit": Role(("monthly_limit_usd", "monthly_budget_usd"), Kind.NUMBER, required=False),
    "warning_threshold": Role(("warning_threshold_usd", "warning_threshold_percentage"), Kind.NUMBER, required=False),
    "spent_today": Role(("current_spend_today", "daily_spent_usd"), Kind.NUMBER, required=False),
    "spent_month": Role(("current_spend_month", "monthly_spent_usd"), Kind.NUMBER, required=False),
}
ROUTE_ROLES: Mapping[str, Role] = {
    "operation": Role(("operation_id",), Kind.KEY),
    "primary_model": Role(("primary_model",), Kind.NAME),
    "fallback_model": Role(("fallback_model",), Kind.NAME, required=False),
    "enabled": Role(("enabled",), Kind.FLAG, required=False),
    "estimated_cost": Role(("estimated_cost_usd",), Kind.NUMBER, required=False),
}
RECOMMENDATION_ROLES: Mapping[str, Role] = {
    "type": Role(("recommendation_type",), Kind.NAME),
    "status": Role(("approval_status",), Kind.NAME),
    "savings": Role(("estimated_savings_usd",), Kind.NUMBER, required=False),
}
WRITTEN_ROLES: Mapping[str, Role] = {
    **RECOMMENDATION_ROLES,
    "operation": Role(("operation_id",), Kind.NAME),
    "current_config": Role(("current_config",), Kind.MESSAGE),
    "proposed_config": Role(("proposed_config",), Kind.MESSAGE),
    "savings": Role(("estimated_savings_usd",), Kind.NUMBER),
    "confidence": Role(("confidence",), Kind.NUMBER),
    "reasoning": Role(("reasoning",), Kind.NAME),
}
"""The columns of a recommendation that `recommend --store` writes or compares."""

RECOMMENDATION_COMPARED = ("operation", "type", "current_config", "proposed_config", "status")
"""Those that it reads: they tell whether a matter is open already."""

RECOMMENDATION_WRITTEN = (
    "operation",
    "type",
    "current_config",
    "proposed_config",
    "savings",
    "confidence",
    "reasoning",
)
"""Those that it writes. The status is not among them: what the table's own default makes of it is pending."""
APPROVAL_ROLES: Mapping[str, Role] = {"status": Role(("status",), Kind.NAME)}

ROLES: Mapping[str, Mapping[str, Role]] = {
    "budgets": BUDGET_ROLES,
    "routes": ROUTE_ROLES,
    "recommendations": RECOMMENDATION_ROLES,
    "approvals": APPROVAL_ROLES,
}
"""The optional tables' roles, by the table's place in the configuration."""

KNOWN_COLUMNS = frozenset(
    name for roles in (LOG_ROLES, *ROLES.values()) for role in roles.values() for name in role.names
)
"""Every name that a column is known by without the configuration."""


def find_columns(
    relation: Relation, section: str, roles: Mapping[str, Role], explicit: Mapping[str, str | None]
) -> dict[str, Column]:
    """The column for each role that has one, of a type that can be read exactly.

    `section` is the part of `columns` in the configuration that `explicit` comes from. Raises `SchemaProblem`, which
    names the table, the columns seen and the setting to write, or a view to create.
    """
    columns = _choose(relation, section, roles, explicit)
    _require_fit(relation, section, roles, columns)
    return columns


def find_log_columns(relation: Relation, explicit: Mapping[str, str | None]) -> dict[str, Column]:
    """`find_columns` for the log, where an operation and one kind of outcome must be found too."""
    columns = _choose(relation, "log", LOG_ROLES, explicit)
    if "operation" not in columns and "operation_type" not in columns:
        raise _problem(relation, "no column for the operation", "columns.log.operation")
    outcomes = [role for role in ("success", "status") if role in columns]
    named = [role for role in outcomes if explicit.get(role)]
    if len(outcomes) == 2 and len(named) == 1:
        del columns[next(role for role in outcomes if role not in named)]
    elif len(outcomes) != 1:
        found = "both success and status could be the outcome" if outcomes else "no column for the outcome"
        raise _problem(relation, found, "columns.log.success or columns.log.status")
    _require_fit(relation, "log", LOG_ROLES, columns)
    return columns


def _require_fit(relation: Relation, section: str, roles: Mapping[str, Role], columns: Mapping[str, Column]) -> None:
    """Raise `SchemaProblem` if a column's type does not fit its role; its hint is a view in which all do."""
    unfit = {role: column for role, column in columns.items() if not fits(column, roles[role].kind)}
    if not unfit:
        return
    found = "; ".join(
        f"{column.name} is of type {column.shown_type}, where {roles[role].kind.value} is needed"
        for role, column in unfit.items()
    )
    problem = _problem(relation, found, ", ".join(f"columns.{section}.{role}" for role in unfit))
    wanted = {column.name: (column, roles[role].kind) for role, column in columns.items()}
    view = view_sql(relation.name, list(wanted.values()))
    if view is not None:
        setting = f"tables.{section}: {view_name(relation.name)}"
        problem.hint = f"{view} -- grant SELECT on it to the exporter's role, and write {setting}; or {problem.hint}"
    raise problem


def _choose(
    relation: Relation, section: str, roles: Mapping[str, Role], explicit: Mapping[str, str | None]
) -> dict[str, Column]:
    return {
        role: column
        for role, wanted in roles.items()
        if (column := _find(relation, f"columns.{section}.{role}", wanted, explicit.get(role))) is not None
    }


def _find(relation: Relation, setting: str, role: Role, explicit: str | None) -> Column | None:
    if explicit is not None:
        if explicit not in relation.columns:
            raise _problem(relation, f"no column {explicit}", setting)
        return relation.columns[explicit]
    candidates = [relation.columns[name] for name in role.names if name in relation.columns]
    if len(candidates) > 1:
        names = " and ".join(column.name for column in candidates)
        raise _problem(relation, f"{names} could both be meant", setting)
    if not candidates and role.required:
        raise _problem(relation, f"no column {' or '.join(role.names)}", setting)
    return candidates[0] if candidates else None


def _problem(relation: Relation, found: str, setting: str) -> SchemaProblem:
    seen = ", ".join(relation.columns)
    return SchemaProblem(
        f"table {relation.name}: {found}; columns seen: {seen}",
        f"name the column in the configuration: {setting}",
    )
