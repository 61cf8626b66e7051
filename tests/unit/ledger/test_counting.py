"""What a counter does when rows come, change, go and come back."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import ERROR_CLASSES, LATENCY_EDGES, SECOND, USD
from exporter.figures import Figure
from exporter.ledger import aggregate as figures
from exporter.ledger import slices
from exporter.ledger.advance import advance, quarters_within
from exporter.ledger.exposed import spend_today, user_spend_today
from exporter.ledger.model import NO_CELL, Bucket, Cell, Changes, Series, TimeRange
from exporter.ledger.plan import Plan
from exporter.ledger.slices import with_waiting
from exporter.state.users import forget_users
from tests.support.ledger_driver import START, Exporter, started
from tests.support.model_log import NEGATIVE, Classes, Log

CHAT = Series("chat", "m1")


def spent(exporter: Exporter) -> int:
    """Today's money, of all series."""
    return sum(spend_today(exporter.state, exporter.settings).values())


def corrections(exporter: Exporter) -> int:
    """Money taken back, of all series."""
    return sum(exporter.state.corrections.values())


def histogram(exporter: Exporter) -> tuple[list[int], list[int]]:
    """Bucket counts and sums of chat."""
    total = exporter.state.totals[CHAT]
    return list(total[figures.LATENCY_COUNTS]), list(total[figures.LATENCY_SUMS])


