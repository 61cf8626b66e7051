"""The first row of Performance: the past hour in numbers, response times, and a table of all operations and models."""

from dashboards import promql as q
from dashboards import style
from dashboards.alerts import AlertLine
from dashboards.base import HEALTH, by_model, by_operation, to_dashboard
from dashboards.calls import ALERT_WINDOW, DOUBTS, figures, worst_model
from dashboards.colors import QUANTILES, colored
from dashboards.grid import TILE, Row, line
from dashboards.panels import Panel, column, link, only, stat, table, timeseries, values
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import DOLLARS, SCALED_SECONDS, SECONDS, SHARE


def row(settings: Settings) -> Row:
    """The row."""
    error_rate, latency = settings.alerts.error_rate, settings.alerts.latency
    worst = worst_model(
        "Select the model in the dropdown: Failures by class says why, and the error log on Health"
        " has the messages. Use the fallback while it is down.",
        error_rate,
    )
    failures = worst, _error_rate(error_rate), figures(settings)
    speed = _average_latency(latency), _p95_latency(), _operations_per_hour()
    return Row(
        "",
        (
            line(TILE, *failures),
            line(TILE, *speed),
            line(12, _response_times(latency), _past_hour(error_rate, latency), widths=(10, 14)),
        ),
    )


def _error_rate(error_rate: AlertLine) -> Panel:
    note = error_rate.note(
        "Red from {value} on, the threshold of {alert}, which looks at five minutes of one operation."
    )
    return stat(
        "Errors, hour",
        f"The share of calls in the past hour that failed.{note}",
        "The charts under Errors show which operation and which class of error; the error log on Health shows the"
        " messages.",
        prom(q.or_no_calls(q.hourly_ratio(q.FAILED, q.CALLS)), instant=True),
        mappings=style.not_set(style.NO_CALLS),
        unit=SHARE,
        decimals=1,
        steps=error_rate.above(),
        links=[link("Error log", to_dashboard(HEALTH))],
    )


def _average_latency(latency: AlertLine) -> Panel:
    note = latency.note("Red from {value} on, the threshold of {alert}, which looks at five minutes of one operation.")
    return stat(
        "Average, hour",
        f"The average duration of calls in the past hour.{note}",
        "Compare it with p95. If only p95 is high, a few calls hang; if both are, a model is slow.",
        prom(q.or_no_calls(q.hourly_ratio(q.latency("sum"), q.latency("count"))), instant=True),
        mappings=style.not_set(style.NO_CALLS),
        unit=SECONDS,
        decimals=2,
        steps=latency.above(),
    )


def _p95_latency() -> Panel:
    return stat(
        "p95, hour",
        "95% of the calls in the past hour took no longer than this.",
        "p95 by model, below, shows whether one provider is slow: route its operations to the fallback meanwhile.",
        prom(q.or_no_calls(q.hourly_quantile(0.95)), instant=True),
        mappings=style.not_set(style.NO_CALLS),
        unit=SECONDS,
        decimals=1,
    )


def _operations_per_hour() -> Panel:
    return stat(
        "Calls, hour",
        "The number of calls that ended in the past hour.",
        "Far fewer than usual means that callers fail before the call: Health shows which operation fell silent.",
        prom(q.hourly(q.CALLS), instant=True),
        unit=style.PLAIN,
        decimals=0,
    )


def _response_times(latency: AlertLine) -> Panel:
    lines = {name: q.quantile(value) for name, value in {"p99": 0.99, "p95": 0.95, "p50": 0.5}.items()}
    lines["average"] = q.average_latency()
    note = latency.note("The line is at {value}, the threshold of {alert} for the average of an operation." + DOUBTS)
    return timeseries(
        "Response times",
        "50%, 95% and 99% of the calls took no longer than p50, p95 and p99; and the average duration. Quantiles"
        f" are estimated from the buckets of a histogram. The axis is logarithmic.{note}",
        "Select an operation or a model in the dropdowns to find the slow calls.",
        prom(q.labelled("line", lines), q.legend("line")),
        unit=SCALED_SECONDS,
        steps=latency.above(below="transparent"),
        interval=ALERT_WINDOW,
        log=True,
        colors=QUANTILES,
        overrides=[colored("average", style.CALM, lineWidth=2)],
    )


def _past_hour(error_rate: AlertLine, latency: AlertLine) -> Panel:
    by = ("operation", "model")
    shown: dict[str, str] = {
        "Failed": q.failed_share(*by),
        "Average": q.hourly_ratio(q.latency("sum"), q.latency("count"), *by),
        "p95": q.hourly_quantile(0.95, *by),
        "Calls": q.hourly(q.CALLS, *by),
        "Per 1,000": f"1000 * {q.hourly_ratio(q.COST, q.CALLS, *by)}",
    }
    # a phone shows the left columns
    first = values(("Failed", "Average"))
    return table(
        "The last hour by operation and model",
        "The share of the past hour's calls that failed, their average and p95 duration, their number, and the cost of"
        " a thousand of them; the most failures first. Of fewer than"
        f" {q.MANY} calls, a share is shown from {q.SEVERAL} failures on, and else “{_ONE_OR_TWO}”. Colours change at"
        " the thresholds of the alerts.",
        "Look into the first line: click its operation or its model to narrow the page.",
        *(prom(expr, table=True) for expr in shown.values()),
        transformations=[
            {"id": "merge", "options": {}},
            *only({"operation": "Operation", **first, "model": "Model", **values(shown)}),
        ],
        sort="Failed",
        then="Calls",
        empty=NO_CALLS,
        columns=[
            column("Operation", width=146, links=[by_operation()]),
            column(
                "Failed",
                unit=SHARE,
                decimals=1,
                width=76,
                colored=True,
                steps=error_rate.above(),
                mappings=[*style.not_set(_ONE_OR_TWO), *style.no_value("–")],
            ),
            column(
                "Average",
                unit=SECONDS,
                decimals=2,
                width=86,
                colored=True,
                steps=latency.above(),
                mappings=style.no_value("–"),
            ),
            column("Model", min_width=152, links=[by_model()]),
            column("p95", unit=SECONDS, decimals=2, width=76),
            column("Calls", unit=style.PLAIN, decimals=0, width=70),
            column("Per 1,000", unit=DOLLARS, decimals=2, width=90),
        ],
    )


_ONE_OR_TWO = "1 or 2"
NO_CALLS = "No calls in the past hour, or the log is not read"
