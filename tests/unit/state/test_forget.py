"""`state forget`, and how it is said that places run out."""

import io
import sqlite3
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.config import Config
from exporter.findings import Level
from exporter.ledger.model import EXPOSED, Admission, Changes, Phase, Progress, Series
from exporter.preflight.series import check_series
from exporter.reports.state import show
from exporter.scrape.ledger_service import LedgerService
from exporter.state.store import StateError, Store
from tests.support.kept import write_first_version

PROGRESS = Progress(Phase.RUNNING, 200, 0, 0, 60, 201, 0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_first_version(tmp_path / "state")


def admitted(folder: Path) -> set[str]:
    with Store(folder) as store:
        state = store.load()
    assert state is not None
    return {f"{series.operation} {series.model}" for series in state.admitted}


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        (["--operation", "plan"], {"plan m1", "plan m2"}),
        (["--operation", "plan", "--model", "m2"], {"plan m2"}),
    ],
)
def test_series_end_and_are_listed(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], gone: set[str]
) -> None:
    before = admitted(folder)
    assert main(["state", "forget", "--state-dir", str(folder), *arguments]) == 0
    said = capsys.readouterr().out
    assert admitted(folder) == before - gone
    assert "plan  m2  (5 calls, $1.20)" in said
    assert f"series {5 - len(gone)} of 200" in said


@pytest.mark.parametrize(
    "arguments", [["--operation", "no"], ["--operation", "plan", "--model", "m9"], ["--operation", "other"]]
)
def test_what_is_not_there_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    before = admitted(folder)
    assert main(["state", "forget", "--state-dir", str(folder), *arguments]) == 1
    assert "has no series of operation" in capsys.readouterr().err
    assert admitted(folder) == before


def test_it_is_refused_while_an_exporter_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(folder):
        assert main(["state", "forget", "--state-dir", str(folder), "--operation", "plan"]) == 1
    assert "in use by another process: stop it" in capsys.readouterr().err
    assert len(admitted(folder)) == 6


def test_a_full_volume_is_said_and_nothing_changes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = admitted(folder)

    def no_room(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", no_room)
        assert main(["state", "forget", "--state-dir", str(folder), "--operation", "plan"]) == 1
    said = capsys.readouterr()
    assert "disk is full" in said.err
    assert "free space" in said.err
    assert not said.out
    assert admitted(folder) == before


def full(folder: Path, taken: int) -> None:
    with Store(folder) as store:
        series = [Series(f"operation-{number}", "m1") for number in range(taken)]
        store.commit(Changes(PROGRESS, admitted={s: Admission(n, EXPOSED) for n, s in enumerate(series)}))


@pytest.mark.parametrize(("taken", "level"), [(0, Level.OK), (15, Level.OK), (16, Level.WARN), (20, Level.WARN)])
def test_it_is_said_when_places_run_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, taken: int, level: Level
) -> None:
    full(tmp_path, taken)
    finding = check_series(tmp_path, 20)
    assert (finding.level, finding.detail.split(" are ")[0]) == (level, f"{taken} of 20 series")
    for _ in range(2):
        caplog.clear()
        ledger = LedgerService(Store(tmp_path), Config(max_series=20))
        ledger.note_skips({})
        ledger.close()
        assert ("places for series are taken" in caplog.text) == (level is Level.WARN)


def test_a_folder_without_a_state_has_all_places(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        assert check_series(folder, 200).level is Level.OK
    # and nothing is made there
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StateError, match="no state folder"):
        show(Config.model_validate({"state_dir": str(tmp_path / "none")}), io.StringIO())
