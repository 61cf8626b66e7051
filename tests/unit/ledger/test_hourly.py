"""The hours of the history: whole days of them in every zone, and each read once."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.figures import Figure
from exporter.ledger import hourly
from exporter.ledger.aggregate import FAILURES, LATENCY_COUNTS, LATENCY_SUMS, ZERO, Aggregate
from exporter.ledger.calendar import HOUR, QUARTER_HOUR, day_of, day_start
from exporter.ledger.hourly import HourSources, Known
from exporter.ledger.model import OTHER, Bucket, Cell, Hour, HourFigures, Phase, Progress, Series, Slice, UserSpend

ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Pacific/Apia",
]
SERIES, SECOND = Series("email-compose", "deepseek-v3.2"), Series("task-breakdown", "gemini-2.0-flash")
DAY = 24 * HOUR


@pytest.mark.parametrize("name", ZONES)
@given(instant=st.integers(1_262_304_000, 1_893_456_000))
def test_an_hour_holds_its_instant_and_days_are_made_of_whole_hours(name: str, instant: int) -> None:
    zone = ZoneInfo(name)
    start = hourly.hour_start(instant, zone)
    end = hourly.hour_end(start, zone)
    assert start <= instant < end <= start + HOUR
    assert start % QUARTER_HOUR == end % QUARTER_HOUR == 0
    assert hourly.hour_start(start, zone) == start
    hours = hourly.day_hours(day_of(instant, zone), zone)
    assert start in hours
    assert hours[0] == day_start(day_of(instant, zone), zone)
    assert [hourly.hour_end(hour, zone) for hour in hours] == [*hours[1:], day_start(day_of(instant, zone) + 1, zone)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Australia/Lord_Howe", date(2026, 10, 4), 24),  # 23.5 hours
        ("Australia/Lord_Howe", date(2026, 4, 5), 25),  # 24.5 hours
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_a_day_has_the_hours_that_its_clock_has(zone: str, day: date, hours: int) -> None:
    assert len(hourly.day_hours(day.toordinal(), ZoneInfo(zone))) == hours


@given(
    lo=st.integers(0, 20 * 24),
    hi=st.integers(0, 20 * 24),
    oldest=st.none() | st.integers(0, 20 * 24),
    users=st.integers(0, 20 * 24),
    back_to=st.integers(0, 19),
    length=st.sampled_from([QUARTER_HOUR, HOUR, 5 * HOUR, DAY]),
    name=st.sampled_from(ZONES),
)
def test_reading_on_reads_every_hour_once_and_ends(
    lo: int, hi: int, oldest: int | None, users: int, back_to: int, length: int, name: str
) -> None:
    zone = ZoneInfo(name)
    first = day_start(date(2026, 10, 20).toordinal(), zone)

    def at(number: int) -> int:
        return hourly.hour_start(first + number * HOUR, zone)

    begin = day_start(date(2026, 10, 20).toordinal() + back_to, zone)
    found = HourSources(slices=at(users), users=at(users), until=max(at(users), begin), back_to=begin)
    known = hourly.carried_on(Known(at(min(lo, hi)), at(max(lo, hi)), None if oldest is None else at(oldest)), found)
    read: list[int] = []
    for _ in range(2000):
        if (span := hourly.next_span(known, found, length, zone)) is None:
            break
        assert span.lo < span.hi <= span.lo + max(length, HOUR)
        # one day at most, in whole hours
        assert day_of(span.lo, zone) == day_of(span.hi - 1, zone)
        hours = list(hourly.hours_between(span.lo, span.hi, zone))
        assert hourly.hour_end(hours[-1], zone) == span.hi
        read += hours
        assert span.hi == known.lo or span.lo == known.hi
        known = Known(min(known.lo, span.lo), max(known.hi, span.hi), known.oldest)
    else:
        pytest.fail("reads for ever")
    assert len(read) == len(set(read))
    assert known.hi >= found.users
    assert known.lo <= max(found.back_to, found.back_to if known.oldest is None else known.oldest)


def test_what_is_too_old_is_begun_anew() -> None:
    found = HourSources(slices=90 * HOUR, users=100 * HOUR, until=120 * HOUR, back_to=48 * HOUR)
    assert hourly.carried_on(None, found) == Known(100 * HOUR, 100 * HOUR)
    assert hourly.carried_on(Known(0, 47 * HOUR, 0), found) == Known(100 * HOUR, 100 * HOUR)
    assert hourly.carried_on(Known(0, 50 * HOUR, 0), found) == Known(48 * HOUR, 50 * HOUR, 0)


@pytest.mark.parametrize(
    ("first_row", "busy_since", "expected"),
    [
        # the rest of the first row's hour may have been deleted
        (DAY + 10.5, 3 * DAY, Known(2 * DAY, 4 * DAY, DAY + HOUR)),
        (2 * DAY - 1.0, 3 * DAY, Known(2 * DAY, 4 * DAY, 2 * DAY)),
        # in a zone with gaps the first row may lie after the span
        (2 * DAY + 5.0, 3 * DAY, Known(2 * DAY, 4 * DAY, 2 * DAY)),
        (None, 3 * DAY, Known(3 * DAY + HOUR, 4 * DAY, 3 * DAY + HOUR)),
        (None, 2 * DAY, Known(2 * DAY, 4 * DAY, 2 * DAY)),
        (None, 4 * DAY, Known(4 * DAY, 4 * DAY, 4 * DAY)),
    ],
)
def test_what_lies_before_the_first_row_is_not_known(first_row: float | None, busy_since: int, expected: Known) -> None:
    assert hourly.with_oldest(Known(2 * DAY, 4 * DAY), first_row, busy_since, ZoneInfo("UTC")) == expected


@pytest.mark.parametrize(("compacted", "slices"), [(10 * DAY, 10 * DAY), (10 * DAY + 900, 10 * DAY + HOUR)])
def test_hours_come_from_the_ledger_as_far_as_it_has_them_whole(compacted: int, slices: int) -> None:
    now = 12 * DAY + 5 * HOUR + 700
    progress = Progress(
        Phase.RUNNING,
        now=now,
        compacted=compacted,
        merged=12 * DAY + 4 * HOUR + 2700,
        closed=now - 600,
        position=now,
        count_from=0,
        began=0,
    )
    found = hourly.sources(progress, now, ZoneInfo("UTC"), 1)
    # users are kept of yesterday and today alone
    assert found == HourSources(slices=slices, users=11 * DAY, until=12 * DAY + 4 * HOUR, back_to=5 * DAY)
    assert hourly.begin(found) == Known(11 * DAY, 11 * DAY)


def aggregate(calls: int, cost: int) -> Aggregate:
    cell = list(ZERO)
    cell[Figure.ROWS] = cell[Figure.CALLS] = calls
    cell[Figure.COST] = cost
    cell[FAILURES.start] = calls // 2
    cell[LATENCY_COUNTS.start + 1] = calls
    cell[LATENCY_SUMS.start + 1] = 1000 * calls
    return tuple(cell)


def test_an_hour_is_the_sum_of_its_slices_as_last_read() -> None:
    slices = {
        start: Slice(start, QUARTER_HOUR, cells={SERIES: Cell(aggregate(2, 5), aggregate(9, 9)), SECOND: Cell()})
        for start in (0, 900, 2700, 3600)
    }
    assert hourly.hour_of_slices(0, HOUR, slices) == {SERIES: HourFigures(6, 3, 15, 0, 0, 6000, 6)}


def test_what_has_no_series_of_its_own_is_other() -> None:
    bucket = Bucket(cells={SERIES: aggregate(2, 5), SECOND: aggregate(4, 7), OTHER: aggregate(1, 1)})
    assert hourly.hour_of_bucket(bucket, {SERIES}) == {
        SERIES: HourFigures(2, 1, 5, 0, 0, 2000, 2),
        OTHER: HourFigures(5, 2, 8, 0, 0, 5000, 5),
    }


def test_a_series_that_ends_goes_on_as_other() -> None:
    hour = Hour(0, {SERIES: HourFigures(calls=1, cost=3), SECOND: HourFigures(cost=4)}, UserSpend({"ann": 7}, True))
    assert hourly.moved_to_other(hour, {Series("a", "b")}) is None
    assert hourly.moved_to_other(hour, {SERIES}) == Hour(
        0, {SECOND: HourFigures(cost=4), OTHER: HourFigures(calls=1, cost=3)}, hour.users
    )
    assert hourly.moved_to_other(Hour(0, {SERIES: HourFigures(cost=3), OTHER: HourFigures(cost=2)}), {SERIES}) == Hour(
        0, {OTHER: HourFigures(cost=5)}
    )


# a label has no control characters: with one before it, it is the key of a group
LABELS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=3)


@given(st.dictionaries(st.integers(0, 400).map(str), st.integers(1, 10**15), max_size=300), st.lists(LABELS))
def test_users_are_all_kept_while_they_are_few_and_bounded_when_they_are_not(
    spent: dict[str, int], preferred: list[str]
) -> None:
    found = hourly.chosen_users(spent, preferred)
    assert len(found.units) <= hourly.MOST_USERS
    assert found.complete == (len(spent) <= hourly.MOST_USERS)
    for user in {*spent, *preferred}:
        assert found.of(user) in ({spent.get(user, 0)} if found.complete else {spent.get(user, 0), None})
    if not found.complete:
        assert set(list(dict.fromkeys(preferred))[: hourly.MOST_USERS]) <= found.units.keys()
        assert len(found.units) == hourly.MOST_USERS


def test_nobody_knows_of_a_user_who_is_not_kept() -> None:
    assert UserSpend({"ann": 1}).of("bob") is None
    assert UserSpend({"ann": 1}, complete=True).of("bob") == 0


@pytest.mark.parametrize(
    ("known", "length", "expected"),
    [
        # a gap first, up to the end of its day
        (Known(9 * DAY, 9 * DAY + 22 * HOUR), DAY, (9 * DAY + 22 * HOUR, 10 * DAY)),
        (Known(9 * DAY, 9 * DAY + 2 * HOUR), 3 * HOUR + 900, (9 * DAY + 2 * HOUR, 9 * DAY + 5 * HOUR)),
        (Known(9 * DAY, 11 * DAY - HOUR), DAY, (11 * DAY - HOUR, 11 * DAY)),
        # then the newest day
        (Known(9 * DAY, 11 * DAY), DAY, (8 * DAY, 9 * DAY)),
        (Known(9 * DAY, 11 * DAY), 900, (9 * DAY - HOUR, 9 * DAY)),
        (Known(9 * DAY, 11 * DAY, 8 * DAY + 5 * HOUR), DAY, (8 * DAY + 5 * HOUR, 9 * DAY)),
        (Known(9 * DAY, 11 * DAY, 9 * DAY), DAY, None),
        (Known(5 * DAY, 11 * DAY), DAY, None),
    ],
)
def test_a_gap_is_read_before_what_is_older(known: Known, length: int, expected: tuple[int, int] | None) -> None:
    found = HourSources(slices=10 * DAY, users=11 * DAY, until=12 * DAY, back_to=5 * DAY)
    span = hourly.next_span(known, found, length, ZoneInfo("UTC"))
    assert (None if span is None else (span.lo, span.hi)) == expected


def test_of_many_users_those_who_are_preferred_are_kept_first() -> None:
    spent = {f"user-{number}": number for number in range(hourly.MOST_USERS + 5)}
    found = hourly.chosen_users(spent, ["user-0", "nobody"])
    assert not found.complete
    assert len(found.units) == hourly.MOST_USERS
    assert (found.of("user-0"), found.of("nobody"), found.of("user-204"), found.of("user-6")) == (0, 0, 204, None)


def test_of_few_users_all_are_kept() -> None:
    assert hourly.chosen_users({"ann": 1}, ["bob"]) == UserSpend({"ann": 1}, complete=True)


UNITS = st.dictionaries(st.text(), st.integers(-(2**80), 2**80))


@given(units=UNITS, complete=st.booleans(), groups=st.text())
def test_the_total_of_an_hour_has_the_spend_of_its_users(units: dict[str, int], complete: bool, groups: str) -> None:
    cells = {SERIES: HourFigures(calls=2, cost=7), SECOND: HourFigures(calls=1, failed=1)}
    found = hourly.HourTotal.of(Hour(DAY, cells, UserSpend(units, complete, groups)))
    assert found.figures == HourFigures(calls=3, failed=1, cost=7)
    assert found.users() == UserSpend(units, complete, groups)
    backwards = dict(reversed(units.items()))
    assert found == hourly.HourTotal.of(Hour(DAY, cells, UserSpend(backwards, complete, groups)))
    assert found != hourly.HourTotal.of(Hour(DAY, cells, UserSpend(units, not complete, groups)))
    assert found != hourly.HourTotal.of(Hour(DAY, {}, UserSpend(units, complete, groups)))


def test_totals_are_the_same_whatever_the_order_of_their_users() -> None:
    def of(units: dict[str, int], cost: int = 7) -> hourly.HourTotal:
        return hourly.HourTotal.of(Hour(DAY, {SERIES: HourFigures(calls=1, cost=cost)}, UserSpend(units)))

    both = of({"ann": 1, "bob": 2})
    assert (both.figures.cost, both.users()) == (7, UserSpend({"ann": 1, "bob": 2}))
    assert both == of({"bob": 2, "ann": 1})
    assert both not in (of({"ann": 1, "bob": 3}), of({"ann": 1, "bob": 2}, 8), both.figures)
