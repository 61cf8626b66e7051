"""The row of Cost with traffic, for all users."""

from dashboards import promql as q
from dashboards.calls import average_latency_by_operation, cost_per_call_by_operation
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT


def row(settings: Settings) -> Row:
    """The row."""
    average_latency = average_latency_by_operation(
        "Average latency per operation",
        "Open Performance for quantiles and models: a slow average with a fast median means a few timeouts.",
        settings.alerts.latency,
    )
    cost_per_call = cost_per_call_by_operation(
        "Cost of 1,000 calls by operation",
        "A step up means another model or a longer prompt: see the tokens on Performance.",
    )
    return Row(
        "Traffic (all users)", (line(8, _operations_per_hour(), average_latency, cost_per_call),), collapsed=True
    )


def _operations_per_hour() -> Panel:
    return timeseries(
        "Operations per hour",
        "Calls that ended in the past hour, by operation; all but the ten largest are `all others`. A gap means that"
        " the log could not be read.",
        "An operation that rises alone is a loop or a new job. One that falls to 0 has stopped: see Health.",
        prom(q.with_others(q.hourly(q.CALLS, "operation"), "operation"), "{{operation}}"),
        unit=COUNT,
    )
