"""What is judged of an hour: sums, and what they say of a call."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from exporter.catalog import SECOND, USD
from exporter.ledger.model import HourFigures


@dataclass(frozen=True)
class Measure:
    """A figure of an hour: a sum, or a sum for each of some calls.

    `of` and `per` take it from what is known of the hour, in dollars and seconds; `per` is None for a sum. `is_count`
    says that what is summed are calls, and not something of which one call has more than another.
    """

    name: str
    of: Callable[[HourFigures], float]
    per: Callable[[HourFigures], float] | None = None
    is_count: bool = False

    def value(self, figures: HourFigures) -> float | None:
        """The figure; None where it is one per call, and calls are too few."""
        if self.per is None:
            return self.of(figures)
        calls = self.per(figures)
        return self.of(figures) / calls if calls >= FEWEST_CALLS else None

    def chance_of_sum(self, usual: float, each: float) -> float:
        """The standard deviation of a sum that is usually `usual`, `each` for a call, by chance alone.

        As if one call more were usual: a sum that is usually 0 has calls now and then.
        """
        number = 1 + (usual / each if each else 0.0)
        return each * sqrt(number * (1 + (0 if self.is_count else SPREAD**2)))

    def chance_per_call(self, usual: float, calls: float) -> float:
        """The standard deviation of a figure of so many calls that is usually `usual`, by chance alone."""
        if not self.is_count:
            return usual * SPREAD / sqrt(calls)
        # as if one call more had been counted: a share of 0 is not known to be 0
        share = min(0.5, (usual * calls + 1) / (calls + 1))
        return sqrt(share * (1 - share) / calls)


FEWEST_CALLS = 20
"""With fewer calls in an hour, figures per call are not judged, as with other quantities per call."""

SPREAD = 1.2
"""The standard deviation that is assumed for the cost, tokens and duration of calls, as a share of the mean."""

SPEND = Measure("spend", lambda hour: _spent(hour))
CALLS = Measure("calls", lambda hour: hour.calls, is_count=True)
LATENCY = Measure("latency", lambda hour: hour.latency / SECOND, lambda hour: hour.timed)
ERROR_RATE = Measure("error_rate", lambda hour: hour.failed, lambda hour: hour.calls, is_count=True)
COST_PER_CALL = Measure("cost_per_call", lambda hour: _spent(hour), lambda hour: hour.calls)
TOKENS_PER_CALL = Measure("tokens_per_call", lambda hour: tokens(hour), lambda hour: hour.calls)

MEASURES = (SPEND, CALLS, LATENCY, ERROR_RATE, COST_PER_CALL, TOKENS_PER_CALL)


def _spent(hour: HourFigures) -> float:
    """Dollars spent in an hour; 0 where more was refunded."""
    return max(0, hour.cost) / USD


def tokens(hour: HourFigures) -> int:
    """All tokens of an hour."""
    return hour.input_tokens + hour.output_tokens
