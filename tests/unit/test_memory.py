"""Where the tests keep what they write: in memory, and nothing of it stays behind."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support import ROOT, memory
from tests.support.memory import use_memory

HOLDS_ONE_AND_WAITS = """
import sys
from pathlib import Path
from tests.support import memory
memory.NEEDED = 0
print(memory.use_memory(Path(sys.argv[1])).path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def _a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    monkeypatch.setattr(memory, "NEEDED", 0)


def test_files_of_this_process_and_of_others_lie_in_it_until_it_is_closed(tmp_path: Path) -> None:
    folder = use_memory(tmp_path)
    assert folder
    assert Path(tempfile.gettempdir()) == Path(os.environ["TMPDIR"]) == folder.path
    assert folder.path.parent == tmp_path
    (folder.path / "file").touch()
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_without_room_files_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "NEEDED", 1 << 60)
    assert use_memory(tmp_path) is None
    assert use_memory(tmp_path / "nowhere") is None
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == ("/tmp", "/tmp")
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_removes_what_nobody_uses(tmp_path: Path) -> None:
    failed = use_memory(tmp_path)
    assert failed
    failed.kept = True
    failed.close()
    assert failed.path.exists()
    command = [sys.executable, "-c", HOLDS_ONE_AND_WAITS, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        in_use = Path(other.stdout.readline().strip())
        assert not failed.path.exists()
        folder = use_memory(tmp_path)
        assert folder
        assert sorted(tmp_path.iterdir()) == sorted([in_use, folder.path])
        other.kill()
    folder.close()
    again = use_memory(tmp_path)
    assert again
    assert list(tmp_path.iterdir()) == [again.path]
    again.close()
