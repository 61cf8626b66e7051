"""Rows that changed settings have dated ahead are counted, whatever later settings make of them until they are due."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from exporter.catalog import SECOND, USD
from exporter.figures import AT_MERGE, Figure
from exporter.ledger.aggregate import FAILURES, LATENCY_COUNTS, Aggregate, total
from exporter.ledger.exposed import spend_today
from exporter.ledger.model import OTHER, Series
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import NEGATIVE, Classes, Log, Row

HOUR = 3600
OLD, NEW = Series("chat", "m1"), Series("chat", "new")
SHIFTED = Classes(shift=HOUR)
ONCE = [f for f in range(len(total([]))) if f not in (*AT_MERGE, Figure.FALLBACKS)]


@dataclass(frozen=True)
class OtherOperations(Classes):
    """Settings that rename operations, too."""

    operations: Mapping[str, str] = field(default_factory=dict)

    def series(self, row: Row) -> Series:
        """The labels of a row."""
        series = super().series(row)
        return series._replace(operation=self.operations.get(row.operation, row.operation))


def every(exporter: Exporter) -> Aggregate:
    """All counters, whatever their labels."""
    return total(exporter.state.totals.values())


def dated_ahead(log: Log, **settings: Any) -> Exporter:
    """Five calls of the last half hour, two of them within one minute, that are counted and dated an hour ahead."""
    exporter = started(log, settings=replace(SETTINGS, **settings))
    for age in (20, 1200, 1210):
        log.insert(START + 1800 - age, cost=USD, user="ann", tokens=7, latency=SECOND, status="failed")
    log.insert(START + 600, model="m2", cost=10, latency=2 * SECOND, status="timeout")
    log.insert(START + 600, model="m2", operation="mail", cost=None, refund=3)
    exporter.run(1800)
    exporter.reconfigure(SHIFTED)
    assert sum(exporter.state.corrections.values()) == 3 * USD + 10 - 3
    return exporter


RENAMING = {
    "renamed": replace(SHIFTED, names={"m1": "new"}),
    "both renamed": replace(SHIFTED, names={"m1": "new", "m2": "newer"}),
    "into another": replace(SHIFTED, names={"m1": "m2"}),
    "the other way": replace(SHIFTED, names={"m2": "m1"}),
    "swapped": replace(SHIFTED, names={"m1": "m2", "m2": "m1"}),
    "all the same": replace(SHIFTED, names={"m1": "one", "m2": "one"}),
    "operation": OtherOperations(shift=HOUR, operations={"chat": "talk"}),
    "operations swapped": OtherOperations(shift=HOUR, operations={"chat": "mail", "mail": "chat"}),
    "operation and model": OtherOperations(shift=HOUR, operations={"chat": "mail"}, names={"m1": "new"}),
    "another timeout": replace(SHIFTED, names={"m1": "new"}, timeout=1),
    "other groups": replace(SHIFTED, names={"m2": "new"}, groups=None),
    "further ahead": Classes(shift=2 * HOUR, names={"m1": "new"}),
    "less far ahead": Classes(shift=HOUR - 120, names={"m1": "new"}),
}


def no_more(exporter: Exporter) -> None:
    """Nothing happens in between."""


def crash(exporter: Exporter) -> None:
    """A process is killed after its commit."""
    exporter.commit(exporter.plan(exporter.read(exporter.next_work() or pytest.fail("nothing to do"))))
    exporter.restart()


BETWEEN: Mapping[str, Callable[[Exporter], Any]] = {
    "nothing": no_more,
    "a scrape": lambda exporter: exporter.wait(5),
    "a restart": lambda exporter: exporter.restart(),
    "a crash": crash,
    "a quarter of an hour": lambda exporter: exporter.run(900),
    "late rows are looked for": lambda exporter: exporter.find_late_rows(),
    "blind settings": lambda exporter: exporter.reconfigure(replace(SHIFTED, timeout=600), knows_old=False),
    "blind names": lambda exporter: exporter.reconfigure(replace(SHIFTED, names={"m1": "x"}), knows_old=False),
    "known names": lambda exporter: exporter.reconfigure(replace(SHIFTED, names={"m2": "x"})),
    "a clock that steps back": lambda exporter: setattr(exporter, "clock", exporter.clock - 40),
}


@pytest.mark.parametrize("later", RENAMING)
@pytest.mark.parametrize("knows_old", [False, True], ids=["unreadable", "readable"])
def test_renamed_rows_that_are_not_due_count_once(later: str, *, knows_old: bool) -> None:
    exporter = dated_ahead(Log())
    before = every(exporter)
    corrections = sum(exporter.state.corrections.values())
    exporter.reconfigure(RENAMING[later], knows_old=knows_old)
    if not knows_old:
        assert sum(exporter.state.corrections.values()) == corrections
    exporter.run(8 * HOUR, 300)
    assert [every(exporter)[f] for f in ONCE] == [before[f] for f in ONCE]
    assert sum(exporter.state.corrections.values()) == 0


@pytest.mark.parametrize("shift", [60, 600, HOUR, 9 * HOUR, -60, -900, -2 * HOUR, -9 * HOUR])
@pytest.mark.parametrize("names", [{}, {"m1": "new"}], ids=["same names", "renamed"])
@pytest.mark.parametrize("again", [False, True], ids=["once", "and back"])
def test_rows_that_get_other_times_from_settings_that_follow_unreadable_ones_count_once(
    shift: int, names: Mapping[str, str], *, again: bool
) -> None:
    log = Log()
    exporter = started(log)
    for minute in range(0, 120, 7):
        status = "failed" if minute % 2 else "success"
        log.insert(START + 60 * minute, cost=USD, tokens=7, latency=SECOND, status=status)
    exporter.run(2 * HOUR, 300)
    before = every(exporter)
    exporter.reconfigure(Classes(names, shift=shift), knows_old=False)
    assert [every(exporter)[f] for f in ONCE] == [before[f] for f in ONCE]
    if again:
        exporter.reconfigure(Classes(), knows_old=False)
    exporter.run(15 * HOUR, 600)
    wanted = total(map(Classes().aggregate, log.rows.values()))
    assert [every(exporter)[f] for f in ONCE] == [wanted[f] for f in ONCE]
    assert sum(exporter.state.corrections.values()) == 0
    # what awaits its merge past the horizon, or not due, is not counted for lack of anybody who knows of it
    lost = shift < -3 * HOUR or (again and shift >= 600)
    assert all(exporter.count(f) <= wanted[f] if lost else exporter.count(f) == wanted[f] for f in AT_MERGE)


@pytest.mark.parametrize("between", BETWEEN)
def test_they_count_once_whatever_happens_before_they_are_renamed(between: str) -> None:
    exporter = dated_ahead(Log())
    before = every(exporter)
    BETWEEN[between](exporter)
    exporter.reconfigure(RENAMING["renamed"], knows_old=False)
    BETWEEN[between](exporter)
    exporter.run(8 * HOUR, 300)
    assert [every(exporter)[f] for f in ONCE] == [before[f] for f in ONCE]
    assert sum(exporter.state.corrections.values()) == 0


def test_corrections_go_along_to_the_label_that_they_will_be_due_under() -> None:
    exporter = dated_ahead(Log())
    exporter.reconfigure(RENAMING["renamed"], knows_old=False)
    assert exporter.state.corrections == {
        OLD: 0,
        NEW: 3 * USD,
        Series("chat", "m2"): 10,
        Series("mail", "m2"): -3,
    }
    exporter.run(2 * HOUR, 300)
    assert exporter.count(Figure.COST, OLD) == 3 * USD
    assert exporter.count(Figure.COST, NEW) == 0
    assert spend_today(exporter.state, exporter.settings)[NEW] == 3 * USD


def test_names_without_room_are_recognized_under_other() -> None:
    exporter = dated_ahead(Log(), max_series=3)
    before = every(exporter)
    exporter.reconfigure(RENAMING["both renamed"], knows_old=False)
    assert exporter.state.corrections[OTHER] == 3 * USD + 10 - 3
    exporter.run(8 * HOUR, 300)
    assert [every(exporter)[f] for f in ONCE] == [before[f] for f in ONCE]


@pytest.mark.parametrize("scraped", [True, False])
def test_rows_dated_into_the_rest_of_this_minute_are_recognized(*, scraped: bool) -> None:
    log = Log()
    exporter = started(log)
    log.insert(START, cost=USD)
    log.insert(START + 569, cost=10)
    exporter.run(570, 30)
    exporter.reconfigure(Classes(shift=590))
    if scraped:
        exporter.wait(1)
    exporter.reconfigure(Classes(shift=590, names={"m1": "new"}), knows_old=False)
    exporter.run(5 * HOUR, 300)
    assert exporter.count(Figure.COST) == USD + 10
    assert sum(exporter.state.corrections.values()) == 0


@pytest.mark.parametrize("ahead", [0, 60, 1900], ids=["same slice", "another slice", "beyond"])
@pytest.mark.parametrize("model", ["m1", "m2", "m3"])
def test_a_row_that_was_written_ahead_meanwhile_counts_when_it_is_due(ahead: int, model: str) -> None:
    log = Log()
    exporter = dated_ahead(log)
    before = every(exporter)
    added = log.insert(START + 1780 + ahead, model=model, cost=7, tokens=1, latency=SECOND)
    later = RENAMING["renamed"]
    exporter.reconfigure(later, knows_old=False)
    assert every(exporter) == before
    exporter.run(8 * HOUR, 300)
    wanted = total([before, later.aggregate(added)])
    assert [every(exporter)[f] for f in ONCE] == [wanted[f] for f in ONCE]


def test_a_row_that_was_deleted_meanwhile_stays_a_correction_and_counts_once_if_it_comes_back() -> None:
    log = Log()
    exporter = dated_ahead(log)
    before = every(exporter)
    gone = log.delete(log.rows[4])
    exporter.reconfigure(RENAMING["renamed"], knows_old=False)
    exporter.run(2 * HOUR, 300)
    assert sum(exporter.state.corrections.values()) == 10
    log.put(gone)
    exporter.find_late_rows()
    exporter.run(6 * HOUR, 300)
    assert [every(exporter)[f] for f in ONCE] == [before[f] for f in ONCE]
    assert sum(exporter.state.corrections.values()) == 0


def test_unusable_values_that_are_not_due_stay_counted() -> None:
    log = Log()
    exporter = started(log)
    log.insert(START + 10, cost=-1)
    exporter.run(600)
    exporter.reconfigure(SHIFTED)
    log.insert(START + 10, cost=-1)
    exporter.reconfigure(RENAMING["renamed"], knows_old=False)
    assert exporter.state.skipped == {NEGATIVE: 1}
    exporter.run(2 * HOUR, 300)
    assert exporter.state.skipped == {NEGATIVE: 2}


def test_a_series_that_ends_meanwhile_is_recognized_under_other() -> None:
    exporter = dated_ahead(Log())
    others = every(exporter)[Figure.COST] - 3 * USD
    exporter.forget(OLD)
    exporter.reconfigure(RENAMING["renamed"], knows_old=False)
    exporter.run(8 * HOUR, 300)
    assert exporter.count(Figure.COST) == others
    assert sum(exporter.state.corrections.values()) == 0


@pytest.mark.parametrize("column", [{"cost": None}, {"status": "failed"}, {"model": "m3"}, {}])
@pytest.mark.parametrize("later", [RENAMING["renamed"], Classes(names={"m1": "new"})], ids=["renamed", "and back"])
def test_what_awaits_its_merge_counts_once_by_the_labels_that_it_is_due_under(
    column: dict[str, Any], later: Classes
) -> None:
    log = Log()
    exporter = started(log)
    exporter.run(1800)
    row = log.insert(exporter.clock, **{"cost": 5, "tokens": 7, **column})
    exporter.wait(10)
    exporter.reconfigure(SHIFTED)
    exporter.reconfigure(later, knows_old=False)
    exporter.run(8 * HOUR, 300)
    wanted = Classes().aggregate(row)
    assert {f: exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}
    assert sum(every(exporter)[FAILURES]) == sum(wanted[FAILURES])
    assert sum(every(exporter)[LATENCY_COUNTS]) == 0
