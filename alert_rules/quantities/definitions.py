"""The quantities that a condition can name. A new one is one entry here."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from alert_rules.model.conventions import WIDE_WINDOW
from alert_rules.model.dimensions import Dimension
from alert_rules.model.quantities import Aside, Contributors, Quantity, QuantityParams, RecordedSeries, Split
from alert_rules.quantities import contributors
from alert_rules.quantities.contributors import first_beside
from alert_rules.quantities.ratios import hourly, quantile, ratio
from alert_rules.quantities.recordings import (
    BUDGET,
    BUDGETS_ARE_READ,
    GROUP_LIMITS_ARE_SHOWN,
    forecast,
    gauge,
    limit,
    period_share,
    projection,
    seconds_left,
    share,
    spend,
)
from exporter import catalog

TOTAL: Split = ()
USER: Split = ("user",)
GROUP: Split = ("group",)
OPERATION: Split = ("operation",)
MODEL: Split = ("model",)
BOTH: Split = ("operation", "model")


_RATIO_FOR, _RATIO_KEEP = 60, 300
_CALM_KEEP = 600
"""Seconds that an alert on calls of a window fires on after it stops holding: few calls flicker about a threshold."""


_ContributorsOf = Callable[[QuantityParams, RecordedSeries], Contributors | None]


def _spending(metric: catalog.Metric, window: str) -> _ContributorsOf:
    return lambda params, _: None if params.by in (USER, GROUP) else contributors.money(metric, params.by, window)


def _counts(counted: str, *causes: str) -> _ContributorsOf:
    def of(params: QuantityParams, series: RecordedSeries) -> Contributors | None:
        cause = first_beside(params.by, *causes)
        window = params.window if series.window else WIDE_WINDOW
        return contributors.counts(series, params.by, window, cause, counted, catalog.OPERATIONS.name)

    return of


def _means(counted: str, calls: str, dimension: Dimension) -> _ContributorsOf:
    def of(params: QuantityParams, series: RecordedSeries) -> Contributors | None:
        cause = first_beside(params.by, "model", "operation")
        return contributors.means(series, params.by, params.window, cause, counted, calls, dimension)

    return of


_LATENCY_SUM = f"{catalog.LATENCY.name}_sum"
_LATENCY_COUNT = f"{catalog.LATENCY.name}_count"


_SPEND_TODAY: Mapping[Split, catalog.Metric] = {
    USER: catalog.USER_SPEND_TODAY,
    GROUP: catalog.GROUP_SPEND_TODAY,
}


def daily_spend(by: Split) -> RecordedSeries:
    """Today's spend; that of users and of groups comes from gauges of their own."""
    return spend(_SPEND_TODAY.get(by, catalog.SPEND_TODAY).name, by, "day")


def projected_spend(by: Split) -> RecordedSeries:
    """Today's spend at the end of the day. There are forecasts of the team and of users."""
    if by == USER:
        return projection(catalog.USER_SPEND_TODAY.name, by, catalog.USER_SPEND_FORECAST.name)
    return projection(_SPEND_TODAY.get(by, catalog.SPEND_TODAY).name, by, "" if by else _expected("day"))


def _expected(window: str) -> str:
    return f'{catalog.SPEND_FORECAST.name}{{window="{window}",bound="expected"}}'


def _limit_reached(by: Split) -> str:
    return catalog.USER_LIMIT_REACHED.name if by == USER else f'{catalog.LIMIT_REACHED.name}{{window="day"}}'


def daily_limit(by: Split) -> RecordedSeries:
    """The team's daily limit, or each user's, or each group's."""
    if by == USER:
        return limit(catalog.USER_DAILY_LIMIT.name, by, BUDGETS_ARE_READ)
    if by == GROUP:
        return limit(catalog.GROUP_DAILY_LIMIT.name, by, GROUP_LIMITS_ARE_SHOWN)
    return limit(catalog.DAILY_LIMIT.name, by)


def budget_utilization(by: Split) -> RecordedSeries:
    """What part of the daily limit is spent, of the team, of each user or of each group."""
    return share(daily_spend(by), daily_limit(by), "ai_budget_utilization")


MODEL_TIMEOUTS = limit(catalog.MODEL_TIMEOUT.name, MODEL)
"""The timeout of each model."""

_of_money_spent = partial(
    Quantity, dashboard="ai-cost", is_spend=True, contributors=_spending(catalog.SPEND_TODAY, "day")
)
_per_call = partial(
    Quantity,
    splits=(OPERATION, MODEL, BOTH, TOTAL),
    dashboard="ai-performance",
    # One failure of twenty is 5 %, and not above it: of fewer calls, one failure would be an alert.
    min_operations=20,
    for_=_RATIO_FOR,
    keep_firing_for=_CALM_KEEP,
)


