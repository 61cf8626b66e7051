"""Where a day and its month will end by an outlook and by what is spent now: made at each scrape."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.forecast.outlook import RECENT_DAYS, Outlook
from exporter.forecast.pace import Pace
from exporter.forecast.profile import MOST_DAYS, ClockHour, Profile

_Z = 1.2816
"""Within so many standard deviations lies `outlook.COVERAGE` of a normal distribution."""

_MEDIAN = 1.57
"""The variance of a median is so many times that of a mean."""


BOUNDS = ("lower", "expected", "upper")
"""The fields of `Forecast`."""


@dataclass(frozen=True)
class Forecast:
    """Money units at the end of a window: the expected ones, and bounds that hold for a share `outlook.COVERAGE`."""

    expected: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Projection:
    """What will be spent, and how it goes on from `now` (seconds since the epoch).

    The rest of the day is `factor` times the usual.
    """

    outlook: Outlook
    now: float
    today: float
    factor: float

    @property
    def day(self) -> Forecast:
        """The end of the day."""
        rest = _usual(self.outlook, self.now, self.outlook.day.end)
        left = self.factor * rest
        below = above = 0.0
        if self.outlook.errors is not None:
            clock = next(part.clock for part in self.outlook.day.parts if part.end > self.now)
            wide = rest * max(1.0, self.factor)
            below, above = self.outlook.errors.below[clock] * wide, self.outlook.errors.above[clock] * wide
        return Forecast(self.today + left, self.today + max(0.0, left + below), self.today + left + above)

    def month(self, so_far: float) -> Forecast:
        """The end of the month, of which so much is spent, today included."""
        day, level = self.day, self.outlook.pace.prior.level
        usual = [profile.day(each) for each, profile in self.outlook.rest_of_month]
        beyond = _Z * self.outlook.day_spread * max(1.0, level) * _doubt(self.outlook, usual)
        base = so_far - self.today
        rest = level * sum(usual)
        return Forecast(
            base + day.expected + rest,
            base + day.lower + max(0.0, rest - beyond),
            base + day.upper + rest + beyond,
        )

    def days(self) -> Mapping[int, Forecast]:
        """The end of each day that is left of the month, the present one among them (`datetime.date.toordinal`)."""
        level = self.outlook.pace.prior.level
        share = (
            _Z * self.outlook.day_spread * max(1.0, level) * math.sqrt(1 + _MEDIAN / MOST_DAYS + _MEDIAN / RECENT_DAYS)
        )
        found = {self.outlook.day.number: self.day}
        for day, profile in self.outlook.rest_of_month:
            usual = profile.day(day)
            expected, beyond = level * usual, share * usual
            found[day.number] = Forecast(expected, max(0.0, expected - beyond), expected + beyond)
        return found

    def reaches(self, limit: float, so_far: float, *, month: bool = False) -> float | None:
        """When spend that is `so_far` now will be above a limit, in seconds since the epoch; None: not in this window.

        That is now if it is above it already.
        """
        left = limit - so_far
        if left < 0:
            return self.now
        for start, end, units in self._stretches(month=month):
            if units > left:
                return start + (end - start) * left / units
            left -= units
        return None

    def _stretches(self, *, month: bool) -> Iterator[tuple[float, float, float]]:
        """From when to when how much is expected, from now on."""
        outlook = self.outlook
        for part in outlook.day.parts:
            if part.end > self.now:
                begin = max(self.now, float(part.start))
                yield begin, part.end, self.factor * _within(outlook.profile, part, begin, part.end)
        for day, profile in outlook.rest_of_month if month else ():
            for part in day.parts:
                yield part.start, part.end, outlook.pace.prior.level * profile.of(part)


def project(outlook: Outlook | None, spent_today: int, now: float) -> Projection | None:
    """How a day goes on of which so much is spent; None without an outlook, or with that of another day."""
    if outlook is None or not outlook.day.start <= now < outlook.day.end:
        return None
    return Projection(outlook, now, float(spent_today), _pace_now(outlook, spent_today, now).factor)


def straight_line(spent: float, start: float, end: float, now: float) -> float | None:
    """What a window will have at its end if it goes on evenly; None in its first two hours."""
    return spent * (end - start) / (now - start) if now - start >= 7200 else None


def _pace_now(outlook: Outlook, spent_today: int, now: float) -> Pace:
    """The pace with what has been spent since the last hour that is known."""
    if now <= outlook.known_until:
        return outlook.pace
    usual = _usual(outlook, outlook.known_until, now)
    return outlook.pace.after(now, max(0, spent_today - outlook.known_units), usual)


def _doubt(outlook: Outlook, usual: Sequence[float]) -> float:
    """By how many units a month's remaining days scatter, if each of them scatters by all that is usual of it.

    Days differ by themselves, those of a weekday by how well its median is known, and all by how well the level is.
    """
    weekdays = [0.0] * 7
    for (day, _), units in zip(outlook.rest_of_month, usual, strict=True):
        weekdays[day.weekday] += units
    own = sum(units**2 for units in usual)
    median = _MEDIAN * sum(units**2 for units in weekdays) / MOST_DAYS
    common = _MEDIAN * sum(usual) ** 2 / RECENT_DAYS
    return math.sqrt(own + median + common)


def _usual(outlook: Outlook, begin: float, end: float) -> float:
    """What is usual of a part of the day."""
    return sum(
        _within(outlook.profile, part, max(part.start, begin), min(part.end, end))
        for part in outlook.day.parts
        if part.start < end and part.end > begin
    )


def _within(profile: Profile, part: ClockHour, begin: float, end: float) -> float:
    return profile.of(part) * (end - begin) / part.seconds
