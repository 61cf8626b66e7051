"""What real servers have loaded, against what is built: the same, or each difference by its name."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from alert_rules.language.channels import load_channels
from alert_rules.language.loading import parse_alerts
from alert_rules.loaded.differences import Built, Difference, config_differences, rule_differences
from alert_rules.output.alertmanager import config_text
from alert_rules.output.building import RULES_FILE, Compiled, Sources, compile_sources, compiled, outputs, routing
from tests.support import ROOT
from tests.support.alertmanager import alertmanager, write_config
from tests.support.programs import fetch, prometheus_with

EXTRA = "loaded, and not built from alerts.yaml"
MISSING = "not loaded; receiver team: not built from alerts.yaml"
MUTED = ("route", "routes", 0, "mute_time_intervals")
DISCORD = ("receivers", 0, "discord_configs", 0)
TEST_ROUTE = 'route alertname="ai_monitoring_test", channel="discord"'
FAILURES = ("receivers", 2, "webhook_configs")
PACKAGE = ROOT / "alert_rules"
# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("loaded")]

# Every kind of rule, and names and texts that are not easy to print.
RICH = (
    """
  - name: 'ein "Zitat" mit {Klammer} & [d]'
    condition: error_rate > 2.5% and operations_per_hour >= 100
    channel: [discord]
    by: [operation, model]
    window: 90m
    for: 23h
    keep_firing_for: 80m
    summary: 'Größer als “gedacht”: 100 % & $1'
  - name: month
    condition: $1,200 < monthly_spend
    by: model
    channel: discord
  - name: 'Leiter "ä" {x="y"}'
    condition: budget_utilization >= rung
    by: user
    channel: discord
    rungs:
      12.5%: info
      90%: critical
  - name: 時間
    condition: queue_depth > 1000000
    channel: discord
    severity: info
""".replace("    rungs: null\n", "")
    .replace("23h", "23h")
    .replace("80m", "90m")
)


def build(text: str = "", old: str = "", new: str = "") -> Compiled:
    shipped = (PACKAGE / "alerts.yaml").read_text()
    assert old in shipped
    return compiled(
        parse_alerts((shipped.replace(old, new, 1) + text).encode(), "x"), load_channels(PACKAGE / "channels.yaml")
    )


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """As a real Prometheus lists the rules that are shipped, and others."""
    folder = tmp_path_factory.mktemp("prometheus") / "files"
    folder.mkdir()
    (folder / "rules.yml").write_text(outputs(build(RICH))[RULES_FILE])
    (folder / "other.yml").write_text("groups: [{name: another team's, rules: [{record: a, expr: b}]}]")
    (folder / "prometheus.yml").write_text("rule_files: [/etc/prometheus/rules.yml, /etc/prometheus/other.yml]\n")
    with prometheus_with(folder) as server:
        listed: list[dict[str, Any]] = json.loads(fetch(f"{server.url}/api/v1/rules")[1])["data"]["groups"]
    return listed


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As a real Alertmanager shows the configuration that is built."""
    folder = tmp_path_factory.mktemp("alertmanager")
    write_config(folder, routing(build(RICH)))
    with alertmanager(folder) as server:
        text: str = json.loads(fetch(f"{server.url}/api/v2/status")[1])["config"]["original"]
    return text


def test_what_was_built_is_what_is_loaded(groups: list[dict[str, Any]], shown: str) -> None:
    built = build(RICH)
    both = Built(built.groups, routing(built))
    assert both.rule_differences(groups) == []
    assert both.config_differences(shown) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("> $200", "> $201", "high_daily_spend: different expression, different texts"),
        ("warning\n  - name: budget_ex", "info\n  - name: budget_ex", "high_daily_spend: different labels"),
        ("for: 15m", "for: 16m", "budget_will_not_last: different for"),
        ("rate > 5%\n", "rate > 5%\n    keep_firing_for: 7m\n", "high_error_rate: different keep_firing_for"),
        ("rate > 5%\n", "rate > 5%\n    summary: Else.\n", "high_error_rate: different texts"),
        ("slow_operations", "slow_ones", f"slow_ones: not loaded; slow_operations: {EXTRA}"),
        ("      50%: warning\n", "", "budget_used: 6 rules are loaded, 3 built"),
        (
            "      50%: warning\n",
            "      51%: warning\n",
            "budget_used: different expression, different labels, different texts",
        ),
    ],
    ids=["threshold", "severity", "for", "keep_firing_for", "summary", "name", "rungs", "rung"],
)  # fmt: skip
def test_each_change_of_alerts_yaml_is_named(groups: list[dict[str, Any]], old: str, new: str, said: str) -> None:
    """Prometheus still runs what was built before."""
    found = sorted(map(str, rule_differences(build(RICH, old, new).groups, groups)))
    assert "; ".join(found) == said


