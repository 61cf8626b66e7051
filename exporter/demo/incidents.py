"""What goes wrong in the demo: one incident an hour, announced, so that alerts are seen to fire and to end."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from exporter.demo.history import Call, fail
from exporter.demo.profiles import EMAIL_CLASSIFY

OPERATION = EMAIL_CLASSIFY.name
"""The operation that incidents befall. It has calls day and night, so that an alert is certain of their end too."""

_FIRST_AFTER = timedelta(minutes=20)
_EVERY = timedelta(hours=1)
_LASTS = timedelta(minutes=8)
_MORE_PER_HOUR = 540.0
"""Enough that five minutes of an incident make an alert certain, at any hour."""


@dataclass(frozen=True)
class Incident:
    """An incident from `starts` to `ends`, in UTC without a zone. `change` makes what becomes of a call then.

    The `text` has a place for the name that the log has for `OPERATION`.
    """

    starts: datetime
    ends: datetime
    text: str
    alert: str
    change: Callable[[Call, Random], Call]

    def befalls(self, call: Call) -> bool:
        """Whether the call begins in the incident and is of its operation."""
        return call.operation == OPERATION and self.starts <= call.at < self.ends

    def more_per_hour(self, now: datetime) -> float:
        """How many calls of the operation an hour begin besides the usual ones: a burst brings the incident about."""
        return _MORE_PER_HOUR if self.starts <= now < self.ends else 0.0

    def announce(self, now: datetime, operation: str = OPERATION) -> str:
        """The incident in words, for the demo's output: the next one, or the one that goes on."""
        text = self.text.format(operation=operation)
        if now < self.starts:
            return f"calm; the next incident begins at {self.starts:%H:%M} UTC: {text}"
        return f"incident until {self.ends:%H:%M} UTC: {text}; expect the alert {self.alert}"


def current_or_next(traffic_started: datetime, now: datetime) -> Incident:
    """The incident that goes on at `now`, or else the next one; the kinds take turns."""
    passed = now - (traffic_started + _FIRST_AFTER + _LASTS)
    number = max(0, passed // _EVERY + 1)
    starts = traffic_started + _FIRST_AFTER + number * _EVERY
    text, alert, change = _KINDS[number % len(_KINDS)]
    return Incident(starts, starts + _LASTS, text, alert, change)


def _rate_limited(call: Call, rng: Random) -> Call:
    return fail(call, "rate_limit", rng) if rng.random() < 0.4 else call


def _slow(call: Call, rng: Random) -> Call:
    return replace(call, latency_ms=round(rng.uniform(4_000, 8_000)))


_KINDS: tuple[tuple[str, str, Callable[[Call, Random], Call]], ...] = (
    ("4 of 10 calls of {operation} hit the provider's rate limit", "high_error_rate", _rate_limited),
    ("calls of {operation} take 4 to 8 seconds", "slow_operations", _slow),
)
