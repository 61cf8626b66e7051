"""Every generated expression as a tree: names, types and labels are the catalog's, and nothing is divided by 0."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alert_rules.compiler.thresholds import ALERTS_FILE
from alert_rules.language.channels import load_channels
from alert_rules.language.loading import parse_alerts
from alert_rules.model.quantities import Quantity
from alert_rules.model.rules import Rule, RuleGroup
from alert_rules.output.building import Sources, compile_sources, compiled
from alert_rules.output.writer import rules_text
from alert_rules.quantities.definitions import QUANTITIES
from alert_rules.quantities.promql import check
from tests.support.promql_labels import Known, Labels, WrongError, labels_of, misuses
from tests.support.thorough import examples

FIXTURES = Path(__file__).parent / "fixtures" / "alerts.yaml"
CHANNELS = ALERTS_FILE.with_name("channels.yaml")

WITHOUT_SERIES = {"exporter_down": {"job"}, "watchdog": set[str]()}
"""Alerts whose series have only the labels that the rule gives them."""


@pytest.fixture(params=[ALERTS_FILE, FIXTURES], ids=["shipped", "fixtures"])
def groups(request: pytest.FixtureRequest) -> tuple[RuleGroup, ...]:
    return compile_sources(Sources(request.param, CHANNELS)).groups


def check_rules(groups: tuple[RuleGroup, ...]) -> None:
    """Assert what must hold for every set of rules."""
    # messages of one group may ask for what another one records
    records: dict[str, Labels] = {}
    for group in groups:
        for rule in group.rules:
            labels = _labels(rule, records)
            assert not list(misuses(check(rule.expr))), rule.name
            if rule.is_alert:
                for query in _queries(rule):
                    labels_of(check(query), Known(records))
                    assert not list(misuses(check(query))), rule.name
            else:
                assert rule.name not in records
                records[rule.name] = labels


def _labels(rule: Rule, records: Mapping[str, Labels]) -> Labels:
    tree = check(rule.expr)
    if rule.is_alert:
        known = Known(records, _alert_series(rule))
        labels = labels_of(tree, known)
        assert "job" in labels or rule.name in WITHOUT_SERIES, rule.name
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
        assert used <= labels | set(rule.labels), rule.name
        return labels
    of = frozenset(_level(rule.name))
    # a figure that is carried asks for what it was before
    labels = labels_of(tree, Known({**records, rule.name: of}))
    assert labels == of, rule.name
    assert "job" in labels, rule.name
    return labels


def _level(record: str) -> list[str]:
    return re.findall(r"error_class|[^_]+", record.split(":")[0])


_OWN_LABELS = ("job", "instance", "operation", "model", "user", "status", "collector")


def _alert_series(rule: Rule) -> Labels:
    """What a held figure and the alert's own series are matched by."""
    return frozenset(name for name in _OWN_LABELS if name in rule.expr)


def _queries(rule: Rule) -> Iterator[str]:
    """The queries in a rule's annotations, for labels with every character that is odd."""
    for text in rule.annotations.values():
        for query in re.findall(r"query (?:\(printf )?`([^`]*)`", text):
            yield query.replace("%q", '"odd \\"\\\\ \\u00e9"').replace("%g", "1e+06").replace("%%", "%")


def test_every_expression_is_of_known_metrics_and_labels(groups: tuple[RuleGroup, ...]) -> None:
    check_rules(groups)


def test_annotations_ask_at_all(groups: tuple[RuleGroup, ...]) -> None:
    assert sum(len(list(_queries(rule))) for group in groups for rule in group.rules) > 10


def test_every_alert_says_what_it_must(groups: tuple[RuleGroup, ...]) -> None:
    for rule in (rule for group in groups for rule in group.rules if rule.is_alert):
        assert rule.annotations["summary"].endswith(".")
        assert rule.annotations["description"].endswith(".")
        assert rule.annotations["runbook_url"].endswith(f"/{rule.name}.md")
        assert rule.annotations["dashboard_url"]
        assert {"severity", "channel"} <= rule.labels.keys()


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("sum by (job) (ai_operation_total)", "neither exposed"),
        ("sum by (job, team) (ai_spend_today_usd)", "team"),
        ('ai_spend_today_usd{user="x"}', "user"),
        ("ai_spend_today_usd > on (job, user) ai_daily_limit_usd", "user"),
        ("ai_spend_today_usd > on (job) ai_daily_limit_usd", "many of"),
        ("ai_spend_today_usd > ai_daily_limit_usd", "match nothing"),
        ("ai_operation_latency_seconds", "neither exposed"),
    ],
)
def test_the_check_finds_labels_and_names_that_are_not_there(expr: str, said: str) -> None:
    with pytest.raises(WrongError, match=said):
        labels_of(check(expr), Known({}))


@pytest.mark.parametrize(
    "expr",
    [
        "ai_spend_today_usd / ai_daily_limit_usd",
        "increase(ai_spend_today_usd[5m])",
        "ai_operations_total > 5",
        "max_over_time(ai_spend_today_usd[5m]) - min_over_time(ai_spend_today_usd[5m])",
        "max_over_time(ai_operations_total[5m]) > 3",
    ],
)
def test_the_check_finds_wrong_types_and_unguarded_divisions(expr: str) -> None:
    assert list(misuses(check(expr)))


_AMOUNTS: Mapping[str, st.SearchStrategy[str]] = {
    "MONEY": st.decimals("0.01", 99_999, places=4).map("${}".format),
    "RATIO": st.decimals("0.1", "99.9", places=1).map("{}%".format),
    "DURATION": st.integers(1, 119_000).map("{}ms".format),
    "COUNT": st.integers(1, 10_000).map(str),
}


@st.composite
def _alerts(draw: st.DrawFn) -> dict[str, Any]:
    quantity: Quantity = draw(st.sampled_from(list(QUANTITIES.values())))
    split = draw(st.sampled_from(quantity.splits))
    written: dict[str, Any] = {"name": "any", "channel": "discord", "by": list(split) or "none"}
    right = draw(_AMOUNTS[quantity.dimension.name])
    operator = draw(st.sampled_from([">", ">=", "<", "<="]))
    if quantity.min_operations is not None:
        written["min_operations"] = draw(st.integers(1, 200))
        written["window"] = f"{draw(st.integers(1, 1440))}m"
        written["certainty"] = draw(st.sampled_from(["high", "none"]))
    if draw(st.booleans()):
        written["for"] = f"{draw(st.integers(0, 3600))}s"
    return {**written, "condition": f"{quantity.name} {operator} {right}"}


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(_alerts(), min_size=1, max_size=4))
def test_any_valid_alerts_make_rules_that_hold_the_same(alerts: list[dict[str, Any]]) -> None:
    named = [{**alert, "name": f"alert_{number}"} for number, alert in enumerate(alerts)]
    text = yaml.safe_dump({"alerts": named})
    groups = compiled(parse_alerts(text.encode(), "any.yaml"), load_channels(CHANNELS)).groups
    check_rules(groups)
    assert yaml.safe_load(rules_text(groups))["groups"]
