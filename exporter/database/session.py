"""One read-only transaction on the log's database, each statement bounded by what is left of its time.

No statement calls anything but the system's own functions, operators, casts and types, whatever the search path holds.
"""

import concurrent.futures
import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import RowFactory, tuple_row

from exporter.config import Classification, QualifiedName
from exporter.database.catalog import find_question, find_relation, next_questions
from exporter.database.columns import Column
from exporter.database.connection import NO_ROWS, Connection, ConnInfo, Rows, is_lost, pipelined, start_connecting
from exporter.database.deadlines import Deadlines
from exporter.database.encoding import Charset, Numbered, charset_of, encode_statement
from exporter.database.errors import (
    DatabaseError,
    DatabaseUnavailable,
    NotVisible,
    QueryTimeout,
    SchemaProblem,
    given_up,
    no_answer,
    translate,
)
from exporter.database.foresight import Answer, CatalogReader, Question, Row
from exporter.database.layout import KNOWN_COLUMNS, Relation
from exporter.database.log_query import LogTable
from exporter.database.login import Login
from exporter.database.mapping import find_log
from exporter.database.opening import BEGIN, SYSTEM, Begun, Opening, Timing, limits
from exporter.database.replication import PRIMARY, Replication, Standby
from exporter.database.visibility import Visibility, look_for_hidden_rows, refuse_doubts

_GRACE = 2.0  # seconds past its time after which a connection that does not answer is cut
_LATE = 0.5  # seconds, or a tenth of a statement's time, that it may have more than is left of the transaction's

_SOONEST = 0.1  # seconds that a connection has at least, once its end is due

_DEADLINES = Deadlines()

