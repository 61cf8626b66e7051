"""The optional tables: read in a thread of their own, so that none of them delays the log."""

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from exporter.database.errors import DatabaseError, DatabaseUnavailable, QueryTimeout, TableLocked
from exporter.database.session import Session, Wanted
from exporter.database.tables import ReadPlan, read_planned
from exporter.database.transactions import Database
from exporter.state_change_log import StateChangeLog

QUICK, PATIENT = 0.25, 5.0
"""Seconds that a statement may take: in the first try, so that a table that hangs does not delay the others, and in the
second, when the others have been read."""

SUBJECT = "optional tables"
"""The subject in the log for messages about all of them."""

_STRETCH = 1.5  # intervals for which figures are shown while newer ones are being read
_SLACK = 1.0  # seconds by which a read may come early, so that a scrape a minute reads every time


@dataclass(frozen=True)
class Source:
    """One table: `plan` says within a transaction how it is read, `take` gets what that brought when it has ended.

    `wanted` is what the table is looked for by, None where it is left out. What `take` returns is shown.
    """

    plan: Callable[[Session], ReadPlan[Any] | None]
    wanted: Wanted | None
    take: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Reading:
    """How the last attempt at a table ended, and in how many seconds; `value` is what it brought.

    `begun` is a moment of the monotonic clock, `number` is that of the round. `retry` says that the attempt cost the
    database nothing, so that the next one need not wait.
    """

    success: bool
    seconds: float
    value: Any = None
    begun: float = 0.0
    number: int = 0
    retry: bool = False


NOT_READ = Reading(success=False, seconds=0.0, retry=True)
"""What is known of a table before it is read."""


