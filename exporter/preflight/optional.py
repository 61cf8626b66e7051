"""Check the optional tables: they can be missing, but not unreadable."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import psycopg

from exporter.config import LARGEST_AMOUNT, Config
from exporter.config.sections import Tables
from exporter.database.approvals import approvals_query, read_approvals
from exporter.database.budgets import SEVERAL_BUDGETS, Budgets, read_budgets
from exporter.database.columns import Column
from exporter.database.errors import QueryTimeout, TableLocked
from exporter.database.layout import Relation, find_columns, roles_of
from exporter.database.names import quoted, table_sql
from exporter.database.period_budgets import unusable_periods
from exporter.database.recommendations import read_recommendations, recommendations_query
from exporter.database.routes import read_routes
from exporter.database.tables import Table
from exporter.findings import Finding, fail, failed, ok, warn
from exporter.humanize import listing
from exporter.preflight.access import evaluate_grants, evaluate_writes, read_access
from exporter.preflight.context import CheckContext
from exporter.preflight.log_table import evaluate_doubts
from exporter.preflight.table_index import check_served
from exporter.scrape.optional import PATIENT


def check_optional(section: str, context: CheckContext) -> list[Finding]:
    """Check an optional table, by its setting below `tables`."""
    name = getattr(context.config.tables, section)
    if name is None:
        return evaluate_switched_off(section, context.config)
    relation = context.session.relation(name, f"tables.{section}")
    if relation is None:
        absent = f"no table {name}: its metrics are absent"
        if name == getattr(Tables(), section):
            return [ok(section, absent)]
        return [warn(section, absent, f"correct tables.{section}, or set it to null")]
    columns = find_columns(relation, section, *roles_of(section, context.config.columns))
    access = read_access(context.session, relation)
    grants = evaluate_grants(section, relation, columns.values(), access)
    if failed([grants]):
        return [grants]
    found = _read_in_time(context, section, Table(relation, columns))
    return [*found, *evaluate_writes(relation, columns.values(), access)]


def evaluate_switched_off(section: str, config: Config) -> list[Finding]:
    """Evaluate a table that the configuration does not name: whoever names its columns most likely wants it read."""
    if getattr(config.columns, section).model_dump(exclude_none=True):
        hint = f"name it, as tables.{section}; or leave out columns.{section}"
        return [warn(section, f"columns.{section} is set, and no table: its metrics are absent", hint)]
    # nobody has switched off what is not there unless it is named
    is_named_only = getattr(Tables(), section) is None
    return [] if is_named_only else [ok(section, "switched off in the configuration: its metrics are absent")]


def _read_in_time(context: CheckContext, section: str, table: Table) -> list[Finding]:
    """What the table's own query finds, and whether it leaves `serve` enough time."""
    visibility = context.session.prove_visible(table.relation, section, table.columns.values())
    served = _served(context, section, table)
    began = time.monotonic()
    try:
        with context.session.savepoint():
            findings = _READERS[section](context, table)
    except psycopg.Error as error:
        told = context.session.translate(error)
        if context.session.lost or isinstance(told, TableLocked) or not isinstance(told, QueryTimeout):
            raise
        seconds = PATIENT
        findings = []
    else:
        seconds = time.monotonic() - began
    if seconds >= PATIENT:
        hints = [finding.hint for finding in served if finding.hint]
        hint = hints[0] if hints else f"set tables.{section} to a view with fewer rows, or to null"
        findings = [fail(section, f"{table.relation.name} cannot be read within {PATIENT:g} s", hint)]
    return [*findings, *evaluate_doubts(section, table.relation, visibility), *served]


def _served(context: CheckContext, section: str, table: Table) -> list[Finding]:
    if section == "recommendations":
        roles = [role for role in ("type", "status", "savings") if role in table.columns]
        return [check_served(context, section, table, recommendations_query(table), roles)]
    if section == "approvals":
        return [check_served(context, section, table, approvals_query(context.session, table), ["status"])]
    return []


def _budgets(context: CheckContext, table: Table) -> list[Finding]:
    section = "budgets" if table.owner == "user" else "group_budgets"
    budgets = read_budgets(context.session, context.config, section)
    return [] if budgets is None else evaluate_budgets(budgets, table.relation, table.columns, section)


