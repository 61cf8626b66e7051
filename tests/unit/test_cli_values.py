"""Every command with every option, and values that nobody should write: one clear line, and never a traceback."""

import argparse
import io
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exporter.cli import PROGRAM, main, whole_parser
from exporter.process.signals import SignalReceiver
from tests.support import ROOT

REQUEST = '{"name": "trial", "type": "daily_spend", "threshold_usd": 1, "channel": "discord"}'
LONG = "x" * 300
HUGE = "9" * 500

REFUSED = {
    "FILE": ["absent", "folder", "", "\udcff", "binary", "/proc/self/mem", "/dev/null/x", LONG, "a\x00b"],
    "DIR": ["/dev/null/x", "/proc/x", "binary", "", LONG, "a\x00b"],
    "URL": ["nonsense", "http://[::1", "ftp://x", "http://", "\udcff", "http://127.0.0.1:99999", "http://h:x", LONG],
    "ADDRESS": [
        "nonsense",
        "",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "\udcff:1",
        "256.0.0.1:1",
        "203.0.113.1:80",
        "taken",
    ],
    "COUNT": ["", "x", "-1", "0", HUGE, "1.5", "²", "\udcff"],
    "DAYS": ["", "x", "-1", "0", HUGE, "1.5", "nan", "\udcff"],
    "SECONDS": ["", "x", "-1", HUGE, "nan", "inf", "\udcff"],
    "DURATION": ["", "x", "-1h", "0", HUGE, "1y", "1h30m", "\udcff"],
    "HH:MM": ["", "x", "6:00", "24:00", "06:60", "06:00:00", "0600", "٠٦:٠٠", "\udcff", HUGE],
    "DATE": ["", "x", "-1", HUGE, "2999-01-01", "\udcff"],
    "JOBS": ["", "(", "a\nb", '"', "a\\", "$x", "{}", "\udcff", "a\x00b"],
    "ZONE": ["", "x", "../x", "/etc/passwd", "\udcff", "a\x00b"],
}
"""By the metavar of an option: values that must be refused, with a line that names the option or the value."""

LEFT_OUT = {
    # these folders are used only when something has to be written into them
    *((("rules", name), "--secrets") for name in ("add", "remove", "disable", "enable")),
    (("rules", "add"), "--runbooks"),
    # there is no state to be written, and no copy to be read
    (("state", "backup"), "file"),
    (("state", "restore"), "--state-dir"),
    # a state folder that is not there is one to be made, or has nothing to be shown
    (("state", "rewind"), "--to"),
    # made when the history is complete
    (("demo-data",), "--ready-file"),
}


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The commands that have no command below them."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield words, parser
    for action in inner:
        for name, subparser in action.choices.items():
            yield from commands(subparser, (*words, name))


COMMANDS = dict(commands(whole_parser()))
OPTIONS = [(words, action) for words, parser in COMMANDS.items() for action in parser._actions if action.nargs != 0]


def line(words: tuple[str, ...], chosen: argparse.Action, value: str) -> list[str]:
    """A command line with this value, and something for all else that the command needs."""
    written = list(words)
    for action in COMMANDS[words]._actions:
        name = f"{action.option_strings[0]}=" if action.option_strings else ""
        if action is chosen:
            written.append(f"{name}{value}")
        elif action.required:
            written.append(f"{name}high_error_rate")
    return written


