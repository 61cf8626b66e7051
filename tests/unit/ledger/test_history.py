"""The first reading by the day: what lies past the horizon, as quickly as sums are made, and as exactly as ever."""

from dataclasses import fields, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger import exposed, history, schedule
from exporter.ledger.model import Changes, Phase, State, TimeRange
from tests.support.ledger_driver import SETTINGS, START, Exporter, same
from tests.support.model_log import NEGATIVE, Log

HOUR, DAY = 3600, 86400

moments = st.integers(0, 3 * DAY)
calls = st.tuples(
    moments,
    st.sampled_from(["chat", "mail"]),
    st.sampled_from(["m1", "m2"]),
    st.sampled_from([None, "ann"]),
    st.sampled_from(["success", "failed", "timeout", "pending", "odd"]),
    st.sampled_from([None, 0, 5, USD, -3]),
)
backfills = st.sampled_from([None, START - 3 * DAY, START - DAY - 1800, START - 10 * HOUR])


def log_of(found: list[tuple[int, str, str, str | None, str, int | None]]) -> Log:
    log = Log()
    log.routes = {"chat": "m2"}
    for age, operation, model, user, status, cost in found:
        log.insert(
            START - age, operation=operation, model=model, user=user, status=status, cost=cost, tokens=3, latency=9
        )
    return log


def done(log: Log, width: int, chunk: int = DAY, backfill: int | None = None, **settings: Any) -> Exporter:
    """An exporter that has read the same stretches by the day, or by the quarter-hour."""
    exporter = Exporter(log, START, replace(SETTINGS, **settings), backfill_since=backfill, width=width, chunk=chunk)
    while (span := history.next_day(exporter.state.progress, exporter.settings, START, chunk)) is not None:
        exporter.take(exporter.read(span))
    exporter.scrape()
    exporter.work()
    return exporter


def in_any_order(state: State) -> dict[str, object]:
    """A state but for what says in which order series came, and which read was which."""
    known = {each.name: getattr(state, each.name) for each in fields(state)}
    return {**known, "admitted": set(state.admitted)}


@given(found=st.lists(calls, max_size=12), backfill=backfills, chunk=st.sampled_from([900, 4500, 6 * HOUR, DAY]))
def test_by_days_the_same_is_known_as_by_quarters(
    found: list[tuple[int, str, str, str | None, str, int | None]], backfill: int | None, chunk: int
) -> None:
    by_day, by_quarter = (done(log_of(found), width, chunk, backfill) for width in (DAY, 900))
    assert in_any_order(by_day.state) == in_any_order(by_quarter.state)


@given(found=st.lists(calls, max_size=12), backfill=backfills, most=st.sampled_from([1, 2, 3]))
def test_where_places_run_short_the_quarters_say_who_gets_one(
    found: list[tuple[int, str, str, str | None, str, int | None]], backfill: int | None, most: int
) -> None:
    by_day, by_quarter = (
        done(log_of(found), width, backfill=backfill, max_series=most, ample=1) for width in (DAY, 900)
    )
    assert same(by_day.state, by_quarter.state) == []


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Etc/GMT-14"])
def test_money_lies_in_the_day_of_the_zone(zone: str) -> None:
    log = Log()
    for hours in range(24 * 3):
        log.insert(START - hours * HOUR - 1, cost=USD, user="ann")
    by_day, by_quarter = (done(log, width, zone=ZoneInfo(zone)) for width in (DAY, 900))
    assert by_day.state.days == by_quarter.state.days
    assert by_day.state.user_days == by_quarter.state.user_days
    assert len({day for day, _ in by_day.state.days}) in (2, 3, 4)


def test_a_stretch_never_mixes_days_or_what_is_counted_with_what_is_not() -> None:
    since = START - DAY - 1800
    exporter = Exporter(Log(), START, backfill_since=since, width=DAY, chunk=DAY)
    spans = []
    while (span := history.next_day(exporter.state.progress, SETTINGS, START, DAY)) is not None:
        spans.append(span)
        exporter.take(exporter.read(span))
    assert since in {span.lo for span in spans}
    assert all((span.lo // DAY) == ((span.hi - 1) // DAY) for span in spans)
    assert spans[-1].hi == START - SETTINGS.horizon
    assert exporter.state.slices == {}


def test_invalid_values_and_calls_without_a_price_are_counted_with_their_history() -> None:
    log = Log()
    log.insert(START - 2 * DAY, cost=-1, tokens=5)
    log.insert(START - 2 * DAY + 60, cost=0, tokens=5)
    exporter = done(log, DAY, backfill=START - 3 * DAY)
    assert exporter.state.skipped == {NEGATIVE: 1}
    assert exporter.count(Figure.UNPRICED) == 2
    assert exporter.state.progress.rows_read >= 2
    assert done(log, DAY).state.skipped == {}


def test_a_read_that_is_not_the_next_one_any_more_changes_nothing() -> None:
    exporter = Exporter(Log(), START, width=DAY, chunk=DAY)
    span = exporter.gap()
    assert span is not None
    read = exporter.read(span)
    exporter.take(read)
    assert exporter.plan(read) == Changes()
    assert exporter.plan(replace(read, span=TimeRange(span.hi, span.hi + 2 * DAY))) == Changes()


def test_after_the_first_reading_nothing_is_read_by_the_day() -> None:
    exporter = done(Log(), DAY)
    assert exporter.state.progress.phase == Phase.RUNNING
    assert history.next_day(exporter.state.progress, SETTINGS, START + 5 * DAY, DAY) is None
    exporter.clock += 3 * DAY
    exporter.scrape()
    assert exporter.state.progress.position > START + 3 * DAY - 60


def test_a_reading_that_was_interrupted_between_slices_goes_on_by_quarters() -> None:
    exporter = Exporter(Log(), START, width=900, chunk=DAY)
    while (span := schedule.catch_up(exporter.state, exporter.clock, DAY)) is not None and span.hi < START - 6 * HOUR:
        exporter.take(exporter.read(span))
    exporter.restart()
    exporter.width = DAY
    # what is past the horizon left no slices: a reading by quarters can be gone on with by days
    assert exporter.gap() == TimeRange(exporter.state.progress.position, START - SETTINGS.horizon)
    exporter.scrape()
    assert exporter.state.progress.phase == Phase.RUNNING
    assert exposed.started_ratio(exporter.state.progress) == 1.0


def test_a_clock_that_was_ahead_lets_no_more_be_summed_than_is_past_the_horizon() -> None:
    exporter = Exporter(Log(), START, width=DAY, chunk=DAY, lead=DAY)
    exporter.clock += DAY
    while (span := history.next_day(exporter.state.progress, SETTINGS, exporter.safe_now, DAY)) is not None:
        exporter.take(exporter.read(span))
    assert exporter.state.progress.compacted == START - SETTINGS.horizon
