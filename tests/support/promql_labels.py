"""What can be told of an expression without running it: the labels of its series, and what is done to which metric."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser as parser

from exporter import catalog

TARGET = frozenset({"job", "instance"})

ALERT_LABELS = frozenset({"alertname", "alertstate", "severity", "channel", "scope", "reason", "rung"})
"""Labels of `ALERTS`, besides those of the alert's own series."""

OF_OTHERS: Mapping[str, frozenset[str]] = {
    "up": TARGET,
    "alertmanager_notifications_failed_total": TARGET | {"integration", "reason", "receiver_name"},
    "alertmanager_notifications_total": TARGET | {"integration", "receiver_name"},
    "prometheus_rule_evaluation_failures_total": TARGET | {"rule_group"},
}
"""Metrics that the exporter does not expose. `ALERTS` is another: its labels are those of what it is matched with."""

COUNTERS_OF_OTHERS = frozenset(name for name in OF_OTHERS if name.endswith("_total"))

_PARTS = {"_bucket": frozenset({"le"}), "_sum": frozenset[str](), "_count": frozenset[str]()}
_SET_OPERATORS = ("and", "or", "unless")
COMPARISONS = (">", ">=", "<", "<=", "==", "!=")
OVER_COUNTERS = ("changes", "delta", "increase", "rate", "resets")

Labels = frozenset[str]


class WrongError(Exception):
    """Something in an expression that cannot be meant."""


@dataclass(frozen=True)
class Known:
    """Names that an expression may use besides the catalog's: records, with the labels of their series."""

    records: Mapping[str, Labels]
    firing: Labels = frozenset()
    """The labels of the series that `ALERTS` is asked for."""

    def labels(self, name: str) -> Labels:
        """The labels of a metric's series. Raises `WrongError` for a name that nothing exposes or records."""
        if name in self.records:
            return self.records[name]
        if name == "ALERTS":
            return ALERT_LABELS | self.firing
        if name in OF_OTHERS:
            return OF_OTHERS[name]
        metric, more = exposed(name)
        return TARGET | set(metric.labels) | more


def exposed(name: str) -> tuple[catalog.Metric, Labels]:
    """The catalog's metric of that name, or whose part has it, and the labels that the part has more."""
    if name in catalog.ALL and catalog.ALL[name].kind != "histogram":
        return catalog.ALL[name], frozenset()
    for suffix, more in _PARTS.items():
        metric = catalog.ALL.get(name.removesuffix(suffix))
        if name.endswith(suffix) and metric is not None and metric.kind == "histogram":
            return metric, more
    raise WrongError(f"{name} is neither exposed nor recorded before")


def is_counter(name: str) -> bool:
    """Whether a name is a counter's, or that of a histogram's part."""
    return name in COUNTERS_OF_OTHERS or (
        name not in OF_OTHERS and name != "ALERTS" and ":" not in name and exposed(name)[0].kind != "gauge"
    )


def labels_of(node: Any, known: Known) -> Labels:
    """The labels of an expression's series. Raises `WrongError` where it uses a label that is not there."""
    match node:
        case parser.VectorSelector():
            labels = known.labels(str(node.name))
            for matcher in node.matchers.matchers:
                _require({matcher.name}, labels, f"{node.name} is matched by")
            return labels
        case parser.MatrixSelector():
            return labels_of(node.vector_selector, known)
        case parser.ParenExpr() | parser.UnaryExpr():
            return labels_of(node.expr, known)
        case parser.NumberLiteral() | parser.StringLiteral():
            return frozenset()
        case parser.AggregateExpr():
            return _aggregated(node, known)
        case parser.Call():
            return _called(node, known)
        case parser.BinaryExpr():
            return _combined(node, known)
    raise WrongError(f"{type(node).__name__} is not expected here")


def _require(wanted: set[str], there: Labels, what: str) -> None:
    if missing := wanted - there:
        raise WrongError(f"{what} {', '.join(sorted(missing))}, which is not there")


