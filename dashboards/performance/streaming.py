"""The row of Performance with how soon answers begin, and how fast they come."""

from functools import partial

from dashboards import promql as q
from dashboards.calls import ALERT_WINDOW
from dashboards.colors import QUANTILES
from dashboards.grid import Row, line
from dashboards.panels import Panel, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SCALED_SECONDS
from exporter import catalog

NOT_LOGGED = "No calls in this range, or the log has no time to the first token"


def row(_: Settings) -> Row:
    """The row."""
    return Row("How fast answers come", (line(8, _first_token(), _by_model(), _speed()),), collapsed=True)


_quantile = partial(q.quantile, histogram=catalog.TIME_TO_FIRST_TOKEN)


def _first_token() -> Panel:
    lines = {name: _quantile(value) for name, value in {"p95": 0.95, "p50": 0.5}.items()}
    return timeseries(
        "Time to first token",
        "After this time, half and 95% of the answers have begun. Estimated from the buckets of a histogram, of the"
        " calls whose time to the first token is in the log. The axis is logarithmic.",
        "If it rises and the length of prompts does not, the provider queues requests: look at its status page.",
        prom(q.labelled("line", lines), q.legend("line")),
        unit=SCALED_SECONDS,
        interval=ALERT_WINDOW,
        log=True,
        colors=QUANTILES,
        empty=NOT_LOGGED,
    )


def _by_model() -> Panel:
    return timeseries(
        "p95 time to first token by model",
        "After this time, 95% of the answers have begun, by model, of the ten with most calls. The axis is"
        " logarithmic.",
        "One line alone is a slow model or provider: use another one for what people wait for.",
        prom(q.of_busiest(_quantile(0.95, "model"), "model"), "{{model}}"),
        unit=SCALED_SECONDS,
        interval=ALERT_WINDOW,
        log=True,
        empty=NOT_LOGGED,
    )


def _speed() -> Panel:
    return timeseries(
        "Output tokens per second",
        "Output tokens of the past hour for each second that calls took, the wait for the first token included, by"
        " model, of the ten with most calls.",
        "A line that falls while answers are as long as before means a slower provider.",
        prom(
            q.of_busiest(q.hourly_ratio(q.filtered(catalog.OUTPUT_TOKENS), q.latency("sum"), "model"), "model"),
            "{{model}}",
        ),
        unit=COUNT,
    )
