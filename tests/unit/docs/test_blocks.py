"""Each command, setting and example of the documentation is one that works; what cannot be tried here is listed."""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from alert_rules.language.channels import load_channels
from alert_rules.language.loading import parse_alerts
from exporter.cli import COMMANDS, PROGRAM, build_parser
from exporter.config import Config, load_config
from tests.support import ROOT
from tests.unit.docs.blocks import BLOCKS, MENTIONED, SAID, Block, Command
from tests.unit.docs.spans import SPANS, Span

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
MAKEFILE = (ROOT / "Makefile").read_text()
ROLES = ("ai_exporter", "ai_grafana", "ai_postgres_exporter", "ai_recommender")

# Programs of others: that they are called in the right way cannot be tried without what they work on.
EXTERNAL: Mapping[str, str] = {
    "git": "needs the repository's remote, or changes the working tree",
    "kubectl": "needs a cluster; tests/deploy/test_kubernetes.py checks what it applies",
    "systemctl": "needs systemd as the first process; tests/deploy/test_systemd.py checks the unit",
    "promtool": "named as what checks rules; tests/alerts/test_promtool.py runs it",
    "pre-commit": "fetches its hooks",
    "jq": "named as a reader of our JSON",
    "pg_dump": "tests/database/test_way_back.py runs it",
    "kill": "named as a way in which a process ends",
    "printf": "of the shell",
    "echo": "of the shell",
    "cat": "waits for somebody who pastes",
    "chmod": "of the shell",
    "install": "of the shell",
    "umask": "of the shell",
    "rm": "removes what the reader has made",
}

# What the options of `docker compose` take, by its command: True where a value follows.
COMPOSE: Mapping[str, Mapping[str, bool]] = {
    "build": {},
    "down": {"--volumes": False},
    "exec": {"-T": False},
    "kill": {"--signal": True},
    "logs": {"--follow": False},
    "ps": {},
    "pull": {"--ignore-pull-failures": False},
    "restart": {},
    "run": {"--rm": False, "--no-deps": False, "-T": False},
    "stop": {},
    "up": {
        "--detach": False,
        "-d": False,
        "--wait": False,
        "--force-recreate": False,
        "--pull": True,
        "--scale": True,
    },
}

# The tests that run blocks of a language, by page or folder.
TESTED: Mapping[tuple[str, str], str] = {
    ("docs/runbooks/", "sql"): "tests/alerts/test_documents.py",
    ("docs/runbooks/", "promql"): "tests/alerts/test_documents.py",
    ("docs/sources.md", "sql"): "tests/database/test_sources.py",
    ("docs/verify-by-sql.md", "sql"): "tests/database/test_verify_by_sql.py",
    ("docs/way-back.md", "sql"): "tests/database/test_way_back.py",
    ("docs/command-line.md", "json"): "tests/unit/test_findings.py",
    ("docs/notifications.md", "text"): "tests/e2e/storm.py",
    ("docs/digest.md", "text"): "tests/unit/digest/test_message.py",
    ("docs/dev/architecture.md", "mermaid"): "tests/deploy/test_docs.py",
}


class UnusableError(Exception):
    """A command line that its program does not take."""


def refuse(_: argparse.ArgumentParser, message: str) -> NoReturn:
    raise UnusableError(message)


def use(words: tuple[str, ...], *, complete: bool) -> None:
    """Have our parser take the words; those in the midst of a sentence may lack what is required."""
    plain = [word.strip("[]") for word in words]
    try:
        build_parser(plain).parse_args(plain)
    except UnusableError as error:
        if complete or "required" not in str(error):
            raise


def check_ours(words: tuple[str, ...], complete: bool) -> None:
    use(words[1:], complete=complete)


def check_make(words: tuple[str, ...], _: bool) -> None:
    for word in words[1:]:
        name, assigned, _value = word.partition("=")
        if assigned:
            assert f"$({name})" in MAKEFILE or f"ifdef {name}" in MAKEFILE, word
        else:
            assert re.search(rf"^{name}:", MAKEFILE, re.MULTILINE), word


