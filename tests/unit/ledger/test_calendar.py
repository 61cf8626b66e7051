"""Days and months in the budget's zone, on every kind of day."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger import calendar
from exporter.ledger.calendar import QUARTER_HOUR, day_of, day_window, month_window
from exporter.ledger.exposed import spend_month, spend_today, user_spend_today
from exporter.ledger.model import LedgerSettings, Series
from tests.support.ledger_driver import started
from tests.support.model_log import Log

ZONES = ("UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia")
CHAT = Series("chat", "m1")
HOUR = 3600


def at(text: str, zone: str) -> int:
    """Seconds since the epoch of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@pytest.mark.parametrize(
    ("moment", "zone", "hours"),
    [
        ("2026-03-08T12:00", "America/New_York", 23),
        ("2026-11-01T12:00", "America/New_York", 25),
        ("2026-03-29T00:00", "Europe/Berlin", 23),
        ("2026-10-25T23:59", "Europe/Berlin", 25),
        ("2026-10-04T12:00", "Australia/Lord_Howe", 23.5),
        ("2026-04-05T12:00", "Australia/Lord_Howe", 24.5),
        ("2018-11-04T12:00", "America/Sao_Paulo", 23),
        ("2026-07-01T00:00", "Asia/Kathmandu", 24),
    ],
)
def test_days_have_as_many_hours_as_their_zone_gives_them(moment: str, zone: str, hours: float) -> None:
    window = day_window(at(moment, zone), ZoneInfo(zone))
    assert window.end - window.start == hours * HOUR


def test_a_day_begins_after_a_midnight_that_the_clock_skips() -> None:
    zone = "America/Sao_Paulo"
    window = day_window(at("2018-11-04T12:00", zone), ZoneInfo(zone))
    assert window.start == at("2018-11-04T01:00", zone)


def test_months_end_where_the_next_begins() -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    window = month_window(at("2026-12-31T23:59", "Asia/Kathmandu"), zone)
    assert (window.start, window.end) == (at("2026-12-01", "Asia/Kathmandu"), at("2027-01-01", "Asia/Kathmandu"))
    assert datetime.fromtimestamp(window.start, UTC).strftime("%d %H:%M") == "30 18:15"


@given(st.integers(at("2005-01-01", "UTC"), at("2037-01-01", "UTC")), st.sampled_from(ZONES))
def test_every_moment_lies_in_its_day_and_month_and_no_quarter_in_two(moment: int, name: str) -> None:
    zone = ZoneInfo(name)
    local = datetime.fromtimestamp(moment, zone)
    assert day_of(moment, zone) == local.toordinal()
    for window, same in ((day_window(moment, zone), "%Y-%m-%d"), (month_window(moment, zone), "%Y-%m")):
        assert window.start <= moment < window.end
        edges = ((window.start - 1, False), (window.start, True), (window.end - 1, True), (window.end, False))
        for edge, inside in edges:
            there = datetime.fromtimestamp(edge, zone)
            assert (there.strftime(same) == local.strftime(same)) == inside
        assert window.start % QUARTER_HOUR == 0
    assert calendar.floor_to(moment, QUARTER_HOUR) <= moment < calendar.floor_to(moment, QUARTER_HOUR) + QUARTER_HOUR


@pytest.mark.parametrize(
    ("zone", "noon"),
    [
        ("America/New_York", "2026-11-01T12:00"),
        ("America/New_York", "2026-03-08T12:00"),
        ("Australia/Lord_Howe", "2026-10-04T12:00"),
        ("Asia/Kathmandu", "2026-02-01T12:00"),
    ],
)
def test_spend_of_the_day_is_that_of_its_rows_and_begins_anew_at_midnight(zone: str, noon: str) -> None:
    log, clock = Log(), at(noon, zone)
    settings = LedgerSettings(180, 4 * HOUR, 50, 60, ZoneInfo(zone))
    window = day_window(clock, settings.zone)
    log.insert(window.start - 1, cost=1, user="ann")
    log.insert(window.start, cost=10, user="ann")
    exporter = started(log, clock, settings=settings)
    log.insert(window.end - 1, cost=100, user="ann")
    log.insert(window.end, cost=1000, user="ann")
    exporter.run(window.end - clock - 30, 300)
    exporter.clock = window.end - 1
    exporter.scrape()
    assert spend_today(exporter.state, settings) == {CHAT: 110}
    assert user_spend_today(exporter.state, settings) == {"ann": 110}
    exporter.wait(1)
    assert spend_today(exporter.state, settings) == {CHAT: 1000}
    assert user_spend_today(exporter.state, settings) == {"ann": 1000}
    log.insert(window.end - 2, cost=7, user="ann")
    exporter.wait(60)
    assert spend_today(exporter.state, settings) == {CHAT: 1000}
    eve = 0 if noon[8:10] == "01" else 1  # a first of the month leaves the day before to another one
    assert spend_month(exporter.state, settings) == {CHAT: 1117 + eve}


def test_sums_of_days_that_no_gauge_shows_are_dropped() -> None:
    log, clock = Log(), at("2026-03-30T12:00", "UTC")
    exporter = started(log, clock)
    for day in range(4):
        log.insert(clock + day * 24 * HOUR, cost=1, user="ann")
        exporter.run(24 * HOUR, 300)
    first = day_of(clock, exporter.settings.zone)
    assert {day - first for day, _ in exporter.state.days} == {2, 3}
    assert {day - first for day, _ in exporter.state.user_days} == {3}
    assert spend_month(exporter.state, exporter.settings) == {CHAT: 2}
