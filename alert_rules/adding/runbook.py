"""Write a first runbook for an alert that was added, since its message links to one."""

from pathlib import Path
from urllib.parse import quote

from alert_rules.model.alerts import Alert
from alert_rules.output.building import Compiled
from alert_rules.quantities.promql import pretty


def write_first_runbook(built: Compiled, name: str, folder: Path) -> Path | None:
    """Write the page of an alert, unless it is there already or the project's folder of runbooks is not here.

    Raises `OSError` where it cannot be written: a folder that is read-only, or a name too long for a file.
    """
    alert = next((alert for alert in built.alerts if alert.name == name), None)
    path = folder / f"{name}.md"
    if alert is None or not folder.is_dir() or path.exists():
        return None
    path.write_text(first_runbook(alert, _alike(built, alert)), encoding="utf-8")
    return path


def first_runbook(alert: Alert, alike: str | None) -> str:
    """A page with the usual sections; `alike` is an alert on the same figure, whose page knows more."""
    more = f"[{alike}]({quote(alike)}.md) is about the same figure: its page says how to go on." if alike else ""
    expressions = "\n\n".join(
        f"```promql\n{pretty(variant.expr)}\n```" for level in alert.levels for variant in level.variants
    )
    return f"""# {alert.name}

## Meaning

{alert.summary} The condition is `{alert.condition}`.

## Impact

Write here what it means for your users and your bill.

## Diagnosis

It fires while one of these has an answer:

{expressions}

{more or "Write here what to look at first."}

## Mitigation

Write here what has helped.
"""


def _alike(built: Compiled, alert: Alert) -> str | None:
    others = (other for other in built.alerts if other.name != alert.name)
    return next((other.name for other in others if other.quantities[0] == alert.quantities[0]), None)
