"""The first reading, and how a series comes into view."""

from dataclasses import replace

import pytest

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger import exposed, schedule
from exporter.ledger.advance import begin
from exporter.ledger.aggregate import ZERO
from exporter.ledger.model import Phase, Series, TimeRange
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import Classes, Log

CHAT = Series("chat", "m1")
DAY = 86400


def history() -> Log:
    """A dollar every two hours for three days, by one user."""
    log = Log()
    for hours in range(2, 74, 2):
        log.insert(START - hours * 3600, cost=USD, user="ann", tokens=1)
    return log


class TestFirstReading:
    def test_without_backfill_history_is_known_and_not_counted(self) -> None:
        log = history()
        exporter = started(log)
        assert exporter.counters() == {CHAT: ZERO}
        assert exposed.spend_today(exporter.state, exporter.settings) == {CHAT: 6 * USD}
        assert exposed.spend_month(exporter.state, exporter.settings) == {CHAT: 18 * USD}
        assert exposed.user_spend_today(exporter.state, exporter.settings) == {"ann": 6 * USD}
        exporter.run(6 * 3600, 300)
        assert exporter.counters() == {CHAT: ZERO}

    def test_every_later_change_counts(self) -> None:
        log = history()
        exporter = started(log)
        log.insert(START - 3700, cost=5)
        log.update(log.rows[1], cost=USD + 2)
        exporter.run(5 * 3600, 300)
        assert exporter.counters()[CHAT][Figure.COST] == 7
        assert exporter.counters()[CHAT][Figure.ROWS] == 1

    def test_known_money_that_goes_is_a_correction(self) -> None:
        log = history()
        exporter = started(log)
        log.delete(log.rows[1])
        exporter.run(3 * 3600, 300)
        assert exporter.counters()[CHAT] == ZERO
        assert exporter.state.corrections == {CHAT: USD}

    def test_a_row_that_goes_while_history_is_read_is_not_taken_back(self) -> None:
        log = history()
        exporter = Exporter(log, START, chunk=900)
        row = log.insert(START - 100, cost=5)
        while (gap := schedule.catch_up(exporter.state, exporter.clock, 6 * 3600)) is not None:
            exporter.take(exporter.read(gap))
        log.delete(row)
        exporter.scrape()
        assert exporter.state.corrections == {}
        assert exporter.state.slices[START - 120].cells[CHAT].high_water == ZERO

    def test_with_backfill_history_is_counted_from_its_quarter_on(self) -> None:
        exporter = started(history(), backfill_since=START - DAY - 3 * 3600 + 100)
        assert exporter.counters()[CHAT][Figure.COST] == 13 * USD
        assert exporter.state.progress.late_rows == 0

    def test_backfill_may_begin_before_the_month(self) -> None:
        log = history()
        log.insert(START - 40 * DAY, cost=USD)
        exporter = started(log, backfill_since=START - 40 * DAY)
        assert exporter.counters()[CHAT][Figure.COST] == 37 * USD
        assert exposed.spend_month(exporter.state, exporter.settings) == {CHAT: 18 * USD}

    def test_backfill_may_begin_later_than_reading_does(self) -> None:
        exporter = started(history(), backfill_since=START - 3 * 3600)
        assert exporter.counters()[CHAT][Figure.COST] == USD
        assert exposed.spend_month(exporter.state, exporter.settings) == {CHAT: 18 * USD}

    @pytest.mark.parametrize("backfill", [None, START - 2 * DAY])
    def test_counters_appear_only_when_it_is_done(self, backfill: int | None) -> None:
        exporter = Exporter(history(), START, backfill_since=backfill)
        ratios = []
        while (gap := schedule.catch_up(exporter.state, exporter.clock, 6 * 3600)) is not None:
            ratios.append(exposed.started_ratio(exporter.state.progress))
            exporter.take(exporter.read(gap))
            assert exporter.counters() == {}
            assert exporter.state.progress.phase == Phase.STARTING
        assert ratios == sorted(ratios)
        assert ratios[0] == 0.0
        assert ratios[-1] < 1.0
        exporter.front()
        assert exposed.started_ratio(exporter.state.progress) == 1.0
        assert exporter.counters()[CHAT][Figure.COST] == (0 if backfill is None else 24 * USD)

    @pytest.mark.parametrize("backfill", [None, START - DAY])
    def test_stopping_after_any_chunk_changes_nothing(self, backfill: int | None) -> None:
        whole = started(history(), backfill_since=backfill)
        parts = Exporter(history(), START, backfill_since=backfill)
        while (gap := schedule.catch_up(parts.state, parts.clock, 7 * 900)) is not None:
            parts.plan(parts.read(gap))
            parts.restart()
            parts.take(parts.read(gap))
            parts.restart()
        parts.scrape()
        parts.work()
        for part in ("totals", "days", "user_days", "admitted", "corrections", "slices"):
            assert getattr(parts.state, part) == getattr(whole.state, part)

    def test_it_begins_at_the_horizon_early_in_a_month(self) -> None:
        month = START - 36 * 3600
        assert begin(month + 3600, SETTINGS).position == month - 3 * 3600
        assert begin(month + 5 * 3600, SETTINGS).position == month

    def test_an_empty_ledger_that_has_no_past_to_read_is_done_at_once(self) -> None:
        exporter = Exporter(Log(), START)
        exporter.state.progress = replace(exporter.state.progress, began=START, now=START)
        assert exposed.started_ratio(exporter.state.progress) <= 1.0


