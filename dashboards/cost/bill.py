"""The row of Cost with traffic, and with what is wrong with the bill."""

from dashboards import promql as q
from dashboards.calls import average_latency_by_operation, cost_per_call_by_operation
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    average_latency = average_latency_by_operation(
        "Average latency per operation",
        "Open Performance for quantiles and models: a slow average with a fast median means a few timeouts.",
        settings.alerts.latency,
    )
    cost_per_call = cost_per_call_by_operation(
        "Cost per operation, by operation",
        "A step up means another model or a longer prompt: see the tokens on Performance.",
    )
    return Row(
        "Traffic, and what is wrong with the bill",
        (line(8, _operations_per_hour(), average_latency, cost_per_call), line(7, _unpriced(), _corrections())),
    )


def _operations_per_hour() -> Panel:
    return timeseries(
        "Operations per hour",
        "Calls that ended in the past hour, by operation. A gap means that the log could not be read.",
        "An operation that rises alone is a loop or a new job. One that falls to 0 has stopped: see Health.",
        prom(q.hourly(q.CALLS, "operation"), "{{operation}}"),
        unit=COUNT,
    )


def _unpriced() -> Panel:
    return timeseries(
        "Calls without a price",
        "Calls in the past hour that used tokens but have no cost, by model, without models that are configured as"
        " free. Counted 15 minutes late, so that costs have time to arrive.",
        "Spend is too low by what these calls cost: add the model's price to the application.",
        prom(q.hourly(q.filtered(catalog.UNPRICED), "model"), "{{model}}"),
        unit=COUNT,
    )


def _corrections() -> Panel:
    return timeseries(
        "Corrections",
        "Cost that was counted and then removed from the log by edits or deletions, by operation. Spend does not"
        " include it.",
        "A step means that somebody edits or deletes rows of the log: ask why.",
        prom(q.gauge(q.while_read(q.filtered(catalog.COST_CORRECTIONS)), "operation"), "{{operation}}"),
        unit=USD,
    )
