"""One read-only transaction on the log's database, each statement bounded by what is left of its time.

No statement calls anything but the system's own functions, operators, casts and types, whatever the search path holds.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import RowFactory, tuple_row

from exporter.config import Classification, QualifiedName
from exporter.database.catalog import find_relation, mean_the_same
from exporter.database.columns import Column
from exporter.database.connection import NO_ROWS, Connection, Rows, execute_numbered, is_lost, pipelined, roll_back
from exporter.database.conninfo import ConnInfo
from exporter.database.encoding import Charset, Numbered, charset_of, encode_statement
from exporter.database.errors import (
    TRIED_AGAIN,
    DatabaseError,
    PlanOutdated,
    QueryTimeout,
    SchemaProblem,
    translate,
)
from exporter.database.foresight import Answer, Batch, CatalogReader, Question
from exporter.database.layout import KNOWN_COLUMNS, Relation
from exporter.database.log_table import LogTable
from exporter.database.mapping import find_log
from exporter.database.opening import Begun, limits
from exporter.database.replication import Replication
from exporter.database.rewrites import are_alone, replaced_question
from exporter.database.visibility import Visibility, look_for_hidden_rows, refuse_doubts

_LATE = 0.5  # seconds, or a tenth of a statement's time, that it may have more than is left of the transaction's

_AT_ONCE = 500 if psycopg.capabilities.has_stream_chunked() else 1
"""Rows of a stream that are in memory at once; libpq before 17 can only fetch them one by one."""

# Sent before each statement but the first: a function behind a view may have set another path.
_LIMIT = """
SELECT pg_catalog.set_config('statement_timeout', %(ms)s, true), pg_catalog.set_config('lock_timeout', %(lock)s, true),
       pg_catalog.set_config('row_security', %(rows)s, true),
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)
"""

# The server makes one plan for all windows, perhaps while the table has few rows: it must serve one of many, too.
_BY_INDEX = "SELECT pg_catalog.set_config('enable_seqscan', 'off', true)"

_EXCHANGES = 5
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


@dataclass(frozen=True)
class InForce:
    """The settings that a transaction has begun with: seconds for a statement, and `row_security`."""

    statement: float
    row_security: str

    def suits(self, left: float, row_security: str) -> bool:
        """Whether a statement that has `left` seconds can run by them, before any other that calls functions."""
        late = min(_LATE, self.statement / 10)
        return row_security == self.row_security and abs(self.statement - left) <= late


@dataclass(frozen=True)
class Composed:
    """A statement, and what it was composed of."""

    source: tuple[Any, ...]
    statement: bytes


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
        in_force: "InForce",
        together: bool,
        refused: set[str],
        composed: dict[str, Composed],
    ) -> None:
        self._cursor = cursor
        self._info = info
        self._table: QualifiedName | None = None
        self._relations: list[Relation] = []
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
        self._in_force: InForce | None = in_force
        self._together = together
        self._refused = refused
        self._composed = composed

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

        The server keeps their plans, which go by an index where one serves: only where the connection's end is the
        server itself. Raises `PlanOutdated` where one of them does not fit the table any more.
        """
        connection = self._cursor.connection
        try:
            with self._pipeline():
                self.limit()
                execute_numbered(connection, _BY_INDEX.encode(), [], prepare=True)
                cursors = [
                    execute_numbered(
                        connection, statement.text, [values[name] for name in statement.names], prepare=True
                    )
                    for statement, values in statements
                ]
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName):
            # all that is kept is forgotten when the transaction is rolled back
            raise PlanOutdated("the log was changed while it was read", TRIED_AGAIN) from None
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
        self, statement: str | sql.Composed | bytes, parameters: Mapping[str, Any] | None = None
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

    def commit(self) -> None:
        """End the transaction, and see in the same round trip whether its snapshot served for all that was read.

        Raises `PlanOutdated` where it did not. Where the server does not tell, the read stands.
        """
        connection, question = self._cursor.connection, replaced_question(self._relations)
        if not self._relations or question.statement in self._refused:
            connection.execute("COMMIT")
            return
        try:
            with self._pipeline():
                batch = Batch(connection, [question], prepare=self.catalog.prepares)
                connection.execute("COMMIT")
            (answer,) = batch.answers()
        except psycopg.Error as error:
            if self.lost:
                raise
            roll_back(connection)
            self._note_refusal(question, error)
            return
        _refuse_replaced(answer.rows)

    def look_beneath(self) -> None:
        """As `commit`, before the transaction is ended otherwise; only for what is read through other relations."""
        question = replaced_question(self._relations)
        if are_alone(self._relations) or question.statement in self._refused:
            return
        try:
            rows = self.attempt(question.statement, question.parameters)
        except psycopg.Error as error:
            if self.lost:
                raise
            self._note_refusal(question, error)
            return
        _refuse_replaced(rows)

    def _note_refusal(self, question: Question, error: psycopg.Error) -> None:
        # a server that has forgotten what it keeps, or a transaction that has failed before, is not one that refuses
        passing = (
            psycopg.OperationalError,
            psycopg.errors.InFailedSqlTransaction,
            psycopg.errors.InvalidSqlStatementName,
        )
        if not isinstance(error, passing):
            self._refused.add(question.statement)

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
            self._in_force = InForce(left, self.row_security)
        return [cursor.fetchall() for cursor in cursors]

    def is_confirmed_by(self, answers: Iterable[Answer]) -> bool:
        """Whether what was asked of the catalog, asked again, has been answered in the same sense."""
        pairs = zip(self.catalog.answered, answers, strict=True)
        return all(mean_the_same(question, known, answer, self._begun.path) for (question, known), answer in pairs)

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
            known = self._composed[name] = Composed(source, self.encoded(compose()))
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
        self._table = None
        if relation is not None:
            self._table = relation.name
            self._relations.append(relation)
        return relation

    def identity(self, log: LogTable) -> Identity:
        """What the state is kept for."""
        return Identity(self._system, self._begun.database, str(log.relation.name))


def _refuse_replaced(found: Sequence[Any]) -> None:
    if found:
        raise PlanOutdated("a table was rewritten or replaced while it was read", TRIED_AGAIN)


def _column_names(cursor: psycopg.Cursor[Any]) -> tuple[str, ...]:
    """Those of a result; ours are ASCII. `Cursor.description` makes an object of each."""
    result = cursor.pgresult
    return () if result is None else tuple((result.fname(number) or b"").decode() for number in range(result.nfields))