def evaluate_budgets(
    budgets: Budgets, relation: Relation, columns: Mapping[str, Column], section: str = "budgets"
) -> list[Finding]:
    """Evaluate the columns, how many users or groups have a limit, and values that are no amount of money."""
    owner = "user" if section == "budgets" else "group"
    roles = ", ".join(f"{role}: {column.name}" for role, column in columns.items())
    limited = sum(budget.daily_limit is not None for budget in budgets.by_user.values())
    owners = f"{len(budgets.by_user)} {owner}s, {limited} with a daily limit"
    findings = [ok(section, f"{relation.name} ({roles}); {owners}{_periods(budgets)}")]
    for what, named in unusable_periods(budgets.unusable):
        hint = f"correct them: until then these {owner}s have no limit of a period, and none is read as a daily one"
        findings.append(warn(section, f"{what}: {listing(named)}", hint))
    for field, meant, what in (
        (
            "limit",
            ("daily_limit", "limit", "soft_limit", "warning_threshold"),
            f"{'limits' if 'limit' in columns else 'daily limits'} or thresholds that are not amounts of money: {{}}",
        ),
        (
            "recorded_spend",
            ("spent_today",),
            "recorded spends that are not amounts of money, and are left out of the sum: {}",
        ),
    ):
        wrong = {
            skip.reason: count
            for skip, count in budgets.skipped.items()
            if count and skip.field == field and skip != SEVERAL_BUDGETS
        }
        if wrong:
            counts = ", ".join(f"{count} {reason}" for reason, count in sorted(wrong.items()))
            hint = _unusable_sql(relation, columns, owner, [role for role in meant if role in columns])
            findings.append(warn(section, what.format(counts), hint))
    if budgets.repeated:
        rows = budgets.skipped[SEVERAL_BUDGETS]
        found = (
            f"{rows} rows of {owner}s with several rows, such as {listing(budgets.repeated)}: the smallest limit counts"
        )
        findings.append(warn(section, found, _repeated_sql(relation, columns[owner], owner)))
    return findings


def _periods(budgets: Budgets) -> str:
    """How many budgets have which period, and what is read from the log for them."""
    if not budgets.periodic:
        return ""
    counts = Counter(key.period for key in budgets.periodic)
    longest = max(budget.period.most_days for budget in budgets.periodic.values())
    told = ", ".join(f"{count} of {period}" for period, count in sorted(counts.items()))
    return f"; with a period: {told}, for which up to {longest} days of the log are read once, in the background"


def _repeated_sql(relation: Relation, column: Column, what: str) -> str:
    name = quoted(column.name)
    rows = f"SELECT {name}, count(*) FROM {table_sql(relation.name)} GROUP BY {name} HAVING count(*) > 1;"  # noqa: S608
    return f"{rows} -- keep one row for each {what}, and make the column UNIQUE; surrounding blanks do not count"


def _unusable_sql(relation: Relation, columns: Mapping[str, Column], owner: str, roles: Sequence[str]) -> str:
    names = [quoted(columns[role].name) for role in roles]
    selected = ", ".join([quoted(columns[owner].name), *names])
    # operators with their schema: the user who runs this may have more privileges, and another search path
    below, above = "OPERATOR(pg_catalog.<)", "OPERATOR(pg_catalog.>)"
    wrong = " OR ".join(f"{name}::numeric {below} 0 OR {name}::numeric {above} {LARGEST_AMOUNT}" for name in names)
    rows = f"SELECT {selected} FROM {table_sql(relation.name)} WHERE {wrong};"  # noqa: S608
    return f"{rows} -- correct these, or set them to NULL: a {owner} without a limit is unlimited"


def _routes(context: CheckContext, table: Table) -> list[Finding]:
    routes = read_routes(context.session, context.config) or []
    off = sum(not route.enabled for route in routes)
    told = f"{table.relation.name} ({_names(table.columns)}); {len(routes)} routes, {off} switched off"
    findings = [ok("routes", told)]
    if repeated := [route.operation for route in routes if route.rows > 1]:
        found = (
            f"several rows for one operation, such as {listing(repeated)}: "
            "one that is switched on counts, and of these the first by its models"
        )
        sql = _repeated_sql(table.relation, table.columns["operation"], "operation")
        findings.append(warn("routes", found, sql))
    return findings


def _recommendations(context: CheckContext, table: Table) -> list[Finding]:
    found = read_recommendations(context.session, context.config)
    rows = 0 if found is None else sum(found.counts.values())
    return [ok("recommendations", f"{table.relation.name} ({_names(table.columns)}); {rows} rows")]


def _approvals(context: CheckContext, table: Table) -> list[Finding]:
    pending = read_approvals(context.session, context.config)
    return [ok("approvals", f"{table.relation.name} ({_names(table.columns)}); {pending} pending")]


_READERS: Mapping[str, Callable[[CheckContext, Table], list[Finding]]] = {
    "budgets": _budgets,
    "group_budgets": _budgets,
    "routes": _routes,
    "recommendations": _recommendations,
    "approvals": _approvals,
}


def _names(columns: Mapping[str, Column]) -> str:
    return ", ".join(column.name for column in columns.values())
