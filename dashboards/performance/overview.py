"""The first row of Performance: the past hour in numbers, response times, and a table of all operations and models."""

from dashboards import promql as q
from dashboards import style
from dashboards.alerts import AlertLine
from dashboards.base import HEALTH, to_dashboard
from dashboards.calls import ALERT_WINDOW, success_rate
from dashboards.grid import Row, line
from dashboards.panels import Panel, colored, column, link, only, stat, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SECONDS, SHARE, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    error_rate, latency = settings.alerts.error_rate, settings.alerts.latency
    numbers = (
        _error_rate(error_rate),
        success_rate(
            "Success rate",
            "Look at the error rate by operation and by model: one of them usually stands out.",
            error_rate,
        ),
        _average_latency(latency),
        _p95_latency(),
        _operations_per_hour(),
        _served_by_a_fallback(),
    )
    return Row("", (line(4, *numbers), line(9, _response_times(latency), _past_hour(error_rate, latency))))


def _error_rate(error_rate: AlertLine) -> Panel:
    note = error_rate.note("Red from {value} on, where {alert} fires.")
    return stat(
        "Error rate",
        f"The share of calls in the past hour that failed.{note}",
        "The charts under Errors show which operation and which class of error; the error log on Health shows the"
        " messages.",
        prom(q.hourly_ratio(q.FAILED, q.CALLS), instant=True),
        unit=SHARE,
        decimals=1,
        steps=error_rate.above(),
        links=[link("Error log", to_dashboard(HEALTH))],
    )


def _average_latency(latency: AlertLine) -> Panel:
    note = latency.note("Red from {value} on, where {alert} fires for an operation.")
    return stat(
        "Average latency",
        f"The average duration of calls in the past hour.{note}",
        "Compare it with p95. If only p95 is high, a few calls hang; if both are, a model is slow.",
        prom(q.hourly_ratio(q.latency("sum"), q.latency("count")), instant=True),
        unit=SECONDS,
        decimals=2,
        steps=latency.above(),
    )


def _p95_latency() -> Panel:
    return stat(
        "p95 latency",
        "95% of the calls in the past hour took no longer than this.",
        "p95 by model, below, shows whether one provider is slow: route its operations to the fallback meanwhile.",
        prom(f"histogram_quantile(0.95, {q.hourly(q.latency('bucket'), 'le')})", instant=True),
        unit=SECONDS,
        decimals=1,
    )


def _operations_per_hour() -> Panel:
    return stat(
        "Operations per hour",
        "The number of calls that ended in the past hour.",
        "Far fewer than usual means that callers fail before the call: Health shows which operation fell silent.",
        prom(q.hourly(q.CALLS), instant=True),
        unit=style.PLAIN,
        decimals=0,
    )


def _served_by_a_fallback() -> Panel:
    return stat(
        "Served by a fallback",
        "The share of calls in the past hour that another model than the route's primary model served.",
        "A rise means that a primary model refuses calls or times out: see Models.",
        prom(q.hourly_ratio(q.filtered(catalog.FALLBACKS), q.CALLS), instant=True),
        unit=SHARE,
        decimals=1,
    )


def _response_times(latency: AlertLine) -> Panel:
    quantiles = {"p99": 0.99, "p95": 0.95, "p50": 0.5}
    note = latency.note("The line is at {value}, where {alert} fires.")
    return timeseries(
        "Response times",
        "50%, 95% and 99% of the calls took no longer than p50, p95 and p99; and the average duration. Quantiles"
        f" are estimated from the buckets of a histogram.{note}",
        "Select an operation or a model in the dropdowns to find the slow calls.",
        *(prom(q.quantile(value), name) for name, value in quantiles.items()),
        prom(q.average_latency(), "average"),
        unit=SECONDS,
        steps=latency.above(),
        interval=ALERT_WINDOW,
        overrides=[
            colored("p99", style.BAD),
            colored("p95", style.WARN),
            colored("p50", style.GOOD),
            colored("average", style.CALM, lineWidth=2),
        ],
    )


def _past_hour(error_rate: AlertLine, latency: AlertLine) -> Panel:
    by = ("operation", "model")
    shown: dict[str, str] = {
        "Calls/h": q.hourly(q.CALLS, *by),
        "Average": q.hourly_ratio(q.latency("sum"), q.latency("count"), *by),
        "p95": f"histogram_quantile(0.95, {q.hourly(q.latency('bucket'), 'le', *by)})",
        "Failed": q.hourly_ratio(q.FAILED, q.CALLS, *by),
        "Per call": q.hourly_ratio(q.COST, q.CALLS, *by),
    }
    names = {"operation": "Operation", "model": "Model"}
    names |= {f"Value #{letter}": name for letter, name in zip("ABCDE", shown, strict=True)}
    return table(
        "The last hour by operation and model",
        "The number of calls in the past hour, their average and p95 duration, the share that failed, and the cost"
        " of a call. Colours change where the alerts fire.",
        "Click a column's header to sort by it, and look into the worst line.",
        *(prom(expr, table=True) for expr in shown.values()),
        transformations=[{"id": "merge", "options": {}}, *only(names)],
        sort="Calls/h",
        columns=[
            column("Calls/h", decimals=0, width=80),
            column("Average", unit=SECONDS, decimals=1, width=86, colored=True, steps=latency.above()),
            column("p95", unit=SECONDS, decimals=1, width=76),
            column("Failed", unit=SHARE, decimals=1, width=76, colored=True, steps=error_rate.above()),
            column("Per call", unit=USD, decimals=5, width=96),
        ],
    )
