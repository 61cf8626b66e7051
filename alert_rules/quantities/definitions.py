"""The quantities that a condition can name: one entry each, and nothing else to change for a new one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from alert_rules.model.conventions import WIDE_WINDOW
from alert_rules.model.dimensions import Dimension
from alert_rules.quantities import contributors
from alert_rules.quantities.contributors import Contributors, first_beside
from alert_rules.quantities.ratios import hourly, quantile, ratio
from alert_rules.quantities.recordings import BUDGETS_ARE_READ, Figure, gauge, limit, projection, share, spend
from exporter import catalog

Split = tuple[str, ...]

TOTAL: Split = ()
USER: Split = ("user",)
OPERATION: Split = ("operation",)
MODEL: Split = ("model",)
BOTH: Split = ("operation", "model")


@dataclass(frozen=True)
class Ask:
    """What an alert wants of a quantity: the labels to split by, the window in seconds, the fewest calls."""

    by: Split
    window: int
    min_operations: int


@dataclass(frozen=True)
class Quantity:
    """A name that a condition can use.

    `splits` are the labels it can be split by, the default first. `lowest` and `highest` are the values that it can
    have at all. `limits` are the quantities it may be compared with, besides an amount. `min_operations` is the default
    of the setting; None where it does not apply, nor `window`. `contributors` makes what a figure's causes are.
    """

    name: str
    subject: str
    dimension: Dimension
    splits: tuple[Split, ...]
    figure: Callable[[Ask], Figure]
    dashboard: str
    contributors: Callable[[Ask, Figure], Contributors | None] | None = None
    limits: tuple[str, ...] = ()
    lowest: Decimal | None = Decimal(0)
    highest: Decimal | None = None
    why_highest: str = ""
    min_operations: int | None = None
    for_: int = 0
    keep_firing_for: int = 0

    @property
    def is_spend(self) -> bool:
        """Whether the figure starts again at the end of a day or month."""
        return self.name in _SPEND


_SPEND = ("daily_spend", "monthly_spend", "projected_daily_spend", "budget_utilization")

_RATIO_FOR, _RATIO_KEEP = 60, 300
_CALM_KEEP = 600
"""Seconds that an alert on calls of a window fires on after it stops holding: few calls flicker about a threshold."""


def _spending(metric: catalog.Metric, window: str) -> Callable[[Ask, Figure], Contributors | None]:
    return lambda ask, _: None if ask.by == USER else contributors.money(metric, ask.by, window)


def _counts(counted: str, *causes: str) -> Callable[[Ask, Figure], Contributors | None]:
    def of(ask: Ask, figure: Figure) -> Contributors | None:
        cause = first_beside(ask.by, *causes)
        window = ask.window if figure.window else WIDE_WINDOW
        return contributors.counts(figure, ask.by, window, cause, counted, catalog.OPERATIONS.name)

    return of


def _means(counted: str, calls: str, dimension: Dimension) -> Callable[[Ask, Figure], Contributors | None]:
    def of(ask: Ask, figure: Figure) -> Contributors | None:
        cause = first_beside(ask.by, "model", "operation")
        return contributors.means(figure, ask.by, ask.window, cause, counted, calls, dimension)

    return of


_LATENCY_SUM = f"{catalog.LATENCY.name}_sum"
_LATENCY_COUNT = f"{catalog.LATENCY.name}_count"
_LATENCY_BUCKET = f"{catalog.LATENCY.name}_bucket"


def daily_spend(by: Split) -> Figure:
    """Today's spend; that of users comes from a gauge of its own."""
    metric = catalog.USER_SPEND_TODAY if by == USER else catalog.SPEND_TODAY
    return spend(metric.name, by, "day")


def daily_limit(by: Split) -> Figure:
    """The team's daily limit, or each user's."""
    if by == USER:
        return limit(catalog.USER_DAILY_LIMIT.name, by, BUDGETS_ARE_READ)
    return limit(catalog.DAILY_LIMIT.name, by)


def budget_utilization(by: Split) -> Figure:
    """What part of the daily limit is spent, of the team or of each user."""
    return share(daily_spend(by), daily_limit(by), "ai_budget_utilization")


MODEL_TIMEOUTS = limit(catalog.MODEL_TIMEOUT.name, MODEL)
"""The timeout of each model."""

