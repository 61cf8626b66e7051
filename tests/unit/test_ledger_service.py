"""The ledger's owner: what was read last is what is known, also while the state cannot be written."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config
from exporter.database.session import Identity
from exporter.ledger.aggregate import ZERO, Aggregate, Field, with_figure
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Bucket, Series, SpanRead, TimeRange
from exporter.ledger.reclassify import Reads, last_span, next_stretch
from exporter.ledger.shadow import Reclassification
from exporter.scrape.ledger_service import LedgerService, settings_for
from exporter.state.store import Store

SERIES = Series("email-compose", "deepseek-v3.2")
NOW = 1_700_000_040 // MINUTE * MINUTE


def row(cost: int) -> Aggregate:
    return with_figure(with_figure(with_figure(ZERO, Field.ROWS, 1), Field.CALLS, 1), Field.COST, cost)


def found(sequence: int, cost: int | None = None) -> SpanRead:
    """A read of the present minute, which holds one row or none."""
    minutes = {} if cost is None else {NOW: Bucket(cells={SERIES: row(cost)})}
    return SpanRead(TimeRange(NOW - 3 * MINUTE, NOW + 31), NOW + 30, minutes, sequence=sequence)


def present_cost(ledger: LedgerService) -> int:
    assert ledger.present is not None
    cell = ledger.present.slices[NOW].cells.get(SERIES)
    return 0 if cell is None else cell.current[Field.COST]


@pytest.mark.parametrize("disk", ["works", "is full", "was full"])
def test_a_read_that_was_overtaken_changes_nothing_that_a_newer_one_has_found_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    commit = Store.commit

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config())
        begun = ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30).progress.position
        ledger.record(SpanRead(TimeRange(begun, NOW - 3 * MINUTE), NOW + 30, {}, sequence=1))
        if disk != "works":
            monkeypatch.setattr(Store, "commit", full)
        ledger.record(found(2, 5))
        # begun later and done sooner than the one before it, which saw the row deleted for a moment
        ledger.record(found(4, 5))
        if disk == "was full":
            monkeypatch.setattr(Store, "commit", commit)
            ledger.retry()
            assert not ledger.commits_fail
        ledger.record(found(3))
        assert present_cost(ledger) == 5
        ledger.record(found(5))
        assert present_cost(ledger) == 0


@pytest.mark.parametrize(("most", "at_once"), [(200, 100), (201, 101), (20, 10), (19, None), (1, None)])
def test_half_of_many_places_must_be_earned(most: int, at_once: int | None) -> None:
    config = Config(max_series=most)
    assert settings_for(config, config.classification()).ample == at_once


class TestChangedSettings:
    """The settings in force go on serving until those that are wanted have read everything."""

    WANTED = Config.model_validate({"models": {"aliases": {"deepseek-v3.2": "renamed"}}})
    RENAMED = Series("email-compose", "renamed")

    @staticmethod
    def begun(folder: Path, cost: int = 5) -> None:
        """A state whose present minute holds one row."""
        with Store(folder) as store:
            ledger = LedgerService(store, Config())
            begun = ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30).progress.position
            ledger.record(SpanRead(TimeRange(begun, NOW - 3 * MINUTE), NOW + 30, {}, sequence=1))
            ledger.record(found(2))
            ledger.record(found(3, cost))
            ledger.close()

    @staticmethod
    def last_step(ledger: LedgerService) -> tuple[Reclassification, TimeRange]:
        """Take in all stretches; returns what is left for the switch to read."""
        while True:
            going = ledger.resume_reclassification(moved=False)
            assert going is not None
            assert ledger.present is not None
            stretch = next_stretch(ledger.present, going, 10**7)
            if stretch is None:
                return going, last_span(ledger.present, going, NOW + 30)
            old = None if stretch.history else SpanRead(stretch.span, NOW + 30, {}, sequence=10)
            ledger.convert(going, stretch, Reads(old, SpanRead(stretch.span, NOW + 30, {}, sequence=10)))

    def both(self, span: TimeRange, sequence: int, cost: int) -> Reads:
        def read(series: Series) -> SpanRead:
            return SpanRead(span, NOW + 30, {NOW: Bucket(cells={series: row(cost)})}, sequence=sequence)

        return Reads(read(SERIES), read(self.RENAMED))

    def total(self, ledger: LedgerService, series: Series) -> int:
        assert ledger.durable is not None
        return ledger.durable.totals.get(series, ZERO)[Field.COST]

    def test_a_scrape_by_the_old_settings_that_comes_after_the_switch_counts_nothing(self, tmp_path: Path) -> None:
        self.begun(tmp_path)
        with Store(tmp_path) as store:
            ledger = LedgerService(store, self.WANTED)
            old = ledger.classification
            going, span = self.last_step(ledger)
            ledger.conclude(going, self.both(span, 20, 7))
            assert not ledger.must_reclassify
            ledger.record(found(21, 9), old)
            assert (self.total(ledger, SERIES), self.total(ledger, self.RENAMED)) == (7, 0)
            renamed = {NOW: Bucket(cells={self.RENAMED: row(9)})}
            ledger.record(SpanRead(span, NOW + 30, renamed, sequence=22), ledger.classification)
            assert (self.total(ledger, SERIES), self.total(ledger, self.RENAMED)) == (7, 2)
            ledger.close()

    def test_a_scrape_that_overtakes_the_switch_puts_it_off_once(self, tmp_path: Path) -> None:
        self.begun(tmp_path)
        with Store(tmp_path) as store:
            ledger = LedgerService(store, self.WANTED)
            going, span = self.last_step(ledger)
            ledger.record(found(21, 9), ledger.classification)
            ledger.conclude(going, self.both(span, 20, 7))
            assert ledger.must_reclassify
            # the next one is not overtaken, whatever scrapes there are
            ledger.record(found(24, 11), ledger.classification)
            ledger.conclude(going, self.both(span, 23, 10))
            assert not ledger.must_reclassify
            assert self.total(ledger, SERIES) == 10
            ledger.close()

    def test_the_switch_waits_for_a_disk_that_is_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        self.begun(tmp_path)
        with Store(tmp_path) as store:
            ledger = LedgerService(store, self.WANTED)
            going, span = self.last_step(ledger)
            with monkeypatch.context() as patch:
                patch.setattr(Store, "commit", full)
                ledger.record(found(21, 9), ledger.classification)
                assert ledger.resume_reclassification(moved=False) is None
                ledger.conclude(going, self.both(span, 22, 9))
                assert ledger.must_reclassify
            ledger.retry()
            ledger.conclude(going, self.both(span, 23, 9))
            assert not ledger.must_reclassify
            assert self.total(ledger, SERIES) == 9
            ledger.close()
