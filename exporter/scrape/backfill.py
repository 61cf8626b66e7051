"""From where history is counted: what `--backfill-since` names."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from exporter.config import Config
from exporter.moments import named_moment

_OPTION = "--backfill-since"
_FIRST_YEAR = 1970


class UsageError(Exception):
    """What was asked for on the command line cannot be done; the message says why and what to do."""


def backfill_moment(text: str, config: Config, now: datetime | None = None) -> int:
    """The moment that `--backfill-since` names, in seconds since the epoch.

    A date is its midnight in the budget's time zone; a time without offset is in that zone too. Of a local time that
    occurs twice it is the first; one that is skipped counts from the change of clocks on. Raises `UsageError` for what
    is no time, lies before 1970, or lies after `now` (the present).
    """
    now = now or datetime.now(UTC)
    try:
        moment = named_moment(text, ZoneInfo(config.budget_time_zone))
    except ValueError:
        raise UsageError(f"{_OPTION} {text!r}: write a date such as 2026-01-31, or an ISO 8601 time") from None
    if moment.year < _FIRST_YEAR:
        raise UsageError(f"{_OPTION} {text!r} is before {_FIRST_YEAR}: write the date of the first call to count")
    # the year first: the last hours of the year 9999 cannot be converted
    if moment.year > now.year + 1 or moment > now:
        raise UsageError(f"{_OPTION} {text!r} is in the future: write a date that has begun")
    return max(0, int(moment.timestamp()))