_mean_latency = _means(_LATENCY_SUM, _LATENCY_COUNT, Dimension.DURATION)
_LAST_EDGE = Decimal(str(catalog.LATENCY.edges[-1]))
_WHY_LAST_EDGE = "a quantile is never above the histogram's last edge"


def _latency_quantile(q: float) -> Callable[[QuantityParams], RecordedSeries]:
    record = f"ai_operation_latency_seconds:p{100 * q:.0f}_"
    return lambda params: quantile(q, f"{catalog.LATENCY.name}_bucket", _LATENCY_COUNT, params, record)


def _of_odd_spend(by: Split) -> tuple[Aside, ...]:
    """What an operation usually spends, since when it is more, and on which model."""
    if by != OPERATION:
        return ()
    usual, start = catalog.SPEND_USUAL.name, catalog.SPEND_ANOMALY_START.name
    factor = catalog.SPEND_ANOMALY_FACTOR.name
    return (
        Aside("Usually this hour costs {value}", f"max({usual}{{$of}})", Dimension.MONEY),
        Aside("It has been odd since {value}", f"min({start}{{$of}})", Dimension.MOMENT),
        Aside("Most of it is on {value}", f"topk(1, max by (model) ({factor}{{$of}}))", label="model"),
    )


def _odd(name: str, subject: str, dimension: Dimension, metric: catalog.Metric, **more: Any) -> Quantity:
    """By how much an operation's present hour is beyond the usual."""
    usual = {"splits": (OPERATION,), "dashboard": "ai-performance"}
    return Quantity(
        name=name,
        subject=subject,
        dimension=dimension,
        series=lambda params: gauge(metric.name, params.by),
        for_=_RATIO_FOR,
        keep_firing_for=_RATIO_KEEP,
        **usual | more,
    )


