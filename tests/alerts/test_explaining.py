"""`rules explain` shows an alert with all that it rests on, in the order of evaluation."""

import pytest
import yaml

from alert_rules.building import Sources, compile_sources
from alert_rules.explaining import explain
from alert_rules.thresholds import ALERTS_FILE
from tests.alerts.write import FOLDER

BUILT = compile_sources(Sources(ALERTS_FILE, ALERTS_FILE.with_name("channels.yaml")))
RULES = [
    rule
    for group in yaml.safe_load((FOLDER.parent / "generated" / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("name", sorted({rule["alert"] for rule in RULES if "alert" in rule}))
def test_every_record_is_shown_once_after_what_it_rests_on(name: str) -> None:
    told = explain(BUILT, name)
    shown = [line.strip().removesuffix(" =") for line in told.splitlines() if line.endswith(" =")]
    recorded = [rule["record"] for rule in RULES if "record" in rule]
    assert shown == [record for record in recorded if record in shown]
    for rule in RULES:
        if rule.get("alert") == name:
            assert all(line.strip() in told for line in rule["expr"].splitlines())
