"""What was sent is known after a restart, and a file that cannot hold it is refused before anything is sent."""

import os
import re
import stat
from datetime import date
from pathlib import Path

import pytest

from exporter.digest.sent import SentFile
from exporter.errors import UserError

DAY = date(2026, 6, 10).toordinal()


def test_it_is_remembered_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "state" / "digest.json"
    first = SentFile(path)
    assert first.day is None
    first.remember(DAY)
    assert SentFile(path).day == DAY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_text() == '{"sent": "2026-06-10"}\n'
    assert [each.name for each in path.parent.iterdir()] == ["digest.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"sent": 5}', '{"sent": "yesterday"}', "\udcff"])
def test_what_is_no_record_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "digest.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match="holds no day of a digest"):
        SentFile(path)
    assert path.read_text(errors="surrogateescape") == text


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "digest.json", Path("/proc/digest.json"), tmp_path):
        with pytest.raises(UserError, match=re.escape(f"--sent-file {path}: cannot be")):
            SentFile(path)


def test_a_full_disk_costs_the_record_and_not_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = SentFile(tmp_path / "digest.json")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        kept.remember(DAY)
    assert kept.day == DAY
    monkeypatch.undo()
    assert SentFile(tmp_path / "digest.json").day is None


def test_a_health_check_sees_that_the_service_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "digest.json"
    kept = SentFile(path)
    os.utime(path, (0, 0))
    kept.touch()
    assert path.stat().st_mtime > 1_700_000_000
    path.unlink()
    kept.touch()
    assert not path.exists()
