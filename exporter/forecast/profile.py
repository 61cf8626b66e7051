"""What a usual day costs hour by hour, from the whole days of a history."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from statistics import fmean, median
from zoneinfo import ZoneInfo

from exporter.ledger.calendar import HOUR, day_of, day_start
from exporter.ledger.hourly import day_hours, hour_end

LEAST_DAYS = 4
"""Like days that a profile is made of at least."""

MOST_DAYS = 8
"""Like days that a profile is made of at most: the last ones."""

_CLOCK = 24
_FRIDAY = 4


@dataclass(frozen=True)
class ClockHour:
    """An hour of a day: the hour on the clock (0 to 23), its start in seconds since the epoch, and its seconds."""

    clock: int
    start: int
    seconds: int

    @property
    def end(self) -> int:
        """When it ends."""
        return self.start + self.seconds


@dataclass(frozen=True)
class Day:
    """A day in some zone (`datetime.date.toordinal`), and its 23 to 25 hours."""

    number: int
    parts: Sequence[ClockHour]

    @property
    def weekday(self) -> int:
        """0 for Monday."""
        return date.fromordinal(self.number).weekday()

    @property
    def start(self) -> int:
        """When it begins."""
        return self.parts[0].start

    @property
    def end(self) -> int:
        """When it ends."""
        return self.parts[-1].end


# asked for the same weeks once an hour
@lru_cache(maxsize=256)
def day_at(number: int, zone: ZoneInfo) -> Day:
    """A day in a zone, by `datetime.date.toordinal`."""
    starts = day_hours(number, zone)
    return Day(number, tuple(ClockHour(datetime.fromtimestamp(s, zone).hour, s, hour_end(s, zone) - s) for s in starts))


@dataclass(frozen=True)
class Profile:
    """Units per hour by the hour on the clock. Their sum is the median of the like days."""

    rates: Sequence[float]

    def of(self, part: ClockHour) -> float:
        """Units that an hour of a day should have."""
        return self.rates[part.clock] * part.seconds / HOUR

    def day(self, day: Day) -> float:
        """Units that a day should have."""
        return sum(map(self.of, day.parts))


def whole_days(lo: int, hi: int, zone: ZoneInfo) -> Iterator[Day]:
    """The days that lie between two moments as a whole, the first one first."""
    first = day_of(lo, zone)
    if day_start(first, zone) < lo:
        first += 1
    for number in range(first, day_of(hi, zone)):
        yield day_at(number, zone)


class Profiles:
    """The profile of each weekday, out of units by the start of each hour of `days`; an hour that is missing had none.

    Days are alike that fall on the same weekday. If there are fewer than `LEAST_DAYS` of these, they are alike if both
    are working days (Monday to Friday) or both are not, and else all are.
    """

    def __init__(self, days: Sequence[Day], units: Mapping[int, int]) -> None:
        self.days = days
        self.rows = [tuple(float(units.get(part.start, 0)) for part in day.parts) for day in days]
        self._by_weekday = [self._profile(weekday) for weekday in range(7)] if len(days) >= LEAST_DAYS else []

    @property
    def known(self) -> bool:
        """Whether there are enough days."""
        return bool(self._by_weekday)

    def of(self, day: Day) -> Profile:
        """The profile of a day. Only if they are `known`."""
        return self._by_weekday[day.weekday]

    def _profile(self, weekday: int) -> Profile:
        chosen = self._like(weekday)
        totals = [sum(self.rows[position]) for position in chosen]
        # one outlier each way counts for the median alone, not for the shape
        ranked = sorted(range(len(chosen)), key=lambda number: totals[number])
        shape = self._shape([chosen[number] for number in ranked[1:-1]])
        level, whole = median(totals), sum(shape)
        return Profile(tuple(rate * level / whole for rate in shape) if whole else tuple(shape))

    def _like(self, weekday: int) -> list[int]:
        """The positions of the last like days."""
        for alike in (
            lambda day: day.weekday == weekday,
            lambda day: (day.weekday > _FRIDAY) == (weekday > _FRIDAY),
            lambda _: True,
        ):
            found = [position for position, day in enumerate(self.days) if alike(day)]
            if len(found) >= LEAST_DAYS:
                break
        return found[-MOST_DAYS:]

    def _shape(self, positions: Sequence[int]) -> list[float]:
        """Mean units per hour by the hour on the clock. Days on which the clock is moved lack or repeat one."""
        rates: list[list[float]] = [[] for _ in range(_CLOCK)]
        for position in positions:
            for part, units in zip(self.days[position].parts, self.rows[position], strict=True):
                rates[part.clock].append(units * HOUR / part.seconds)
        return [fmean(found) if found else 0.0 for found in rates]