def check_docker(words: tuple[str, ...], complete: bool) -> None:
    left = list(words[1:])
    if left[:1] != ["compose"]:
        assert left == ["inspect"]
        return
    left.pop(0)
    while left and left[0] == "--profile":
        assert any(left[1] in service.get("profiles", ()) for service in SERVICES.values())
        del left[:2]
    if not left:
        return
    command = left.pop(0)
    options = COMPOSE[command]
    while left and left[0].startswith("-"):
        del left[: 2 if options[left[0]] else 1]
    if command not in ("run", "exec"):
        # a service may stand before more options
        assert {word for word in left if not word.startswith("-")} <= SERVICES.keys(), left
        return
    service, *inside = left
    assert service in SERVICES, service
    if inside[:1] == [PROGRAM]:
        inside.pop(0)
    elif service == "verify":
        inside.insert(0, "verify")
    elif service != "exporter":
        return
    assert command == "run" or left[1:2] == [PROGRAM], "exec needs the program's name"
    use(tuple(inside), complete=complete)


def check_psql(words: tuple[str, ...], _: bool) -> None:
    for option, value in itertools.pairwise(words):
        if option == "-f":
            assert (ROOT / value).is_file(), value
        if option == "-c" and value.startswith("\\password"):
            assert value.split()[1] in ROLES


