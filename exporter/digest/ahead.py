"""The forecast of a digest, out of the hours of the last weeks. Pure."""

import math
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from exporter.digest.model import DigestForecast, LeftOut, Reached
from exporter.forecast.outlook import History
from exporter.forecast.projection import Projection, project
from exporter.ledger.hourly import hour_start

TOO_LITTLE = LeftOut("forecast (too few days are known)")


def foretell(
    units: Mapping[int, int],
    now: int,
    zone: ZoneInfo,
    *,
    today: int,
    month: int,
    daily_limit: int | None,
    monthly_limit: int | None,
) -> DigestForecast | LeftOut:
    """Where the day that holds `now` and its month end, by money units by hour, and when they are past their limits.

    `today` and `month` are what is spent of them so far.
    """
    history = History(min(units, default=now), hour_start(now, zone), now, zone)
    found = project(history.outlook(units), today, now)
    if found is None:
        return TOO_LITTLE
    return DigestForecast(
        today=found.day,
        month=found.month(month),
        days=found.days(),
        daily_limit_at=_reached(found, daily_limit, today, month=False),
        monthly_limit_at=_reached(found, monthly_limit, month, month=True),
    )


def _reached(found: Projection, limit: int | None, so_far: int, *, month: bool) -> int | Reached:
    if limit is None:
        return Reached.NO_LIMIT
    if so_far > limit:
        return Reached.PAST
    at = found.reaches(limit, so_far, month=month)
    return Reached.NOT if at is None else math.floor(at)
