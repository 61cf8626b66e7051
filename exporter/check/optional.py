"""The optional tables: absent is fine, unreadable is not."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from exporter.check.access import judge_excess, judge_grants, read_access
from exporter.check.scene import Scene
from exporter.config.sections import Tables
from exporter.database.layout import (
    APPROVAL_ROLES,
    BUDGET_ROLES,
    RECOMMENDATION_ROLES,
    ROUTE_ROLES,
    Column,
    Relation,
    Role,
    find_columns,
)
from exporter.database.names import quoted, table_sql
from exporter.database.tables import Budgets, read_approvals, read_budgets, read_recommendations, read_routes
from exporter.finding import Finding, failed, ok, warn

_ROLES: Mapping[str, Mapping[str, Role]] = {
    "budgets": BUDGET_ROLES,
    "routes": ROUTE_ROLES,
    "recommendations": RECOMMENDATION_ROLES,
    "approvals": APPROVAL_ROLES,
}


def check_budgets(scene: Scene) -> list[Finding]:
    """The users' budgets."""
    return _check(scene, "budgets", _budgets)


def check_routes(scene: Scene) -> list[Finding]:
    """The model routes."""
    return _check(scene, "routes", _routes)


def check_recommendations(scene: Scene) -> list[Finding]:
    """The recommendations."""
    return _check(scene, "recommendations", _recommendations)


def check_approvals(scene: Scene) -> list[Finding]:
    """The approval gates."""
    return _check(scene, "approvals", _approvals)


_Reader = Callable[[Scene, Relation, Mapping[str, Column]], list[Finding]]


def _check(scene: Scene, section: str, read: _Reader) -> list[Finding]:
    name = getattr(scene.config.tables, section)
    if name is None:
        return [ok(section, "switched off in the configuration: its metrics are left out")]
    relation = scene.session.relation(name, f"tables.{section}")
    if relation is None:
        absent = f"no table {name}: its metrics are left out"
        if name == getattr(Tables(), section):
            return [ok(section, absent)]
        return [warn(section, absent, f"correct tables.{section} in the configuration, or set it to null")]
    explicit = getattr(scene.config.columns, section).model_dump()
    columns = find_columns(relation, section, _ROLES[section], explicit)
    access = read_access(scene.session, relation)
    grants = judge_grants(section, relation, columns, access)
    if failed([grants]):
        return [grants]
    findings = read(scene, relation, columns)
    # of the role as a whole the log's check speaks already, and these tables hold no prompts
    if access.writes and not access.superuser:
        findings.append(judge_excess(relation, columns, replace(access, readable=frozenset())))
    return findings


def _budgets(scene: Scene, relation: Relation, columns: Mapping[str, Column]) -> list[Finding]:
    budgets = read_budgets(scene.session, scene.config)
    return [] if budgets is None else judge_budgets(budgets, relation, columns)


def judge_budgets(budgets: Budgets, relation: Relation, columns: Mapping[str, Column]) -> list[Finding]:
    """The spelling found, how many users have a limit, and limits that are no amount of money."""
    roles = ", ".join(f"{role}: {column.name}" for role, column in columns.items())
    limited = sum(budget.daily_limit is not None for budget in budgets.by_user.values())
    users = f"{len(budgets.by_user)} users, {limited} with a daily limit"
    findings = [ok("budgets", f"{relation.name} ({roles}); {users}")]
    wrong = {skip.reason: count for skip, count in budgets.skipped.items() if count}
    if wrong:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(wrong.items()))
        user, limit = quoted(columns["user"].name), quoted(columns["daily_limit"].name)
        table = table_sql(relation.name)
        rows = f"SELECT {user}, {limit} FROM {table} WHERE {limit}::numeric = 'NaN' OR {limit} < 0;"  # noqa: S608
        detail = f"daily limits that are no amount of money: {counts}; these users count as unlimited"
        findings.append(warn("budgets", detail, f"{rows} -- correct these, or set them to NULL"))
    return findings


def _routes(scene: Scene, relation: Relation, columns: Mapping[str, Column]) -> list[Finding]:
    routes = read_routes(scene.session, scene.config) or []
    off = sum(not route.enabled for route in routes)
    return [ok("routes", f"{relation.name} ({_names(columns)}); {len(routes)} routes, {off} switched off")]


def _recommendations(scene: Scene, relation: Relation, columns: Mapping[str, Column]) -> list[Finding]:
    counts = read_recommendations(scene.session, scene.config) or {}
    return [ok("recommendations", f"{relation.name} ({_names(columns)}); {sum(counts.values())} rows")]


def _approvals(scene: Scene, relation: Relation, columns: Mapping[str, Column]) -> list[Finding]:
    pending = read_approvals(scene.session, scene.config)
    return [ok("approvals", f"{relation.name} ({_names(columns)}); {pending} pending")]


def _names(columns: Mapping[str, Column]) -> str:
    return ", ".join(column.name for column in columns.values())
