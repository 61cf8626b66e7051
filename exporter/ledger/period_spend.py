"""Budgets with a period: which time each is of now, and what has been spent of it. Money in ledger units.

The ledger knows what was spent today and yesterday. What was spent in the days before is kept as *past spend*: a sum
for each day, and for the part of a day that lies before the start of a period. A stretch of past spend is taken from
the ledger or read from the log as a whole, so that no row is in it twice.
"""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from heapq import nlargest
from itertools import chain, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from exporter.ledger.aggregate import net
from exporter.ledger.calendar import QUARTER_HOUR, Window, day_of, day_start, floor_to, month_days
from exporter.ledger.model import Cell, LedgerSettings, Series, Slice, State, TimeRange, UserSpend
from exporter.ledger.packed import once
from exporter.ledger.spenders import group_key, group_label, is_group, users_of
from exporter.ledger.users import STATES, Budget, budget_state, stricter
from exporter.periods import FARTHEST, WEEK, Period

TEAM = ""
"""Who the team's own budgets, and the spend of all users together, belong to: no spender has an empty name."""

MOST_PERIOD_BUDGETS = 10_000
"""Budgets with a period whose spend is followed."""

MOST_USERS = 2_000
"""Spenders of a stretch who are kept though they may have no budget: one that they get later need not be read for."""


class BudgetKey(NamedTuple):
    """Whose budget, and the name of its period. The spender is a user, a group by its `group_key`, or `TEAM`."""

    spender: str
    period: str


@dataclass(frozen=True)
class PeriodBudget:
    """A budget that begins again after each period.

    One of its ends is at `reset_at` in seconds since the epoch; None: the calendar says where. `soft` is what was set
    as a limit that only warns; `budget` has the hard one, and where its state is a warning.
    """

    period: Period
    reset_at: int | None
    budget: Budget
    soft: int | None = None


def stricter_period(one: PeriodBudget, other: PeriodBudget) -> PeriodBudget:
    """Of two budgets of a spender for the same period the one with the smaller limit, then the smaller warning."""
    return one if stricter(one.budget, other.budget) is one.budget else other


def all_budgets(*some: Mapping[BudgetKey, PeriodBudget]) -> dict[BudgetKey, PeriodBudget]:
    """The budgets of several places; of two for the same period, the stricter."""
    found: dict[BudgetKey, PeriodBudget] = {}
    for key, budget in chain.from_iterable(each.items() for each in some):
        found[key] = stricter_period(found[key], budget) if key in found else budget
    return found


@dataclass(frozen=True)
class Standing:
    """A budget in its present period: `spend` is None as long as it is not known."""

    budget: PeriodBudget
    window: Window
    spend: int | None

    @property
    def state(self) -> str | None:
        """One of `users.STATES`, None as long as the spend is not known."""
        return None if self.spend is None else budget_state(self.spend, self.budget.budget)


@dataclass(frozen=True)
class PastSpend:
    """What spenders, and `TEAM`, spent in a stretch of time.

    `quarters` is what the ledger knew of it when this was taken, see `quarter_costs`; None for what an earlier process
    has left.
    """

    spent: UserSpend
    quarters: Mapping[int, int] | None = None


@dataclass(frozen=True)
class RecentDays:
    """The newest days of a zone as the ledger has them, by their ordinal.

    They have the spend by user, of all together, and by the label of each group.
    """

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    users: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    totals: Mapping[int, int] = field(default_factory=dict)
    groups: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    def spend(self, spender: str, since: int) -> int:
        """What a spender, or the team, spent from a day on."""
        if spender == TEAM:
            return sum(units for day, units in self.totals.items() if day >= since)
        by_day, label = (self.groups, group_label(spender)) if is_group(spender) else (self.users, spender)
        return sum(spent.get(label, 0) for day, spent in by_day.items() if day >= since)

    def spenders(self, day: int, *, groups: bool) -> dict[str, int]:
        """What each user, and each group if wanted, spent on a day."""
        by_group = self.groups.get(day, {}) if groups else {}
        # a packed day is unpacked once for all of its items, and else by each name
        users = dict(self.users[day].items())
        return {**users, **{group_key(label): units for label, units in by_group.items()}}


