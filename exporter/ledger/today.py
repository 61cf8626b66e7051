"""The current day, read before the history: what a first reading shows until it has come so far itself.

It is a ledger of its own, in memory alone, that begins at midnight. Nothing of it is kept or counted.
"""

from dataclasses import replace

from exporter.ledger import schedule
from exporter.ledger.advance import first_reading
from exporter.ledger.calendar import HOUR, QUARTER_HOUR, day_of, day_start, floor_to
from exporter.ledger.history import next_day, take
from exporter.ledger.model import LedgerSettings, SpanRead, State, TimeRange

_HORIZON = 2 * HOUR
"""Seconds of the day, back from the present, that are kept as slices: a minute with a call in progress is no older."""


def today_settings(settings: LedgerSettings) -> LedgerSettings:
    """The settings of the day's ledger, whose older hours are sums."""
    return replace(settings, horizon=_HORIZON)


def begin_today(clock: int, settings: LedgerSettings) -> State:
    """An empty ledger of the day that holds `clock`, or of the last hours where the day is younger than those."""
    midnight = day_start(day_of(clock, settings.zone), settings.zone)
    start = floor_to(min(midnight, schedule.settled(clock)), QUARTER_HOUR)
    return State(first_reading(clock, start))


def next_of_today(state: State, clock: int, safe_now: int, settings: LedgerSettings, length: int) -> TimeRange | None:
    """The next stretch of the day, about `length` seconds of it; None where it is read but for the open window."""
    return next_day(state.progress, settings, safe_now, length) or schedule.catch_up(state, clock, length)


def read_today(state: State, read: SpanRead, settings: LedgerSettings) -> State:
    """The day's ledger after a read; the one before stays as it is."""
    return state.ahead(take(state, replace(read, safe_now=None), settings, {}))


def same_names(read: SpanRead, known: dict[str, str]) -> SpanRead:
    """The read with the names of its users taken from `known`, to which new ones are added.

    The day's ledger and the other one read the same users. This way, each name is in memory once.
    """
    return replace(
        read,
        buckets={
            start: replace(bucket, users={known.setdefault(name, name): units for name, units in bucket.users.items()})
            for start, bucket in read.buckets.items()
        },
    )
