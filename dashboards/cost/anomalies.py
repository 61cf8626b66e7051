"""The row of Cost that says what is odd: hours that cost more than they usually do, and why."""

from dashboards import promql as q
from dashboards import style
from dashboards.base import by_model, by_operation
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, table, timeseries, values
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SECONDS, SHARE, TIME, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    lines = line(8, _spend(settings), _usual()), line(7, _causes(), _operations())
    return Row("What is odd (all users)", lines, collapsed=True)


def _spend(settings: Settings) -> Panel:
    alert, selector = settings.alerts.odd_spend, q.filtered(catalog.SPEND_ANOMALY)
    return timeseries(
        "Spend beyond the usual",
        "By how much the current hour of an operation, or the hour before, costs more than it usually does, if that is"
        " odd; else 0; of the ten that are furthest beyond. Empty until two weeks of history are known."
        + alert.note("The line is at {value}, the threshold of {alert}."),
        "The table below says why; the runbook of `spend_anomaly` says what to do.",
        prom(q.largest(q.gauge(selector, "operation"), selector, "operation"), "{{operation}}"),
        unit=USD,
        soft={} if alert.value is None else {"axisSoftMax": 2 * alert.value},
        steps=alert.above(),
    )


def _usual() -> Panel:
    selector = q.filtered(catalog.SPEND_USUAL)
    return timeseries(
        "Usual spend per hour",
        "What the current hour usually costs, by operation, of the ten that cost most: the median of the same hour of"
        " the same weekday.",
        "Compare it with today's spend. A step means that a change has lasted for days and now counts as usual.",
        prom(q.largest(q.max_of(selector, "operation"), selector, "operation"), "{{operation}}"),
        unit=USD,
    )


def _causes() -> Panel:
    factors = {"Calls": "calls", "Tokens per call": "tokens_per_call", "Price per token": "price_per_token"}
    chosen = q.filtered(catalog.SPEND_ANOMALY_FACTOR).removesuffix("}")
    names = {"operation": "Operation", "model": "Model", **values((*factors, "Odd since"))}
    return table(
        "Why the spend is odd",
        "Calls, tokens per call and price per token, each as a multiple of the usual, for the model whose spend is"
        " furthest above its usual spend. Their product is how many times the usual the model costs.",
        "More calls mean a loop or a new job, more tokens longer prompts or answers, a higher price new prices or fewer"
        " cached tokens.",
        *(
            prom(q.max_of(f'{chosen}, factor="{factor}"}}', "operation", "model"), table=True)
            for factor in factors.values()
        ),
        # Grafana counts milliseconds
        prom(f"1000 * {q.max_of(q.filtered(catalog.SPEND_ANOMALY_START), 'operation')}", table=True),
        columns=[
            column("Operation", links=[by_operation()]),
            column("Model", links=[by_model()]),
            *(column(name, unit=COUNT, decimals=1) for name in factors),
            column("Odd since", unit=TIME),
        ],
        transformations=joined("operation", names),
        sort="Calls",
    )


def _operations() -> Panel:
    figures = {
        "More calls": (catalog.CALLS_ANOMALY, COUNT),
        "More latency": (catalog.LATENCY_ANOMALY, SECONDS),
        "More errors": (catalog.ERROR_RATE_ANOMALY, SHARE),
        "More cost per call": (catalog.COST_PER_CALL_ANOMALY, USD),
        "More tokens per call": (catalog.TOKENS_PER_CALL_ANOMALY, COUNT),
    }
    usual = style.value_mappings({0: ("usual", style.DIM)})
    return table(
        "What else is odd",
        "By how much each figure of the current hour, or of the hour before, is above the usual, by operation; “usual”"
        " if it is not odd, and empty if there are too few calls to judge.",
        "Click the operation to see it on Performance.",
        *(prom(q.max_of(q.filtered(metric), "operation"), table=True) for metric, _ in figures.values()),
        columns=[
            column("Operation", min_width=140, links=[by_operation()]),
            # headings are what is widest
            *(
                column(name, unit=unit, mappings=usual, width=max(105, 16 + 7 * len(name)))
                for name, (_, unit) in figures.items()
            ),
        ],
        transformations=joined("operation", {"operation": "Operation", **values(figures)}),
        sort="More calls",
    )
