"""The optional tables: budgets of users and of groups, routes, recommendations, approvals.

Each is None where there is no such table.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from itertools import islice, product
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import LARGEST_AMOUNT, Config, QualifiedName, clean_label
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.errors import TooManyRows
from exporter.database.labels import READ_LENGTH, model_name, user_name
from exporter.database.layout import Relation, find_columns, roles_of
from exporter.database.measures import INVALID_REASONS
from exporter.database.names import identifier
from exporter.database.period_budgets import MOST_NAMED, PERIOD_SKIPS, keyed_by_group, period_query, take_rows
from exporter.database.session import Session
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN, SkippedValue
from exporter.ledger.period_spend import BudgetKey, PeriodBudget
from exporter.ledger.users import DEFAULT_WARNING, Budget, count_idle_states, stricter

MOST_GROUPS = 100
"""Label sets of recommendations that are shown; the rest is summed as `other`."""

MOST_BUDGETS, MOST_ROUTES, MOST_SPELLINGS = 250_000, 10_000, 1_000
"""The most rows that are read: of budgets, of routes, and groups of recommendations before case is folded."""

BUDGET_FIELDS = ("limit", "recorded_spend")
"""The fields of the budgets table that may hold unusable values, as the label `field` names them."""

SEVERAL_BUDGETS = SkippedValue("limit", "duplicate")
"""Rows of users who have a stricter budget in another row."""

_T = TypeVar("_T")

PENDING = "pending"


@dataclass(frozen=True)
class Budgets:
    """The users' or groups' budgets, what the table believes was spent today (money units), and unusable values.

    `by_user` has them by the label of the user or group. `repeated` names some of those with several rows, of which
    the smallest limit counts. `periodic` are budgets of other periods than the calendar's day, `unusable` names some
    users whose period cannot be used.
    """

    by_user: Mapping[str, Budget]
    recorded_today: int | None
    skipped: Mapping[SkippedValue, int]
    repeated: tuple[str, ...] = ()
    periodic: Mapping[BudgetKey, PeriodBudget] = field(default_factory=dict)
    unusable: Mapping[SkippedValue, list[str]] = field(default_factory=dict)

    @cached_property
    def idle(self) -> Counter[str]:
        """How many users would be in each state if nobody had spent anything: counted once for many scrapes."""
        return count_idle_states(self.by_user)


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


@dataclass(frozen=True)
class Recommendations:
    """How many recommendations there are by type and status, both in lower case.

    `savings` is what the pending ones would save by type, in money units; None where the table does not say.
    """

    counts: Mapping[tuple[str, str], int]
    savings: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Plan(Generic[_T]):
    """How to read a table whose rows are proven to be visible: a statement, and what its rows say.

    `finish` makes the value of the rows; it may read more.
    """

    statement: sql.Composed
    row_security: str
    finish: Callable[[Session, list[tuple[Any, ...]]], _T]


@dataclass(frozen=True)
class Table:
    """An optional table that can be read: where it is, and which column holds what."""

    relation: Relation
    columns: Mapping[str, Column]

    @property
    def owner(self) -> str:
        """The role of a budget's user or group."""
        return "group" if "group" in self.columns else "user"

    @property
    def name(self) -> sql.Identifier:
        """The table's name, quoted."""
        return identifier(*self.relation.name.parts)

    def column(self, role: str) -> sql.Identifier:
        """The column that has a role, quoted."""
        return identifier(self.columns[role].name)

    def value(self, role: str) -> sql.Composable:
        """The column that has a role: a number as NUMERIC, a flag as it is, else text; NULL where there is none."""
        if role not in self.columns:
            return sql.SQL("NULL::numeric") if role in _AMOUNTS else sql.SQL("NULL::text")
        if role == "enabled":
            return self.column(role)
        column = self.columns[role]
        return values.number(column) if role in _AMOUNTS else values.text(column)

    def group(self, role: str) -> sql.Composable:
        """The column that has a role: bare, so that an index serves, where it is compared exactly so; else as text."""
        column = self.columns[role]
        return self.column(role) if column.category in "SE" and not column.folds_text else self.value(role)


_AMOUNTS = (
    "daily_limit",
    "monthly_limit",
    "limit",
    "soft_limit",
    "warning_threshold",
    "spent_today",
    "spent_month",
    "estimated_cost",
    "savings",
)

