"""`dashboards build`: the same bytes each time, committed as built, and refused where they are not."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dashboards.command import rendered
from dashboards.render import each_panel, to_text
from exporter.cli import main
from tests.support import ROOT
from tests.support.grafana import SETTINGS

GENERATED = ROOT / "dashboards" / "generated"


def test_what_is_committed_is_what_the_code_builds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "build", "--check"]) == 0
    assert "3 dashboards are up to date" in capsys.readouterr().out


def test_every_build_is_identical(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert main(["dashboards", "build", "--output", str(tmp_path / folder)]) == 0
    for committed in GENERATED.glob("*.json"):
        built = {(tmp_path / folder / committed.name).read_bytes() for folder in ("one", "two")}
        assert built == {committed.read_bytes()}


def test_a_file_that_was_edited_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "build", "--output", str(tmp_path)]) == 0
    edited = tmp_path / "ai-cost.json"
    edited.write_text(edited.read_text().replace("Team today", "Spent today", 1))
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
    assert "write an IANA time zone" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_runbooks_are_linked_where_they_have_an_address_and_else_not_shown_as_if_they_were() -> None:
    plain = to_text(rendered(SETTINGS)["ai-health"])
    linked = to_text(rendered(replace(SETTINGS, runbooks="https://wiki.example.com/runbooks/"))["ai-health"])
    assert "Runbook" not in plain
    assert "https://" not in plain
    assert "https://wiki.example.com/runbooks/${__value.raw}.md" in linked


SHIPPED = (ROOT / "alert_rules" / "alerts.yaml").read_text()


def built(folder: Path, alerts: str) -> dict[str, Any]:
    """The dashboards that a file of alerts gives, by uid."""
    file = folder / "alerts.yaml"
    file.write_text(alerts)
    assert main(["dashboards", "build", "--alerts", str(file), "--output", str(folder / "out")]) == 0
    return {path.stem: json.loads(path.read_text()) for path in (folder / "out").glob("*.json")}


def drawn(dashboards: dict[str, Any], uid: str, title: str) -> list[float]:
    """The values at which a panel changes its colour; of its second query with ` / B` after its title."""
    title, _, letter = title.partition(" / ")
    (panel,) = [each for each in each_panel(dashboards[uid]) if each["title"] == title]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    if letter:
        matcher = {"id": "byFrameRefID", "options": letter}
        (own,) = [each for each in panel["fieldConfig"]["overrides"] if each["matcher"] == matcher]
        (steps,) = [each["value"]["steps"] for each in own["properties"] if each["id"] == "thresholds"]
    return [step["value"] for step in steps[1:]]


def without(name: str) -> str:
    """The shipped alerts without one of them."""
    return re.sub(rf"  - name: {name}\n(?:    .*\n)+", "", SHIPPED)


def test_built_in_another_folder_the_alerts_there_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alert_rules").mkdir()
    (tmp_path / "alert_rules" / "alerts.yaml").write_text(SHIPPED.replace("$200", "$3.50"))
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in GENERATED.iterdir()}
    assert main(["dashboards", "build"]) == 0
    made = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "dashboards" / "generated").iterdir()}
    assert drawn(made, "ai-cost", "Team today") == [3.5]
    assert {path: path.read_bytes() for path in GENERATED.iterdir()} == before
    assert main(["dashboards", "build", "--check"]) == 0


def test_an_installed_wheel_builds_from_the_files_of_the_folder_it_runs_in(tmp_path: Path) -> None:
    source, site, work = (tmp_path / name for name in ("source", "site", "work"))
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in ("alert_rules", "dashboards", "exporter"):
        shutil.copytree(ROOT / package, source / package, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    assert not list(site.glob("dashboards/**/*.json"))
    (site / "alert_rules" / "alerts.yaml").unlink()
    installed = sorted(site.rglob("*"))

    (work / "alert_rules").mkdir(parents=True)
    (work / "alert_rules" / "alerts.yaml").write_text(SHIPPED.replace("2000ms", "750ms"))
    environ = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "dashboards", "build"],
        cwd=work,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    made = {path.stem: json.loads(path.read_text()) for path in (work / "dashboards" / "generated").iterdir()}
    assert drawn(made, "ai-performance", "Average, hour") == [0.75]
    assert sorted(site.rglob("*")) == installed


@pytest.mark.parametrize(
    ("changed", "uid", "title", "steps"),
    [
        (("$200", "$12.34"), "ai-cost", "Team today", [12.34]),
        (("$200", "$12.34"), "ai-cost", "Team by midnight", [12.34]),
        (("> 5%", "> 2.5%"), "ai-performance", "Errors, hour", [0.025]),
        (("> 5%", ">= 60%"), "ai-health", "Success of calls by model", [0.4]),
        (("2000ms", "0.5s"), "ai-cost", "Average latency per operation", [0.5]),
        (("50%: warning", "10%: info"), "ai-cost", "Team today / B", [0.1, 0.8, 1.0]),
        (("      50%: warning\n", ""), "ai-cost", "Team today / B", [0.8, 1.0]),
        (("50%: warning", "20%: info\n      50%: info"), "ai-cost", "Team today / B", [0.2, 0.5, 0.8, 1.0]),
        (("80%: warning", "120%: critical"), "ai-cost", "Team this month / B", [0.5, 1.0]),
    ],
)
def test_colours_change_where_the_given_alerts_fire(
    changed: tuple[str, str], uid: str, title: str, steps: list[float], tmp_path: Path
) -> None:
    assert drawn(built(tmp_path, SHIPPED.replace(*changed)), uid, title) == steps


@pytest.mark.parametrize(
    ("alerts", "uid", "title", "steps"),
    [
        (without("high_daily_spend"), "ai-cost", "Team today", []),
        (without("high_error_rate"), "ai-performance", "Error rate by model", []),
        (without("high_error_rate"), "ai-health", "Success of calls by model", []),
        (without("slow_operations"), "ai-performance", "Response times", []),
        (without("budget_used"), "ai-cost", "Team today / B", [1.0]),
        (SHIPPED.replace("> 5%", "> 5%\n    disabled: true"), "ai-performance", "Errors, hour", []),
        (SHIPPED.replace("daily_spend > $200", "daily_spend > daily_limit"), "ai-cost", "Team today", []),
        (SHIPPED.replace("error_rate > 5%", "p95_latency > 3s"), "ai-performance", "Errors, hour", []),
        (SHIPPED.replace("daily_spend > $200", "daily_spend < $1"), "ai-cost", "Team today", []),
        (
            SHIPPED.replace("budget_utilization >= rung", "budget_utilization < rung"),
            "ai-cost",
            "Team today / B",
            [1.0],
        ),
    ],
)
def test_no_line_is_drawn_or_named_where_no_such_alert_fires(
    alerts: str, uid: str, title: str, steps: list[float], tmp_path: Path
) -> None:
    made = built(tmp_path, alerts)
    assert drawn(made, uid, title) == steps
    named, before = (
        set(re.findall(r"`(high_daily_spend|high_error_rate|slow_operations|budget_used)`", panel["description"]))
        for page in (made[uid], rendered(SETTINGS)[uid])
        for panel in each_panel(page)
        if panel["title"] == title.partition(" / ")[0]
    )
    assert len(before - named) == 1


def test_the_figure_that_a_panel_names_is_the_one_it_draws(tmp_path: Path) -> None:
    made = built(tmp_path, SHIPPED.replace("> 5%", "> 2.5%").replace("2000ms", "1250ms"))
    text = json.dumps(made)
    assert "97.5%" in text
    assert "2.5%" in text
    assert "1.25 s" in text


def test_alerts_that_cannot_be_read_are_told_as_rules_build_tells_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {
        "misspelt": SHIPPED.replace("error_rate >", "eror_rate >"),
        "unit": SHIPPED.replace("2000ms", "$3"),
        "field": SHIPPED.replace("condition:", "conditions:"),
        "yaml": SHIPPED.replace("  - name", "- name", 1),
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for file in (*map(tmp_path.joinpath, texts), tmp_path / "none.yaml", tmp_path):
        assert main(["dashboards", "build", "--alerts", str(file), "--output", str(tmp_path / "out")]) == 1
        assert str(file) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
