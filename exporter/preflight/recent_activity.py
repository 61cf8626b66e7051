"""Find the operations and models of recent calls, in bounded time."""

import time
from collections.abc import Callable, Iterable, Mapping
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


TOO_SLOW = (QueryTimeout, psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable)
"""What a statement raises that takes too long."""

LOCKED = (TableLocked, psycopg.errors.LockNotAvailable)
"""What it raises if another transaction's lock is the reason."""


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
        except TOO_SLOW as error:
            if isinstance(error, LOCKED):
                raise
    return None


def unread(name: str, hint: str = "see `time index`") -> Finding:
    """The finding of a check for which even the last hour takes too long."""
    return warn(name, "the last hour of the log could not be read in time", hint)


def look_back(session: Session, log: LogTable, rules: Classification, seconds: float = SECONDS) -> RecentActivity:
    """Read the last days, newest first, until time is up.

    Raises `psycopg.Error` or `TableLocked` if the log is locked from the start, and `psycopg.Error` for any failure
    other than slowness.
    """
    began = time.monotonic()
    now = int(session.clock) + 1
    plain = rules.without_error_classes()
    found: list[Bucket] = []
    reach = 0
    for age in AGES:
        if time.monotonic() - began >= seconds:
            break
        span = TimeRange(now - age, now - reach)
        try:
            with session.savepoint():
                found.extend(read_span(session, log, plain, span, width=DAY).values())
        except TOO_SLOW as error:
            if not reach and isinstance(error, LOCKED):
                raise
            break
        reach = age
    return _joined(found, reach)


def _joined(minutes: Iterable[Bucket], reach: int) -> RecentActivity:
    parts = list(minutes)
    return RecentActivity(latest(m.seen_operations for m in parts), latest(m.seen_models for m in parts), reach)