# Numbers are compared as NUMERIC, where NaN is above everything and only Infinity above every number.
_BUDGETS = sql.SQL("""
SELECT left({owner}, {length}), {usable_limit}::text, {usable_threshold}::text
FROM {table} LIMIT {rows}
""")
_MONTHLY_LIMITS = sql.SQL("SELECT left({user}, {length}), {limit}::text FROM {table} LIMIT {rows}")
# An infinite limit or threshold is one way to say that there is none.
_BUDGET_SUMS = sql.SQL("""
SELECT coalesce(sum({usable_spent}), 0),
       count(*) FILTER (WHERE lim = 'NaN'), count(*) FILTER (WHERE lim < 0),
       count(*) FILTER (WHERE CASE WHEN lim > {most} THEN lim::text NOT IN ('NaN', 'Infinity') END
                           OR CASE WHEN threshold > {most} THEN threshold::text NOT IN ('NaN', 'Infinity') END),
       count(*) FILTER (WHERE spent = 'NaN'), count(*) FILTER (WHERE spent < 0),
       count(*) FILTER (WHERE spent > {most} AND spent <> 'NaN')
FROM (SELECT {limit} AS lim, {threshold} AS threshold, {spent} AS spent FROM {table}) AS budgets
""")
_ROUTES = sql.SQL("SELECT {operation}, {primary}, {fallback}, {enabled} FROM {table} LIMIT {rows}")
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
_APPROVALS = sql.SQL("SELECT count(*) FROM {table} WHERE {status} = ANY({words})")
_ENUM = """
SELECT n.nspname::text, t.typname::text,
       ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e
             WHERE e.enumtypid = t.oid AND lower(e.enumlabel) = %(word)s)
FROM pg_catalog.pg_type t
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.oid = %(type)s::oid
"""


def read_budgets(session: Session, config: Config, section: str = "budgets") -> Budgets | None:
    """The budgets of all users, or groups. Raises `TooManyRows` where there are more than `MOST_BUDGETS`."""
    return read_planned(session, plan_budgets(session, config, section))


def plan_budgets(session: Session, config: Config, section: str = "budgets") -> Plan[Budgets] | None:
    """How `read_budgets` reads; None where there is no such table."""
    table = find_table(session, config, section)
    if table is None:
        return None
    if "limit" in table.columns:
        sums = _budget_sums(table, "limit", "soft_limit")
        return Plan(
            sums, session.row_security, lambda session, rows: _take_periodic(session, config, section, table, rows)
        )
    statement, sums = budget_queries(table)
    return Plan(sums, session.row_security, lambda session, rows: _take_budgets(session, table, statement, rows))


def _take_periodic(
    session: Session, config: Config, section: str, table: Table, sums: list[tuple[Any, ...]]
) -> Budgets:
    ((_, *faults),) = sums
    fixed, zone = getattr(config.columns, section).fixed_period, ZoneInfo(config.budget_time_zone)
    statement = period_query(table.name, table.columns, table.owner, fixed, config.log_time_zone, rows=MOST_BUDGETS + 1)
    found = take_rows(session.stream(statement), int(session.clock), zone)
    _bound(table, found.rows, MOST_BUDGETS)
    skipped = {
        **_faults(faults),
        SEVERAL_BUDGETS: found.repeats,
        **{skip: found.skipped[skip] for skip in PERIOD_SKIPS},
    }
    periodic = found.periodic if table.owner == "user" else keyed_by_group(found.periodic)
    return Budgets(found.daily, None, skipped, found.named_repeats, periodic, found.unusable)


def _faults(counts: Iterable[int]) -> dict[SkippedValue, int]:
    """The counts of a query for sums, by what they count."""
    skips = (SkippedValue(field, fault) for field in BUDGET_FIELDS for fault in INVALID_REASONS)
    return dict(zip(skips, counts, strict=True))


