"""Medians, and what they tell of how values scatter."""

from collections.abc import Iterable

MAD = 1.4826
"""Standard deviations in one median absolute deviation, where values are normally distributed."""


def weighted_median(values: Iterable[tuple[float, float]]) -> float | None:
    """The value at which half of the weight is reached, out of (value, weight); None where there is no weight."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    if half <= 0:
        return None
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= half:
            return value
    return ordered[-1][0]
