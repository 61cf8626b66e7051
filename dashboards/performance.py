"""The dashboard Performance: how long calls take, which fail, and what they use."""

from typing import Any

from alert_rules.compiler.thresholds import threshold
from dashboards import promql as q
from dashboards import sql as log
from dashboards import style
from dashboards.frame import HEALTH, PERFORMANCE, dashboard, to_dashboard
from dashboards.layout import Cell, Line, Section, line
from dashboards.panels import (
    About,
    bar_chart,
    colored,
    column,
    heatmap,
    joined,
    link,
    stat,
    table,
    timeseries,
)
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.sql import sql
from dashboards.style import SECONDS, SHARE, USD
from exporter import catalog

FILTERS = ("operation", "model")
CALLS = q.select(catalog.OPERATIONS)
FAILED = q.select(catalog.FAILURES)
SLOW, FAILING = threshold("slow_operations"), threshold("high_error_rate")

LATE = "5m"
"""The least step of ratios and quantiles: the alerts' window, and enough calls to say something."""


def build(settings: Settings) -> Any:
    """The dashboard, as grafanalib's object."""
    sections = (
        Section(
            "",
            (
                line(4, error_rate(), success_rate(), latency_now(), slowest_now(), calls_per_hour(), fallback_share()),
                Line(9, (Cell(response_times(), 12), Cell(by_operation_and_model(), 12))),
            ),
        ),
        Section(
            "Response times",
            (
                line(8, average_by_operation(), p95_by_operation(), p95_by_model()),
                line(8, distribution(), over_timeout()),
            ),
        ),
        Section(
            "Errors",
            (
                line(8, errors_by_operation(), errors_by_model(), failures_by_class()),
                line(8, success_by_operation(), success_by_model()),
            ),
        ),
        Section(
            "Models",
            (line(8, utilization(), calls_by_model(), fallbacks()),),
        ),
        Section(
            "Tokens, and what they cost",
            (
                line(8, tokens_per_hour(), input_by_operation(), output_by_operation()),
                line(8, tokens_by_hour_of_day(), cost_per_operation(), cost_per_thousand_tokens()),
            ),
        ),
    )
    about = "How long calls take, which of them fail and why, which models serve them, and what they use."
    return dashboard(PERFORMANCE, "AI operations / Performance", about, sections, settings, since="now-6h")


def _share(above: str, below: str) -> str:
    return q.ratio(q.hourly(above), q.hourly(below))


# --- the answer ---


def error_rate() -> Any:
    """The part of the calls that fails now."""
    return stat(
        About(
            "Error rate",
            f"The part of the last hour's calls that failed. Red from {FAILING:.0%} on, where `high_error_rate` fires.",
            "Errors, below, shows which operation and which class of error; the error log on Health has the messages.",
        ),
        prom(_share(FAILED, CALLS), instant=True),
        unit=SHARE,
        decimals=1,
        steps=style.worse_above(FAILING),
        links=[link("Error log", to_dashboard(HEALTH))],
    )


def success_rate() -> Any:
    """The part of the calls that goes well."""
    return stat(
        About(
            "Success rate",
            f"The part of the last hour's calls that went well. Red below {1 - FAILING:.0%}, where"
            f" `high_error_rate` fires.",
            "Look at the error rate by operation and by model: one of the two usually stands out.",
        ),
        prom(f"1 - {_share(FAILED, CALLS)}", instant=True),
        unit=SHARE,
        decimals=1,
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1 - FAILING)),
    )


def latency_now() -> Any:
    """How long calls take on average now."""
    return stat(
        About(
            "Average latency",
            f"The average duration of the last hour's calls. Red from {SLOW:g} s on, where"
            f" `slow_operations` fires for an"
            " operation.",
            "Compare with p95: where only that is high, a few calls hang; where both are, a model is slow.",
        ),
        prom(q.ratio(q.hourly(q.latency("sum")), q.hourly(q.latency("count"))), instant=True),
        unit=SECONDS,
        decimals=2,
        steps=style.worse_above(SLOW),
    )


