"""A connection to the log's database that is opened when needed and kept, and the transactions on it."""

import concurrent.futures
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import psycopg

from exporter.database.catalog import find_questions, next_questions
from exporter.database.connection import Connection, Rows, is_lost, roll_back, start_connecting
from exporter.database.conninfo import ConnInfo
from exporter.database.deadlines import Deadlines
from exporter.database.errors import (
    TRIED_AGAIN,
    DatabaseError,
    DatabaseUnavailable,
    VisibilityOutdated,
    given_up,
    no_answer,
    translate,
)
from exporter.database.foresight import Answer, CatalogReader, Question, Row
from exporter.database.login import Login
from exporter.database.opening import BEGIN, SYSTEM, Begun, Opening, Timing
from exporter.database.replication import PRIMARY, Replication, Standby
from exporter.database.session import Composed, InForce, Session, Wanted

_GRACE = 2.0  # seconds past its time after which a connection that does not answer is cut
_SOONEST = 0.1  # seconds that a connection has at least, once its end is due

_DEADLINES = Deadlines()

_SEQUENCE = itertools.count(1)


@dataclass(frozen=True)
class _Habit:
    """What the last transaction for a purpose asked the catalog, in how many seconds, and how it read its table."""

    questions: tuple[Question, ...] = ()
    seconds: float = 0.0
    row_security: str = "off"


@dataclass(frozen=True)
class _Start:
    """How a transaction has begun, by which settings, what it was asked with that, and in how many seconds."""

    begun: Begun
    in_force: InForce
    answers: list[tuple[Question, Answer]] = field(default_factory=list)
    seconds: float = 0.0


