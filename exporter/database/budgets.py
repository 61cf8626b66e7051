"""The budgets of users and of groups."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import LARGEST_AMOUNT, Config
from exporter.database import values
from exporter.database.labels import READ_LENGTH, user_name
from exporter.database.measures import INVALID_REASONS
from exporter.database.period_budgets import MOST_NAMED, PERIOD_SKIPS, keyed_by_group, period_query, take_rows
from exporter.database.session import Session
from exporter.database.tables import ReadPlan, Table, bound, find_table, read_planned
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import UNATTRIBUTED, SkippedValue
from exporter.ledger.period_spend import BudgetKey, PeriodBudget
from exporter.ledger.users import DEFAULT_WARNING, Budget, count_idle_states, stricter

MOST_BUDGETS = 250_000
"""The most rows of a table of budgets that are read."""

BUDGET_FIELDS = ("limit", "recorded_spend")
"""The fields of the budgets table that may hold unusable values, as the label `field` names them."""

SEVERAL_BUDGETS = SkippedValue("limit", "duplicate")
"""Rows of users who have a stricter budget in another row."""


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


def read_budgets(session: Session, config: Config, section: str = "budgets") -> Budgets | None:
    """The budgets of all users, or groups. Raises `TooManyRows` where there are more than `MOST_BUDGETS`."""
    return read_planned(session, plan_budgets(session, config, section))


def plan_budgets(session: Session, config: Config, section: str = "budgets") -> ReadPlan[Budgets] | None:
    """How `read_budgets` reads; None where there is no such table."""
    table = find_table(session, config, section)
    if table is None:
        return None
    if "limit" in table.columns:
        sums = _budget_sums(table, "limit", "soft_limit")
        return ReadPlan(
            sums, session.row_security, lambda session, rows: _take_periodic(session, config, section, table, rows)
        )
    statement, sums = budget_queries(table)
    return ReadPlan(sums, session.row_security, lambda session, rows: _take_budgets(session, table, statement, rows))


def _take_periodic(
    session: Session, config: Config, section: str, table: Table, sums: list[tuple[Any, ...]]
) -> Budgets:
    ((_, *faults),) = sums
    fixed, zone = getattr(config.columns, section).fixed_period, ZoneInfo(config.budget_time_zone)
    statement = period_query(table.name, table.columns, table.owner, fixed, config.log_time_zone, rows=MOST_BUDGETS + 1)
    found = take_rows(session.stream(statement), int(session.clock), zone)
    bound(table, found.rows, MOST_BUDGETS)
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
    bound(table, len(by_user) + repeats, MOST_BUDGETS)
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
    bound(table, rows, MOST_BUDGETS)
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
