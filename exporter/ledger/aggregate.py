"""The figures kept per slice and series: one flat vector of integers.

Money is held in units of 1e-12 USD and durations in microseconds, so that sums are exact and their order cannot matter.
"""

import operator
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, TypeVar

from exporter.catalog import ERROR_CLASSES, USD
from exporter.figures import DURATIONS, Figure

K = TypeVar("K")

Aggregate = tuple[int, ...]
"""`WIDTH` integers, addressed by `Figure` and the slices below."""


FAILURES = slice(len(Figure), len(Figure) + len(ERROR_CLASSES))


class Buckets(NamedTuple):
    """Where a histogram is: the calls in each bucket, and the sum of what they took."""

    counts: slice
    sums: slice


def _histograms(start: int) -> Iterator[tuple[str, Buckets]]:
    for role, metric in DURATIONS.items():
        middle = start + len(metric.edges) + 1
        end = middle + len(metric.edges) + 1
        yield role, Buckets(slice(start, middle), slice(middle, end))
        start = end


HISTOGRAMS: Mapping[str, Buckets] = dict(_histograms(FAILURES.stop))
"""The histograms of `DURATIONS`."""

LATENCY_COUNTS, LATENCY_SUMS = HISTOGRAMS["latency"]
WIDTH = max(buckets.sums.stop for buckets in HISTOGRAMS.values())

ZERO: Aggregate = (0,) * WIDTH


def add(left: Aggregate, right: Aggregate) -> Aggregate:
    """Sum of two aggregates, figure by figure."""
    return tuple(map(operator.add, left, right))


def subtract(left: Aggregate, right: Aggregate) -> Aggregate:
    """Difference of two aggregates, figure by figure."""
    return tuple(map(operator.sub, left, right))


def highest(left: Aggregate, right: Aggregate) -> Aggregate:
    """The higher of each figure."""
    return tuple(map(max, left, right))


def lowest(left: Aggregate, right: Aggregate) -> Aggregate:
    """The lower of each figure."""
    return tuple(map(min, left, right))


def total(aggregates: Iterable[Aggregate]) -> Aggregate:
    """Sum of any number of aggregates."""
    return tuple(map(sum, zip(ZERO, *aggregates, strict=True)))


def sum_counts(*parts: Mapping[K, int]) -> dict[K, int]:
    """Sum mappings of counts key by key."""
    result: dict[K, int] = {}
    for part in parts:
        for key, count in part.items():
            result[key] = result.get(key, 0) + count
    return result


# a flat tuple, and not a dictionary: there is one for each series in each minute, and it is added up most of all
def with_figure(aggregate: Aggregate, field: Figure, value: int) -> Aggregate:
    """The aggregate with one figure replaced."""
    return (*aggregate[:field], value, *aggregate[field + 1 :])


def net(aggregate: Aggregate) -> int:
    """Money units that were spent: the cost, less what was refunded."""
    return aggregate[Figure.COST] - aggregate[Figure.REFUNDS]


def units_of(figure: Figure, value: Decimal | int) -> int:
    """Ledger units of a sum of values in the column's unit; what lies beyond the decimals is dropped."""
    return round(value * figure.scale) if figure.decimals else int(value)


def money_units(usd: Decimal | int) -> int:
    """Money units of an amount in dollars; digits beyond the twelfth are rounded half to even."""
    return round(usd * USD)


def usd(units: int) -> float:
    """Dollars as the nearest float: rounding keeps order, so a counter printed this way cannot fall."""
    return units / USD
