"""Ask in one round trip what a transaction is expected to ask first, one after the other.

Behind a wire of 60 ms each question costs 60 ms. The first questions of a transaction, which tables there are and
whether every row is visible, are the same each time. So they are sent together with `BEGIN`, by a pipeline. The
answers are of this very transaction: nothing is taken from an earlier one but the guess of what will be asked. Where a
guess is wrong, the question is asked as if there had been none. A connection that has asked nothing yet guesses which
tables will be looked for, and once it has found them, asks for all else about them together.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg

from exporter.database.connection import NO_ROWS, Connection, execute_numbered, is_lost, pipelined, roll_back
from exporter.database.encoding import Numbered

_log = logging.getLogger(__name__)

_MOST_FALLBACKS = 3

_MOST = 32
"""Questions that are sent ahead. They only read the catalog, so that one too many changes nothing."""

ROUND_TRIPS = 3
"""What a scrape on an open connection waits for: its beginning with all questions, the open window, and its end."""

ROUND_TRIPS_WITHOUT = 9
"""The same where the driver's libpq cannot send statements together."""

Row = tuple[Any, ...]


class Question(NamedTuple):
    """A statement on the catalog, and its parameters.

    `each` names the parameter that is an array, if there is one: questions that only differ in it are asked by one
    statement. The first column of its result is the value for which a row is.
    """

    statement: str
    parameters: Mapping[str, Any]
    each: str = ""


@dataclass(frozen=True)
class Answer:
    """All rows of a statement."""

    rows: Sequence[Row]

    def fetchall(self) -> list[Row]:
        """The rows, as of a cursor."""
        return list(self.rows)

    def fetchone(self) -> Row | None:
        """The first row, None where there is none."""
        return self.rows[0] if self.rows else None

    def __iter__(self) -> Iterator[Row]:
        """The rows, as of a cursor."""
        return iter(self.rows)


class Pipelines:
    """Whether statements are sent together, for all connections of a login. Every method may be called by any thread.

    A server or a pooler that cannot do it ends the connection, or says nothing. So may one that is going down. It is
    given up when what was sent together in vain has been answered one by one, several times in a row.
    """

    def __init__(self) -> None:
        self.taken = psycopg.Pipeline.is_supported()
        self._fallbacks = 0

    def were_answered(self) -> None:
        """Note that statements that were sent together have been answered."""
        self._fallbacks = 0

    def fell_back(self) -> None:
        """Note that statements were answered one by one, after they had been sent together in vain."""
        self._fallbacks += 1
        if self.taken and self._fallbacks >= _MOST_FALLBACKS:
            self.taken = False
            _log.warning(
                "the server, or a pooler before it, does not answer statements that are sent together: they are sent "
                "one by one, and a scrape waits for about %d round trips — use a newer pooler, or none",
                ROUND_TRIPS_WITHOUT,
            )


class CatalogReader:
    """Asks the catalog in an open transaction, or takes the answer that is already there. For one transaction.

    `ahead` are the questions that were sent with its beginning, and their answers. `soon` are those that will be asked
    next: the first of them is asked with all others, in one round trip. `answered` are those that were asked, with
    their answers; `seconds` is how long the transaction has waited for answers. With `prepare` the server keeps the
    statements: only where the connection's end is the server itself.
    """

    def __init__(
        self,
        connection: Connection,
        ahead: Iterable[tuple[Question, Answer]] = (),
        seconds: float = 0.0,
        soon: Iterable[Question] = (),
        *,
        prepare: bool = False,
    ) -> None:
        self._connection = connection
        self.prepares = prepare
        self._ahead = list(ahead)
        known = [question for question, _ in self._ahead]
        self._soon = [question for question in soon if question not in known]
        self.answered: list[tuple[Question, Answer]] = []
        self.seconds = seconds

    @property
    def habit(self) -> tuple[Question, ...]:
        """What to send with the beginning of the next transaction."""
        return tuple(question for question, _ in self.answered[:_MOST])

    def execute(self, statement: str, parameters: Mapping[str, Any], each: str = "") -> Answer:
        """The rows of a statement that only reads the catalog, and that has no characters beyond ASCII."""
        question = Question(statement, dict(parameters), each)
        answer = self._expected(question) or self._ask(question)
        self.answered.append((question, answer))
        return answer

    def once(self, question: Question) -> Answer:
        """As `execute`, but what has been answered in this transaction is not asked again."""
        known = (answer for answered, answer in self.answered if answered == question)
        return next(known, None) or self.execute(*question)

    def sent_ahead(self, question: Question) -> Answer | None:
        """The answer, if the question was sent with the transaction's beginning."""
        answer = self._expected(question)
        if answer is not None:
            self.answered.append((question, answer))
        return answer

    def note(self, question: Question, answer: Answer) -> None:
        """Remember an answer that was got otherwise, so that the next transaction sends the question ahead."""
        self.answered.append((question, answer))

    def _expected(self, question: Question) -> Answer | None:
        for place, (expected, answer) in enumerate(self._ahead):
            if expected == question:
                del self._ahead[place]  # who asks again wants to know it again
                return answer
        return None

    def _ask(self, question: Question) -> Answer:
        begun = time.monotonic()
        if question in self._soon:
            others = [other for other in self._soon if other != question]
            self._soon = []
            with pipelined(self._connection):
                self._connection.execute(NO_ROWS)
                batch = Batch(self._connection, [question, *others], prepare=self.prepares)
            answer, *answers = batch.answers()
            self._ahead += zip(others, answers, strict=True)
        else:
            answer = ask_one(self._connection, question)
        self.seconds += time.monotonic() - begun
        return answer


