"""Compare hours of an operation with what these hours usually are."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.anomaly.baseline import Baseline
from exporter.anomaly.measures import Measure
from exporter.ledger.hourly import NOTHING
from exporter.ledger.model import HourFigures

BaselineOf = Callable[[Measure, int], Baseline | None]
"""The baseline of a measure for an hour."""


@dataclass(frozen=True)
class Verdict:
    """A figure of an operation in one hour, given by its start in seconds since the epoch, in the measure's unit.

    `excess` is how far it is above the usual one, and 0 where that is not odd.
    """

    hour: int
    value: float
    usual: float
    excess: float


def judge(
    measure: Measure, hours: Iterable[int], figures: Mapping[int, HourFigures], baseline_of: BaselineOf
) -> Verdict | None:
    """The verdict on the oddest of these hours, the newest one of those alike; None where nothing can be said of any.

    Of the present hour, `figures` are what there is of it so far. That is compared with whole hours: a sum is odd as
    soon as it is more than they may be.
    """
    verdicts = (verdict(measure, hour, figures.get(hour, NOTHING), baseline_of) for hour in hours)
    return max(filter(None, verdicts), key=lambda found: (found.excess, found.hour), default=None)


def verdict(measure: Measure, hour: int, figures: HourFigures, baseline_of: BaselineOf) -> Verdict | None:
    """The verdict on one hour; None where nothing can be said of it."""
    value = measure.value(figures)
    known = None if value is None else baseline_of(measure, hour)
    if value is None or known is None:
        return None
    is_odd = value > known.at_most(figures.calls)
    return Verdict(hour, value, known.usual, value - known.usual if is_odd else 0.0)
