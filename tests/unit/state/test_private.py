"""The state is closed to other users, whatever the umask, and where a volume is shared with a group it still works."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.findings import Level
from exporter.ledger.model import Changes, Phase, Progress
from exporter.preflight.state import check_privacy
from exporter.state.store import FILE_NAME, Store
from tests.support.kept import write_first_version

PROGRESS = Progress(Phase.RUNNING, 200, 0, 0, 60, 201, 0, 0)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o7777 for path in folder.iterdir()}


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o277])
def test_what_is_made_is_closed_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    folder = tmp_path / "state"
    with umask(mask), Store(folder) as store:
        store.commit(Changes(PROGRESS))
        assert folder.stat().st_mode & 0o7777 == 0o700
        found = modes(folder)
        assert set(found) == {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "lock"}
        assert set(found.values()) == {0o600}
    assert check_privacy(folder).level is Level.OK


def test_what_is_set_aside_and_what_comes_in_its_place_are_closed_too(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    Store(folder).close()
    (folder / FILE_NAME).write_bytes(b"no database at all" * 100)
    (folder / FILE_NAME).chmod(0o644)
    with umask(0), Store(folder) as store:
        store.commit(Changes(PROGRESS))
        assert len(modes(folder)) == 5
        assert set(modes(folder).values()) == {0o600}


def test_a_folder_of_the_first_version_is_closed_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = write_first_version(tmp_path / "state")
    folder.chmod(0o755)
    (folder / FILE_NAME).chmod(0o644)
    (folder / f"{FILE_NAME}.damaged-20260101T000000").write_bytes(b"x")
    (folder / f"{FILE_NAME}.damaged-20260101T000000").chmod(0o644)
    (folder / "lost+found").mkdir()
    assert check_privacy(folder).level is Level.WARN
    assert "damaged" in check_privacy(folder).hint
    for _ in range(2):
        Store(folder).close()
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert {mode for name, mode in modes(folder).items() if name != "lost+found"} == {0o600}
    assert len([record for record in caplog.records if "closed to other users" in record.getMessage()]) == 1
    assert check_privacy(folder).level is Level.OK


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_folder_that_is_not_the_states_alone_stays_as_it_is(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    if mode == 0o755:
        (tmp_path / "config.yaml").write_text("")
    Store(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o7777 == mode
    assert modes(tmp_path)[FILE_NAME] == modes(tmp_path)["lock"] == 0o600


def test_a_folder_that_every_user_may_write_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o1777)
    Store(tmp_path).close()
    assert "can be written by every user" in caplog.text
    finding = check_privacy(tmp_path)
    assert finding.level is Level.WARN
    assert "chmod o-w" in finding.hint


@contextlib.contextmanager
def volume(mode: int) -> Iterator[Path]:
    """A folder of root's group 1000, seen by a user who is in that group, as a volume of Kubernetes is (fsGroup)."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    outer = Path(tempfile.mkdtemp())
    outer.chmod(0o755)
    folder, groups = outer / "volume", os.getgroups()
    folder.mkdir()
    os.chown(folder, 0, 1000)
    folder.chmod(mode)
    try:
        os.setgroups([1000])
        os.setresgid(10001, 10001, 0)
        os.setresuid(10001, 10001, 0)
        yield folder
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)
        shutil.rmtree(outer)


@pytest.mark.parametrize("mode", [0o2770, 0o770, 0o2777])
@pytest.mark.parametrize("inner", ["", "state"])
def test_a_volume_that_belongs_to_a_group_works(mode: int, inner: str, caplog: pytest.LogCaptureFixture) -> None:
    with volume(mode) as mounted:
        folder = mounted / inner
        for number in range(2):
            with Store(folder) as store:
                store.commit(Changes(PROGRESS), {"n": number})
            # at each start of a pod the kubelet may give the group its rights again
            (folder / FILE_NAME).chmod(0o660)
        with Store(folder) as store:
            assert store.meta("n") == 1
        assert set(modes(folder).values()) == {0o600}
        assert mounted.stat().st_mode & 0o7777 == mode
        assert check_privacy(folder).level is (Level.WARN if mode & 2 and not inner else Level.OK)
    assert ("every user" in caplog.text) == bool(mode & 2 and not inner)