class TestRowsThatCome:
    def test_a_row_is_counted_once_by_however_many_reads(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=3 * USD, tokens=10, latency=2 * SECOND)
        exporter.run(3600)
        total = exporter.state.totals[CHAT]
        assert [total[f] for f in (Figure.ROWS, Figure.CALLS, Figure.COST)] == [1, 1, 3 * USD]
        assert (total[Figure.INPUT_TOKENS], total[Figure.OUTPUT_TOKENS]) == (10, 20)

    def test_only_the_series_that_have_changed_are_counted_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        log = Log()
        exporter = started(log)
        for second in (0, 0, 61, 62):
            log.insert(START + second, model=f"m{second % 60}")
        exporter.run(60)
        raised: list[Cell] = []

        def raise_cell(old: Cell, current: figures.Aggregate, width: int) -> tuple[Cell, figures.Aggregate]:
            raised.append(old)
            return real(old, current, width)

        real = slices.raise_cell
        monkeypatch.setattr("exporter.ledger.advance.raise_cell", raise_cell)
        exporter.run(60)
        known = len(raised)
        exporter.front()
        assert len(raised) == known
        log.insert(START + 61, model="m1", cost=USD)
        exporter.front()
        assert len(raised) == known + 1
        assert exporter.count(Figure.COST) == USD

    def test_only_minutes_that_have_changed_are_worked_through_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        log = Log()
        exporter = started(log)
        for second in (0, 61, 62, 122):
            log.insert(START + second, model=f"m{second % 60}", user="ann", cost=USD)
        exporter.run(180)
        exporter.front()
        worked: list[int] = []
        real = Plan.overflow_labels

        def overflow_labels(
            plan: Plan, start: int, bucket: Bucket, routes: Mapping[str, str]
        ) -> dict[Series, figures.Aggregate]:
            worked.append(start)
            return real(plan, start, bucket, routes)

        monkeypatch.setattr(Plan, "overflow_labels", overflow_labels)

        def front() -> list[int]:
            worked.clear()
            exporter.front()
            return [start - START for start in worked if start in exporter.state.slices]

        quiet = front()
        assert not {0, 60, 120} & set(quiet)
        log.insert(START + 61, model="m1")
        assert set(front()) - set(quiet) == {60}
        assert front() == quiet
        # what has changed a slice without a read is made good by the next one
        exporter.commit(forget_users(exporter.state, ()))
        assert {0, 60, 120} <= set(front())
        assert user_spend_today(exporter.state, exporter.settings)["ann"] == 4 * USD
        exporter.forget(Series("chat", "m2"))
        assert 60 in front()

    def test_a_row_that_arrives_late_in_a_merged_quarter_is_counted_at_the_next_reread(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.run(3000)
        log.insert(START + 10, cost=USD)
        exporter.run(300)
        assert exporter.count(Figure.COST) == 0
        exporter.run(1500)
        assert exporter.count(Figure.COST) == USD
        assert exporter.state.progress.late_rows == 1

    def test_a_row_dated_ahead_is_counted_when_it_is_due(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START + 500)
        exporter.run(480)
        assert exporter.count(Figure.ROWS) == 0
        exporter.run(60)
        assert exporter.count(Figure.ROWS) == 1
        assert exporter.state.progress.late_rows == 0

    def test_rows_written_after_the_clock_was_set_back_are_counted_by_the_next_scrape(self) -> None:
        log = Log()
        exporter = started(log)
        exporter.run(3600)
        exporter.clock -= 3000
        log.insert(exporter.clock - 20, cost=USD)
        exporter.scrape()
        assert exporter.count(Figure.COST) == USD

    def test_now_waits_for_a_clock_that_steps_back_a_little(self) -> None:
        exporter = started(Log())
        exporter.clock -= 60
        exporter.scrape()
        assert exporter.state.progress.now == START

    def test_a_clock_that_is_set_back_further_is_followed(self) -> None:
        exporter = started(Log())
        exporter.clock -= 5000
        exporter.scrape()
        assert exporter.state.progress.now == START - 5000

    def test_rows_of_a_gap_of_days_are_all_counted(self) -> None:
        log = Log()
        exporter = started(log)
        for hour in range(70):
            log.insert(START + hour * 3600, cost=USD)
        exporter.clock += 70 * 3600
        exporter.scrape()
        assert exporter.count(Figure.COST) == 70 * USD


class TestRowsThatChange:
    def test_cost_and_latency_filled_in_later_are_counted_then(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, status="running", cost=None)
        exporter.wait(60)
        assert exporter.count(Figure.CALLS) == 0
        log.update(row, status="failed", cost=USD, latency=SECOND, error="network")
        exporter.wait(60)
        total = exporter.state.totals[CHAT]
        assert (total[Figure.ROWS], total[Figure.CALLS], total[Figure.COST]) == (1, 1, USD)
        assert total[figures.FAILURES][ERROR_CLASSES.index("network")] == 1

    def test_a_figure_that_flickers_counts_once_and_the_rest_is_a_correction(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=5)
        for cost, counted, taken_back in ((5, 5, 0), (0, 5, 5), (5, 5, 0), (2, 5, 3), (6, 6, 0)):
            log.update(row, cost=cost)
            exporter.wait(10)
            assert (exporter.count(Figure.COST), corrections(exporter), spent(exporter)) == (counted, taken_back, cost)

    def test_money_is_counted_whatever_the_status(self) -> None:
        log = Log()
        exporter = started(log)
        for status in ("pending", "odd", "failed", "timeout", "success"):
            log.insert(START, status=status, cost=1)
        exporter.wait(10)
        assert exporter.count(Figure.COST) == 5
        assert exporter.count(Figure.CALLS) == 3

    def test_a_latency_that_moves_to_another_bucket_leaves_a_valid_histogram(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, latency=SECOND // 20)
        exporter.wait(10)
        log.update(row, latency=500 * SECOND)
        exporter.wait(10)
        counts, sums = histogram(exporter)
        assert (counts[0], counts[-1], sum(counts)) == (1, 1, 2)
        assert (sums[0], sums[-1]) == (SECOND // 20, 500 * SECOND)
        assert len(counts) == len(LATENCY_EDGES) + 1

    def test_the_first_token_comes_with_its_call(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, status="running", first_token=SECOND)
        exporter.wait(60)
        counts, sums = figures.HISTOGRAMS["time_to_first_token"]
        assert not any(exporter.state.totals[CHAT][counts])
        log.update(row, status="failed")
        exporter.wait(60)
        total = exporter.state.totals[CHAT]
        assert (sum(total[counts]), sum(total[sums])) == (1, SECOND)
        assert not any(total[figures.LATENCY_COUNTS])


def failures(exporter: Exporter) -> dict[str, int]:
    """The failures of chat by class."""
    counted = exporter.state.totals[CHAT][figures.FAILURES]
    return {name: count for name, count in zip(ERROR_CLASSES, counted, strict=True) if count}


class TestFailuresOfAnotherClass:
    """One call is one failure, of the class that it was counted by."""

    @pytest.mark.parametrize("age", [30, 1800, 2 * 3600], ids=["in the window", "in a quarter", "hours later"])
    @pytest.mark.parametrize(
        "change",
        [{"error": "rate_limit"}, {"status": "timeout"}, {"error": "rate_limit", "cost": 7}],
        ids=["message", "timeout", "with its cost"],
    )
    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_class_that_changes_counts_no_second_failure(
        self, age: int, change: Mapping[str, object], *, restarted: bool
    ) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START + 10, status="failed", latency=SECOND)
        exporter.run(age, 30)
        log.update(row, **change)
        if restarted:
            exporter.restart()
        exporter.run(5 * 3600, 300)
        assert failures(exporter) == {"other": 1}
        assert exporter.count(Figure.CALLS) == 1

    def test_it_may_change_to_and_fro(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START + 10, status="failed")
        for error in ("other", "rate_limit", "timeout", "other", "rate_limit"):
            row = log.update(row, error=error)
            exporter.run(600, 60)
        exporter.run(3600, 300)
        assert failures(exporter) == {"other": 1}

    def test_one_that_comes_at_the_same_time_counts(self) -> None:
        log = Log()
        exporter = started(log)
        rows = [log.insert(START + 10, status="failed", error="rate_limit") for _ in range(3)]
        exporter.wait(30)
        for row in rows:
            log.update(row, error="other")
        log.insert(START + 10, status="failed", error="other")
        log.insert(START + 10, status="timeout")
        exporter.wait(30)
        assert failures(exporter) == {"rate_limit": 3, "timeout": 1, "other": 1}
        log.insert(START + 10, status="failed", error="rate_limit")
        exporter.run(3600, 300)
        assert failures(exporter) == {"rate_limit": 4, "timeout": 1, "other": 1}

    def test_one_that_is_gone_and_comes_back_in_another_class_counts_once(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START + 10, status="failed")
        exporter.wait(30)
        log.delete(row)
        exporter.wait(30)
        log.put(replace(row, error="rate_limit"))
        exporter.run(3600, 300)
        assert failures(exporter) == {"other": 1}

    def test_a_call_that_fails_after_all_counts_then(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START + 10)
        exporter.run(1800, 60)
        row = log.update(row, status="failed", error="rate_limit")
        exporter.run(3 * 3600, 300)
        assert failures(exporter) == {"rate_limit": 1}
        log.update(row, status="success")
        exporter.run(2 * 3600, 300)
        assert failures(exporter) == {"rate_limit": 1}

    @pytest.mark.parametrize("settings", [{"m1": "m2"}, {}], ids=["renamed", "as before"])
    def test_the_class_may_change_while_settings_are_taken_up(self, settings: Mapping[str, str]) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START + 10, status="failed")
        exporter.run(3600, 300)
        log.update(row, error="rate_limit")
        exporter.reconfigure(Classes(settings, timeout=600))
        exporter.run(2 * 3600, 300)
        assert sum(sum(total[figures.FAILURES]) for total in exporter.state.totals.values()) == 1

    @given(data=st.data())
    def test_failures_are_the_most_that_there_ever_were(self, data: st.DataObject) -> None:
        counts = st.lists(st.integers(0, 3), min_size=len(ERROR_CLASSES), max_size=len(ERROR_CLASSES))
        reads = data.draw(st.lists(counts, min_size=1, max_size=6))
        cell, counted = NO_CELL, figures.ZERO
        for read in reads:
            current = (*figures.ZERO[: figures.FAILURES.start], *read, *figures.ZERO[figures.FAILURES.stop :])
            cell, rise = slices.raise_cell(cell, current, data.draw(st.sampled_from([60, 900])))
            assert min(rise) >= 0
            assert all(mark >= now for mark, now in zip(cell.high_water, current, strict=True))
            counted = figures.add(counted, rise)
            assert sum(cell.high_water[figures.FAILURES]) == sum(counted[figures.FAILURES])
        assert sum(counted[figures.FAILURES]) == max(map(sum, reads))


class TestRefunds:
    def test_they_are_counted_and_taken_off_what_was_spent(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=5, user="ann")
        log.insert(START, refund=7, user="ann")
        exporter.wait(10)
        assert (exporter.count(Figure.COST), exporter.count(Figure.REFUNDS), spent(exporter)) == (5, 7, -2)
        assert user_spend_today(exporter.state, exporter.settings) == {"ann": -2}
        exporter.run(5 * 3600, 300)
        assert (exporter.count(Figure.COST), exporter.count(Figure.REFUNDS), corrections(exporter)) == (5, 7, 0)

    def test_one_that_goes_is_a_correction_below_0(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=5)
        for cost, refund, known in ((5, 0, (5, 0, 0)), (0, 3, (5, 3, 5)), (0, 0, (5, 3, 2)), (6, 0, (6, 3, -3))):
            log.update(row, cost=cost, refund=refund)
            exporter.wait(10)
            assert (exporter.count(Figure.COST), exporter.count(Figure.REFUNDS), corrections(exporter)) == known
            assert spent(exporter) == cost - refund == known[0] - known[1] - known[2]

    @pytest.mark.parametrize("age", [1200, 7200, 3 * 3600])
    def test_one_that_comes_late_is_found(self, age: int) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=5)
        exporter.run(age, 300)
        log.insert(START + 1, refund=2)
        exporter.run(2 * 3600 + 1200, 300)
        assert (exporter.count(Figure.COST), exporter.count(Figure.REFUNDS), corrections(exporter)) == (5, 2, 0)


