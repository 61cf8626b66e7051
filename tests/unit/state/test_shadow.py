"""What changed settings make of the rows is kept beside the state: whole, or not at all."""

import sqlite3
from pathlib import Path

import pytest

from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO, Aggregate, with_figure
from exporter.ledger.model import (
    Admission,
    Candidate,
    Cell,
    Changes,
    Phase,
    Progress,
    Series,
    SkippedValue,
    Slice,
    Tally,
    Waiting,
)
from exporter.ledger.shadow import Shadow
from exporter.state.journal import Journal
from exporter.state.shadow import ShadowWork
from exporter.state.store import Store
from exporter.state.stored_shadow import StoredShadow

SERIES = Series("chat", "m1")
PROGRESS = Progress(
    phase=Phase.RUNNING, now=5000, compacted=900, merged=4500, closed=4800, position=5001, count_from=0, began=0
)


def money(units: int) -> Aggregate:
    return with_figure(ZERO, Figure.COST, units)


def part(start: int, units: int = 2**70) -> Slice:
    cells = {SERIES: Cell(money(units), money(units + 1))}
    return Slice(start, 900, cells, {SkippedValue("cost_usd", "nan"): Tally(1, 2)}, {"pending": Waiting(1, 1.5)})


SHADOW = Shadow(
    slices={start: part(start) for start in range(900, 40 * 900, 900)},
    users={900: {"ann": 1}, 1800: {"bob": 2**70}},
    days={(739000, SERIES): 2**70},
    admitted={SERIES: Admission(3, None, since=900)},
    candidates={Series("a", "b"): Candidate(1, 900, 2)},
    seen_operations={"chat": 1.5},
    seen_models={"m1": 2.5},
    succeeded_models={"m1": 3.5},
)


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit(Changes(progress=PROGRESS), None, ShadowWork(SHADOW))
    stored = StoredShadow(Journal(Store(tmp_path)))
    whole = stored.load(None)
    assert (whole.users, whole.slices) == ({}, SHADOW.slices)
    assert dict(stored.all_users()) == dict(stored.users([900, 1800, 2700])) == SHADOW.users
    some = stored.load([900, 9000, 10**9])
    assert set(some.slices) == {900, 9000}
    assert some.users == {900: {"ann": 1}}
    for name in ("days", "admitted", "candidates", "seen_operations", "seen_models", "succeeded_models"):
        assert getattr(some, name) == getattr(whole, name) == getattr(SHADOW, name)


def test_a_candidate_that_got_a_place_waits_no_more(tmp_path: Path) -> None:
    journal = Journal(Store(tmp_path))
    journal.commit(Changes(progress=PROGRESS), None, ShadowWork(SHADOW))
    journal.commit(Changes(), None, ShadowWork(Shadow(candidates={Series("a", "b"): None})))
    assert StoredShadow(journal).load([]).candidates == {}
    journal.close()


def test_the_switch_takes_the_users_over_and_leaves_nothing(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        old = Changes(progress=PROGRESS, slice_users={900: {"old": 1}, 2700: {"old": 2}})
        store.commit(old, None, ShadowWork(SHADOW))
        changes = Changes(slice_users={3600: {"cat": 3}})
        store.commit(changes, {"next": None}, ShadowWork(Shadow(users={4500: {"dan": 4}}), taken_over_since=1800))
        assert store.slice_users(range(0, 9000, 900)) == {1800: {"bob": 2**70}, 3600: {"cat": 3}, 4500: {"dan": 4}}
    stored = StoredShadow(Journal(Store(tmp_path)))
    assert stored.load(None) == Shadow()
    assert not list(stored.all_users())


def test_a_commit_that_fails_leaves_the_shadow_as_it_was(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.commit(Changes(progress=PROGRESS), None, ShadowWork(SHADOW))
        broken = Changes(skipped={SkippedValue("a", "b"): object()})  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            store.commit(broken, None, ShadowWork(reset=True))
    assert StoredShadow(Journal(Store(tmp_path))).load(None).slices == SHADOW.slices


@pytest.mark.parametrize("reset", [False, True])
def test_work_that_waits_for_the_disk_is_done_in_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reset: bool
) -> None:
    journal = Journal(Store(tmp_path))
    journal.commit(Changes(progress=PROGRESS), None, ShadowWork(Shadow(slices={900: part(900, 1)})))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", full)
        journal.commit(Changes(), None, ShadowWork(Shadow(slices={1800: part(1800, 2)})))
        journal.commit(Changes(), None, ShadowWork(Shadow(slices={2700: part(2700, 3)}), reset=reset))
    journal.retry()
    assert StoredShadow(journal).load(None).slices.keys() == ({2700} if reset else {900, 1800, 2700})
    journal.close()
