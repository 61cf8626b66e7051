"""The alerts' thresholds, for what is drawn beside them: a line in a chart equals the alert that it stands for."""

from functools import cache
from pathlib import Path

from alert_rules.compiler.compiling import compile_alerts
from alert_rules.language.loading import load_alerts
from alert_rules.model.alerts import Alert
from alert_rules.model.errors import RulesError

ALERTS_FILE = Path(__file__).parents[1] / "alerts.yaml"
"""The alerts that this project ships."""


@cache
def _alerts() -> dict[str, Alert]:
    alerts = load_alerts(ALERTS_FILE)
    channels = {channel for spec in alerts.specs.values() for channel in spec.channel}
    return {alert.name: alert for alert in compile_alerts(alerts, channels)}


def threshold(name: str) -> float:
    """The amount that an alert compares with: in dollars, in seconds, or as a fraction.

    Raises `RulesError` for an alert that is not there, or compares with a limit.
    """
    amount = _alert(name).threshold
    if amount is None:
        raise RulesError([f"{ALERTS_FILE}: {name} compares with no amount — a dashboard draws the line of one"])
    return amount


def rungs(name: str) -> tuple[float, ...]:
    """The rungs of a ladder, from the lowest, as fractions where it is one of percentages."""
    return tuple(rung.amount for rung in _alert(name).rungs if rung.amount is not None)


def _alert(name: str) -> Alert:
    known = _alerts()
    if name not in known:
        hint = "keep one of that name, or take its line out of the dashboards"
        raise RulesError([f"{ALERTS_FILE}: no alert {name}, whose threshold the dashboards draw — {hint}"])
    return known[name]


RUNGS = (*(rung for rung in rungs("budget_used") if rung < 1), 1.0)
"""The parts of a daily limit at which the budget's ladder goes up a rung, and the limit, above which it is exceeded."""
