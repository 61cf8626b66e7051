"""The ledger's owner: what was read last is what is known, also while the state cannot be written."""

import copy
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config
from exporter.database.replication import PRIMARY
from exporter.database.session import Identity
from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO, Aggregate, with_figure
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Bucket, Changes, Series, SkippedValue, SpanRead, TimeRange, Waiting
from exporter.ledger.reclassify import Reads, last_span, next_stretch
from exporter.ledger.shadow import Reclassification
from exporter.scrape.clock import HostClock
from exporter.scrape.ledger_service import LedgerService
from exporter.scrape.ledger_settings import settings_for
from exporter.state.store import FILE_NAME, Store, copied

SERIES = Series("email-compose", "deepseek-v3.2")
NOW = 1_700_000_040 // MINUTE * MINUTE


def row(cost: int) -> Aggregate:
    return with_figure(with_figure(with_figure(ZERO, Figure.ROWS, 1), Figure.CALLS, 1), Figure.COST, cost)


def found(sequence: int, cost: int | None = None) -> SpanRead:
    """A read of the present minute, which holds one row or none."""
    minutes = {} if cost is None else {NOW: Bucket(cells={SERIES: row(cost)})}
    return SpanRead(TimeRange(NOW - 3 * MINUTE, NOW + 31), NOW + 30, minutes, sequence=sequence)


def present_cost(ledger: LedgerService) -> int:
    assert ledger.present is not None
    cell = ledger.present.slices[NOW].cells.get(SERIES)
    return 0 if cell is None else cell.current[Figure.COST]


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
        ledger.close()


def filled(sequence: int) -> SpanRead:
    """A read of the present minute that has something of everything."""
    bucket = Bucket(
        cells={SERIES: row(sequence), Series(f"operation-{sequence}", "m"): row(1)},
        users={"ann": sequence, f"user-{sequence}": 1},
        skipped={SkippedValue("cost", "nan"): sequence},
        waiting={"running": Waiting(sequence, float(NOW))},
        seen_operations={SERIES.operation: NOW + sequence / 10},
        seen_models={SERIES.model: NOW + sequence / 10},
        succeeded_models={SERIES.model: NOW + sequence / 10},
    )
    return SpanRead(TimeRange(NOW - 3 * MINUTE, NOW + 31), NOW + 30, {NOW: bucket}, sequence=sequence)


@pytest.mark.parametrize("disk", ["works", "is full"])
def test_a_snapshot_stays_as_it_is_whatever_is_recorded_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: str
) -> None:
    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config.model_validate({"zero_hold": "0s"}))
        begun = ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30).progress.position
        assert ledger.snapshot().counters is None
        ledger.record(SpanRead(TimeRange(begun, NOW - 3 * MINUTE), NOW + 30, {}, sequence=1))
        for sequence in (2, 3):
            ledger.record(filled(sequence))
        if disk == "is full":
            monkeypatch.setattr(Store, "commit", full)
        taken, status = [], []
        for sequence in range(4, 8):
            taken += [(snapshot := ledger.snapshot(), copy.deepcopy(snapshot))]
            status += [(now := ledger.status(), copy.deepcopy(now))]
            ledger.record(filled(sequence))
            ledger.show({"ann": sequence}, {})
        assert all(snapshot == as_it_was for snapshot, as_it_was in taken)
        assert all(now == as_it_was for now, as_it_was in status)
        # and each of them was another one
        assert all(one != other for (one, _), (other, _) in itertools.pairwise(taken))
        first, last = taken[0][0], ledger.snapshot()
        assert first.counters is not None
        assert last.counters is not None
        assert last.gauges is not None
        assert last.gauges.user_spend["ann"] == 7
        assert (last.counters == first.counters) == (disk == "is full")
        assert last.models == {SERIES.model, "m"}
        ledger.close()


def test_a_damaged_state_leaves_nothing_of_what_was_kept_beside_it(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config(max_series=5))
        ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30)
        ledger.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as db, db:
        db.execute("UPDATE meta SET value = '[]' WHERE name = 'progress'")
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config(max_series=7))
        assert ledger.settings.max_series == 7
        assert not ledger.must_reclassify
        ledger.open(Identity("2", "another", "public.ai_operation_log"), NOW + 30)
        assert ledger.present is not None
        ledger.close()


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
        return ledger.durable.totals.get(series, ZERO)[Figure.COST]

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

    def test_how_much_of_the_wanted_settings_is_taken_up_only_rises(self, tmp_path: Path) -> None:
        self.begun(tmp_path)
        with Store(tmp_path) as store:
            ledger = LedgerService(store, self.WANTED)
            ratios = [ledger.status().reclassified_ratio]
            assert ledger.status().serves_old
            while (going := ledger.resume_reclassification(moved=False)) is not None:
                assert ledger.present is not None
                stretch = next_stretch(ledger.present, going, 10**5)
                if stretch is None:
                    break
                old = None if stretch.history else SpanRead(stretch.span, NOW + 30, {}, sequence=10)
                ledger.convert(going, stretch, Reads(old, SpanRead(stretch.span, NOW + 30, {}, sequence=10)))
                ratios.append(ledger.status().reclassified_ratio)
            assert going is not None
            assert ledger.present is not None
            ledger.conclude(going, self.both(last_span(ledger.present, going, NOW + 30), 20, 7))
            ratios.append(ledger.status().reclassified_ratio)
            assert ratios == sorted(ratios)
            assert (ratios[0], ratios[-1]) == (0.0, 1.0)
            assert len(set(ratios)) > 3
            assert not ledger.status().must_reclassify
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