def _aggregated(node: Any, known: Known) -> Labels:
    inner = labels_of(node.expr, known)
    if str(node.op) in ("topk", "bottomk"):
        return inner
    by = set(node.modifier.labels) if node.modifier else set()
    _require(by, inner, f"{node.op} by")
    return frozenset(by)


def _called(node: Any, known: Known) -> Labels:
    labels = [labels_of(argument, known) for argument in node.args]
    match node.func.name:
        case "time" | "vector":
            return frozenset()
        case "absent":
            return frozenset({"job"})
        case "histogram_quantile":
            _require({"le"}, labels[1], "histogram_quantile needs")
            return labels[1] - {"le"}
    return labels[0]


def _combined(node: Any, known: Known) -> Labels:
    left, right = labels_of(node.lhs, known), labels_of(node.rhs, known)
    if is_scalar(node.lhs) or is_scalar(node.rhs):
        return left | right
    on = set(node.modifier.matching.labels) if node.modifier and node.modifier.matching else None
    operator = str(node.op)
    if on is None:
        if operator != "or" and left != right:
            raise WrongError(f"{sorted(left)} {operator} {sorted(right)} can match nothing")
        if left != right:
            raise WrongError(f"or of {sorted(left)} and {sorted(right)}")
        return left
    _require(on, left, f"{operator} on")
    _require(on, right, f"{operator} on")
    if operator in _SET_OPERATORS:
        return left
    if str(node.modifier.card).endswith("ManyToOne"):
        if right - on - {"window"}:
            raise WrongError(f"{operator} on {sorted(on)} with many of {sorted(right)}")
        return left
    for side in (left, right):
        if side - on - {"window"}:
            raise WrongError(f"{operator} on {sorted(on)} with many of {sorted(side)}")
    return frozenset(on)


def is_scalar(node: Any) -> bool:
    """Whether an operand is a number."""
    if isinstance(node, parser.ParenExpr):
        return is_scalar(node.expr)
    if isinstance(node, parser.BinaryExpr):
        return is_scalar(node.lhs) and is_scalar(node.rhs)
    return isinstance(node, parser.NumberLiteral) or (isinstance(node, parser.Call) and node.func.name == "time")


def misuses(node: Any) -> Iterator[str]:
    """What is done to metrics of the wrong type, and every division by what may be nothing."""
    if isinstance(node, parser.BinaryExpr) and str(node.op) == "/" and not _is_guarded(node.rhs):
        yield f"division by {node.rhs}"
    if isinstance(node, parser.BinaryExpr) and _is_rise(node):
        names = {_metric_of(node.lhs), _metric_of(node.rhs)}
        if len(names) != 1 or not is_counter(*names):
            yield f"a rise of {' less '.join(sorted(names))}"
        return
    if isinstance(node, parser.Call) and node.func.name in OVER_COUNTERS:
        if not is_counter(_metric_of(node)):
            yield f"{node.func.name} of {_metric_of(node)}, which is no counter"
        return
    if isinstance(node, parser.VectorSelector) and is_counter(str(node.name)):
        yield f"{node.name}, a counter, as if it were a gauge"
    for part in _parts(node):
        yield from misuses(part)


def _is_guarded(node: Any) -> bool:
    if isinstance(node, parser.ParenExpr):
        return _is_guarded(node.expr)
    return isinstance(node, parser.NumberLiteral) or (
        isinstance(node, parser.BinaryExpr) and str(node.op) in COMPARISONS
    )


def _metric_of(node: Any) -> str:
    """The metric that a function over a range, or a selector, is of."""
    return str(node.name if isinstance(node, parser.VectorSelector) else node.args[0].vector_selector.name)


def _is_rise(node: Any) -> bool:
    return str(node.op) == "-" and getattr(getattr(node.rhs, "func", None), "name", "") == "min_over_time"


def _parts(node: Any) -> list[Any]:
    parts = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    return [part for part in (*parts, *(getattr(node, "args", None) or ())) if part is not None]
