"""Prometheus' own checks and tests of the generated rules, and that these tests are there for every alert."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.hunting import Rules
from tests.alerts.promtool import VERSIONS
from tests.alerts.write import FOLDER, texts

GENERATED = FOLDER.parent / "generated" / "rules.yml"

FILES = sorted(FOLDER.glob("*.yml"))

ALWAYS_FIRES = "watchdog"


every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_rules_pass_every_lint(version: str) -> None:
    code, said = VERSIONS[version]().run("check", "rules", "--lint=all", "--lint-fatal", str(GENERATED))
    assert code == 0, said


@every_version
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_rules_fire_and_are_silent_as_they_must(file: Path, version: str, tmp_path: Path) -> None:
    code, said = VERSIONS[version]().run("test", "rules", str(_alone(file, tmp_path)))
    assert code == 0, said


def _alone(file: Path, folder: Path) -> Path:
    """The tests on a copy of the rules that they look at, and of what those rest on: the others only take time."""
    content = yaml.safe_load(file.read_text())
    alerts = {look["alertname"] for test in content["tests"] for look in test.get("alert_rule_test", ())}
    records = {look["expr"] for test in content["tests"] for look in test.get("promql_expr_test", ())}
    rules = Rules(yaml.safe_load(GENERATED.read_text())["groups"]).of(alerts | records)
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "ai-operations", "rules": rules}]}))
    tests = folder / file.name
    tests.write_text(yaml.safe_dump({**content, "rule_files": ["rules.yml"]}, allow_unicode=True))
    return tests


def test_committed_tests_are_what_the_scenarios_make() -> None:
    assert {file.name: file.read_text() for file in FILES} == texts()


def _alert_rules() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load(GENERATED.read_text())["groups"]:
        yield from (rule for rule in group["rules"] if "alert" in rule)


def _looks() -> list[dict[str, Any]]:
    files = [yaml.safe_load(file.read_text()) for file in FILES]
    return [look for file in files for test in file["tests"] for look in test.get("alert_rule_test", ())]


def _of(rule: Mapping[str, Any], alert: Mapping[str, Any]) -> bool:
    return bool(rule["labels"].items() <= alert["exp_labels"].items())


def test_every_alert_is_seen_firing_with_all_it_says_and_seen_silent() -> None:
    looks = _looks()
    for rule in _alert_rules():
        own = [look for look in looks if look["alertname"] == rule["alert"]]
        fired = [alert for look in own for alert in look["exp_alerts"] if _of(rule, alert)]
        assert fired, rule
        for alert in fired:
            assert alert["exp_annotations"].keys() == rule["annotations"].keys()
        silent = [look for look in own if not any(_of(rule, alert) for alert in look["exp_alerts"])]
        assert silent or rule["alert"] == ALWAYS_FIRES, rule


def test_every_scenario_says_what_must_be_seen() -> None:
    tests = [test for file in FILES for test in yaml.safe_load(file.read_text())["tests"]]
    assert all(test["name"] and (test.keys() & {"alert_rule_test", "promql_expr_test"}) for test in tests)