def begin_day(ledger: LedgerService) -> SpanRead:
    """A read of the whole day so far, with which it can be shown."""
    ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 30)
    today = ledger.today(NOW + 30)
    assert today is not None
    minutes = {NOW: Bucket(cells={SERIES: row(5)}, users={"ann": 5})}
    return SpanRead(TimeRange(today.progress.position, NOW + 31), NOW + 30, minutes, sequence=1)


def shown_today(ledger: LedgerService) -> int | None:
    gauges = ledger.snapshot().gauges
    return None if gauges is None else gauges.spend_today[SERIES]


def test_the_day_is_shown_until_the_first_reading_is_done(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config())
        assert ledger.user_spend_today() == {}
        read = begin_day(ledger)
        assert shown_today(ledger) is None
        ledger.record_today(read, ledger.classification)
        assert shown_today(ledger) == 5
        assert ledger.user_spend_today() == {"ann": 5}
        # nothing of it reaches the disk
        assert store.load() is not None
        assert ledger.present is not None
        assert not ledger.present.slices
        ledger.record(replace(read, span=TimeRange(ledger.present.progress.position, NOW + 31), sequence=2))
        assert ledger.today(NOW + 30) is None
        assert ledger.snapshot().counters is not None
        assert shown_today(ledger) == 5
        # a scrape that was slower than the background reader changes nothing
        ledger.record_today(read, ledger.classification)
        assert shown_today(ledger) == 5
        ledger.close()


def test_a_day_is_not_mixed_of_two_settings(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config())
        read = begin_day(ledger)
        ledger.record_today(read, Config(max_series=5).classification())
        assert shown_today(ledger) is None
        ledger.record_today(read, ledger.classification)
        ledger.begin_anew(NOW + 30)
        assert shown_today(ledger) is None
        ledger.close()


@pytest.mark.parametrize("back", [61, 3600, 86_400])
def test_a_day_is_read_anew_once_the_clock_was_set_back(tmp_path: Path, back: int) -> None:
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config())
        ledger.record_today(begin_day(ledger), ledger.classification)
        today = ledger.today(NOW + 30 - back)
        assert today is not None
        assert today.progress.position == today.progress.began
        assert shown_today(ledger) is None
        ledger.close()


def test_a_read_of_quarters_of_the_day_drops_it(tmp_path: Path) -> None:
    """The users of a merged quarter-hour are not kept: read again, they would be added a second time."""
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config())
        read = begin_day(ledger)
        ledger.record_today(read, ledger.classification)
        ledger.record_today(replace(read, sequence=2), ledger.classification)
        assert shown_today(ledger) is None
        assert ledger.today(NOW + 30) is not None
        ledger.record_today(replace(read, sequence=3), ledger.classification)
        assert ledger.user_spend_today() == {"ann": 5}
        ledger.close()


def quiet(sequence: int, seconds: int, buckets: dict[int, Bucket] | None = None) -> SpanRead:
    """A read `seconds` after the first one, of the minutes that are open."""
    now = NOW + seconds
    return SpanRead(TimeRange(NOW - 3 * MINUTE, now + 1), now, buckets or {}, sequence=sequence)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LedgerService, list[Changes]]]:
    """A ledger that has read up to the present and found no rows, and what it writes from then on."""
    commits: list[Changes] = []
    commit = Store.commit

    def noted(store: Store, changes: Changes, *rest: Any) -> None:
        commits.append(changes)
        commit(store, changes, *rest)

    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config())
        begun = ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW).progress.position
        ledger.record(SpanRead(TimeRange(begun, NOW - 3 * MINUTE), NOW, {}, sequence=1))
        ledger.record(quiet(2, 0))
        monkeypatch.setattr(Store, "commit", noted)
        yield ledger, commits
        ledger.close()


def test_time_alone_is_written_once_a_minute(written: tuple[LedgerService, list[Changes]]) -> None:
    ledger, commits = written
    for seconds in range(1, MINUTE):
        assert not ledger.record(quiet(2 + seconds, seconds))
        assert ledger.durable is ledger.present
        assert ledger.present is not None
        progress = ledger.present.progress
        assert (progress.now, progress.position) == (NOW + seconds, NOW + seconds + 1)
    assert commits == []
    assert ledger.record(quiet(100, MINUTE))
    assert ledger.present is not None
    assert [changes.progress for changes in commits] == [ledger.present.progress]