class Batch:
    """Questions that are sent, those that only differ in a value by one statement; then their answers."""

    def __init__(self, connection: Connection, questions: Sequence[Question], *, prepare: bool) -> None:
        """Send them. In a pipeline, take the answers after its end."""
        self._questions = questions
        self._sent = [(group, _sent(connection, group, prepare=prepare)) for group in _groups(questions)]

    def answers(self) -> list[Answer]:
        """Those of all questions, in their order. Raises the driver's error."""
        found: list[tuple[Question, Answer]] = []
        for group, cursor in self._sent:
            found += zip(group, _divided(group, cursor.fetchall()), strict=True)
        # there are few: comparing them is quicker than making keys that can be hashed
        return [next(answer for known, answer in found if known == question) for question in self._questions]


def _groups(questions: Sequence[Question]) -> list[list[Question]]:
    """The questions, each once: those together that one statement answers."""
    groups: list[list[Question]] = []
    for question in questions:
        group = next((group for group in groups if _differ_in_a_value(group[0], question)), None)
        if group is None:
            groups.append([question])
        elif question not in group:
            group.append(question)
    return groups


def _differ_in_a_value(one: Question, other: Question) -> bool:
    if one == other:
        return True
    if one.statement != other.statement or not one.each == other.each != "":
        return False
    return all(value == other.parameters[name] for name, value in one.parameters.items() if name != one.each)


def _sent(connection: Connection, group: Sequence[Question], *, prepare: bool) -> "psycopg.Cursor[Row]":
    statement, parameters, each = group[0]
    numbered = _numbered(statement)
    values = [parameters[name] if name != each else _values(group) for name in numbered.names]
    return execute_numbered(connection, numbered.text, values, prepare=prepare)


def _values(group: Sequence[Question]) -> list[Any]:
    return [value for question in group for value in question.parameters[question.each]]


def _divided(group: Sequence[Question], rows: Sequence[Row]) -> list[Answer]:
    """The answers to the questions of a group, out of all rows of its statement."""
    if len(group) == 1:
        return [Answer(rows)]
    by_value: dict[Any, list[Row]] = {value: [] for value in _values(group)}
    for row in rows:
        by_value[row[0]].append(row)
    return [
        Answer([row for value in question.parameters[question.each] for row in by_value[value]]) for question in group
    ]


@lru_cache(maxsize=64)
def _numbered(statement: str) -> Numbered:
    return Numbered.of(statement.encode())


def ask_one(connection: Connection, question: Question) -> Answer:
    """Ask in the transaction that is open. The server keeps nothing: that would take one more round trip."""
    (answer,) = Batch(connection, [question], prepare=False).answers()
    return answer


def ask_together(
    connection: Connection,
    questions: Sequence[Question],
    *,
    begin: Sequence[str],
    end: Sequence[str] = (),
    prepare: bool = False,
) -> list[Answer] | None:
    """Begin a transaction and ask in it, in one round trip; None, and no transaction, where any of that is refused.

    `begin` and `end` are statements without rows, before and after the questions. Raises the driver's error where the
    connection is lost.
    """
    try:
        with pipelined(connection):
            for statement in begin:
                connection.execute(statement.encode())
            batch = Batch(connection, questions, prepare=prepare)
            for statement in end:
                connection.execute(statement.encode())
        return batch.answers()
    except psycopg.Error:
        if is_lost(connection):
            raise
        roll_back(connection)
        return None