@dataclass(frozen=True)
class SpendBefore:
    """What spenders spent from the start of their period to the midnight at which `day` begins, by both of these."""

    day: int
    sums: Mapping[tuple[str, int], int]


def window_of(period: Period, reset_at: int | None, now: int, zone: ZoneInfo) -> Window | None:
    """The present period; None where nothing says when it begins.

    Days and months are counted on the clock of the zone: a period that begins at midnight always does.
    """
    if reset_at is None:
        return _calendar_window(period, now, zone) if period.is_calendar else None
    if abs(reset_at - now) > FARTHEST:
        return None
    ends = _ends(period, reset_at, zone, floor_to(now, QUARTER_HOUR))
    return next(Window(start, end) for start, end in pairwise(ends) if start <= now < end)


# asked for each budget at each scrape; a day never begins within a quarter-hour
@lru_cache(maxsize=2 * MOST_PERIOD_BUDGETS)
def _ends(period: Period, reset_at: int, zone: ZoneInfo, quarter: int) -> list[int]:
    """Ends of periods in a row, about the present, which lies within the quarter-hour."""
    if period.days == 30 and (first := _first_of_month(reset_at, zone)) is not None:
        # LiteLLM ends a period of "30d" with the month
        period, zone = Period(period.name, months=1), first
    anchor = datetime.fromtimestamp(reset_at, zone)
    if reset_at == day_start(anchor.toordinal(), zone):
        # where the clock skips midnight, the day begins later than others do
        anchor = anchor.replace(hour=0, minute=0, second=0)
    present = datetime.fromtimestamp(quarter, zone)
    if period.months:
        steps = (12 * (present.year - anchor.year) + present.month - anchor.month) // period.months
    else:
        steps = (present.toordinal() - anchor.toordinal()) // period.days
    # a guess by the date alone is one step off at most
    return [_moved(anchor, period, step) for step in range(steps - 1, steps + 3)]


def _calendar_window(period: Period, now: int, zone: ZoneInfo) -> Window:
    today = day_of(now, zone)
    if period.months:
        days = month_days(today)
    elif period.name == WEEK:
        monday = today - (today - 1) % 7
        days = range(monday, monday + 7)
    else:
        days = range(today, today + 1)
    return Window(day_start(days.start, zone), day_start(days.stop, zone))


def _first_of_month(instant: int, zone: ZoneInfo) -> ZoneInfo | None:
    """In which zone the instant is the first midnight of a month: in the budget's, in UTC, or in neither."""
    for candidate in (zone, ZoneInfo("UTC")):
        day = day_of(instant, candidate)
        if day == month_days(day).start and instant == day_start(day, candidate):
            return candidate
    return None


def _moved(anchor: datetime, period: Period, steps: int) -> int:
    """The instant so many periods after the anchor, by the clock of its zone."""
    if not steps:
        return int(anchor.timestamp())
    if not period.months:
        return int((anchor + timedelta(days=steps * period.days)).timestamp())
    year, month = divmod(12 * anchor.year + anchor.month - 1 + steps * period.months, 12)
    day = min(anchor.day, monthrange(year, month + 1)[1])
    return int(anchor.replace(year=year, month=month + 1, day=day, fold=0).timestamp())


def windows(budgets: Mapping[BudgetKey, PeriodBudget], now: int, zone: ZoneInfo) -> dict[BudgetKey, Window]:
    """The present period of each budget. Most share theirs with many others."""
    known: dict[tuple[Period, int | None], Window | None] = {}
    found: dict[BudgetKey, Window] = {}
    for key, budget in budgets.items():
        asked = budget.period, budget.reset_at
        if asked not in known:
            known[asked] = window_of(*asked, now, zone)
        if (window := known[asked]) is not None:
            found[key] = window
    return found


