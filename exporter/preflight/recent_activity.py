"""Find the operations and models of recent calls, in bounded time."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from exporter.config import Classification
from exporter.database.errors import QueryTimeout, TableLocked
from exporter.database.log_table import LogTable
from exporter.database.reader import read_span
from exporter.database.session import Session
from exporter.findings import Finding, warn
from exporter.ledger.calendar import DAY, HOUR
from exporter.ledger.model import Bucket, TimeRange
from exporter.ledger.slices import latest

_Found = TypeVar("_Found")

AGES = (HOUR, DAY, 3 * DAY, 7 * DAY)
"""How far back to look, step by step, in seconds."""

SECONDS = 20.0
"""After this many seconds, no further step starts."""

# what a statement raises that takes too long, and if another transaction's lock is the reason
_TOO_SLOW = (QueryTimeout, psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
_LOCKED = (TableLocked, psycopg.errors.LockNotAvailable)


@dataclass(frozen=True)
class RecentActivity:
    """Operations and models, each with its latest time in seconds; `reach` is how many seconds back they cover."""

    operations: Mapping[str, float]
    models: Mapping[str, float]
    reach: int

    @property
    def complete(self) -> bool:
        """Whether all days are covered."""
        return self.reach == AGES[-1]


def read_a_day(session: Session, read: Callable[[int], _Found]) -> _Found | None:
    """What `read` finds in the last day, in seconds, or in the last hour where that takes too long; None: there too.

    Raises `psycopg.Error` or `TableLocked` if the log is locked.
    """
    for age in (DAY, HOUR):
        try:
            with session.savepoint():
                return read(age)
        except _TOO_SLOW as error:
            if isinstance(error, _LOCKED):
                raise
    return None


def read_ages(session: Session, ages: Sequence[int], seconds: float, read: Callable[[int], _Found]) -> Iterator[_Found]:
    """What `read` finds for one age after the other, until one takes too long; after `seconds`, no further one starts.

    Raises `psycopg.Error` or `TableLocked` if the log is locked from the start, and `psycopg.Error` for any failure
    other than slowness.
    """
    began = time.monotonic()
    for age in ages:
        if time.monotonic() - began >= seconds:
            return
        try:
            with session.savepoint():
                found = read(age)
        except _TOO_SLOW as error:
            if age == ages[0] and isinstance(error, _LOCKED):
                raise
            return
        yield found


def unread(name: str, hint: str = "see `time index`") -> Finding:
    """The finding of a check for which even the last hour takes too long."""
    return warn(name, "the last hour of the log could not be read in time", hint)


def look_back(session: Session, log: LogTable, rules: Classification, seconds: float = SECONDS) -> RecentActivity:
    """Read the last days, newest first, until time is up. Raises as `read_ages`."""
    now = int(session.clock) + 1
    plain = rules.without_error_classes()
    reaches = dict(zip(AGES, (0, *AGES), strict=False))

    def read(age: int) -> Collection[Bucket]:
        span = TimeRange(now - age, now - reaches[age])
        return read_span(session, log, plain, span, width=DAY).values()

    parts = list(read_ages(session, AGES, seconds, read))
    found = [bucket for part in parts for bucket in part]
    reach = (0, *AGES)[len(parts)]
    return RecentActivity(latest(b.seen_operations for b in found), latest(b.seen_models for b in found), reach)