@pytest.mark.parametrize("step", [-3600, -60, 60, 3600, 86_400])
def test_a_step_of_the_host_s_clock_is_written(tmp_path: Path, step: int) -> None:
    """The next process knows by it that the database's clock is as it was."""
    host = {"elapsed": 0.0, "wall": float(NOW)}
    clock = HostClock(lambda: host["elapsed"], lambda: host["wall"])
    with Store(tmp_path) as store:
        ledger = LedgerService(store, Config(), host=clock)
        ledger.believe(float(NOW), PRIMARY)
        begun = ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW).progress.position
        ledger.record(SpanRead(TimeRange(begun, NOW - 3 * MINUTE), NOW, {}, sequence=1))
        ledger.record(quiet(2, 0))
        for second in (1, 2, 3):
            host["elapsed"] += 1
            host["wall"] += 1 + (step if second == 2 else 0)
            assert ledger.believe(float(NOW + second), PRIMARY).problem is None
            assert ledger.record(quiet(2 + second, second)) == (second == 2)
        ledger.close()
    with Store(tmp_path) as store:
        again = LedgerService(store, Config(), host=clock)
        assert again.believe(float(NOW + 3), PRIMARY).problem is None
        again.close()


NEWS = {
    "a row": {NOW: Bucket(cells={SERIES: row(5)})},
    "an earlier row": {NOW - 2 * MINUTE: Bucket(cells={SERIES: row(5)})},
    "a user": {NOW: Bucket(users={"ann": 5})},
    "an unusable value": {NOW: Bucket(skipped={SkippedValue("cost", "nan"): 1})},
    "a row in progress": {NOW: Bucket(waiting={"running": Waiting(1, float(NOW))})},
    "an operation": {NOW: Bucket(seen_operations={SERIES.operation: float(NOW)})},
    "a model": {NOW: Bucket(seen_models={SERIES.model: float(NOW)})},
    "a success": {NOW: Bucket(succeeded_models={SERIES.model: float(NOW)})},
}


@pytest.mark.parametrize("what", NEWS)
def test_what_is_new_is_written_before_it_is_shown(
    written: tuple[LedgerService, list[Changes]], what: str, tmp_path: Path
) -> None:
    """After a power cut, the file knows all of it."""
    ledger, commits = written
    assert not ledger.record(quiet(3, 1))
    assert ledger.record(quiet(4, 2, NEWS[what]))
    assert len(commits) == 1
    assert ledger.durable is not None
    with copied(tmp_path) as kept:
        on_disk = kept.load()
    assert on_disk is not None
    assert on_disk.slices == ledger.durable.slices
    assert on_disk.totals == ledger.durable.totals
    assert on_disk.progress == ledger.durable.progress


def test_a_clock_that_is_set_back_is_written(written: tuple[LedgerService, list[Changes]]) -> None:
    ledger, commits = written
    assert not ledger.record(quiet(3, 40))
    ledger.open(Identity("1", "shop", "public.ai_operation_log"), NOW - 10 * MINUTE)
    assert [changes.progress.now for changes in commits if changes.progress] == [NOW - 10 * MINUTE]


def test_a_disk_that_was_full_gets_all_of_it_even_if_nothing_is_new(
    written: tuple[LedgerService, list[Changes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, commits = written
    with monkeypatch.context() as patched:
        patched.setattr(Store, "commit", _full)
        assert ledger.record(quiet(3, 1, NEWS["a row"]))
        assert ledger.record(quiet(4, 2, NEWS["a row"]))
        assert ledger.commits_fail
    assert ledger.record(quiet(5, 3, NEWS["a row"]))
    assert not ledger.commits_fail
    assert len(commits) == 1


def test_a_process_that_was_killed_reads_on_from_the_time_that_it_has_written(
    written: tuple[LedgerService, list[Changes]], tmp_path: Path
) -> None:
    """What was read after that is read again, and counted once."""
    ledger, _ = written
    known = {NOW: Bucket(cells={SERIES: row(5)})}
    ledger.record(quiet(3, 1, known))
    ledger.record(quiet(4, 20, known))
    folder = tmp_path / "copy"
    folder.mkdir()
    with copied(tmp_path) as kept, closing(sqlite3.connect(folder / FILE_NAME)) as db:
        kept.read(lambda source: source.backup(db))
    with Store(folder) as store:
        again = LedgerService(store, Config())
        before = again.present.totals.copy() if again.present else {}
        again.open(Identity("1", "shop", "public.ai_operation_log"), NOW + 25)
        again.record(quiet(5, 25, {**known, NOW - MINUTE: Bucket(cells={SERIES: row(7)})}))
        assert again.present is not None
        assert ledger.present is not None
        assert before == ledger.present.totals
        assert again.present.totals[SERIES][Figure.COST] == 12
        again.close()


def _full(*_: Any) -> None:
    raise sqlite3.OperationalError("database or disk is full")
