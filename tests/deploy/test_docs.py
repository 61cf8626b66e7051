"""What the documents tell people to do can be done: files, settings, services and commands are there."""

import re

import pytest
import yaml

from exporter.cli import COMMANDS
from tests.deploy.docker import ROOT

DOCS = {file.name: file.read_text() for file in (ROOT / "docs").glob("*.md")}
OURS = ("monitoring-guide.md", "cost-management.md", "troubleshooting.md")
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
BEFORE_A_SERVICE = r"docker compose(?: --profile \w+)? (?:exec|logs|restart|run)(?: --[\w-]+)*"


@pytest.mark.parametrize("name", OURS)
def test_every_link_and_every_file_that_is_named_is_there(name: str) -> None:
    text = DOCS[name]
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"(?<![\w/.-])((?:deploy|alert_rules|dashboards|exporter)/[\w./-]*\w)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", OURS)
def test_every_service_that_is_named_is_one(name: str) -> None:
    for words in re.findall(rf"{BEFORE_A_SERVICE} ([a-z -]+)", DOCS[name]):
        named = words.split(" -")[0].split()
        assert named, words
        # one service, or for `restart` several; what follows a service is the command that runs in it
        assert named[0] in SERVICES, words


@pytest.mark.parametrize("name", OURS)
def test_every_setting_that_is_named_is_one(name: str) -> None:
    settings = set(re.findall(r"#([A-Z_]+)=", (ROOT / ".env.example").read_text()))
    for block in re.findall(r"```sh\n(.*?)```", DOCS[name], flags=re.DOTALL):
        for setting in re.findall(r"^([A-Z_]+)=", block, flags=re.MULTILINE):
            assert setting in settings, setting


@pytest.mark.parametrize("name", OURS)
def test_every_command_that_is_named_is_one(name: str) -> None:
    commands = {command.name for command in COMMANDS}
    for command in re.findall(r"ai-operation-exporter ([a-z][a-z-]*)", DOCS[name]):
        assert command in commands, command
    for metric in re.findall(r"\b(ai_[a-z_]+)\b", DOCS[name]):
        known = (ROOT / "exporter" / "catalog.py").read_text() + "".join(
            file.read_text() for file in (ROOT / "deploy" / "sql").glob("*.sql")
        )
        assert metric in known, metric