def slowest_now() -> Any:
    """How long the slow calls take now."""
    return stat(
        About(
            "p95 latency",
            "Nineteen of twenty calls of the last hour took no longer than this.",
            "p95 by model, below, tells whether it is one provider; route its operations to the fallback meanwhile.",
        ),
        prom(f"histogram_quantile(0.95, {q.hourly(q.latency('bucket'), 'le')})", instant=True),
        unit=SECONDS,
        decimals=1,
    )


def calls_per_hour() -> Any:
    """Traffic now."""
    return stat(
        About(
            "Operations per hour",
            "Calls that ended in the last hour.",
            "Far fewer than usual means that callers fail before they call: Health shows which operation fell silent.",
        ),
        prom(q.hourly(CALLS), instant=True),
        unit=style.PLAIN,
        decimals=0,
    )


def fallback_share() -> Any:
    """How many calls another model had to serve."""
    return stat(
        About(
            "Served by a fallback",
            "The part of the last hour's calls that another model than the route's primary one has served.",
            "A rise means that a primary model refuses or times out: see Models.",
        ),
        prom(_share(q.select(catalog.FALLBACKS), CALLS), instant=True),
        unit=SHARE,
        decimals=1,
    )


def response_times() -> Any:
    """The quantiles of all chosen calls."""
    quantiles = {"p99": 0.99, "p95": 0.95, "p50": 0.5}
    return timeseries(
        About(
            "Response times",
            "Half of the calls, 19 of 20 and 99 of 100 took no longer than p50, p95, p99; and the"
            " average. Quantiles are"
            f" estimated between the histogram's edges. The line is at {SLOW:g} s, where `slow_operations` fires.",
            "Narrow by operation and model in the dropdowns to find whose calls they are.",
        ),
        *(prom(q.quantile(value), name) for name, value in quantiles.items()),
        prom(q.average_latency(), "average"),
        unit=SECONDS,
        steps=style.worse_above(SLOW),
        interval=LATE,
        overrides=[
            colored("p99", style.BAD),
            colored("p95", style.WARN),
            colored("p50", style.GOOD),
            colored("average", style.CALM, lineWidth=2),
        ],
    )


def by_operation_and_model() -> Any:
    """One line for each operation and model."""
    by = "operation, model"
    shown: dict[str, str] = {
        "Calls/h": q.hourly(CALLS, by),
        "Average": q.ratio(q.hourly(q.latency("sum"), by), q.hourly(q.latency("count"), by)),
        "p95": f"histogram_quantile(0.95, {q.hourly(q.latency('bucket'), 'le, operation, model')})",
        "Failed": q.ratio(q.hourly(FAILED, by), q.hourly(CALLS, by)),
        "Per call": q.ratio(q.hourly(q.select(catalog.COST), by), q.hourly(CALLS, by)),
    }
    names = {"operation": "Operation", "model": "Model"}
    names |= {f"Value #{letter}": name for letter, name in zip("ABCDE", shown, strict=True)}
    return table(
        About(
            "The last hour by operation and model",
            "Calls, their average and p95 duration, the part that failed and the cost of one call, for the last hour.",
            "Sort by a column: the worst line is the one to look into. Colours change where the alerts fire.",
        ),
        *(prom(expr, table=True) for expr in shown.values()),
        unit=style.PLAIN,
        transformations=[{"id": "merge", "options": {}}, *joined("", names)[1:]],
        sort="Calls/h",
        columns=[
            column("Calls/h", decimals=0, width=80),
            column("Average", unit=SECONDS, decimals=1, width=86, colored=True, steps=style.worse_above(SLOW)),
            column("p95", unit=SECONDS, decimals=1, width=76),
            column("Failed", unit=SHARE, decimals=1, width=76, colored=True, steps=style.worse_above(FAILING)),
            column("Per call", unit=USD, decimals=5, width=96),
        ],
    )


# --- response times ---


