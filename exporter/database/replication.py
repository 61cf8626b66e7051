"""How far the server that is read is behind its primary, and up to when it is known to be complete.

The age of the last transaction that a standby has replayed is no measure: it grows while the primary is idle. So the
positions in the write-ahead log (WAL) are compared. A standby is complete up to the present if it receives from its
primary and has replayed all that it has received; otherwise up to its last replayed commit, or up to the last moment at
which it had received no more than what is replayed by now.
"""

import contextlib
import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from exporter.humanize import span_text

Cause = Literal["", "paused", "cut off", "behind"]

_SETTLING = 0.2
"""Seconds after which a WAL receiver that was not known is looked at again: its primary may refuse it at once."""

_MOST_SAMPLES = 1000

_BYTES = "pg_catalog.pg_wal_lsn_diff({}, '0/0')"
FACTS: Mapping[str, str] = {
    "standby": "pg_catalog.pg_is_in_recovery()",
    "received": _BYTES.format("pg_catalog.pg_last_wal_receive_lsn()"),
    "replayed": _BYTES.format("pg_catalog.pg_last_wal_replay_lsn()"),
    "committed": "extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp())::pg_catalog.float8",
    "paused": "pg_catalog.pg_is_wal_replay_paused()",
    "receiver": "(SELECT r.pid FROM pg_catalog.pg_stat_wal_receiver r LIMIT 1)",
}
"""What a standby is asked, as SQL expressions. Hosted servers refuse some of them."""

_REFUSED_FOR_GOOD = ("0A", "42")  # SQLSTATE classes: not supported; no such function or view, no right to it
_NO_LONGER = "55"  # promoted a moment ago


@dataclass(frozen=True)
class Positions:
    """What a standby reports.

    `received` and `replayed` are positions in the WAL in bytes, `committed` is when the last replayed transaction
    committed, in seconds since the epoch; None where there was none yet. `receiver` is the process that receives WAL,
    None where none does.
    """

    received: int | None
    replayed: int | None
    committed: float | None
    receiver: int | None
    paused: bool = False


@dataclass(frozen=True)
class Replication:
    """How the server that is read stands to its primary.

    `lag` is in seconds: 0 on a primary, None where the server does not say, infinite where nothing is known to have
    been replayed. Whatever was committed until `complete`, in seconds since the epoch, is in the snapshot; None means
    up to the present, or that the server does not say.
    """

    standby: bool
    lag: float | None
    complete: float | None = None
    cause: Cause = ""

    @property
    def complete_until(self) -> int | None:
        """`complete` in whole seconds; None also where nothing is known to have been replayed."""
        return None if self.complete is None or math.isinf(self.complete) else int(self.complete)

    def problem(self, most: float) -> tuple[str, str] | None:
        """What is wrong with a lag of more than `most` seconds, and what to do about it; None where it is less."""
        if self.lag is None or self.lag <= most:
            return None
        if math.isinf(self.lag):
            return (
                "the server is a standby that has replayed nothing since it was started",
                "wait until it has caught up with its primary, or read the primary",
            )
        why, hint = _CAUSES[self.cause]
        return f"the server is a standby that is more than {span_text(most)} behind its primary: {why}", hint


_CAUSES: Mapping[Cause, tuple[str, str]] = {
    "": ("it has not replayed all that was written", "read the primary"),
    "paused": ("its replay is paused", "SELECT pg_catalog.pg_wal_replay_resume(); on the standby, or read the primary"),
    "cut off": (
        "it receives nothing from its primary",
        "see the standby's log; a standby that is fed from an archive lags by as much as a WAL file takes to fill "
        "(archive_timeout): raise database.max_replica_lag, or read the primary",
    ),
    "behind": (
        "it has received more than it has replayed",
        "look for long queries on the standby (max_standby_streaming_delay), a slow disk, or "
        "recovery_min_apply_delay; or read the primary",
    ),
}

PRIMARY = Replication(False, 0.0)
NOT_ASKED = Replication(False, None)
UNKNOWN = Replication(True, None)
"""A standby that does not report how far it is behind, which decides nothing."""


