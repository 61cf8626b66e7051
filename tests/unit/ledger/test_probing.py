"""Late rows are found by sums of each slice: which slices are looked at, what is read again, and when that ends."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import SECOND, USD
from exporter.figures import SUMMED, Figure
from exporter.ledger import probing, schedule
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR, floor_to
from exporter.ledger.model import Series, TimeRange
from exporter.ledger.probing import MOST_TRIES, ROUNDS, ProbeMemory, Sums, held_sums
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Log
from tests.support.oracle import Oracle

CHAT = Series("chat", "m1")
LONG = replace(SETTINGS, horizon=48 * HOUR)

late_rows = st.lists(
    st.tuples(
        st.integers(0, 4 * HOUR),
        st.sampled_from(["success", "failed", "timeout", "pending", "odd"]),
        st.sampled_from([None, 1, USD]),
        st.sampled_from([None, SECOND, 70 * SECOND]),
    ),
    max_size=8,
)


def living(log: Log, seconds: int = 3 * HOUR, **settings: Any) -> Exporter:
    """An exporter that has run for some hours."""
    exporter = started(log, **settings)
    exporter.run(seconds, 300)
    return exporter


def spans_of(exporter: Exporter) -> list[TimeRange]:
    """What the next round looks at."""
    asked = probing.next_round(exporter.memory, exporter.state, exporter.now)
    return [*asked.recent, *asked.older]


@given(late_rows, late_rows, st.integers(0, QUARTER_HOUR))
def test_after_a_round_every_row_is_read_as_it_is_now(
    before: list[tuple[int, str, int | None, int | None]],
    after: list[tuple[int, str, int | None, int | None]],
    offset: int,
) -> None:
    log = Log()
    clock = START + offset
    for age, status, cost, latency in before:
        log.insert(clock - age, status=status, cost=cost, latency=latency)
    exporter = Exporter(log, clock, LONG)
    oracle = Oracle(exporter)
    exporter.scrape()
    exporter.work()
    for row in list(log.rows.values())[::2]:
        log.update(row, status="success", cost=7)
    for row in list(log.rows.values())[1::4]:
        log.delete(row)
    for age, status, cost, latency in after:
        # with tokens, so that a new row never looks like one that was deleted
        log.insert(clock - age, status=status, cost=cost, latency=latency, tokens=1)
    exporter.find_late_rows()
    exporter.front()
    oracle.check_read(exporter.state.progress.compacted)


class TestWhatIsLookedAt:
    def test_every_closed_slice_within_the_horizon_in_the_first_round(self) -> None:
        exporter = living(Log(), settings=LONG)
        progress = exporter.state.progress
        spans = spans_of(exporter)
        assert len(set(spans)) == len(spans)
        covered = {second for span in spans for second in range(span.lo, span.hi, MINUTE)}
        assert covered == set(range(progress.compacted, progress.closed, MINUTE))

    def test_the_last_hour_in_every_round_and_the_rest_in_turn(self) -> None:
        exporter = living(Log(), settings=LONG)
        exporter.find_late_rows()
        assert not exporter.memory.whole
        seen: set[TimeRange] = set()
        for _ in range(ROUNDS):
            spans = spans_of(exporter)
            assert {span for span in spans if span.hi > exporter.now - HOUR} == {
                span for span in exporter_slices(exporter) if span.hi > exporter.now - HOUR
            }
            assert len(spans) < len(exporter_slices(exporter)) / 3
            seen.update(spans)
            exporter.look()
        assert seen == exporter_slices(exporter)

    def test_all_of_it_once_an_older_slice_was_found_to_differ(self) -> None:
        log = Log()
        for age in range(0, 47 * HOUR, 600):
            log.insert(START - age)
        exporter = started(log, settings=LONG)
        exporter.find_late_rows()
        for row in list(log.rows.values()):
            log.update(row, cost=5)
        exporter.look()
        first = exporter.reread_suspects()
        exporter.look()
        rest = exporter.reread_suspects()
        assert len(first) + len(rest) <= 60 * HOUR // exporter.chunk
        exporter.front()
        assert sum(held_sums(item).columns["cost"] for item in exporter.state.slices.values()) == 5 * len(log.rows)

    def test_nothing_before_the_first_reading_is_done(self) -> None:
        exporter = Exporter(Log(), START)
        assert spans_of(exporter) == []

    def test_a_round_that_had_no_time_for_all_goes_on_where_it_ended(self) -> None:
        exporter = living(Log(), settings=LONG)
        asked = probing.next_round(ProbeMemory(), exporter.state, exporter.now)
        some = {span: exporter.sums(span) for span in (*asked.recent, *asked.older[:7])}
        memory = probing.judge(ProbeMemory(), asked, exporter.state.slices, some, 10**9)
        assert memory.whole
        again = probing.next_round(memory, exporter.state, exporter.now)
        assert again.older[0] == asked.older[7]
        assert set(again.older) == set(asked.older)


def exporter_slices(exporter: Exporter) -> set[TimeRange]:
    """The slices that no scrape reads again."""
    until = schedule.oldest_open(exporter.state)
    return {TimeRange(s.start, s.start + s.width) for s in exporter.state.slices.values() if s.start < until}


class TestWhatIsReadAgain:
    def test_nothing_while_nothing_changes(self) -> None:
        log = Log()
        for age in range(0, 5 * HOUR, 100):
            log.insert(START - age, cost=age, latency=age * SECOND, status="failed" if age % 3 else "odd")
        exporter = living(log, HOUR)
        for _ in range(3):
            assert exporter.find_late_rows() == []

    def test_neighbours_together_and_no_more_than_asked_at_once(self) -> None:
        log = Log()
        exporter = living(log, settings=LONG)
        exporter.chunk = HOUR
        quarter = floor_to(exporter.clock - 4 * HOUR, QUARTER_HOUR)
        for number in range(6):
            log.insert(quarter + number * QUARTER_HOUR + 7)
        log.insert(quarter - 3 * QUARTER_HOUR)
        assert exporter.find_late_rows() == [
            TimeRange(quarter + 2 * QUARTER_HOUR, quarter + 6 * QUARTER_HOUR),
            TimeRange(quarter, quarter + 2 * QUARTER_HOUR),
            TimeRange(quarter - 3 * QUARTER_HOUR, quarter - 2 * QUARTER_HOUR),
        ]
        assert exporter.count(Figure.ROWS) == 7
        assert exporter.state.progress.late_rows == 7

    def test_the_minutes_before_one_that_is_held(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START + 480, status="pending")
        exporter.run(1800)
        assert exporter.state.slices[START + 480].held
        log.insert(START + 10)
        log.insert(START + 470)
        assert exporter.find_late_rows() == [
            TimeRange(START + 420, START + 480),
            TimeRange(START, START + 60),
        ]
        assert exporter.count(Figure.ROWS) == 3

    def test_a_call_that_begins_late_and_ends_later(self) -> None:
        log = Log()
        exporter = living(log)
        row = log.insert(exporter.clock - 2 * HOUR, status="pending", cost=None)
        exporter.find_late_rows()
        log.update(row, status="success", cost=USD)
        exporter.find_late_rows()
        assert exporter.count(Figure.CALLS) == 1
        assert exporter.count(Figure.COST) == USD

    def test_not_what_a_newer_read_has_replaced(self) -> None:
        log = Log()
        exporter = living(log)
        at = exporter.clock - 2 * HOUR
        log.insert(at)
        exporter.look()
        span = TimeRange(floor_to(at, QUARTER_HOUR), floor_to(at, QUARTER_HOUR) + QUARTER_HOUR)
        exporter.take(exporter.read(span))
        assert exporter.reread_suspects() == []

    def test_a_probe_older_than_the_slice_says_nothing_of_it(self) -> None:
        log = Log()
        exporter = living(log)
        at = exporter.clock - 2 * HOUR
        asked = probing.next_round(exporter.memory, exporter.state, exporter.now)
        stale = {span: exporter.sums(span) for span in (*asked.recent, *asked.older)}
        sequence = exporter.sequence + 1
        exporter.sequence += 1
        log.insert(at)
        exporter.take(exporter.read(TimeRange(floor_to(at, QUARTER_HOUR), floor_to(at, QUARTER_HOUR) + QUARTER_HOUR)))
        assert probing.judge(exporter.memory, asked, exporter.state.slices, stale, sequence).suspects == ()


class TestWhatCannotBeSettled:
    def judged(self, exporter: Exporter, more: int) -> list[TimeRange]:
        """A round whose probe of one slice always finds `more` rows than there are."""
        span = TimeRange(START, START + QUARTER_HOUR)
        asked = probing.next_round(exporter.memory, exporter.state, exporter.now)
        true = exporter.sums(span)
        exporter.sequence += 1
        found = {span: true._replace(rows=true.rows + more)}
        exporter.memory = probing.judge(exporter.memory, asked, exporter.state.slices, found, exporter.sequence)
        return exporter.reread_suspects()

    def test_it_is_read_once_and_again_when_it_changes(self) -> None:
        log = Log()
        exporter = living(log)
        assert self.judged(exporter, 1) == [TimeRange(START, START + QUARTER_HOUR)]
        assert self.judged(exporter, 1) == []
        log.insert(START + 1)
        assert self.judged(exporter, 1) == [TimeRange(START, START + QUARTER_HOUR)]
        assert self.judged(exporter, 1) == []
        assert exporter.count(Figure.ROWS) == 1

    def test_a_probe_that_never_finds_the_same_twice_ends_as_well(self) -> None:
        exporter = living(Log())
        read = [self.judged(exporter, 1 + number) for number in range(10)]
        assert sum(map(len, read)) == MOST_TRIES

    def test_once_it_agrees_it_is_forgotten(self) -> None:
        exporter = living(Log())
        self.judged(exporter, 1)
        assert exporter.memory.unresolved
        self.judged(exporter, 0)
        assert not exporter.memory.unresolved

    def test_what_has_folded_is_forgotten(self) -> None:
        exporter = living(Log())
        self.judged(exporter, 1)
        exporter.run(6 * HOUR, 300)
        exporter.find_late_rows()
        assert not exporter.memory.unresolved


def test_sums_are_those_of_all_series() -> None:
    log = Log()
    log.insert(START - 2 * HOUR, cost=3, tokens=5, latency=SECOND)
    log.insert(START - 2 * HOUR, model="m2", cost=4, tokens=1, latency=70 * SECOND, status="timeout")
    log.insert(START - 2 * HOUR, model="m2", cost=1, status="pending")
    exporter = started(log)
    quarter = exporter.quarter(floor_to(START - 2 * HOUR, QUARTER_HOUR))
    columns = {**dict.fromkeys(SUMMED, 0), "cost": 8, "input_tokens": 6, "output_tokens": 12}
    assert held_sums(quarter) == Sums(rows=3, calls=2, failures=1, latency=71 * SECOND, columns=columns)
    assert held_sums(quarter) == exporter.sums(TimeRange(quarter.start, quarter.start + QUARTER_HOUR))