def needed(starts: Iterable[tuple[str, int]], today: int, zone: ZoneInfo) -> dict[TimeRange, frozenset[str]]:
    """The stretches of past spend that periods with these users and starts need, and of which users.

    They are whole days before today, and the parts of days that lie before a start.
    """
    by_start: dict[int, set[str]] = defaultdict(set)
    for user, start in starts:
        by_start[start].add(user)
    found: dict[TimeRange, frozenset[str]] = {}
    begun: dict[int, dict[int, set[str]]] = defaultdict(dict)
    for start, users in by_start.items():
        begun[day_of(start, zone)][start] = users
    users_so_far: frozenset[str] = frozenset()
    for day in range(min(begun, default=today), today + 1):
        midnight = day_start(day, zone)
        cuts = {start: users for start, users in begun.get(day, {}).items() if start > midnight}
        # one set for all of a day: there may be thousands of starts
        within = frozenset().union(*cuts.values())
        found.update({TimeRange(lo, hi): within for lo, hi in pairwise([midnight, *sorted(cuts)])})
        if day in begun:
            users_so_far = users_so_far.union(*begun[day].values())
        if day < today:
            found[TimeRange(midnight, day_start(day + 1, zone))] = users_so_far
    return found


def knows(past: PastSpend, spenders: Set[str], groups: str = "") -> bool:
    """Whether the spend of all of them is known, and that of groups as they are told now, if they are."""
    spent = past.spent
    return groups in ("", spent.groups) and (spent.complete or spenders <= spent.units.keys())


def without_groups(past: PastSpend) -> PastSpend:
    """What is known of users, and of the team."""
    spent = past.spent
    return replace(past, spent=UserSpend(users_of(spent.units), complete=spent.complete))


def with_groups(users: UserSpend, read: UserSpend, spenders: Iterable[str]) -> UserSpend:
    """The spend of users as it is known, and that of groups as it was read; `spenders` are those who have a budget.

    The log may have lost rows of users that were counted.
    """
    known = {name: units for name in spenders if not is_group(name) and (units := users.of(name)) is not None}
    groups = {name: units for name, units in read.units.items() if is_group(name)}
    return UserSpend({**users.units, **known, **groups}, users.complete and read.complete, read.groups)


def quarter_costs(slices: Iterable[Slice], stretch: TimeRange) -> dict[int, int]:
    """Money of the quarter-hours of a stretch, by their start, as far as the ledger still has slices of them."""
    costs: Counter[int] = Counter()
    for item in slices:
        if item.start < stretch.hi and item.start + item.width > stretch.lo:
            costs[floor_to(item.start, QUARTER_HOUR)] += once(item.cells, _spent)
    return dict(costs)


def _spent(cells: Mapping[Series, Cell]) -> int:
    return sum(net(cell.current) for cell in cells.values())


def is_outdated(past: PastSpend, quarters: Mapping[int, int]) -> bool:
    """Whether the ledger has found other rows in a stretch than when it was taken; `quarters` are as they are now."""
    known = past.quarters
    return bool(quarters) if known is None else any(known.get(start, 0) != cost for start, cost in quarters.items())


def chosen(spent: Mapping[str, int], total: int, spenders: Collection[str], groups: str = "") -> UserSpend:
    """What is kept of a stretch: everybody if these are few, else those who have a budget; and the team."""
    if len(spent) <= MOST_USERS:
        return UserSpend({**spent, TEAM: total}, complete=True, groups=groups)
    return UserSpend({**{name: spent.get(name, 0) for name in spenders}, TEAM: total}, groups=groups)


def sum_before(
    starts: Iterable[tuple[str, int]], past: Mapping[TimeRange, PastSpend], day: int, zone: ZoneInfo
) -> SpendBefore:
    """What is known of the spend from each start to the beginning of a day; those of which it is not are left out.

    A start within the last days may lie after that: then the sum is below zero by what was spent before the start.
    """
    by_start: dict[int, set[str]] = defaultdict(set)
    for user, start in starts:
        by_start[start].add(user)
    parts: dict[int, list[TimeRange]] = defaultdict(list)
    for stretch in past:
        parts[day_of(stretch.lo, zone)].append(stretch)
    sums: dict[tuple[str, int], int] = {}
    for start, users in by_start.items():
        first = day_of(start, zone)
        midnight = day_start(first, zone)
        before = _chain(parts[first], midnight, start)
        days = [TimeRange(day_start(each, zone), day_start(each + 1, zone)) for each in range(first, day)]
        if before is None or not all(each in past for each in days):
            continue
        stretches = [*((1, each) for each in days), *((-1, each) for each in before)]
        for user in users:
            spent = [(sign, past[each].spent.of(user)) for sign, each in stretches]
            known = [sign * units for sign, units in spent if units is not None]
            if len(known) == len(spent):
                sums[user, start] = sum(known)
    return SpendBefore(day, sums)


