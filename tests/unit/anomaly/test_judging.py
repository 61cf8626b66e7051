"""What is odd of an hour, and what is not: rhythm, holidays, clocks that change, launches, a night's loop."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.anomaly.baseline import LEAST_WEEKS, Baselines, OperationHistory
from exporter.anomaly.judging import Verdict, judge
from exporter.anomaly.measures import (
    CALLS,
    COST_PER_CALL,
    ERROR_RATE,
    LATENCY,
    MEASURES,
    SPEND,
    TOKENS_PER_CALL,
    Measure,
)
from exporter.catalog import SECOND, USD
from exporter.ledger.calendar import HOUR
from exporter.ledger.hourly import hour_start, hours_between
from exporter.ledger.model import HourFigures

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")]
DAY, WEEK = 24 * HOUR, 7 * 24 * HOUR
FLOOR = 5.0

Usd = Callable[[datetime], float]


@lru_cache
def calls(
    usd: float, *, each: float = 0.02, tokens: float = 2000, seconds: float = 1.5, failed: float = 0.01
) -> HourFigures:
    """So many dollars of calls."""
    number = round(usd / each)
    return HourFigures(
        calls=number,
        failed=round(failed * number),
        cost=round(usd * USD),
        input_tokens=round(tokens * number),
        latency=round(seconds * number * SECOND),
        timed=number,
    )


def office(at: datetime) -> float:
    """USD of an hour of a weekday's work."""
    return 12.0 if at.weekday() < 5 and 8 <= at.hour < 18 else 0.2


def hours(usd: Usd, begins: int, ends: int, zone: ZoneInfo = BERLIN) -> dict[int, HourFigures]:
    """What was spent in each hour."""
    return {start: calls(usd(datetime.fromtimestamp(start, zone))) for start in hours_between(begins, ends, zone)}


def at(year: int, month: int, day: int, hour: int = 0, zone: ZoneInfo = BERLIN) -> int:
    """Seconds since the epoch of a local time."""
    return int(datetime(year, month, day, hour, tzinfo=zone).timestamp())


def newest(present: int, zone: ZoneInfo = BERLIN) -> tuple[int, int]:
    """The hours that are judged: the present one and the one before it."""
    return present, hour_start(present - 1, zone)


def verdict(
    known: Mapping[int, HourFigures],
    present: int,
    measure: Measure = SPEND,
    zone: ZoneInfo = BERLIN,
    began: int | None = None,
) -> Verdict | None:
    """The verdict at the end of the hour that began at `present`, by all hours before it."""
    before = {start: sums for start, sums in known.items() if start < present}
    history = OperationHistory(min(before) if began is None else began, present, before)
    return judge(measure, newest(present, zone), known, Baselines(history, zone).of)


def odd(known: Mapping[int, HourFigures], begins: int, ends: int, zone: ZoneInfo = BERLIN) -> Iterator[int]:
    """The hours at whose ends more than the floor was spent oddly."""
    baselines = Baselines(OperationHistory(min(known), ends, known), zone)
    for present in hours_between(begins, ends, zone):
        found = judge(SPEND, newest(present, zone), known, baselines.of)
        if found is not None and found.excess > FLOOR:
            yield present


CHANGES = (
    date(2026, 3, 8),
    date(2026, 3, 29),
    date(2026, 4, 5),
    date(2026, 10, 4),
    date(2026, 10, 25),
    date(2026, 11, 1),
)
"""When some of the zones change their clocks."""


