"""When a daily digest is due: pure. Moments are seconds since the epoch, days ordinals in the budget's zone."""

from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from exporter.ledger.calendar import HOUR, day_of

LATE = 6 * HOUR
"""A digest that was not sent at its time, since nothing ran or nothing answered, is still sent for so many seconds."""

PUNCTUAL = 300
"""Seconds after its time within which a digest is not called late."""


@dataclass(frozen=True)
class Due:
    """The digest to send: on which day, and for which moment it was planned."""

    day: int
    planned: int


def planned(day: int, at: time, zone: ZoneInfo) -> int:
    """The moment of a time of day. Of one that comes twice it is the first; one that the clock skips is moved on."""
    return int(datetime.combine(date.fromordinal(day), at, zone).timestamp())


def due(now: float, at: time, zone: ZoneInfo, sent: int | None) -> Due | None:
    """The digest that should be sent now, None if there is none; `sent` is the last day on which one was."""
    today = day_of(int(now), zone)
    day, moment = max(
        ((each, planned(each, at, zone)) for each in (today - 1, today) if planned(each, at, zone) <= now),
        key=lambda pair: pair[1],
    )
    if now - moment >= LATE or (sent is not None and day <= sent):
        return None
    return Due(day, moment)


def following(now: float, at: time, zone: ZoneInfo) -> int:
    """The next planned moment after now."""
    today = day_of(int(now), zone)
    return next(moment for day in (today, today + 1, today + 2) if (moment := planned(day, at, zone)) > now)
