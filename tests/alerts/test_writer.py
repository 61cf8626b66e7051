"""What is written as YAML is what Prometheus and Alertmanager read."""

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from alert_rules.model.rules import Rule, RuleGroup
from alert_rules.output.writer import rules_text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("a line\x85another one")
@example("💸 spent\n")
def test_any_text_is_read_back(text: str) -> None:
    rule = Rule(name="Spent", expr="up", is_alert=True, annotations={"summary": text})
    (group,) = yaml.safe_load(rules_text([RuleGroup("one", (rule,))]))["groups"]
    assert group["rules"][0]["annotations"] == {"summary": text}