class ReplayTracker:
    """Judges a standby by what it reports now and reported before. For any thread, and all connections to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._receiver: int | None = None
        self._samples: list[tuple[float, int]] = []  # when the standby had received how much, and was connected

    def knows(self, receiver: int) -> bool:
        """Whether this process was receiving when the standby was judged last."""
        return receiver == self._receiver

    def forget(self) -> None:
        """Forget earlier reports: the server is a primary."""
        with self._lock:
            self._receiver = None
            self._samples.clear()

    def judge(self, clock: float, found: Positions) -> Replication:
        """How the standby stands at `clock`, the server's time in seconds since the epoch."""
        with self._lock:
            received = None if found.receiver is None else found.received
            if received is not None:
                self._remember(clock, received, found.receiver)
                # where another server behind the same name has received more, this one is not there yet
                if found.replayed is not None and self._samples[-1][1] <= found.replayed:
                    return Replication(True, 0.0)
            complete = min(self._complete(found), clock)
        cause: Cause = "paused" if found.paused else "cut off" if received is None else "behind"
        return Replication(True, clock - complete, complete, cause)

    def _remember(self, clock: float, received: int, receiver: int | None) -> None:
        if receiver != self._receiver:
            # it may receive from another primary now, whose positions are others
            self._receiver = receiver
            self._samples.clear()
        if self._samples and self._samples[-1][1] >= received:
            if self._samples[-1][1] > received:
                return
            self._samples.pop()
        self._samples.append((clock, received))
        if len(self._samples) > _MOST_SAMPLES:
            self._samples = _thinned(self._samples)

    def _complete(self, found: Positions) -> float:
        replayed = -1 if found.replayed is None else found.replayed
        reached = [at for at, position in self._samples if position <= replayed]
        # of those that are reached only the last one matters from now on
        self._samples = [s for s in self._samples if s[1] > replayed or s[0] == reached[-1]]
        times = [*reached[-1:], *([] if found.committed is None else [found.committed])]
        return max(times, default=-math.inf)


def _thinned(samples: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """At most half as many, evenly spread in time; the last one stays."""
    apart = 2 * (samples[-1][0] - samples[0][0]) / _MOST_SAMPLES
    kept = samples[:1]
    for sample in samples[1:-1]:
        if sample[0] - kept[-1][0] >= apart:
            kept.append(sample)
    return [*kept, samples[-1]]


class Standby:
    """Asks the server of one connection how it stands to its primary. For one thread.

    Call `ask` before the snapshot is taken, and `judge` after it: what was replayed then is in the snapshot.
    """

    def __init__(self, tracker: ReplayTracker) -> None:
        self._tracker = tracker
        self._refused: set[str] = set()
        self._found: Positions | None = None
        self._is_standby = False  # or may be one
        self._asked = 0.0

    def ask(self, connection: Connection[Any]) -> None:
        """Ask for the positions. A transaction that is open stays usable, whatever the server refuses."""
        found = self._ask(connection)
        if found is not None and found.receiver is not None and not self._tracker.knows(found.receiver):
            time.sleep(_SETTLING)
            known, found = found.receiver, self._ask(connection)
            if found is not None and found.receiver != known:
                found = replace(found, receiver=None)
        self._asked, self._found = time.monotonic(), found

    def judge(self, clock: float) -> Replication:
        """How the server stood when it was asked; `clock` is its time now, in seconds since the epoch."""
        if self._found is None:
            return UNKNOWN if self._is_standby else PRIMARY
        return self._tracker.judge(clock - (time.monotonic() - self._asked), self._found)

    def _ask(self, connection: Connection[Any]) -> Positions | None:
        """The positions; None on a primary, and where the server refuses to report them."""
        facts = self._facts(connection, [name for name in FACTS if name not in self._refused])
        self._is_standby = facts.get("standby") is not False
        if not facts.get("standby") or "received" not in facts or "replayed" not in facts:
            return None
        received, replayed = facts["received"], facts["replayed"]
        return Positions(
            None if received is None else int(received),
            None if replayed is None else int(replayed),
            facts.get("committed"),
            # where it does not report its receiver, assume one
            facts.get("receiver", 0),
            bool(facts.get("paused")),
        )

    def _facts(self, connection: Connection[Any], names: Sequence[str]) -> dict[str, Any]:
        """As many of these facts as the server reports, by name."""
        if not names:
            return {}
        statement = f"SELECT {', '.join(FACTS[name] for name in names)}".encode()
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        try:
            with contextlib.nullcontext() if idle else connection.transaction():
                row = connection.execute(statement).fetchone()
        except psycopg.Error as error:
            if error.sqlstate is None or connection.closed:
                raise
            if len(names) > 1:
                return {name: value for each in names for name, value in self._facts(connection, [each]).items()}
            if error.sqlstate[:2] in _REFUSED_FOR_GOOD:
                self._refused.update(names)
                return {}
            if error.sqlstate[:2] == _NO_LONGER:
                return {}
            raise
        return dict(zip(names, row or (), strict=True))
