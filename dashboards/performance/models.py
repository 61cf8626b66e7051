"""The row of Performance with which models serve the calls."""

from dashboards import promql as q
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SHARE
from exporter import catalog


def row(_: Settings) -> Row:
    """The row."""
    return Row("Models", (line(8, _utilization(), _calls_by_model(), _fallbacks(), widths=(7, 7, 10)),), collapsed=True)


def _utilization() -> Panel:
    return timeseries(
        "Model utilization",
        "The share of calls in the past hour that each model served.",
        "A share that shifts without a change of routes means fallbacks: see Fallbacks per hour.",
        prom(f"{q.hourly(q.CALLS, 'model')} / scalar({q.hourly(q.CALLS)} > 0)", "{{model}}"),
        unit=SHARE,
        high=1,
        stacked=True,
    )


def _calls_by_model() -> Panel:
    return timeseries(
        "Calls per hour by model",
        "Calls that ended in the past hour, by model.",
        "A model that falls to 0 has no routes any more, or refuses calls: Health shows its last success.",
        prom(q.hourly(q.CALLS, "model"), "{{model}}"),
        unit=COUNT,
    )


def _fallbacks() -> Panel:
    by, counted = ("operation", "model"), q.filtered(catalog.FALLBACKS)
    return timeseries(
        "Fallbacks per hour",
        "Calls in the past hour that another model than the route's primary model served, by operation and model, of"
        " the ten with most of them.",
        "Look at the primary model's errors. If the fallback is more expensive, Cost shows it.",
        prom(q.of_busiest(f"{q.hourly(counted, *by)} > 0", *by, of=counted), "{{operation}} by {{model}}"),
        unit=COUNT,
        table_legend=True,
        decimals=0,
    )
