"""One scrape's work: read the open window, take it into the ledger, look at the optional tables."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from exporter.catalog import COLLECTORS, GROUP_BUDGETS, USER_NAMES
from exporter.config import Classification, Config, QualifiedName
from exporter.config.sections import Groups, Users
from exporter.database.approvals import plan_approvals
from exporter.database.budgets import Budgets, group_budgets, plan_budgets
from exporter.database.display_names import plan_user_names
from exporter.database.errors import DatabaseError, IdentityMismatch
from exporter.database.log_table import LogTable
from exporter.database.login import Login
from exporter.database.reader import read_span
from exporter.database.recommendations import Recommendations, plan_recommendations
from exporter.database.replication import Replication
from exporter.database.routes import Route, plan_routes
from exporter.database.session import Session, Wanted
from exporter.database.transactions import Database
from exporter.database.window import WindowReader
from exporter.ledger import schedule
from exporter.ledger.aggregate import sum_counts
from exporter.ledger.calendar import day_of
from exporter.ledger.model import SpanRead, State, TimeRange
from exporter.ledger.period_spend import (
    BudgetKey,
    PeriodBudget,
    Standing,
    all_budgets,
    of_groups,
    of_users,
    standings,
    top_spenders,
    worst_states,
)
from exporter.ledger.users import choose_users
from exporter.scrape.ledger_service import LedgerService
from exporter.scrape.optional import NOT_READ, OptionalTables, Source
from exporter.scrape.periods import FollowedBudgets, PeriodBoard
from exporter.scrape.reclassifier import give_up_old, prove_new
from exporter.state_change_log import StateChangeLog

ROUTES_AGE = 60.0
"""Seconds after which routes are read again even if no scrape asks for them."""

ROUTES_SECONDS = 0.5
"""Seconds that the log, once it is read, waits at most for routes that are being read."""


@dataclass(frozen=True)
class CollectorRun:
    """How one collector fared, and how long it took in seconds."""

    success: bool
    seconds: float


@dataclass(frozen=True)
class OpenWindow:
    """The open window as read, and by which settings; `of_today` while only the current day is known so far."""

    read: SpanRead
    by: Classification
    of_today: bool = False


@dataclass(frozen=True)
class Scrape:
    """What one read of the database brought; None where a table is absent or could not be read.

    `current` says that the log was read whole and the ledger is up to date, `today` that only the current day is so
    far. `roles` are those that the log has a column or an expression for. `period_budgets` are those of the tables
    and of the configuration.
    """

    current: bool = False
    today: bool = False
    roles: frozenset[str] = frozenset()
    runs: Mapping[str, CollectorRun] = field(default_factory=dict)
    budgets: Budgets | None = None
    group_budgets: Budgets | None = None
    routes: list[Route] | None = None
    recommendations: Recommendations | None = None
    approvals: int | None = None
    user_names: Mapping[str, str] | None = None
    period_budgets: Mapping[BudgetKey, PeriodBudget] = field(default_factory=dict)


@dataclass
class Attempt:
    """One read of the log, which may be under way, and the round of the optional tables that goes with it.

    `reached` says that the database has begun a transaction, and is the one that the state was kept for. `news` is
    false once it is known that the read has found all as it was. `run` is None until the read has ended; after that,
    the other fields do not change.
    """

    round: int
    begun: float = field(default_factory=time.monotonic)
    reached: bool = False
    roles: frozenset[str] = frozenset()
    current: bool = False
    today: bool = False
    users_chosen: bool = True
    news: bool = True
    run: CollectorRun | None = None


class Collector:
    """Reads the database for scrapes: the log in the caller's thread, the optional tables in a thread of their own.

    `read_log` is for one thread at a time; everything else may be called from any thread.
    """

    def __init__(
        self,
        config: Config,
        login: Login,
        ledger: LedgerService,
        change_log: StateChangeLog,
        board: PeriodBoard | None = None,
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._change_log = change_log
        # the routes last read stay in force while their table cannot be read
        self._primaries: Mapping[str, str] = {}
        self._choosing = threading.Lock()
        self._chosen_before: tuple[object, ...] = ()
        self._budgets: Budgets | None = None
        self._budgets_read = False
        has_table = config.tables.group_budgets is not None
        self._collectors = (*COLLECTORS, *((GROUP_BUDGETS,) if has_table else ()))
        self._group_budgets = None if has_table else group_budgets(config, None)
        self._board = board or PeriodBoard()
        self._configured = self._board.followed.budgets
        self._current = False
        self._window = WindowReader(ledger.prices)
        self._gets_through = False
        self._listeners: list[Callable[[], None]] = []
        timeout = config.database.connect_timeout
        self._database = Database(login, timeout, "ai-operation-exporter", config.tables.accept_unproven)
        self._tables = OptionalTables(
            Database(login, timeout, "ai-operation-exporter-tables", config.tables.accept_unproven),
            self._sources(),
            config.optional_interval,
            change_log,
        )

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call this, in the thread that reads, after each read of the log that succeeds where the last one failed."""
        self._listeners.append(listener)

    def abort(self) -> None:
        """End the reads that are under way, from any thread; the optional tables are not read again."""
        self._tables.stop()
        self._database.abort()

    def begin(self) -> Attempt:
        """Make an attempt for `read_log`, and begin a round of the optional tables next to it if any is due."""
        return Attempt(self._tables.refresh())

    def primaries(self) -> Mapping[str, str]:
        """The primary models of the routes in force, by operation, as last read.

        If the routes can be read, that was about a minute ago at most.
        """
        last = self._tables.last("routes")
        if last is not NOT_READ and time.monotonic() - last.begun < ROUTES_AGE:
            return self._primaries
        return self._routes_in_force(self._tables.refresh(), ROUTES_SECONDS)

    def limited_users(self) -> Iterable[str]:
        """The users who have a limit for the day, by the names under which they are kept, as last read."""
        budgets = self._budgets
        return () if budgets is None else (u for u, known in budgets.by_user.items() if known.daily_limit is not None)

    def read_log(self, attempt: Attempt, seconds: float) -> None:
        """Read the open window within so many seconds, and record it.

        Never raises: the attempt and the log say what failed.
        """
        success = False
        try:
            success = self._read_log(attempt, seconds)
        except IdentityMismatch as error:
            attempt.reached = False
            self._change_log.failed("log", str(error))
        except DatabaseError as error:
            self._change_log.failed("log" if attempt.reached else "database", str(error))
        except Exception as error:
            self._change_log.broke("log", error)
        else:
            self._change_log.works("log")
        self._current = attempt.current or attempt.today
        if success and not self._gets_through:
            for listener in self._listeners:
                listener()
        self._gets_through = success
        if not attempt.reached:
            self._tables.forget()
        if self._current:
            attempt.users_chosen = self._try_to_choose_users()
        attempt.run = CollectorRun(success, time.monotonic() - attempt.begun)

    def scrape(self, attempt: Attempt, deadline: float) -> Scrape:
        """What an attempt has brought so far, and the optional tables.

        Waits for the tables until `deadline`, a moment of the monotonic clock.
        """
        log = attempt.run or CollectorRun(False, time.monotonic() - attempt.begun)
        if not attempt.reached:
            # the tables may have changed, or be those of another database
            return Scrape(runs={**dict.fromkeys(self._collectors, CollectorRun(False, 0.0)), "log": log})
        self._tables.wait(self._collectors[1:], attempt.round, deadline)
        shown = self._tables.shown(attempt.round)
        runs = {name: CollectorRun(reading.success, reading.seconds) for name, reading in shown.items()}
        if not attempt.users_chosen:
            runs["budgets"] = replace(runs["budgets"], success=False)
        values: dict[str, Any] = {name: reading.value for name, reading in shown.items()}
        values.setdefault(GROUP_BUDGETS, self._group_budgets)
        ended = attempt.run is not None
        in_order = {name: {"log": log, **runs}[name] for name in self._collectors}
        return Scrape(
            current=ended and attempt.current,
            today=ended and attempt.today,
            roles=attempt.roles,
            runs=in_order,
            period_budgets=self._period_budgets(values["budgets"], values[GROUP_BUDGETS]),
            **values,
        )

    def _read_log(self, attempt: Attempt, seconds: float) -> bool:
        try:
            window, stale = self._read_in_a_session(attempt, seconds)
        except DatabaseError as error:
            if not error.is_outdated:
                raise
            # the transaction has failed; the next one plans anew
            window, stale = self._read_in_a_session(attempt, seconds - (time.monotonic() - attempt.begun))
        # only now: a server may begin a transaction and then say no more
        self._change_log.works("database")
        if window is not None:
            left = seconds - (time.monotonic() - attempt.begun)
            routes = self._routes_in_force(attempt.round, left / 4)
            read = replace(window.read, routes=routes)
            if window.of_today:
                self._ledger.record_today(read, window.by)
            else:
                attempt.news = self._ledger.record(read, window.by)
            believed = self._clock_is_believed() and not stale
            attempt.current, attempt.today = believed and not window.of_today, believed and window.of_today
        return True

    def _read_in_a_session(self, attempt: Attempt, seconds: float) -> tuple[OpenWindow | None, bool]:
        """What `_read_window` reads, and whether the server is too far behind."""
        with self._database.session(seconds, tables=[(self._ledger.wanted.log_table, None)]) as session:
            attempt.reached = True
            stale = self._is_stale(session.replication)
            try:
                window = self._read_window(session, attempt)
            except psycopg.Error as error:
                if session.lost:
                    attempt.reached = False
                    raise
                self._change_log.works("database")
                raise session.translate(error) from None
        return window, stale

    def _clock_is_believed(self) -> bool:
        """Whether what was recorded is of the present; if not, the log says why."""
        problem = self._ledger.time_problem
        if problem is None:
            self._change_log.works("clock")
        else:
            self._change_log.failed("clock", " — ".join(problem))
        return problem is None

    def _is_stale(self, replication: Replication) -> bool:
        """Whether the server is a standby that is too far behind; if so, the log says why."""
        problem = replication.problem(self._config.database.max_replica_lag)
        if problem is None:
            self._change_log.works("replica")
        else:
            self._change_log.failed("replica", " — ".join(problem))
        return problem is not None

    def _read_window(self, session: Session, attempt: Attempt) -> OpenWindow | None:
        """The open window, or None while a gap, the first reading or unreadable old settings are to be worked off."""
        ledger = self._ledger
        log_table = session.log(ledger.wanted)
        attempt.roles = frozenset(log_table.columns)
        clock = ledger.believe(session.clock, session.replication).now
        state = ledger.open(session.identity(log_table), clock)
        if not ledger.must_reclassify:
            return self._read_front(session, log_table, ledger.classification, state, clock)
        # the settings in force go on serving, as long as both can be read by
        prove_new(session, ledger, clock)
        if not ledger.serves_old:
            return None
        with give_up_old(session, ledger, self._database.info, clock):
            classification = ledger.classification
            log_table = session.log(classification)
            attempt.roles = frozenset(log_table.columns)
            return self._read_front(session, log_table, classification, state, clock)
        return None

    def _read_front(
        self, session: Session, log_table: LogTable, classification: Classification, state: State, clock: int
    ) -> OpenWindow | None:
        ledger = self._ledger
        today = ledger.today(clock)
        with ledger.reading():
            now = schedule.present(state.progress, clock)
            span = schedule.front(state, clock, ledger.settings)
        of_today = span is None and today is not None
        if today is not None and of_today:
            span = schedule.front(today, clock, ledger.settings)
        if span is None:
            # the background reader is at it; this shows whether the log can be read at all
            read_span(session, log_table, classification, TimeRange(clock, clock + 1))
            return None
        buckets = self._window.read(session, log_table, classification, span)
        complete = session.replication.complete_until
        read = SpanRead(span=span, now=now, buckets=buckets, sequence=session.sequence, complete=complete)
        return OpenWindow(read, classification, of_today)

    def _routes_in_force(self, number: int, seconds: float) -> Mapping[str, str]:
        """The primary models by operation. If the routes are being read, wait a moment for them."""
        last = self._tables.last("routes")
        if last is NOT_READ or last.success:
            self._tables.wait(["routes"], number, time.monotonic() + min(ROUTES_SECONDS, seconds))
        return self._primaries

    def _sources(self) -> dict[str, Source]:
        config, tables, names = self._config, self._config.tables, self._config.users.names

        def wanted(name: QualifiedName | None) -> Wanted | None:
            return None if name is None else (name, tables.log)

        groups = Source(
            lambda session: plan_budgets(session, config, GROUP_BUDGETS),
            wanted(tables.group_budgets),
            self._take_group_budgets,
        )
        # the routes come first, since the log waits for them
        return {
            "routes": Source(lambda session: plan_routes(session, config), wanted(tables.routes), self._take_routes),
            "budgets": Source(
                lambda session: plan_budgets(session, config), wanted(tables.budgets), self._take_budgets
            ),
            **({GROUP_BUDGETS: groups} if GROUP_BUDGETS in self._collectors else {}),
            "approvals": Source(lambda session: plan_approvals(session, config), wanted(tables.approvals)),
            "recommendations": Source(
                lambda session: plan_recommendations(session, config), wanted(tables.recommendations)
            ),
            USER_NAMES: Source(
                lambda session: plan_user_names(session, config, self._shown_users()),
                wanted(None if names is None else names.table),
            ),
        }

    def _shown_users(self) -> Iterable[str]:
        with self._ledger.reading():
            state = self._ledger.present
            return () if state is None else tuple(state.shown_users)

    def _take_routes(self, routes: list[Route] | None) -> list[Route] | None:
        self._primaries = {route.operation: route.primary_model for route in routes or ()}
        return routes

    def _take_budgets(self, budgets: Budgets | None) -> Budgets | None:
        """The budgets under the names by which users are kept; the shown users are chosen again by them.

        If the log is not read yet, the thread that reads it chooses the users.
        """
        if budgets is not None:
            names = self._ledger.pseudonyms
            periodic = {
                key._replace(spender=names.of_spender(key.spender)): each for key, each in budgets.periodic.items()
            }
            budgets = replace(budgets, by_user=names.keys(budgets.by_user), periodic=periodic)
        self._budgets, self._budgets_read = budgets, True
        self._follow()
        return budgets

    def _take_group_budgets(self, budgets: Budgets | None) -> Budgets:
        """As `_take_budgets`, for groups: with those of the configuration."""
        self._group_budgets = group_budgets(self._config, budgets)
        self._follow()
        return self._group_budgets

    def _follow(self) -> None:
        """Follow the budgets with a period as last read, and choose again who is shown."""
        whole = self._budgets_read and self._group_budgets is not None
        followed = FollowedBudgets(self._period_budgets(self._budgets, self._group_budgets), whole=whole)
        # the same object, as long as they are the same: who follows them has nothing to do then
        if followed != self._board.followed:
            self._board.followed = followed
        if self._current:
            self._choose_users()

    def _period_budgets(self, *tables: Budgets | None) -> Mapping[BudgetKey, PeriodBudget]:
        """Those of the tables and of the configuration; of two for the same period, the stricter."""
        return all_budgets(self._configured, *(table.periodic for table in tables if table is not None))

    def _try_to_choose_users(self) -> bool:
        try:
            self._choose_users()
        except Exception as error:
            self._change_log.broke("budgets", error)
            return False
        return True

    def _choose_users(self) -> None:
        """Choose who is shown: of users and of groups only once it is known who has a limit."""
        ledger, config, budgets, grouped = self._ledger, self._config, self._budgets, self._group_budgets
        with self._choosing:
            ledger.note_skips(sum_counts(*(known.skipped for known in (budgets, grouped) if known is not None)))
            state = ledger.present
            if state is None:
                return
            followed, before = self._board.followed.budgets, self._board.before
            chosen_by = self._chosen_by(state, budgets, grouped)
            if not followed and chosen_by == self._chosen_before:
                return
            standing = standings(followed, before, ledger.recent_days(), state.progress.now)
            with ledger.reading():
                day = day_of(state.progress.now, ledger.settings.zone)
                users: Mapping[str, int] = state.shown_users
                if self._budgets_read and config.users.mode != "off":
                    users = _chosen(ledger.user_spend_today(), budgets, users, of_users(standing), day, config.users)
                groups: Mapping[str, int] = state.shown_groups
                if grouped is not None:
                    spent, periodic = ledger.group_spend_today(), of_groups(standing)
                    groups = _chosen(spent, grouped, groups, periodic, day, config.groups)
            ledger.show(users, groups)
            self._chosen_before = chosen_by

    def _chosen_by(self, state: State, *budgets: Budgets | None) -> tuple[object, ...]:
        """What decides who is shown where nobody has a budget with a period: while it is the same, so is the choice."""
        with self._ledger.reading():
            return (
                budgets,
                self._budgets_read,
                *self._ledger.stamps_of_today("user_days", "group_days"),
                state.stamp("shown_users"),
                state.stamp("shown_groups"),
                day_of(state.progress.now, self._ledger.settings.zone),
            )


def _chosen(
    spend: Mapping[str, int],
    limits: Budgets | None,
    shown: Mapping[str, int],
    periodic: Mapping[BudgetKey, Standing],
    day: int,
    bounds: Users | Groups,
) -> Mapping[str, int]:
    """The users or groups to show, by their spend and limits of the day and their budgets with a period."""
    return choose_users(
        spend,
        {} if limits is None else limits.by_user,
        shown,
        day,
        top=bounds.top,
        most=bounds.max_series,
        others=worst_states(periodic),
        also=top_spenders(periodic, bounds.top),
    )
