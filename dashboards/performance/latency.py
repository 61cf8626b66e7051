"""The row of Performance with how long calls take."""

from dashboards import promql as q
from dashboards.calls import ALERT_WINDOW, average_latency_by_operation
from dashboards.grid import Row, line
from dashboards.panels import Panel, heatmap, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SCALED_SECONDS, SECONDS
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    average = average_latency_by_operation(
        "Average by operation",
        "Follow the runbook of `slow_operations`: check the model, the prompt's length, the provider's status page.",
        settings.alerts.latency,
    )
    return Row(
        "More on response times",
        (line(8, average, _p95_by("operation"), _p95_by("model")), line(8, _distribution(), _over_timeout())),
        collapsed=True,
    )


def _p95_by(by: str) -> Panel:
    return timeseries(
        f"p95 by {by}",
        f"95% of the calls took no longer than this, by {by}, of the ten with most calls. The axis is logarithmic.",
        "If one line rises alone, that one is slow. If all rise together, look at the network or at the callers.",
        prom(q.of_busiest(q.quantile(0.95, by), by), q.legend(by)),
        unit=SCALED_SECONDS,
        interval=ALERT_WINDOW,
        log=True,
    )


def _distribution() -> Panel:
    return heatmap(
        "Distribution of response times",
        "How many calls took how long, over time. Each cell counts the calls in one bucket of the histogram.",
        "Two bands are two kinds of calls or two models. A band at a model's timeout is calls that hang.",
        prom(q.increase(q.latency("bucket"), "le"), "{{le}}", heatmap=True),
        unit=SECONDS,
    )


def _over_timeout() -> Panel:
    return timeseries(
        "Calls over their model's timeout",
        "Calls in the past hour that took at least their model's timeout, or failed with a timeout, by model.",
        "From half of a model's calls on, `model_unavailable` fires: route its operations to the fallback.",
        prom(q.hourly(q.filtered(catalog.OVER_TIMEOUT), "model"), "{{model}}"),
        unit=COUNT,
    )
