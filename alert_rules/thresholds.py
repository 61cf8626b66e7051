"""The alerts' thresholds, for what is drawn beside them: a line in a chart equals the alert that it stands for."""

from functools import cache
from pathlib import Path

from alert_rules.compiling import compile_alerts
from alert_rules.loading import load_alerts
from alert_rules.model import Alert

ALERTS_FILE = Path(__file__).parent / "alerts.yaml"
"""The alerts that this project ships."""


@cache
def _alerts() -> dict[str, Alert]:
    alerts = load_alerts(ALERTS_FILE)
    channels = {channel for spec in alerts.specs.values() for channel in spec.channel}
    return {alert.name: alert for alert in compile_alerts(alerts, channels)}


def threshold(name: str) -> float:
    """The amount that an alert compares with: in dollars, in seconds, or as a fraction.

    Raises `KeyError` for an alert that is not there, `ValueError` for one that compares with a limit.
    """
    amount = _alerts()[name].threshold
    if amount is None:
        raise ValueError(f"{name} compares with no amount")
    return amount


def rungs(name: str) -> tuple[float, ...]:
    """The rungs of a ladder, from the lowest, as fractions where it is one of percentages."""
    return tuple(rung.amount for rung in _alerts()[name].rungs if rung.amount is not None)


RUNGS = rungs("budget_used")
"""The parts of a daily limit at which the budget's ladder goes up a rung."""