def average_by_operation() -> Any:
    """What the alert looks at."""
    return timeseries(
        About(
            "Average by operation",
            f"The average duration of calls by operation; `slow_operations` fires above the line at {SLOW:g} s.",
            "Follow the runbook of `slow_operations`: model, prompt length, provider's status page, in this order.",
        ),
        prom(q.average_latency("operation"), "{{operation}}"),
        unit=SECONDS,
        steps=style.worse_above(SLOW),
        interval=LATE,
    )


def _p95(by: str) -> Any:
    return timeseries(
        About(
            f"p95 by {by}",
            f"Nineteen of twenty calls took no longer than this, by {by}.",
            "One line that leaves the others is the culprit; all at once points to the network or to ourselves.",
        ),
        prom(q.quantile(0.95, by), f"{{{{{by}}}}}"),
        unit=SECONDS,
        interval=LATE,
    )


def p95_by_operation() -> Any:
    """Slow calls by operation."""
    return _p95("operation")


def p95_by_model() -> Any:
    """Slow calls by model."""
    return _p95("model")


def distribution() -> Any:
    """All durations over time."""
    return heatmap(
        About(
            "Distribution of response times",
            "How many calls took how long, over time: each cell counts the calls between two edges of the histogram.",
            "Two bands are two kinds of calls or two models; a band at a model's timeout is calls that hang.",
        ),
        prom(q.rise(q.latency("bucket"), "le"), "{{le}}", heatmap=True),
        unit=SECONDS,
    )


def over_timeout() -> Any:
    """Calls that hang."""
    return timeseries(
        About(
            "Calls over their model's timeout",
            "Calls in the hour before that took at least their model's timeout or failed with it, by model.",
            "When they are half of a model's calls, `model_unavailable` fires: route its operations to the fallback.",
        ),
        prom(q.hourly(q.select(catalog.OVER_TIMEOUT), "model"), "{{model}}"),
        unit=style.COUNT,
    )


# --- errors ---


def _errors(by: str) -> Any:
    return timeseries(
        About(
            f"Error rate by {by}",
            f"The part of the calls that failed, by {by}; the line is at {FAILING:.0%}, where"
            f" `high_error_rate` fires."
            " With few calls, one failure is a tall spike.",
            "Failures by class tell why; the error log on Health has the messages.",
        ),
        prom(q.failed_share(by), f"{{{{{by}}}}}"),
        unit=SHARE,
        soft={"axisSoftMax": 2 * FAILING},
        steps=style.worse_above(FAILING),
        interval=LATE,
    )


def errors_by_operation() -> Any:
    """What the alert looks at."""
    return _errors("operation")


def errors_by_model() -> Any:
    """Failures by model."""
    return _errors("model")


def failures_by_class() -> Any:
    """Why calls fail."""
    return timeseries(
        About(
            "Failures by class",
            "Failed calls in the hour before, by class of error, as the exporter's patterns tell them apart.",
            "rate_limit: spread or lower the load; auth: renew the key; context_length: shorten prompts; provider and"
            " network: wait, or use the fallback; other: teach `error_classes` the message.",
        ),
        prom(q.hourly(FAILED, "error_class"), "{{error_class}}"),
        unit=style.COUNT,
        stacked=True,
    )


def _success(by: str) -> Any:
    return timeseries(
        About(
            f"Success rate by {by}",
            f"The part of the calls that went well, by {by}; the line is where `high_error_rate` fires.",
            "A drop of one line alone is that operation or model; a drop of all is a key, a network or a release.",
        ),
        prom(f"1 - {q.failed_share(by)}", f"{{{{{by}}}}}"),
        unit=SHARE,
        low=None,
        high=1,
        soft={"axisSoftMin": 1 - 2 * FAILING},
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1 - FAILING)),
        interval=LATE,
    )


def success_by_operation() -> Any:
    """What goes well, by operation."""
    return _success("operation")


def success_by_model() -> Any:
    """What goes well, by model."""
    return _success("model")


# --- models ---


