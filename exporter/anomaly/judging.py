"""Compare the present hour of an operation, and the one before it, with what these hours usually are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.anomaly.baseline import HOUR, Baseline
from exporter.anomaly.measures import NOTHING, Measure, Sums

LONGEST = 48
"""Hours that the beginning of what is odd is looked for."""

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


def judge(measure: Measure, present: int, hours: Mapping[int, Sums], baseline_of: BaselineOf) -> Verdict | None:
    """The verdict on the hour that has begun at `present`, or on the whole one before it where that is odder.

    `hours` are the present hour as far as it has come, and those before. A sum of a part of an hour is compared with
    those of whole hours: it is odd as soon as it is more than they may be. None where nothing can be said.
    """
    verdicts = (_of_hour(measure, hour, hours, baseline_of) for hour in (present, present - HOUR))
    return max(filter(None, verdicts), key=lambda verdict: (verdict.excess, verdict.hour), default=None)


def since(measure: Measure, verdict: Verdict, hours: Mapping[int, Sums], baseline_of: BaselineOf) -> int:
    """The start of the first of the odd hours in a row that end with the one judged."""
    begun = verdict.hour
    for _ in range(LONGEST):
        before = _of_hour(measure, begun - HOUR, hours, baseline_of)
        if before is None or not before.excess:
            break
        begun = before.hour
    return begun


def _of_hour(measure: Measure, hour: int, hours: Mapping[int, Sums], baseline_of: BaselineOf) -> Verdict | None:
    sums = hours.get(hour, NOTHING)
    value = measure.value(sums)
    known = None if value is None else baseline_of(measure, hour)
    if value is None or known is None:
        return None
    is_odd = value > known.at_most(sums.calls)
    return Verdict(hour, value, known.usual, value - known.usual if is_odd else 0.0)
