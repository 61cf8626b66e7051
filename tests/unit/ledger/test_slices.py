"""When slices close, merge, are read again and fold, and what a stale read may do."""

from dataclasses import replace

import pytest

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger import schedule
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR
from exporter.ledger.exposed import in_progress, user_spend_today
from exporter.ledger.model import Series, SpanRead, TimeRange
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Log

CHAT = Series("chat", "m1")
HOUR = 3600


class TestClosing:
    def test_a_minute_closes_only_by_a_read_past_its_age(self) -> None:
        exporter = started(Log())
        exporter.clock = START + 239
        exporter.scrape()
        assert exporter.state.progress.closed == START
        exporter.clock = START + 240
        assert exporter.state.progress.closed == START
        exporter.scrape()
        assert exporter.state.progress.closed == START + 60

    def test_a_read_that_leaves_a_hole_closes_nothing(self) -> None:
        exporter = started(Log())
        exporter.clock += 280
        closed, position = exporter.state.progress.closed, exporter.state.progress.position
        exporter.take(exporter.read(TimeRange(START + 60, exporter.clock + 1)))
        assert exporter.state.progress.closed == closed
        assert exporter.state.progress.position == position

    def test_a_row_committed_at_the_end_of_the_window_is_counted_by_the_scrape(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.clock = START + 239
        exporter.scrape()
        log.insert(START + 1)
        exporter.clock = START + 299
        exporter.scrape()
        assert exporter.count(Figure.ROWS) == 1
        assert exporter.state.progress.late_rows == 0


class TestRowsInProgress:
    def test_their_minute_stays_open_until_they_end(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, status="pending")
        exporter.run(1800)
        assert exporter.state.slices[START].held
        log.update(row, status="success", cost=USD)
        exporter.clock += 30
        exporter.scrape()
        assert exporter.count(Figure.COST) == USD
        assert exporter.state.progress.late_rows == 0
        assert schedule.oldest_open(exporter.state) > START

    def test_for_an_hour_at_most(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, status="running")
        exporter.run(HOUR)
        assert exporter.state.slices[START].held
        assert exporter.state.progress.merged == START
        exporter.run(60)
        assert exporter.state.progress.merged == START + 3 * QUARTER_HOUR
        assert in_progress(exporter.state)["running"] == (1, START)

    def test_a_row_that_comes_while_they_are_waited_for_is_not_late(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, status="running")
        exporter.run(600)
        log.insert(START + 1)
        exporter.wait(10)
        assert exporter.count(Figure.ROWS) == 2
        assert exporter.state.progress.late_rows == 0

    def test_they_are_found_by_the_merge_where_they_came_late(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.clock = START + 1080
        while (gap := schedule.catch_up(exporter.state, exporter.clock, HOUR)) is not None:
            exporter.take(exporter.read(gap))
        exporter.front()
        log.insert(START + 70, status="running")
        log.insert(START + 80, status="running")
        log.insert(START + 200, status="pending")
        exporter.work()
        assert exporter.state.progress.merged == START
        assert exporter.state.slices[START + 60].held
        assert in_progress(exporter.state) == {"running": (2, START + 70.0), "pending": (1, START + 200.0)}

    def test_a_held_minute_is_read_again_after_a_gap(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, status="running")
        exporter.run(600)
        exporter.clock += 1200
        log.update(row, status="success")
        exporter.scrape()
        assert exporter.count(Figure.CALLS) == 1


class TestRereads:
    def test_a_quarter_is_read_at_each_age_and_folds_at_the_horizon(self) -> None:
        exporter = started(Log(), settings=replace(SETTINGS, horizon=48 * HOUR))
        exporter.run(1800, 300)
        seen: list[int] = []

        def note(read: SpanRead, rebased: bool) -> None:
            if read.span.lo <= START < read.span.hi:
                seen.append(read.now - START - QUARTER_HOUR)

        exporter.applied = note
        exporter.run(50 * HOUR, 300)
        assert [age // HOUR for age in seen] == [1, 4, 12, 24, 48]
        assert exporter.state.progress.compacted > START

    def test_nothing_folds_before_the_horizon(self) -> None:
        exporter = started(Log())
        assert exporter.state.progress.compacted == START - 4 * HOUR
        exporter.wait(QUARTER_HOUR - 1)
        assert exporter.state.progress.compacted == START - 4 * HOUR
        exporter.wait(1)
        assert exporter.state.progress.compacted == START - 4 * HOUR + QUARTER_HOUR

    @pytest.mark.parametrize("days", [1, 3])
    def test_after_any_gap_everything_past_the_horizon_folds(self, days: int) -> None:
        exporter = started(Log())
        exporter.clock += days * 24 * HOUR
        exporter.scrape()
        exporter.work()
        exporter.run(2 * HOUR, 300)
        progress = exporter.state.progress
        assert progress.now - progress.compacted < exporter.settings.horizon + 2 * QUARTER_HOUR

    def test_after_the_horizon_was_shortened_everything_past_it_folds(self) -> None:
        exporter = started(Log(), settings=replace(SETTINGS, horizon=24 * HOUR))
        exporter.run(30 * HOUR, 300)
        exporter.restart(horizon=3 * HOUR)
        exporter.run(HOUR, 300)
        assert exporter.state.progress.now - exporter.state.progress.compacted < 3 * HOUR + 2 * QUARTER_HOUR

    def test_runs_are_no_longer_than_asked(self) -> None:
        exporter = started(Log())
        exporter.chunk = 2 * QUARTER_HOUR
        for _ in range(3 * HOUR // 300):
            exporter.clock += 300
            exporter.scrape()
        merge = schedule.next_merge(exporter.state, exporter.chunk)
        assert merge == TimeRange(exporter.state.progress.merged, exporter.state.progress.merged + 2 * QUARTER_HOUR)
        exporter.clock += HOUR
        exporter.scrape()
        while (merge := schedule.next_merge(exporter.state, exporter.chunk)) is not None:
            exporter.take(exporter.read(merge))
        reread = schedule.next_reread(exporter.state, exporter.clock, exporter.settings, exporter.chunk)
        assert reread is not None
        assert reread.hi - reread.lo == 2 * QUARTER_HOUR

    def test_the_worker_has_nothing_to_do_before_the_first_reading_is_done(self) -> None:
        exporter = Exporter(Log(), START)
        assert exporter.next_work() is None

    def test_the_horizon_is_the_last_age(self) -> None:
        assert schedule.reread_ages(SETTINGS.horizon) == (HOUR, 4 * HOUR)
        assert schedule.stage_at(HOUR - 1, SETTINGS) == 0
        assert schedule.stage_at(HOUR, SETTINGS) == 1
        assert schedule.stage_at(5 * HOUR, SETTINGS) == 2


class TestGaps:
    def test_a_short_one_is_the_scrapes(self) -> None:
        exporter = started(Log())
        assert schedule.catch_up(exporter.state, START + 301, HOUR) is None
        assert schedule.front(exporter.state, START + 301, SETTINGS) == TimeRange(START - 180, START + 302)

    def test_a_long_one_is_caught_up_in_chunks_of_the_length_asked(self) -> None:
        exporter = started(Log())
        assert schedule.front(exporter.state, START + 302, SETTINGS) is None
        exporter.clock += 5 * HOUR
        ends = []
        while (gap := schedule.catch_up(exporter.state, exporter.clock, HOUR)) is not None:
            ends.append(gap.hi)
            exporter.take(exporter.read(gap))
        # from the last merge on, which lies a quarter-hour back
        assert ends == [*(START + HOUR * n - QUARTER_HOUR for n in (1, 2, 3, 4, 5)), START + 5 * HOUR]
        assert schedule.front(exporter.state, exporter.clock, SETTINGS) == TimeRange(
            exporter.clock - 180, exporter.clock + 1
        )

    @pytest.mark.parametrize("width", [MINUTE, QUARTER_HOUR])
    @pytest.mark.parametrize("opened", [60, 700, 2 * HOUR])
    def test_what_is_settled_is_merged_by_the_read_that_catches_it_up(self, width: int, opened: int) -> None:
        """So that no more than the last hour or so is ever held by the minute, however long the gap is."""
        log = Log()
        exporter = started(log, width=width)
        exporter.restart(window=opened)
        spent: dict[str, int] = {}
        for seconds in range(0, 9 * HOUR, 70):
            user = f"user-{seconds % 11}"
            spent[user] = spent.get(user, 0) + seconds
            log.insert(START + seconds, cost=seconds, user=user)
        log.insert(START - 100, status="running")
        exporter.scrape()
        exporter.clock += 9 * HOUR
        most = 0
        while (gap := schedule.catch_up(exporter.state, exporter.clock, HOUR)) is not None:
            exporter.take(exporter.read(gap))
            most = max(most, sum(item.width == MINUTE for item in exporter.state.slices.values()))
        assert most * MINUTE <= max(opened, HOUR) + 2 * QUARTER_HOUR + MINUTE
        exporter.scrape()
        exporter.run(2 * HOUR, 300)
        assert exporter.count(Figure.ROWS) == len(log.rows)
        assert user_spend_today(exporter.state, exporter.settings) == spent

    def test_a_quarter_that_cannot_be_merged_after_all_is_read_by_the_minute(self) -> None:
        """A scrape, after a clock that was set back, has read a part of it in the meantime."""
        log = Log()
        exporter = started(log, width=QUARTER_HOUR)
        exporter.run(600)
        log.insert(START + 100, user="ann", cost=5)
        exporter.scrape()
        exporter.restart()
        exporter.clock += 5 * HOUR
        gap = schedule.catch_up(exporter.state, exporter.clock, HOUR)
        assert gap is not None
        stale = exporter.read(gap)
        assert stale.width == QUARTER_HOUR
        exporter.clock -= 5 * HOUR
        log.insert(START + 300, user="ann", cost=7)
        exporter.front()
        exporter.clock += 5 * HOUR
        before = exporter.state.progress
        exporter.take(stale)
        assert exporter.state.progress == replace(before, now=stale.now)
        exporter.run(HOUR, 300)
        assert exporter.count(Figure.COST) == 12
        assert user_spend_today(exporter.state, exporter.settings) == {"ann": 12}

    def test_the_front_reaches_down_to_a_clock_that_was_set_back_but_not_past_what_is_folded(self) -> None:
        exporter = started(Log())
        exporter.run(HOUR)
        clock = exporter.clock - 1500
        assert schedule.front(exporter.state, clock, SETTINGS) == TimeRange(
            START + 2 * QUARTER_HOUR, exporter.clock + 1
        )
        compacted = exporter.state.progress.compacted
        assert schedule.front(exporter.state, clock - 48 * HOUR, SETTINGS) == TimeRange(compacted, exporter.clock + 1)

    def test_a_quarter_of_which_only_the_first_minute_was_read_is_merged_whole(self) -> None:
        """The process stops between the last chunk and the open window; the merge finds what was known, and no more."""
        exporter = Exporter(Log(), START + 70, replace(SETTINGS, window=60))
        while (gap := schedule.catch_up(exporter.state, exporter.clock, 5 * HOUR)) is not None:
            exporter.take(exporter.read(gap))
        assert exporter.state.progress.position == START + 60
        exporter.restart()
        exporter.clock += 2400
        exporter.scrape()
        merged = exporter.state.progress.merged
        assert merged > START
        assert {item.width for start, item in exporter.state.slices.items() if start < merged} == {QUARTER_HOUR}


class TestStaleReads:
    def test_an_older_snapshot_replaces_nothing_that_a_newer_one_has_read(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.clock += 30
        log.insert(START, cost=5)
        stale = exporter.read(TimeRange(START - 180, exporter.clock + 1))
        log.insert(START + 1, cost=7)
        exporter.scrape()
        exporter.take(stale)
        assert exporter.state.slices[START].cells[CHAT].current[Figure.COST] == 12

    def test_a_merge_overtaken_by_a_scrape_is_left_to_the_next_merge(self) -> None:
        """The clock is set back, so that a scrape reads what the worker is just merging."""
        log = Log()
        exporter = started(log)
        log.insert(START + 100, user="ann", cost=5)
        exporter.clock += 280
        exporter.scrape()
        for _ in range(4):
            exporter.clock += 200
            exporter.scrape()
        span = schedule.next_merge(exporter.state, HOUR)
        assert span is not None
        assert span.hi == START + QUARTER_HOUR
        merge = exporter.read(span)
        exporter.clock -= 700
        log.insert(START + 300, user="ann", cost=7)
        exporter.scrape()
        exporter.take(merge)
        exporter.work()
        assert {item.width for start, item in exporter.state.slices.items() if start < START + QUARTER_HOUR} == {
            QUARTER_HOUR
        }
        exporter.clock += 700
        exporter.run(2 * HOUR)
        assert user_spend_today(exporter.state, exporter.settings) == {"ann": 12}

    def test_an_older_snapshot_does_not_replace_a_newer_one_that_found_nothing_new(self) -> None:
        """A slice that a read leaves as it was must still know that it was read."""
        log = Log()
        exporter = started(log)
        exporter.clock += 30
        exporter.scrape()
        row = log.insert(START, cost=5)
        stale = exporter.read(TimeRange(START - 180, exporter.clock + 1))
        log.delete(row)
        exporter.scrape()
        exporter.take(stale)
        assert exporter.state.slices[START].cells == {}

    def test_the_place_among_reads_does_not_survive_the_process(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.restart()
        exporter.sequence = 0
        log.insert(START)
        exporter.wait(10)
        assert exporter.count(Figure.ROWS) == 1


@pytest.mark.parametrize("width", [60, QUARTER_HOUR])
def test_merged_slices_may_be_read_by_minutes_or_by_quarters(width: int) -> None:
    log = Log()
    exporter = started(log, width=width)
    for second in range(0, HOUR, 100):
        log.insert(START + second, cost=1, user="ann")
    exporter.run(HOUR)
    for second in range(0, HOUR, 200):
        log.insert(START + second, cost=1, user="bob")
    exporter.run(3 * HOUR, 300)
    assert exporter.count(Figure.COST) == 36 + 18
    assert exporter.state.progress.late_rows == 18
    assert user_spend_today(exporter.state, exporter.settings) == {"ann": 36, "bob": 18}
    assert sum(cell.current[Figure.ROWS] for s in exporter.state.slices.values() for cell in s.cells.values()) > 0
