"""The row of Cost that says what is odd: hours that cost more than they usually do, and why."""

from dashboards import promql as q
from dashboards.grid import Row, line
from dashboards.panels import Panel, column, joined, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SECONDS, SHARE, TIME, USD
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    lines = line(8, _spend(settings), _usual()), line(7, _causes(), _operations())
    return Row("What is odd (all users)", lines, collapsed=True)


def _spend(settings: Settings) -> Panel:
    alert = settings.alerts.odd_spend
    return timeseries(
        "Spend beyond the usual",
        "By how much the present hour of an operation, or the one before it, costs more than this hour usually does,"
        " where that is odd; else 0. Nothing before two weeks of history are known."
        + alert.note("The line is at {value}, the threshold of {alert}."),
        "The table below says why; the runbook of `spend_anomaly` says what to do.",
        prom(q.gauge(q.filtered(catalog.SPEND_ANOMALY), "operation"), "{{operation}}"),
        unit=USD,
        steps=alert.above(),
    )


def _usual() -> Panel:
    return timeseries(
        "Usual spend per hour",
        "What the present hour usually costs, by operation: the median of the same hour of the same weekday.",
        "Compare it with the spend of today. A step within days is a change that has become usual.",
        prom(q.max_of(q.filtered(catalog.SPEND_USUAL), "operation"), "{{operation}}"),
        unit=USD,
    )


def _causes() -> Panel:
    factors = {
        "Calls": "calls",
        "Tokens per call": "tokens_per_call",
        "Price per token": "price_per_token",
    }
    chosen = q.filtered(catalog.SPEND_ANOMALY_FACTOR).removesuffix("}")
    names = {
        "operation": "Operation",
        "model": "Model",
        **{f"Value #{letter}": name for letter, name in zip("ABC", factors, strict=True)},
        "Value #D": "Odd since",
    }
    return table(
        "Why an operation costs oddly much",
        "How many times the usual the calls, the tokens per call and the price per token are, of the model whose spend"
        " is the furthest above its usual one. Multiplied, they are how many times the usual its spend is.",
        "Many calls are a loop or a new job, many tokens a longer prompt, a dear token another model.",
        *(
            prom(q.max_of(f'{chosen}, factor="{factor}"}}', "operation", "model"), table=True)
            for factor in factors.values()
        ),
        # Grafana counts milliseconds
        prom(f"1000 * {q.max_of(q.filtered(catalog.SPEND_ANOMALY_START), 'operation')}", table=True),
        columns=[*(column(name, unit=COUNT, decimals=1) for name in factors), column("Odd since", unit=TIME)],
        transformations=joined("operation", names),
        sort="Calls",
    )


def _operations() -> Panel:
    figures = {
        "Calls": (catalog.CALLS_ANOMALY, COUNT),
        "Latency": (catalog.LATENCY_ANOMALY, SECONDS),
        "Error rate": (catalog.ERROR_RATE_ANOMALY, SHARE),
        "Cost per call": (catalog.COST_PER_CALL_ANOMALY, USD),
        "Tokens per call": (catalog.TOKENS_PER_CALL_ANOMALY, COUNT),
    }
    names = {
        "operation": "Operation",
        **{f"Value #{letter}": name for letter, name in zip("ABCDE", figures, strict=True)},
    }
    return table(
        "What else is odd",
        "By how much the calls of the present hour, or of the one before it, are above the usual, by operation; 0 where"
        " they are not odd, and nothing where too few calls say nothing.",
        "Look at the operation on Performance.",
        *(prom(q.max_of(q.filtered(metric), "operation"), table=True) for metric, _ in figures.values()),
        columns=[column(name, unit=unit) for name, (_, unit) in figures.items()],
        transformations=joined("operation", names),
        sort="Calls",
    )
