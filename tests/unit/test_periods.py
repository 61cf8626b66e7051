"""Periods are understood as people and public systems write them, and never taken for what they are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.periods import MOST_DAYS, Period, parse_period

UNDERSTOOD = {
    "day": Period("day", days=1),
    "Daily": Period("day", days=1),
    "1d": Period("day", days=1),
    "24h": Period("day", days=1),
    "86400s": Period("day", days=1),
    "week": Period("week", days=7),
    " weekly ": Period("week", days=7),
    "7d": Period("7d", days=7),
    "1w": Period("7d", days=7),
    "168h": Period("7d", days=7),
    "2w": Period("14d", days=14),
    "30d": Period("30d", days=30),
    "030d": Period("30d", days=30),
    "30 d": Period("30d", days=30),
    "720H": Period("30d", days=30),
    "43200m": Period("30d", days=30),
    "month": Period("month", months=1),
    "MONTHLY": Period("month", months=1),
    "1mo": Period("month", months=1),
    "3mo": Period("3mo", months=3),
}


@pytest.mark.parametrize("written", UNDERSTOOD)
def test_a_period_is_understood(written: str) -> None:
    assert parse_period(written) == UNDERSTOOD[written]


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "0d",
        "1h",
        "12h",
        "36h",
        "90m",
        "1.5d",
        "-7d",
        "30",
        "d",
        "fortnight",
        "None",
        "null",
        "30d30d",
        "1y",
        "١d",
    ],
)
def test_what_is_no_whole_number_of_days_is_no_period(written: str) -> None:
    assert parse_period(written) is None


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{1,4}(mo|[smhdw])", fullmatch=True))
def test_whatever_is_understood_has_days_or_months_and_is_understood_by_its_name(written: str) -> None:
    period = parse_period(written)
    if period is not None:
        assert bool(period.days) != bool(period.months)
        assert parse_period(period.name) == period


@pytest.mark.parametrize(
    ("written", "too_long"), [("92d", False), ("93d", True), ("3mo", False), ("4mo", True), ("52w", True)]
)
def test_three_months_are_the_longest(written: str, too_long: bool) -> None:
    period = parse_period(written)
    assert period is not None
    assert period.is_too_long == too_long
    assert (period.most_days > MOST_DAYS) == too_long
