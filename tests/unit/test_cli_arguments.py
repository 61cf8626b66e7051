"""Whatever stands on the command line: help, a result, or one message. Never a traceback."""

import argparse
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli import COMMANDS, build_parser, main
from tests.support import ROOT

NAMES = [command.name for command in COMMANDS]

# what a command line can hold where a path, a name, a number or a URL belongs; nothing of it makes a command wait
HOSTILE = (
    *("/dev/null/x", "/proc/x", "/proc/self/mem", "absent", "x" * 300, "\udcff", "a\nb", "~", "nan", "²"),
    *("1" * 5000, "-1", "--", "%s{}", "http://[::1", "::", "\u202e", "9999-12-31T23:59:59-12:00"),
)
NOT_WRITABLE = ("/dev/null/x", "/proc/x", "/etc/passwd", "x" * 300)

WITH_AN_ARGUMENT = (
    *("check --config", "check --state-dir", "operations --config", "operations --limit", "operations --user"),
    *("reconcile --config", "reconcile --from", "reconcile --to", "reconcile --provider-csv", "reconcile --tolerance"),
    *("reconcile --provider-columns", "reconcile --time-zone", "reconcile --prometheus", "reconcile --by"),
    *("prices show --offline --model", "prices show --config", "prices show --offline --state-dir", "prices"),
    *("budget --config", "budget --user", "verify --config", "verify --alertmanager-url", "demo-data --config"),
    *("dashboards build --output", "dashboards build --budget-time-zone", "dashboards"),
    *("rules build --alerts", "rules build --channels", "rules build --out", "rules validate --config"),
    *("rules explain", "rules remove", "rules enable", "rules list --prometheus-url", "rules add --wait"),
    *("rules add --secrets", "rules add --reload-command", "rules", "sql build --config", "sql build --output", "sql"),
    *("state show --state-dir", "state adopt --config", "state forget --operation", "state rewind --to", "state"),
    *("state backup", "state backup --state-dir", "state restore", "state restore --state-dir"),
    *("serve --config", "serve --backfill-since", "serve --web.listen-address", "serve --web.config.file"),
    *("serve --log.level", "demo --days", "demo --layout", "demo --web.listen-address", ""),
)


@pytest.fixture(autouse=True)
def _apart(no_settings_from_outside: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # nobody listens there
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(sys, "stdin", io.StringIO("{}"))
    monkeypatch.chdir(tmp_path)


def parsers(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command and subcommand."""
    yield words
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                yield from parsers(subparser, (*words, name))


EVERY_COMMAND = list(parsers(build_parser(NAMES)))


def test_each_command_is_known() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert {("serve",), ("state", "rewind"), ("rules", "add"), ("dashboards", "build")} <= set(EVERY_COMMAND)


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_each_command_has_help(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: ai-operation-exporter {' '.join(words)}".rstrip())
    assert not said.err


@pytest.mark.parametrize("words", EVERY_COMMAND, ids=" ".join)
def test_an_unknown_option_is_wrong_usage(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--no-such-option"])
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def options() -> list[str]:
    parser = build_parser(NAMES)
    found = {"--no-such-option"}
    stack = [parser]
    while stack:
        for action in stack.pop()._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                stack.extend(action.choices.values())
    return sorted(found)


WORDS = st.sampled_from([*NAMES, "build", "add", "show", *options(), *HOSTILE]) | st.text(max_size=8)


@given(st.lists(WORDS, max_size=6))
def test_every_line_is_parsed_or_refused(words: list[str]) -> None:
    try:
        arguments = build_parser(words).parse_args(words)
        code: object = 0
    except SystemExit as ended:
        code = ended.code
    else:
        assert callable(arguments.run_command)
    assert code in (0, 2)


@pytest.mark.parametrize("command", WITH_AN_ARGUMENT)
def test_a_hostile_argument_ends_with_a_message(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for value in HOSTILE:
        words = [*command.split(), value]
        try:
            code: object = main(words)
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        assert code in (0, 1, 2), words
        # `check` and `verify` report on standard output
        assert code == 0 or "ai-operation-exporter" in said.err or "FAIL" in said.out, words
        assert "Traceback" not in said.err, words


@pytest.mark.parametrize(
    "command",
    [
        *("serve --state-dir", "dashboards build --output", "rules build --out", "state show --state-dir"),
        *("check --state-dir", "serve --config", "sql build --output", "sql build --config"),
    ],
)
def test_a_path_that_cannot_be_used_is_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    alerts = ROOT / "alert_rules" / "alerts.yaml"
    words = command.split()
    if words[0] != "sql" and words[1] == "build":
        words[2:2] = ["--alerts", str(alerts)]
    if words[0] == "rules":
        words[2:2] = ["--channels", str(alerts.with_name("channels.yaml"))]
    for value in NOT_WRITABLE:
        assert main([*words, value]) == 1, value
        said = capsys.readouterr()
        assert value in said.err + said.out
        assert "Traceback" not in said.err


def test_a_bad_address_ends_the_demo_before_it_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--web.listen-address", "nowhere"])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "write host:port" in said.err
    assert not said.out


def test_a_reader_that_leaves_ends_the_command_without_a_word() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "exporter", "rules", "explain", "budget_used"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert program.stdout is not None
    program.stdout.close()
    _, said = program.communicate(timeout=60)
    assert said == b""


def test_a_command_imports_only_what_it_needs() -> None:
    script = "import sys; from exporter.cli import build_parser; build_parser([]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "exporter.cli" in loaded
    assert not {"psycopg", "yaml", "grafanalib", "alert_rules", "exporter.scrape"} & set(loaded)


@pytest.mark.parametrize("command", NAMES)
def test_the_help_of_a_command_says_what_it_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    (said,) = (each.help for each in COMMANDS if each.name == command)
    assert said[1:] in " ".join(capsys.readouterr().out.split())
