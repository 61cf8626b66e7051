"""Moments that people name on the command line."""

from datetime import datetime
from zoneinfo import ZoneInfo


def named_moment(text: str, zone: ZoneInfo) -> datetime:
    """The moment that an ISO 8601 date or time names; one without an offset is in the zone. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