class TestRowsThatGo:
    @pytest.mark.parametrize("age", [60, 1200, 3600])
    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_row_deleted_and_written_again_counts_once(self, age: int, restarted: bool) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=7, tokens=3, latency=SECOND)
        log.insert(START + 1, cost=1)
        exporter.run(age)
        before = exporter.state.totals[CHAT]
        log.delete(row)
        exporter.run(2 * 3600 + 1200)
        assert (exporter.count(Figure.COST), corrections(exporter), spent(exporter)) == (8, 7, 1)
        if restarted:
            exporter.restart()
        log.put(row)
        exporter.run(2 * 3600)
        # what waits for the merge may not have been counted before
        assert with_waiting(exporter.state.totals[CHAT], before) == before
        assert (exporter.count(Figure.EXPECTED_COST), exporter.count(Figure.CHECKED)) == (21, 2)
        assert (corrections(exporter), spent(exporter)) == (0, 8)

    def test_a_new_row_beside_a_deleted_one_counts_only_above_the_mark(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=5)
        exporter.wait(10)
        log.delete(row)
        log.insert(START, cost=8)
        exporter.wait(10)
        assert (exporter.count(Figure.COST), corrections(exporter)) == (8, 0)

    def test_what_changes_after_the_horizon_moves_nothing(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=5)
        exporter.run(5 * 3600, 300)
        log.delete(row)
        log.insert(START + 1, cost=9)
        exporter.run(5 * 3600, 300)
        assert (exporter.count(Figure.COST), corrections(exporter)) == (5, 0)

    def test_money_taken_back_stays_a_correction_after_the_horizon(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=5)
        exporter.wait(10)
        log.delete(row)
        exporter.run(12 * 3600, 300)
        assert (exporter.count(Figure.COST), corrections(exporter), exporter.state.slices.get(START)) == (5, 5, None)