_ALL = (
    _of_money_spent(
        name="daily_spend",
        subject="Spend today",
        dimension=Dimension.MONEY,
        splits=(TOTAL, USER, GROUP, OPERATION, MODEL),
        series=lambda params: daily_spend(params.by),
        limits=("daily_limit",),
    ),
    _of_money_spent(
        name="monthly_spend",
        subject="Spend this month",
        dimension=Dimension.MONEY,
        splits=(TOTAL, OPERATION, MODEL),
        series=lambda params: spend(catalog.SPEND_MONTH.name, params.by, "month"),
        contributors=_spending(catalog.SPEND_MONTH, "month"),
        limits=("monthly_limit",),
    ),
    _of_money_spent(
        name="projected_daily_spend",
        subject="Projected spend of today",
        dimension=Dimension.MONEY,
        splits=(TOTAL, USER, GROUP, OPERATION, MODEL),
        series=lambda params: projected_spend(params.by),
        limits=("daily_limit",),
    ),
    _of_money_spent(
        name="projected_monthly_spend",
        subject="Projected spend of this month",
        dimension=Dimension.MONEY,
        splits=(TOTAL,),
        series=lambda params: forecast(_expected("month"), params.by, "month"),
        contributors=_spending(catalog.SPEND_MONTH, "month"),
        limits=("monthly_limit",),
    ),
    _of_money_spent(
        name="hours_to_limit",
        subject="Time until the daily limit is reached",
        dimension=Dimension.DURATION,
        splits=(TOTAL, USER),
        series=lambda params: seconds_left(_limit_reached(params.by), params.by, "day"),
    ),
    _of_money_spent(
        name="budget_utilization",
        subject="Share of the daily limit spent",
        dimension=Dimension.RATIO,
        splits=(TOTAL, USER, GROUP),
        series=lambda params: budget_utilization(params.by),
    ),
    Quantity(
        name="period_utilization",
        subject="Share of the limit spent",
        dimension=Dimension.RATIO,
        splits=(BUDGET,),
        series=lambda _: period_share(catalog.PERIOD_LIMIT.name, "ai_budget_period_utilization"),
        dashboard="ai-cost",
        keep_firing_for=_RATIO_KEEP,
    ),
    Quantity(
        name="soft_limit_utilization",
        subject="Share of the soft limit spent",
        dimension=Dimension.RATIO,
        splits=(BUDGET,),
        series=lambda _: period_share(catalog.PERIOD_SOFT_LIMIT.name, "ai_budget_soft_limit_utilization"),
        dashboard="ai-cost",
        keep_firing_for=_RATIO_KEEP,
    ),
    Quantity(
        name="daily_limit",
        subject="Daily limit",
        dimension=Dimension.MONEY,
        splits=(TOTAL, USER, GROUP),
        series=lambda params: daily_limit(params.by),
        dashboard="ai-cost",
    ),
    Quantity(
        name="monthly_limit",
        subject="Monthly limit",
        dimension=Dimension.MONEY,
        splits=(TOTAL,),
        series=lambda params: limit(catalog.MONTHLY_LIMIT.name, params.by),
        dashboard="ai-cost",
    ),
    _per_call(
        name="error_rate",
        subject="Error rate",
        dimension=Dimension.RATIO,
        series=lambda params: ratio(
            catalog.FAILURES.name,
            catalog.OPERATIONS.name,
            params,
            "ai_operation_failures_per_operation:ratio",
            share=True,
            all_failed=True,
        ),
        contributors=_counts(catalog.FAILURES.name, "error_class"),
        highest=Decimal(1),
        why_highest="all calls failing is 100%",
    ),
    _per_call(
        name="avg_latency",
        subject="Average latency",
        dimension=Dimension.DURATION,
        series=lambda params: ratio(_LATENCY_SUM, _LATENCY_COUNT, params, "ai_operation_latency_seconds:mean"),
        contributors=_mean_latency,
        limits=("timeout",),
    ),
    _per_call(
        name="p95_latency",
        subject="95th percentile of latency",
        dimension=Dimension.DURATION,
        series=_latency_quantile(0.95),
        contributors=_mean_latency,
        highest=_LAST_EDGE,
        why_highest=_WHY_LAST_EDGE,
    ),
    Quantity(
        name="model_response_time",
        subject="Median response time",
        dimension=Dimension.DURATION,
        splits=(MODEL,),
        series=_latency_quantile(0.5),
        dashboard="ai-performance",
        contributors=_mean_latency,
        limits=("timeout",),
        highest=_LAST_EDGE,
        why_highest=_WHY_LAST_EDGE,
        min_operations=3,
        for_=_RATIO_FOR,
        keep_firing_for=_RATIO_KEEP,
    ),
    Quantity(
        name="timeout",
        subject="Timeout",
        dimension=Dimension.DURATION,
        splits=(MODEL,),
        series=lambda _: MODEL_TIMEOUTS,
        dashboard="ai-performance",
    ),
    _per_call(
        name="cost_per_operation",
        subject="Cost per operation",
        dimension=Dimension.MONEY,
        series=lambda params: ratio(
            catalog.COST.name, catalog.OPERATIONS.name, params, "ai_operation_cost_usd_per_operation:ratio"
        ),
        contributors=_means(catalog.COST.name, catalog.OPERATIONS.name, Dimension.MONEY),
    ),
    Quantity(
        name="operations_per_hour",
        subject="Operations in the last hour",
        dimension=Dimension.COUNT,
        splits=(TOTAL, OPERATION, MODEL, BOTH),
        series=lambda params: hourly(catalog.OPERATIONS.name, params.by),
        dashboard="ai-cost",
        contributors=_counts(catalog.OPERATIONS.name, "operation", "model"),
        for_=_RATIO_FOR,
        keep_firing_for=_RATIO_KEEP,
    ),
    Quantity(
        name="queue_depth",
        subject="Operations in progress",
        dimension=Dimension.COUNT,
        splits=(TOTAL, ("status",)),
        series=lambda params: gauge(catalog.IN_PROGRESS.name, params.by),
        dashboard="ai-health",
        contributors=lambda params, _: contributors.present(catalog.IN_PROGRESS, params.by),
        for_=300,
        keep_firing_for=_RATIO_KEEP,
    ),
    _odd(
        "spend_anomaly",
        "Spend beyond the usual",
        Dimension.MONEY,
        catalog.SPEND_ANOMALY,
        splits=(OPERATION, TOTAL),
        dashboard="ai-cost",
        contributors=lambda params, _: contributors.odd_spend(params.by),
        asides=_of_odd_spend,
    ),
    _odd(
        "calls_anomaly",
        "Calls beyond the usual",
        Dimension.COUNT,
        catalog.CALLS_ANOMALY,
        splits=(OPERATION, TOTAL),
        dashboard="ai-cost",
    ),
    _odd("latency_anomaly", "Average latency beyond the usual", Dimension.DURATION, catalog.LATENCY_ANOMALY),
    _odd(
        "error_rate_anomaly",
        "Error rate beyond the usual",
        Dimension.RATIO,
        catalog.ERROR_RATE_ANOMALY,
        highest=Decimal(1),
        why_highest="all calls failing is 100%",
    ),
    _odd("cost_per_call_anomaly", "Cost per call beyond the usual", Dimension.MONEY, catalog.COST_PER_CALL_ANOMALY),
    _odd(
        "tokens_per_call_anomaly", "Tokens per call beyond the usual", Dimension.COUNT, catalog.TOKENS_PER_CALL_ANOMALY
    ),
)

QUANTITIES: Mapping[str, Quantity] = {quantity.name: quantity for quantity in _ALL}
"""All of them by name."""
