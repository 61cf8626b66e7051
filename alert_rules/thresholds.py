"""The amounts that alerts compare with, for the dashboards, whose lines equal the alerts they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alert_rules.compiling import compile_alerts
from alert_rules.loading import load_alerts
from alert_rules.model import Alert

ALERTS_FILE = Path(__file__).parent / "alerts.yaml"
"""The alerts of this repository."""


@dataclass(frozen=True)
class Thresholds:
    """The compiled alerts of one file by name, disabled ones left out."""

    alerts: Mapping[str, Alert]

    def amounts(self, name: str, quantity: str) -> tuple[float, ...]:
        """What an alert compares a quantity with, the lowest first: dollars, seconds or fractions.

        Empty where no alert of that name fires when this quantity rises above an amount: it may be missing or disabled,
        compare with a limit, watch something else, or fire when the quantity falls.
        """
        alert = self.alerts.get(name)
        if alert is None or alert.quantities[0] != quantity or alert.operator not in (">", ">="):
            return ()
        return tuple(rung.amount for rung in alert.rungs if rung.amount is not None)


def thresholds(path: Path) -> Thresholds:
    """The thresholds of a file of alerts. Raises `RulesError` where the file cannot be read or compiled."""
    alerts = load_alerts(path)
    channels = {channel for spec in alerts.specs.values() for channel in spec.channel}
    return Thresholds({alert.name: alert for alert in compile_alerts(alerts, channels) if not alert.disabled})