class OptionalTables:
    """Reads tables in rounds, each table at most once an `interval` (seconds).

    A round reads the tables that are due, first those that can be expected to be read quickly, in one transaction. If
    anything fails there, each is read in a transaction of its own: first for a moment, then those for which that was
    too short. Tables that were slow come last in later rounds. A locked table is tried again in the next round. Every
    method may be called from any thread.
    """

    def __init__(
        self, database: Database, sources: Mapping[str, Source], interval: float, change_log: StateChangeLog
    ) -> None:
        self._database = database
        self._sources = sources
        self._interval = interval
        self._change_log = change_log
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "tables")
        self._changed = threading.Condition()
        self._readings: dict[str, Reading] = {}
        self._pending: frozenset[str] = frozenset()
        self._slow: frozenset[str] = frozenset()
        self._apart: frozenset[str] = frozenset()  # could not be read the last time: must not cost the others
        self._number = 0
        self._stopping = False

    def stop(self) -> None:
        """Stop reading, and end what is under way."""
        with self._changed:
            self._stopping = True
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._database.abort()

    def forget(self) -> None:
        """Show nothing of what was read so far: the database may be down, or may be another one."""
        with self._changed:
            self._readings.clear()

    def refresh(self) -> int:
        """Begin a round if any table is due and none is under way; returns the current round's number at once."""
        with self._changed:
            if self._pending or self._stopping:
                return self._number
            now = time.monotonic()
            due = [name for name in self._sources if self._is_due(self.last(name), now)]
            if due:
                self._number += 1
                self._pending = frozenset(due)
                self._thread.submit(self._round, self._number, due)
            return self._number

    def wait(self, names: Iterable[str], number: int, deadline: float) -> None:
        """Wait until these tables have been read, or until `deadline`, a moment of the monotonic clock.

        A table that was slow the last time is waited for only if it had figures that are too old to be shown.
        """
        with self._changed:
            while any(self._is_awaited(name, number) for name in names):
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return

    def shown(self, number: int) -> dict[str, Reading]:
        """What a caller in round `number` gets of each table: at most one and a half intervals old."""
        with self._changed:
            return {name: self._shown(name, number) for name in self._sources}

    def last(self, name: str) -> Reading:
        """How the last attempt at a table ended, however long ago."""
        return self._readings.get(name, NOT_READ)

    def _is_due(self, reading: Reading, now: float) -> bool:
        return reading.retry or now - reading.begun >= max(0.0, self._interval - _SLACK)

    def _is_awaited(self, name: str, number: int) -> bool:
        if name not in self._pending:
            return False
        reading = self.last(name)
        return name not in self._slow or (reading.success and not self._is_fresh(reading, number))

    def _is_fresh(self, reading: Reading, number: int) -> bool:
        return reading.number >= number or time.monotonic() - reading.begun <= _STRETCH * self._interval

    def _shown(self, name: str, number: int) -> Reading:
        reading = self.last(name)
        return reading if self._is_fresh(reading, number) else Reading(success=False, seconds=reading.seconds)

    def _round(self, number: int, due: Iterable[str]) -> None:
        slow = {name for name in due if name in self._slow}
        late: set[str] = set()
        try:
            self._attempt_together([name for name in due if name not in slow | self._apart], number)
            for name in due:
                if name not in slow and not self._attempt(name, number, QUICK):
                    late.add(name)
            for name in due:
                if name in slow | late:
                    self._attempt(name, number, PATIENT)
        finally:
            with self._changed:
                self._pending = frozenset()
                self._slow = self._slow - slow | late | {name for name in slow if self.last(name).seconds >= QUICK}
                self._changed.notify_all()

    def _attempt_together(self, names: Sequence[str], number: int) -> None:
        """Read tables in one transaction, in few round trips. What is not read by that is left to be read by itself."""
        if self._stopping or len(names) < 2:
            return
        begun = time.monotonic()
        try:
            values = self._read_together(names)
        except DatabaseUnavailable as error:
            self._unavailable(number, str(error))
            return
        except Exception:  # who reads them one by one finds out which it is, and says so
            return
        for name, value in values.items():
            with contextlib.suppress(Exception):  # as well
                self._succeeded(name, self._sources[name].take(value), begun, number)

    def _read_together(self, names: Sequence[str]) -> dict[str, Any]:
        sources = {name: self._sources[name] for name in names}
        wanted = [source.wanted for source in sources.values() if source.wanted is not None]
        with self._database.session(PATIENT, QUICK, purpose=" ".join(names), tables=wanted) as session:
            try:
                plans = {name: plan for name, source in sources.items() if (plan := source.plan(session)) is not None}
                found = session.run_together([(plan.statement, plan.row_security) for plan in plans.values()])
                values: dict[str, Any] = dict.fromkeys(names)
                for (name, plan), rows in zip(plans.items(), found, strict=True):
                    session.row_security = plan.row_security
                    values[name] = plan.finish(session, rows)
                return values
            except psycopg.Error as error:
                raise session.translate(error) from None

    def _attempt(self, name: str, number: int, seconds: float) -> bool:
        """Read a table, unless the round is over for it; False if the quick try was too short."""
        if self._stopping or name not in self._pending:
            return True
        begun = time.monotonic()
        retry = False
        try:
            try:
                value = self._read(name, seconds)
            except DatabaseError as error:
                if not error.is_outdated:
                    raise
                value = self._read(name, seconds)
        except DatabaseUnavailable as error:
            self._unavailable(number, str(error))
            return True
        except TableLocked as error:
            retry = True
            self._change_log.failed(name, str(error))
        except QueryTimeout:
            if seconds < PATIENT:
                return False
            self._change_log.failed(name, f"not read within {PATIENT:g} s, its metrics are left out — {_TOO_SLOW}")
        except DatabaseError as error:
            self._change_log.failed(name, str(error))
        except Exception as error:
            self._change_log.broke(name, error)
        else:
            self._succeeded(name, value, begun, number)
            return True
        self._ended(
            name,
            Reading(
                success=False, seconds=time.monotonic() - begun, value=None, begun=begun, number=number, retry=retry
            ),
        )
        return True

    def _read(self, name: str, seconds: float) -> Any:
        source = self._sources[name]
        wanted = [] if source.wanted is None else [source.wanted]
        with self._database.session(PATIENT, seconds, purpose=name, tables=wanted) as session:
            try:
                value = read_planned(session, source.plan(session))
            except psycopg.Error as error:
                raise session.translate(error) from None
        return source.take(value)

    def _succeeded(self, name: str, value: Any, begun: float, number: int) -> None:
        self._change_log.works(SUBJECT)
        self._change_log.works(name)
        seconds = time.monotonic() - begun
        self._ended(name, Reading(success=True, seconds=seconds, value=value, begun=begun, number=number))

    def _ended(self, name: str, reading: Reading) -> None:
        with self._changed:
            self._readings[name] = reading
            self._apart = self._apart - {name} if reading.success else self._apart | {name}
            self._pending -= {name}
            self._changed.notify_all()

    def _unavailable(self, number: int, reason: str) -> None:
        """End the round for all tables that were not read yet. Log it, unless the log's reader does."""
        if not self._stopping and "database" not in self._change_log.wrong():
            self._change_log.failed(SUBJECT, reason)
        with self._changed:
            for name in self._pending:
                self._readings[name] = Reading(success=False, seconds=0.0, number=number, retry=True)
            self._pending = frozenset()
            self._changed.notify_all()


_TOO_SLOW = "an index may be missing (deploy/sql/indexes.sql), or a view may be slow: see `check`"