class TestUnpricedCalls:
    def test_they_wait_for_the_quarters_merge(self) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, tokens=5, cost=None)
        exporter.run(900)
        assert exporter.count(Figure.UNPRICED) == 0
        exporter.run(300)
        assert exporter.count(Figure.UNPRICED) == 1

    def test_a_price_that_comes_before_the_merge_makes_none(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, tokens=5, cost=None)
        exporter.run(600)
        log.update(row, cost=1)
        exporter.run(1800)
        assert exporter.count(Figure.UNPRICED) == 0

    def test_those_known_at_the_start_are_not_counted(self) -> None:
        log = Log()
        log.insert(START - 30, tokens=5, cost=None)
        exporter = started(log)
        exporter.run(3600)
        assert exporter.count(Figure.UNPRICED) == 0

    def test_a_free_model_has_none(self) -> None:
        log = Log()
        exporter = started(log, classes=Classes(free=frozenset({"m1"})))
        log.insert(START, tokens=5, cost=None)
        exporter.run(1800)
        assert exporter.count(Figure.UNPRICED) == 0


class TestUnusableValues:
    def test_they_are_counted_once_and_the_rest_of_the_row_counts(self) -> None:
        log = Log()
        exporter = started(log)
        row = log.insert(START, cost=-4, tokens=6)
        exporter.run(7200, 300)
        assert exporter.state.skipped == {NEGATIVE: 1}
        assert exporter.count(Figure.INPUT_TOKENS) == 6
        log.delete(row)
        exporter.run(3600, 300)
        assert exporter.state.skipped == {NEGATIVE: 1}

    def test_those_known_at_the_start_are_not_counted(self) -> None:
        log = Log()
        log.insert(START - 30, cost=-4)
        exporter = started(log)
        exporter.run(1800)
        assert exporter.state.skipped == {}
        log.insert(START - 30, cost=-4)
        exporter.run(3600, 300)
        assert exporter.state.skipped == {NEGATIVE: 1}


def test_planning_changes_nothing() -> None:
    log = Log()
    exporter = started(log)
    log.insert(START, cost=1)
    before = exporter.disk.load()
    changes = exporter.plan(exporter.read(TimeRange(START - 180, START + 1)))
    assert exporter.state == before
    assert exporter.state.ahead(changes).totals[CHAT][Figure.COST] == 1
    assert exporter.state == before


def test_changes_planned_on_top_of_others_may_be_committed_with_them() -> None:
    log = Log()
    exporter = started(log)
    log.insert(START, cost=1, user="ann")
    whole, state = Changes(), exporter.state
    for minute in range(30):
        log.insert(START + 60 * minute, cost=1, user="ann")
        exporter.clock += 60
        stored = {q: exporter.disk.slice_users.get(q, {}) for q in quarters_within(state, window(exporter))}
        changes = advance(state, exporter.read(window(exporter)), exporter.settings, stored)
        state = state.ahead(changes)
        whole.follow(changes)
    exporter.commit(whole)
    assert exporter.state == state == exporter.disk.load()
    assert exporter.count(Figure.COST) == 31


def window(exporter: Exporter) -> TimeRange:
    """What a scrape would read that has not forgotten anything since the first one."""
    return TimeRange(START - 180, exporter.clock + 1)
