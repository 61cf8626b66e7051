"""Forecasts by seeded histories: nearer than the straight line, honest about that, and never below what is spent."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from random import Random
from statistics import fmean
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.forecast import KINDS, Kind, day_errors, history, month_errors
from exporter.forecast.outlook import COVERAGE, History
from exporter.forecast.pace import Pace, Prior, typical_factor
from exporter.forecast.profile import LEAST_DAYS, Profiles, day_at, whole_days
from exporter.forecast.projection import project, straight_line
from exporter.ledger.calendar import HOUR, day_of, day_start
from exporter.ledger.hourly import day_hours

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = date(2026, 8, 3).toordinal()
SEEDS = (1001, 1002)
"""Not those of the documentation."""


def rarely(kind: Kind) -> Kind:
    """Judged at a few moments, which takes less time."""
    return replace(
        kind,
        days=[*kind.days][:: max(1, len(kind.days) // 6)],
        hours=range(3, 23, 3),
        month_days=[*kind.month_days][::3],
    )


def means(kind: Kind, month: bool) -> tuple[float, float]:
    judged = rarely(kind)
    errors = month_errors if month else day_errors
    found = [error for seed in SEEDS for error in errors(judged, history(judged, seed))]
    return fmean(forecast for forecast, _, _ in found), fmean(straight for _, straight, _ in found)


@pytest.mark.unmeasured
@pytest.mark.parametrize("month", [False, True], ids=["day", "month"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_forecast_beats_the_straight_line_and_ties_where_that_is_as_good_as_can_be(kind: Kind, month: bool) -> None:
    forecast, straight = means(kind, month)
    if kind.name == "flat":
        assert forecast <= straight + 0.01
    else:
        assert forecast < 0.9 * straight


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", ["flat", "morning burst", "weekly rhythm"])
def test_the_interval_holds_as_many_days_as_it_says(name: str) -> None:
    kind = replace(next(kind for kind in KINDS if kind.name == name), hours=(4, 9, 13, 18))
    found = [within for seed in SEEDS for _, _, within in day_errors(kind, history(kind, seed))]
    assert COVERAGE - 0.12 <= fmean(found) <= COVERAGE + 0.15


def units_of(days: int, of_hour: object, *, zone: ZoneInfo = UTC, until: int = MONDAY) -> dict[int, int]:
    """Units by hour of so many days before `until`."""
    return {
        start: of_hour(number, hour)  # type: ignore[operator]
        for number in range(until - days, until)
        for hour, start in enumerate(day_hours(number, zone))
    }


def business(number: int, hour: int) -> int:
    weekend = date.fromordinal(number).weekday() > 4
    return 0 if weekend else 1000 if 8 <= hour < 18 else 10


def outlook_at(units: Mapping[int, int], now: int, zone: ZoneInfo = UTC, *, errors: bool = True):  # type: ignore[no-untyped-def]
    return History(min(units), now - now % HOUR, now, zone).outlook(units, errors=errors)


@pytest.mark.parametrize("hour", range(24))
def test_a_day_like_all_others_ends_like_them_at_each_of_its_hours(hour: int) -> None:
    units = units_of(57, business, until=MONDAY + 1)
    now = day_start(MONDAY, UTC) + hour * HOUR
    spent = sum(business(MONDAY, each) for each in range(hour))
    known = {start: value for start, value in units.items() if start < now}
    projection = project(outlook_at(known, now), spent, now)
    assert projection is not None
    assert projection.day.expected == pytest.approx(10_140)
    assert projection.day.lower == pytest.approx(projection.day.upper)
    # 20 working days are left after the first, and ten hours of each are in the office
    assert projection.month(spent).expected == pytest.approx(21 * 10_140)


def test_a_limit_is_reached_to_the_hour() -> None:
    units = units_of(57, business)
    now = day_start(MONDAY, UTC)
    projection = project(outlook_at(units, now), 0, now)
    assert projection is not None
    assert projection.reaches(80 + 2500, 0) == pytest.approx(now + 10.5 * HOUR)
    assert projection.reaches(20_000, 0) is None
    # the third working day, at noon
    assert projection.reaches(2 * 10_140 + 80 + 4000, 0, month=True) == pytest.approx(now + (2 * 24 + 12) * HOUR)
    assert projection.reaches(1_000_000, 0, month=True) is None
    assert projection.reaches(5, 6) == now
    # at the limit it is not reached yet: what comes next is beyond it
    assert projection.reaches(6, 6) == pytest.approx(now)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 14)], ids=str)
def test_days_on_which_the_clock_is_moved_have_the_hours_that_they_have(day: date) -> None:
    number = day.toordinal()

    def steady(_: int, __: int) -> int:
        return 600

    units = units_of(57, steady, zone=BERLIN, until=number)
    now = day_start(number, BERLIN)
    projection = project(outlook_at(units, now, BERLIN), 0, now)
    assert projection is not None
    assert projection.day.expected == pytest.approx(600 * len(day_hours(number, BERLIN)))
    assert projection.outlook.day.end == day_start(number + 1, BERLIN)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"])
def test_any_zone_has_forecasts(zone: str) -> None:
    where = ZoneInfo(zone)
    number = date(2026, 10, 6).toordinal()
    units = units_of(30, lambda _, hour: 100 if 8 <= hour < 18 else 0, zone=where, until=number)
    now = day_start(number, where) + 3 * HOUR
    projection = project(outlook_at(units, now, where), 0, now)
    assert projection is not None
    assert projection.day.expected == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize("days", range(8))
def test_four_whole_days_must_be_known(days: int) -> None:
    units = units_of(days, lambda _, __: 5) if days else {}
    now = day_start(MONDAY, UTC) + 5 * HOUR
    lo = day_start(MONDAY - days, UTC) - 3 * HOUR
    outlook = History(lo, now, now, UTC).outlook(units)
    assert (outlook is not None) == (days >= LEAST_DAYS)


def test_without_spend_there_is_nothing_to_go_by() -> None:
    units = units_of(20, lambda _, __: 0)
    assert History(min(units), day_start(MONDAY, UTC), day_start(MONDAY, UTC), UTC).outlook(units) is None


def test_an_outlook_is_of_its_own_day_alone() -> None:
    units = units_of(20, lambda _, __: 5)
    start = day_start(MONDAY, UTC)
    outlook = outlook_at(units, start)
    assert project(outlook, 1, start - 1) is None
    assert project(outlook, 1, start + 24 * HOUR) is None
    assert project(None, 1, start) is None
    assert project(outlook, 1, start + 24 * HOUR - 1) is not None


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    days=st.integers(4, 40),
    second=st.integers(0, 24 * HOUR - 1),
    spent=st.integers(0, 10**16),
    sparse=st.booleans(),
    lag=st.integers(0, 30),
)
def test_it_is_finite_in_order_and_never_below_what_is_spent(
    seed: int, days: int, second: int, spent: int, sparse: bool, lag: int
) -> None:
    random = Random(seed)
    units = units_of(
        days + 1,
        lambda _, __: 0 if sparse and random.random() < 0.95 else int(random.lognormvariate(0, 3) * 10**12),
        until=MONDAY + 1,
    )
    now = day_start(MONDAY, UTC) + second
    hi = now - now % HOUR - lag * HOUR
    known = {start: value for start, value in units.items() if start < hi}
    outlook = History(min(units), hi, now, UTC).outlook(known)
    projection = project(outlook, spent, now)
    if projection is None:
        assert outlook is None
        return
    day, month = projection.day, projection.month(2 * spent)
    assert spent <= day.lower <= day.expected <= day.upper < float("inf")
    assert 2 * spent <= month.lower <= month.expected <= month.upper < float("inf")
    assert month.expected - 2 * spent >= (day.expected - spent) * (1 - 1e-9)
    for limit in (spent - 1, spent, spent * 2 + 10**12):
        reached = projection.reaches(limit, spent)
        if reached is None:
            assert day.expected <= limit * (1 + 1e-9)
        else:
            assert now <= reached <= outlook.day.end  # type: ignore[union-attr]


def test_one_dear_day_changes_neither_level_nor_shape() -> None:
    def with_loop(number: int, hour: int) -> int:
        return business(number, hour) + (10**6 if number == MONDAY - 7 and hour == 3 else 0)

    usual = Profiles(list(whole_days(day_start(MONDAY - 56, UTC), day_start(MONDAY, UTC), UTC)), units_of(56, business))
    loop = Profiles(usual.days, units_of(56, with_loop))
    today = day_at(MONDAY, UTC)
    assert loop.of(today).rates == pytest.approx(usual.of(today).rates)


@pytest.mark.parametrize(
    ("days", "weekday", "alike"),
    [(56, 0, [0]), (56, 6, [6]), (14, 0, [0, 1, 2, 3, 4]), (14, 6, [5, 6]), (5, 6, range(7))],
)
def test_days_are_alike_by_weekday_or_by_kind_or_all_of_them(days: int, weekday: int, alike: list[int]) -> None:
    units = units_of(days, lambda number, _: 1 + date.fromordinal(number).weekday())
    profiles = Profiles(list(whole_days(min(units), day_start(MONDAY, UTC), UTC)), units)
    level = sum(profiles.of(day_at(MONDAY + weekday, UTC)).rates) / 24 - 1
    assert min(alike) <= level <= max(alike)
    if len(alike) == 1:
        assert level == pytest.approx(alike[0])


def test_days_that_are_not_whole_do_not_count() -> None:
    days = whole_days(day_start(MONDAY, UTC) + 1, day_start(MONDAY + 3, UTC) + 5 * HOUR, UTC)
    assert [day.number for day in days] == [MONDAY + 1, MONDAY + 2]


def test_an_hour_of_a_loop_does_not_make_a_day_of_it() -> None:
    prior = Prior(1.0, 0.1, 1.0)
    calm = loop = Pace(prior, 0.0, typical=1.0)
    for hour in range(6):
        calm = calm.after((hour + 1) * 3600.0, 100, 100)
        loop = loop.after((hour + 1) * 3600.0, 10_000 if hour == 2 else 100, 100)
    assert calm.factor == pytest.approx(1.0)
    assert loop.factor < 1.4


def test_a_day_of_another_kind_counts_alone_once_that_is_sure() -> None:
    pace = Pace(Prior(1.0, 0.1, 1.0), 0.0, typical=4.0)
    for hour in range(4):
        pace = pace.after((hour + 1) * 3600.0, 400, 100)
    assert pace.factor == pytest.approx(4.0, rel=0.05)


def test_without_anything_usual_the_days_before_say_how_it_goes() -> None:
    assert Pace(Prior(1.3, 0.1, 1.0), 0.0).factor == 1.3
    assert Pace(Prior(1.3, 0.1, 1.0), 0.0).after(3600.0, 5, 0).factor == 1.3


def test_hours_without_anything_usual_have_no_typical_factor() -> None:
    assert typical_factor([(5.0, 0.0)]) is None


def test_the_straight_line_says_nothing_in_the_first_two_hours() -> None:
    assert straight_line(10, 0, 86400, 7199) is None
    assert straight_line(10, 0, 86400, 7200) == 120


def test_the_day_of_a_moment() -> None:
    assert day_of(day_start(MONDAY, BERLIN), BERLIN) == day_at(MONDAY, BERLIN).number
