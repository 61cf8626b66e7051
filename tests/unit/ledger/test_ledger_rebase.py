"""A changed configuration: rows are classified anew, and no counter moves."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.ledger.aggregate import SECOND, USD, Field
from exporter.ledger.calendar import QUARTER
from exporter.ledger.model import OTHER, Series
from exporter.ledger.rebase import rebase_span
from exporter.ledger.view import spend_month, spend_today, user_spend_today
from tests.unit.ledger.driver import START, Exporter, started
from tests.unit.ledger.model_log import NEGATIVE, Classes, Log

OLD, NEW = Series("chat", "m1"), Series("chat", "new")
RENAMED = Classes(names={"m1": "new"})


def busy(log: Log, **settings: Any) -> Exporter:
    """Eight hours of a dollar every ten minutes, in two halves of which the first is folded by then."""
    exporter = started(log, **settings)
    for minute in range(0, 480, 10):
        log.insert(START + 60 * minute, cost=USD, user="ann", tokens=1, latency=SECOND)
    exporter.run(8 * 3600, 300)
    return exporter


@pytest.mark.parametrize("width", [60, QUARTER])
def test_no_counter_and_no_correction_moves_and_gauges_bear_the_new_labels(width: int) -> None:
    log = Log()
    exporter = busy(log, width=width)
    log.delete(log.rows[46])
    exporter.run(2 * 3600, 300)
    totals, corrections = dict(exporter.state.totals), dict(exporter.state.corrections)
    exporter.reconfigure(RENAMED)
    assert exporter.state.totals == totals
    assert exporter.state.corrections == corrections == {OLD: USD}
    assert spend_today(exporter.state, exporter.rules) == {OLD: 0, NEW: 47 * USD}
    assert spend_month(exporter.state, exporter.rules) == {OLD: 0, NEW: 47 * USD}
    assert user_spend_today(exporter.state, exporter.rules) == {"ann": 47 * USD}


def test_rows_written_since_the_last_read_are_counted_under_the_old_labels() -> None:
    log = Log()
    exporter = busy(log)
    log.insert(exporter.clock, cost=5)
    log.insert(exporter.clock - 2 * 3600, cost=7)
    exporter.reconfigure(RENAMED)
    assert exporter.count(Field.COST, OLD) == 48 * USD + 12
    exporter.run(5 * 3600, 300)
    assert exporter.count(Field.COST, NEW) == 0


def test_later_rows_count_under_the_new_labels_also_in_slices_that_were_known() -> None:
    log = Log()
    exporter = busy(log)
    exporter.reconfigure(RENAMED)
    log.insert(exporter.clock, cost=5)
    log.insert(exporter.clock - 3000, cost=7)
    exporter.run(3600, 300)
    assert exporter.count(Field.COST, NEW) == 12
    assert exporter.count(Field.COST, OLD) == 48 * USD


def test_a_deleted_row_that_comes_back_after_it_is_not_counted_twice() -> None:
    log = Log()
    exporter = busy(log)
    row = log.delete(log.rows[46])
    exporter.run(2 * 3600, 300)
    assert exporter.state.corrections == {OLD: USD}
    exporter.reconfigure(Classes(timeout=1))
    log.put(row)
    exporter.run(3 * 3600, 300)
    assert exporter.count(Field.COST) == 48 * USD
    assert exporter.state.corrections == {OLD: 0}


def test_there_and_back_again_counts_nothing_twice() -> None:
    log = Log()
    exporter = busy(log)
    for classes in (RENAMED, Classes(), RENAMED, Classes()):
        exporter.reconfigure(classes)
        exporter.run(600)
    exporter.run(5 * 3600, 300)
    assert exporter.count(Field.COST) == exporter.count(Field.COST, OLD) == 48 * USD


def test_another_timeout_counts_only_later_calls() -> None:
    log = Log()
    exporter = busy(log)
    exporter.reconfigure(Classes(timeout=1))
    exporter.run(600)
    assert exporter.count(Field.OVER_TIMEOUT) == 0
    log.insert(exporter.clock, latency=SECOND)
    exporter.wait(10)
    assert exporter.count(Field.OVER_TIMEOUT) == 1


def test_more_places_leave_what_was_folded_into_other_where_it_was_counted() -> None:
    log = Log()
    exporter = started(log)
    exporter.reconfigure(max_series=0)
    log.insert(exporter.clock, cost=5)
    exporter.run(600)
    exporter.reconfigure(max_series=9)
    log.insert(exporter.clock, cost=7)
    exporter.run(3600)
    assert (exporter.count(Field.COST, OTHER), exporter.count(Field.COST, OLD)) == (5, 7)


def test_another_zone_cuts_the_days_and_months_elsewhere() -> None:
    log = Log()
    log.insert(START - 36 * 3600 - 60, cost=1, user="ann")
    log.insert(START - 12 * 3600 - 60, cost=10, user="bob")
    log.insert(START - 60, cost=100, user="bob")
    exporter = started(log)
    assert spend_today(exporter.state, exporter.rules) == {OLD: 100}
    assert spend_month(exporter.state, exporter.rules) == {OLD: 110}
    exporter.reconfigure(zone=ZoneInfo("Asia/Kathmandu"))
    assert spend_today(exporter.state, exporter.rules) == {OLD: 110}
    assert user_spend_today(exporter.state, exporter.rules) == {"bob": 110}
    assert spend_month(exporter.state, exporter.rules) == {OLD: 111}
    exporter.reconfigure(zone=ZoneInfo("Pacific/Pago_Pago"))
    assert spend_today(exporter.state, exporter.rules) == {OLD: 100}


def test_it_reads_every_slice_and_the_days_of_the_month_that_are_sums() -> None:
    exporter = busy(Log())
    span = rebase_span(exporter.state, exporter.rules)
    assert (span.lo, span.hi) == (START - 36 * 3600, exporter.state.progress.position)


def test_unusable_values_are_known_and_what_comes_later_is_counted() -> None:
    log = Log()
    exporter = busy(log)
    row = log.insert(exporter.clock, cost=-1)
    exporter.run(600)
    log.delete(row)
    exporter.run(1800)
    exporter.reconfigure(Classes(timeout=1))
    assert exporter.state.skipped == {NEGATIVE: 1}
    log.put(row)
    log.insert(row.at, cost=-1)
    exporter.run(2 * 3600, 300)
    assert exporter.state.skipped == {NEGATIVE: 2}


class TestUnpricedCalls:
    def test_those_not_merged_yet_are_counted_by_the_merge(self) -> None:
        log = Log()
        exporter = busy(log)
        log.insert(exporter.clock, tokens=1, cost=None)
        exporter.wait(10)
        exporter.reconfigure(RENAMED)
        exporter.run(1800)
        assert exporter.count(Field.UNPRICED, NEW) == 1

    def test_those_merged_already_are_not_counted_again(self) -> None:
        log = Log()
        exporter = busy(log)
        log.insert(exporter.clock, tokens=1, cost=None)
        exporter.run(1800)
        assert exporter.count(Field.UNPRICED) == 1
        exporter.reconfigure(RENAMED)
        exporter.run(5 * 3600, 300)
        assert exporter.count(Field.UNPRICED) == 1

    def test_those_known_at_the_first_start_are_not_counted_after_it(self) -> None:
        log = Log()
        log.insert(START - 30, tokens=1, cost=None)
        exporter = started(log)
        exporter.reconfigure(Classes(timeout=1))
        exporter.run(3600)
        assert exporter.count(Field.UNPRICED) == 0

    def test_those_known_at_the_first_start_stay_known_while_their_model_is_free(self) -> None:
        log = Log()
        log.insert(START - 30, tokens=1, cost=None)
        exporter = started(log)
        exporter.reconfigure(Classes(free=frozenset({"m1"})))
        exporter.reconfigure(Classes())
        exporter.run(3600)
        assert exporter.count(Field.UNPRICED) == 0