def test_a_half_loaded_twice_loaded_or_other_file_is_named(groups: list[dict[str, Any]]) -> None:
    built = build(RICH).groups
    first, second = (group for group in groups if "team" not in group["name"])
    missing = next(group.rules for group in built if group.name == second["name"])
    half = [Difference(name, "not loaded") for name in dict.fromkeys(rule.name for rule in missing)]
    assert rule_differences(built, [first]) == half
    twice = rule_differences(built, [*groups, first])
    assert str(twice[0]).startswith(f"group {first['name']}: loaded from 2 files")
    none = [Difference("rules.yml", "not loaded: Prometheus has none of its groups")]
    assert rule_differences(built, [group for group in groups if "team" in group["name"]]) == none
    assert rule_differences(built, []) == none


def test_what_was_edited_by_hand_is_named(groups: list[dict[str, Any]]) -> None:
    edited = copy.deepcopy(groups)
    rule = next(r for group in edited for r in group["rules"] if r["name"] == "exporter_down")
    rule["query"] = "up == 2"
    assert list(map(str, rule_differences(build(RICH).groups, edited))) == ["exporter_down: different expression"]
    rule["query"] = "no promql ("
    assert list(map(str, rule_differences(build(RICH).groups, edited))) == ["exporter_down: different expression"]


def _set(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(config: Any) -> None:
        for step in path[:-1]:
            config = config[step]
        config[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("route", "group_wait", value="31s"), "route: different group_wait"),
        (_set("route", "repeat_interval", value="24h"), ""),
        (_set("route", "receiver", value="failures"), "route: different receiver"),
        (_set(*MUTED, value=["a"]), f"{TEST_ROUTE}: different mute_time_intervals"),
        (_set(*DISCORD, "webhook_url_file", value="/else"), "receiver discord: different discord_configs"),
        (_set("receivers", 0, "name", value="team"), f"receiver discord: {MISSING}"),
        (_set(*FAILURES, value=[{"url": "<secret>"}]), "receiver failures: different webhook_configs"),
        (_set("templates", value=["/x/else.tmpl"]), "templates: different names"),
        (lambda config: config["inhibit_rules"].pop(), "inhibit rule"),
        (lambda config: config["route"]["routes"].reverse(), "route: different order of routes"),
        (_set("global", "resolve_timeout", value="7m"), ""),
    ],
    ids=[str(number) for number in range(11)],
)  # fmt: skip
def test_another_routing_is_named(shown: str, change: Callable[[Any], Any], said: str) -> None:
    config = yaml.safe_load(shown)
    change(config)
    found = "; ".join(map(str, config_differences(routing(build(RICH)), yaml.safe_dump(config))))
    assert found.startswith(said) if said else not found
    if said == "inhibit rule":
        assert found.endswith("not loaded")


def test_a_configuration_built_before_a_rung_was_added_is_told(shown: str) -> None:
    newer = build(RICH, "      50%: warning\n", "      50%: warning\n      60%: warning\n")
    found = list(map(str, config_differences(routing(newer), shown)))
    assert found
    assert all(text.startswith("inhibit rule ") for text in found)


def test_no_configuration_shows_a_secret(shown: str) -> None:
    config = yaml.safe_load(shown)
    config["receivers"][0]["discord_configs"][0] = {"webhook_url": "https://discord.com/api/webhooks/1/s3cret"}
    assert "s3cret" not in str(config_differences(routing(build(RICH)), yaml.safe_dump(config)))


def test_the_generated_files_are_what_the_comparison_takes_them_for() -> None:
    built = compile_sources(Sources(PACKAGE / "alerts.yaml", PACKAGE / "channels.yaml"))
    assert config_differences(routing(built), config_text(routing(built))) == []
