"""What other parts of the project know, as a digest says it: one function for each."""

from exporter.digest.model import Anomaly, Forecast, LeftOut, Recommendation


def read_forecast() -> Forecast | LeftOut:
    """Where today and the month will end."""
    return LeftOut("forecast")


def read_anomalies() -> tuple[Anomaly, ...] | LeftOut:
    """What was out of the ordinary in the day."""
    return LeftOut("anomalies")


def read_recommendations() -> tuple[Recommendation, ...] | LeftOut:
    """What should change."""
    return LeftOut("recommendations")
