"""The row of Performance with which calls fail, and why."""

from dashboards import promql as q
from dashboards.alerts import AlertLine
from dashboards.calls import ALERT_WINDOW, DOUBTS, WINDOWS
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SHARE


def row(settings: Settings) -> Row:
    """The row."""
    failures = (_error_rate_by(each, settings.alerts.error_rate) for each in ("operation", "model"))
    return Row("Errors", (line(10, *failures, _failures_by_class()),))


def _error_rate_by(by: str, error_rate: AlertLine) -> Panel:
    note = error_rate.note("The line is at {value}, the threshold of {alert} for an operation." + DOUBTS)
    rates = q.error_rate(by)
    return timeseries(
        f"Error rate by {by}",
        f"The share of calls that failed, by {by}, of the ten with most calls. {WINDOWS}{note}",
        "One line alone is that operation or model; all together are the key, the network or a release. Failures by"
        " class shows why calls fail; the error log on Health shows the messages.",
        prom(q.of_busiest(rates, by), q.legend(by)),
        unit=SHARE,
        soft={} if error_rate.value is None else {"axisSoftMax": min(1, 2 * error_rate.value)},
        steps=error_rate.above(below="transparent"),
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
