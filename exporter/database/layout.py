"""Which columns of which table hold what: guessed from the catalog's names, unless the configuration says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from exporter.config import QualifiedName
from exporter.config.columns import Columns, LogColumns
from exporter.config.expressions import Expression
from exporter.database.columns import Column, Kind, fits
from exporter.database.errors import SchemaProblem
from exporter.database.names import quoted
from exporter.database.views import view_name, view_sql

TABLES = ("r", "p")
"""The kinds of relations that are tables: plain ones, and those with partitions."""


@dataclass(frozen=True)
class Relation:
    """A table or view as the catalog has it.

    `kind` is its `relkind`. `has_children` says whether there are, or were, tables that are read with it, and `guarded`
    whether row-level security is in force for the role that reads.
    """

    name: QualifiedName
    oid: int
    columns: Mapping[str, Column]
    kind: str = "r"
    has_children: bool = False
    guarded: bool = False


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
    "group": Role((), Kind.KEY, required=False),
    "input_tokens": Role(("input_tokens",), Kind.NUMBER),
    "output_tokens": Role(("output_tokens",), Kind.NUMBER),
    "cost": Role(("cost_usd",), Kind.NUMBER),
    "currency": Role((), Kind.NAME, required=False),
    "cached_tokens": Role(("cached_tokens", "cached_input_tokens", "cache_read_tokens"), Kind.NUMBER, required=False),
    "latency": Role(("latency_ms",), Kind.NUMBER),
    "time_to_first_token": Role(("time_to_first_token_ms", "first_token_ms", "ttft_ms"), Kind.NUMBER, required=False),
    "success": Role(("success",), Kind.FLAG, required=False),
    "status": Role(("status",), Kind.NAME, required=False),
    "error_message": Role(("error_message",), Kind.MESSAGE),
    "free": Role((), Kind.FLAG, required=False),
}
OUTCOMES: Mapping[str | None, str] = {
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
GROUP_BUDGET_ROLES: Mapping[str, Role] = {
    "group": Role(("group_id", "team_id", "project_id"), Kind.KEY),
    **{role: known for role, known in BUDGET_ROLES.items() if role != "user"},
}
PERIOD_BUDGET_ROLES: Mapping[str, Role] = {
    "user": BUDGET_ROLES["user"],
    "limit": Role((), Kind.NUMBER),
    "soft_limit": Role((), Kind.NUMBER, required=False),
    "period": Role((), Kind.NAME, required=False),
    "reset_at": Role((), Kind.TIME, required=False),
}
"""Those of a table whose limits are for a period, which only the configuration can say."""
GROUP_PERIOD_BUDGET_ROLES: Mapping[str, Role] = {
    "group": GROUP_BUDGET_ROLES["group"],
    **{role: known for role, known in PERIOD_BUDGET_ROLES.items() if role != "user"},
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
    "group_budgets": GROUP_BUDGET_ROLES,
    "routes": ROUTE_ROLES,
    "recommendations": RECOMMENDATION_ROLES,
    "approvals": APPROVAL_ROLES,
}
"""The optional tables' roles, by the table's place in the configuration."""

_WITH_PERIOD: Mapping[str, Mapping[str, Role]] = {
    "budgets": PERIOD_BUDGET_ROLES,
    "group_budgets": GROUP_PERIOD_BUDGET_ROLES,
}
"""The roles of those whose limits may be for a period, where they are."""


def roles_of(section: str, columns: Columns) -> tuple[Mapping[str, Role], Mapping[str, str | None]]:
    """The roles of an optional table, and the columns that the configuration names for them."""
    if section in _WITH_PERIOD:
        budgets = getattr(columns, section)
        return (ROLES if budgets.period is None else _WITH_PERIOD)[section], budgets.named
    return ROLES[section], getattr(columns, section).model_dump()


KNOWN_COLUMNS = frozenset(
    name for roles in (LOG_ROLES, *ROLES.values()) for role in roles.values() for name in role.names
)
"""Every name that a column is known by without the configuration."""


_OTHER_NAMES: Mapping[str, Sequence[str]] = {
    "time": ("timestamp", "start_time", "started_at", "created"),
    "operation": ("call_type", "endpoint", "feature", "token_name", "name"),
    "model": ("model_name", "model_id"),
    "user": ("username", "user_name", "end_user", "customer_id"),
    "input_tokens": ("prompt_tokens", "message_tokens", "tokens_in"),
    "output_tokens": ("completion_tokens", "answer_tokens", "tokens_out"),
    "cost": ("spend", "total_cost", "total_price", "price", "amount"),
    "latency": ("duration_ms", "request_duration_ms", "elapsed_time", "response_time", "latency"),
    "success": ("succeeded", "is_success", "ok"),
    "status": ("state", "outcome"),
    "error_message": ("error", "error_text", "error_details", "status_message"),
}
"""What other systems call such columns, to propose one that is there."""


class _Missing:
    """What is missing in a table, collected so that it is all said at once."""

    def __init__(self, relation: Relation, section: str) -> None:
        self._relation = relation
        self._section = section
        self._found: list[str] = []
        self._settings: list[str] = []

    def add(self, found: str, roles: Sequence[str], names: Sequence[str] | None = None) -> None:
        """Note what was found, and the roles of which one has to be set.

        `names` are those that were looked for, where none of them is there.
        """
        self._found.append(found)
        setting = " or ".join(f"columns.{self._section}.{role}" for role in roles)
        others = [name for role in roles for name in _OTHER_NAMES.get(role, ())]
        near = None if names is None else self._near([*names, *others])
        self._settings.append(f"{setting} (perhaps {near})" if near else setting)

    def _near(self, names: Sequence[str]) -> str | None:
        plain = {_folded(name): name for name in reversed(tuple(self._relation.columns))}
        for name in names:
            if alike := get_close_matches(_folded(name), plain, n=1, cutoff=0.8):
                return quoted(plain[alike[0]])
        return None

    def refuse(self) -> None:
        """Raise `SchemaProblem` if anything is missing."""
        if self._found:
            raise _problem(self._relation, "; ".join(dict.fromkeys(self._found)), ", ".join(self._settings))


def _folded(name: str) -> str:
    return name.lower().replace("_", "")


def find_columns(
    relation: Relation, section: str, roles: Mapping[str, Role], explicit: Mapping[str, str | None]
) -> dict[str, Column]:
    """The column for each role that has one, of a type that can be read exactly.

    `section` is the part of `columns` in the configuration that `explicit` comes from. Raises `SchemaProblem`, which
    names the table, the columns seen and the settings to write, or a view to create.
    """
    missing = _Missing(relation, section)
    columns = _choose(relation, roles, explicit, missing)
    missing.refuse()
    kinds = {role: wanted.kind for role, wanted in roles.items()}
    _require_fit(relation, section, kinds, columns)
    return columns


def find_log_columns(relation: Relation, settings: LogColumns, made: Mapping[str, Column]) -> dict[str, Column]:
    """`find_columns` for the log, where an operation and one kind of outcome must be found too.

    `made` are the columns that expressions stand for.
    """
    explicit = {role: name for role, name in settings.roles.items() if not isinstance(name, Expression)}
    roles = {role: wanted for role, wanted in LOG_ROLES.items() if role not in made and role not in settings.lacking}
    missing = _Missing(relation, "log")
    for role, expression in _expressions(settings):
        for name in expression.columns:
            if name not in relation.columns:
                missing.add(f"no column {name}", [role], [name])
    columns = {**_choose(relation, roles, explicit, missing), **made}
    if "operation" not in columns and "operation_type" not in columns:
        missing.add("no column for the operation", ["operation"], ())
    outcomes = [role for role in ("success", "status") if role in columns]
    named = [role for role in outcomes if role in settings.roles] or (["status"] if settings.outcomes else [])
    if len(outcomes) == 2 and len(named) == 1:
        del columns[next(role for role in outcomes if role not in named)]
    elif len(outcomes) != 1:
        found = "both success and status could be the outcome" if outcomes else "no column for the outcome"
        missing.add(found, ["success", "status"], None if outcomes else ())
    missing.refuse()
    kinds = {role: wanted.kind for role, wanted in LOG_ROLES.items()}
    if settings.outcomes is not None:
        kinds["status"] = Kind.WORD
    if settings.time_unit != "timestamp":
        kinds["time"] = Kind.NUMBER
    _require_fit(relation, "log", kinds, columns, by_names=not settings.is_computed)
    return {role: columns[role] for role in LOG_ROLES if role in columns}


def _expressions(settings: LogColumns) -> Iterator[tuple[str, Expression]]:
    yield from ((role, written) for role, written in settings.roles.items() if isinstance(written, Expression))
    if settings.where is not None:
        yield "where", settings.where


def _require_fit(
    relation: Relation,
    section: str,
    kinds: Mapping[str, Kind],
    columns: Mapping[str, Column],
    *,
    by_names: bool = True,
) -> None:
    """Raise `SchemaProblem` if a column's type does not fit its role.

    Its hint is a view in which all do, where the table is read `by_names` of columns alone.
    """
    unfit = {role: column for role, column in columns.items() if not fits(column, kinds[role])}
    if not unfit:
        return
    found = "; ".join(
        f"{column.shown} is of type {column.shown_type}, where {kinds[role].value} is needed"
        for role, column in unfit.items()
    )
    problem = _problem(relation, found, ", ".join(f"columns.{section}.{role}" for role in unfit))
    wanted = {column.name: (column, kinds[role]) for role, column in columns.items()}
    view = view_sql(relation.name, list(wanted.values())) if by_names else None
    if view is not None:
        setting = f"tables.{section}: {view_name(relation.name)}"
        problem.hint = f"{view} -- grant SELECT on it to the exporter's role, and write {setting}; or {problem.hint}"
    if section == "log":
        problem.hint += "".join(_other_setting(role, column, kinds[role]) for role, column in unfit.items())
    raise problem


def _other_setting(role: str, column: Column, kind: Kind) -> str:
    """What else to write for a column of the log that is of an unfit type."""
    if role == "time" and kind is Kind.NUMBER and fits(column, Kind.TIME):
        return "; or leave columns.log.time_unit out: it is for times that are numbers"
    if role == "time" and column.category == "N":
        return "; or say what its numbers count, columns.log.time_unit: s, ms or us"
    if role == "status" and (column.category == "N" or column.type == "boolean"):
        return "; or say what its values mean, in columns.log.outcomes"
    if role == "latency" and column.type.startswith("interval"):
        return f'; or write the milliseconds, columns.log.latency: "=extract(epoch FROM {quoted(column.name)}) * 1000"'
    return ""


def _choose(
    relation: Relation, roles: Mapping[str, Role], explicit: Mapping[str, str | None], missing: _Missing
) -> dict[str, Column]:
    return {
        role: column
        for role, wanted in roles.items()
        if (column := _find(relation, role, wanted, explicit.get(role), missing)) is not None
    }


def _find(relation: Relation, role: str, wanted: Role, explicit: str | None, missing: _Missing) -> Column | None:
    if explicit is not None:
        if explicit not in relation.columns:
            missing.add(f"no column {explicit}", [role], [explicit])
        return relation.columns.get(explicit)
    candidates = [relation.columns[name] for name in wanted.names if name in relation.columns]
    if len(candidates) > 1:
        names = " and ".join(column.name for column in candidates)
        missing.add(f"{names} could both be meant", [role])
    if not candidates and wanted.required:
        missing.add(f"no column {' or '.join(wanted.names)}", [role], wanted.names)
    return candidates[0] if candidates else None


def _problem(relation: Relation, found: str, setting: str) -> SchemaProblem:
    seen = ", ".join(relation.columns)
    return SchemaProblem(
        f"table {relation.name}: {found}; columns seen: {seen}",
        f"name the column in the configuration: {setting}",
    )
