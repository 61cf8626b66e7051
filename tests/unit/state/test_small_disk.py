"""Volumes with hardly any room: the journal stays small, and what was full goes on when there is room again."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.findings import Level
from exporter.ledger.aggregate import WIDTH
from exporter.ledger.model import Cell, Changes, Phase, Progress, Series, Slice
from exporter.preflight.space import LEAST, ROOMY, check_space, evaluate_space
from exporter.state.journal import Journal
from exporter.state.store import Store
from tests.support.disks import small_disk

PROGRESS = Progress(Phase.RUNNING, 200, 0, 0, 60, 201, 0, 0)


@pytest.fixture
def megabyte(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 1024) as disk:
        yield disk


def slices(starts: range, value: int) -> Changes:
    cell = Cell((value,) * WIDTH, (value,) * WIDTH)
    return Changes(PROGRESS, slices={start: Slice(start, 900, {Series("chat", "m1"): cell}) for start in starts})


def test_a_megabyte_holds_a_small_state_for_ever(megabyte: Path) -> None:
    journal = Journal(Store(megabyte / "state"))
    journal.commit(slices(range(0, 900 * 192, 900), 10**9))
    for number in range(600):
        start = number % 180 * 900
        journal.commit(slices(range(start, start + 900 * 8, 900), 10**9 + number))
        assert not journal.failures, (
            f"commit {number}: {[(p.name, p.stat().st_size) for p in journal.folder.iterdir()]}"
        )
    journal.close()


def test_a_volume_that_was_full_goes_on_when_there_is_room(megabyte: Path) -> None:
    ballast = megabyte / "ballast"
    with Store(megabyte / "state") as store:
        store.commit(slices(range(0, 900 * 50, 900), 1))
        volume = os.statvfs(megabyte)
        ballast.write_bytes(b"x" * (volume.f_bavail * volume.f_frsize))
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.commit(slices(range(0, 900 * 192, 900), 10**9))
        ballast.unlink()
        store.commit(slices(range(0, 900, 900), 7))
    with Store(megabyte / "state") as store:
        state = store.load()
    assert state is not None
    assert state.slices[0].cells[Series("chat", "m1")].current[0] == 7


def test_check_looks_at_the_room_on_the_volume(megabyte: Path) -> None:
    assert check_space(megabyte / "a" / "state").level is Level.WARN
    (megabyte / "ballast").write_bytes(b"x" * 2**20)
    finding = check_space(megabyte)
    assert finding.level is Level.FAIL
    assert str(megabyte) in finding.detail


@pytest.mark.parametrize(
    ("free", "kept", "level"),
    [
        (0, 0, Level.FAIL),
        (LEAST - 1, ROOMY, Level.FAIL),
        (LEAST, 0, Level.WARN),
        (LEAST, ROOMY, Level.OK),
        (ROOMY, 0, Level.OK),
        (10**12, 0, Level.OK),
    ],
)
def test_how_much_room_is_enough(free: int, kept: int, level: Level) -> None:
    assert evaluate_space(Path("/x"), free, kept, no_files=False).level is level


def test_a_volume_without_inodes_fails() -> None:
    finding = evaluate_space(Path("/x"), 10**12, 0, no_files=True)
    assert finding.level is Level.FAIL
