"""Late rows: probe closed slices once a minute at a bounded cost, and decide what to read again."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg

from exporter.config import Classification
from exporter.database.errors import QueryTimeout
from exporter.database.log_table import LogTable
from exporter.database.probe_query import read_sums
from exporter.database.session import Session
from exporter.ledger.calendar import HOUR, QUARTER_HOUR
from exporter.ledger.model import TimeRange
from exporter.ledger.probing import ProbeMemory, Round, Slices, Sums, judge, next_span, settle

INTERVAL = 60.0
"""Seconds from one round to the next, at least."""

SHARE = 0.1
"""The largest share of one connection's time that rounds may take."""

OLDER_SHARE = 0.25
"""The share of a round's time that older slices get even if recent ones use up all of it."""

READ_SHARE = 0.25
"""The largest share of one connection's time that reading again may take, averaged over `BURST` seconds."""

BURST = 60.0
"""Seconds, see `READ_SHARE`."""

_STATEMENT_SECONDS = 1.0


class LateRows:
    """Decides when to probe, how much of the log at once, and what differs. For one thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._memory = ProbeMemory()
        self._next = 0.0
        self._next_read = 0.0
        self._owes_read = False
        self._length = 6 * QUARTER_HOUR
        # what was once too much is not tried again: it would save a few round trips and cost a round
        self._longest = 24 * HOUR

    @property
    def memory(self) -> ProbeMemory:
        """What is remembered from one round to the next."""
        return self._memory

    @property
    def busy(self) -> bool:
        """Whether there are slices to read again now."""
        return bool(self._memory.suspects) and self._may_read

    @property
    def rests_until(self) -> float:
        """A moment of the clock up to which there is nothing to do."""
        return self._monotonic() if self._memory.suspects else self._next

    @property
    def due(self) -> bool:
        """Whether it is time for a round: what the last one has found is read first, however often they are."""
        return self._monotonic() >= self._next and not (self._owes_read and self.busy)

    def look(
        self, session: Session, log: LogTable, classification: Classification, asked: Round
    ) -> dict[TimeRange, Sums]:
        """The sums of the recent slices, and of as many older ones as the round's time allows.

        A statement that does not end in time is split; a single slice that is still too slow is left out.
        """
        begun = self._monotonic()
        self._owes_read = True
        # a round that fails for another reason is not tried again at once either
        self._next = begun + INTERVAL
        found = self._read(session, log, classification, asked.recent, math.inf)
        spent = self._monotonic() - begun
        allowed = max(INTERVAL * SHARE - spent, spent * OLDER_SHARE / (1 - OLDER_SHARE))
        found |= self._read(session, log, classification, asked.older, allowed)
        ended = self._monotonic()
        self._next = ended + max(INTERVAL, (ended - begun) * (1 / SHARE - 1))
        return found

    def judge(self, asked: Round, slices: Slices, found: dict[TimeRange, Sums], sequence: int) -> None:
        """Record what a round has found; `slices` are those of the current state."""
        self._memory = judge(self._memory, asked, slices, found, sequence)

    def next_span(self, slices: Slices, length: int) -> TimeRange | None:
        """What to read again next, at most `length` seconds of it; None if there is nothing, or not yet."""
        if not self._may_read:
            return None
        span = next_span(self._memory, slices, length)
        self._owes_read = self._owes_read and span is None
        if span is None and self._memory.suspects:
            # all of them have been read since, for another reason
            self._memory = replace(self._memory, suspects=())
        return span

    def was_read(self, slices: Slices, span: TimeRange, seconds: float) -> None:
        """Note that reading a span took so many seconds; `slices` are those of the state after it.

        If it was read for late rows, the next such read waits until `READ_SHARE` is kept.
        """
        suspects = self._memory.suspects
        self._memory = settle(self._memory, slices, span)
        if self._memory.suspects != suspects:
            self._next_read = max(self._next_read, self._monotonic() - BURST) + seconds / READ_SHARE

    @property
    def _may_read(self) -> bool:
        return self._monotonic() >= self._next_read

    def _read(
        self,
        session: Session,
        log: LogTable,
        classification: Classification,
        spans: Sequence[TimeRange],
        seconds: float,
    ) -> dict[TimeRange, Sums]:
        """The sums of the spans, in order, by as many statements as begin within so many seconds."""
        found: dict[TimeRange, Sums] = {}
        until = self._monotonic() + seconds
        left = list(spans)
        while left and self._monotonic() < until:
            part = self._first(left)
            asked_at = self._monotonic()
            try:
                found |= read_sums(session, log, classification, part)
            except QueryTimeout:
                break
            except psycopg.errors.QueryCanceled:
                self._longest = self._length = max(QUARTER_HOUR, _length(part) // 2)
                if len(part) > 1:
                    continue
                # not even one slice could be summed in time: leave it out, the next one may be smaller
            else:
                self._learn(self._monotonic() - asked_at)
            del left[: len(part)]
        return found

    def _first(self, spans: Sequence[TimeRange]) -> Sequence[TimeRange]:
        """As many of the first spans as one statement should take, and one at least."""
        number = 1
        while number < len(spans) and _length(spans[: number + 1]) <= self._length:
            number += 1
        return spans[:number]

    def _learn(self, seconds: float) -> None:
        if seconds > _STATEMENT_SECONDS:
            self._length = max(QUARTER_HOUR, self._length // 2)
        elif seconds < _STATEMENT_SECONDS / 4:
            self._length = min(self._longest, self._length * 2)


def _length(spans: Sequence[TimeRange]) -> int:
    return sum(span.hi - span.lo for span in spans)
