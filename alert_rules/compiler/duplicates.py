"""Find alerts whose amount equals the team's own limit: they duplicate the alert on that limit."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

import yaml

from alert_rules.model.alerts import Alert
from alert_rules.model.errors import RulesError

_LIMITED = {"daily_spend": ("daily_limit_usd", "daily"), "monthly_spend": ("monthly_limit_usd", "monthly")}


def team_limits(path: Path) -> Mapping[str, Decimal]:
    """The team's limits in dollars, by their names in the exporter's configuration; those that are not set are missing.

    Raises `RulesError` where the file cannot be read as YAML.
    """
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise RulesError([f"{path}: cannot be read — name the exporter's configuration, with --config FILE"]) from None
    found = {}
    for name, _ in _LIMITED.values():
        amount = written.get(name) if isinstance(written, dict) else None
        if amount is None or isinstance(amount, bool):
            continue
        try:
            found[name] = Decimal(str(amount))
        except InvalidOperation:
            # the exporter itself refuses it, and says why
            continue
    return found


def told_twice(alerts: Iterable[Alert], limits: Mapping[str, Decimal]) -> Iterator[str]:
    """A warning for each alert of the team's spend whose amount is the limit that another alert compares with."""
    every = tuple(alerts)
    on_limit = {alert.quantities[0]: alert.name for alert in every if _of_team(alert) and alert.threshold is None}
    for alert in filter(_of_team, every):
        quantity = alert.quantities[0]
        name, period = _LIMITED[quantity]
        amounts = [level.amount for level in alert.levels if level.amount is not None]
        if quantity in on_limit and name in limits and float(limits[name]) in amounts:
            yield (
                f"{alert.name}: ${limits[name]} is the team's {period} limit, which {on_limit[quantity]} already"
                " watches — remove one of the two, or write another amount"
            )


def _of_team(alert: Alert) -> bool:
    """Whether the alert is one on the spend of the whole team alone, from above."""
    whole = any(not variant.by and variant.labels.get("scope") != "unlisted" for variant in alert.levels[0].variants)
    return len(alert.quantities) == 1 and alert.quantities[0] in _LIMITED and alert.operator in (">", ">=") and whole
