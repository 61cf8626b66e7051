"""The command line's own behaviour: what is wrong is said in one line, with an exit code."""

import contextlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli import main
from exporter.commands.serve import backfill_moment
from exporter.config import Config
from exporter.errors import UserError
from exporter.ledger.model import Changes, Slice
from exporter.state.store import Store

pytestmark = pytest.mark.usefixtures("no_settings_from_outside")


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


@pytest.mark.parametrize(
    "words",
    [["config", "show"], ["config", "show", "--json"], ["completion", "bash"], ["check"], ["state", "backup", "-"]],
)
def test_output_for_which_there_is_no_space_is_said_in_one_line(words: list[str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"state_dir: {tmp_path / 'state'}\n")
    with Store(tmp_path / "state") as store:
        store.commit(Changes(slices={0: Slice(0, 60)}))
    environ = {
        **os.environ,
        "AI_OPERATION_EXPORTER_CONFIG": str(config),
        "DATABASE_URL": "postgresql://a@127.0.0.1:1/a",
    }
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "exporter", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environ, text=True, check=False)
    assert done.returncode == 1
    assert "the output cannot be written: No space left on device — free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


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
    assert f"{config}:1:36: users.hmac_key_file" in capsys.readouterr().err


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


NOW = datetime(2026, 11, 26, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-11-26", "UTC", datetime(2026, 11, 26, tzinfo=UTC)),
        ("2026-11-26T14:30:00Z", "UTC", NOW),
        # tomorrow there, and begun already
        ("2026-11-27", "Pacific/Kiritimati", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("1970-01-01", "UTC", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1970-01-01", "Europe/Berlin", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1999-12-31", "UTC", datetime(1999, 12, 31, tzinfo=UTC)),
        # clocks go from 02:00 to 03:00, and from 03:00 to 02:00
        ("2026-03-29T02:30", "Europe/Berlin", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-10-25T02:30", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        # a day without a midnight
        ("2024-04-26", "Africa/Cairo", datetime(2024, 4, 25, 22, tzinfo=UTC)),
    ],
)
def test_backfill_begins_at_any_moment_that_has_been(text: str, zone: str, moment: datetime) -> None:
    assert backfill_moment(text, Config.model_validate({"budget_time_zone": zone}), NOW) == moment.timestamp()


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0001-01-01", "is before 1970"),
        ("0001-01-01T00:00:00+14:00", "is before 1970"),
        ("1969-12-31", "is before 1970"),
        ("0999-06-01", "is before 1970"),
        ("2026-11-28", "is in the future"),
        ("2026-11-26T14:30:01Z", "is in the future"),
        ("2026-11-26T19:30:01+05:00", "is in the future"),
        ("2027-01-01", "is in the future"),
        ("2062-11-26", "is in the future"),
        ("9999-12-31", "is in the future"),
        ("9999-12-31T23:59:59-12:00", "is in the future"),
        ("", "write a date such as"),
        ("2026-02-30", "write a date such as"),
        ("2026-13-01", "write a date such as"),
        ("10000-01-01", "write a date such as"),
        ("-0001-01-01", "write a date such as"),
        ("31.01.2026", "write a date such as"),
        ("1700000000", "write a date such as"),
        ("nan", "write a date such as"),
    ],
)
def test_backfill_from_no_moment_that_has_been_is_refused(text: str, zone: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        backfill_moment(text, Config.model_validate({"budget_time_zone": zone}), NOW)


@given(st.text(max_size=30) | st.datetimes().map(datetime.isoformat) | st.dates().map(str))
def test_whatever_is_named_is_a_moment_that_has_been_or_refused(text: str) -> None:
    with contextlib.suppress(UserError):
        assert 0 <= backfill_moment(text, Config(), NOW) <= NOW.timestamp()


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "2999-01-01", "soon"])
def test_a_backfill_that_is_refused_ends_with_1_and_touches_no_state(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    assert main(["serve", "--state-dir", str(state), "--backfill-since", text]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"ai-operation-exporter: --backfill-since {text!r}")
    assert len(said.splitlines()) == 1
    assert not state.exists()


def test_a_date_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="2026-01-31"):
        backfill_moment("last week", Config())


@pytest.mark.parametrize(("error", "code", "shown"), [("KeyboardInterrupt", -2, ""), ("MemoryError", 1, "MemoryError")])
def test_ctrl_c_during_the_imports_prints_no_traceback(error: str, code: int, shown: str) -> None:
    script = f"""
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "exporter.cli":
            raise {error}
from exporter.__main__ import main
sys.meta_path.insert(0, Interrupted())
sys.argv = ["ai-operation-exporter", "budget"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.strip().endswith(shown) if shown else done.stderr == ""