def check_python(words: tuple[str, ...], _: bool) -> None:
    if words[1] == "-m":
        assert find_spec(words[2]) is not None, words[2]
        return
    assert (ROOT / words[1]).is_file()
    options = {word for word in words[2:] if word.startswith("--")}
    shown = subprocess.run([sys.executable, words[1], "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(option in shown.stdout for option in options)


def check_pip(words: tuple[str, ...], _: bool) -> None:
    for option, value in itertools.pairwise(words):
        if option == "-r":
            assert (ROOT / value).is_file()


def check_cp(words: tuple[str, ...], _: bool) -> None:
    assert (ROOT / words[1]).is_file()


def check_script(words: tuple[str, ...], _: bool) -> None:
    assert os.access(ROOT / words[0], os.X_OK)
    assert set(words[1:]) <= set(re.findall(r"\w+", (ROOT / words[0]).read_text()))


def check_option(words: tuple[str, ...], _: bool) -> None:
    """An option that is named without its command: one of ours has it."""
    parsers: list[argparse.ArgumentParser] = [build_parser([command.name for command in COMMANDS])]
    known: set[str] = set()
    for parser in parsers:
        for action in parser._actions:
            known |= set(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
    assert words[0].partition("=")[0] in known


def check_password(words: tuple[str, ...], _: bool) -> None:
    assert words[1] in ROLES


CHECKS: Mapping[str, Callable[[tuple[str, ...], bool], None]] = {
    PROGRAM: check_ours,
    "docker": check_docker,
    "make": check_make,
    "password": check_password,
    "pip": check_pip,
    "psql": check_psql,
    "python": check_python,
    "python3": check_python,
    "cp": check_cp,
}


@pytest.fixture(autouse=True)
def _refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)


def check_command(command: Command, *, complete: bool) -> None:
    words = command.words
    program = words[0].removeprefix("venv/bin/")
    if program in CHECKS:
        CHECKS[program](words, complete)
    elif program in {each.name for each in COMMANDS}:
        check_ours((PROGRAM, *words), complete)
    elif program.startswith("--"):
        check_option(words, complete)
    elif program.startswith("deploy/"):
        check_script(words, complete)
    else:
        assert program in EXTERNAL, f"{command.page}: nothing here can check {' '.join(words)!r}"


def shown(command: Command) -> str:
    return f"{command.page}: {' '.join(command.words)}"[:100].replace("\n", " ")


@pytest.mark.parametrize("command", SAID, ids=shown)
def test_a_command_that_a_page_says_to_run_is_taken(command: Command) -> None:
    check_command(command, complete=True)


@pytest.mark.parametrize("command", MENTIONED, ids=shown)
def test_a_command_that_a_sentence_names_is_taken(command: Command) -> None:
    check_command(command, complete=False)


def test_every_exception_is_needed() -> None:
    programs = {command.words[0].removeprefix("venv/bin/") for command in (*SAID, *MENTIONED)}
    assert programs >= EXTERNAL.keys()
    assert len(SAID) > 60
    assert len(MENTIONED) > 60
    used = {
        (place, language)
        for place, language in TESTED
        for block in BLOCKS
        if block.page.startswith(place) and block.language == language
    }
    assert used == TESTED.keys()
    for (place, _), test in TESTED.items():
        name = Path(place).stem
        assert name in (ROOT / test).read_text(), f"{test} does not name {name}"


@pytest.mark.parametrize(
    "line",
    [
        f"{PROGRAM} rules explode",
        f"{PROGRAM} check --no-such-option",
        f"{PROGRAM} state restore",
        f"{PROGRAM} operations --limit many",
        "make everything",
        "make test SPEED=9",
        "docker compose up --detach --waiting",
        "docker compose logs exporters",
        "docker compose --profile demos up",
        "docker compose run --rm exporter chek",
        "docker compose exec exporter check",
        "psql -f deploy/sql/role.sql",
        "psql -c '\\password ai_nobody'",
        "python -m bench.nothing",
        "cp absent here",
        "deploy/make-secrets.sh nothing",
        "deploy/make-secret.sh",
        "curl http://127.0.0.1:9867",
        "state backup --to file",
        "--web.listen",
    ],
)
def test_a_wrong_command_is_noticed(line: str) -> None:
    from tests.unit.docs.blocks import commands

    (command,) = commands("page", line)
    with pytest.raises((AssertionError, UnusableError, KeyError, ModuleNotFoundError)):
        check_command(command, complete=True)


SETTINGS = [
    span
    for span in SPANS
    if span.kind == "setting" and re.split(r"[.:]", span.text)[0] in Config.model_fields and "…" not in span.text
]


@pytest.mark.parametrize("span", SETTINGS, ids=lambda span: f"{span.page}: {span.text}")
def test_a_setting_that_a_sentence_names_is_taken(span: Span, tmp_path: Path) -> None:
    path, _, value = span.text.partition(": ")
    inner = value
    for part in reversed(path.split(".")):
        inner = f"{{{part}: {inner}}}"
    (tmp_path / "config.yaml").write_text(inner)
    load_config(tmp_path / "config.yaml", {}, read_files=False)


def _alerts(block: Block, _: Path) -> None:
    assert parse_alerts(block.text.encode(), block.page)


def _links(block: Block, tmp_path: Path) -> None:
    alerts = "alerts:\n- {name: spend, condition: daily_spend > $200, channel: discord}\n"
    assert parse_alerts((alerts + block.text).encode(), block.page)


def _channels(block: Block, tmp_path: Path) -> None:
    (tmp_path / "channels.yaml").write_text(block.text)
    assert load_channels(tmp_path / "channels.yaml")


def _config(block: Block, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(block.text)
    load_config(tmp_path / "config.yaml", {})


def _kustomization(block: Block, _: Path) -> None:
    found: Any = yaml.safe_load(block.text)
    (resource,) = found["resources"]
    assert (ROOT / resource.removeprefix("../ai-operation-exporter/") / "kustomization.yaml").is_file()
    images = {image["name"] for image in found["images"]}
    manifests = (ROOT / "deploy" / "kubernetes" / "generated").glob("*.yaml")
    used = {name for file in manifests for name in re.findall(r"image: \"?([\w./-]+)", file.read_text())}
    assert images <= used


YAML: Mapping[str, Callable[[Block, Path], None]] = {
    "alerts": _alerts,
    "links": _links,
    "channels": _channels,
    "source": _config,
    "budgets": _config,
    "columns": _config,
    "tables": _config,
    "prices": _config,
    "users": _config,
    "namespace": _kustomization,
}
"""By the first key."""


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "yaml"],
    ids=lambda block: f"{block.page}: {block.text[:30]}",
)
def test_an_example_in_yaml_is_taken(block: Block, tmp_path: Path) -> None:
    YAML[next(iter(yaml.safe_load(block.text)))](block, tmp_path)


def test_every_other_block_is_tested_elsewhere() -> None:
    for block in BLOCKS:
        if block.language not in ("sh", "yaml", "json") and (block.page, block.language) != ("docs/alerts.md", "text"):
            places = [
                place for place, language in TESTED if block.language == language and block.page.startswith(place)
            ]
            assert places, f"{block.page} has a block of {block.language or 'no language'} that no test runs"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What people have in their working directory."""
    for folder in ("alert_rules", "docs/runbooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(script: str, clone: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with our program on the path, and nobody at the servers' usual ports."""
    nobody = "http://127.0.0.1:1"
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(clone)}
    environ |= {"PROMETHEUS_URL": nobody, "ALERTMANAGER_URL": nobody}
    words = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(words, cwd=clone, env=environ, capture_output=True, text=True)