class TestNewSeries:
    def test_it_is_at_zero_for_the_hold_and_gauges_do_not_wait(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3)
        seen = [(exporter.wait(20)[CHAT][Figure.COST], exporter.clock - START) for _ in range(5)]
        assert seen == [(0, 20), (0, 40), (0, 60), (3, 80), (3, 100)]
        assert exposed.spend_today(exporter.state, exporter.settings) == {CHAT: 3}

    @pytest.mark.parametrize(("interval", "lives"), [(5, 3), (15, 3), (30, 5), (40, 5), (60, 5)])
    def test_a_restart_loop_shorter_than_the_hold_keeps_no_series_at_zero(self, interval: int, lives: int) -> None:
        """Each process is killed after 42 s, or after its first scrape where that comes later."""
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3)
        exporter.wait(1)
        for _ in range(lives):
            exporter.restart()
            for _ in range(max(1, 42 // interval)):
                exporter.wait(interval)
        assert exporter.counters()[CHAT][Figure.COST] == 3

    def test_time_without_a_process_does_not_count_as_shown(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3)
        exporter.wait(10)
        exporter.restart()
        assert exporter.wait(3600)[CHAT] == ZERO

    def test_a_restart_within_the_hold_goes_on_with_it(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3)
        exporter.wait(20)
        exporter.restart()
        seen = [(exporter.wait(20)[CHAT][Figure.COST], exporter.clock - START) for _ in range(5)]
        assert seen == [(0, 40), (0, 60), (0, 80), (3, 100), (3, 120)]

    def test_a_restart_after_the_hold_shows_what_was_shown(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3)
        exporter.run(120)
        exporter.restart()
        assert exporter.counters()[CHAT][Figure.COST] == 3

    def test_a_longer_hold_in_the_configuration_hides_nothing_that_was_shown(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3)
        exporter.run(120)
        assert exporter.counters()[CHAT][Figure.COST] == 3
        exporter.restart(zero_hold=600)
        assert exporter.counters()[CHAT][Figure.COST] == 3
        exporter.wait(10)
        assert exporter.counters()[CHAT][Figure.COST] == 3

    def test_the_hold_begins_with_a_scrape_and_not_with_the_worker(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.run(4000)
        log.insert(START + 20, cost=3)
        exporter.clock += 2 * 3600
        while (gap := schedule.catch_up(exporter.state, exporter.clock, 3600)) is not None:
            exporter.take(exporter.read(gap))
        exporter.work()
        assert exporter.count(Figure.COST) == 3
        exporter.clock += 200
        exporter.front()
        assert exporter.counters()[CHAT] == ZERO
        exporter.clock += 60
        exporter.front()
        assert exporter.counters()[CHAT][Figure.COST] == 3

    def test_routes_are_at_zero_from_the_start(self) -> None:
        log = Log()
        log.routes = {"chat": "m1"}
        exporter = started(log)
        assert exporter.counters() == {CHAT: ZERO}
        log.insert(START, cost=3)
        # every scraper gets to see the zero, also one that comes a minute after the first start
        assert exporter.wait(10)[CHAT] == ZERO
        assert exporter.wait(60)[CHAT][Figure.COST] == 3

    def test_labels_that_change_while_history_is_counted_appear_with_their_total(self) -> None:
        """Changed settings begin the first reading again: their series belong to the history and wait for nothing."""
        log = history()
        exporter = Exporter(log, START, backfill_since=START - 2 * DAY)
        half = schedule.catch_up(exporter.state, exporter.clock, DAY)
        assert half is not None
        exporter.take(exporter.read(half))
        exporter.reconfigure(Classes(names={"m1": "new"}))
        exporter.scrape()
        assert exporter.state.progress.phase == Phase.RUNNING
        total = exporter.count(Figure.COST, Series("chat", "new"))
        assert total > 0
        assert exporter.counters()[Series("chat", "new")][Figure.COST] == total


def test_only_the_front_ends_the_first_reading() -> None:
    exporter = Exporter(Log(), START)
    exporter.take(exporter.read(TimeRange(START - 300, START + 1)))
    assert exporter.state.progress.phase == Phase.STARTING
