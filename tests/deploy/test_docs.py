"""What the documents tell people to do can be done: files, settings, services and commands are there."""

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Self

import pytest
import yaml

from alert_rules.output.building import Sources, compile_sources, outputs
from exporter.cli import COMMANDS
from exporter.scrape.collector import Attempt, Collector
from tests.support import ROOT
from tests.support.harness import Log, running

DOCS = {str(file.relative_to(ROOT / "docs")): file.read_text() for file in (ROOT / "docs").rglob("*.md")}
GUIDE = ("dev/architecture.md", "dev/adding.md", "dev/vocabulary.md")
OURS = tuple(sorted(name for name in DOCS if name != "statements.md"))
PACKAGES = ("exporter", "alert_rules", "dashboards")
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
NAMES = "".join(
    file.read_text()
    for file in (
        ROOT / "exporter" / "catalog.py",
        ROOT / "alert_rules" / "generated" / "rules.yml",
        *(ROOT / "deploy" / "sql").glob("*.sql"),
    )
)
"""Where metrics, recordings, roles and indexes are named."""

BEFORE_A_SERVICE = r"docker compose(?: --profile \w+)? (?:exec|logs|restart|run)(?: --?[\w-]+)*"


@pytest.mark.parametrize("name", OURS)
def test_every_link_and_every_file_that_is_named_is_there(name: str) -> None:
    text = DOCS[name]
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (ROOT / "docs" / name).parent.joinpath(link).exists(), link
    for path in re.findall(r"(?<![\w/.-])((?:deploy|alert_rules|dashboards|exporter|tests|docs)/[\w./-]*\w)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_link_of_the_first_pages_leads_somewhere(name: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text()):
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


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
        assert re.sub("_(sum|count|bucket)$", "", metric) in NAMES, metric


def test_every_command_is_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text().split("## Commands")[1].split("\n\n")[1]
    cells = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    named = {words.split()[0] for cell in cells for words in re.findall(r"`([a-z -]+)`", cell)}
    assert {command.name for command in COMMANDS} <= named


@pytest.mark.parametrize("name", GUIDE)
def test_every_name_is_defined_where_the_guide_says(name: str) -> None:
    for defined, path in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", DOCS[name]):
        assert re.search(rf"^(class |def |    def )?{defined}\b", (ROOT / path).read_text(), re.MULTILINE), defined


def test_every_room_is_in_the_picture_of_the_rooms() -> None:
    rooms = DOCS["dev/architecture.md"].split("## Rooms")[1].split("## Walk 1")[0]
    for package in PACKAGES:
        for found in (ROOT / package).iterdir():
            if (found.suffix == ".py" and found.name != "__init__.py") or (found / "__init__.py").exists():
                assert f"`{package}/{found.name}`" in rooms, found


def walk(number: int) -> list[str]:
    """The modules of one of the walks, as its table numbers them."""
    section = DOCS["dev/architecture.md"].split(f"## Walk {number}: ")[1].split("\n## ")[0]
    steps = re.findall(r"^\| (\d+) \| `([\w/]+)\.py` \|", section, re.MULTILINE)
    assert [int(step) for step, _ in steps] == list(range(1, len(steps) + 1))
    return [path.replace("/", ".") for _, path in steps]


class Crossed:
    """Notes the modules of ours whose functions are called in the threads that it is switched on in."""

    def __init__(self) -> None:
        self.modules: set[str] = set()

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self.modules.add(frame.f_globals.get("__name__", ""))


def test_a_row_crosses_the_modules_of_its_walk(
    embedded_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crossed, read_log = Crossed(), Collector.read_log

    def noted(collector: Collector, attempt: Attempt, seconds: float) -> None:
        with crossed:
            read_log(collector, attempt, seconds)

    with Log(embedded_database, "success") as log, running(log.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        monkeypatch.setattr(Collector, "read_log", noted)
        log.insert(cost="0.5")
        with crossed:
            scraped = exporter.scrape()
    assert scraped.money == 500_000
    steps = walk(1)
    assert len(steps) <= 14
    assert set(steps) <= crossed.modules


def test_an_alert_crosses_the_modules_of_its_walk(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text("alerts:\n- {name: spend, condition: daily_spend > $200, channel: discord}\n")
    with Crossed() as crossed:
        written = outputs(compile_sources(Sources(alerts, ROOT / "alert_rules" / "channels.yaml")))
    assert "alert: spend" in written["rules.yml"]
    steps = walk(4)
    assert len(steps) <= 9
    assert set(steps) <= crossed.modules
