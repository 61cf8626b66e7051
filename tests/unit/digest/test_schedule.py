"""A digest is due once a day, whatever clocks and restarts do."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.digest.schedule import LATE, due, following, planned

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
SIX = time(6)
MOMENTS = st.floats(1_767_225_600, 1_830_297_600)  # two years from 2026


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


@pytest.mark.parametrize(
    ("now", "sent", "expected"),
    [
        ("2026-06-10T05:59:59", None, None),
        ("2026-06-10T06:00", None, "2026-06-10"),
        ("2026-06-10T06:00", "2026-06-09", "2026-06-10"),
        ("2026-06-10T06:00", "2026-06-10", None),
        ("2026-06-10T07:00", "2026-06-09", "2026-06-10"),
        ("2026-06-10T11:59:59", "2026-06-09", "2026-06-10"),
        ("2026-06-10T12:00", "2026-06-09", None),
        # the host's clock was ahead
        ("2026-06-10T06:00", "2026-06-12", None),
    ],
)
def test_what_is_due(now: str, sent: str | None, expected: str | None) -> None:
    found = due(at(now), SIX, ZoneInfo("UTC"), None if sent is None else day(sent))
    assert (None if found is None else date.fromordinal(found.day).isoformat()) == expected


def test_what_was_due_before_midnight_is_still_owed_after_it() -> None:
    found = due(at("2026-06-11T01:00"), time(23), ZoneInfo("UTC"), None)
    assert found is not None
    assert (found.day, found.planned) == (day("2026-06-10"), at("2026-06-10T23:00"))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        # clocks go from 02:00 to 03:00: 02:30 is the moment at which it would have been
        ("2026-03-29", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        # clocks go from 03:00 to 02:00: the first 02:30
        ("2026-10-25", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-06-10", datetime(2026, 6, 10, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_time_that_the_clock_skips_or_repeats(of: str, expected: datetime) -> None:
    assert planned(day(of), time(2, 30), ZoneInfo("Europe/Berlin")) == expected.timestamp()


@given(
    st.sampled_from(ZONES),
    st.times().map(lambda each: each.replace(second=0, microsecond=0)),
    MOMENTS,
    st.lists(st.integers(1, 20 * 3600), min_size=5, max_size=60),
)
def test_each_day_has_one_digest_and_none_has_two(zone: str, of: time, begin: float, steps: list[int]) -> None:
    here, now, sent = ZoneInfo(zone), begin, None
    found: list[int] = []
    for step in steps:
        now += step
        owed = due(now, of, here, sent)
        if owed is not None:
            assert 0 <= now - owed.planned < LATE
            found.append(owed.day)
            sent = owed.day
    assert found == sorted(set(found))


@given(st.sampled_from(ZONES), st.times(), MOMENTS)
def test_the_next_moment_is_the_first_one_that_is_due(zone: str, of: time, begin: float) -> None:
    here, now = ZoneInfo(zone), begin
    moment = following(now, of, here)
    assert now < moment <= now + timedelta(hours=50).total_seconds()
    owed = due(moment, of, here, None)
    assert owed is not None
    assert owed.planned == moment