def utilization() -> Any:
    """Which part of the calls each model serves."""
    whole = f"scalar({q.hourly(CALLS)} > 0)"
    return timeseries(
        About(
            "Model utilization",
            "Each model's part of the calls of the hour before.",
            "A part that shifts without a change of routes is a fallback at work: see beside.",
        ),
        prom(f"{q.hourly(CALLS, 'model')} / {whole}", "{{model}}"),
        unit=SHARE,
        high=1,
        stacked=True,
    )


def calls_by_model() -> Any:
    """How many calls each model serves."""
    return timeseries(
        About(
            "Calls per hour by model",
            "Calls that ended in the hour before, by model.",
            "A model that falls to 0 has lost its routes, or refuses: its last success stands on Health.",
        ),
        prom(q.hourly(CALLS, "model"), "{{model}}"),
        unit=style.COUNT,
    )


def fallbacks() -> Any:
    """Which calls another model serves."""
    return timeseries(
        About(
            "Fallbacks per hour",
            "Calls in the hour before that another model than the route's primary one has served, by operation and"
            " model.",
            "Look at the primary model's errors; a fallback that is dearer shows under Cost at once.",
        ),
        prom(f"{q.hourly(q.select(catalog.FALLBACKS), 'operation, model')} > 0", "{{operation}} by {{model}}"),
        unit=style.COUNT,
        table_legend=True,
    )


# --- tokens ---


def tokens_per_hour() -> Any:
    """Tokens in and out."""
    return timeseries(
        About(
            "Tokens per hour",
            "Tokens sent to models and received from them in the hour before.",
            "Input that grows faster than calls means that prompts grow: look at the input of each call beside.",
        ),
        prom(q.hourly(q.select(catalog.INPUT_TOKENS)), "input"),
        prom(q.hourly(q.select(catalog.OUTPUT_TOKENS)), "output"),
        unit=style.COUNT,
    )


def _tokens(metric: catalog.Metric, name: str) -> Any:
    return timeseries(
        About(
            f"{name} tokens per call",
            f"The average {name.lower()} tokens of one call in the hour before, by operation.",
            "A step is a changed prompt or a changed limit of the answer's length: find the release.",
        ),
        prom(q.ratio(q.hourly(q.select(metric), "operation"), q.hourly(CALLS, "operation")), "{{operation}}"),
        unit=style.COUNT,
    )


def input_by_operation() -> Any:
    """How long prompts are."""
    return _tokens(catalog.INPUT_TOKENS, "Input")


def output_by_operation() -> Any:
    """How long answers are."""
    return _tokens(catalog.OUTPUT_TOKENS, "Output")


def tokens_by_hour_of_day() -> Any:
    """When tokens are used."""
    return bar_chart(
        About(
            "Tokens by hour of the day",
            "Tokens of an average day of the last seven, by its hours in the budget's time zone. From the log.",
            "Work that can wait belongs into the quiet hours, where rate limits are far.",
        ),
        sql(log.tokens_by_hour(FILTERS)),
        unit=style.COUNT,
        x="Hour",
        stacked=True,
        back="7d",
    )


def cost_per_operation() -> Any:
    """The price of one call."""
    return timeseries(
        About(
            "Cost per operation",
            "The average cost of one call in the hour before, by operation.",
            "Compare with the tokens of one call: the same tokens at a higher cost is another model or another price.",
        ),
        prom(q.ratio(q.hourly(q.select(catalog.COST), "operation"), q.hourly(CALLS, "operation")), "{{operation}}"),
        unit=USD,
    )


def cost_per_thousand_tokens() -> Any:
    """The price of tokens by model."""
    tokens = " + ".join(q.hourly(q.select(each), "model") for each in (catalog.INPUT_TOKENS, catalog.OUTPUT_TOKENS))
    return timeseries(
        About(
            "Cost per thousand tokens",
            "What a thousand tokens, sent and received, have cost in the hour before, by model.",
            "It should lie between the model's list prices for input and output; elsewhere a price is wrong.",
        ),
        prom(f"1000 * {q.ratio(q.hourly(q.select(catalog.COST), 'model'), f'({tokens})')}", "{{model}}"),
        unit=USD,
    )
