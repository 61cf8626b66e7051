"""A state that a wrong clock has closed, as version 0.1 left it, and the way out."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.findings import Level
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR, floor_to
from exporter.ledger.model import Changes, Slice
from exporter.preflight.state import check_state
from exporter.state.store import Store
from tests.support.harness import Log, assert_shows_what_sql_says, running, wait_for

DAY = 86400


def poison(folder: Path) -> None:
    """Close everything by a clock that is three days ahead."""
    with Store(folder) as store:
        state = store.load()
        assert state is not None
        now = state.progress.now + 3 * DAY
        folded, merged = floor_to(now - 2 * DAY, QUARTER_HOUR), floor_to(now - 600, QUARTER_HOUR)
        slices: dict[int, Slice | None] = dict.fromkeys(state.slices)
        slices.update({start: Slice(start, QUARTER_HOUR) for start in range(folded, merged, QUARTER_HOUR)})
        slices.update({start: Slice(start, MINUTE) for start in range(merged, now + 1, MINUTE)})
        progress = replace(
            state.progress, now=now, compacted=folded, merged=merged, closed=merged, position=now + 1, skew=None
        )
        users = dict.fromkeys(state.slices)
        store.commit(
            Changes(progress=progress, slices=slices, slice_users=users, user_days=dict.fromkeys(state.user_days))
        )


@pytest.fixture
def folder(embedded_database: str, tmp_path: Path) -> Path:
    """The state of an exporter that has counted one dollar, and was closed by a wrong clock."""
    with Log(embedded_database, "success") as log:
        log.insert(cost="0.5", ago=3600)
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            log.insert(cost="1", ago=1)
            assert exporter.wait_up().money == 1_000_000
    poison(tmp_path)
    return tmp_path


def rewind(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("DATABASE_URL", url)
    return main(["state", "rewind", "--state-dir", str(folder), *arguments])


def test_what_a_wrong_clock_has_closed_counts_once_it_is_rewound(
    embedded_database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Log(embedded_database, "success", exists=True) as log:
        log.insert(cost="10", ago=0)
        with running(log.url, folder) as exporter:
            wait_for(
                lambda: exporter.scrape().up == 0 and "state rewind" in str(exporter.exporter.status()),
                lambda: str(exporter.exporter.status()),
            )
        assert "state rewind" in check_state(folder, None).hint
        assert rewind(folder, log.url, monkeypatch) == 0
        assert check_state(folder, None).level is not Level.FAIL
        assert "is closed before" in capsys.readouterr().out
        with running(log.url, folder) as exporter:
            after = exporter.wait_ready().wait_up()
            assert after.money == 11_000_000
            assert after.micro("ai_spend_month_usd") == 11_500_000
            assert after.micro("ai_user_spend_today_usd") == after.micro("ai_spend_today_usd")
            log.insert(cost="20", ago=0)
            assert exporter.wait_up().money == 31_000_000


def test_a_state_that_is_right_has_nothing_to_rewind(
    embedded_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Log(embedded_database, "success") as log:
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            log.insert(cost="1", ago=1)
            exporter.wait_up()
        assert rewind(tmp_path, log.url, monkeypatch) == 1
        assert "nothing to do" in capsys.readouterr().err
        with running(log.url, tmp_path, after=exporter) as again:
            assert_shows_what_sql_says(again.wait_ready().wait_up(), log)


@pytest.mark.parametrize("to", ["yesterday", "2999-01-01", "0001-01-01T00:00", "99999-01-01"])
def test_a_moment_that_cannot_be_is_refused(
    embedded_database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], to: str
) -> None:
    assert rewind(folder, embedded_database, monkeypatch, "--to", to) == 1
    assert f"--to {to!r}" in capsys.readouterr().err


def test_without_a_row_that_was_read_the_moment_must_be_named(
    embedded_database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(folder) as store:
        state = store.load()
        assert state is not None
        store.commit(Changes(progress=replace(state.progress, newest=0.0)))
    assert rewind(folder, embedded_database, monkeypatch) == 1
    said = capsys.readouterr().err
    assert "no row has been read" in said
    assert "None" not in said


def test_a_newest_row_that_is_dated_ahead_needs_the_moment_named(
    embedded_database: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(folder) as store:
        state = store.load()
        assert state is not None
        store.commit(Changes(progress=replace(state.progress, newest=float(state.progress.now))))
    assert rewind(folder, embedded_database, monkeypatch) == 1
    assert "--to" in capsys.readouterr().err
    moment = datetime.now(UTC).replace(microsecond=0).isoformat()
    assert rewind(folder, embedded_database, monkeypatch, "--to", moment) == 0
    with Log(embedded_database, "success", exists=True) as log, running(log.url, folder) as exporter:
        log.insert(cost="10", ago=0)
        exporter.wait_ready()
        assert exporter.wait_up().money == 11_000_000