def test_the_alerts_that_are_added_changed_and_removed_on_the_page(clone: Path) -> None:
    scripts = [b.text for b in BLOCKS if b.page == "docs/alerts.md" and b.language == "sh" and "rules " in b.text]
    assert len(scripts) == 2
    for script in scripts:
        done = run(script, clone)
        assert done.returncode == 0, done.stderr
    assert "Phase 8" not in (clone / "alert_rules" / "alerts.yaml").read_text()


def test_an_alert_with_a_webhook_is_added(clone: Path) -> None:
    (script,) = (
        b.text for b in BLOCKS if b.page == "docs/notifications.md" and "webhook_url" in b.text and "echo" in b.text
    )
    (clone / "secrets").mkdir()
    done = run(script.replace("…", "1234/abcd"), clone)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "pending"


@pytest.mark.parametrize(
    "block",
    [b for b in BLOCKS if b.language == "json" and (b.page, "json") not in TESTED],
    ids=lambda block: block.page,
)
def test_an_alert_in_json_is_added(block: Block, clone: Path) -> None:
    text = (clone / "alert_rules" / "alerts.yaml").read_text()
    name = json.loads(block.text)["name"]
    assert name not in text
    done = run(f"echo '{block.text}' | {PROGRAM} rules add", clone)
    assert done.returncode == 0, done.stderr


def test_the_error_that_the_page_of_alerts_shows(clone: Path) -> None:
    (block,) = (b for b in BLOCKS if (b.page, b.language) == ("docs/alerts.md", "text"))
    (clone / "alerts.yaml").write_text(
        "alerts:\n  - name: a\n    condition: error_rate > 2000ms\n    channel: discord\n"
    )
    done = run(f"{PROGRAM} rules validate --alerts alerts.yaml --channels alert_rules/channels.yaml", clone)
    assert done.returncode == 1
    place, _, said = block.text.strip().partition(": ")
    assert re.fullmatch(r"alerts\.yaml:\d+:\d+", place)
    assert said in done.stdout + done.stderr


def test_the_dashboards_are_built_as_the_page_says(clone: Path) -> None:
    (block,) = (b for b in BLOCKS if b.page == "docs/dashboards.md" and b.language == "sh")
    done = run(block.text.replace("/etc/grafana/dashboards", "built"), clone)
    assert done.returncode == 0, done.stderr
    assert "Europe/Berlin" in "".join(file.read_text() for file in (clone / "built").glob("*.json"))
