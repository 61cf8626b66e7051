"""Prometheus rules, as the file has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A recording rule, or an alerting one; times in seconds."""

    name: str
    expr: str
    is_alert: bool
    for_: int = 0
    keep_firing_for: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleGroup:
    """Rules that Prometheus evaluates one after the other, so that each sees what those before it have recorded."""

    name: str
    rules: tuple[Rule, ...]
