"""Where slices, days and months begin and end. Times are whole seconds since the epoch, UTC."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = 60
QUARTER_HOUR = 900
"""A merged slice: every zone in use today is offset from UTC by a multiple of it, so none straddles a midnight."""
HOUR = 3600
DAY = 24 * HOUR


def floor_to(instant: int, width: int) -> int:
    """The start of the slice of this width that holds the instant."""
    return instant - instant % width


# asked for each slice and series of each read; a day never begins within a quarter-hour
@lru_cache(maxsize=4096)
def _day_of_quarter(quarter: int, zone: ZoneInfo) -> int:
    return datetime.fromtimestamp(quarter, zone).toordinal()


def day_of(instant: int, zone: ZoneInfo) -> int:
    """The calendar day in the zone, as a proleptic ordinal (`datetime.date.toordinal`)."""
    return _day_of_quarter(floor_to(instant, QUARTER_HOUR), zone)


@lru_cache(maxsize=4096)
def day_start(day: int, zone: ZoneInfo) -> int:
    """The first second of a day in the zone; where the clock skips midnight, the moment after the gap."""
    return int(datetime.combine(date.fromordinal(day), time(), zone).timestamp())


def first_user_day(now: int, zone: ZoneInfo) -> int:
    """The oldest day of which spend by user is kept, by a safe clock: yesterday, so that it may be set back."""
    return day_of(now, zone) - 1


def month_start_day(day: int) -> int:
    """The ordinal of the first day of the day's month."""
    return date.fromordinal(day).replace(day=1).toordinal()


def month_days(day: int) -> range:
    """The ordinals of all days of the day's month."""
    first = month_start_day(day)
    return range(first, (date.fromordinal(first) + timedelta(days=32)).replace(day=1).toordinal())


@dataclass(frozen=True)
class Window:
    """A budget window, half open: `start` <= t < `end`."""

    start: int
    end: int


def day_window(now: int, zone: ZoneInfo) -> Window:
    """The calendar day that holds `now`: 23, 24 or 25 hours."""
    day = day_of(now, zone)
    return Window(day_start(day, zone), day_start(day + 1, zone))


def month_window(now: int, zone: ZoneInfo) -> Window:
    """The calendar month that holds `now`."""
    days = month_days(day_of(now, zone))
    return Window(day_start(days.start, zone), day_start(days.stop, zone))
