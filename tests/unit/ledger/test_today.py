"""The current day comes first: what a first reading shows of it, and what it shows of nothing else."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from exporter.catalog import USD
from exporter.ledger import exposed, schedule
from exporter.ledger.calendar import day_of
from exporter.ledger.model import Bucket, Changes, LedgerSettings, Phase, Series, SpanRead, State, TimeRange
from exporter.ledger.today import begin_today, next_of_today, read_today, same_names, today_settings
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Classes, Log

MINUTE, HOUR, DAY = 60, 3600, 86400
CHAT = Series("chat", "m1")
ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Etc/GMT-12", "Etc/GMT+11"]


def log_of_days() -> Log:
    log = Log()
    for quarter in range(3 * 96):
        log.insert(START - quarter * 900 - 1, cost=USD, user="ann" if quarter % 2 else None)
    log.insert(START - 100, cost=3, status="running")
    return log


def read_front(state: State, log: Log, clock: int, settings: LedgerSettings) -> State:
    span = schedule.front(state, clock, settings)
    assert span is not None
    return read_today(state, log.read(span, clock, Classes(), 99), settings)


def day_read(log: Log, clock: int = START, length: int = DAY, zone: str = "UTC") -> State:
    """The day's ledger once it has been read, as the background reader and a scrape do it."""
    settings = today_settings(replace(SETTINGS, zone=ZoneInfo(zone)))
    state = begin_today(clock, settings)
    while (span := next_of_today(state, clock, clock, settings, length)) is not None:
        # up to a day as one, and the rest by the minute
        whole = state.progress.position == span.lo and span.hi <= clock - settings.horizon
        state = read_today(
            state, log.read(span, clock, Classes(), width=max(900, span.hi - span.lo) if whole else MINUTE), settings
        )
        assert state.progress.phase == Phase.STARTING
    return read_front(state, log, clock, settings)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("length", [900, 5 * HOUR, DAY])
@pytest.mark.parametrize("ago", [0, 11 * HOUR + 1800, 11 * HOUR + 3540])
def test_it_is_what_the_whole_reading_will_say_of_the_day(zone: str, length: int, ago: int) -> None:
    log, clock = log_of_days(), START - ago
    state, whole = (
        day_read(log, clock, length, zone),
        started(log, clock, settings=replace(SETTINGS, zone=ZoneInfo(zone))),
    )
    assert state.progress.phase == Phase.RUNNING
    for shown in (exposed.spend_today, exposed.user_spend_today):
        assert shown(state, whole.settings) == shown(whole.state, whole.settings)


def test_it_goes_on_with_the_open_window_and_with_the_next_day() -> None:
    log = log_of_days()
    state, settings, clock = day_read(log), today_settings(SETTINGS), START
    while day_of(clock, SETTINGS.zone) == day_of(START, SETTINGS.zone):
        clock += 280
        log.insert(clock - 1, cost=7)
        state = read_front(state, log, clock, settings)
    spent = sum(row.cost or 0 for row in log.rows.values() if row.at >= clock - clock % DAY)
    assert exposed.spend_today(state, SETTINGS) == {CHAT: spent}


def test_a_pause_is_caught_up_before_it_is_shown_again() -> None:
    log = log_of_days()
    state, settings, clock = day_read(log), today_settings(SETTINGS), START + 2 * HOUR
    log.insert(START + HOUR, cost=5)
    assert schedule.front(state, clock, settings) is None
    while (span := next_of_today(state, clock, clock, settings, DAY)) is not None:
        state = read_today(state, log.read(span, clock, Classes(), 100), settings)
    state = read_front(state, log, clock, settings)
    assert exposed.spend_today(state, SETTINGS) == {CHAT: 48 * USD + 8}


def test_the_ledger_before_a_read_stays_as_it_is() -> None:
    log, settings = log_of_days(), today_settings(SETTINGS)
    state = begin_today(START, settings)
    before = state.ahead(Changes())
    span = next_of_today(state, START, START, settings, HOUR)
    assert span is not None
    assert read_today(state, log.read(span, START, Classes(), width=HOUR), settings).progress.position == span.hi
    assert state == before


def test_until_the_first_reading_is_done_only_the_day_is_shown() -> None:
    log = log_of_days()
    exporter = Exporter(log, START, chunk=6 * HOUR)
    gap = exporter.gap()
    assert gap is not None
    exporter.take(exporter.read(gap))
    exporter.state.shown_users["ann"] = day_of(START, SETTINGS.zone)
    nothing = exposed.take_snapshot(exporter.state, exporter.state, SETTINGS)
    assert (nothing.gauges, nothing.counters) == (None, None)
    shown = exposed.take_snapshot(exporter.state, exporter.state, SETTINGS, day_read(log))
    assert shown.counters is None
    assert shown.gauges is not None
    assert shown.gauges.spend_today == {CHAT: 48 * USD + 3}
    assert shown.gauges.shown_users == {"ann"}
    assert set(shown.gauges.windows) == {"day"}
    assert (shown.gauges.spend_month, shown.gauges.in_progress) == (None, None)
    assert not shown.gauges.seen_operations
    exporter.scrape()
    done = exposed.take_snapshot(exporter.state, exporter.state, SETTINGS, day_read(log))
    assert done.counters is not None
    assert done.gauges is not None
    assert done.gauges.spend_month is not None


def test_a_user_of_several_reads_has_one_name_in_memory() -> None:
    def read(*users: dict[str, int]) -> SpanRead:
        buckets = {MINUTE * number: Bucket(users=of_minute) for number, of_minute in enumerate(users)}
        return SpanRead(TimeRange(0, HOUR), HOUR, buckets)

    # made anew each time, as by a read
    ann, again, bob = (bytes(name, "ascii").decode() for name in ("ann", "ann", "bob"))
    known: dict[str, str] = {}
    first, second = read({ann: 1}, {bob: 2}), read({}, {again: 3, "cat": 4})
    assert [same_names(first, known), same_names(second, known)] == [first, second]
    assert set(known) == {"ann", "bob", "cat"}
    assert next(iter(same_names(second, known).buckets[MINUTE].users)) is ann
