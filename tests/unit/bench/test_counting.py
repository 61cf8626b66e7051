"""What the bench counts: rises of counters, round trips on a wire, samples of a page."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contenders import by_label, parsed, samples_on
from bench.exactness import Seen, wrong
from bench.processes import Page
from bench.users import evening_zone
from bench.wire import waits_in


def seen(*values: float) -> Seen:
    found = Seen()
    for value in values:
        found.add({"calls": {"series": value}})
    return found


@pytest.mark.parametrize(
    ("values", "counted", "falls"),
    [
        ((5,), 0, 0),
        ((5, 5), 0, 0),
        ((5, 7, 8), 3, 0),
        ((5, 7, 6), 8, 1),
        ((5, 0, 5), 5, 1),
        ((1000, 999, 998), 1997, 2),
    ],
)
def test_a_fall_counts_as_a_restart_from_zero(values: tuple[float, ...], counted: float, falls: int) -> None:
    found = seen(*values)
    assert found.counted.get("calls", 0) == counted
    assert found.falls == falls
    assert found.scrapes == len(values)


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_a_counter_that_never_falls_is_counted_exactly(rises: list[int]) -> None:
    values = [sum(rises[: number + 1]) for number in range(len(rises))]
    assert seen(*values).counted.get("calls", 0) == values[-1] - values[0]


def test_a_series_that_is_new_is_not_a_rise() -> None:
    found = Seen()
    found.add({"calls": {"a": 1.0}})
    found.add({"calls": {"a": 2.0, "b": 50.0}})
    found.add({"calls": {"a": 2.0, "b": 51.0}})
    assert found.counted == {"calls": 2.0}


def test_a_wrong_figure_is_one_that_sql_does_not_say() -> None:
    assert wrong({"a": 1.0, "b": 2.0, "gone": 3.0, "nothing": 0.0}, {"a": 1.0, "b": 2.5, "not shown": 9.0}) == 2


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def said(*messages: bytes) -> bytes:
    startup = (8).to_bytes(4) + (196608).to_bytes(4)
    return startup + b"".join(messages)


PIPELINE = [message(b"P", b"S" * 20), message(b"B", b""), message(b"E", b"Q"), message(b"S", b"")]


@pytest.mark.parametrize(
    ("data", "waits"),
    [
        (said(), 0),
        (said(message(b"p", b"secret")), 0),
        (said(message(b"Q", b"SELECT 1\0")), 1),
        (said(*PIPELINE), 1),
        (said(*PIPELINE, *PIPELINE[:3], *PIPELINE), 2),
        (said(message(b"Q", b"BEGIN\0"), *PIPELINE, message(b"X", b"")), 2),
    ],
)
@given(cuts=st.lists(st.integers(0, 100)))
def test_round_trips_are_counted_however_the_bytes_arrive(data: bytes, waits: int, cuts: list[int]) -> None:
    counter = waits_in()
    next(counter)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    assert sum(counter.send(piece) for piece in pieces) == waits


def test_a_page_is_read_and_counted() -> None:
    page = Page(b'# HELP a_total x\n# TYPE a_total counter\na_total{user="u"} 1\na_total{user="v"} 2\n\nb 3\n', 1.0)
    assert samples_on(page) == 3
    assert by_label(parsed(page), "a_total", "user") == {"u": 1.0, "v": 2.0}


@pytest.mark.parametrize("hour", range(24))
def test_in_an_evening_zone_the_last_hours_are_of_one_day(hour: int) -> None:
    now = datetime(2026, 11, 26, hour, 59, tzinfo=UTC)
    zone = ZoneInfo(evening_zone(hour))
    assert now.astimezone(zone).date() == (now - timedelta(hours=12)).astimezone(zone).date()
