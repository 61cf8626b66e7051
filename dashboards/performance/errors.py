"""The row of Performance with which calls fail, and why."""

from dashboards import promql as q
from dashboards.alerts import AlertLine
from dashboards.calls import ALERT_WINDOW, success_rate_by
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SHARE


def row(settings: Settings) -> Row:
    """The row."""
    error_rate = settings.alerts.error_rate
    by = ("operation", "model")
    act = "If one line drops, look at that one. If all drop together, look at the API key, the network or a release."
    successes = (success_rate_by(each, f"Success rate by {each}", act, error_rate) for each in by)
    failures = (_error_rate_by(each, error_rate) for each in by)
    return Row("Errors", (line(8, *failures, _failures_by_class()), line(8, *successes)))


def _error_rate_by(by: str, error_rate: AlertLine) -> Panel:
    note = error_rate.note("The line is at {value}, where {alert} fires.")
    return timeseries(
        f"Error rate by {by}",
        f"The share of calls that failed, by {by}.{note} With few calls, one failure is a tall spike.",
        "Failures by class shows why calls fail; the error log on Health shows the messages.",
        prom(q.error_rate(by), q.legend(by)),
        unit=SHARE,
        soft={} if error_rate.value is None else {"axisSoftMax": min(1, 2 * error_rate.value)},
        steps=error_rate.above(),
        interval=ALERT_WINDOW,
    )


def _failures_by_class() -> Panel:
    return timeseries(
        "Failures by class",
        "Failed calls in the past hour, by class of error. `error_classes` in the exporter's configuration defines the"
        " classes.",
        "rate_limit: spread or lower the load. auth: renew the key. context_length: shorten the prompts. provider"
        " and network: wait, or use the fallback. other: add a pattern for the message to `error_classes`.",
        prom(q.hourly(q.FAILED, "error_class"), "{{error_class}}"),
        unit=COUNT,
        stacked=True,
    )