def _take_budgets(session: Session, table: Table, statement: sql.Composed, sums: list[tuple[Any, ...]]) -> Budgets:
    ((recorded, *faults),) = sums
    threshold = table.columns.get("warning_threshold")
    percentage = threshold is not None and "perc" in threshold.name
    # most users have the same budget as many others: one object, made once
    known: dict[tuple[str | None, str | None], Budget] = {}
    by_user: dict[str, Budget] = {}
    repeats, repeated = 0, dict[str, None]()
    for user, limit, warning in session.stream(statement):
        budget = known.get((limit, warning))
        if budget is None:
            budget = known[limit, warning] = _budget(limit, warning, percentage=percentage)
        name = user_name(user)
        if name in by_user and name != UNATTRIBUTED:
            repeats += 1
            repeated[name] = None
            budget = stricter(by_user[name], budget)
        by_user[name] = budget
    _bound(table, len(by_user) + repeats, MOST_BUDGETS)
    skipped = {**_faults(faults), SEVERAL_BUDGETS: repeats}
    recorded_today = money_units(recorded) if "spent_today" in table.columns else None
    return Budgets(by_user, recorded_today, skipped, tuple(islice(repeated, MOST_NAMED)))


def group_budgets(config: Config, table: Budgets | None) -> Budgets:
    """The groups' budgets by their table, with the daily limits of the configuration; of two, the smaller counts."""
    budgets = dict(table.by_user) if table is not None else {}
    for name, limit in config.groups.daily_limits.items():
        budget = _budget(str(limit), None, percentage=False)
        budgets[user_name(name)] = stricter(budgets.get(user_name(name), budget), budget)
    return Budgets(budgets, None, {}) if table is None else replace(table, by_user=budgets, recorded_today=None)


def read_monthly_budgets(session: Session, config: Config) -> Mapping[str, Budget]:
    """The monthly limits of the users that have one, with a warning at `DEFAULT_WARNING`; of several, the smallest.

    Raises `TooManyRows` where there are more than `MOST_BUDGETS`.
    """
    table = find_table(session, config, "budgets")
    if table is None or "monthly_limit" not in table.columns:
        return {}
    statement = _MONTHLY_LIMITS.format(
        user=table.value("user"),
        limit=values.usd(table.value("monthly_limit"), sql.Literal(LARGEST_AMOUNT)),
        table=table.name,
        length=sql.Literal(READ_LENGTH),
        rows=sql.Literal(MOST_BUDGETS + 1),
    )
    budgets: dict[str, Budget] = {}
    rows = 0
    for user, limit in session.stream(statement):
        rows += 1
        if limit is not None:
            budget, name = _budget(limit, None, percentage=False), user_name(user)
            budgets[name] = stricter(budgets.get(name, budget), budget)
    _bound(table, rows, MOST_BUDGETS)
    return budgets


def budget_queries(table: Table) -> tuple[sql.Composed, sql.Composed]:
    """The query for the limit and threshold of each user or group, as text or NULL, and the one for sums and counts.

    The latter: the recorded spend, then for each of `BUDGET_FIELDS` the counts of `measures.INVALID_REASONS`.
    """
    most = sql.Literal(LARGEST_AMOUNT)
    statement = _BUDGETS.format(
        owner=table.value(table.owner),
        usable_limit=values.usd(table.value("daily_limit"), most),
        usable_threshold=values.usd(table.value("warning_threshold"), most),
        table=table.name,
        length=sql.Literal(READ_LENGTH),
        rows=sql.Literal(MOST_BUDGETS + 1),
    )
    return statement, _budget_sums(table, "daily_limit", "warning_threshold")


def _budget_sums(table: Table, limit: str, threshold: str) -> sql.Composed:
    most = sql.Literal(LARGEST_AMOUNT)
    return _BUDGET_SUMS.format(
        limit=table.value(limit),
        threshold=table.value(threshold),
        spent=table.value("spent_today"),
        table=table.name,
        most=most,
        usable_spent=values.usd(sql.Identifier("spent"), most),
    )


def read_routes(session: Session, config: Config) -> list[Route] | None:
    """The routes in force, one an operation. Raises `TooManyRows` where there are more than `MOST_ROUTES`.

    Of several rows for an operation, one that is switched on counts, and of these the first by its models: an update of
    an unrelated column must not change which.
    """
    return read_planned(session, plan_routes(session, config))


def plan_routes(session: Session, config: Config) -> Plan[list[Route]] | None:
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
    return Plan(statement, session.row_security, lambda _, rows: _take_routes(table, config.models.aliases, rows))


