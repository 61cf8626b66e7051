"""Commits whose disk fails, hangs or is slow: everything arrives once and in order, and nobody waits for long."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.ledger.model import Changes, Phase, Progress, State
from exporter.state import journal as module
from exporter.state.journal import DiskSilent, Journal
from exporter.state.store import StateError, Store

PROGRESS = Progress(Phase.RUNNING, 200, 0, 0, 60, 201, 0, 0)


class Disk:
    """Answers each commit as it is told to: `fail` raises, and while `hung` is set it waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fail: Exception | None = None
        self.go_on = threading.Event()
        self.go_on.set()
        self.commits = 0
        commit = Store.commit

        def guarded(store: Store, changes: Changes, *more: Any) -> None:
            self.go_on.wait()
            if self.fail is not None:
                raise self.fail
            self.commits += 1
            commit(store, changes, *more)

        monkeypatch.setattr(Store, "commit", guarded)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr(module, "PATIENCE", 0.02)
    monkeypatch.setattr(module, "READING", 0.05)
    disk = Disk(monkeypatch)
    yield disk
    disk.go_on.set()


def retry_until(journal: Journal, done: Callable[[], bool]) -> list[Changes]:
    """Retry until something is so; what has landed meanwhile."""
    landed: list[Changes] = []
    for _ in range(3000):
        landed += journal.retry()
        if done():
            return landed
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


def _answers(journal: Journal) -> bool:
    with contextlib.suppress(DiskSilent):
        journal.slice_users([1800])
        return True
    return False


def users(name: str, number: int) -> Changes:
    return Changes(PROGRESS, shown_users={name: number})


def on_disk(folder: Path) -> State:
    with Store(folder) as store:
        state = store.load()
    assert state is not None
    return state


def test_what_hangs_is_sent_once_and_all_that_came_after_it_in_one_commit(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(Store(tmp_path))
    landed: list[Changes] = []
    disk.go_on.clear()
    for number in range(5):
        landed += journal.commit(users("anna", number), {"n": number})
        landed += journal.commit(users(f"user{number}", number))
    assert landed == []
    assert journal.behind
    retry_until(journal, lambda: journal.failures > 2)
    disk.go_on.set()
    landed += retry_until(journal, lambda: journal.durable)
    assert not journal.behind
    assert disk.commits == 2
    assert [changes.shown_users["anna"] for changes in landed] == [0, 4]
    journal.close()
    assert on_disk(tmp_path).shown_users == {"anna": 4, **{f"user{n}": n for n in range(5)}}
    with Store(tmp_path) as store:
        assert store.meta("n") == 4


@pytest.mark.parametrize("error", [sqlite3.OperationalError("database or disk is full"), OSError(5, "I/O error")])
def test_what_hangs_and_then_fails_is_sent_again_before_what_came_after_it(
    tmp_path: Path, disk: Disk, error: Exception
) -> None:
    journal = Journal(Store(tmp_path))
    disk.go_on.clear()
    journal.commit(users("anna", 1))
    journal.commit(users("anna", 2))
    disk.fail = error
    disk.go_on.set()
    retry_until(journal, lambda: journal.failures > 1)
    assert journal.behind
    disk.fail = None
    landed: list[Changes] = []
    landed += retry_until(journal, lambda: journal.durable)
    assert landed[-1].shown_users == {"anna": 2}
    journal.close()
    assert on_disk(tmp_path).shown_users == {"anna": 2}


def test_an_internal_error_ends_one_commit_and_not_those_after_it(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    journal = Journal(Store(tmp_path))
    disk.fail = TypeError("no JSON")
    with pytest.raises(TypeError):
        journal.commit(users("anna", 1))
    disk.fail = None
    assert journal.durable
    journal.commit(users("bert", 2))
    retry_until(journal, lambda: journal.durable)
    journal.close()
    assert on_disk(tmp_path).shown_users == {"bert": 2}


def test_users_of_slices_are_those_that_were_handed_over_last(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(Store(tmp_path))
    journal.commit(Changes(PROGRESS, slice_users={0: {"anna": 1}, 900: {"bert": 2}, 1800: {"carl": 3}}))
    retry_until(journal, lambda: journal.durable)
    disk.go_on.clear()
    journal.commit(Changes(slice_users={0: {"anna": 5}, 900: None}))
    journal.commit(Changes(slice_users={0: {"anna": 6}}))
    assert journal.slice_users([0, 900]) == {0: {"anna": 6}, 900: {}}
    assert journal.slice_users([]) == {}
    # what only the disk knows is not waited for for ever
    with pytest.raises(DiskSilent, match=r"does not answer"):
        journal.slice_users([1800])
    disk.go_on.set()
    retry_until(journal, lambda: journal.durable)
    monkeypatch.setattr(module, "READING", 60.0)
    retry_until(journal, lambda: _answers(journal))
    assert journal.slice_users([0, 900, 1800]) == {0: {"anna": 6}, 1800: {"carl": 3}}
    journal.close()


def test_a_read_says_whether_the_disk_is_full_or_hangs(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(Store(tmp_path))
    disk.fail = sqlite3.OperationalError("database or disk is full")
    journal.commit(users("a", 1))
    for read in (lambda: journal.read(lambda _, number: number, 1), lambda: journal.slice_users([0])):
        with pytest.raises(DiskSilent, match=r"disk is full.* free space"):
            read()
    disk.go_on.clear()
    journal.retry()
    with pytest.raises(DiskSilent, match="does not answer"):
        journal.read(lambda _, number: number, 1)
    disk.go_on.set()
    disk.fail = None
    retry_until(journal, lambda: journal.durable)
    assert journal.read(lambda _, number: number, 1) == 1
    journal.close()


def test_closing_does_not_wait_for_a_disk_that_hangs(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SHORT_FAREWELL", 0.05)
    store = Store(tmp_path)
    journal = Journal(store)
    disk.go_on.clear()
    journal.commit(users("anna", 1))
    ended = threading.Event()

    def end() -> None:
        # as the command ends: the journal, and then whoever opened the store
        journal.close()
        store.close()
        ended.set()

    threading.Thread(target=end, daemon=True).start()
    assert ended.wait(30)
    assert "stopping without it" in caplog.text
    # whoever comes next in the same process finds the folder free as soon as the disk answers
    disk.go_on.set()
    for _ in range(3000):
        with contextlib.suppress(StateError):
            Store(tmp_path).close()
            break
        threading.Event().wait(0.01)
    else:
        raise AssertionError("the folder stays locked")
