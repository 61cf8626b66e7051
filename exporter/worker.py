"""The background reader: the first reading, gaps, merges, re-reads, a changed configuration, probes."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from zoneinfo import ZoneInfo

import psycopg

from exporter.announcer import Announcer
from exporter.books import Books
from exporter.config import Classification, Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, QueryTimeout, SchemaProblem, TableLocked, translate
from exporter.database.log_query import LogTable
from exporter.database.reader import read_span, read_undated
from exporter.database.session import Database, Session
from exporter.ledger import agenda
from exporter.ledger.aggregate import Field
from exporter.ledger.calendar import MINUTE, QUARTER, day_of, day_start
from exporter.ledger.model import RUNNING, STARTING, Minute, Read, Span, State
from exporter.ledger.rebase import rebase_span
from exporter.pace import Pace

log = logging.getLogger(__name__)

PROBE_INTERVAL = 60.0
DRIFT_INTERVAL = 3600.0
REBASE_SECONDS = 1800.0
"""The most that reading everything under a changed configuration may take: it must come from one snapshot."""


class Worker:
    """A thread that does one chunk at a time, each in a transaction of its own. It never holds up a scrape.

    `primaries` gives the primary models of the routes in force, by operation.
    """

    def __init__(
        self,
        config: Config,
        info: ConnInfo,
        books: Books,
        announcer: Announcer,
        primaries: Callable[[], Mapping[str, str]],
    ) -> None:
        self._config = config
        self._info = info
        self._books = books
        self._announcer = announcer
        self._primaries = primaries
        self._database = Database(info, config.database.connect_timeout, "ai-operation-exporter-worker")
        self._pace = Pace(config.worker.statement_budget)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._next_probe = 0.0
        self._next_drift = time.monotonic() + PROBE_INTERVAL
        self._drift_day = 0
        self._said_progress = -1
        self.drift: int | None = None
        self.catching_up_from: int | None = None
        self.clock = 0

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or has not been started yet."""
        return self._thread.ident is None or self._thread.is_alive()

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """End the present chunk, and wait so many seconds for it at most."""
        self._stopping.set()
        self._database.abort()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._turn())
        self._database.close()

    def _turn(self) -> float:
        """One chunk, if there is one; returns the seconds to wait before the next."""
        pace = self._pace
        try:
            self._books.retry()
            busy = self.step()
        except TableLocked as error:
            pace.failures += 1
            self._announcer.failed("background reader", str(error))
            return pace.backoff
        except QueryTimeout as error:
            pace.timed_out()
            self._announcer.failed("background reader", f"{error}; reading less at once")
            return pace.backoff
        except DatabaseError as error:
            if self._stopping.is_set():
                return 0.0
            pace.failures += 1
            self._announcer.failed("background reader", str(error))
            return pace.backoff
        except Exception as error:
            pace.failures += 1
            self._announcer.broke("background reader", error)
            return pace.backoff
        pace.failures = 0
        self._announcer.works("background reader")
        return 0.0 if busy else self._config.worker.pause

    def step(self) -> bool:
        """Do the most urgent piece of work; False where there is none. Raises `DatabaseError`."""
        books = self._books
        seconds = REBASE_SECONDS if books.must_rebase else self._pace.statement_seconds * (QUARTER // MINUTE)
        with self._database.session(seconds, statement_seconds=self._pace.statement_seconds) as session:
            clock = self.clock = books.believe(session.clock).now
            # the state must be of the table that is configured now, before anything is read
            table = session.log(books.wanted)
            state = books.open(session.identity(table), clock)
            if books.must_rebase:
                old_table = self._old_table(session)
                if old_table is None or agenda.is_current(state.progress, clock):
                    self._rebase(session, state, clock, old_table)
                    return True
                table = old_table
            with books.reading():
                span = self._next_span(state, clock)
                now = agenda.present(state.progress, clock)
            if span is not None:
                with self._old_settings(session):
                    self._read(session, table, state, span, now)
                return True
            self._probe(session, table, state)
            return False

    def _old_table(self, session: Session) -> LogTable | None:
        """The log as the old settings have it; None where they name what is gone, so that rows are taken as known."""
        if not self._books.knows_old:
            return None
        try:
            return session.log(self._books.classification)
        except SchemaProblem:
            return None

    @contextlib.contextmanager
    def _old_settings(self, session: Session) -> Iterator[None]:
        """A part that reads by settings which may be changed already: if they are what fails, they are given up."""
        try:
            with session.savepoint():
                yield
        except psycopg.Error as error:
            problem = translate(error, self._info)
            if self._books.must_rebase and isinstance(problem, SchemaProblem):
                self._books.forget_old()
                log.warning(
                    "the log cannot be read by the settings that were in force (%s): rows dated before the last read "
                    "and written after it are shown as spend and in no counter",
                    problem.message,
                )
            raise

    def _next_span(self, state: State, clock: int) -> Span | None:
        books, length = self._books, self._pace.length
        if (span := agenda.catch_up(state, clock, length)) is not None:
            if self.catching_up_from is None:
                self.catching_up_from = state.progress.position
                log.info("catching up %d s of the log in the background", clock - state.progress.position)
            self._say_progress(state, clock)
            return span
        if self.catching_up_from is not None:
            log.info("caught up")
            self.catching_up_from = None
        if state.progress.phase == STARTING:
            return agenda.front(state, clock, books.rules)
        if books.must_rebase:
            return None
        return agenda.next_merge(state, length) or agenda.next_reread(state, clock, books.rules, length, books.safe_now)

    def _read(self, session: Session, table: LogTable, state: State, span: Span, now: int) -> None:
        books, pace = self._books, self._pace
        begun = time.monotonic()
        # only what is merged already can be read by the quarter: other slices are still minutes
        width = QUARTER if span.hi <= state.progress.merged and pace.split is None else MINUTE
        minutes = read_span(session, table, books.classification, span, width=width, piece=pace.split)
        pace.took(time.monotonic() - begun)
        books.record(Read(span, now, minutes, self._primaries(), session.sequence))

    def _rebase(self, session: Session, state: State, clock: int, old_table: LogTable | None) -> None:
        """Read everything by the old settings for the last time, and by the new ones, out of one snapshot."""
        books, now = self._books, agenda.present(state.progress, clock)
        log.info("the settings that classify rows have changed: reading the log by the new ones")
        last = None
        position = state.progress.position
        if old_table is not None:
            span = Span(state.progress.folded, now + 1)
            with self._old_settings(session):
                minutes = self._read_all(session, old_table, books.classification, span, state)
            last = Read(span, now, minutes, {}, session.sequence)
            position = max(position, span.hi)
        table = session.log(books.wanted)
        span = Span(rebase_span(state, books.wanted_rules).lo, position)
        minutes = self._read_all(session, table, books.wanted, span, state)
        books.record_rebase(last, Read(span, now, minutes, {}, session.sequence))
        log.info("the new settings are in force; no counter has moved")

    def _read_all(
        self, session: Session, table: LogTable, rules: Classification, span: Span, state: State
    ) -> dict[int, Minute]:
        split, merged = self._pace.split, state.progress.merged
        piece = split or self._pace.length
        minutes: dict[int, Minute] = {}
        if span.lo < merged:
            quarters = Span(span.lo, min(merged, span.hi))
            minutes.update(read_span(session, table, rules, quarters, width=MINUTE if split else QUARTER, piece=piece))
        if span.hi > merged:
            minutes.update(read_span(session, table, rules, Span(max(span.lo, merged), span.hi), piece=piece))
        return minutes

    def _probe(self, session: Session, table: LogTable, state: State) -> None:
        """What is looked at now and then: rows without a usable time, and whether past days still agree."""
        now = time.monotonic()
        if now >= self._next_probe:
            self._next_probe = now + PROBE_INTERVAL
            self._books.note_skips(read_undated(session, table))
        if now >= self._next_drift and state.progress.phase == RUNNING:
            self._next_drift = now + DRIFT_INTERVAL
            self._sample_drift(session, table, state)

    def _sample_drift(self, session: Session, table: LogTable, state: State) -> None:
        """SQL less the ledger for one past day, another one each time; in money units."""
        books = self._books
        zone = books.rules.zone
        with books.reading():
            days = _whole_days(state, zone)
        if not days:
            return
        day = next((day for day in days if day > self._drift_day), days[0])
        self._drift_day = day
        span = Span(day_start(day, zone), day_start(day + 1, zone))
        minutes = read_span(
            session, table, books.classification, span, width=QUARTER, piece=max(QUARTER, self._pace.length)
        )
        logged = sum(cell[Field.COST] for minute in minutes.values() for cell in minute.cells.values())
        with books.reading():
            known = sum(units for (of, _), units in state.days.items() if of == day)
        self.drift = logged - known

    def _say_progress(self, state: State, clock: int) -> None:
        begun = self.catching_up_from or state.progress.began
        percent = 100 * (state.progress.position - begun) // max(1, clock - begun)
        if percent // 10 != self._said_progress // 10:
            log.info("read %d %% of what is to be caught up", percent)
        self._said_progress = percent


def _whole_days(state: State, zone: ZoneInfo) -> list[int]:
    """The past days whose sums the ledger holds whole."""
    progress = state.progress
    today = day_of(progress.now, zone)
    return [
        day
        for day in sorted({day for day, _ in state.days})
        if day < today and day_start(day, zone) >= progress.began and day_start(day + 1, zone) <= progress.merged
    ]
