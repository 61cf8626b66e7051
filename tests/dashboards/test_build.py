"""`dashboards build`: the same bytes each time, committed as built, and refused where they are not."""

import json
from pathlib import Path

import pytest

from dashboards.command import GENERATED, rendered
from dashboards.render import to_text
from dashboards.settings import Settings
from exporter.cli import main


def test_what_is_committed_is_what_the_code_builds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "build", "--check"]) == 0
    assert "3 dashboards are as built" in capsys.readouterr().out


def test_every_build_is_identical(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert main(["dashboards", "build", "--output", str(tmp_path / folder)]) == 0
    for committed in GENERATED.glob("*.json"):
        built = {(tmp_path / folder / committed.name).read_bytes() for folder in ("one", "two")}
        assert built == {committed.read_bytes()}


def test_a_file_that_was_edited_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "build", "--output", str(tmp_path)]) == 0
    edited = tmp_path / "ai-cost.json"
    edited.write_text(edited.read_text().replace("Spend today", "Spent today", 1))
    (tmp_path / "ai-health.json").unlink()
    assert main(["dashboards", "build", "--check", "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "ai-cost.json" in said
    assert "ai-health.json" in said
    assert "ai-performance.json" not in said


def test_the_budget_zone_cuts_days_and_sets_the_clock(tmp_path: Path) -> None:
    assert main(["dashboards", "build", "--output", str(tmp_path), "--budget-time-zone", "Europe/Berlin"]) == 0
    made = json.loads((tmp_path / "ai-cost.json").read_text())
    assert made["timezone"] == "Europe/Berlin"
    (zone,) = [each for each in made["templating"]["list"] if each["name"] == "zone"]
    assert (zone["query"], zone["current"]["value"], zone["hide"]) == ("Europe/Berlin", "Europe/Berlin", 2)


def test_a_zone_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "build", "--output", str(tmp_path), "--budget-time-zone", "Berlin"]) == 1
    assert "no such time zone" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_runbooks_are_named_always_and_linked_where_they_have_an_address() -> None:
    plain = to_text(rendered(Settings())["ai-health"])
    linked = to_text(rendered(Settings(runbooks="https://wiki.example.com/runbooks/"))["ai-health"])
    assert "docs/runbooks/$1.md" in plain
    assert "https://" not in plain
    assert "https://wiki.example.com/runbooks/${__value.raw}.md" in linked
