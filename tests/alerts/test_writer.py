"""What is written as YAML is what Prometheus and Alertmanager read."""

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from alert_rules.output.writer import dump


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("a line\x85another one")
@example("💸 spent\n")
def test_any_text_is_read_back(text: str) -> None:
    assert yaml.safe_load(dump({"text": [text]})) == {"text": [text]}
