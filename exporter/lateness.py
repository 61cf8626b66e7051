"""Late rows: a look at closed slices once a minute, at a bounded cost, and what is to be read again for it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg

from exporter.config import Classification
from exporter.database.errors import QueryTimeout
from exporter.database.log_query import LogTable
from exporter.database.probe_query import read_sums
from exporter.database.session import Session
from exporter.ledger.calendar import QUARTER
from exporter.ledger.model import Span
from exporter.ledger.probing import Round, Slices, Sums, Watch, judge, next_span, settle

INTERVAL = 60.0
"""Seconds from one round to the next, at least."""

SHARE = 0.1
"""The most that rounds may take of the time of one connection."""

OLDER_SHARE = 0.25
"""What older slices get of a round's time, where recent ones alone take all of it."""

_STATEMENT_SECONDS = 1.0
_LONGEST_STATEMENT = 96 * QUARTER


class LateRows:
    """When to look, how much of the log at once, and what differs. For one thread; `monotonic` tells seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._watch = Watch()
        self._next = 0.0
        self._length = 6 * QUARTER

    @property
    def watch(self) -> Watch:
        """What is remembered from one round to the next."""
        return self._watch

    @property
    def differ(self) -> bool:
        """Whether slices that differ wait to be read again."""
        return bool(self._watch.suspects)

    @property
    def due(self) -> bool:
        """Whether it is time for a round."""
        return self._monotonic() >= self._next

    def look(self, session: Session, log: LogTable, rules: Classification, asked: Round) -> dict[Span, Sums]:
        """The sums of the recent slices, and of as many older ones as the round's time allows.

        A statement that does not end in time ends the round, and the next one asks for less at once.
        """
        begun = self._monotonic()
        # a round that fails for another reason is not tried again at once either
        self._next = begun + INTERVAL
        found, whole = self._read(session, log, rules, asked.recent, None)
        if whole:
            spent = self._monotonic() - begun
            allowed = max(INTERVAL * SHARE - spent, spent * OLDER_SHARE / (1 - OLDER_SHARE))
            found |= self._read(session, log, rules, asked.older, allowed)[0]
        ended = self._monotonic()
        self._next = ended + max(INTERVAL, (ended - begun) * (1 / SHARE - 1))
        return found

    def judge(self, asked: Round, slices: Slices, found: dict[Span, Sums], sequence: int) -> None:
        """Take in what a round has found; `slices` are those of the state now."""
        self._watch = judge(self._watch, asked, slices, found, sequence)

    def next_span(self, slices: Slices, length: int) -> Span | None:
        """What is to be read again first, at most `length` seconds of it; None where nothing is."""
        span = next_span(self._watch, slices, length)
        if span is None and self._watch.suspects:
            # all of them have been read since, for another reason
            self._watch = replace(self._watch, suspects=())
        return span

    def was_read(self, slices: Slices, span: Span, seconds: float) -> None:
        """A span was read, which took so many seconds; `slices` are those of the state after it.

        Where that was for late rows the next round waits as long: a table that changes all the time, or whose figures
        are never twice the same, takes no more than half of the time.
        """
        suspects = self._watch.suspects
        self._watch = settle(self._watch, slices, span)
        if self._watch.suspects != suspects:
            self._next += seconds

    def _read(
        self, session: Session, log: LogTable, rules: Classification, spans: Sequence[Span], seconds: float | None
    ) -> tuple[dict[Span, Sums], bool]:
        """The sums of the spans, in as many statements as needed, and whether time sufficed for all of them."""
        found: dict[Span, Sums] = {}
        begun = self._monotonic()
        left = list(spans)
        while left:
            if seconds is not None and self._monotonic() - begun >= seconds:
                return found, False
            part = [left.pop(0)]
            while left and sum(span.hi - span.lo for span in (*part, left[0])) <= self._length:
                part.append(left.pop(0))
            asked_at = self._monotonic()
            try:
                with session.savepoint():
                    found |= read_sums(session, log, rules, part)
            except (psycopg.errors.QueryCanceled, QueryTimeout):
                self._length = max(QUARTER, self._length // 4)
                return found, False
            self._learn(self._monotonic() - asked_at)
        return found, True

    def _learn(self, seconds: float) -> None:
        if seconds > _STATEMENT_SECONDS:
            self._length = max(QUARTER, self._length // 2)
        elif seconds < _STATEMENT_SECONDS / 4:
            self._length = min(_LONGEST_STATEMENT, self._length * 2)
