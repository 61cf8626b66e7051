"""The metric families of the log: counters, gauges, anomalies, and rows in progress."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from exporter import catalog
from exporter.anomaly.measures import CALLS, COST_PER_CALL, ERROR_RATE, LATENCY, SPEND, TOKENS_PER_CALL
from exporter.anomaly.operations import Judged
from exporter.catalog import ERROR_CLASSES, SECOND
from exporter.config import UPPER_BOUNDS
from exporter.database.budgets import BUDGET_FIELDS, SEVERAL_BUDGETS
from exporter.database.measures import CURRENCY, INVALID_REASONS
from exporter.database.period_budgets import PERIOD_SKIPS
from exporter.database.rows import IN_PROGRESS
from exporter.figures import DURATIONS, SUMMED, Figure
from exporter.ledger.aggregate import FAILURES, HISTOGRAMS, Aggregate, Buckets
from exporter.ledger.exposed import Gauges
from exporter.ledger.model import Series, SkippedValue
from exporter.scrape.exposure import USD, Exposure, made_of
from exporter.web.families import SINGLE, Family, Part, Shape

_NEEDS: Mapping[Figure, frozenset[str]] = {
    **{figure: frozenset((role,)) for role, figure in SUMMED.items()},
    Figure.REFUNDS: frozenset(("cost",)),
    Figure.OVER_TIMEOUT: frozenset(("latency",)),
    Figure.UNPRICED: frozenset(("cost", "input_tokens", "output_tokens")),
    Figure.EXPECTED_COST: frozenset(("input_tokens", "output_tokens")),
    Figure.CHECKED_COST: frozenset(("cost", "input_tokens", "output_tokens")),
    Figure.CHECKED: frozenset(("input_tokens", "output_tokens")),
}
"""The roles without which a figure says nothing: where the log is said to lack one, it is absent."""

SKIPS = (
    *(SkippedValue(measure, reason) for measure in UPPER_BOUNDS for reason in INVALID_REASONS),
    SkippedValue("cost", CURRENCY),
    SkippedValue("status", "null"),
    SkippedValue("status", "unknown"),
    SkippedValue("time", "null"),
    SkippedValue("time", "infinite"),
    *(SkippedValue(field, reason) for field in BUDGET_FIELDS for reason in INVALID_REASONS),
    SEVERAL_BUDGETS,
    *PERIOD_SKIPS,
)
"""Every field and reason that `ai_rows_skipped_total` can have: all are at 0 from the start."""


def _scaled(scale: int) -> Shape:
    return SINGLE if scale == 1 else Shape([Part()], lambda units: (units / scale,))


_SCALED = {figure: _scaled(figure.scale) for figure in Figure}
"""Each figure in ledger units."""

_FAILURES = Shape([Part(labels=(("error_class", name),)) for name in ERROR_CLASSES], lambda counts: counts)
"""The part of an aggregate that has the failures by class."""


def _histogram(edges: Sequence[float], buckets: Buckets) -> Shape:
    """A histogram in an aggregate: calls up to each edge, all of them, and their seconds."""

    def numbers(cell: Aggregate) -> list[float]:
        below = list(accumulate(cell[buckets.counts]))
        return [*below, below[-1], sum(cell[buckets.sums]) / SECOND]

    bounds = (*map(str, edges), "+Inf")
    return Shape([*(Part("_bucket", (("le", edge),)) for edge in bounds), Part("_count"), Part("_sum")], numbers)


_DURATIONS = {role: _histogram(metric.edges, HISTOGRAMS[role]) for role, metric in DURATIONS.items()}
"""The durations in an aggregate, by role."""


def counters(exposure: Exposure) -> Iterable[Family]:
    """The counters, and how many rows were read."""
    return (*_of_series(exposure), *_of_rows(exposure))


def _series_parts(exposure: Exposure) -> tuple[Any, ...]:
    shown = exposure.ledger.counters
    if shown is None:
        return (None,)
    return shown.series, shown.corrections, exposure.lacking, "time_to_first_token" in exposure.scrape.roles


@made_of(_series_parts)
def _of_series(
    counters: Mapping[Series, Aggregate],
    corrections: Mapping[Series, int],
    lacking: frozenset[str],
    has_first_tokens: bool,
) -> Iterator[Family]:
    for figure in Figure:
        if figure.metric is not None and not _NEEDS.get(figure, frozenset()) & lacking:
            yield Family(figure.metric, {series: cell[figure] for series, cell in counters.items()}, _SCALED[figure])
    # the rest of the aggregate changes with each call, and most calls do not fail
    yield Family(catalog.FAILURES, {series: cell[FAILURES] for series, cell in counters.items()}, _FAILURES)
    if "latency" not in lacking:
        yield Family(catalog.LATENCY, counters, _DURATIONS["latency"])
    # the log has such times, or had them: few logs do, and a histogram is many samples
    first_tokens = HISTOGRAMS["time_to_first_token"].counts
    if has_first_tokens or any(any(cell[first_tokens]) for cell in counters.values()):
        yield Family(catalog.TIME_TO_FIRST_TOKEN, counters, _DURATIONS["time_to_first_token"])
    if "cost" not in lacking:
        yield Family(catalog.COST_CORRECTIONS, {series: corrections.get(series, 0) for series in counters}, USD)


def _rows_parts(exposure: Exposure) -> tuple[Any, ...]:
    shown = exposure.ledger.counters
    if shown is None:
        return (None,)
    return shown.skipped, shown.progress.rows_read, shown.progress.late_rows, shown.progress.rows_overflowed


@made_of(_rows_parts)
def _of_rows(skipped: Mapping[SkippedValue, int], read: int, late: int, overflowed: int) -> Iterator[Family]:
    yield Family(catalog.ROWS_SKIPPED, {skip: skipped.get(skip, 0) for skip in SKIPS})
    yield Family(catalog.ROWS_READ, {(): read})
    yield Family(catalog.LATE_ROWS, {(): late})
    yield Family(catalog.SERIES_FOLDED, {("operation_model",): overflowed})


@made_of(lambda exposure: (exposure.fresh, exposure.lacking))
def log_gauges(gauges: Gauges, lacking: frozenset[str]) -> Iterator[Family]:
    """The spend of the day and the month, and when the newest row, each operation and each model was seen."""
    has_cost = "cost" not in lacking
    if has_cost:
        yield Family(catalog.SPEND_TODAY, gauges.spend_today, USD)
    if has_cost and gauges.spend_month is not None:
        yield Family(catalog.SPEND_MONTH, gauges.spend_month, USD)
    yield Family(catalog.WINDOW_START, {(name,): window.start for name, window in gauges.windows.items()})
    yield Family(catalog.WINDOW_END, {(name,): window.end for name, window in gauges.windows.items()})
    if gauges.newest:
        yield Family(catalog.LOG_NEWEST_ROW, {(): gauges.newest})
    yield Family(catalog.OPERATION_LAST_SEEN, {(name,): at for name, at in sorted(gauges.seen_operations.items())})
    yield Family(catalog.MODEL_LAST_SUCCESS, {(name,): at for name, at in sorted(gauges.succeeded_models.items())})


_ANOMALIES = {
    catalog.SPEND_ANOMALY: SPEND,
    catalog.CALLS_ANOMALY: CALLS,
    catalog.LATENCY_ANOMALY: LATENCY,
    catalog.ERROR_RATE_ANOMALY: ERROR_RATE,
    catalog.COST_PER_CALL_ANOMALY: COST_PER_CALL,
    catalog.TOKENS_PER_CALL_ANOMALY: TOKENS_PER_CALL,
}


@made_of(lambda exposure: (None if exposure.fresh is None else exposure.judged,))
def anomalies(by_operation: Mapping[str, Judged]) -> Iterator[Family]:
    """How far each operation is from what is usual."""
    judged = by_operation.items()
    for metric, measure in _ANOMALIES.items():
        verdicts = ((name, each.verdicts.get(measure.name)) for name, each in judged)
        yield Family(metric, {(name,): verdict.excess for name, verdict in verdicts if verdict is not None})
    spends = ((name, each.verdicts.get(SPEND.name)) for name, each in judged)
    yield Family(catalog.SPEND_USUAL, {(name,): each.usual for name, each in spends if each is not None})
    odd = [(name, each.odd_spend) for name, each in judged if each.odd_spend is not None]
    yield Family(catalog.SPEND_ANOMALY_START, {(name,): spend.since for name, spend in odd})
    causes = ((name, spend.cause) for name, spend in odd if spend.cause is not None)
    factors = {(name, cause.model, factor): times for name, cause in causes for factor, times in cause.factors.items()}
    yield Family(catalog.SPEND_ANOMALY_FACTOR, factors)


def queue(exposure: Exposure) -> Iterator[Family]:
    """The rows in progress."""
    gauges = exposure.fresh
    waiting = None if gauges is None else gauges.in_progress
    if waiting is None or "status" not in exposure.scrape.roles:
        return
    rows = {status: waiting[status].rows if status in waiting else 0 for status in IN_PROGRESS}
    yield Family(catalog.IN_PROGRESS, {(status,): count for status, count in rows.items()})
    yield Family(catalog.OLDEST_IN_PROGRESS, {(status,): found.oldest for status, found in sorted(waiting.items())})
