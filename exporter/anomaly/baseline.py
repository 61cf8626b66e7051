"""What an hour of an operation usually is, and what it may be: by the same hour of the same weekday."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from statistics import median_high
from zoneinfo import ZoneInfo

from exporter.anomaly.measures import Measure
from exporter.ledger.calendar import DAY, HOUR
from exporter.ledger.hourly import NOTHING, hour_end, hour_start, total
from exporter.ledger.model import HourFigures
from exporter.medians import MAD, weighted_median

NEAR = (0, -1, 1)
"""Offsets from the like hours, in hours: those that decide what an hour may be, its own first."""

WEEKS = 8
"""Weeks whose like hours are looked at."""

LEAST_WEEKS = 2
"""Weeks that the history must go back before an hour is judged at all."""

DAYS = 7
"""The last days, which tell how much more there is of late than in the weeks before."""

LASTING = 3
"""On so many of these days there must be more before that is usual."""

DEVIATIONS = 3.0
"""How many robust standard deviations an hour may be above the usual."""

LEAST_DEVIATION = 0.3
"""The least deviation, as a share of the usual: what eight hours give is far too small now and then."""


@dataclass(frozen=True)
class OperationHistory:
    """The whole hours of one operation, by their start in seconds since the epoch; those without calls may be missing.

    It is complete from `began` to `until`.
    """

    began: int
    until: int
    hours: Mapping[int, HourFigures] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """The upper median of some like hours, and their deviation from it."""

    usual: float
    deviation: float


@dataclass(frozen=True)
class Baseline:
    """What a measure usually is in one hour; `spreads` are of all hours that decide what it may be.

    `chance` is the standard deviation of what is usually so much, of so many calls now, by chance alone.
    """

    usual: float
    spreads: Sequence[Spread]
    chance: Callable[[float, float], float]

    def at_most(self, calls: float) -> float:
        """What the figure of so many calls may be without being odd."""
        return max(
            spread.usual + DEVIATIONS * max(spread.deviation, self.chance(spread.usual, calls))
            for spread in self.spreads
        )


class Baselines:
    """The baselines of one operation by its history, in the time zone that its days are of; each is made once."""

    def __init__(self, history: OperationHistory, zone: ZoneInfo) -> None:
        """Nothing is computed yet."""
        self._history = history
        self._zone = zone
        self._first = min(history.hours, default=history.until)
        self._typical = total(history.hours.values())
        self._made: dict[tuple[str, int], Baseline | None] = {}
        self._ratios: dict[tuple[str, int], float] = {}
        self._weekly_made: dict[tuple[str, int, int], Spread | None] = {}

    def of(self, measure: Measure, hour: int) -> Baseline | None:
        """The baseline of an hour; None where nothing can be said of it.

        The hours before and after decide, too, what it may be: a job that runs an hour early or late is not odd, nor is
        the first day of summer time.
        """
        key = measure.name, hour
        if key not in self._made:
            goes_back = self._history.began <= like_hour(hour, 7 * LEAST_WEEKS, self._zone)
            make = self._of_sum if measure.per is None else self._per_call
            self._made[key] = make(measure, hour) if goes_back else None
        return self._made[key]

    def usual(self, measure: Measure, hour: int) -> float:
        """What a sum usually is in an hour, as far as that is known, and without regard to how it was of late."""
        spread = self._weekly(measure, hour) or self._daily(measure, hour, 0)
        return spread.usual if spread else 0.0

    def _of_sum(self, measure: Measure, hour: int) -> Baseline:
        each = measure.of(self._typical) / self._typical.calls if self._typical.calls else 0.0
        level = self._level(measure, hour, each) if each else 1.0
        near = [self._weekly(measure, hour, ahead) for ahead in NEAR]
        weekly = [Spread(level * spread.usual, level * spread.deviation) for spread in near if spread]
        if near[0] is None or not weekly:
            # an operation that is new, or was in the days that there are of it
            weekly = [spread for ahead in NEAR if (spread := self._daily(measure, hour, ahead))]
        own = weekly[0].usual if weekly else 0.0
        return Baseline(own, weekly or [Spread(0.0, 0.0)], lambda usual, _: measure.chance_of_sum(usual, each))

    def _per_call(self, measure: Measure, hour: int) -> Baseline | None:
        near = (by(measure, hour, ahead) for ahead in NEAR for by in (self._weekly, self._daily))
        spreads = [spread for spread in near if spread]
        # of what calls are like there must be calls to know it by
        return Baseline(spreads[0].usual, spreads, measure.chance_per_call) if spreads else None

    def _level(self, measure: Measure, hour: int, each: float) -> float:
        """How many times as much there has been of late, at least 1: what has lasted for some days is not odd."""
        ratios = sorted((self._ratio(measure, hour - day * DAY, each) for day in range(DAYS)), reverse=True)
        return max(1.0, ratios[LASTING - 1])

    def _ratio(self, measure: Measure, end: int, each: float) -> float:
        """How many times the usual sum the hours of the day were that ended then: the median, by usual sums, else 1.

        A night's loop is many times what is usual in the night, but the night is a small part of the day.
        """
        if (known := self._ratios.get((measure.name, end))) is not None:
            return known
        ratios = []
        for moment in range(end - DAY, min(end, self._history.until), HOUR):
            hour = beside(moment, 0, self._zone)
            if spread := self._weekly(measure, hour):
                real = measure.of(self._history.hours.get(hour, NOTHING))
                ratios.append(((real + each) / (spread.usual + each), spread.usual + each))
        found = weighted_median(ratios)
        return self._ratios.setdefault((measure.name, end), 1.0 if found is None else found)

    def _weekly(self, measure: Measure, hour: int, ahead: int = 0) -> Spread | None:
        key = measure.name, hour, ahead
        if key not in self._weekly_made:
            weeks = self._values(measure, hour, ahead, range(7, 7 * WEEKS + 1, 7))
            self._weekly_made[key] = _spread(weeks) if len(weeks) >= LEAST_WEEKS else None
        return self._weekly_made[key]

    def _daily(self, measure: Measure, hour: int, ahead: int) -> Spread | None:
        return _spread(self._values(measure, hour, ahead, range(1, DAYS + 1)))

    def _values(self, measure: Measure, hour: int, ahead: int, days: Iterable[int]) -> Sequence[float]:
        history = self._history
        since = max(history.began, self._first)
        # the hours beside the like ones, and not the hours that are like those beside: 02:30 may not exist
        starts = (beside(like_hour(hour, ago, self._zone), ahead, self._zone) for ago in days)
        known = (history.hours.get(s, NOTHING) for s in starts if since <= s < history.until)
        return [value for figures in known if (value := measure.value(figures)) is not None]


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    usual = median_high(values)
    deviation = MAD * median_high([abs(value - usual) for value in values])
    # a single hour, or two, say little of how others are
    return Spread(usual, max(deviation, max(LEAST_DEVIATION, 1 / len(values)) * usual))


@lru_cache(maxsize=16384)
def like_hour(hour: int, days: int, zone: ZoneInfo) -> int:
    """The start of the hour that held the same time on the clock so many days before."""
    before = datetime.fromtimestamp(hour, zone) - timedelta(days=days)
    return hour_start(int(before.timestamp()), zone)


@lru_cache(maxsize=16384)
def beside(hour: int, ahead: int, zone: ZoneInfo) -> int:
    """The start of the hour before (-1) or after (1) one; 0 is the one that holds the moment."""
    return hour_end(hour, zone) if ahead > 0 else hour_start(hour + ahead, zone)
