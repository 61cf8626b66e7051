"""IANA time zones by name: the one check of settings, of options, and of what a server says."""

from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

_QUARTER_HOUR = timedelta(minutes=15)


def find_zone(name: str) -> ZoneInfo | None:
    """The time zone of a name such as Europe/Berlin; None where this machine knows none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_hint(name: str) -> str:
    """What to write in place of a name that is no time zone."""
    near = get_close_matches(name, available_timezones(), n=1)
    return f"write an IANA time zone{f'; did you mean {near[0]}?' if near else ', like UTC or Europe/Berlin'}"


def budget_zone_hint(name: str) -> str | None:
    """What to write in place of a name that is no time zone, or one whose days cannot be cut; None where it is good.

    Days are put together from quarter-hours of UTC, so a zone's midnight must fall on one. In all zones in use today,
    it does; a year on either side shows a change of rules that is already known.
    """
    zone, now = find_zone(name), datetime.now(UTC)
    if zone is None:
        return zone_hint(name)
    offsets = ((now + timedelta(weeks=week)).astimezone(zone).utcoffset() or timedelta() for week in range(-52, 53))
    if any(offset % _QUARTER_HOUR for offset in offsets):
        return "write a time zone whose offset from UTC is whole quarter-hours"
    return None
