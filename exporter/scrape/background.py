"""The background reader: the first reading, gaps, merges, re-reads, a changed configuration, probes."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import psycopg

from exporter.config import Config
from exporter.database.errors import DatabaseError, PlanOutdated, QueryTimeout, TableLocked
from exporter.database.log_table import LogTable
from exporter.database.login import Login
from exporter.database.reader import has_rows, read_rows, read_undated
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.humanize import span_text
from exporter.ledger import schedule
from exporter.ledger.calendar import HOUR, QUARTER_HOUR, day_start, first_user_day, floor_to
from exporter.ledger.history import next_day, read_width
from exporter.ledger.model import Bucket, Phase, Slice, SpanRead, State, TimeRange
from exporter.ledger.probing import next_round
from exporter.ledger.today import next_of_today, today_settings
from exporter.scrape.adaptive_chunk import LONGEST_CHUNK, AdaptiveChunk
from exporter.scrape.anomalies import AnomalyWatch
from exporter.scrape.drift import DriftSampler
from exporter.scrape.forecasting import Forecaster
from exporter.scrape.heap import give_back
from exporter.scrape.hourly import HourlyHistory
from exporter.scrape.lateness import LateRows
from exporter.scrape.ledger_service import LedgerService
from exporter.scrape.periods import PastSpendReader, PeriodBoard
from exporter.scrape.reclassifier import Reclassifier, Sources, give_up_old
from exporter.state_change_log import StateChangeLog

log = logging.getLogger(__name__)

PROBE_INTERVAL = 60.0
DRIFT_INTERVAL = 3600.0

IDLE_PAUSES = 10
"""How many pauses a rest has at most while nothing is due, unless a scrape ends it: time alone makes little due."""

_MUCH = 20
"""So many pieces of work in a row leave memory behind that nothing needs afterwards."""

_PATIENCE = 5.0
"""Seconds that a probe waits for a transaction that is due for something else."""


@dataclass(frozen=True)
class Work:
    """A piece of work whose reading is done: `records` are called in order, once its transaction has ended.

    `busy` says that there may be more to do at once.
    """

    records: tuple[Callable[[], None], ...]
    busy: bool


class BackgroundReader:
    """A thread that does one chunk at a time, each in a transaction of its own. It never holds up a scrape.

    `primaries` gives the primary models of the routes in force, by operation, `limited` the users with a limit,
    and `board` has the budgets with a period.
    """

    def __init__(
        self,
        config: Config,
        login: Login,
        ledger: LedgerService,
        change_log: StateChangeLog,
        primaries: Callable[[], Mapping[str, str]],
        limited: Callable[[], Iterable[str]] = tuple,
        board: PeriodBoard | None = None,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._change_log = change_log
        self._primaries = primaries
        self._database = Database(
            login, config.database.connect_timeout, "ai-operation-exporter-worker", config.tables.accept_unproven
        )
        self._chunk = AdaptiveChunk(config.worker.statement_budget)
        self._late_rows = LateRows()
        self.hourly = HourlyHistory(config, ledger, self._database, change_log, limited)
        self.past_spend = PastSpendReader(config, ledger, self._database, change_log, board or PeriodBoard())
        self.forecaster = Forecaster(ledger)
        self.anomalies = AnomalyWatch(ledger, self.hourly, change_log)
        self._reclassifier = Reclassifier(ledger, self._chunk, self._database, primaries)
        self._stopping = threading.Event()
        self._rested = threading.Event()  # set: there is something to do before the rest is over
        self._news = threading.Event()  # set: there may be something to do
        self._waits_for_database = self._idle = False
        self._by_day = True  # no more once the history has more series than get a place of their own at once
        login.subscribe(self.wake)
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._asks_ahead = True  # whether the days to come have rows at all
        self._must_ask = True  # what the last turn found does not say what is due
        self._next_probe = 0.0
        self._next_drift = time.monotonic() + PROBE_INTERVAL
        self._drift = DriftSampler(ledger)
        self._said_progress = -1
        self.catching_up_from: int | None = None
        self.clock = 0

    @property
    def alive(self) -> bool:
        """Whether the thread runs, or has not been started yet."""
        return self._thread.ident is None or self._thread.is_alive()

    @property
    def drift(self) -> int | None:
        """Money units by which the log's past days differ from the ledger's, as sampled last; None before that."""
        return self._drift.drift

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, seconds: float = 1.0) -> None:
        """End the present chunk, and wait so many seconds for it at most."""
        self._stopping.set()
        self._rested.set()
        self._news.set()
        self._database.abort()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def wake(self) -> None:
        """End a rest early that was taken because the database did not let this read: others get through again."""
        if self._waits_for_database and threading.current_thread() is not self._thread:
            self._rested.set()

    def look(self) -> None:
        """Look for work once the pause is over: a scrape may have found some."""
        self._news.set()

    def _run(self) -> None:
        pieces = 0
        while not self._stopping.is_set():
            self._news.clear()
            pause = self._turn()
            if self._idle and pieces >= _MUCH:
                give_back()
            pieces = 0 if self._idle else pieces + 1
            self._rested.wait(pause)
            self._rested.clear()
            if (seconds := self._idle_seconds()) > 0:
                self._news.wait(seconds)
        self._database.close()

    def _idle_seconds(self) -> float:
        """For how long nothing falls due but by a scrape, beyond the pause."""
        ledger = self._ledger
        if self._stopping.is_set() or not self._idle or ledger.must_retry or ledger.must_reclassify:
            return 0.0
        due = min(self._next_probe + _PATIENCE, self._next_drift, self._late_rows.rests_until) - time.monotonic()
        return min(due, (IDLE_PAUSES - 1) * self._config.worker.pause)

    def _turn(self) -> float:
        """One chunk, if there is one; returns the seconds to wait before the next."""
        chunk = self._chunk
        waits_for_database = False
        try:
            self._ledger.retry()
            self._ledger.pack_days()
            busy = self._is_due() and self.step()
            history = not busy and self._step_history()
            self.forecaster.refresh(self.hourly.totals)
            if not busy and not history:
                self.anomalies.step()
        except TableLocked as error:
            chunk.failures += 1
            waits_for_database = True
            self._change_log.failed("background reader", str(error))
            return chunk.backoff
        except QueryTimeout as error:
            chunk.timed_out()
            self._change_log.failed("background reader", f"{error}; reading less at once")
            return chunk.backoff
        except DatabaseError as error:
            if self._stopping.is_set():
                return 0.0
            chunk.failures += 1
            waits_for_database = True
            self._change_log.failed("background reader", str(error))
            return chunk.backoff
        except Exception as error:
            chunk.failures += 1
            self._change_log.broke("background reader", error)
            return chunk.backoff
        finally:
            # only now: who gets through while this turn fails ends the rest after it
            self._waits_for_database = waits_for_database
            self._must_ask, self._idle = True, False
        self._must_ask, self._idle = False, not busy and not history
        chunk.failures = 0
        self._change_log.works("background reader")
        return 0.0 if busy else self._config.worker.pause

    def _step_history(self) -> bool:
        """Do what is due of what is not the ledger's; False where nothing is."""
        if (past := self.past_spend.due) or self.hourly.due:
            (self.past_spend if past else self.hourly).step()
            return True
        return False

    def _is_due(self) -> bool:
        """Whether there is something to do now, as far as can be told without asking the database."""
        moment = time.monotonic()
        if self._must_ask or self._late_rows.due or self._late_rows.busy or self.catching_up_from is not None:
            return True
        if moment >= min(self._next_probe + _PATIENCE, self._next_drift):
            return True
        ledger, state, now = self._ledger, self._ledger.present, self._ledger.expected_now
        if state is None or now is None or ledger.must_reclassify:
            return True
        with ledger.reading():
            return self._urgent_span(state, now) is not None

    def step(self) -> bool:
        """Do the most urgent piece of work; False where there is none. Raises `DatabaseError`."""
        seconds = self._seconds
        # what is left in any case is for the routes, which are read after the log
        longest = min(self._chunk.statement_seconds, 0.8 * seconds)
        tables = [(self._ledger.wanted.log_table, None)]
        try:
            with self._database.session(seconds, statement_seconds=longest, tables=tables) as session:
                work = self._read_next(session)
        except PlanOutdated:
            self._drift.forget()
            raise
        # no transaction is open while the ledger computes or the disk is written
        for record in work.records:
            record()
        return work.busy or self._late_rows.busy

    @property
    def _seconds(self) -> float:
        """The most that one transaction may take."""
        return self._chunk.transaction_seconds(self._config.scrape.timeout)

    def _read_next(self, session: Session) -> Work:
        """Choose the most urgent piece of work, and read what it needs."""
        ledger = self._ledger
        clock = self.clock = ledger.believe(session.clock, session.replication).now
        # the state must be of the table that is configured now, before anything is read
        table = session.log(ledger.wanted)
        state = ledger.open(session.identity(table), clock)
        if session.replication.problem(self._config.database.max_replica_lag) is not None:
            # rows that a standby lacks are not late or deleted, and a gap cannot be caught up from it
            return Work((), busy=False)
        now = schedule.present(state.progress, clock)
        if ledger.must_reclassify:
            return self._read_by_both(session, table, state, now)
        if (records := self._read_today(session, table, clock)) is not None:
            return Work(records, busy=True)
        with ledger.reading():
            span = None if self._must_look(state, clock) else self._next_span(state, clock)
        if span is not None:
            return Work(self._read_on(session, table, state, span, now), busy=True)
        return Work(tuple(self._probes(session, table, state, now)), busy=False)

    def _read_by_both(self, session: Session, new: LogTable, state: State, now: int) -> Work:
        """What is urgent by the settings in force, as long as they can be read by; else the next stretch by both."""
        ledger = self._ledger
        if state.progress.phase == Phase.STARTING:
            return Work((lambda: ledger.begin_anew(now),), busy=True)
        old = None
        with give_up_old(session, ledger, self._database.info, now):
            if ledger.knows_old:
                old = session.log(ledger.classification)
                if (work := self._urgent_by_old(session, old, state, now)) is not None:
                    return work
        if not ledger.knows_old:
            old, self.catching_up_from = None, None
        records = self._reclassifier.read(session, Sources(new, old), state, now)
        return Work(records or (), busy=records is not None)

    def _urgent_by_old(self, session: Session, old: LogTable, state: State, now: int) -> Work | None:
        """Late rows, gaps, merges and re-reads, which do not wait for changed settings to be in force."""
        with self._ledger.reading():
            look = self._must_look(state, now)
            span = None if look else self._next_span(state, now)
        if look:
            return Work((self._look_for_late_rows(session, old, state, now),), busy=True)
        return None if span is None else Work(self._read(session, old, state, span, now), busy=True)

    def _next_span(self, state: State, clock: int) -> TimeRange | None:
        """The most urgent span, or None. Says when a gap begins to be caught up, and when it has been."""
        if not schedule.is_current(state.progress, clock):
            if self.catching_up_from is None:
                self.catching_up_from = state.progress.position
                log.info("reading %s of the log in the background", span_text(clock - state.progress.position))
            self._say_progress(state, clock)
        elif self.catching_up_from is not None:
            log.info("caught up")
            self.catching_up_from = None
        return self._urgent_span(state, clock)

    def _urgent_span(self, state: State, clock: int) -> TimeRange | None:
        ledger, length = self._ledger, self._chunk.length
        safe = ledger.time.safe(clock)
        if self._by_day and (span := next_day(state.progress, ledger.settings, safe, length)) is not None:
            return span
        if (span := schedule.catch_up(state, clock, length)) is not None:
            return span
        if state.progress.phase == Phase.STARTING:
            return schedule.front(state, clock, ledger.settings)
        return (
            schedule.next_merge(state, length)
            or self._late_rows.next_span(state.slices, length)
            or schedule.next_reread(state, clock, ledger.settings, length, safe)
        )

    def _read_today(self, session: Session, table: LogTable, clock: int) -> tuple[Callable[[], None], ...] | None:
        """Read on in the current day, which a first reading shows first; None where there is nothing to do."""
        ledger = self._ledger
        today = ledger.today(clock)
        if today is None:
            return None
        settings, safe = today_settings(ledger.settings), ledger.time.safe(clock)
        span = next_of_today(today, clock, safe, settings, self._chunk.length)
        if span is None:
            return None
        now = schedule.present(today.progress, clock)
        width = read_width(today.progress, span, now, settings, safe)
        read, by = self._read_span(session, table, span, now, width), ledger.classification
        return () if read is None else (lambda: ledger.record_today(read, by),)

    def _read_on(
        self, session: Session, table: LogTable, state: State, span: TimeRange, now: int
    ) -> tuple[Callable[[], None], ...]:
        """Read a span. After a past day that took no time, read the days that follow in the same transaction.

        The ledger takes each day that comes next, and nothing of one that does not. A log that is younger than the
        month is asked once whether the days that follow have rows at all, and not day by day.
        """
        settings, safe, progress = self._ledger.settings, self._ledger.time.safe(now), state.progress
        until = time.monotonic() + self._config.worker.statement_budget / 2
        is_day = self._by_day and next_day(progress, settings, safe, span.hi - span.lo) == span
        records = read = self._read(session, table, state, span, now)
        more: bool | None = None
        while is_day and read and time.monotonic() < until:
            progress = replace(progress, position=span.hi, compacted=span.hi)
            # where there are no rows, a day takes no longer than an hour of it
            length = LONGEST_CHUNK if more is False else self._chunk.length
            following = next_day(progress, settings, safe, length)
            if following is None:
                break
            span, state = following, replace(state, progress=progress)
            if more is None:
                past = TimeRange(span.lo, floor_to(safe - settings.horizon, QUARTER_HOUR))
                more = self._has_more(session, table, past)
            read = self._read(session, table, state, span, now) if more else self._take_nothing(session, span, now)
            records += read
        return records

    def _has_more(self, session: Session, table: LogTable, past: TimeRange) -> bool:
        """Whether past days may have rows. Where that takes too long to tell, nobody asks again."""
        if self._asks_ahead:
            try:
                return has_rows(session, table, self._ledger.classification, past)
            except psycopg.errors.QueryCanceled:
                self._asks_ahead = False
        return True

    def _take_nothing(self, session: Session, span: TimeRange, now: int) -> tuple[Callable[[], None], ...]:
        """What takes a past day without rows, or a part of one, into the ledger."""
        read = self._span_read(session, span, now, {}, max(QUARTER_HOUR, span.hi - span.lo))
        return (lambda: self._record(read),)

    def _read(
        self, session: Session, table: LogTable, state: State, span: TimeRange, now: int
    ) -> tuple[Callable[[], None], ...]:
        """Read a span; returns what takes it into the ledger: nothing where it holds too much to be read at once."""
        ledger, begun = self._ledger, time.monotonic()
        safe = ledger.time.safe(now)
        width = read_width(state.progress, span, now, ledger.settings, safe, by_day=self._by_day)
        read = self._read_span(session, table, span, now, width)
        if read is None:
            return ()
        seconds = time.monotonic() - begun
        return lambda: self._record(read), lambda: self._late_rows.was_read(self._slices(), span, seconds)

    def _record(self, read: SpanRead) -> None:
        if read.width > QUARTER_HOUR and not (self._by_day and self._ledger.fits(read)):
            self._by_day = False
        else:
            self._ledger.record(read)

    def _read_span(self, session: Session, table: LogTable, span: TimeRange, now: int, width: int) -> SpanRead | None:
        """Read a span in slices of some width; None where it holds too much to be read at once."""
        chunk, begun = self._chunk, time.monotonic()
        found = read_rows(
            session,
            table,
            self._ledger.classification,
            span,
            width=width,
            piece=chunk.split,
            most=chunk.most_rows,
            users_since=self._users_since(now),
            prices=self._ledger.prices,
        )
        if found is None:
            chunk.too_many()
            return None
        chunk.took(time.monotonic() - begun, found.rows, span.hi - span.lo)
        return self._span_read(session, span, now, found.buckets, width)

    def _span_read(
        self, session: Session, span: TimeRange, now: int, buckets: Mapping[int, Bucket], width: int
    ) -> SpanRead:
        return SpanRead(
            span=span,
            now=now,
            buckets=buckets,
            routes=self._primaries(),
            sequence=session.sequence,
            width=width,
            complete=session.replication.complete_until,
        )

    def _users_since(self, now: int) -> int:
        """From when on users are read, in seconds since the epoch: the ledger keeps none of older days."""
        zone = self._ledger.settings.zone
        return day_start(first_user_day(self._ledger.time.safe(now), zone), zone)

    def _probes(self, session: Session, table: LogTable, state: State, now: int) -> Iterator[Callable[[], None]]:
        """What is looked at now and then: late rows, rows without a usable time, whether past days still agree."""
        if self._late_rows.due:
            yield self._look_for_late_rows(session, table, state, now)
        moment = time.monotonic()
        if moment >= self._next_probe:
            self._next_probe = moment + PROBE_INTERVAL
            undated = read_undated(session, table)
            yield lambda: self._ledger.note_skips(undated)
        if moment >= self._next_drift and state.progress.phase == Phase.RUNNING:
            self._next_drift = moment + DRIFT_INTERVAL
            if self._drift.read(session, table, state, max(HOUR, self._chunk.length)):
                yield lambda: self._drift.compare(state)
            elif self._drift.under_way:
                self._next_drift = moment

    def _must_look(self, state: State, clock: int) -> bool:
        """Whether it is time to look for late rows, before anything else that can wait."""
        running = state.progress.phase == Phase.RUNNING
        return running and schedule.is_current(state.progress, clock) and self._late_rows.due

    def _look_for_late_rows(self, session: Session, table: LogTable, state: State, now: int) -> Callable[[], None]:
        with self._ledger.reading():
            asked = next_round(self._late_rows.memory, state, now)
        found = self._late_rows.look(session, table, self._ledger.classification, asked)
        sequence = session.sequence
        return lambda: self._late_rows.judge(asked, self._slices(), found, sequence)

    def _slices(self) -> dict[int, Slice]:
        """The slices as they are known now: what a slice holds never changes, only which one is in its place."""
        with self._ledger.reading():
            return {} if self._ledger.present is None else dict(self._ledger.present.slices)

    def _say_progress(self, state: State, clock: int) -> None:
        begun = self.catching_up_from or state.progress.began
        percent = 100 * (state.progress.position - begun) // max(1, clock - begun)
        if percent // 10 != self._said_progress // 10:
            log.info("caught up %d %%", percent)
        self._said_progress = percent
