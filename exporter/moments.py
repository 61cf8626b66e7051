"""Moments as people write and read them on the command line."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def named_moment(text: str, zone: ZoneInfo) -> datetime:
    """The moment that an ISO 8601 date or time names; one without an offset is in the zone. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def as_utc(second: int) -> str:
    """A moment in seconds since the epoch as ISO 8601, in UTC: `2026-01-31T14:30:00Z`."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