@pytest.fixture
def folder(no_settings_from_outside: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with alerts, where commands that would go on end at once, and no server answers."""
    shutil.copytree(ROOT / "alert_rules", tmp_path / "alert_rules", ignore=shutil.ignore_patterns("*.py", "__*"))
    shutil.copy(ROOT / "alert_rules" / "channels.yaml", tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    for part in ("PROMETHEUS", "ALERTMANAGER", "EXPORTER", "GRAFANA"):
        monkeypatch.setenv(f"{part}_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(SignalReceiver, "wait", lambda *_: "stop")
    monkeypatch.setattr("exporter.commands.demo.run_demo", lambda *_, **__: 0)
    return tmp_path


def run(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code, and what was said of an error. Whatever `main` raises but SystemExit is a traceback."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(REQUEST))
    capsys.readouterr()
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out, words
    if code == 0:
        return 0, ""
    errors = [each for each in said.err.splitlines() if each.startswith(PROGRAM)]
    # `check` and `verify` report on standard output
    return code, "\n".join(errors) or said.out


USED_AT_ONCE = [
    (words, action) for words, action in OPTIONS if (words, (action.option_strings or [action.dest])[0]) not in LEFT_OUT
]


@pytest.mark.parametrize(
    ("words", "action"), USED_AT_ONCE, ids=lambda part: " ".join(part) if isinstance(part, tuple) else part.dest
)
def test_a_value_that_cannot_be_used_is_refused_by_its_name(
    words: tuple[str, ...],
    action: argparse.Action,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = (action.option_strings or [action.dest])[0]
    values = ["", "x", "\udcff"] if action.choices else REFUSED.get(str(action.metavar), [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for each in values:
            value = f"127.0.0.1:{taken.getsockname()[1]}" if each == "taken" else each
            code, said = run(line(words, action, value), capsys, monkeypatch)
            assert code != 0, (words, name, value)
            shown = value.encode("utf-8", "backslashreplace").decode()
            assert name in said or (shown and shown[:20] in said), (words, name, value, said)
            fixes = (" — ", "; ", "write ", "choose ", "set it", "enlarge ")
            assert any(fix in said for fix in fixes), said


WORDS = st.sampled_from([*(value for values in REFUSED.values() for value in values if value != "taken")]) | st.text(
    st.characters(exclude_characters="/"), max_size=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(OPTIONS), WORDS)
@example(OPTIONS[0], "")
@example(next(each for each in OPTIONS if each[1].metavar == "FILE"), "\ud800")
@example(next(each for each in OPTIONS if each[1].metavar == "DIR"), "a\udfff")
def test_no_value_of_any_option_ends_in_a_traceback(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: tuple[tuple[str, ...], argparse.Action],
    value: str,
) -> None:
    code, said = run(line(*option, value), capsys, monkeypatch)
    assert code in (0, 1, 2)
    assert code == 0 or said


def test_a_folder_that_may_not_be_written_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["dashboards", "build"], ["sql", "build"], ["rules", "build"]):
        code, said = run([*words, "--output", "/proc/self"], capsys, monkeypatch)
        assert code == 1
        assert "/proc/self" in said
        assert " — " in said


NEED_A_DATABASE = ("serve", "check", "operations", "budget", "recommend", "demo-data", "verify")


@pytest.mark.parametrize("command", NEED_A_DATABASE)
def test_a_command_without_a_url_says_that_there_is_none(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    code, said = run([command], capsys, monkeypatch)
    assert code == 1
    assert "no database is given" in said
    # an address that names nothing is one, too
    monkeypatch.setenv("PGPASSWORD", "x")
    assert "no database is given" in run([command], capsys, monkeypatch)[1]
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", "1")
    assert "no database is given" not in run([command], capsys, monkeypatch)[1]


@pytest.mark.parametrize(
    "command", ["rules validate", "rules build", "rules explain x", "rules list", "dashboards build"]
)
def test_a_file_that_is_not_here_is_named_with_its_option(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run(command.split(), capsys, monkeypatch)
    assert code == 1
    assert "No such file or directory" in said
    assert "--channels FILE" in said or "--alerts FILE" in said


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is_and_what_it_is_without(words: tuple[str, ...]) -> None:
    parser = COMMANDS[words]
    assert (parser.description or "").endswith(".")
    for action in parser._actions:
        assert action.help, (words, action.dest)
        if action.option_strings and action.nargs != 0:
            assert action.metavar or action.choices, (words, action.dest)
            assert action.required or "(default: " in action.help or action.dest == "since", (words, action.dest)


@pytest.mark.parametrize("command", ["validate", "explain", "list"])
def test_what_writes_nothing_takes_no_output(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rules", command, "--output", "x"])
    assert ended.value.code == 2
