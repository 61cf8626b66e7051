"""An alert in words, with its PromQL."""

from collections.abc import Iterator

from alert_rules.building import Compiled
from alert_rules.conventions import duration
from alert_rules.errors import RulesError
from alert_rules.model import Alert
from alert_rules.promql import pretty, selectors
from alert_rules.rules import Rule


def explain(built: Compiled, name: str) -> str:
    """What an alert means and how it is computed. Raises `RulesError` for a name that there is none of."""
    rules = [rule for group in built.groups for rule in group.rules]
    alerting = [rule for rule in rules if rule.is_alert and rule.name == name]
    if not alerting and any(alert.name == name for alert in built.alerts):
        raise RulesError([f"{name} is disabled — enable it first: rules enable"])
    if not alerting:
        known = ", ".join(dict.fromkeys(rule.name for rule in rules if rule.is_alert))
        raise RulesError([f"no alert {name!r} — write one of {known}"])
    alert = next((alert for alert in built.alerts if alert.name == name), None)
    lines = [name, *_meaning(alert), ""]
    for rule in alerting:
        lines += [_told_apart(rule), *_indented(pretty(rule.expr)), ""]
    recorded = {rule.name: rule for rule in rules if not rule.is_alert}
    needed = _needed([rule.expr for rule in alerting], recorded)
    if needed:
        lines.append("where, recorded at each evaluation:")
    for record in (name for name in recorded if name in needed):
        lines += [f"  {record} =", *_indented(pretty(recorded[record].expr)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _meaning(alert: Alert | None) -> Iterator[str]:
    if alert is None:
        return
    yield f"  {alert.summary}"
    yield f"  condition        {alert.condition}"
    yield f"  must hold for    {duration(alert.wait) if alert.wait else 'one evaluation'}"
    if alert.keep:
        yield f"  keeps firing for {duration(alert.keep)} after it ceased to hold"
    yield f"  tells            {', '.join(alert.channels)}"


def _told_apart(rule: Rule) -> str:
    labels = ", ".join(f"{name} {value}" for name, value in rule.labels.items() if name != "channel")
    return f"fires ({labels}) when:"


def _indented(text: str) -> list[str]:
    return [f"      {line}" for line in text.splitlines()]


def _needed(expressions: list[str], recorded: dict[str, Rule]) -> set[str]:
    """The records that the expressions rest on; one that is carried rests on itself."""
    needed: set[str] = set()
    todo = list(expressions)
    while todo:
        for selector in selectors(todo.pop()):
            if selector.name in recorded and selector.name not in needed:
                needed.add(selector.name)
                todo.append(recorded[selector.name].expr)
    return needed