class Database:
    """A connection that is opened when needed, kept, and opened anew after a failure. For one thread.

    `login` may be shared with other connections, or be settings that never change. `accepted` are the tables, by their
    places in the configuration, that are read though it cannot be proven that every row is visible.
    """

    def __init__(
        self, login: Login | ConnInfo, connect_timeout: float, application_name: str, accepted: Collection[str] = ()
    ) -> None:
        self._login = login if isinstance(login, Login) else Login(login)
        self.info = self._login.info
        self._connect_timeout = connect_timeout
        self._application_name = application_name
        self._accepted = accepted
        self._aborting = threading.Lock()  # guards the three below
        self._aborted = False
        self._opening: concurrent.futures.Future[Connection] | None = None
        self._connection: Connection | None = None
        self._system = ""
        self._cut_off = False
        self._standby = Standby(self._login.replay)
        self._hot_standby: str | None = None
        self._is_asked = False
        self._start = Opening()
        self._habits: dict[str, _Habit] = {}
        self._is_direct = False  # the connection's end is the server itself
        self._names_itself = True  # the server says which one it is
        self._may_guess = True  # the last guess on a new connection was answered
        self._was_refused = False  # statements were sent together, and there was no answer
        self._refused: set[str] = set()  # questions that nothing depends on
        self._composed: dict[str, Composed] = {}

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abort(self) -> None:
        """End whatever is under way for good, from any thread: its session, and any later one, raises an error."""
        with self._aborting:
            self._aborted = True
            if self._opening is not None:
                self._opening.cancel()
            connection = self._connection
        # the thread that it belongs to may be closing it just now
        with contextlib.suppress(psycopg.Error):
            if connection is not None and not connection.closed:
                _shut(connection.fileno())

    @contextlib.contextmanager
    def session(
        self,
        seconds: float,
        statement_seconds: float | None = None,
        purpose: str = "",
        tables: Iterable[Wanted] = (),
    ) -> Iterator[Session]:
        """A transaction that lasts `seconds` at most, and each statement `statement_seconds`.

        What transactions for one `purpose` ask first is sent with their beginning, in one round trip. On a new
        connection, `tables` are asked for where nothing is known of the purpose. Raises `DatabaseError`, never the
        driver's own errors.
        """
        deadline = time.monotonic() + seconds
        failure: DatabaseError | None = None
        session: Session | None = None
        self._cut_off = False
        timing = Timing(min(seconds, statement_seconds or seconds), seconds + _GRACE)
        # not kept where this fails: the next transaction then asks one by one, each question in its own time
        habit = self._habits.pop(purpose, _Habit())
        try:
            connection, ahead = self._begin(min(seconds, self._connect_timeout), timing, habit, tables)
            with self._cut_off_at(connection, deadline + _GRACE), connection.cursor() as cursor:
                try:
                    start = ahead or self._configure(cursor, timing, deadline)
                    session = self._session(cursor, start, deadline, statement_seconds or seconds)
                    try:
                        yield session
                    finally:
                        session.end_stream()
                    if session.reads_by_policy:
                        session.look_beneath()
                except BaseException:
                    self._roll_back(connection)
                    raise
                # the database's own monitoring counts transactions that were rolled back as failures
                if session.reads_by_policy:
                    self._commit_if_still_visible(session)
                else:
                    self._commit(session)
                self._succeeded(session, purpose)
        except psycopg.Error as error:
            failure = self._in_our_words(error, session)
            self.close()
        except DatabaseError:
            raise
        except BaseException:
            self.close()
            raise
        if failure is not None:
            raise failure

    def _succeeded(self, session: Session, purpose: str) -> None:
        self._habits[purpose] = _Habit(session.catalog.habit, session.catalog.seconds, session.row_security)
        if self._was_refused:
            self._was_refused = False
            self._login.pipelines.fell_back()

    def _session(self, cursor: Rows, start: _Start, deadline: float, longest: float) -> Session:
        """A session on the transaction that has begun."""
        soon = itertools.chain(*(next_questions(*known, start.begun.path) for known in start.answers))
        # a pooler makes up a process that it names at the login
        self._is_direct = start.begun.process == cursor.connection.info.backend_pid
        return Session(
            cursor,
            sequence=next(_SEQUENCE),  # the snapshot has just been taken
            deadline=deadline,
            longest=longest,
            begun=start.begun,
            system=self._system,
            info=self.info,
            catalog=CatalogReader(cursor.connection, start.answers, start.seconds, soon, prepare=self._is_direct),
            accepted=self._accepted,
            replication=self._replication(cursor.connection, start.begun),
            in_force=start.in_force,
            together=self._login.pipelines.taken,
            refused=self._refused,
            composed=self._composed,
        )

    def _commit(self, session: Session) -> None:
        try:
            session.commit()
        except psycopg.Error:
            self.close()

    def _commit_if_still_visible(self, session: Session) -> None:
        """End the transaction; raises `VisibilityOutdated` where what shows all rows has changed since it began.

        The catalog is as of the beginning, while a statement obeys the policies that stand when it gets the table's
        lock. From then on they stay until the transaction ends. So the same questions are asked again after it.
        """
        answers = self._start.commit_and_ask(
            session.connection,
            max(0.1, session.left),
            [question for question, _ in session.catalog.answered],
            together=self._login.pipelines.taken,
            prepare=self._is_direct,
        )
        if not session.is_confirmed_by(answers):
            raise VisibilityOutdated(
                "policies, columns or the table itself were changed while it was read: it cannot be proven that every "
                "row was visible",
                TRIED_AGAIN,
            )

    def _begin(
        self, timeout: float, timing: Timing, habit: _Habit, tables: Iterable[Wanted]
    ) -> tuple[Connection, _Start | None]:
        """A connection with an open transaction: the one that is kept, or a new one where that one has died.

        With it come how the transaction has begun and what it was asked with that, if it was.
        """
        if self._connection is not None:
            # who needs long for the questions has answered, too
            patience = min(timing.idle, timeout + habit.seconds)
            with contextlib.suppress(psycopg.Error):
                return self._connection, self._begin_on(self._connection, patience, timing, habit)
            self.close()
            if self._cut_off:
                habit = _Habit()  # the questions may be what was not answered in time
            self._cut_off = False
        if not habit.questions:
            habit = _Habit(find_questions(tables))
        connection, start = self._log_in(timeout, timing, habit)
        return connection, start or self._begin_on(connection, timeout + _GRACE, timing, _Habit())

    def _begin_on(self, connection: Connection, timeout: float, timing: Timing, habit: _Habit) -> _Start | None:
        with self._cut_off_at(connection, time.monotonic() + timeout):
            self._ask_standby(connection)
            start = self._begin_with(connection, timing, habit.row_security, habit.questions)
            if start is None:
                connection.execute(BEGIN)
            return start

    def _begin_with(
        self, connection: Connection, timing: Timing, row_security: str, questions: Sequence[Question]
    ) -> _Start | None:
        """Begin a transaction and ask, in one round trip; None, and no transaction, where that is not possible."""
        if not questions or not self._login.pipelines.taken:
            return None
        asked_at = time.monotonic()
        self._was_refused = True
        ahead = self._start.begin_with(connection, timing, row_security, questions, prepare=self._is_direct)
        # a refusal is an answer, too: some servers refuse a setting or a function to some
        self._was_refused = False
        if ahead is None:
            return None
        self._login.pipelines.were_answered()
        begun, answers = ahead
        return _Start(begun, InForce(timing.statement, row_security), answers, time.monotonic() - asked_at)

    def _begin_first(self, connection: Connection, timing: Timing, habit: _Habit) -> _Start | None:
        """Ask a new connection's server which one it is, and begin with the same; None where no transaction has begun.

        If the server does not answer, the next connection asks it one thing after the other.
        """
        self._hot_standby = connection.info.parameter_status("in_hot_standby")
        self._is_asked = False
        start = None
        if not self._names_itself:
            self._system = _system_identifier(connection)
        if self._may_guess and self._hot_standby != "on":
            self._may_guess = False
            first = [Question(SYSTEM, {})] if self._names_itself else []
            start = self._begin_with(connection, timing, habit.row_security, [*first, *habit.questions])
            if start is not None and first:
                (_, answer), *answers = start.answers
                self._system = _identifier(answer.fetchone())
                start = replace(start, answers=answers)
        self._may_guess = True
        if start is None and self._names_itself:
            self._system = _system_identifier(connection)
            self._names_itself = self._system != ""
        if start is not None and start.begun.hot_standby != "off":
            # its positions have to be known before the snapshot is taken
            connection.execute("ROLLBACK")
            return None
        return start

    def _configure(self, cursor: Rows, timing: Timing, deadline: float) -> _Start:
        # a connection that did not answer may have cost much of the time
        left = max(0.1, deadline - time.monotonic())
        timing = timing._replace(statement=min(timing.statement, left))
        return _Start(self._start.configure(cursor, timing), InForce(timing.statement, "off"))

    def _log_in(self, timeout: float, timing: Timing, habit: _Habit) -> tuple[Connection, _Start | None]:
        """Open a connection by the settings in force, or by newer ones if those fail, and begin a transaction on it."""
        self.info = self._login.info
        try:
            try:
                opened = self._open(timeout, timing, habit)
            except DatabaseUnavailable as error:
                newer = None if self._aborted else self._login.others_than(self.info)
                if newer is None:
                    if self._login.problem is not None:
                        error.add_hint(f"the connection's settings cannot be read again: {self._login.problem}")
                    raise
                self.info = newer
                opened = self._open(timeout, timing, habit)
        except DatabaseError as error:
            self._login.failed(error)
            raise
        self._login.succeeded()
        return opened

    def _open(self, timeout: float, timing: Timing, habit: _Habit) -> tuple[Connection, _Start | None]:
        failure: DatabaseError
        may_guess = self._may_guess
        try:
            connection = self._connect(timeout)
            # a pooler may accept the login and have no server to give
            with self._cut_off_at(connection, time.monotonic() + timeout + _GRACE):
                return connection, self._begin_first(connection, timing, habit)
        except psycopg.Error as error:
            failure = self._in_our_words(error)
            self.close()
        if may_guess and not (self._may_guess or self._cut_off or self._aborted):
            # a pipeline keeps to itself why the server, or its pooler, ended it
            return self._open(timeout, timing, habit)
        raise failure

    def _ask_standby(self, connection: Connection) -> None:
        """Ask a standby for its positions, before the snapshot; a server that was a primary costs no round trip."""
        self._is_asked = self._hot_standby != "off"
        if self._is_asked:
            self._standby.ask(connection)

    def _replication(self, connection: Connection, begun: Begun) -> Replication:
        """How the server of the open transaction stands to its primary; servers before 14 do not name the setting."""
        self._hot_standby = begun.hot_standby
        if begun.hot_standby == "off":
            self._login.replay.forget()
            return PRIMARY
        if not self._is_asked:
            # it was a primary a moment ago: a pooler has handed the transaction to another server
            self._standby.ask(connection)
        return self._standby.judge(begun.clock)

    def _connect(self, timeout: float) -> Connection:
        """Connect, unless this is aborted first."""
        with self._aborting:
            if self._aborted:
                raise given_up(self.info)
            self._opening = start_connecting(self.info, timeout, self._application_name)
        try:
            connection = self._opening.result()
        except concurrent.futures.CancelledError:
            raise given_up(self.info) from None
        with self._aborting:
            self._opening = None
            if self._aborted:
                connection.close()
                raise given_up(self.info)
            self._connection = connection
        self._start = Opening()  # it may be another server
        self._is_direct = False
        return connection

    def _in_our_words(self, error: psycopg.Error, session: Session | None = None) -> DatabaseError:
        if self._aborted:
            return given_up(self.info)
        if self._cut_off:
            return no_answer(self.info)
        return translate(error, self.info) if session is None else session.translate(error)

    @contextlib.contextmanager
    def _cut_off_at(self, connection: Connection, moment: float) -> Iterator[None]:
        """Shut the connection's socket at a moment of the monotonic clock.

        The server's own timeouts end a slow statement; this ends the wait for a server, or a network, that is gone.
        """
        descriptor = connection.fileno()

        def cut_off() -> None:
            self._cut_off = True
            _shut(descriptor)

        with _DEADLINES.at(max(moment, time.monotonic() + _SOONEST), cut_off):
            yield

    def _roll_back(self, connection: Connection) -> None:
        try:
            roll_back(connection)
        except psycopg.Error:
            self.close()


def _system_identifier(connection: Connection) -> str:
    try:
        return _identifier(connection.execute(SYSTEM).fetchone())
    except psycopg.Error:
        # hosted servers and forks refuse the function in many ways, and what is read does not depend on it
        if is_lost(connection):
            raise
        return ""


def _identifier(row: Row | None) -> str:
    return str(row[0]) if row else ""


def _shut(descriptor: int) -> None:
    # do not copy the descriptor: there may be none left
    with contextlib.suppress(OSError):
        handle = socket.socket(fileno=descriptor)
        try:
            handle.shutdown(socket.SHUT_RDWR)
        finally:
            handle.detach()
