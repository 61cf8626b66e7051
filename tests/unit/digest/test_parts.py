"""What forecasts and judgements of odd hours say is what a digest says, and nothing where too little is known."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from exporter.digest.ahead import TOO_LITTLE, foretell
from exporter.digest.hours import Hours
from exporter.digest.model import DigestForecast, LeftOut, Reached
from exporter.digest.odd import find_anomalies
from exporter.ledger.calendar import day_start
from exporter.ledger.hourly import day_hours
from exporter.ledger.model import HourFigures, Series
from tests.support.digests import units

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 6, 18).toordinal()
STEADY = Series("email-compose", "m1")


def by_hour(days: int, until: int, usd: float = 1.0) -> dict[int, int]:
    """So much in each hour of some days before a day, and none in it."""
    return {at: units(usd) for day in range(until - days, until) for at in day_hours(day, BERLIN)}


def told(
    days: int = 40, *, today: float = 6.0, month: float = 414.0, daily: float | None = 30, monthly: float | None = 700
) -> object:
    # Wednesday, 18 June 2026, 06:00: what is left of the month is 18 hours and twelve days
    now = day_start(DAY, BERLIN) + 6 * 3600
    hours = {**by_hour(days, DAY), **{at: units(1) for at in day_hours(DAY, BERLIN)[:6]}}
    limits = [None if limit is None else units(limit) for limit in (daily, monthly)]
    return foretell(
        hours, now, BERLIN, today=units(today), month=units(month), daily_limit=limits[0], monthly_limit=limits[1]
    )


def test_a_steady_history_goes_on_steadily() -> None:
    found = told()
    assert isinstance(found, DigestForecast)
    assert found.today.expected == pytest.approx(units(24), rel=0.01)
    assert found.month.expected == pytest.approx(units(414 + 18 + 12 * 24), rel=0.01)
    assert found.today.lower <= found.today.expected <= found.today.upper
    assert sorted(found.days) == list(range(DAY, DAY + 13))
    assert all(each.expected == pytest.approx(units(24), rel=0.01) for each in found.days.values())
    assert all(each.lower <= each.expected <= each.upper for each in found.days.values())
    # the days that are drawn are the month that is told
    assert sum(each.expected for each in found.days.values()) + units(408) == pytest.approx(
        found.month.expected, rel=1e-6
    )


def test_when_limits_are_reached() -> None:
    found = told(daily=30, monthly=700)
    assert isinstance(found, DigestForecast)
    assert found.daily_limit_at is Reached.NOT
    # 286 more than 414 are spent after 286 hours
    assert isinstance(found.monthly_limit_at, int)
    expected = datetime(2026, 6, 18, 6, tzinfo=BERLIN) + timedelta(hours=286)
    assert abs(found.monthly_limit_at - expected.timestamp()) < 3600
    over = told(daily=5, monthly=None)
    assert isinstance(over, DigestForecast)
    assert over.daily_limit_at is Reached.PAST
    assert over.monthly_limit_at is Reached.NO_LIMIT


@pytest.mark.parametrize("days", [0, 1, 3])
def test_of_too_few_days_nothing_is_foretold(days: int) -> None:
    assert told(days) == TOO_LITTLE


def log_of(days: int, *extra: tuple[Series, int, HourFigures], zone: ZoneInfo = BERLIN) -> Hours:
    """A steady log of so many days through the day, with some hours of other figures."""
    usual = HourFigures(100, 0, units(1), 10_000, 1000)
    hours = {at: {STEADY: usual} for day in range(DAY - days, DAY + 1) for at in day_hours(day, zone)}
    for series, hour, figures in extra:
        at = day_hours(DAY, zone)[hour]
        hours[at] = {**hours.get(at, {}), series: figures}
    return hours


LOOP = HourFigures(400, 0, units(8), 80_000, 8000)


def test_a_loop_of_three_hours_is_one_anomaly_with_its_cause() -> None:
    found = find_anomalies(log_of(63, *((STEADY, hour, LOOP) for hour in (14, 15, 16))), DAY, BERLIN)
    assert not isinstance(found, LeftOut)
    (anomaly,) = found
    assert anomaly.subject == "email-compose, m1"
    assert anomaly.what == "$24 instead of about $3 from 14:00 to 17:00"
    assert anomaly.cause == "4 times the calls, 2 times the tokens a call"


def test_two_stretches_and_two_operations_are_told_apart_the_largest_first() -> None:
    other = Series("task-breakdown", "m2")
    extra = [(STEADY, 3, LOOP), (STEADY, 23, LOOP), (other, 9, HourFigures(50, 0, units(40), 1, 1))]
    found = find_anomalies(log_of(63, *extra), DAY, BERLIN)
    assert not isinstance(found, LeftOut)
    assert [each.subject for each in found] == ["task-breakdown, m2", "email-compose, m1", "email-compose, m1"]
    assert {each.what.partition(" from ")[2] for each in found[1:]} == {"03:00 to 04:00", "23:00 to 00:00"}


@pytest.mark.parametrize(
    "figures",
    [
        HourFigures(100, 0, units(1), 10_000, 1000),
        HourFigures(120, 0, units(1.2), 12_000, 1200),
        HourFigures(),
        HourFigures(1, 0, units(0.05), 10, 10),
    ],
)
def test_a_usual_hour_is_no_anomaly(figures: HourFigures) -> None:
    assert find_anomalies(log_of(63, (STEADY, 14, figures)), DAY, BERLIN) == ()


def test_a_little_more_of_a_small_operation_is_not_worth_a_line() -> None:
    small = Series("small", "m1")
    assert find_anomalies(log_of(63, (small, 14, HourFigures(9, 0, units(0.09), 10, 10))), DAY, BERLIN) == ()


@pytest.mark.parametrize("days", [0, 3, 10])
def test_of_a_young_log_nothing_is_called_odd(days: int) -> None:
    found = find_anomalies(log_of(days, (STEADY, 14, LOOP)), DAY, BERLIN)
    assert isinstance(found, LeftOut)
    assert "two weeks" in found.reason


def test_an_empty_log_has_no_anomaly() -> None:
    assert isinstance(find_anomalies({}, DAY, BERLIN), LeftOut)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_with_a_moved_clock_is_not_odd(day: date) -> None:
    usual = HourFigures(100, 0, units(1), 10_000, 1000)
    ordinal = day.toordinal()
    hours = {at: {STEADY: usual} for each in range(ordinal - 63, ordinal + 1) for at in day_hours(each, BERLIN)}
    assert find_anomalies(hours, ordinal, BERLIN) == ()
