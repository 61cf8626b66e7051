"""Prometheus' own checks and tests of the generated rules, and that these tests are there for every alert."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.generate import GENERATED, generated_groups, scenarios, theme_names
from tests.support.hunting import Rules, write_apart
from tests.support.promtool import VERSIONS
from tests.support.thorough import IS_THOROUGH

pytestmark = pytest.mark.slow

ALWAYS_FIRES = "watchdog"


every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_rules_pass_every_lint(version: str) -> None:
    code, said = VERSIONS[version]().run("check", "rules", "--lint=all", "--lint-fatal", str(GENERATED))
    assert code == 0, said


@every_version
@pytest.mark.parametrize("theme", theme_names())
def test_rules_fire_and_are_silent_as_they_must(theme: str, version: str, tmp_path: Path) -> None:
    """Each version runs half of the scenarios of a theme, or the only one, and in `make soak` all."""
    every, half = _tests(theme), list(VERSIONS).index(version)
    some = every if IS_THOROUGH or len(every) < len(VERSIONS) else every[half :: len(VERSIONS)]
    files = write_apart(some, Rules(generated_groups()), tmp_path)
    code, said = VERSIONS[version]().run("test", "rules", *map(str, files))
    assert code == 0, said


@cache
def _tests(theme: str) -> list[dict[str, Any]]:
    return [scenario.written() for scenario in scenarios(theme)]


def _alert_rules() -> Iterator[dict[str, Any]]:
    for group in generated_groups():
        yield from (rule for rule in group["rules"] if "alert" in rule)


def _looks() -> list[dict[str, Any]]:
    return [look for theme in theme_names() for test in _tests(theme) for look in test.get("alert_rule_test", ())]


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
    tests = [test for theme in theme_names() for test in _tests(theme)]
    assert all(test["name"] and (test.keys() & {"alert_rule_test", "promql_expr_test"}) for test in tests)
