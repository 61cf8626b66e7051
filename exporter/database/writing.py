"""The one transaction that writes: on a connection of its own, and with no search path but the system's own."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from exporter.database.connection import Connection, connect
from exporter.database.conninfo import ConnInfo
from exporter.database.encoding import encode_statement
from exporter.database.opening import limits

# Each statement has a snapshot of its own: what stands there when the lock is given.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_SETTINGS = """
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
       pg_catalog.set_config('statement_timeout', %(ms)s, true), pg_catalog.set_config('lock_timeout', %(lock)s, true),
       pg_catalog.set_config('row_security', %(rows)s, true)
"""
_LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(%(key)s)"


class Writer:
    """An open transaction that may write."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, statement: sql.Composed, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows that a statement returns. Raises the driver's errors."""
        return self._connection.execute(encode_statement(statement, self._connection), parameters).fetchall()

    def wait_for_others(self, key: int) -> None:
        """Wait until no other transaction has the lock of this number, and have it to the end of this one."""
        self._connection.execute(_LOCK, {"key": key})


@contextlib.contextmanager
def writing(info: ConnInfo, connect_timeout: float, name: str, seconds: float, row_security: str) -> Iterator[Writer]:
    """A transaction whose statements take so many `seconds` each, at most. It is undone if what is inside fails.

    `row_security` is as a `Session` has proven it. Raises `DatabaseError` where there is no connection, else the
    driver's errors.
    """
    with contextlib.closing(connect(info, connect_timeout, name)) as connection:
        connection.execute(_BEGIN)
        connection.execute(_SETTINGS, {**limits(int(seconds * 1000)), "rows": row_security})
        try:
            yield Writer(connection)
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
