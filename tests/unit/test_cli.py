"""The command line's own behaviour: what is wrong is said in one line, with an exit code."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.config import Config
from exporter.serving import UsageError, backfill_moment


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PG", "DATABASE_URL"))]:
        monkeypatch.delenv(name)


def test_version_names_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("ai-operation-exporter 0.")


@pytest.mark.parametrize("command", [[], ["no-such-command"], ["demo", "--days", "0"], ["state"]])
def test_wrong_usage_ends_with_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_bad_configuration_is_named_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("zero_hold: 60s\nhorizont: 24h\n")
    assert main(["serve", "--config", str(config)]) == 1
    said = capsys.readouterr().err
    assert f"{config}:2" in said
    assert "horizon" in said


def test_check_reports_a_key_that_cannot_be_read_among_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"users: {{mode: hmac, hmac_key_file: {tmp_path / 'absent.key'}}}\n")
    arguments = ["--config", str(config), "--state-dir", str(tmp_path / "state")]
    assert main(["check", *arguments]) == 1
    lines = capsys.readouterr().out.splitlines()
    failed = next(line for line in lines if line.startswith("FAIL  users"))
    assert "absent.key cannot be used" in failed
    assert "users.hmac_key_file: name a file that can be read" in lines[lines.index(failed) + 1]
    assert any(line.startswith("ok    state folder") for line in lines)
    # to serve without the key would show users as they are
    assert main(["serve", *arguments]) == 1
    assert f"{config}:1: users.hmac_key_file" in capsys.readouterr().err


def test_a_bad_listen_address_is_said_and_the_state_is_released(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["serve", "--state-dir", str(tmp_path / "s"), "--web.listen-address", "127.0.0.1"]) == 1
        said = capsys.readouterr().err
        assert "127.0.0.1" in said
        assert "in use by another process" not in said


def test_state_commands_name_a_folder_that_is_missing_or_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["state", "show", "--state-dir", str(tmp_path / "none")]) == 1
    assert "no state folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    for command in ("show", "adopt"):
        assert main(["state", command, "--state-dir", str(tmp_path / "empty")]) == 1
        assert "holds nothing yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-03-01", "UTC", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01", "Europe/Berlin", datetime(2026, 2, 28, 23, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", "Europe/Berlin", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_backfill_begins_at_the_budgets_midnight(text: str, zone: str, moment: datetime) -> None:
    config = Config.model_validate({"budget_time_zone": zone})
    assert backfill_moment(text, config) == moment.timestamp()


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="2026-01-31"):
        backfill_moment("last week", Config())
