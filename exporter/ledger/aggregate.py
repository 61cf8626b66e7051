"""The figures kept per slice and series: one flat vector of integers.

Money is held in units of 1e-12 USD and latency in microseconds, so that sums are exact and their order cannot matter.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import IntEnum

USD = 10**12
"""Money units in one dollar."""

SECOND = 10**6
"""Latency units in one second."""

ERROR_CLASSES = (
    "timeout",
    "rate_limit",
    "auth",
    "context_length",
    "content_filter",
    "provider",
    "network",
    "other",
)

LATENCY_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Upper edges of the latency buckets in seconds; a last bucket without an edge follows."""

Aggregate = tuple[int, ...]
"""`WIDTH` integers, addressed by `Field` and the slices below."""


class Field(IntEnum):
    """Positions of the single figures in an aggregate."""

    ROWS = 0
    CALLS = 1
    COST = 2
    INPUT_TOKENS = 3
    OUTPUT_TOKENS = 4
    OVER_TIMEOUT = 5
    FALLBACKS = 6
    UNPRICED = 7


FAILURES = slice(len(Field), len(Field) + len(ERROR_CLASSES))
LATENCY_COUNTS = slice(FAILURES.stop, FAILURES.stop + len(LATENCY_EDGES) + 1)
LATENCY_SUMS = slice(LATENCY_COUNTS.stop, LATENCY_COUNTS.stop + len(LATENCY_EDGES) + 1)
WIDTH = LATENCY_SUMS.stop

ZERO: Aggregate = (0,) * WIDTH


def add(left: Aggregate, right: Aggregate) -> Aggregate:
    """Sum of two aggregates, figure by figure."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


def subtract(left: Aggregate, right: Aggregate) -> Aggregate:
    """Difference of two aggregates, figure by figure."""
    return tuple(a - b for a, b in zip(left, right, strict=True))


def highest(left: Aggregate, right: Aggregate) -> Aggregate:
    """The higher of each figure."""
    return tuple(map(max, left, right))


def total(aggregates: Iterable[Aggregate]) -> Aggregate:
    """Sum of any number of aggregates."""
    result = ZERO
    for aggregate in aggregates:
        result = add(result, aggregate)
    return result


def with_figure(aggregate: Aggregate, field: Field, value: int) -> Aggregate:
    """The aggregate with one figure replaced."""
    return (*aggregate[:field], value, *aggregate[field + 1 :])


def money_units(usd: Decimal) -> int:
    """Money units of an amount in dollars; digits beyond the twelfth are rounded half to even."""
    return int((usd * USD).to_integral_value())


def usd(units: int) -> float:
    """Dollars as the nearest float: rounding keeps order, so a counter printed this way cannot fall."""
    return units / USD
