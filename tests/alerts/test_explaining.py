"""`rules explain` shows an alert with all that it rests on, in the order of evaluation."""

from collections.abc import Mapping

import pytest
import yaml

from alert_rules.compiler.thresholds import ALERTS_FILE
from alert_rules.language.channels import load_channels
from alert_rules.language.loading import parse_alerts
from alert_rules.output.building import Compiled, Sources, compile_sources, compiled
from alert_rules.output.explaining import FIXED_WINDOWS, NOT_COUNTED, NOT_UNCERTAIN, explain
from alert_rules.quantities.definitions import QUANTITIES
from tests.support.generate import generated_groups

BUILT = compile_sources(Sources(ALERTS_FILE, ALERTS_FILE.with_name("channels.yaml")))
RULES = [rule for group in generated_groups() for rule in group["rules"]]


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in RULES if "alert" in rule}))
def test_every_record_is_shown_once_after_what_it_rests_on(name: str) -> None:
    told = explain(BUILT, name)
    shown = [line.strip().removesuffix(" =") for line in told.splitlines() if line.endswith(" =")]
    recorded = [rule["record"] for rule in RULES if "record" in rule]
    assert shown == [record for record in recorded if record in shown]
    for rule in RULES:
        if rule.get("alert") == name:
            assert all(line.strip() in told for line in rule["expr"].splitlines())


NAMES = (
    "quantity",
    "condition",
    "split by",
    "window",
    "fewest calls",
    "certainty",
    "must hold for",
    "keeps firing for",
    "notifies",
)


def words(told: str) -> list[dict[str, str]]:
    """What is said in words before the PromQL: by name, for each rule or comparison."""
    found: list[dict[str, str]] = []
    for line in told[: told.index("\nfires (")].splitlines()[1:]:
        name, text = line[2:18].strip(), line[19:]
        if not line[2:].startswith(NAMES):
            continue
        # what an alert says once, before its first quantity, belongs to no comparison
        if not found or name in found[-1]:
            found.append({})
        found[-1][name] = text
    return found


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in RULES if "alert" in rule}))
def test_every_alert_is_told_in_words(name: str) -> None:
    for said in words(explain(BUILT, name)):
        assert {"split by", "window", "fewest calls", "certainty", "must hold for", "notifies"} <= said.keys()


def told(**fields: str | int) -> Mapping[str, str]:
    text = yaml.safe_dump({"alerts": [{"name": "any", "channel": "discord", **fields}]})
    channels = load_channels(ALERTS_FILE.with_name("channels.yaml"))
    return words(explain(compiled(parse_alerts(text.encode(), "alerts.yaml"), channels), "any"))[0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"condition": "error_rate > 5%"},
            {
                "split by": "operation",
                "window": "the last 5m",
                "fewest calls": "20 in the window, or else in the last 1h",
                "certainty": "the lower bound of the share's Wilson score interval must be above 5%, at 99.9% in"
                " 5m or at 97.5% in 1h. While the alert fires, the figure alone decides, unless the last 10m show that"
                " it has recovered. 5 calls that all failed are certain.",
                "must hold for": "1m",
                "keeps firing for": "10m after it stops holding",
            },
        ),
        (
            {"condition": "error_rate > 5%", "window": "2h", "min_operations": 7, "by": "model", "for": "0s"},
            {
                "split by": "model",
                "window": "the last 2h",
                "fewest calls": "7 in the window",
                "certainty": "the lower bound of the share's Wilson score interval must be above 5%, at 97.5% in 2h."
                " While the alert fires, the figure alone decides. 5 calls that all failed are certain.",
                "must hold for": "one evaluation",
            },
        ),
        ({"condition": "error_rate > 0%"}, {"certainty": "at this threshold any call decides."}),
        (
            {"condition": "error_rate <= 5%", "by": "none"},
            {
                "split by": "nothing: one alert for all",
                "certainty": "the upper bound of the share's Wilson score interval must be at or below 5%, at 99.9% in"
                " 5m or at 97.5% in 1h. While the alert fires, the figure alone decides, unless the last 10m show that"
                " it has recovered.",
            },
        ),
        (
            {"condition": "avg_latency > 2s", "certainty": "none"},
            {"certainty": "none: the figure is compared as it is, however few calls it is based on."},
        ),
        (
            {"condition": "model_response_time > timeout", "window": "10m", "min_operations": 4},
            {
                "certainty": "50% of the calls or more reached the timeout, and certainly more than 20% of them did:"
                " at 99.9% in 10m or at 97.5% in 1h. While the alert fires, the figure alone decides. For calls without"
                " a success, 4 of them in 30m decide."
            },
        ),
        ({"condition": "daily_spend > daily_limit"}, {"split by": "user and group, and the team as a whole"}),
        (
            {"condition": "queue_depth > 3", "by": "status"},
            {
                "split by": "status",
                "window": "none: the present moment",
                "fewest calls": NOT_COUNTED,
                "certainty": NOT_UNCERTAIN,
                "must hold for": "5m",
            },
        ),
    ],
)
def test_what_is_said_of_an_alert(fields: dict[str, str | int], said: dict[str, str]) -> None:
    found = told(**fields)
    assert {name: found[name] for name in said} == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "exporter_down",
            [
                {"split by": "nothing: one alert for all", "window": "the present moment", "must hold for": "2m"},
                {"split by": "instance", "window": "the present moment", "must hold for": "5m"},
            ],
        ),
        ("table_unreadable", [{"split by": "collector", "must hold for": "15m"}]),
        ("rows_unusable", [{"split by": "field", "must hold for": "5m", "notifies": "discord"}]),
        ("user_without_limit", [{"split by": "user", "must hold for": "15m", "notifies": "discord"}]),
        ("cost_tracking_inaccurate", [{"split by": "model", "must hold for": "one evaluation", "notifies": "discord"}]),
        (
            "watchdog",
            [{"split by": "nothing: one alert for all", "must hold for": "one evaluation", "notifies": "heartbeat"}],
        ),
        ("notifications_failing", [{"split by": "integration and receiver_name", "notifies": "failures, discord"}]),
        ("rules_failing", [{"split by": "rule_group"}]),
    ],
)
def test_what_is_said_of_a_built_in_alert(name: str, said: list[dict[str, str]]) -> None:
    found = words(explain(BUILT, name))
    assert [{key: of[key] for key in wanted} for of, wanted in zip(found, said, strict=True)] == said


def test_several_comparisons_are_told_each_by_its_quantity() -> None:
    slow, failing = words(explain(_joined(), "any"))
    assert (slow["quantity"], slow["certainty"][:8]) == ("avg_latency", "the mean")
    assert (failing["quantity"], failing["fewest calls"]) == ("error_rate", "20 in the window, or else in the last 1h")


def _joined() -> Compiled:
    written = {"name": "any", "channel": "discord", "condition": "avg_latency > 3s and error_rate > 20%"}
    text = yaml.safe_dump({"alerts": [written]})
    return compiled(parse_alerts(text.encode(), "alerts.yaml"), load_channels(ALERTS_FILE.with_name("channels.yaml")))


def test_every_quantity_without_a_window_of_its_own_has_words_for_it() -> None:
    assert {name for name, quantity in QUANTITIES.items() if quantity.min_operations is None} == FIXED_WINDOWS.keys()
