"""What the ledger's slices hold of an hour by series, without adding up again what has not changed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from zoneinfo import ZoneInfo

from exporter.ledger.calendar import MINUTE
from exporter.ledger.hourly import NOTHING, figures_of, hour_end, total
from exporter.ledger.model import HourFigures, Series, Slice

_KEPT = 2
"""Hours that are judged at a time: the present one and the one before it."""


@dataclass(frozen=True)
class _Hour:
    """The slices of an hour at the last look, and the sums of the first `settled`: those that were the same before."""

    slices: list[Slice] = field(default_factory=list)
    settled: int = 0
    sums: dict[Series, HourFigures] = field(default_factory=dict)


class HourSums:
    """Sums of the slices of an hour. For one thread.

    Only the newest minutes change from one look to the next. What lies before the first change is added up once.
    """

    def __init__(self) -> None:
        self._hours: dict[int, _Hour] = {}

    def of_hour(self, slices: Mapping[int, Slice], start: int, zone: ZoneInfo) -> Mapping[Series, HourFigures]:
        """What slices, merged or not, hold of the hour that begins at `start`, in seconds since the epoch."""
        found = [slices[minute] for minute in range(start, hour_end(start, zone), MINUTE) if minute in slices]
        last = self._hours.pop(start, _Hour())
        # a slice never changes: another one takes its place
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(last.slices, found, strict=False)))
        settled, sums = (last.settled, last.sums) if last.settled <= same else (0, {})
        sums = _added(sums, found[settled:same])
        self._hours[start] = _Hour(found, same, sums)
        for old in list(self._hours)[:-_KEPT]:
            del self._hours[old]
        return _added(sums, found[same:])


def _added(sums: Mapping[Series, HourFigures], slices: Iterable[Slice]) -> dict[Series, HourFigures]:
    added = dict(sums)
    for each in slices:
        for series, cell in each.cells.items():
            added[series] = total([added.get(series, NOTHING), figures_of(cell.current)])
    return added