def _take_routes(table: Table, aliases: Mapping[str, str], rows: list[tuple[Any, ...]]) -> list[Route]:
    """The routes; `aliases` are labels, since the configuration cleans them."""
    _bound(table, len(rows), MOST_ROUTES)
    named: dict[str, list[Route]] = {}
    for operation, primary, fallback, enabled in rows:
        name = clean_label(operation, UNKNOWN)
        primary_model, fallback_model = model_name(aliases, primary), model_name(aliases, fallback, "")
        named.setdefault(name, []).append(Route(name, primary_model, fallback_model, enabled is not False))
    return [replace(min(named[name], key=_counts_first), rows=len(named[name])) for name in sorted(named)]


def _counts_first(route: Route) -> tuple[bool, str, str]:
    return not route.enabled, route.primary_model, route.fallback_model


def read_recommendations(session: Session, config: Config) -> Recommendations | None:
    """The recommendations by type and status."""
    return read_planned(session, plan_recommendations(session, config))


def plan_recommendations(session: Session, config: Config) -> Plan[Recommendations] | None:
    """How `read_recommendations` reads; None where there is no such table."""
    table = find_table(session, config, "recommendations")
    if table is None:
        return None
    if not _says_savings(session, table):
        table = replace(table, columns={role: column for role, column in table.columns.items() if role != "savings"})
    with_savings = "savings" in table.columns
    return Plan(
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


def read_approvals(session: Session, config: Config) -> int | None:
    """How many approvals are pending, in upper or lower case."""
    return read_planned(session, plan_approvals(session, config))


def plan_approvals(session: Session, config: Config) -> Plan[int] | None:
    """How `read_approvals` reads; None where there is no such table."""
    table = find_table(session, config, "approvals")
    if table is None:
        return None
    return Plan(approvals_query(session, table), session.row_security, lambda _, rows: int(rows[0][0]))


def read_planned(session: Session, plan: Plan[_T] | None) -> _T | None:
    """Read a table as planned; None where there is none."""
    return None if plan is None else plan.finish(session, session.run(plan.statement))


def approvals_query(session: Session, table: Table) -> sql.Composed:
    """The query for the rows that are pending.

    It can use an index on the status: the bare column is compared with every spelling of the word.
    """
    column, status = table.columns["status"], table.group("status")
    if column.category == "E":
        # comparing with a word that the type does not have is an error
        ((schema, kind, labels),) = session.look_up(_ENUM, {"type": column.type_oid, "word": PENDING})
        enum = identifier(schema, kind)
        words = sql.SQL("{}::text[]::{}[]").format(sql.Literal(labels), enum)
        # a domain over the type has no operators of its own
        status = sql.SQL("{}::{}").format(table.column("status"), enum)
    else:
        spellings = ["".join(letters) for letters in product(*((c, c.upper()) for c in PENDING))]
        words = sql.SQL("{}::text[]").format(sql.Literal(spellings))
    return _APPROVALS.format(table=table.name, status=status, words=words)


def find_table(session: Session, config: Config, section: str) -> Table | None:
    """An optional table, by its place in the configuration; None if it is switched off or absent.

    Raises `SchemaProblem` or `NotVisible` if it cannot be read.
    """
    name: QualifiedName | None = getattr(config.tables, section)
    relation = None if name is None else session.neighbour(name, f"tables.{section}", config.tables.log)
    if relation is None:
        return None
    columns = find_columns(relation, section, *roles_of(section, config.columns))
    session.prove_visible(relation, section, columns.values())
    return Table(relation, columns)


def _bound(table: Table, rows: int, most: int) -> None:
    if rows > most:
        raise TooManyRows(
            f"{table.relation.name} has more than {most} rows, too many to read",
            "name a view with fewer in the configuration, or null to leave the table out: tables",
        )


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _budget(limit: str | None, threshold: str | None, *, percentage: bool) -> Budget:
    """A budget from the usable values, in dollars or percent; None for one that is absent or unusable."""
    if limit is None:
        return Budget()
    most = Decimal(limit)
    if threshold is None:
        warning = most * DEFAULT_WARNING
    elif percentage:
        # written as 80 by some and as 0.8 by others
        share = Decimal(threshold)
        warning = most * (share if share <= 1 else share / 100)
    else:
        warning = Decimal(threshold)
    return Budget(money_units(most), money_units(warning))
