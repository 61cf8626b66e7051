"""One scrape's work: read the open window, take it into the books, look at the optional tables."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import psycopg

from exporter.announcer import Announcer
from exporter.books import Books
from exporter.catalog import COLLECTORS
from exporter.clock import LEAP_LASTS
from exporter.config import Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, translate
from exporter.database.reader import read_span
from exporter.database.session import Database, Session
from exporter.database.tables import (
    Budgets,
    Route,
    read_approvals,
    read_budgets,
    read_recommendations,
    read_routes,
)
from exporter.ledger import agenda
from exporter.ledger.calendar import day_of
from exporter.ledger.model import Read, Span, State
from exporter.ledger.users import choose_users
from exporter.ledger.view import user_spend_today

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """How one collector fared, and how long it took in seconds."""

    success: bool
    seconds: float


@dataclass(frozen=True)
class Scrape:
    """What one read of the database brought; None where a table is absent or could not be read.

    `current` says that the log was read whole and the books are up to date, `has_status` that its rows have a status
    which changes.
    """

    current: bool = False
    has_status: bool = False
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    budgets: Budgets | None = None
    routes: list[Route] | None = None
    recommendations: Mapping[tuple[str, str], int] | None = None
    approvals: int | None = None


CLOCK_HINT = (
    "correct the clock of the database's host; until then time goes on by this host's clock, "
    f"and a clock that stays where it is is believed after {LEAP_LASTS / 60:.0f} minutes"
)
"""What to do about a clock that is disbelieved."""

FAILED = Scrape(outcomes={name: Outcome(False, 0.0) for name in COLLECTORS})
"""What a scrape is that did not reach the database."""


class Collector:
    """Reads the database for scrapes. For one thread at a time."""

    def __init__(self, config: Config, info: ConnInfo, books: Books, announcer: Announcer) -> None:
        self._config = config
        self._info = info
        self._books = books
        self._announcer = announcer
        # the routes last read stay in force while their table cannot be read
        self._primaries: Mapping[str, str] = {}
        self._has_status = False
        self._database = Database(info, config.database.connect_timeout, "ai-operation-exporter")

    def abort(self) -> None:
        """End a read that is under way, from any thread."""
        self._database.abort()

    def collect(self, seconds: float) -> Scrape:
        """Read everything within so many seconds. Never raises: what fails is said in the result and in the log."""
        begun = time.monotonic()
        try:
            with self._database.session(seconds) as session:
                scrape = self._read(session)
                # only now: a server may begin a transaction and then say no more
                self._announcer.works("database")
                return scrape
        except DatabaseError as error:
            self._announcer.failed("database", str(error))
        except Exception as error:
            self._announcer.broke("scrape", error)
        spent = time.monotonic() - begun
        return Scrape(outcomes={**FAILED.outcomes, "log": Outcome(False, spent)})

    def _read(self, session: Session) -> Scrape:
        run = _Run(session, self._info, self._announcer)
        window = run.attempt("log", lambda: self._read_window(session))
        session.share(len(COLLECTORS) - 1)
        routes = run.attempt("routes", lambda: read_routes(session, self._config))
        current = False
        if run.outcomes["routes"].success:
            self._primaries = {route.operation: route.primary_model for route in routes or ()}
        if window is not None:
            current = run.attempt("log", lambda: self._record(window)) or False
        budgets = run.attempt("budgets", lambda: self._read_budgets(session))
        recommendations = run.attempt("recommendations", lambda: read_recommendations(session, self._config))
        approvals = run.attempt("approvals", lambda: read_approvals(session, self._config))
        if current and run.outcomes["budgets"].success:
            run.attempt("budgets", lambda: self._choose_users(budgets))
        return Scrape(current, self._has_status, run.outcomes, budgets, routes, recommendations, approvals)

    def _read_window(self, session: Session) -> Read | None:
        """The open window, or None while a gap, the first reading or a changed configuration is to be worked off."""
        books = self._books
        rules = books.wanted if books.must_rebase else books.classification
        log_table = session.log(rules)
        self._has_status = log_table.has_status
        clock = books.believe(session.clock).now
        state = books.open(session.identity(log_table), clock)
        with books.reading():
            now = agenda.present(state.progress, clock)
            span = None if books.must_rebase else agenda.front(state, clock, books.rules)
        if span is None:
            # the background reader is at it; this shows whether the log can be read at all
            read_span(session, log_table, rules, Span(clock, clock + 1))
            return None
        minutes = read_span(session, log_table, rules, span)
        return Read(span, now, minutes, sequence=session.sequence)

    def _read_budgets(self, session: Session) -> Budgets | None:
        """The budgets, by the names under which users are kept."""
        budgets = read_budgets(session, self._config)
        return None if budgets is None else replace(budgets, by_user=self._books.pseudonyms.keys(budgets.by_user))

    def _record(self, window: Read) -> bool:
        books = self._books
        books.record(replace(window, routes=self._primaries))
        if (problem := books.clock_problem) is not None:
            self._announcer.failed("clock", f"{problem} — {CLOCK_HINT}")
            return False
        self._announcer.works("clock")
        return True

    def _choose_users(self, budgets: Budgets | None) -> None:
        books = self._books
        if budgets is not None:
            books.note_skips(budgets.skipped)
        state: State | None = books.present
        if state is None or self._config.users.mode == "off":
            return
        with books.reading():
            chosen = choose_users(
                user_spend_today(state, books.rules),
                {} if budgets is None else budgets.by_user,
                state.shown_users,
                day_of(state.progress.now, books.rules.zone),
                top=self._config.users.top,
                most=self._config.users.max_series,
            )
        books.show_users(chosen)


class _Run:
    """The collectors of one scrape: each behind a savepoint, so that one that fails costs no other."""

    def __init__(self, session: Session, info: ConnInfo, announcer: Announcer) -> None:
        self._session = session
        self._info = info
        self._announcer = announcer
        self.outcomes: dict[str, Outcome] = dict(FAILED.outcomes)

    def attempt(self, name: str, work: Callable[[], T]) -> T | None:
        begun = time.monotonic()
        known = self.outcomes[name].seconds
        try:
            with self._session.savepoint():
                result = work()
        except DatabaseError as error:
            self._announcer.failed(name, str(error))
        except psycopg.Error as error:
            if self._session.lost:
                raise
            self._announcer.failed(name, str(translate(error, self._info)))
        except Exception as error:
            self._announcer.broke(name, error)
        else:
            self.outcomes[name] = Outcome(True, known + time.monotonic() - begun)
            self._announcer.works(name)
            return result
        self.outcomes[name] = Outcome(False, known + time.monotonic() - begun)
        return None
