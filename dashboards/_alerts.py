"""Thresholds of the alerts, so that a panel turns red where an alert fires. The only place that knows them here."""

_THRESHOLDS = {"high_daily_spend": 200.0, "high_error_rate": 0.05, "slow_operations": 2.0}

RUNGS = (0.5, 0.8, 1.0)
"""The parts of a limit at which the budget's alert goes up a rung."""


def threshold(alert: str) -> float:
    """An alert's threshold, in the base unit of what it compares: USD, a ratio, seconds."""
    return _THRESHOLDS[alert]