_AT_ONCE = 500 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows of a stream that are in memory at once; libpq before 17 can only fetch them one by one."""

# Sent before each statement but the first: a function behind a view may have set another path.
_LIMIT = """
SELECT pg_catalog.set_config('statement_timeout', %(ms)s, true), pg_catalog.set_config('lock_timeout', %(lock)s, true),
       pg_catalog.set_config('row_security', %(rows)s, true),
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)
"""
_EXCHANGES = 5

_ON_DEMAND = 2**31
"""The times after which a statement is prepared that was not asked to be: never."""

_USUAL_PATH = "{public}"
"""The search path of most roles, as an array in SQL: a guess, until one has been seen."""

Wanted = tuple[QualifiedName, QualifiedName | None]
"""A table that a transaction will look for, and the log if it must stand beside that."""


@dataclass(frozen=True)
class Identity:
    """Which table in which database in which cluster. `system` is empty where the server does not report it."""

    system: str
    database: str
    table: str

    def is_same(self, other: "Identity") -> bool:
        """Whether both mean one table, as far as the systems are known."""
        same_system = not self.system or not other.system or self.system == other.system
        return same_system and (self.database, self.table) == (other.database, other.table)


_SEQUENCE = itertools.count(1)


@dataclass(frozen=True)
class _InForce:
    """The settings that a transaction has begun with: seconds for a statement, and `row_security`."""

    statement: float
    row_security: str

    def suits(self, left: float, row_security: str) -> bool:
        """Whether a statement that has `left` seconds can run by them, before any other that calls functions."""
        late = min(_LATE, self.statement / 10)
        return row_security == self.row_security and abs(self.statement - left) <= late


@dataclass(frozen=True)
class _Composed:
    """A statement, and what it was composed of."""

    source: tuple[Any, ...]
    statement: bytes


@dataclass(frozen=True)
class _Habit:
    """What the last transaction for a purpose asked the catalog, in how many seconds, and how it read its table."""

    questions: tuple[Question, ...] = ()
    seconds: float = 0.0
    row_security: str = "off"


class Session:
    """An open transaction.

    `clock` is the database's time when it began, in seconds since the epoch, UTC. `catalog` answers what only depends
    on the catalog. `sequence` orders the transactions
    of this process by their snapshots. `replication` is how the server stands to its primary. `reads_by_policy` says
    that rows were read which are visible by policies alone.
    """

    def __init__(
        self,
        cursor: Rows,
        *,
        sequence: int,
        deadline: float,
        longest: float,
        begun: Begun,
        system: str,
        info: ConnInfo,
        catalog: CatalogReader,
        accepted: Collection[str],
        replication: Replication,
        in_force: "_InForce",
        together: bool = True,
        refused: set[str] | None = None,
        composed: dict[str, _Composed] | None = None,
    ) -> None:
        self._cursor = cursor
        self._info = info
        self._table: QualifiedName | None = None
        self._streamed: Iterator[Any] = iter(())
        self._deadline = deadline
        self._longest = longest
        self.sequence = sequence
        self.clock = begun.clock
        self._begun = begun
        self._system = system
        self._accepted = accepted
        self.catalog = catalog
        self.replication = replication
        self.row_security = "off"
        self.reads_by_policy = False
        self._in_force: _InForce | None = in_force
        self._together = together
        self._refused = set() if refused is None else refused
        self._composed = {} if composed is None else composed

    def run(self, statement: str | sql.Composed, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement, which gets what is left of the transaction's time.

        A percent sign in it is written twice, whether it has parameters or not.
        """
        self.limit()
        return self._cursor.execute(self.encoded(statement), parameters or {}).fetchall()

    def table(self, statement: bytes, parameters: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """As `run`, for a statement that is `encoded`: the names of the result's columns, and its rows."""
        self.limit()
        cursor = self._cursor.execute(statement, parameters)
        return tuple(column.name for column in cursor.description or ()), cursor.fetchall()

    def tables(
        self, statements: Iterable[tuple[Numbered, Mapping[str, Any]]]
    ) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
        """As `table`, for several statements in one round trip, each of which may take all that is left.

        The server keeps their plans: only where the connection's end is the server itself.
        """
        connection = self._cursor.connection
        connection.prepare_threshold = _ON_DEMAND
        with self._pipeline():
            self.limit()
            cursors = [
                psycopg.RawCursor(connection).execute(
                    statement.text, [values[name] for name in statement.names], prepare=True
                )
                for statement, values in statements
            ]
        return [(_column_names(cursor), cursor.fetchall()) for cursor in cursors]

    def look_up(self, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement that only reads the catalog, which the next transaction asks with its beginning."""
        return self.catalog.execute(statement, parameters).fetchall()

    def look_up_if_answered(self, question: Question) -> list[tuple[Any, ...]] | None:
        """As `look_up`, for what nothing depends on; None where the server refuses it: then it is not asked again."""
        if question.statement in self._refused:
            return None
        if (answer := self.catalog.sent_ahead(question)) is not None:
            return answer.fetchall()
        try:
            rows = self.attempt(question.statement, question.parameters)
        except psycopg.Error as error:
            if self.lost:
                raise
            if not isinstance(error, psycopg.errors.OperationalError):
                self._refused.add(question.statement)
            return None
        self.catalog.note(question, Answer(rows))
        return rows

    def attempt(
        self, statement: str | sql.Composed, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """As `run`, in one round trip; a failure leaves the transaction usable, as long as the server answers."""
        connection = self._cursor.connection
        try:
            with self._pipeline():
                connection.execute("SAVEPOINT attempt")
                self.limit()
                cursor = connection.execute(self.encoded(statement), parameters or {})
            return cursor.fetchall()
        except psycopg.Error:
            if not self.lost:
                connection.execute("ROLLBACK TO attempt")
            raise

    @contextlib.contextmanager
    def _pipeline(self) -> Iterator[None]:
        if not self._together:
            yield
            return
        with pipelined(self._cursor.connection):
            if isinstance(self._streamed, Generator):
                self._cursor.connection.execute(NO_ROWS)
            yield

    def run_together(self, statements: Iterable[tuple[sql.Composed, str]]) -> list[list[tuple[Any, ...]]]:
        """All rows of several statements without parameters, each with its own `row_security`, in one round trip.

        The limit of the statement after them is set with the same. Where the server does not take statements together,
        each has its own round trip. Raises the driver's error for the first that fails,
        which ends the transaction.
        """
        cursors = []
        with self._pipeline():
            for statement, self.row_security in statements:
                self.limit()
                cursors.append(self._cursor.connection.execute(self.encoded(statement), {}))
            left = min(self._left_or_raise(), self._longest)
            self.limit()
            self._in_force = _InForce(left, self.row_security)
        return [cursor.fetchall() for cursor in cursors]

    def translate(self, error: psycopg.Error) -> DatabaseError:
        """An error of a statement in our words, by the table that was looked for last."""
        return translate(error, self._info, self._table)

    def stream(
        self,
        statement: str | sql.Composed | bytes,
        parameters: Mapping[str, Any] | None = None,
        row_factory: RowFactory[Any] = tuple_row,
    ) -> Iterator[Any]:
        """The rows of a statement as they arrive, so that few of them are in memory at once.

        Take all of them before the next statement. Otherwise it is like `run`.
        """
        self.limit()
        with self._cursor.connection.cursor(row_factory=row_factory) as cursor:
            self._streamed = cursor.stream(self.encoded(statement), parameters or {}, size=_AT_ONCE)
            yield from self._streamed

    def end_stream(self) -> None:
        """Give up the rows that have not been taken.

        Where their reader has failed, its traceback keeps them: the driver would wait for their end for ever.
        """
        if isinstance(self._streamed, Generator):
            self._streamed.close()

    def encoded(self, statement: str | sql.Composed | bytes) -> bytes:
        """A statement as connections of this `charset` send it; one that is encoded stays as it is."""
        return statement if isinstance(statement, bytes) else encode_statement(statement, self._cursor.connection)

    def composed(self, name: str, source: tuple[Any, ...], compose: Callable[[], sql.Composed]) -> bytes:
        """The statement of a name, `encoded`: composed anew only where its `source` is not what it was the last time.

        To compose a long one takes longer than to have it answered.
        """
        source = *source, self.charset
        known = self._composed.get(name)
        if known is None or known.source != source:
            known = self._composed[name] = _Composed(source, self.encoded(compose()))
        return known.statement

    @property
    def charset(self) -> Charset:
        """Which characters the database can hold."""
        return charset_of(self._cursor.connection)

    @property
    def connection(self) -> Connection:
        """The connection: another one after each failure."""
        return self._cursor.connection

    @property
    def sends_together(self) -> bool:
        """Whether statements are sent together."""
        return self._together

    @property
    def server_process(self) -> int:
        """The process at the other end, by what it said at the login; a pooler says something else."""
        return self._cursor.connection.info.backend_pid

    @property
    def left(self) -> float:
        """Seconds that are left of the transaction's time."""
        return self._deadline - time.monotonic()

    def limit(self) -> None:
        """Bound the next statement by what is left; raises `QueryTimeout` when nothing is."""
        left = min(self._left_or_raise(), self._longest)
        in_force, self._in_force = self._in_force, None
        if in_force is None or not in_force.suits(left, self.row_security):
            self._cursor.execute(_LIMIT, {**limits(int(left * 1000)), "rows": self.row_security})

    def _left_or_raise(self) -> float:
        if (left := self.left) < 0.001:
            raise QueryTimeout("no time was left for the next statement", "raise scrape.timeout, or see `check`")
        return left

    def round_trip(self) -> float:
        """The time to the server and back in seconds: that of the quickest of a few exchanges."""
        taken = []
        for _ in range(_EXCHANGES):
            self.limit()
            begun = time.monotonic()
            self._cursor.execute("SELECT")
            taken.append(time.monotonic() - begun)
        return min(taken)

    @property
    def lost(self) -> bool:
        """Whether the connection has gone, and nothing more can be read."""
        return is_lost(self._cursor.connection)

    def ask(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]] | None:
        """The rows of a statement that nothing depends on; None where the server refuses it, for whatever reason.

        Raises `QueryTimeout` or the driver's error only where the time or the connection has come to its end.
        """
        try:
            with self.savepoint():
                return self.run(statement, parameters)
        except psycopg.Error:
            if self.lost:
                raise
            return None

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part whose failure leaves the transaction usable."""
        with self._cursor.connection.transaction():
            try:
                yield
            finally:
                self.end_stream()

    def log(self, classification: Classification) -> LogTable:
        """Find the log and its columns, and prove that every row is visible."""
        relation = self.relation(classification.log_table, "tables.log")
        if relation is None:
            raise SchemaProblem(
                f"no table or view {classification.log_table} in database {self._begun.database}",
                "name it in the configuration: tables.log, as schema.name where it is in no schema of the search path",
            )
        log = find_log(self, relation, classification.log_columns)
        self.prove_visible(relation, columns=log.read_columns)
        return log

    def prove_visible(
        self, relation: Relation, table: str = "log", columns: Iterable[Column] | None = None
    ) -> Visibility:
        """Read the relation from here on only if all its rows can be seen, and what they say depends on nobody.

        `table` is its place in the configuration. `columns` are those that are read, by default all that have a name
        which is known. Raises `NotVisible` where rows are hidden, and where that cannot be told unless it is accepted
        for the table: then the doubts are returned.
        """
        read = KNOWN_COLUMNS if columns is None else {column.name for column in columns}
        visibility = look_for_hidden_rows(self.catalog, relation, read)
        refuse_doubts(visibility, relation, table, self._accepted)
        self.row_security = "on" if visibility.by_policy else "off"
        self.reads_by_policy = self.reads_by_policy or visibility.by_policy
        return visibility

    def relation(self, name: QualifiedName, setting: str) -> Relation | None:
        """A table or view, or None where there is none; `setting` is where the configuration names it."""
        self._left_or_raise()
        return self._found(find_relation(self.catalog, name, setting, self._begun.path))

    def neighbour(self, name: QualifiedName, setting: str, log: QualifiedName) -> Relation | None:
        """As `relation`, for a table that stands beside the log: without a schema, not one of a stranger to the log."""
        self._left_or_raise()
        return self._found(find_relation(self.catalog, name, setting, self._begun.path, log))

    def _found(self, relation: Relation | None) -> Relation | None:
        self._table = None if relation is None else relation.name
        return relation

    def identity(self, log: LogTable) -> Identity:
        """What the state is kept for."""
        return Identity(self._system, self._begun.database, str(log.relation.name))


@dataclass(frozen=True)
class _Start:
    """How a transaction has begun, by which settings, what it was asked with that, and in how many seconds."""

    begun: Begun
    in_force: _InForce
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
        self._path = _USUAL_PATH
        self._names_itself = True  # the server says which one it is
        self._may_guess = True  # the last guess on a new connection was answered
        self._was_refused = False  # statements were sent together, and there was no answer
        self._refused: set[str] = set()  # questions that nothing depends on
        self._composed: dict[str, _Composed] = {}

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
                    soon = itertools.chain(*(next_questions(*known) for known in start.answers))
                    catalog = CatalogReader(connection, start.answers, start.seconds, soon)
                    self._path = start.begun.path
                    session = Session(
                        cursor,
                        sequence=next(_SEQUENCE),  # the snapshot has just been taken
                        deadline=deadline,
                        longest=statement_seconds or seconds,
                        begun=start.begun,
                        system=self._system,
                        info=self.info,
                        catalog=catalog,
                        accepted=self._accepted,
                        replication=self._replication(connection, start.begun),
                        in_force=start.in_force,
                        together=self._login.pipelines.taken,
                        refused=self._refused,
                        composed=self._composed,
                    )
                    try:
                        yield session
                    finally:
                        session.end_stream()
                except BaseException:
                    self._end(cursor, "ROLLBACK")
                    raise
                # the database's own monitoring counts transactions that were rolled back as failures
                if session.reads_by_policy:
                    self._commit_if_still_visible(connection, session, catalog)
                else:
                    self._end(cursor, "COMMIT")
                self._habits[purpose] = _Habit(catalog.habit, catalog.seconds, session.row_security)
                if self._was_refused:
                    self._was_refused = False
                    self._login.pipelines.fell_back()
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

    def _commit_if_still_visible(self, connection: Connection, session: Session, catalog: CatalogReader) -> None:
        """End the transaction; raises `NotVisible` where what shows all rows has changed since it began.

        The catalog is as of the beginning, while a statement obeys the policies that stand when it gets the table's
        lock. From then on they stay until the transaction ends. So the same questions are asked again after it.
        """
        questions, answers = zip(*catalog.answered, strict=True)
        if self._start.commit_and_ask(
            connection, max(0.1, session.left), questions, together=self._login.pipelines.taken
        ) != list(answers):
            raise NotVisible(
                "policies, columns or the table itself were changed while it was read: it cannot be proven that every "
                "row was visible",
                "nothing, if this does not come again: it is tried again",
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
            habit = _Habit(tuple(find_question(name, self._path, log) for name, log in tables))
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
        ahead = self._start.begin_with(connection, timing, row_security, questions)
        # a refusal is an answer, too: some servers refuse a setting or a function to some
        self._was_refused = False
        if ahead is None:
            return None
        self._login.pipelines.were_answered()
        begun, answers = ahead
        return _Start(begun, _InForce(timing.statement, row_security), answers, time.monotonic() - asked_at)

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
        return _Start(self._start.configure(cursor, timing), _InForce(timing.statement, "off"))

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

    def _end(self, cursor: Rows, how: LiteralString) -> None:
        try:
            cursor.execute(how)
        except psycopg.Error:
            self.close()


def _column_names(cursor: psycopg.Cursor[Any]) -> tuple[str, ...]:
    """Those of a result; ours are ASCII. `Cursor.description` makes an object of each."""
    result = cursor.pgresult
    return () if result is None else tuple((result.fname(number) or b"").decode() for number in range(result.nfields))


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