def _chain(stretches: Iterable[TimeRange], lo: int, hi: int) -> list[TimeRange] | None:
    """Stretches that follow each other from `lo` to `hi`; None where there is a gap."""
    # the longest that ends in time: a whole day begins where its first part does
    by_start = {each.lo: each for each in sorted(stretches, key=lambda each: each.hi) if each.hi <= hi}
    found: list[TimeRange] = []
    while lo < hi:
        if lo not in by_start:
            return None
        found.append(by_start[lo])
        lo = found[-1].hi
    return found


def standings(
    budgets: Mapping[BudgetKey, PeriodBudget],
    before: Iterable[SpendBefore],
    recent: RecentDays,
    now: int,
) -> dict[BudgetKey, Standing]:
    """How each budget stands now, by what is known of the past and of the newest days."""
    zone = recent.zone
    today = day_of(now, zone)
    # where both go so far, what the ledger says of a day is newer
    fitting = sorted(
        (sums for sums in before if sums.day <= today and recent.totals.keys() >= set(range(sums.day, today + 1))),
        key=lambda sums: sums.day,
    )
    return {
        key: Standing(budgets[key], window, _spend(key.spender, window.start, fitting, recent))
        for key, window in windows(budgets, now, zone).items()
    }


def _spend(spender: str, start: int, before: Iterable[SpendBefore], recent: RecentDays) -> int | None:
    if is_group(spender) and not recent.groups:
        return None
    first = day_of(start, recent.zone)
    if first in recent.totals and start == day_start(first, recent.zone):
        return recent.spend(spender, first)
    for sums in before:
        if (past := sums.sums.get((spender, start))) is not None:
            return past + recent.spend(spender, max(first, sums.day))
    return None


def recent_days(state: State, settings: LedgerSettings, *, only_today: bool = False) -> RecentDays:
    """The days of which the ledger has the spend of every spender: today, and yesterday where that was read whole."""
    today = day_of(state.progress.now, settings.zone)
    days = [
        day
        for day in (today - 1, today)
        if day == today or (not only_today and day_start(day, settings.zone) >= state.progress.began)
    ]
    return RecentDays(
        settings.zone,
        users={day: state.user_days.on(day) for day in days},
        totals={day: sum(state.days.on(day).values()) for day in days},
        groups={day: state.group_days.on(day) for day in days} if settings.groups else {},
    )


def of_users(found: Mapping[BudgetKey, Standing]) -> dict[BudgetKey, Standing]:
    """The budgets of users."""
    return {key: each for key, each in found.items() if key.spender != TEAM and not is_group(key.spender)}


def of_groups(found: Mapping[BudgetKey, Standing]) -> dict[BudgetKey, Standing]:
    """The budgets of groups, by their labels."""
    return {
        BudgetKey(group_label(key.spender), key.period): each for key, each in found.items() if is_group(key.spender)
    }


def worst_states(found: Mapping[BudgetKey, Standing]) -> dict[str, str]:
    """Who of them is past a limit or a warning of any of their periods, with the worst of these states."""
    states: dict[str, str] = {}
    for key, standing in found.items():
        if standing.state == "exceeded" or standing.state == "warning":
            states[key.spender] = "exceeded" if "exceeded" in (standing.state, states.get(key.spender)) else "warning"
    return states


def top_spenders(found: Mapping[BudgetKey, Standing], top: int) -> list[str]:
    """Who have spent most of all that have such a budget, in the period in which they did."""
    spends: dict[str, int] = {}
    for key, standing in found.items():
        if standing.spend:
            spends[key.spender] = max(standing.spend, spends.get(key.spender, 0))
    return nlargest(top, sorted(spends), key=lambda spender: spends[spender])


def count_period_states(found: Mapping[BudgetKey, Standing]) -> dict[tuple[str, str], int]:
    """How many of the budgets are in each state, by period; those whose spend is not known yet are in none."""
    counts = Counter((key.period, standing.state) for key, standing in found.items())
    periods = sorted({period for period, _ in counts})
    return {(period, state): counts[period, state] for period in periods for state in STATES if state != "unlimited"}