_ALL = (
    Quantity(
        "daily_spend",
        "Spend today",
        Dimension.MONEY,
        (TOTAL, USER, OPERATION, MODEL),
        lambda ask: daily_spend(ask.by),
        "ai-cost",
        _spending(catalog.SPEND_TODAY, "day"),
        limits=("daily_limit",),
    ),
    Quantity(
        "monthly_spend",
        "Spend this month",
        Dimension.MONEY,
        (TOTAL, OPERATION, MODEL),
        lambda ask: spend(catalog.SPEND_MONTH.name, ask.by, "month"),
        "ai-cost",
        _spending(catalog.SPEND_MONTH, "month"),
        limits=("monthly_limit",),
    ),
    Quantity(
        "projected_daily_spend",
        "Projected spend of today",
        Dimension.MONEY,
        (TOTAL, OPERATION, MODEL),
        lambda ask: projection(catalog.SPEND_TODAY.name, ask.by),
        "ai-cost",
        _spending(catalog.SPEND_TODAY, "day"),
        limits=("daily_limit",),
    ),
    Quantity(
        "budget_utilization",
        "Share of the daily limit spent",
        Dimension.RATIO,
        (TOTAL, USER),
        lambda ask: budget_utilization(ask.by),
        "ai-cost",
        _spending(catalog.SPEND_TODAY, "day"),
    ),
    Quantity(
        "daily_limit",
        "Daily limit",
        Dimension.MONEY,
        (TOTAL, USER),
        lambda ask: daily_limit(ask.by),
        "ai-cost",
    ),
    Quantity(
        "monthly_limit",
        "Monthly limit",
        Dimension.MONEY,
        (TOTAL,),
        lambda ask: limit(catalog.MONTHLY_LIMIT.name, ask.by),
        "ai-cost",
    ),
    Quantity(
        "error_rate",
        "Error rate",
        Dimension.RATIO,
        (OPERATION, MODEL, BOTH, TOTAL),
        lambda ask: ratio(
            catalog.FAILURES.name,
            catalog.OPERATIONS.name,
            ask.by,
            ask.window,
            ask.min_operations,
            "ai_operation_failures_per_operation:ratio",
            share=True,
            all_failed=True,
        ),
        "ai-performance",
        _counts(catalog.FAILURES.name, "error_class"),
        highest=Decimal(1),
        why_highest="all calls failing is 100%",
        # one failure of twenty is 5 %, and not above it: fewer calls would make one failure an alert
        min_operations=20,
        for_=_RATIO_FOR,
        keep_firing_for=_CALM_KEEP,
    ),
    Quantity(
        "avg_latency",
        "Average latency",
        Dimension.DURATION,
        (OPERATION, MODEL, BOTH, TOTAL),
        lambda ask: ratio(
            _LATENCY_SUM, _LATENCY_COUNT, ask.by, ask.window, ask.min_operations, "ai_operation_latency_seconds:mean"
        ),
        "ai-performance",
        _means(_LATENCY_SUM, _LATENCY_COUNT, Dimension.DURATION),
        limits=("timeout",),
        min_operations=20,
        for_=_RATIO_FOR,
        keep_firing_for=_CALM_KEEP,
    ),
    Quantity(
        "p95_latency",
        "95th percentile of latency",
        Dimension.DURATION,
        (OPERATION, MODEL, BOTH, TOTAL),
        lambda ask: quantile(
            0.95,
            _LATENCY_BUCKET,
            _LATENCY_COUNT,
            ask.by,
            ask.window,
            ask.min_operations,
            "ai_operation_latency_seconds:p95_",
        ),
        "ai-performance",
        _means(_LATENCY_SUM, _LATENCY_COUNT, Dimension.DURATION),
        highest=Decimal(str(catalog.LATENCY.edges[-1])),
        why_highest="a quantile is never above the histogram's last edge",
        min_operations=20,
        for_=_RATIO_FOR,
        keep_firing_for=_CALM_KEEP,
    ),
    Quantity(
        "model_response_time",
        "Median response time",
        Dimension.DURATION,
        (MODEL,),
        lambda ask: quantile(
            0.5,
            _LATENCY_BUCKET,
            _LATENCY_COUNT,
            ask.by,
            ask.window,
            ask.min_operations,
            "ai_operation_latency_seconds:p50_",
        ),
        "ai-performance",
        _means(_LATENCY_SUM, _LATENCY_COUNT, Dimension.DURATION),
        limits=("timeout",),
        highest=Decimal(str(catalog.LATENCY.edges[-1])),
        why_highest="a quantile is never above the histogram's last edge",
        min_operations=3,
        for_=_RATIO_FOR,
        keep_firing_for=_RATIO_KEEP,
    ),
    Quantity(
        "timeout",
        "Timeout",
        Dimension.DURATION,
        (MODEL,),
        lambda _: MODEL_TIMEOUTS,
        "ai-performance",
    ),
    Quantity(
        "cost_per_operation",
        "Cost per operation",
        Dimension.MONEY,
        (OPERATION, MODEL, BOTH, TOTAL),
        lambda ask: ratio(
            catalog.COST.name,
            catalog.OPERATIONS.name,
            ask.by,
            ask.window,
            ask.min_operations,
            "ai_operation_cost_usd_per_operation:ratio",
        ),
        "ai-performance",
        _means(catalog.COST.name, catalog.OPERATIONS.name, Dimension.MONEY),
        min_operations=20,
        for_=_RATIO_FOR,
        keep_firing_for=_CALM_KEEP,
    ),
    Quantity(
        "operations_per_hour",
        "Operations in the last hour",
        Dimension.COUNT,
        (TOTAL, OPERATION, MODEL, BOTH),
        lambda ask: hourly(catalog.OPERATIONS.name, ask.by),
        "ai-cost",
        _counts(catalog.OPERATIONS.name, "operation", "model"),
        for_=_RATIO_FOR,
        keep_firing_for=_RATIO_KEEP,
    ),
    Quantity(
        "queue_depth",
        "Operations in progress",
        Dimension.COUNT,
        (TOTAL, ("status",)),
        lambda ask: gauge(catalog.IN_PROGRESS.name, ask.by),
        "ai-health",
        lambda ask, _: contributors.present(catalog.IN_PROGRESS, ask.by),
        for_=300,
        keep_firing_for=_RATIO_KEEP,
    ),
)

QUANTITIES: Mapping[str, Quantity] = {quantity.name: quantity for quantity in _ALL}
"""All of them by name."""

LIMITS = frozenset(limit for quantity in _ALL for limit in quantity.limits)
"""The names of those that others are compared with."""
