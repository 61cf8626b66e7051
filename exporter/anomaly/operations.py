"""What is odd of each operation now: the verdict on each measure, and the cause where it is the spend.

Once an hour, the baselines of the hours to come are made of the history, which is not needed any more then. With these,
what the ledger holds of the present hour is judged as often as one likes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from exporter.anomaly.baseline import DAYS, WEEKS, Baseline, Baselines, OperationHistory, beside, like_hour
from exporter.anomaly.cause import Cause, Usual, cause
from exporter.anomaly.judging import Verdict, judge, verdict
from exporter.anomaly.measures import CALLS, MEASURES, SPEND, Measure
from exporter.ledger.hourly import NOTHING, total
from exporter.ledger.model import Hour, HourFigures, Series

BACK = 24
"""For so many hours back, the beginning of odd spend is looked for."""

AHEAD = 2
"""Baselines are made for so many hours, from the present one on: the history may be an hour old."""

NEWEST = AHEAD + 1
"""The hours that can be the present one or the one before it."""

HourOf = Callable[[int], Mapping[Series, HourFigures]]
"""What an hour holds that begins at this second since the epoch; of the present one, as far as it has come."""


@dataclass(frozen=True)
class OddSpend:
    """An operation that spends oddly much: since the start of which hour, in seconds since the epoch, and why."""

    since: int
    cause: Cause | None


@dataclass(frozen=True)
class Judged:
    """The verdicts on one operation, by the name of the measure; those of which nothing can be said are missing."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    odd_spend: OddSpend | None = None


@dataclass(frozen=True)
class Prepared:
    """The baselines of some hours, by operation, and what each series usually has in them.

    `new` are those of an operation that the history does not have. Operations that are not `watched` are not judged.
    """

    zone: ZoneInfo
    new: Mapping[tuple[str, int], Baseline]
    by_operation: Mapping[str, Mapping[tuple[str, int], Baseline]]
    usual: Mapping[tuple[Series, int], Usual]
    unwatched: Collection[str] = ()

    def judge(self, present: int, hour_of: HourOf) -> dict[str, Judged]:
        """The verdicts on the hour that has begun at `present` and the one before it, by operation."""
        newest = (present, beside(present, -1, self.zone))
        cells = cache(hour_of)
        figures = cache(lambda hour: by_operation(cells(hour)))
        names = {*self.by_operation, *(name for hour in newest for name in figures(hour))}.difference(self.unwatched)
        return {name: self._judged(name, newest, figures, cells) for name in sorted(names)}

    def _judged(
        self,
        operation: str,
        newest: tuple[int, int],
        figures: Callable[[int], Mapping[str, HourFigures]],
        hour_of: HourOf,
    ) -> Judged:
        known = self.by_operation.get(operation, self.new)
        own = {hour: figures(hour).get(operation, NOTHING) for hour in newest}

        def baseline_of(measure: Measure, hour: int) -> Baseline | None:
            return known.get((measure.name, hour))

        found = {measure.name: judge(measure, newest, own, baseline_of) for measure in MEASURES}
        verdicts = {name: each for name, each in found.items() if each is not None}
        spend = verdicts.get(SPEND.name)
        if spend is None or not spend.excess:
            return Judged(verdicts)

        def is_odd(hour: int) -> bool:
            before = verdict(SPEND, hour, figures(hour).get(operation, NOTHING), baseline_of)
            return before is not None and before.excess > 0

        run = takewhile(is_odd, hours_before(spend.hour, BACK, self.zone))
        return Judged(verdicts, OddSpend(min(run, default=spend.hour), self._cause(operation, spend.hour, hour_of)))

    def _cause(self, operation: str, hour: int, hour_of: HourOf) -> Cause | None:
        now = {of.model: figures for of, figures in hour_of(hour).items() if of.operation == operation}
        usual = {model: self.usual.get((Series(operation, model), hour), Usual()) for model in now}
        return cause(now, usual)


def by_operation(cells: Mapping[Series, HourFigures]) -> dict[str, HourFigures]:
    """What each operation had in an hour, of all models together."""
    found: dict[str, HourFigures] = {}
    for series, figures in cells.items():
        before = found.get(series.operation)
        found[series.operation] = figures if before is None else total([before, figures])
    return found


def hours_before(hour: int, number: int, zone: ZoneInfo) -> list[int]:
    """The starts of so many hours before one, the newest first."""
    found = []
    for _ in range(number):
        hour = beside(hour, -1, zone)
        found.append(hour)
    return found


def hours_to_judge(present: int, zone: ZoneInfo) -> list[int]:
    """The hours that baselines are made for, the newest first."""
    newest = present
    for _ in range(AHEAD - 1):
        newest = beside(newest, 1, zone)
    return [newest, *hours_before(newest, BACK + AHEAD, zone)]


class Preparing:
    """Takes what is needed of the history, hour by hour, for some operations; the history itself is not kept."""

    def __init__(self, operations: Collection[str], hours: Sequence[int], zone: ZoneInfo) -> None:
        """For the baselines of these hours, the newest first."""
        self._operations = operations
        self._hours = hours
        self._zone = zone
        days = {*range(1, DAYS + 1), *range(7, 7 * WEEKS + 1, 7)}
        self._like = {like_hour(hour, ago, zone) for hour in hours[:NEWEST] for ago in days}
        self._by_operation: dict[str, dict[int, HourFigures]] = {name: {} for name in operations}
        self._by_series: dict[Series, dict[int, HourFigures]] = {}
        self._typical: dict[Series, HourFigures] = {}

    def take(self, hours: Iterable[Hour]) -> None:
        """Take some hours of the history."""
        for hour in hours:
            for series, figures in hour.cells.items():
                if series.operation in self._operations:
                    self._take(hour.start, series, figures)

    def _take(self, start: int, series: Series, figures: HourFigures) -> None:
        of = self._by_operation[series.operation]
        of[start] = total([of[start], figures]) if start in of else figures
        if start in self._like:
            self._by_series.setdefault(series, {})[start] = figures
        # what may be odd itself is not typical
        if start < self._hours[-1]:
            self._typical[series] = total([self._typical.get(series, NOTHING), figures])

    def baselines(self, began: int, until: int) -> dict[str, dict[tuple[str, int], Baseline]]:
        """The baselines by operation, of a history that is complete from `began` to `until`."""
        return {
            name: baselines(OperationHistory(began, until, hours), self._hours, self._zone)
            for name, hours in self._by_operation.items()
        }

    def usual(self, began: int, until: int) -> dict[tuple[Series, int], Usual]:
        """What each series usually has in each hour."""
        found = {}
        for series, typical in self._typical.items():
            own = Baselines(OperationHistory(began, until, self._by_series.get(series, {})), self._zone)
            for hour in self._hours[:NEWEST]:
                found[series, hour] = Usual(own.usual(SPEND, hour), own.usual(CALLS, hour), typical)
        return found


def baselines(history: OperationHistory, hours: Sequence[int], zone: ZoneInfo) -> dict[tuple[str, int], Baseline]:
    """The baselines of an operation, by the name of the measure and the hour; of spend, for all hours."""
    own = Baselines(history, zone)
    wanted = ((measure, hour) for measure in MEASURES for hour in (hours if measure is SPEND else hours[:NEWEST]))
    return {(m.name, hour): known for m, hour in wanted if (known := own.of(m, hour)) is not None}
