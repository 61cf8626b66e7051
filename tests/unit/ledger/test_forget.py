"""Series that somebody ends: nothing else moves, and what comes back under their name counts once."""

from dataclasses import replace

import pytest

from exporter.figures import Figure
from exporter.ledger import schedule
from exporter.ledger.exposed import counters, spend_month, spend_today
from exporter.ledger.forget import forget
from exporter.ledger.model import OTHER, Series
from tests.support.ledger_driver import SETTINGS, START, Exporter, same, started
from tests.support.model_log import Classes, Log

GONE, KEPT = Series("random", "m1"), Series("chat", "m1")


def with_rows(log: Log, max_series: int = 50) -> Exporter:
    """Both series have rows: counted, merged, and in the open window; one row of each was deleted since."""
    exporter = started(log, settings=replace(SETTINGS, max_series=max_series))
    for _ in range(4):
        for operation in ("random", "chat"):
            log.insert(exporter.clock, operation=operation, cost=100)
        exporter.run(600)
    lost = [log.insert(exporter.clock, operation=operation, cost=107) for operation in ("random", "chat")]
    exporter.wait(10)
    for row in lost:
        log.delete(row)
    for operation in ("random", "chat"):
        log.insert(exporter.clock, operation=operation, cost=100)
    exporter.wait(10)
    return exporter


def test_its_counters_end_and_no_other_moves() -> None:
    exporter = with_rows(Log())
    before, spent = counters(exporter.state), sum(spend_today(exporter.state, exporter.settings).values())
    assert exporter.state.corrections == {GONE: 7, KEPT: 7}
    exporter.forget(GONE)
    after = counters(exporter.state)
    assert GONE not in after
    assert {series: total for series, total in after.items() if any(total)} == {KEPT: before[KEPT]}
    assert exporter.state.corrections == {KEPT: 7}
    assert "random" not in exporter.state.seen_operations
    # gauges are the sums of the rows, whatever they are called
    today = spend_today(exporter.state, exporter.settings)
    assert (today[OTHER], sum(today.values())) == (500, spent)
    assert sum(spend_month(exporter.state, exporter.settings).values()) == spent


def test_rows_that_are_read_again_are_not_counted_again() -> None:
    exporter = with_rows(Log(), max_series=2)
    counted = exporter.count(Figure.COST, KEPT)
    exporter.forget(GONE)
    exporter.run(24 * 3600, 300)
    assert exporter.count(Figure.COST) == counted
    assert exporter.count(Figure.CALLS, OTHER) == 0


def test_what_comes_back_has_a_place_again_and_counts_from_there() -> None:
    log = Log()
    exporter = with_rows(log)
    counted = exporter.count(Figure.COST, KEPT)
    exporter.forget(GONE)
    exporter.run(1200)
    log.insert(exporter.clock, operation="random", cost=3)
    exporter.run(1200)
    log.insert(exporter.clock, operation="random", cost=4)
    exporter.run(24 * 3600, 300)
    assert GONE in exporter.state.admitted
    assert exporter.count(Figure.COST) == counted + 7
    assert exporter.count(Figure.COST, GONE) in (4, 7)


def test_its_place_is_free_for_another() -> None:
    log = Log()
    exporter = with_rows(log, max_series=2)
    exporter.forget(GONE)
    for _ in range(3):
        log.insert(exporter.clock, operation="new", cost=1)
        exporter.run(900)
    assert set(exporter.state.admitted) == {KEPT, OTHER, Series("new", "m1")}
    orders = [admission.order for admission in exporter.state.admitted.values()]
    assert len(set(orders)) == len(orders)


def test_what_is_not_there_or_is_other_changes_nothing() -> None:
    exporter = with_rows(Log(), max_series=1)
    before = counters(exporter.state)
    for series in (OTHER, Series("no", "such")):
        exporter.forget(series)
    assert counters(exporter.state) == before
    assert exporter.clock > START


def test_the_rest_of_a_new_series_zero_and_where_it_begins_outlive_a_restart() -> None:
    log = Log()
    log.insert(START - 600, model="a")
    exporter = started(log, settings=replace(SETTINGS, max_series=4, ample=1, zero_hold=3600))
    for _ in range(3):
        log.insert(exporter.clock, operation="steady")
        exporter.run(900)
    since = exporter.state.admitted[Series("steady", "m1")].since
    assert since
    exporter.restart()
    assert exporter.state.admitted[Series("steady", "m1")].since == since


class TestRowsThatAreNotDueYet:
    """Changed settings have dated them ahead: they are counted, and what ends with their series is not their mark."""

    @pytest.mark.parametrize("known", [True, False], ids=["known at the start", "counted"])
    @pytest.mark.parametrize("max_series", [1, 50])
    @pytest.mark.parametrize("shift", [30, 1040, 3600, 9 * 3600])
    def test_they_are_not_counted_when_they_are_due(self, shift: int, max_series: int, *, known: bool) -> None:
        log = Log()
        exporter = Exporter(log, START, replace(SETTINGS, max_series=max_series))
        if known:
            log.insert(START, operation="random", cost=5)
        exporter.wait(0)
        if not known:
            log.insert(START, operation="random", cost=5)
        exporter.wait(1)
        exporter.reconfigure(Classes(shift=shift))
        assert exporter.state.corrections[GONE] == 5
        exporter.forget(GONE)
        assert exporter.state.corrections == {OTHER: 5}
        exporter.run(shift + 6 * 3600, 300)
        assert exporter.count(Figure.COST) == exporter.count(Figure.ROWS) == 0
        assert exporter.state.corrections == {OTHER: 0}

    def test_a_read_that_ends_within_their_minute_leaves_them_to_come(self) -> None:
        log = Log()
        log.insert(START, operation="random", cost=5)
        exporter = started(log)
        exporter.reconfigure(Classes(shift=30))
        exporter.wait(1)
        exporter.forget(GONE)
        exporter.run(3600, 10)
        assert exporter.count(Figure.COST) == 0

    def test_their_money_is_spent_once_they_are_due(self) -> None:
        log = Log()
        log.insert(START, operation="random", cost=5)
        exporter = started(log)
        exporter.reconfigure(Classes(shift=1800))
        exporter.forget(GONE)
        exporter.run(2400, 300)
        assert sum(spend_today(exporter.state, exporter.settings).values()) == 5


def test_a_place_that_is_earned_before_rows_under_other_are_due_does_not_count_them_again() -> None:
    log = Log()
    log.insert(START, model="a")
    exporter = started(log, settings=replace(SETTINGS, max_series=2, ample=1))
    log.insert(exporter.clock, operation="steady", cost=5)
    exporter.wait(1)
    exporter.reconfigure(Classes(shift=3 * 3600))
    for _ in range(4):
        log.insert(exporter.clock - 3 * 3600, operation="steady", cost=0)
        exporter.run(900)
    assert Series("steady", "m1") in exporter.state.admitted
    exporter.run(6 * 3600, 300)
    assert exporter.count(Figure.COST) == 5


def test_changes_that_follow_each_other_are_those_of_both_in_turn() -> None:
    """As they do where the first could not be made durable yet."""
    exporter = with_rows(Log())
    exporter.clock += 20
    span = schedule.front(exporter.state, exporter.clock, exporter.settings)
    assert span is not None
    first = exporter.plan(exporter.read(span))
    second = forget(exporter.state.ahead(first), [GONE])
    in_turn = exporter.state.ahead(first).ahead(second)
    first.follow(second)
    assert same(exporter.state.ahead(first), in_turn) == []
    assert GONE not in in_turn.totals
