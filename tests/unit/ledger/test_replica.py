"""A ledger that reads a replica: what is replayed late is on time, however long the replica stood still."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.figures import Figure
from exporter.ledger import schedule
from exporter.ledger.model import SpanRead, TimeRange
from exporter.ledger.schedule import hold_back, longest_lag
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Log

BOUND = 60
LATEST = SETTINGS.window - 60
"""Seconds before its commit that a row of these tests is dated at most."""


@dataclass
class Replica(Exporter):
    """Reads a replica that holds what was committed until `complete` (None: everything), at `time` by its clock."""

    complete: int | None = None
    time: int = START

    def read(self, span: TimeRange) -> SpanRead:
        return replace(super().read(span), complete=self.complete)

    @property
    def safe_now(self) -> int:
        return super().safe_now if self.complete is None else min(super().safe_now, self.complete)

    def turn(self) -> None:
        """A scrape, and the background worker's work, which rests while the replica is behind."""
        self.clock = self.time
        if self.complete is not None:
            self.clock = hold_back(self.time, self.state.progress.now, self.complete, self.settings)
        if self.complete is None or self.time - self.complete <= BOUND:
            self.scrape()
            self.work()
        elif schedule.is_current(self.state.progress, self.clock):
            self.front()


class Primary:
    """Rows that were committed, and the replica's log, which gets them when they are replayed."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.pending: list[int] = []
        self.written = 0

    def commit(self, at: int) -> None:
        self.pending.append(at)
        self.written += 1

    def replay(self) -> None:
        for at in self.pending:
            self.log.insert(at)
        self.pending.clear()


def replica(log: Log) -> Replica:
    exporter = Replica(log, START, time=START)
    exporter.scrape()
    exporter.work()
    return exporter


def test_the_start_is_as_that_of_any_exporter() -> None:
    assert replica(Log()).state.progress == started(Log()).state.progress


@pytest.mark.parametrize("minutes", [4, 20, 50, 58, 59, 90, 600])
@pytest.mark.parametrize("restarts", [False, True])
def test_rows_that_are_replayed_after_minutes_or_hours_are_on_time(minutes: int, restarts: bool) -> None:
    primary = Primary(Log())
    exporter = replica(primary.log)
    exporter.complete = START
    for _ in range(minutes):
        primary.commit(exporter.time + 30)
        exporter.time += 60
        exporter.turn()
        assert exporter.count(Figure.ROWS) == 0
        assert exporter.state.progress.closed <= START - SETTINGS.window
    if restarts:
        exporter.state = exporter.disk.load()
    primary.replay()
    exporter.complete = None
    exporter.time += 15
    exporter.turn()
    assert exporter.count(Figure.ROWS) == minutes
    assert exporter.state.progress.late_rows == 0


def test_the_open_window_reaches_back_only_as_far_as_the_replica_lacks_something() -> None:
    exporter = replica(Log())
    exporter.time += 3600
    exporter.turn()
    exporter.complete = exporter.time - 600
    span = schedule.front(exporter.state, exporter.time, exporter.settings)
    assert span is not None
    # what was closed before stays closed
    assert exporter.time - span.lo <= SETTINGS.window + 60
    exporter.time += 300
    exporter.turn()
    span = schedule.front(exporter.state, exporter.time, exporter.settings)
    assert span is not None
    assert span.lo == exporter.state.progress.closed


def test_time_stands_still_where_the_replica_is_behind_for_long() -> None:
    lag = longest_lag(SETTINGS)
    assert hold_back(START, START - 60, START - 1, SETTINGS) == START
    assert hold_back(START, START - 60, START - lag, SETTINGS) == START
    assert hold_back(START, START - 60, START - lag - 100, SETTINGS) == START - 60
    assert hold_back(START, START - 900, START - lag - 100, SETTINGS) == START - 100
    # a clock that was set back is followed
    assert hold_back(START, START + 900, START - lag - 100, SETTINGS) == START
    assert hold_back(START, None, START - lag - 100, SETTINGS) == START


def test_nothing_is_folded_before_the_replica_is_complete() -> None:
    read = SpanRead(TimeRange(START - 60, START), START, {}, safe_now=START - 5, complete=START - 600)
    assert (read.whole_until, read.irrevocable) == (START - 600, START - 600)
    assert replace(read, safe_now=START - 900).irrevocable == START - 900
    assert replace(read, complete=None).whole_until == START
    assert replace(read, complete=START + 99).whole_until == START


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "stand still", "replay", "turn", "turn", "turn", "silence", "restart"]),
            st.integers(min_value=1, max_value=200),
            st.integers(min_value=0, max_value=LATEST),
        ),
        min_size=10,
        max_size=40,
    )
)
def test_every_row_is_counted_once_and_on_time(steps: list[tuple[str, int, int]]) -> None:
    primary = Primary(Log())
    exporter = replica(primary.log)
    stands_still = False
    shown = 0
    for step, seconds, late in steps:
        exporter.time += {"turn": seconds, "silence": 20 * seconds}.get(step, 0)
        if not stands_still:
            primary.replay()
        match step:
            case "write":
                primary.commit(exporter.time - late)
                if not stands_still:
                    primary.replay()
            case "stand still" if not stands_still:
                stands_still, exporter.complete = True, exporter.time
            case "replay":
                stands_still, exporter.complete = False, None
                primary.replay()
            case "turn":
                exporter.turn()
                assert exporter.count(Figure.ROWS) >= shown
                shown = exporter.count(Figure.ROWS)
            case "restart":
                exporter.state = exporter.disk.load()
    primary.replay()
    exporter.complete = None
    exporter.turn()
    assert exporter.count(Figure.ROWS) == primary.written
    assert exporter.state.progress.late_rows == 0
