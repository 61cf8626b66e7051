"""The generated references: complete, and refused when they are not up to date."""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs import reference, settings_reference
from docs.command_reference import commands_page
from docs.http_reference import http_page
from docs.settings_reference import OPTIONS, VARIABLES, Setting, settings, settings_page
from exporter.cli import COMMANDS, build_parser
from exporter.commands import serve
from exporter.config import ConfigError, load_config
from exporter.database.conninfo import resolve_conninfo
from exporter.web.endpoints import ENDPOINTS, REFUSALS
from tests.support import ROOT
from tests.support.web import fetch, serving

PAGES = ("metrics.md", "panels.md", "commands.md", "settings.md", "http.md")
EXAMPLE = settings_reference.EXAMPLE.read_text()
SETTINGS = list(settings(EXAMPLE))
BOUNDS = re.compile(r"(\d\w*) to (\d\w*)")
BOUNDED = [setting for setting in SETTINGS if BOUNDS.search(f"{setting.kind}, {setting.bounds}")]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_differs_is_refused_until_it_is_written(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    (tmp_path / page).write_text((tmp_path / page).read_text() + "\n")
    assert reference.main(["--check"]) == 1
    assert f"docs/{page} is not up to date" in capsys.readouterr().out


def parsers(parser: argparse.ArgumentParser, words: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield words, parser
    for group in groups:
        for name, subparser in group.choices.items():
            yield from parsers(subparser, f"{words} {name}".strip())


EVERY_COMMAND = dict(parsers(build_parser([command.name for command in COMMANDS])))
COMMANDS_PAGE = commands_page()


@pytest.mark.parametrize("name", EVERY_COMMAND)
def test_every_option_is_in_the_section_of_its_command(name: str) -> None:
    section = COMMANDS_PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    for action in EVERY_COMMAND[name]._actions:
        for option in action.option_strings:
            assert (f"| `{option}" in section or f", `{option}" in section) == (option not in ("-h", "--help")), option
    assert "%(" not in section


def test_the_page_of_commands_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = commands_page()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("RULES_RELOAD_COMMAND", "a secret of this machine")
    assert commands_page() == before


def bound(setting: Setting) -> tuple[str, str]:
    found = BOUNDS.search(f"{setting.kind}, {setting.bounds}")
    assert found is not None
    return found[1], found[2]


def written(path: str, value: str, setting: Setting) -> str:
    """A file that sets one setting."""
    *sections, name = path.split(".")
    inner = f"{{{name}: {{m: {value}}}}}" if setting.kind.startswith("mapping") else f"{{{name}: {value}}}"
    for section in reversed(sections):
        inner = f"{{{section}: {inner}}}"
    return inner


def outside(bounds: tuple[str, str]) -> list[str]:
    """A value below the least, where there is one, and one above the most."""
    low, high = (re.fullmatch(r"(\d+)(\w*)", bound) for bound in bounds)
    assert low is not None
    assert high is not None
    below = [f"{int(low[1]) - 1}{low[2]}"] if low[1] != "0" else []
    return [*below, f"{int(high[1]) + 1}{high[2]}"]


@pytest.mark.parametrize("setting", BOUNDED, ids=lambda setting: setting.path)
def test_what_is_out_of_the_bounds_of_the_page_is_refused(setting: Setting, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for value in outside(bound(setting)):
        path.write_text(written(setting.path, value, setting))
        with pytest.raises(ConfigError, match=setting.path.replace(".", r"\.")):
            load_config(path, {})


def test_every_setting_with_bounds_is_among_those_that_are_tried() -> None:
    paths = {setting.path for setting in BOUNDED}
    assert {"database.connect_timeout", "users.top", "max_series", "open_window", "models.timeouts"} <= paths
    assert len(BOUNDED) >= 16


@pytest.mark.parametrize("path", OPTIONS)
def test_an_option_that_the_page_names_takes_precedence(path: str, tmp_path: Path) -> None:
    values = {
        "state_dir": "elsewhere",
        "log_level": "error",
        "log_format": "json",
        "web.listen_address": ":1",
        "web.config_file": "web.yml",
    }
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    found: object = serve._configuration(parser.parse_args([OPTIONS[path], values[path]]))
    for part in path.split("."):
        found = getattr(found, part)
    assert str(found) == values[path]


def test_every_variable_that_is_read_is_in_the_page() -> None:
    named = {name for names in VARIABLES for name in names.split(", ")}
    read = set()
    for folder in ("exporter", "alert_rules"):
        for file in (ROOT / folder).rglob("*.py"):
            read |= {
                node.value
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
                if re.fullmatch(r"[A-Z]+(_[A-Z]+)*_(URL|FILE|CONFIG|USER|PASSWORD|COMMAND)|PG[A-Z]{4,}", node.value)
            }
    assert len(read) > 8
    assert read <= named
    assert all(f"`{name}`" in settings_page() for name in named - {"…"})


def test_a_variable_of_libpq_fills_what_the_url_leaves_open() -> None:
    config = load_config(None, {})
    info = resolve_conninfo(config, {"DATABASE_URL": "postgresql://reader@db/app", "PGPORT": "6000"})
    assert (info.params["host"], info.params["port"]) == ("db", "6000")


def test_a_setting_that_nothing_is_said_of_is_refused() -> None:
    silent = EXAMPLE.replace("  # For each address of the host; 2s to 1m.\n", "")
    assert silent != EXAMPLE
    with pytest.raises(ValueError, match=r"database\.connect_timeout has no comment"):
        list(settings(silent))


def test_the_statuses_of_the_page_are_those_that_the_server_answers_with() -> None:
    listed = {status for each in ENDPOINTS.values() for status in each.statuses} | set(REFUSALS)
    answered = set()
    for file in (ROOT / "exporter" / "web").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sentence", "Response") and node.args:
                answered |= {
                    part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)
                    and isinstance(part.value, int)
                }  # fmt: skip
    # Tornado itself answers what is not HTTP with 400
    assert answered == listed - {400}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_path_of_the_page_answers_as_it_says(path: str) -> None:
    endpoint = ENDPOINTS[path]
    with serving() as port:
        answers = [fetch(port, path), fetch(port, path, method="HEAD"), fetch(port, path, method="POST")]
    assert [answer.status for answer in answers] == [200, 200, 405]
    assert any(kind in answers[0].headers["Content-Type"] for kind in endpoint.content_type.split(" or "))
    assert f"## `{path}`\n" in http_page()