def around_changes(zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """From the day before to two days after, and the same a week later."""
    for change in CHANGES:
        for week in (0, WEEK):
            begins = at(change.year, change.month, change.day, zone=zone) + week
            yield begins - DAY, begins + 2 * DAY


def nightly(moment: datetime) -> float:
    """USD of an hour of a job that runs by UTC."""
    return 40.0 if moment.astimezone(UTC).hour == 1 else 0.0


@pytest.mark.parametrize("usd", [office, nightly])
@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_rhythm_is_not_odd_when_the_clocks_change(zone: ZoneInfo, usd: Usd) -> None:
    known = hours(usd, at(2026, 1, 5, zone=zone), at(2026, 12, 1, zone=zone), zone)
    for begins, ends in around_changes(zone):
        assert not list(odd(known, begins, ends, zone))


@pytest.mark.parametrize("quiet", [date(2026, 5, 1), date(2026, 5, 4), date(2026, 4, 6)], ids=str)
def test_a_quiet_holiday_is_not_odd_and_makes_no_later_day_odd(quiet: date) -> None:
    def usd(moment: datetime) -> float:
        return 0.1 if moment.date() == quiet else office(moment)

    begins, ends = at(2026, 3, 2), at(2026, 7, 1)
    assert not list(odd(hours(usd, begins, ends), at(2026, 4, 3), at(2026, 5, 20)))


def test_a_quiet_week_is_not_odd_nor_is_the_week_after_it() -> None:
    def usd(moment: datetime) -> float:
        return 0.1 if date(2026, 5, 4) <= moment.date() < date(2026, 5, 11) else office(moment)

    begins, ends = at(2026, 3, 2), at(2026, 7, 1)
    assert not list(odd(hours(usd, begins, ends), at(2026, 5, 1), at(2026, 5, 26)))


@pytest.mark.parametrize("night", [at(2026, 4, 14, 2), at(2026, 4, 18, 23), at(2026, 3, 29, 3), at(2026, 4, 19, 12)])
def test_a_loop_is_odd_as_soon_as_it_costs_more_than_the_floor(night: int) -> None:
    known = hours(office, at(2026, 3, 2), night)
    # a third of its hour has passed
    known[night] = calls(6.0)
    found = verdict(known, night)
    assert found is not None
    assert found.excess == pytest.approx(5.8)
    assert found.usual == pytest.approx(0.2)


def test_a_loop_below_the_floor_is_told_by_how_much_it_is_above_the_usual() -> None:
    night = at(2026, 4, 14, 2)
    known = {**hours(office, at(2026, 3, 2), night), night: calls(3.0)}
    found = verdict(known, night)
    assert found is not None
    assert 0 < found.excess < FLOOR


def test_an_hour_that_ended_oddly_is_told_until_the_next_one_is_over() -> None:
    night = at(2026, 4, 14, 2)
    known = {**hours(office, at(2026, 3, 2), night + 3 * HOUR), night: calls(30.0)}
    assert [verdict(known, night + ahead * HOUR) is not None for ahead in range(3)] == [True] * 3
    told = [found.excess for ahead in range(3) if (found := verdict(known, night + ahead * HOUR))]
    assert [excess > FLOOR for excess in told] == [True, True, False]


def test_what_has_lasted_for_days_is_usual_then() -> None:
    launch = date(2026, 5, 5)

    def usd(moment: datetime) -> float:
        return office(moment) * (3 if moment.date() >= launch else 1)

    begins, ends = at(2026, 3, 2), at(2026, 5, 20)
    found = odd(hours(usd, begins, ends), at(2026, 5, 4), ends)
    days = {datetime.fromtimestamp(hour, BERLIN).date() for hour in found}
    assert launch in days
    assert max(days) <= date(2026, 5, 8)


def test_an_operation_that_is_new_is_odd_on_its_first_day_alone() -> None:
    begins, launch, ends = at(2026, 3, 2), at(2026, 5, 5), at(2026, 5, 20)
    known = {hour: sums for hour, sums in hours(office, begins, ends).items() if hour >= launch}
    baselines = Baselines(OperationHistory(begins, ends, known), BERLIN)
    found = {
        datetime.fromtimestamp(present, BERLIN).date()
        for present in range(launch, ends, HOUR)
        if (told := judge(SPEND, newest(present), known, baselines.of)) and told.excess > FLOOR
    }
    assert found == {date(2026, 5, 5)}


def test_a_cold_start_is_silent_until_the_history_is_long_enough() -> None:
    begins = at(2026, 3, 4, 10)
    known = hours(lambda _: 1.0, begins, begins + 3 * WEEK)
    for week, judged in ((0, False), (1, False), (LEAST_WEEKS, True)):
        for measure in MEASURES:
            spiked = {**known, begins + week * WEEK + HOUR: calls(500.0, each=0.5, seconds=90, failed=0.9, tokens=9e5)}
            found = verdict(spiked, begins + week * WEEK + HOUR, measure, began=begins)
            assert (found is not None) is judged, measure.name
            assert found is None or found.excess > 0


def test_without_any_history_nothing_is_said() -> None:
    present = at(2026, 3, 4)
    for measure in MEASURES:
        history = OperationHistory(present, present)
        assert judge(measure, newest(present), {present: calls(900)}, Baselines(history, BERLIN).of) is None


PER_CALL = {
    LATENCY: calls(6.0, seconds=9),
    ERROR_RATE: calls(6.0, failed=0.3),
    COST_PER_CALL: calls(24.0, each=0.08),
    TOKENS_PER_CALL: calls(6.0, tokens=9000),
}


@pytest.mark.parametrize("measure", PER_CALL, ids=lambda measure: measure.name)
def test_what_calls_are_like_is_judged_as_well(measure: Measure) -> None:
    present = at(2026, 4, 14, 10)
    known = hours(office, at(2026, 3, 2), present)
    usual = verdict({**known, present: calls(6.0)}, present, measure)
    found = verdict({**known, present: PER_CALL[measure]}, present, measure)
    assert usual is not None
    assert usual.excess == 0
    assert found is not None
    assert found.excess == pytest.approx(found.value - found.usual)
    assert found.excess > found.usual


@pytest.mark.parametrize("measure", PER_CALL, ids=lambda measure: measure.name)
def test_a_few_calls_say_nothing_of_what_calls_are_like(measure: Measure) -> None:
    present = at(2026, 4, 14, 10)
    few = HourFigures(*(round(figure / PER_CALL[measure].calls * 19) for figure in PER_CALL[measure]))
    found = verdict({**hours(office, at(2026, 3, 2), present), present: few}, present, measure)
    # of the hour before
    assert found is not None
    assert found.hour == present - HOUR
    assert found.excess == 0


def test_many_calls_are_odd() -> None:
    present = at(2026, 4, 14, 3)
    known = {**hours(office, at(2026, 3, 2), present), present: calls(4.0)}
    found = verdict(known, present, CALLS)
    assert found is not None
    assert found.excess == pytest.approx(190)


amounts = st.floats(0, 500)


@given(st.lists(amounts, min_size=24, max_size=24), amounts, st.floats(0.01, 100))
def test_it_is_the_same_in_any_currency(profile: list[float], now: float, rate: float) -> None:
    present = at(2026, 4, 14, 2)

    def excess(times: float) -> float:
        def usd(moment: datetime) -> float:
            return times * profile[moment.hour]

        known = {
            start: calls(usd(datetime.fromtimestamp(start, BERLIN)), each=0.02 * times)
            for start in hours_between(at(2026, 3, 2), present, BERLIN)
        }
        found = verdict({**known, present: calls(now * times, each=0.02 * times)}, present)
        assert found is not None
        return found.excess

    assert excess(rate) == pytest.approx(rate * excess(1.0), abs=1e-6)


@given(st.lists(amounts, min_size=24, max_size=24), st.floats(0, 1.5))
def test_half_as_much_again_is_never_odd(profile: list[float], times: float) -> None:
    present = at(2026, 4, 14, 2)

    def usd(moment: datetime) -> float:
        return profile[moment.hour]

    known = hours(usd, at(2026, 3, 2), present)
    found = verdict({**known, present: calls(times * profile[2])}, present)
    assert found is not None
    assert found.excess == 0
