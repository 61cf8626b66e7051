"""What `check` says of a state folder, and that it leaves it as it was."""

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from exporter.database.session import Identity
from exporter.findings import Level
from exporter.ledger.model import Changes
from exporter.preflight.state import check_state, evaluate_identity
from exporter.state.provenance import IDENTITY
from exporter.state.store import FILE_NAME, Store

HERE = Identity("77", "app", "public.ai_operation_log")


def kept(folder: Path, identity: Identity = HERE) -> Path:
    with Store(folder) as store:
        store.commit(Changes(), {IDENTITY: asdict(identity)})
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@contextlib.contextmanager
def without_privileges() -> Iterator[Path]:
    """As a user who is not root; yields a folder of root's that this user may look into."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        yield folder
    finally:
        if root:
            os.setresuid(0, 0, 0)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(folder)


def drop() -> None:
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 0)


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    finding = check_state(tmp_path / "a" / "b", HERE)
    assert (finding.level, finding.detail) == (
        Level.OK,
        f"the exporter will create {tmp_path / 'a' / 'b'} in {tmp_path}",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_is_looked_for_where_the_exporter_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_state(Path("state"), HERE).detail == f"the exporter will create state in {tmp_path}"


@pytest.mark.parametrize("name", ["file", "file/state"])
def test_a_file_in_the_place_of_the_folder_fails(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    finding = check_state(tmp_path / name, HERE)
    assert finding.level is Level.FAIL
    assert "--state-dir" in finding.hint


def test_a_folder_that_this_user_cannot_write_fails() -> None:
    with without_privileges() as folder:
        folder.chmod(0o555)
        drop()
        closed, absent = check_state(folder, HERE), check_state(folder / "state", HERE)
    assert closed.level is absent.level is Level.FAIL
    assert "this user cannot write" in closed.detail
    assert "cannot create it" in absent.detail


def test_a_file_of_another_user_fails() -> None:
    with without_privileges() as folder:
        kept(folder).chmod(0o777)
        (folder / FILE_NAME).chmod(0o444)
        drop()
        finding = check_state(folder, HERE)
    assert finding.level is Level.FAIL
    assert re.search(rf"this user cannot write .*{FILE_NAME}$", finding.detail)


def test_a_folder_that_cannot_be_looked_into_fails() -> None:
    with without_privileges() as folder:
        folder.chmod(0o700 if os.geteuid() == 0 else 0o000)
        drop()
        assert check_state(folder / "inner" / "state", HERE).level is Level.FAIL


def test_an_empty_folder_passes_and_stays_empty(tmp_path: Path) -> None:
    finding = check_state(tmp_path, HERE)
    assert (finding.level, finding.detail) == (Level.OK, f"{tmp_path} is writable, and holds no state yet")
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_was_never_begun_passes(tmp_path: Path) -> None:
    Store(tmp_path).close()
    assert check_state(tmp_path, HERE).detail.endswith("holds no state yet")


def test_a_kept_state_is_read_without_a_change(tmp_path: Path) -> None:
    before = contents(kept(tmp_path))
    assert check_state(tmp_path, HERE).detail == f"{tmp_path} holds the state of this table"
    assert contents(tmp_path) == before


def test_a_running_exporter_is_no_problem_and_is_not_disturbed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        assert check_state(tmp_path, HERE).detail.endswith("no state yet; in use by a running exporter")
        store.commit(Changes(), {IDENTITY: asdict(HERE)})
        finding = check_state(tmp_path, HERE)
        assert (finding.level, finding.detail.split("; ")[1]) == (Level.OK, "in use by a running exporter")
        store.commit(Changes(), {"x": 1})
    with Store(tmp_path) as store:
        assert store.meta("x") == 1


def test_a_new_folder_in_use_passes(tmp_path: Path) -> None:
    with Store(tmp_path):
        (tmp_path / FILE_NAME).unlink()
        assert check_state(tmp_path, HERE).detail.endswith("in use by a running exporter")


@pytest.mark.parametrize("found", [Identity("77", "app", "x.y"), Identity("77", "b", HERE.table), Identity("8", *"ab")])
def test_the_state_of_another_database_fails(tmp_path: Path, found: Identity) -> None:
    finding = check_state(kept(tmp_path), found)
    assert finding.level is Level.FAIL
    assert "(system 77), and this is" in finding.detail
    assert finding.hint.endswith("ai-operation-exporter state adopt")


@pytest.mark.parametrize(("known", "found"), [("", "77"), ("77", ""), ("", "")])
def test_a_system_that_is_not_known_does_not_matter(tmp_path: Path, known: str, found: str) -> None:
    table = ("app", HERE.table)
    assert evaluate_identity(tmp_path, Identity(known, *table), Identity(found, *table), used=False).level is Level.OK
    other = evaluate_identity(tmp_path, Identity(known, "old", "t"), Identity(found, *table), used=False)
    assert other.level is Level.FAIL


def test_a_state_that_could_not_be_compared_is_a_warning(tmp_path: Path) -> None:
    assert check_state(kept(tmp_path), None).level is Level.WARN


def test_another_format_fails(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(kept(tmp_path) / FILE_NAME)) as db:
        db.execute("PRAGMA user_version = 99")
    finding = check_state(tmp_path, HERE)
    assert finding.level is Level.FAIL
    assert "format 99" in finding.detail


def test_figures_of_other_buckets_fail(tmp_path: Path) -> None:
    with Store(kept(tmp_path)) as store:
        store.commit(Changes(), {"layout": {**store.meta("layout"), "latency_edges": [1.0, 2.0]}})
    finding = check_state(tmp_path, HERE)
    assert finding.level is Level.FAIL
    assert "was kept with the latency edges 1.0, 2.0, and this version has 0.05" in finding.detail
    assert "--state-dir" in finding.hint


@pytest.mark.parametrize("damage", [b"no database at all, but a text that is long enough" * 40, b"SQLite format 3\x00"])
def test_a_damaged_file_fails_and_stays(tmp_path: Path, damage: bytes) -> None:
    (kept(tmp_path) / FILE_NAME).write_bytes(damage)
    finding = check_state(tmp_path, HERE)
    assert finding.level is Level.FAIL
    assert "damaged" in finding.detail
    assert (tmp_path / FILE_NAME).read_bytes() == damage


@pytest.mark.parametrize("value", ["{", "[1]", '{"system": "1"}', '{"other": 1}'])
def test_an_identity_that_cannot_be_read_fails(tmp_path: Path, value: str) -> None:
    with contextlib.closing(sqlite3.connect(kept(tmp_path) / FILE_NAME)) as db, db:
        db.execute("UPDATE meta SET value = ?", (value,))
    assert check_state(tmp_path, HERE).level is Level.FAIL
