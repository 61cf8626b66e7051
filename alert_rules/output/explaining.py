"""Explain an alert in words and in PromQL."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import promql_parser

from alert_rules.compiler.comparisons import certainty_in_words
from alert_rules.model.alerts import Alert, ResolvedComparison
from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.model.errors import RulesError
from alert_rules.model.quantities import JOB_LABEL
from alert_rules.model.rules import Rule
from alert_rules.output.alertmanager import receivers
from alert_rules.output.building import Compiled
from alert_rules.quantities.promql import check, nodes, pretty, selectors
from exporter import catalog


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
    lines = [name, *(_meaning(alert) if alert else _built_in_meaning(alerting)), ""]
    for rule in alerting:
        lines += [f"fires ({_labels(rule)}) when:", *_indented(pretty(rule.expr)), ""]
    recorded = {rule.name: rule for rule in rules if not rule.is_alert}
    needed = _needed([rule.expr for rule in alerting], recorded)
    if needed:
        lines.append("where, recorded at each evaluation:")
    for record in (name for name in recorded if name in needed):
        lines += [f"  {record} =", *_indented(pretty(recorded[record].expr)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _meaning(alert: Alert) -> Iterator[str]:
    yield f"  {alert.summary}"
    yield _line("condition", alert.condition)
    for comparison in alert.comparisons:
        yield _line("quantity", comparison.quantity.name)
        yield _line("split by", _splits(alert, comparison))
        yield _line("window", _window(comparison))
        yield _line("fewest calls", _fewest(comparison))
        yield _line("certainty", certainty_in_words(comparison) or NOT_UNCERTAIN)
    yield from _firing(alert, alert.channels)


def _built_in_meaning(rules: Sequence[Rule]) -> Iterator[str]:
    for rule in rules:
        yield f"  {rule.annotations['summary']} ({_labels(rule)})"
        yield _line("condition", "built in: always present, whatever alerts.yaml says")
        yield _line("split by", _named(_split(check(rule.expr))))
        yield _line("window", _looked_back(rule.expr))
        yield _line("fewest calls", NOT_COUNTED)
        yield _line("certainty", NOT_UNCERTAIN)
        yield from _firing(rule, receivers(rule.name, rule.labels["channel"].split(",")))


def _firing(of: Alert | Rule, notified: Sequence[str]) -> Iterator[str]:
    yield _line("must hold for", duration(of.for_) if of.for_ else "one evaluation")
    if of.keep_firing_for:
        yield _line("keeps firing for", f"{duration(of.keep_firing_for)} after it stops holding")
    yield _line("notifies", ", ".join(notified))


NOT_COUNTED = "does not apply: no calls are counted."
NOT_UNCERTAIN = "does not apply: what is compared is known, and not estimated from a few calls."

FIXED_WINDOWS: Mapping[str, str] = {
    "daily_spend": "the present calendar day",
    "monthly_spend": "the present calendar month",
    "projected_daily_spend": "the present calendar day, continued to its end",
    "projected_monthly_spend": "the present calendar month, continued to its end",
    "hours_to_limit": "the present calendar day, continued to its end",
    "budget_utilization": "the present calendar day",
    "period_utilization": "the present period of each budget",
    "soft_limit_utilization": "the present period of each budget",
    "daily_limit": "none: as configured",
    "monthly_limit": "none: as configured",
    "timeout": "none: as configured",
    "operations_per_hour": "the last 1h",
    "queue_depth": "none: the present moment",
    **{
        f"{measure}_anomaly": "the present clock hour, or the one before it"
        for measure in ("spend", "calls", "latency", "error_rate", "cost_per_call", "tokens_per_call")
    },
}
"""Over which time quantities are taken that an author can choose no window for."""


def _line(name: str, text: str) -> str:
    return f"  {name:<16} {text}"


def _window(comparison: ResolvedComparison) -> str:
    if comparison.quantity.min_operations is None:
        return FIXED_WINDOWS[comparison.quantity.name]
    return f"the last {duration(comparison.params.window)}"


def _fewest(comparison: ResolvedComparison) -> str:
    if comparison.quantity.min_operations is None:
        return NOT_COUNTED
    wider = f", or else in the last {duration(WIDE_WINDOW)}" if comparison.params.window < WIDE_WINDOW else ""
    return f"{comparison.params.min_operations} in the window{wider}"


def _splits(alert: Alert, comparison: ResolvedComparison) -> str:
    """One split, or those of an alert that watches a label's values and the team."""
    if comparison is not alert.comparisons[0]:
        return _named(comparison.params.by)
    splits = dict.fromkeys(variant.by for variant in alert.levels[0].variants)
    if len(splits) == 1:
        return _named(*splits)
    return " and ".join(_named(split) for split in splits if split) + ", and the team as a whole"


def _named(split: Sequence[str]) -> str:
    return " and ".join(split) if split else "nothing: one alert for all"


def _looked_back(expr: str) -> str:
    lengths = {node.range.total_seconds() for node in nodes(expr) if isinstance(node, promql_parser.MatrixSelector)}
    return f"the last {' and '.join(duration(int(n)) for n in sorted(lengths))}" if lengths else "the present moment"


def _split(node: Any) -> tuple[str, ...]:
    """The labels that distinguish the series of an expression, besides the job."""
    match node:
        case promql_parser.AggregateExpr():
            return tuple(label for label in (node.modifier.labels if node.modifier else ()) if label != JOB_LABEL)
        case promql_parser.BinaryExpr():
            return _split(node.lhs)
        case promql_parser.ParenExpr():
            return _split(node.expr)
        case promql_parser.Call():
            return () if node.func.name in ("absent", "vector") else _split(node.args[0])
        case promql_parser.MatrixSelector():
            return _split(node.vector_selector)
        case promql_parser.VectorSelector():
            name = str(node.name)
            if ":" in name:
                return tuple(label for label in name.split(":")[0].split("_") if label != JOB_LABEL)
            return "instance", *(catalog.ALL[name].labels if name in catalog.ALL else ())
    return ()


def _labels(rule: Rule) -> str:
    return ", ".join(f"{name} {value}" for name, value in rule.labels.items() if name != "channel")


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
