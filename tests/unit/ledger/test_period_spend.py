"""Budgets with a period: which time each is of at any instant of any zone, and what was spent of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.figures import Figure
from exporter.ledger import period_spend
from exporter.ledger.aggregate import ZERO, with_figure
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR, Window, day_of, day_start
from exporter.ledger.model import (
    Cell,
    LedgerSettings,
    Phase,
    Progress,
    Series,
    Slice,
    State,
    TimeRange,
    UserSpend,
)
from exporter.ledger.period_spend import (
    TEAM,
    BudgetKey,
    PastSpend,
    PeriodBudget,
    RecentDays,
    SpendBefore,
    Standing,
    chosen,
    count_period_states,
    is_outdated,
    knows,
    needed,
    of_groups,
    of_users,
    quarter_costs,
    recent_days,
    standings,
    stricter_period,
    sum_before,
    top_spenders,
    window_of,
    windows,
    with_groups,
    without_groups,
    worst_states,
)
from exporter.ledger.spenders import group_key
from exporter.ledger.users import Budget
from exporter.periods import Period, parse_period

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Pacific/Apia",
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.integers(1_672_531_200, 1_893_456_000)  # 2023 to 2029
names = st.sampled_from(["day", "week", "month", "2d", "7d", "14d", "30d", "31d", "90d", "2mo", "3mo"])
HARD = Budget(100, 80)


def period(name: str) -> Period:
    found = parse_period(name)
    assert found is not None
    return found


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def window(name: str, reset_at: int | None, now: int, zone: ZoneInfo) -> Window:
    found = window_of(period(name), reset_at, now, zone)
    assert found is not None
    return found


resets = st.one_of(instants, st.builds(lambda day, zone: day_start(day, zone), st.integers(738_600, 741_000), zones))


@given(names, resets, instants, zones)
def test_periods_follow_each_other_without_gap_from_the_reset_on(
    name: str, reset_at: int, now: int, zone: ZoneInfo
) -> None:
    present = window(name, reset_at, now, zone)
    assert present.start <= now < present.end
    assert window(name, reset_at, present.end, zone).start == present.end
    assert window(name, reset_at, present.start - 1, zone).end == present.start
    assert window(name, reset_at, reset_at, zone).start == reset_at


@given(names, instants, zones, st.integers(738_600, 741_000))
def test_a_period_that_resets_at_midnight_always_does(name: str, now: int, zone: ZoneInfo, day: int) -> None:
    present = window(name, day_start(day, zone), now, zone)
    for bound in (present.start, present.end):
        assert bound == day_start(day_of(bound, zone), zone)
    days = day_of(present.end, zone) - day_of(present.start, zone)
    assert days == period(name).days or 28 * max(1, period(name).months) <= days <= period(name).most_days + 1


@pytest.mark.parametrize("name", ["day", "week", "7d", "30d", "31d", "month", "2mo"])
@pytest.mark.parametrize(
    ("skips_midnight", "zone"),
    [
        ("2026-03-29", "Asia/Beirut"),
        ("2026-03-08", "America/Havana"),
        ("2026-09-06", "America/Santiago"),
        ("2026-04-24", "Africa/Cairo"),
        ("2026-03-29", "Atlantic/Azores"),
    ],
)
def test_a_reset_on_a_day_that_skips_midnight_is_at_midnight_on_others(
    name: str, skips_midnight: str, zone: str
) -> None:
    where = ZoneInfo(zone)
    reset = day_start(datetime.fromisoformat(skips_midnight).toordinal(), where)
    assert datetime.fromtimestamp(reset, where).hour == 1
    for now in (reset - 86_400 * 100, reset - 1, reset, reset + 86_400 * 100):
        present = window(name, reset, now, where)
        assert [day_start(day_of(bound, where), where) for bound in (present.start, present.end)] == [
            present.start,
            present.end,
        ]
    assert window(name, reset, reset, where).start == reset


@given(instants, zones)
def test_the_calendar_says_where_a_day_a_week_and_a_month_begin(now: int, zone: ZoneInfo) -> None:
    local = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    firsts = {"day": local, "week": local - timedelta(days=local.weekday()), "month": local.replace(day=1)}
    for name, first in firsts.items():
        present = window(name, None, now, zone)
        assert present.start == first.timestamp()
        assert window(name, None, present.end, zone).start == present.end


@pytest.mark.parametrize(
    ("name", "reset", "now", "start", "end"),
    [
        # LiteLLM ends 30d with the month, whatever its length
        ("30d", "2026-12-01", "2026-11-27T10:00", "2026-11-01", "2026-12-01"),
        ("30d", "2026-03-01", "2026-02-10", "2026-02-01", "2026-03-01"),
        ("30d", "2026-12-01", "2026-12-01T00:05", "2026-12-01", "2027-01-01"),
        ("30d", "2026-12-17T14:30", "2026-11-27T10:00", "2026-11-17T14:30", "2026-12-17T14:30"),
        ("7d", "2026-11-30", "2026-11-27T10:00", "2026-11-23", "2026-11-30"),
        ("7d", "2026-11-23", "2026-11-27T10:00", "2026-11-23", "2026-11-30"),  # not moved on yet
        ("10d", "2026-12-20", "2026-11-27T10:00", "2026-11-20", "2026-11-30"),  # further away than one period
        ("month", "2026-12-15T08:00", "2026-11-27T10:00", "2026-11-15T08:00", "2026-12-15T08:00"),
        ("month", "2026-01-31", "2026-02-28T00:00", "2026-02-28", "2026-03-31"),
        ("3mo", "2027-01-01", "2026-11-27T10:00", "2026-10-01", "2027-01-01"),
    ],
)
def test_a_period_ends_at_its_reset(name: str, reset: str, now: str, start: str, end: str) -> None:
    assert window(name, at(reset), at(now), ZoneInfo("UTC")) == Window(at(start), at(end))


def test_thirty_days_that_end_with_a_month_of_utc_are_a_month_in_any_zone() -> None:
    found = window("30d", at("2026-12-01"), at("2026-11-27T10:00"), ZoneInfo("America/New_York"))
    assert found == Window(at("2026-11-01"), at("2026-12-01"))


@pytest.mark.parametrize("name", ["7d", "30d", "2mo"])
def test_days_that_no_reset_is_known_of_have_no_period(name: str) -> None:
    assert window_of(period(name), None, at("2026-11-27"), ZoneInfo("UTC")) is None


@pytest.mark.parametrize("reset_at", [-(10**11), 10**12])
def test_a_reset_of_another_age_is_none(reset_at: int) -> None:
    assert window_of(period("7d"), reset_at, at("2026-11-27"), ZoneInfo("UTC")) is None
    budgets = {BudgetKey("a", "7d"): PeriodBudget(period("7d"), reset_at, HARD)}
    assert windows(budgets, at("2026-11-27"), ZoneInfo("UTC")) == {}


Row = tuple[int, str, int]


def spent_between(rows: Sequence[Row], lo: int, hi: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for when, user, units in rows:
        if lo <= when < hi:
            found[user] += units
    return found


def past_of(
    rows: Sequence[Row], wanted: dict[TimeRange, frozenset[str]], groups: str = ""
) -> dict[TimeRange, PastSpend]:
    found = {}
    for stretch, users in wanted.items():
        spent = spent_between(rows, stretch.lo, stretch.hi)
        of_both = {**spent, **by_group_key(rows, stretch.lo, stretch.hi)} if groups else spent
        found[stretch] = PastSpend(chosen(of_both, sum(spent.values()), users, groups))
    return found


def by_group(rows: Sequence[Row], lo: int, hi: int) -> Counter[str]:
    """What groups spent, of which one has the name of a user: rows of two amounts are of two groups."""
    found: Counter[str] = Counter()
    for at_, _, units in rows:
        if lo <= at_ < hi:
            found[("ann", "red")[units % 2]] += units
    return found


def by_group_key(rows: Sequence[Row], lo: int, hi: int) -> dict[str, int]:
    return {group_key(label): units for label, units in by_group(rows, lo, hi).items()}


def recent_of(rows: Sequence[Row], days: Sequence[int], zone: ZoneInfo) -> RecentDays:
    sums = {day: spent_between(rows, day_start(day, zone), day_start(day + 1, zone)) for day in days}
    groups = {day: by_group(rows, day_start(day, zone), day_start(day + 1, zone)) for day in days}
    return RecentDays(zone, sums, {day: sum(spent.values()) for day, spent in sums.items()}, groups)


@st.composite
def budgets_of(draw: st.DrawFn, now: int) -> dict[BudgetKey, PeriodBudget]:
    found = {}
    spenders = ["ann", "bob", "cid", TEAM, group_key("ann"), group_key("red")]
    for spender in draw(st.lists(st.sampled_from(spenders), unique=True, min_size=1)):
        name = draw(names)
        reset = draw(st.integers(now - 40 * 86_400, now + 40 * 86_400))
        if draw(st.booleans()):
            reset = day_start(day_of(reset, ZoneInfo("UTC")), ZoneInfo("UTC"))
        calendar = period(name).is_calendar and draw(st.booleans())
        found[BudgetKey(spender, name)] = PeriodBudget(period(name), None if calendar else reset, HARD)
    return found


@given(st.data(), instants, zones, st.booleans(), st.sampled_from([0, 2000]))
def test_what_stands_is_what_the_rows_since_the_start_sum_up_to(
    data: st.DataObject, now: int, zone: ZoneInfo, knows_yesterday: bool, most: int
) -> None:
    budgets = data.draw(budgets_of(now))
    row = st.tuples(
        st.integers(now - 95 * 86_400, now - 1), st.sampled_from(["ann", "bob", "cid", "dan"]), st.integers(0, 9)
    )
    near = st.tuples(st.integers(now - 86_400 * 2, now - 1), st.sampled_from(["ann", "bob", "cid"]), st.integers(0, 9))
    rows = data.draw(st.lists(row | near, max_size=40))
    today = day_of(now, zone)
    found = windows(budgets, now, zone)
    starts = {(key.spender, window.start) for key, window in found.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(period_spend, "MOST_USERS", most)
        past = past_of(rows, needed(starts, today, zone), "team")
    days = [today - 1, today] if knows_yesterday else [today]
    before = [sum_before(starts, past, day, zone) for day in days]
    for known in (before, before[-1:]):
        stands = standings(budgets, known, recent_of(rows, days, zone), now)
        assert stands.keys() == found.keys()
        for key, standing in stands.items():
            spent = spent_between(rows, found[key].start, now)
            of_each = {TEAM: sum(spent.values()), **spent, **by_group_key(rows, found[key].start, now)}
            assert standing.spend == of_each.get(key.spender, 0)


def test_at_midnight_what_was_known_before_goes_on_to_tell() -> None:
    zone, user = ZoneInfo("Europe/Berlin"), "ann"
    now = at("2026-11-27T00:00:05", "Europe/Berlin")
    rows = [(at(f"2026-11-{day:02}T12:00"), user, 1) for day in range(1, 27)] + [
        (now - 10, user, 50),
        (now - 2, user, 7),
    ]
    budgets = {BudgetKey(user, "month"): PeriodBudget(period("month"), None, HARD)}
    today = day_of(now, zone)
    starts = {(user, day_start(day_of(at("2026-11-01T12:00"), zone), zone))}
    # as it was found before midnight
    past = past_of(rows, needed(starts, today - 1, zone))
    before = [sum_before(starts, past, day, zone) for day in (today - 2, today - 1)]
    (standing,) = standings(budgets, before, recent_of(rows, [today - 1, today], zone), now).values()
    assert standing.spend == 26 + 57
    # a day later the ledger does not know the day between any more
    (standing,) = standings(budgets, before, recent_of(rows, [today, today + 1], zone), now + 86_400).values()
    assert standing.spend is None
    assert standing.state is None
    # a clock that was set back: what was known then says nothing of a day before
    (standing,) = standings(
        budgets, before[-1:], recent_of(rows, [today - 3, today - 2], zone), now - 2 * 86_400
    ).values()
    assert standing.spend is None


def test_what_is_known_only_up_to_today_is_used_where_yesterday_is_missing() -> None:
    zone, now = ZoneInfo("UTC"), at("2026-11-27T12:00")
    today, start = day_of(now, zone), at("2026-11-26T06:00")
    budgets = {BudgetKey("ann", "2d"): PeriodBudget(period("2d"), start, HARD)}
    before = [SpendBefore(today, {("ann", start): 5}), SpendBefore(today - 1, {})]
    (standing,) = standings(budgets, before, recent_of([(now - 1, "ann", 2)], [today - 1, today], zone), now).values()
    assert standing.spend == 7


def test_of_a_gap_nothing_is_known() -> None:
    zone, now = ZoneInfo("UTC"), at("2026-11-27T12:00")
    starts = {("ann", at("2026-11-20T06:00"))}
    past = past_of([], needed(starts, day_of(now, zone), zone))
    assert sum_before(starts, past, day_of(now, zone), zone).sums
    for stretch in past:
        without = {each: spent for each, spent in past.items() if each != stretch}
        assert not sum_before(starts, without, day_of(now, zone), zone).sums
        of_others = {**past, stretch: PastSpend(UserSpend({"bob": 1, TEAM: 1}))}
        assert not sum_before(starts, of_others, day_of(now, zone), zone).sums


def test_a_day_is_read_once_however_many_periods_begin_in_it() -> None:
    zone, today = ZoneInfo("UTC"), day_of(at("2026-11-27"), ZoneInfo("UTC"))
    starts = [
        ("ann", at("2026-11-25T06:00")),
        ("bob", at("2026-11-25T18:00")),
        ("cid", at("2026-11-25")),
        ("dan", at("2026-11-27T08:00")),
    ]
    assert needed(starts, today, zone) == {
        TimeRange(at("2026-11-25"), at("2026-11-25T06:00")): {"ann", "bob"},
        TimeRange(at("2026-11-25T06:00"), at("2026-11-25T18:00")): {"ann", "bob"},
        TimeRange(at("2026-11-25"), at("2026-11-26")): {"ann", "bob", "cid"},
        TimeRange(at("2026-11-26"), at("2026-11-27")): {"ann", "bob", "cid"},
        TimeRange(at("2026-11-27"), at("2026-11-27T08:00")): {"dan"},
    }
    assert needed([], today, zone) == {}


SERIES = Series("op", "m")


def part(start: int, width: int, cost: int) -> Slice:
    figure, units = (Figure.REFUNDS, -cost) if cost < 0 else (Figure.COST, cost)
    aggregate = with_figure(ZERO, figure, units)
    return Slice(start, width, {SERIES: Cell(aggregate, aggregate)})


def test_other_rows_of_a_stretch_are_noticed_as_long_as_the_ledger_has_slices_of_it() -> None:
    stretch = TimeRange(QUARTER_HOUR, 3 * QUARTER_HOUR)
    quarters = [part(number * QUARTER_HOUR, QUARTER_HOUR, number + 1) for number in range(4)]
    costs = quarter_costs(quarters, stretch)
    assert costs == {QUARTER_HOUR: 2, 2 * QUARTER_HOUR: 3}
    past = PastSpend(UserSpend(complete=True), costs)
    assert not is_outdated(past, costs)
    assert not is_outdated(past, {2 * QUARTER_HOUR: 3})  # the first was compacted
    assert not is_outdated(past, {})
    assert is_outdated(past, {QUARTER_HOUR: 9})
    assert is_outdated(past, {0: 1})
    # a refund is money, too
    assert is_outdated(past, quarter_costs([*quarters, part(QUARTER_HOUR, QUARTER_HOUR, -1)], stretch))
    # what an earlier process has left is looked at again where that can still be told
    assert is_outdated(replace(past, quarters=None), costs)
    assert not is_outdated(replace(past, quarters=None), {})
    minutes = [part(QUARTER_HOUR + number * MINUTE, MINUTE, 1) for number in range(15)]
    assert quarter_costs(minutes, TimeRange(QUARTER_HOUR, QUARTER_HOUR + 150)) == {QUARTER_HOUR: 3}


def test_everybody_is_kept_as_long_as_they_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    few = chosen({"ann": 1, "bob": 2}, 3, {"cid"})
    assert few.complete
    assert knows(PastSpend(few), {"cid", "dan"})
    monkeypatch.setattr(period_spend, "MOST_USERS", 1)
    many = chosen({"ann": 1, "bob": 2}, 3, {"ann", "cid", TEAM})
    assert many == UserSpend({"ann": 1, "cid": 0, TEAM: 3})
    assert knows(PastSpend(many), {"ann", "cid", TEAM})
    assert not knows(PastSpend(many), {"bob"})


def test_the_newest_days_are_those_that_were_read_whole() -> None:
    zone, now = ZoneInfo("UTC"), at("2026-11-27T12:00")
    settings = LedgerSettings(window=180, horizon=172_800, max_series=10, zero_hold=0, zone=zone)
    today = day_of(now, zone)

    def state(began: int) -> State:
        progress = Progress(Phase.RUNNING, now, began, began, began, now, 0, began)
        found = State(progress)
        found.user_days.update({(today - 1, "ann"): 3, (today, "ann"): 4, (today, "bob"): 1})
        found.days.update({(today - 1, SERIES): 3, (today, SERIES): 5})
        return found

    both = recent_days(state(at("2026-11-26")), settings)
    assert both == RecentDays(zone, {today - 1: {"ann": 3}, today: {"ann": 4, "bob": 1}}, {today - 1: 3, today: 5})
    assert (both.spend("ann", today - 1), both.spend("ann", today), both.spend(TEAM, today - 1)) == (7, 4, 8)
    with_groups = state(at("2026-11-26"))
    with_groups.group_days.update({(today - 1, "red"): 3, (today, "blue"): 5})
    assert recent_days(with_groups, settings) == both
    of_both = recent_days(with_groups, replace(settings, groups=True))
    assert of_both == replace(both, groups={today - 1: {"red": 3}, today: {"blue": 5}})
    assert recent_days(state(at("2026-11-26T00:15")), settings).totals.keys() == {today}
    assert recent_days(state(at("2026-11-01")), settings, only_today=True).totals.keys() == {today}


def test_states_are_counted_by_period_and_the_worst_decides_who_is_shown() -> None:
    budget = PeriodBudget(period("month"), None, HARD, 80)
    span = Window(0, 1)

    def stands(**spends: int | None) -> dict[BudgetKey, Standing]:
        keys = ((BudgetKey(*name.split("_")), spent) for name, spent in spends.items())
        return {key: Standing(budget, span, spent) for key, spent in keys}

    found = of_users(stands(ann_7d=101, ann_month=80, bob_7d=80, bob_month=101, cid_7d=0, dan_7d=None, _7d=500))
    assert worst_states(found) == {"ann": "exceeded", "bob": "exceeded"}
    assert top_spenders(found, 2) == ["ann", "bob"]
    assert top_spenders(found, 9) == ["ann", "bob"]
    assert worst_states(stands(ann_7d=80, ann_month=1)) == {"ann": "warning"}
    counts = count_period_states(found)
    assert counts == {
        ("7d", "ok"): 1,
        ("7d", "warning"): 1,
        ("7d", "exceeded"): 1,
        ("month", "ok"): 0,
        ("month", "warning"): 1,
        ("month", "exceeded"): 1,
    }


def test_of_two_budgets_the_stricter_counts() -> None:
    one, other = (PeriodBudget(period("7d"), 1, Budget(limit, 4)) for limit in (5, 6))
    assert stricter_period(one, other) is one
    assert stricter_period(other, one) is one
    assert stricter_period(one, replace(one, budget=Budget(5, 3))).budget == Budget(5, 3)


def test_sums_say_of_which_day_they_are() -> None:
    assert sum_before([], {}, 7, ZoneInfo("UTC")) == SpendBefore(7, {})
    assert datetime.fromtimestamp(at("2026-11-27"), UTC).day == 27


def test_groups_stand_beside_users_of_the_same_name() -> None:
    zone, now = ZoneInfo("UTC"), at("2026-11-27T12:00")
    today = day_of(now, zone)
    recent = RecentDays(
        zone,
        users={today - 1: {"red": 1}, today: {"red": 2, "ann": 30}},
        totals={today - 1: 1, today: 32},
        groups={today - 1: {"blue": 1}, today: {"red": 32}},
    )
    red = group_key("red")
    assert (recent.spend(red, today - 1), recent.spend("red", today - 1), recent.spend(TEAM, today)) == (32, 3, 32)
    assert recent.spenders(today, groups=True) == {"red": 2, "ann": 30, red: 32}
    assert recent.spenders(today, groups=False) == {"red": 2, "ann": 30}
    budgets = {
        BudgetKey(spender, "2d"): PeriodBudget(period("2d"), day_start(today + 1, zone), HARD)
        for spender in (red, "red", TEAM)
    }
    found = standings(budgets, (), recent, now)
    assert {key.spender: each.spend for key, each in found.items()} == {red: 32, "red": 3, TEAM: 33}
    assert of_users(found).keys() == {BudgetKey("red", "2d")}
    assert of_groups(found) == {BudgetKey("red", "2d"): found[BudgetKey(red, "2d")]}


def test_of_a_group_nothing_is_known_while_the_ledger_has_no_groups() -> None:
    zone, now = ZoneInfo("UTC"), at("2026-11-27T12:00")
    today = day_of(now, zone)
    recent = RecentDays(zone, users={today: {"red": 2}}, totals={today: 2})
    budgets = {BudgetKey(group_key("red"), "2d"): PeriodBudget(period("2d"), day_start(today + 2, zone), HARD)}
    (standing,) = standings(budgets, (), recent, now).values()
    assert (standing.spend, standing.state) == (None, None)


def test_what_was_kept_without_groups_says_nothing_of_them() -> None:
    red, blue = group_key("red"), group_key("blue")
    alone = PastSpend(UserSpend({"ann": 1, TEAM: 1}, complete=True))
    assert (alone.spent.of("bob"), alone.spent.of(red)) == (0, None)
    assert not knows(alone, {red}, "team")
    by_team = PastSpend(UserSpend({"ann": 1, red: 1, TEAM: 1}, complete=True, groups="team"), {0: 1})
    assert (by_team.spent.of("bob"), by_team.spent.of(red), by_team.spent.of(blue)) == (0, 1, 0)
    assert knows(by_team, {red, blue}, "team")
    assert knows(by_team, {"ann"})
    assert not knows(by_team, {"ann"}, "project")
    assert without_groups(by_team) == PastSpend(alone.spent, {0: 1})


def test_groups_that_are_read_later_leave_what_is_known_of_users() -> None:
    red = group_key("red")
    known = UserSpend({"ann": 5, TEAM: 5}, complete=True)
    # the log has lost rows since
    read = UserSpend({"ann": 1, red: 1, TEAM: 1}, complete=True, groups="team")
    both = UserSpend({"ann": 5, red: 1, TEAM: 5}, complete=True, groups="team")
    assert with_groups(known, read, {"ann", red}) == both
    # of more than are kept, those who have a budget are known
    many = with_groups(known, UserSpend({"ann": 0, red: 1, TEAM: 1}, groups="team"), {"ann", "bob", red})
    assert many == UserSpend({"ann": 5, "bob": 0, red: 1, TEAM: 5}, groups="team")
    assert knows(PastSpend(many), {"ann", "bob", red, TEAM}, "team")
