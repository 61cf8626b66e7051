"""Quantities, splits and options that no shipped alert uses: compiled, checked, and seen firing and silent."""

from pathlib import Path

import pytest
import yaml

from alert_rules.compiler.thresholds import ALERTS_FILE
from alert_rules.output.building import Sources, compile_sources, outputs
from tests.alerts.fixture_scenarios import alerts_seen, scenarios
from tests.support.generate import groups_of
from tests.support.hunting import Rules, write_apart
from tests.support.promtool import promtool

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fixtures")]

FIXTURES = Path(__file__).parent / "fixtures" / "alerts.yaml"
SCENARIOS = list(scenarios())


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "rules.yml"
    built = compile_sources(Sources(FIXTURES, ALERTS_FILE.with_name("channels.yaml")))
    file.write_text(outputs(built)["rules.yml"])
    return file


def test_rules_pass_every_lint(rules: Path) -> None:
    code, said = promtool().run("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    assert code == 0, said


@pytest.mark.parametrize("number", range(len(SCENARIOS)), ids=[scenario.does for scenario in SCENARIOS])
def test_it_does(rules: Path, number: int, tmp_path: Path) -> None:
    groups = groups_of(rules.read_text())
    (file,) = write_apart([SCENARIOS[number].written()], Rules(groups), tmp_path)
    code, said = promtool().run("test", "rules", str(file))
    assert code == 0, said


def test_every_fixture_is_seen_firing_and_silent() -> None:
    named = {alert["name"] for alert in yaml.safe_load(FIXTURES.read_text())["alerts"]}
    looks = [look for scenario in SCENARIOS for look in alerts_seen(scenario)]
    assert {look["alertname"] for look in looks if look["exp_alerts"]} == named
    assert {look["alertname"] for look in looks if not look["exp_alerts"]} == named
