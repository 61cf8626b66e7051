"""Digests to write and to draw."""

from datetime import date
from random import Random
from typing import Any

from exporter.catalog import USD
from exporter.digest.model import (
    Advice,
    Anomaly,
    Digest,
    DigestDay,
    DigestForecast,
    FiredAlert,
    Mover,
    Reached,
    UsersPast,
)
from exporter.forecast import projection
from exporter.ledger.calendar import month_days

THURSDAY = date(2026, 6, 18)


def units(usd: float) -> int:
    """Ledger units of an amount."""
    return round(usd * USD)


def full_digest(about: date = THURSDAY, **changes: Any) -> Digest:
    """One that has something to say in each part; weekends are quieter than other days."""
    rng, ordinal = Random(15), about.toordinal()

    def usual(each: int) -> float:
        return 110.0 if date.fromordinal(each).weekday() < 5 else 45.0

    spend = {each: units(usual(each) * rng.uniform(0.85, 1.2)) for each in range(ordinal - 30, ordinal)}
    spend[ordinal] = units(168)
    ahead = {
        each: projection.Forecast(units(usual(each)), units(0.8 * usual(each)), units(1.35 * usual(each)))
        for each in range(ordinal + 1, month_days(ordinal + 1).stop)
    }
    movers = (
        Mover("email-compose", "claude-opus-4.5", units(61), units(20)),
        Mover("analytics-summary", "deepseek-v3.2", units(20), units(29.5)),
        Mover("calendar-prep", "gemini-2.0-flash", units(28.2), units(20)),
        Mover("task-breakdown", "deepseek-v3.2", units(22.25), units(20)),
    )
    known: dict[str, Any] = {
        "zone": "Europe/Berlin",
        "day": DigestDay(ordinal, 8421, 131, spend[ordinal], units(118), 7, movers),
        "spend": spend,
        "daily_limit": units(200),
        "monthly_limit": units(4000),
        "users": UsersPast(1, 3, ("3f2a9c01",)),
        "forecast": DigestForecast(
            projection.Forecast(units(112), units(95), units(140)),
            projection.Forecast(units(2900), units(2700), units(3250)),
            ahead,
            Reached.NOT,
            Reached.NOT,
        ),
        "anomalies": (Anomaly("email-compose, claude-opus-4.5", "$58.10 instead of about $17", "twice the calls"),),
        "recommendations": (Advice("Use deepseek-v3.2 for email-classify", units(3.2)),),
        "alerts": (FiredAlert("high_daily_spend", "warning", 1, 9900, still=False),),
    }
    return Digest(**{**known, **changes})
