"""Users' and groups' budgets with a period: the query for them, and what its rows say."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import LARGEST_AMOUNT, Config
from exporter.config.sections import ConfiguredBudget
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.labels import READ_LENGTH, user_name
from exporter.database.names import identifier
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import UNATTRIBUTED, SkippedValue
from exporter.ledger.period_spend import (
    MOST_PERIOD_BUDGETS,
    TEAM,
    BudgetKey,
    PeriodBudget,
    stricter_period,
    window_of,
)
from exporter.ledger.spenders import group_key
from exporter.ledger.users import DEFAULT_WARNING, Budget, stricter
from exporter.periods import DAY, Period, parse_period

NO_PERIOD, UNKNOWN_PERIOD, TOO_LONG, NO_RESET, TOO_MANY = (
    SkippedValue("period", reason) for reason in ("null", "unknown", "too_long", "no_reset", "too_many")
)
PERIOD_SKIPS = (NO_PERIOD, UNKNOWN_PERIOD, TOO_LONG, NO_RESET, TOO_MANY)
"""Why a budget is left out: nothing says how long it is for, or when that ends, or there are too many."""

MOST_NAMED = 5
"""Users, or groups, that a finding names."""

_MOST_SHOWN = 64

_ROWS = sql.SQL("""
SELECT left({owner}, {length}), {limit}::text, {soft}::text, {period}, {reset}::text FROM {table} LIMIT {rows}
""")

Row = tuple[str | None, str | None, str | None, str | None, str | None]
"""The user or group, the limit and the soft limit in USD, the period, and the seconds since the epoch of its end."""


@dataclass
class PeriodBudgets:
    """What rows say: `daily` limits for a calendar day by owner, all others by owner and period, and what is unusable.

    An owner is a user or, in the table of groups, a group. `unusable` has some owners whose budget is left out, each
    with what their row says of the period. `repeated` are those with several rows for one period, of which the stricter
    counts.
    """

    daily: dict[str, Budget] = field(default_factory=dict)
    periodic: dict[BudgetKey, PeriodBudget] = field(default_factory=dict)
    skipped: Counter[SkippedValue] = field(default_factory=Counter)
    unusable: dict[SkippedValue, list[str]] = field(default_factory=dict)
    repeats: int = 0
    repeated: dict[str, None] = field(default_factory=dict)
    rows: int = 0

    def skip(self, reason: SkippedValue, user: str, written: str | None) -> None:
        """Leave a row out."""
        self.skipped[reason] += 1
        named = self.unusable.setdefault(reason, [])
        if len(named) < MOST_NAMED:
            named.append(user if written is None else f"{user} ({written!r})")

    def repeat(self, user: str) -> None:
        """Note another row of a user for the same period."""
        self.repeats += 1
        self.repeated[user] = None

    @property
    def named_repeats(self) -> tuple[str, ...]:
        """Some users with several rows."""
        return tuple(islice(self.repeated, MOST_NAMED))


def period_query(
    name: sql.Identifier, columns: Mapping[str, Column], owner: str, fixed: str | None, zone: str, rows: int
) -> sql.Composed:
    """The query for the rows of a table, `rows` at most; `zone` is what a timestamp without one is in.

    `owner` is the role of the column that says whose limit it is.
    """
    most = sql.Literal(LARGEST_AMOUNT)

    def amount(role: str) -> sql.Composable:
        return values.usd(values.number(columns[role]), most) if role in columns else sql.SQL("NULL::numeric")

    period: sql.Composable = sql.Literal(fixed)
    if fixed is None:
        period = sql.SQL("left({}, {})").format(values.text(columns["period"]), sql.Literal(_MOST_SHOWN))
    return _ROWS.format(
        owner=values.text(columns[owner]),
        length=sql.Literal(READ_LENGTH),
        limit=amount("limit"),
        soft=amount("soft_limit"),
        period=period,
        reset=_instant(columns["reset_at"], zone) if "reset_at" in columns else sql.SQL("NULL"),
        table=name,
        rows=sql.Literal(rows),
    )


def _instant(column: Column, zone: str) -> sql.Composed:
    if "with time zone" in column.type:
        return sql.SQL("extract(epoch FROM {})").format(identifier(column.name))
    return sql.SQL("extract(epoch FROM {} AT TIME ZONE {})").format(identifier(column.name), sql.Literal(zone))


def take_rows(rows: Iterable[Row], now: int, zone: ZoneInfo) -> PeriodBudgets:
    """What the rows say, at a time. A row whose period cannot be understood is left out, and never read as daily."""
    found = PeriodBudgets()
    for row in rows:
        found.rows += 1
        _take(found, row, now, zone)
    return found


def _take(found: PeriodBudgets, row: Row, now: int, zone: ZoneInfo) -> None:
    text, limit, soft, written, ends = row
    user = user_name(text)
    if (limit is None and soft is None) or user == UNATTRIBUTED:
        return
    period = None if written is None else parse_period(written)
    if written is None or not written.strip():
        found.skip(NO_PERIOD, user, None)
    elif period is None:
        found.skip(UNKNOWN_PERIOD, user, written)
    elif period.is_too_long:
        found.skip(TOO_LONG, user, written)
    else:
        hard, warns = (None if text is None else Decimal(text) for text in (limit, soft))
        _add(found, user, _budget(hard, warns, period, _seconds(ends)), now, zone)


def _add(found: PeriodBudgets, user: str, budget: PeriodBudget, now: int, zone: ZoneInfo) -> None:
    period = budget.period
    window = window_of(period, budget.reset_at, now, zone)
    if window is None:
        found.skip(NO_RESET, user, period.name)
    elif period.name == DAY and window == window_of(period, None, now, zone):
        if user in found.daily:
            found.repeat(user)
        found.daily[user] = stricter(found.daily.get(user, budget.budget), budget.budget)
    elif (key := BudgetKey(user, period.name)) in found.periodic:
        found.repeat(user)
        found.periodic[key] = stricter_period(found.periodic[key], budget)
    elif len(found.periodic) >= MOST_PERIOD_BUDGETS:
        found.skip(TOO_MANY, user, period.name)
    else:
        found.periodic[key] = budget


def _budget(hard: Decimal | None, soft: Decimal | None, period: Period, reset_at: int | None) -> PeriodBudget:
    warning = soft if soft is not None else None if hard is None else hard * DEFAULT_WARNING
    units = None if hard is None else money_units(hard)
    return PeriodBudget(
        period,
        reset_at,
        Budget(units, None if warning is None else money_units(warning)),
        None if soft is None else money_units(soft),
    )


def _seconds(text: str | None) -> int | None:
    """Whole seconds since the epoch; None for a time that is absent or infinite."""
    return None if text is None or not Decimal(text).is_finite() else int(Decimal(text))


def configured_budgets(config: Config) -> dict[BudgetKey, PeriodBudget]:
    """The budgets that the configuration sets for users, groups and the team."""
    return dict(_configured(each) for each in config.budgets)


def _configured(written: ConfiguredBudget) -> tuple[BudgetKey, PeriodBudget]:
    period = parse_period(written.period)
    assert period is not None  # noqa: S101 -- the configuration has been checked
    spender = TEAM
    if written.user is not None:
        spender = user_name(written.user)
    elif written.group is not None:
        spender = group_key(user_name(written.group))
    budget = _budget(written.limit_usd, written.soft_limit_usd, period, written.reset_seconds)
    return BudgetKey(spender, period.name), budget


def keyed_by_group(found: Mapping[BudgetKey, PeriodBudget]) -> dict[BudgetKey, PeriodBudget]:
    """Budgets by the labels of groups, as those of spenders."""
    return {BudgetKey(group_key(label), period): each for (label, period), each in found.items()}


def unusable_periods(found: Mapping[SkippedValue, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """What is wrong with the budgets that are left out, and whose they are."""
    said = {
        NO_PERIOD: "no period",
        UNKNOWN_PERIOD: "a period that is not understood",
        TOO_LONG: "a period that is too long",
        NO_RESET: "a period without the time at which it ends",
        TOO_MANY: f"more than {MOST_PERIOD_BUDGETS} budgets",
    }
    yield from ((said[reason], found[reason]) for reason in PERIOD_SKIPS if reason in found)
