"""How a transaction begins: read-only, with its own time limits, and with no search path but the system's own.

Whoever may create a function or an operator in a schema of the search path could have a statement call it with our
role's rights. So the statements here name the schema of all that they call, and the rest of the transaction runs with
a path of the system's own. `pg_temp` stands last: where it is not named, it comes first. The settings end with the
transaction, since a pooler hands on no session state.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg

from exporter.database.connection import Connection, Rows, is_lost
from exporter.database.foresight import Answer, Question, ask_one, ask_together

BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

# One round trip for all settings. It reads the role's own path before it locks it: that path says which table a bare
# name means.
_NEEDED = """
SELECT extract(epoch FROM pg_catalog.now())::pg_catalog.float8, pg_catalog.current_database()::pg_catalog.text,
       pg_catalog.current_schemas(false), pg_catalog.current_setting('in_hot_standby', true),
       pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('statement_timeout', %(ms)s, true), pg_catalog.set_config('lock_timeout', %(lock)s, true),
       pg_catalog.set_config('row_security', %(rows)s, true)
"""
# Not every server and fork of PostgreSQL has these, and nothing that is read depends on them. JIT is off because
# compiling the wide aggregate takes longer than running it on an open window.
_WANTED = """, pg_catalog.pg_backend_pid(),
       CASE WHEN pg_catalog.current_setting('idle_in_transaction_session_timeout', true) IS NOT NULL
            THEN pg_catalog.set_config('idle_in_transaction_session_timeout', %(idle)s, true) END,
       CASE WHEN pg_catalog.current_setting('jit', true) IS NOT NULL
            THEN pg_catalog.set_config('jit', 'off', true) END
"""
SYSTEM = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()"
"""Which cluster it is. Hosted servers and forks refuse it in many ways, and what is read does not depend on it."""

_PROCESS = 8  # the column of `_WANTED` that has it
_LOCK_SHARE = 0.8  # of a statement's time that it may wait for a lock


class Begun(NamedTuple):
    """What a transaction begins with.

    `clock` is the server's time in seconds since the epoch, `path` has the schemas of the role's own search path, and
    `hot_standby` is a setting that servers before 14 do not have. `process` is the id of the server's process, None
    where the server does not tell it.
    """

    clock: float
    database: str
    path: Sequence[str]
    hot_standby: str | None
    process: int | None = None


class Timing(NamedTuple):
    """What a transaction is bounded by, in seconds: each statement, and how long it may be idle."""

    statement: float
    idle: float


class Opening:
    """Begins the transactions of one connection, and remembers what its server refuses and what they ask first."""

    def __init__(self) -> None:
        self._takes_wanted = True

    def begin_with(
        self,
        connection: Connection,
        timing: Timing,
        row_security: str,
        expected: Sequence[Question],
        *,
        prepare: bool,
    ) -> tuple["Begun", list[tuple[Question, Answer]]] | None:
        """Begin and configure a transaction and ask what is expected of it, in one round trip.

        None where no transaction has begun: the server refused a part of it. With `prepare` it keeps the statements.
        Raises the driver's error where the connection is lost.
        """
        first = Question(_NEEDED + (_WANTED if self._takes_wanted else ""), _settings(timing, row_security))
        answers = ask_together(connection, [first, *expected], begin=[BEGIN], prepare=prepare)
        if answers is None:
            return None
        return _begun(answers[0].fetchone()), list(zip(expected, answers[1:], strict=True))

    def commit_and_ask(
        self, connection: Connection, seconds: float, questions: Sequence[Question], *, together: bool, prepare: bool
    ) -> list[Answer]:
        """End the transaction that is open, and ask in one of its own, where no answer may take more than `seconds`.

        One round trip, or one for each if the server does not take them `together`. Raises the driver's error.
        """
        every = [Question(_NEEDED, _settings(Timing(seconds, seconds), "off")), *questions]
        answers = None
        if together:
            answers = ask_together(connection, every, begin=["COMMIT", BEGIN], end=["COMMIT"], prepare=prepare)
        if answers is None:
            connection.execute("ROLLBACK")
            connection.execute(BEGIN)
            answers = [ask_one(connection, question) for question in every]
            connection.execute("COMMIT")
        return answers[1:]

    def configure(self, cursor: Rows, timing: Timing) -> "Begun":
        """Configure the transaction that was just begun.

        A server that refuses a setting that is only wanted is asked for the needed ones alone from then on. Raises the
        driver's error where it refuses those, or where the connection is lost.
        """
        settings = _settings(timing, "off")
        if self._takes_wanted:
            try:
                return _begun(cursor.execute(_NEEDED + _WANTED, settings).fetchone())
            except psycopg.Error:
                if is_lost(cursor.connection):
                    raise
                cursor.execute("ROLLBACK")
                cursor.execute(BEGIN)
        begun = _begun(cursor.execute(_NEEDED, settings).fetchone())
        self._takes_wanted = False  # only now: it was not the needed ones that were refused
        return begun


def _settings(timing: Timing, row_security: str) -> Mapping[str, str]:
    return {
        **limits(int(timing.statement * 1000)),
        "idle": str(max(1, int(timing.idle * 1000))),
        "rows": row_security,
    }


def limits(milliseconds: int) -> Mapping[str, str]:
    """A statement's time, and the shorter time that it may wait for a lock, so that a lock is reported as one."""
    return {"ms": str(max(1, milliseconds)), "lock": str(max(1, int(milliseconds * _LOCK_SHARE)))}


def _begun(row: tuple[Any, ...] | None) -> Begun:
    return Begun(*row[:4], *row[_PROCESS : _PROCESS + 1]) if row else Begun(0.0, "", (), None)
