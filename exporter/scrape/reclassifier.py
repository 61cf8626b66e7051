"""Reading for changed settings: a stretch by the ones in force and by the ones that are wanted, out of one snapshot."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import psycopg

from exporter.config import Classification
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, MissingGrant, NotVisible, SchemaProblem, translate
from exporter.database.log_query import Moved
from exporter.database.log_table import LogTable
from exporter.database.reader import SpanRows, read_rows, read_span
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.ledger import schedule
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR, day_start, first_user_day
from exporter.ledger.model import LedgerSettings, SpanRead, State, TimeRange
from exporter.ledger.reclassify import AHEAD, Reads, Stretch, last_span, next_stretch
from exporter.ledger.shadow import Reclassification
from exporter.scrape.adaptive_chunk import AdaptiveChunk
from exporter.scrape.ledger_service import LedgerService

log = logging.getLogger(__name__)

UNREADABLE = (SchemaProblem, MissingGrant, NotVisible)
"""Failures that last: of settings which the database cannot be read by, and not of a moment."""

Records = tuple[Callable[[], None], ...]
"""What is to be called once the transaction has ended."""


@dataclass(frozen=True)
class Sources:
    """The log as the wanted settings have it, and as those in force have it; None where these cannot be read by."""

    new: LogTable
    old: LogTable | None


@contextlib.contextmanager
def give_up_old(session: Session, ledger: LedgerService, info: ConnInfo, now: int) -> Iterator[None]:
    """A part that reads by the settings in force while others are wanted: if they are what fails, they are given up.

    They are not where the wanted ones cannot be read by either, nor where the database has no time or is gone.
    """
    failure: DatabaseError | None = None
    try:
        with session.savepoint():
            yield
    except psycopg.Error as error:
        failure = None if session.lost else translate(error, info)
        if not isinstance(failure, UNREADABLE):
            raise
    except UNREADABLE as error:
        failure = error
    if failure is not None:
        prove_new(session, ledger, now)
        ledger.forget_old(failure.message)


def prove_new(session: Session, ledger: LedgerService, now: int) -> LogTable:
    """See that the log can be read by the wanted settings. Raises `DatabaseError` or the driver's error."""
    table = session.log(ledger.wanted)
    read_span(session, table, ledger.wanted, TimeRange(now, now + 1))
    return table


class Reclassifier:
    """Chooses the next stretch and reads it. For one thread."""

    def __init__(
        self,
        ledger: LedgerService,
        chunk: AdaptiveChunk,
        database: Database,
        primaries: Callable[[], Mapping[str, str]],
    ) -> None:
        self._ledger = ledger
        self._database = database
        self._chunk = chunk
        self._primaries = primaries
        self._said = -1

    def read(self, session: Session, sources: Sources, state: State, now: int) -> Records | None:
        """Read the next stretch; None while nothing can be done, since the disk is to catch up first."""
        ledger, moved = self._ledger, self._is_moved(sources)
        going = ledger.resume_reclassification(moved=moved)
        if going is None:
            return None
        self._say_progress()
        with ledger.reading():
            stretch = next_stretch(state, going, self._chunk.length)
        if stretch is not None:
            reads = self._read_both(session, sources, state, going, stretch, now)
            return () if reads is None else (lambda: ledger.convert(going, stretch, reads),)
        if sources.old is None:
            return (lambda: ledger.conclude(going, None),)
        last = Stretch(last_span(state, going, now))
        both = self._read_both(session, sources, state, going, last, now, last=True)
        return () if both is None else (lambda: ledger.conclude(going, both),)

    def _is_moved(self, sources: Sources) -> bool:
        """Whether the wanted settings give the rows of the same table other times.

        Where those in force cannot be read by, only their zone says so: another column may have the same times.
        """
        old, new = sources.old, sources.new
        if old is not None and old.relation.oid != new.relation.oid:
            return False
        if old is not None and (old.columns["time"], old.time_unit) != (new.columns["time"], new.time_unit):
            return True
        zones = self._ledger.classification.log_time_zone, self._ledger.wanted.log_time_zone
        return not new.has_zone and zones[0] != zones[1]

    def _read_both(
        self,
        session: Session,
        sources: Sources,
        state: State,
        going: Reclassification,
        stretch: Stretch,
        now: int,
        *,
        last: bool = False,
    ) -> Reads | None:
        """One stretch by both settings; None where it holds too much to be read at once."""
        ledger, begun = self._ledger, time.monotonic()
        old = None
        if sources.old is not None and not stretch.history:
            width = MINUTE if last else schedule.read_width(state.progress, stretch.span, now, ledger.settings)
            old = self._read_old(session, stretch.span, now, width)
            if old is None:
                return None
        # what was proven of the rows that are visible holds for the table that was looked at last
        new_table = session.log(ledger.wanted)
        moved = self._moved(sources, state, going, stretch, now)
        width = QUARTER_HOUR if stretch.span.hi <= state.progress.merged else MINUTE
        more = self._read(session, new_table, ledger.wanted, ledger.wanted_settings, stretch.span, now, width, moved)
        if more is None:
            return None
        self._chunk.took(time.monotonic() - begun, more.rows, stretch.span.hi - stretch.span.lo)
        routes = self._primaries()
        new = SpanRead(
            span=stretch.span,
            now=now,
            buckets=more.buckets,
            routes=routes,
            sequence=session.sequence,
            complete=session.replication.complete_until,
        )
        return Reads(old and replace(old, routes=routes), new)

    def _read_old(self, session: Session, span: TimeRange, now: int, width: int) -> SpanRead | None:
        ledger = self._ledger
        with give_up_old(session, ledger, self._database.info, now):
            table = session.log(ledger.classification)
            found = self._read(session, table, ledger.classification, ledger.settings, span, now, width)
            complete = session.replication.complete_until
            return (
                None
                if found is None
                else SpanRead(
                    span=span,
                    now=now,
                    buckets=found.buckets,
                    routes={},
                    sequence=session.sequence,
                    width=width,
                    complete=complete,
                )
            )
        return None

    def _moved(
        self, sources: Sources, state: State, going: Reclassification, stretch: Stretch, now: int
    ) -> Moved | None:
        if not going.moved or sources.old is None:
            return None
        return Moved(
            log=sources.old,
            classification=self._ledger.classification,
            kept=TimeRange(going.lo, now + AHEAD),
            merged=state.progress.merged,
            before=going.start if stretch.history else None,
        )

    def _read(
        self,
        session: Session,
        table: LogTable,
        classification: Classification,
        settings: LedgerSettings,
        span: TimeRange,
        now: int,
        width: int,
        moved: Moved | None = None,
    ) -> SpanRows | None:
        """Read a span by one of both; None, and less at once the next time, where it has too many rows."""
        chunk = self._chunk
        found = read_rows(
            session,
            table,
            classification,
            span,
            width=width,
            piece=chunk.split,
            most=chunk.most_rows,
            # rows that are dated otherwise may be of any day
            users_since=0 if moved else day_start(first_user_day(now, settings.zone), settings.zone),
            moved=moved,
            prices=self._ledger.prices,
        )
        if found is None:
            chunk.too_many()
        return found

    def _say_progress(self) -> None:
        percent = int(100 * self._ledger.reclassified_ratio)
        if self._said < 0:
            why = (
                "its sums must be made anew"
                if self._ledger.sums_are_stale
                else "the settings that classify rows changed"
            )
            log.info("reading the log again: %s", why)
        elif percent // 10 > self._said // 10:
            log.info("read %d %% of the log by the new settings", percent)
        self._said = percent
