"""Walk 4 of the guide: an alert passes the modules and the representations that are listed there, and no others."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from alert_rules.language.channels import Channel, Channels
from alert_rules.language.conditions import Comparison
from alert_rules.language.loading import Alerts, load_alerts
from alert_rules.language.source import Source
from alert_rules.language.spec import AlertSpec
from alert_rules.model.alerts import Alert, ResolvedComparison, SeverityLevel, Variant
from alert_rules.model.rules import Rule
from alert_rules.output.building import compiled
from alert_rules.output.writer import rules_text
from tests.support import ROOT

SECTION = (ROOT / "docs/dev/architecture.md").read_text().split("## Walk 4: ")[1].split("\n## ")[0]
FORMS = {
    "Document": (Source,),
    "AlertSpec": (Alerts, AlertSpec),
    "Comparison": (Comparison,),
    "ResolvedComparison": (ResolvedComparison,),
    "Alert": (Alert, SeverityLevel, Variant),
    "Rule": (Rule,),
}
"""What an alert is, from the file to the rule, each with what holds it or is part of it."""

ALERT = "alerts:\n- {name: spend, condition: daily_spend > $200, channel: discord}\n"
CHANNELS = Channels((Channel("discord", "/etc/alertmanager/secrets/discord_webhook_url"),))


def forms_in(value: object, depth: int = 2) -> Iterator[str]:
    """The forms of the alert that a value is, or holds; those of other alerts do not count."""
    for form, kinds in FORMS.items():
        # what is being made, and some forms, have no name
        if isinstance(value, kinds) and getattr(value, "name", "spend") == "spend":
            yield form
    if depth and isinstance(value, list | tuple):
        for inner in value:
            yield from forms_in(inner, depth - 1)


def test_no_other_module_handles_an_alert(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(ALERT)
    handled: dict[str, set[str]] = {}

    def note(frame: FrameType, event: str, answer: object) -> None:
        module = frame.f_globals.get("__name__", "")
        # the model makes the forms, and does nothing with them
        if event in ("call", "return") and re.match(r"alert_rules\.(?!model\.)", module):
            code = frame.f_code
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            passed = [frame.f_locals.get(name) for name in names] if event == "call" else [answer]
            for form in forms_in(passed, 3):
                handled.setdefault(module, set()).add(form)

    sys.setprofile(note)
    try:
        text = rules_text(compiled(load_alerts(alerts), CHANNELS).groups)
    finally:
        sys.setprofile(None)
    assert "alert: spend" in text
    # it runs all the others
    del handled["alert_rules.output.building"]
    listed = re.findall(r"^\| \d+ \| `([\w/]+)\.py`", SECTION, re.MULTILINE)
    assert set(handled) == {path.replace("/", ".") for path in listed}
    assert len(listed) <= 9
    assert set().union(*handled.values()) == set(FORMS)
    assert len(FORMS) <= 6
    assert all(f"`{form}`" in SECTION for form in FORMS)
