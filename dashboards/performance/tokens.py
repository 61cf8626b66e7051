"""The row of Performance with tokens, and what they cost."""

from dashboards import promql as q
from dashboards import sql
from dashboards.calls import cost_per_call_by_operation
from dashboards.grid import Row, line
from dashboards.panels import Panel, bar_chart, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import COUNT, SHARE, USD
from exporter import catalog

INPUT, OUTPUT, CACHED = (
    q.filtered(tokens) for tokens in (catalog.INPUT_TOKENS, catalog.OUTPUT_TOKENS, catalog.CACHED_TOKENS)
)


def row(_: Settings) -> Row:
    """The row."""
    cost_per_call = cost_per_call_by_operation(
        "Cost of 1,000 calls",
        "Compare it with the tokens per call: the same tokens at a higher cost mean another model or another price.",
    )
    per_call = _tokens_per_call("Input", INPUT), _tokens_per_call("Output", OUTPUT)
    return Row(
        "Tokens, and what they cost",
        (
            line(8, _tokens_per_hour(), *per_call, _cache_hits()),
            line(8, _tokens_by_hour_of_day(), cost_per_call, _cost_per_thousand_tokens(), widths=(10, 7, 7)),
        ),
        collapsed=True,
    )


def _tokens_per_hour() -> Panel:
    return timeseries(
        "Tokens per hour",
        "Tokens sent to models and received from them in the past hour, and of those sent the ones that were cached.",
        "Input that grows faster than the number of calls means longer prompts: see Input tokens per call.",
        prom(q.hourly(INPUT), "input"),
        prom(q.hourly(OUTPUT), "output"),
        prom(q.hourly(CACHED), "cached input"),
        unit=COUNT,
    )


def _cache_hits() -> Panel:
    return timeseries(
        "Cache hits",
        "The share of the input tokens of the past hour that the model had cached, by model; 0 where the log does not"
        " tell. Above 100% where the log has cached tokens on top of the input.",
        "A share that falls makes calls dearer: look for a change at the beginning of a prompt, which is what is"
        " cached.",
        prom(q.hourly_ratio(CACHED, INPUT, "model"), "{{model}}"),
        unit=SHARE,
    )


def _tokens_per_call(name: str, tokens: str) -> Panel:
    return timeseries(
        f"{name} tokens per call",
        f"The average number of {name.lower()} tokens of a call in the past hour, by operation, of the ten"
        " with most calls.",
        "A step means a changed prompt or a changed maximum length of answers: find the release.",
        prom(q.of_busiest(q.hourly_ratio(tokens, q.CALLS, "operation"), "operation"), "{{operation}}"),
        unit=COUNT,
    )


def _tokens_by_hour_of_day() -> Panel:
    return bar_chart(
        "Tokens by hour of the day",
        "Tokens in each hour of an average day of the last seven, in the budget's time zone. From the log.",
        "Move work that can wait to the quiet hours, far from the rate limits.",
        sql.tokens_by_hour(("operation", "model")),
        unit=COUNT,
        x="Hour",
        columns=("Input", "Output"),
        stacked=True,
        back="7d",
        empty=sql.NOT_IN_LOG,
    )


def _cost_per_thousand_tokens() -> Panel:
    tokens = " + ".join(q.hourly(each, "model") for each in (INPUT, OUTPUT))
    return timeseries(
        "Cost per thousand tokens",
        "The cost of a thousand tokens, sent and received, in the past hour, by model.",
        "It lies between the model's list prices for input and output. If not, the application has a wrong price.",
        prom(f"1000 * {q.ratio(q.hourly(q.COST, 'model'), f'({tokens})')}", "{{model}}"),
        unit=USD,
    )
