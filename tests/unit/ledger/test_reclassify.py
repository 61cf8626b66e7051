"""A changed configuration: rows are classified anew, and no counter moves."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.catalog import SECOND, USD
from exporter.figures import AT_MERGE, Figure
from exporter.ledger.aggregate import total
from exporter.ledger.calendar import QUARTER_HOUR, day_start
from exporter.ledger.exposed import spend_month, spend_today, user_spend_today
from exporter.ledger.model import OTHER, Series, TimeRange
from exporter.ledger.reclassify import start_reclassification
from tests.support.ledger_driver import SETTINGS, START, Exporter, started
from tests.support.model_log import NEGATIVE, UNLISTED, Classes, Log

OLD, NEW = Series("chat", "m1"), Series("chat", "new")
DAY = 86400
RENAMED = Classes(names={"m1": "new"})


def busy(log: Log, **settings: Any) -> Exporter:
    """Eight hours of a dollar every ten minutes, in two halves of which the first is folded by then."""
    exporter = started(log, **settings)
    for minute in range(0, 480, 10):
        log.insert(START + 60 * minute, cost=USD, user="ann", tokens=1, latency=SECOND)
    exporter.run(8 * 3600, 300)
    return exporter


@pytest.mark.parametrize("width", [60, QUARTER_HOUR])
def test_no_counter_and_no_correction_moves_and_gauges_bear_the_new_labels(width: int) -> None:
    log = Log()
    exporter = busy(log, width=width)
    log.delete(log.rows[46])
    exporter.run(2 * 3600, 300)
    totals, corrections = dict(exporter.state.totals), dict(exporter.state.corrections)
    exporter.reconfigure(RENAMED)
    assert exporter.state.totals == totals
    assert exporter.state.corrections == corrections == {OLD: USD}
    assert spend_today(exporter.state, exporter.settings) == {OLD: 0, NEW: 47 * USD}
    assert spend_month(exporter.state, exporter.settings) == {OLD: 0, NEW: 47 * USD}
    assert user_spend_today(exporter.state, exporter.settings) == {"ann": 47 * USD}


def test_rows_written_since_the_last_read_are_counted_under_the_old_labels() -> None:
    log = Log()
    exporter = busy(log)
    log.insert(exporter.clock, cost=5)
    log.insert(exporter.clock - 2 * 3600, cost=7)
    exporter.reconfigure(RENAMED)
    assert exporter.count(Figure.COST, OLD) == 48 * USD + 12
    exporter.run(5 * 3600, 300)
    assert exporter.count(Figure.COST, NEW) == 0


def test_later_rows_count_under_the_new_labels_also_in_slices_that_were_known() -> None:
    log = Log()
    exporter = busy(log)
    exporter.reconfigure(RENAMED)
    log.insert(exporter.clock, cost=5)
    log.insert(exporter.clock - 3000, cost=7)
    exporter.run(3600, 300)
    assert exporter.count(Figure.COST, NEW) == 12
    assert exporter.count(Figure.COST, OLD) == 48 * USD


def test_a_deleted_row_that_comes_back_after_it_is_not_counted_twice() -> None:
    log = Log()
    exporter = busy(log)
    row = log.delete(log.rows[46])
    exporter.run(2 * 3600, 300)
    assert exporter.state.corrections == {OLD: USD}
    exporter.reconfigure(Classes(timeout=1))
    log.put(row)
    exporter.run(3 * 3600, 300)
    assert exporter.count(Figure.COST) == 48 * USD
    assert exporter.state.corrections == {OLD: 0}


def test_there_and_back_again_counts_nothing_twice() -> None:
    log = Log()
    exporter = busy(log)
    for classes in (RENAMED, Classes(), RENAMED, Classes()):
        exporter.reconfigure(classes)
        exporter.run(600)
    exporter.run(5 * 3600, 300)
    assert exporter.count(Figure.COST) == exporter.count(Figure.COST, OLD) == 48 * USD


def test_another_timeout_counts_only_later_calls() -> None:
    log = Log()
    exporter = busy(log)
    exporter.reconfigure(Classes(timeout=1))
    exporter.run(600)
    assert exporter.count(Figure.OVER_TIMEOUT) == 0
    log.insert(exporter.clock, latency=SECOND)
    exporter.wait(10)
    assert exporter.count(Figure.OVER_TIMEOUT) == 1


def test_more_places_leave_what_was_folded_into_other_where_it_was_counted() -> None:
    log = Log()
    exporter = started(log)
    exporter.reconfigure(max_series=0)
    log.insert(exporter.clock, cost=5)
    exporter.run(600)
    exporter.reconfigure(max_series=9)
    log.insert(exporter.clock, cost=7)
    exporter.run(3600)
    assert (exporter.count(Figure.COST, OTHER), exporter.count(Figure.COST, OLD)) == (5, 7)


def test_another_zone_cuts_the_days_and_months_elsewhere() -> None:
    log = Log()
    log.insert(START - 36 * 3600 - 60, cost=1, user="ann")
    log.insert(START - 12 * 3600 - 60, cost=10, user="bob")
    log.insert(START - 60, cost=100, user="bob")
    exporter = started(log)
    assert spend_today(exporter.state, exporter.settings) == {OLD: 100}
    assert spend_month(exporter.state, exporter.settings) == {OLD: 110}
    exporter.reconfigure(zone=ZoneInfo("Asia/Kathmandu"))
    assert spend_today(exporter.state, exporter.settings) == {OLD: 110}
    assert user_spend_today(exporter.state, exporter.settings) == {"bob": 110}
    assert spend_month(exporter.state, exporter.settings) == {OLD: 111}
    exporter.reconfigure(zone=ZoneInfo("Pacific/Pago_Pago"))
    assert spend_today(exporter.state, exporter.settings) == {OLD: 100}


def test_it_reads_every_slice_and_all_days_that_are_sums() -> None:
    exporter = busy(Log())
    going = start_reclassification(exporter.state, exporter.settings, exporter.now, by_old=True, moved=False)
    # on the second of March the whole of February is still there, for a clock that is set back and for the drift
    assert going.lo == START - (36 + 28 * 24) * 3600
    assert going.start == going.end == exporter.state.progress.compacted


@pytest.mark.parametrize("day", [1, 2, 3, 20])
def test_every_day_that_is_kept_is_summed_whole(day: int) -> None:
    """Also the last ones of the month before, which the drift looks at on the first days of a month."""
    log, now = Log(), START + (day - 2) * DAY
    for hours in range(1, 24 * 40):
        log.insert(now - hours * 3600, cost=hours)
    # the slices begin in the middle of a day
    exporter = started(log, clock=now, settings=replace(SETTINGS, horizon=2 * DAY))
    exporter.reconfigure(RENAMED)
    zone, progress = exporter.settings.zone, exporter.state.progress
    kept = {key for key, _ in exporter.state.days if day_start(key + 1, zone) <= progress.merged}
    assert kept
    for key in kept:
        rows = log.within(TimeRange(day_start(key, zone), day_start(key + 1, zone)))
        assert sum(units for (of, _), units in exporter.state.days.items() if of == key) == sum(
            r.cost or 0 for r in rows
        )


class TestStretchByStretch:
    """What happens between two steps."""

    def test_the_old_settings_go_on_serving(self) -> None:
        log = Log()
        exporter = busy(log)
        exporter.chunk = 3600
        exporter.configure(RENAMED)
        steps = 0
        while exporter.convert():
            steps += 1
            if exporter.wanted is None:
                break
            log.insert(exporter.clock, cost=5)
            exporter.wait(10)
            assert exporter.count(Figure.COST, OLD) == 48 * USD + 5 * steps
            assert spend_today(exporter.state, exporter.settings)[OLD] == 48 * USD + 5 * steps
        assert steps > 4
        assert exporter.count(Figure.COST) == exporter.count(Figure.COST, OLD)

    def test_a_row_behind_the_reader_waits_for_the_switch_and_one_before_it_does_not(self) -> None:
        log = Log()
        exporter = busy(log)
        exporter.chunk = 3600
        exporter.configure(RENAMED)
        while exporter.state.progress.converted == 0:
            exporter.convert()
        behind = exporter.state.progress.converted - 60
        log.insert(behind, cost=5)
        log.insert(exporter.state.progress.merged - 60, cost=7)
        exporter.find_late_rows()
        exporter.work()
        assert exporter.count(Figure.COST, OLD) == 48 * USD + 7
        while exporter.convert():
            pass
        exporter.work()
        assert exporter.count(Figure.COST, OLD) == 48 * USD + 7
        assert exporter.count(Figure.COST, NEW) == 5

    def test_it_goes_on_after_a_restart(self) -> None:
        log = Log()
        exporter = busy(log)
        exporter.chunk = 3600
        exporter.configure(RENAMED)
        while exporter.state.progress.converted == 0:
            exporter.convert()
        going = exporter.disk.going
        assert going is not None
        exporter.configure(RENAMED)
        assert exporter.disk.going == going
        while exporter.convert():
            pass
        assert spend_today(exporter.state, exporter.settings) == {OLD: 0, NEW: 48 * USD}

    @pytest.mark.parametrize("then", [Classes(), Classes(names={"m1": "other-name"})], ids=["put back", "others"])
    def test_settings_that_change_midway_begin_again(self, then: Classes) -> None:
        log = Log()
        exporter = busy(log)
        exporter.chunk = 3600
        exporter.configure(RENAMED)
        while exporter.state.progress.converted == 0:
            exporter.convert()
        late = log.insert(exporter.state.progress.converted - 60, cost=5)
        exporter.configure(then)
        assert (exporter.disk.going, exporter.state.progress.converted) == (None, 0)
        while exporter.convert():
            pass
        exporter.find_late_rows()
        assert exporter.count(Figure.COST) == exporter.count(Figure.COST, OLD) == 48 * USD + 5
        assert spend_today(exporter.state, exporter.settings)[then.series(late)] == 48 * USD + 5
        assert NEW not in exporter.state.admitted

    def test_a_clock_that_was_set_back_does_not_reach_what_is_converted(self) -> None:
        log = Log()
        exporter = busy(log)
        exporter.chunk = 3600
        exporter.configure(RENAMED)
        while exporter.state.progress.converted == 0:
            exporter.convert()
        log.insert(exporter.state.progress.converted - 60, cost=5)
        exporter.clock = exporter.state.progress.converted - 30
        exporter.scrape()
        assert exporter.count(Figure.COST) == 48 * USD
        while exporter.convert():
            pass
        exporter.work()
        assert exporter.count(Figure.COST) == 48 * USD + 5


class TestOtherTimes:
    """Changed settings that date the same rows otherwise."""

    @pytest.mark.parametrize("shift", [9 * 3600, 3600, -3600, -9 * 3600])
    def test_no_row_counts_twice_there_and_back_again(self, shift: int) -> None:
        log = Log()
        exporter = busy(log)
        exporter.chunk = 3600
        for classes in (Classes(shift=shift), Classes(), Classes(shift=shift), Classes(names={"m1": "new"})):
            exporter.reconfigure(classes)
            exporter.run(3600, 600)
            exporter.find_late_rows()
            assert exporter.count(Figure.COST) == 48 * USD
        exporter.run(10 * 3600, 600)
        assert exporter.count(Figure.COST) == 48 * USD
        assert sum(exporter.state.corrections.values()) == 0

    def test_rows_dated_ahead_now_are_shown_when_they_are_due(self) -> None:
        log = Log()
        exporter = busy(log)
        exporter.reconfigure(Classes(shift=3600))
        assert exporter.state.corrections == {OLD: 6 * USD}
        assert spend_today(exporter.state, exporter.settings) == {OLD: 42 * USD}
        exporter.run(3900, 300)
        assert exporter.state.corrections == {OLD: 0}
        assert spend_today(exporter.state, exporter.settings) == {OLD: 48 * USD}

    @pytest.mark.parametrize("scraped", [True, False])
    @pytest.mark.parametrize("later", [Classes(), Classes(shift=590, names={"m1": "new"})], ids=["back", "renamed"])
    def test_rows_dated_into_the_rest_of_this_minute_count_once(self, later: Classes, *, scraped: bool) -> None:
        log = Log()
        exporter = started(log)
        log.insert(START, cost=USD)
        exporter.run(570, 30)
        exporter.reconfigure(Classes(shift=590))
        if scraped:
            exporter.wait(1)
        exporter.reconfigure(later)
        exporter.run(5 * 3600, 300)
        assert exporter.count(Figure.COST) == USD
        exporter.reconfigure(Classes(shift=1))
        exporter.run(5 * 3600, 300)
        assert exporter.count(Figure.COST) == USD

    def test_rows_that_were_still_to_come_count_once_they_are_not(self) -> None:
        log = Log()
        exporter = started(log)
        for minutes in range(10, 120, 10):
            log.insert(START + 60 * minutes, cost=USD)
        exporter.run(600)
        assert exporter.count(Figure.COST) == USD
        exporter.reconfigure(Classes(shift=-7200))
        exporter.work()
        assert exporter.count(Figure.COST) == 11 * USD


def test_more_places_do_not_count_again_what_lies_under_other() -> None:
    log = Log()
    exporter = started(log, settings=replace(SETTINGS, max_series=0))
    log.insert(exporter.clock, cost=5)
    exporter.run(3600)
    exporter.chunk = 900
    exporter.configure(RENAMED, max_series=5)
    while exporter.convert():
        exporter.wait(10)
        exporter.find_late_rows()
    exporter.run(5 * 3600, 300)
    assert exporter.count(Figure.COST) == exporter.count(Figure.COST, OTHER) == 5


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
        assert exporter.count(Figure.UNPRICED, NEW) == 1

    def test_those_merged_already_are_not_counted_again(self) -> None:
        log = Log()
        exporter = busy(log)
        log.insert(exporter.clock, tokens=1, cost=None)
        exporter.run(1800)
        assert exporter.count(Figure.UNPRICED) == 1
        exporter.reconfigure(RENAMED)
        exporter.run(5 * 3600, 300)
        assert exporter.count(Figure.UNPRICED) == 1

    def test_those_known_at_the_first_start_are_not_counted_after_it(self) -> None:
        log = Log()
        log.insert(START - 30, tokens=1, cost=None)
        exporter = started(log)
        exporter.reconfigure(Classes(timeout=1))
        exporter.run(3600)
        assert exporter.count(Figure.UNPRICED) == 0

    def test_those_known_at_the_first_start_stay_known_while_their_model_is_free(self) -> None:
        log = Log()
        log.insert(START - 30, tokens=1, cost=None)
        exporter = started(log)
        exporter.reconfigure(Classes(free=frozenset({"m1"})))
        exporter.reconfigure(Classes())
        exporter.run(3600)
        assert exporter.count(Figure.UNPRICED) == 0


def test_a_place_that_the_old_settings_give_meanwhile_begins_where_the_new_ones_have_it() -> None:
    """By the old settings it is earned in the third quarter-hour; by the new ones there is room from the start."""
    log = Log()
    log.insert(START - 600)
    exporter = started(log, settings=replace(SETTINGS, max_series=20, ample=1))
    steady = Series("steady", "m1")
    for _ in range(2):
        log.insert(exporter.clock, operation="steady", cost=100)
        exporter.run(900)
    assert steady not in exporter.state.admitted
    exporter.configure(Classes(timeout=600), ample=None)
    while steady not in exporter.disk.shadow.kept.admitted:
        assert exporter.convert()
    for _ in range(2):
        log.insert(exporter.clock, operation="steady", cost=100)
        exporter.run(900)
    assert exporter.state.admitted[steady].since > START
    before = exporter.count(Figure.COST)
    while exporter.convert():
        pass
    assert exporter.state.admitted[steady].since == 0
    assert exporter.count(Figure.COST) == before == 400
    # a late row lies in a quarter-hour that the old settings kept under `other`
    own = exporter.count(Figure.COST, steady)
    log.insert(START + 60, operation="steady", cost=7)
    exporter.find_late_rows()
    assert exporter.count(Figure.COST, steady) == own + 7
    assert exporter.count(Figure.COST) == 407


def test_new_labels_without_room_lie_under_other() -> None:
    log = Log()
    exporter = busy(log)
    before = exporter.count(Figure.COST)
    assert OTHER not in exporter.state.admitted
    exporter.reconfigure(RENAMED, max_series=1)
    assert NEW not in exporter.state.admitted
    assert exporter.count(Figure.COST) == before
    assert spend_today(exporter.state, exporter.settings)[OTHER] == before
    log.insert(exporter.clock, cost=USD)
    exporter.wait(10)
    assert exporter.count(Figure.COST, OTHER) == USD


@pytest.mark.parametrize("shift", [-3600, 3600])
def test_calls_that_were_known_unpriced_stay_known_at_other_times(shift: int) -> None:
    log = Log()
    log.insert(START - 100, cost=None, tokens=7)
    exporter = started(log)
    log.insert(START, cost=None, tokens=7)
    exporter.wait(10)
    exporter.reconfigure(Classes(shift=shift))
    exporter.run(3 * 3600, 300)
    assert exporter.count(Figure.UNPRICED) == 1


@pytest.mark.parametrize("shift", [-900, -3600, -7200])
@pytest.mark.parametrize("model", ["m1", UNLISTED])
@pytest.mark.parametrize("cost", [5, None])
def test_what_awaits_its_merge_counts_though_the_settings_that_dated_it_elsewhere_cannot_be_read_by(
    shift: int, model: str, cost: int | None
) -> None:
    log = Log()
    exporter = busy(log)
    log.insert(exporter.clock, tokens=7, cost=cost, model=model)
    exporter.wait(10)
    exporter.reconfigure(Classes(shift=shift))
    exporter.reconfigure(Classes(shift=shift, timeout=600), knows_old=False)
    exporter.run(5 * 3600, 300)
    wanted = total(map(Classes().aggregate, log.rows.values()))
    assert {f: exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}


@pytest.mark.parametrize("shift", [-900, -3600, -7200])
@pytest.mark.parametrize("column", [{"cost": 5}, {"cost": None}, {"model": UNLISTED}], ids=str)
@pytest.mark.parametrize(
    "names", [{"m1": "new", UNLISTED: "newer"}, {"m1": "m2", UNLISTED: "m2"}, {"m1": UNLISTED, UNLISTED: "m1"}], ids=str
)
@pytest.mark.parametrize("again", [1, 2])
def test_what_awaits_its_merge_counts_though_unreadable_settings_have_dated_it_elsewhere_and_others_rename_it(
    shift: int, column: dict[str, Any], names: dict[str, str], again: int
) -> None:
    log = Log()
    exporter = busy(log)
    log.insert(exporter.clock, **{"tokens": 7, **column})
    log.insert(exporter.clock, tokens=7, cost=5, model="m2")
    exporter.wait(10)
    exporter.reconfigure(Classes(shift=shift))
    for timeout in range(60, 60 + again):
        exporter.reconfigure(Classes(names, shift=shift, timeout=timeout), knows_old=False)
    exporter.run(5 * 3600, 300)
    wanted = total(map(Classes().aggregate, log.rows.values()))
    assert {f: exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}


class TestPastTheHorizon:
    """Changed settings date rows past the horizon, where no merge sees them."""

    @pytest.mark.parametrize("shift", [-5 * 3600, -9 * 3600, -20 * 3600])
    @pytest.mark.parametrize(
        "column",
        [
            {"cost": 5},
            {"cost": None},
            {"model": UNLISTED},
            {"status": "failed", "cost": None},
            {"cost": 5, "refund": 3},
            {"status": "pending"},
        ],
        ids=str,
    )
    def test_what_awaits_its_merge_counts_at_once(self, shift: int, column: dict[str, Any]) -> None:
        log = Log()
        exporter = busy(log)
        for _ in range(2):
            log.insert(exporter.clock, **{"tokens": 7, **column})
        exporter.wait(10)
        exporter.reconfigure(Classes(shift=shift))
        wanted = total(map(Classes().aggregate, log.rows.values()))
        assert {f: exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}
        exporter.run(5 * 3600, 300)
        exporter.reconfigure(Classes())
        exporter.run(5 * 3600, 300)
        assert {f: exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}

    def test_it_is_known_to_settings_that_put_the_times_back_and_cannot_read_by_those_before(self) -> None:
        log = Log()
        exporter = busy(log)
        log.insert(exporter.clock, tokens=7, cost=5)
        exporter.wait(10)
        exporter.reconfigure(Classes(shift=-9 * 3600))
        exporter.reconfigure(RENAMED, knows_old=False)
        exporter.run(3600, 300)
        wanted = total(map(Classes().aggregate, log.rows.values()))
        assert {f: exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}

    def test_it_counts_under_the_new_labels_or_under_other_where_they_have_no_room(self) -> None:
        log = Log()
        exporter = busy(log)
        log.insert(exporter.clock, tokens=7, cost=None)
        exporter.wait(10)
        exporter.reconfigure(Classes({"m1": "new"}, shift=-9 * 3600), max_series=1)
        assert exporter.count(Figure.UNPRICED, OTHER) == exporter.count(Figure.UNPRICED) == 1

    def test_what_was_known_at_the_first_start_is_not_counted(self) -> None:
        log = Log()
        log.insert(START - 30, cost=None, tokens=7)
        exporter = started(log)
        log.insert(START, cost=None, tokens=7)
        exporter.wait(10)
        exporter.reconfigure(Classes(shift=-9 * 3600))
        exporter.run(3600, 300)
        assert exporter.count(Figure.UNPRICED) == 1

    def test_a_part_of_it_counts_at_its_merge(self) -> None:
        log = Log()
        exporter = started(log)
        for at in (0, 600, 1000):
            log.insert(START + at, cost=None, tokens=7)
        exporter.run(1005, 15)
        assert exporter.count(Figure.UNPRICED) == 0
        # the first row alone lies past the horizon
        exporter.reconfigure(Classes(shift=exporter.state.progress.compacted - START - 600))
        assert exporter.count(Figure.UNPRICED) == 1
        exporter.run(3600, 300)
        assert exporter.count(Figure.UNPRICED) == 3


def test_a_quarter_that_the_last_read_merges_is_converted_before_the_switch() -> None:
    log = Log()
    exporter = busy(log)
    exporter.configure(RENAMED)
    while exporter.disk.going is None or exporter.disk.going.done < exporter.state.progress.merged:
        assert exporter.convert()
    due = exporter.state.progress.merged + QUARTER_HOUR + exporter.settings.window
    while exporter.clock < due - 100:
        exporter.clock += min(200, due - 100 - exporter.clock)
        exporter.scrape()
    exporter.clock = due + 60
    log.insert(exporter.clock - 200, cost=USD)
    merged, before = exporter.state.progress.merged, exporter.count(Figure.COST)
    assert exporter.convert()
    assert exporter.state.progress.merged == merged + QUARTER_HOUR
    assert exporter.wanted is not None, "the switch is put off"
    while exporter.convert():
        pass
    assert exporter.count(Figure.COST) == before + USD
    assert spend_today(exporter.state, exporter.settings)[NEW] == 49 * USD
