"""Opening a connection that also works behind a transaction pooler."""

import contextlib
import functools
import logging
import math
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import send

from exporter.database.conninfo import ConnInfo
from exporter.database.encoding import be_lenient, client_encoding
from exporter.database.errors import DatabaseError, DatabaseUnavailable, is_understood, scrub, translate
from exporter.database.refusal import refused_with

# An error that ends a pipeline is raised; psycopg also logs it.
logging.getLogger("psycopg").setLevel(logging.ERROR)

NO_ROWS = b"SELECT WHERE false"
"""What goes first in a pipeline after a stream: libpq hands out the rows of the first statement as it did the stream's,
which psycopg does not expect there."""

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = psycopg.Cursor[tuple[Any, ...]]

_ON_DEMAND = 2**31
"""Runs after which psycopg prepares a statement that it was not asked to prepare: more than there are."""

# A server that is gone without a word is noticed after half a minute, and not after the kernel's two hours.
_KEEPALIVE = {
    "keepalives": "1",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


def connect(info: ConnInfo, timeout: float, application_name: str) -> Connection:
    """Open a connection: autocommit, tuples, text as ``str``, prepared only what is asked to be, no session state.

    The timeout is in seconds, at least two and whole (as libpq has it), for each address of the host. It and the
    encoding win over those in the URL, everything else in the URL wins over ours. The text is in the database's own
    encoding: use `encoding.encode_statement` for a query that is not ASCII; its parameters may be any text. Raises a
    DatabaseError.
    """
    parameters: dict[str, Any] = {
        **_KEEPALIVE,
        "application_name": application_name,
        **info.params,
        "client_encoding": "utf8",  # poolers keep track of it
        "connect_timeout": str(max(2, math.ceil(timeout))),
    }
    connection = _open(info, parameters)
    encoding = client_encoding(connection.info.parameter_status("server_encoding") or "UTF8")
    if encoding != "UTF8":
        # The server would refuse a whole query for one value or name that it cannot convert.
        connection.close()
        connection = _open(info, {**parameters, "client_encoding": encoding})
    be_lenient(connection)
    return connection


@contextlib.contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """As psycopg's `Connection.pipeline`, but all is sent at the end, with the Sync and with nothing after that.

    psycopg sends each statement by itself, and looks for answers in between: of a statement that fails they are raised
    at the end here. And it sends a Flush behind the Sync if results are still on their way. When that Sync has ended a
    transaction, a pooler may have taken the server away already. It then gives one to the Flush, which nothing answers:
    pgbouncer 1.24 waits for the end of that "transaction", and a pool of one server is stuck.
    """
    with connection.pipeline() as pipeline:
        pipeline._communicate_gen = _send_nothing  # type: ignore[method-assign]
        pipeline._exit_gen = functools.partial(_end, pipeline)  # type: ignore[method-assign]
        yield


def _send_nothing() -> PQGen[None]:
    yield from ()


def _end(pipeline: psycopg.Pipeline) -> PQGen[None]:
    pipeline._enqueue_sync()
    # libpq keeps all of it until the Sync
    while pipeline.command_queue:
        pipeline.command_queue.popleft()()
    yield from send(pipeline.pgconn)
    yield from pipeline._fetch_gen(flush=False)


def execute_numbered(connection: Connection, statement: bytes, values: Sequence[Any], *, prepare: bool) -> Rows:
    """Send a statement that has its parameters by number; with `prepare` the server keeps it under a name.

    That is only for a connection to the server itself: a pooler may hand the next transaction to another server, which
    does not know the name.
    """
    if prepare:
        connection.prepare_threshold = _ON_DEMAND
    return psycopg.RawCursor(connection).execute(statement, values, prepare=prepare)


def roll_back(connection: Connection) -> None:
    """End a transaction that has failed, and forget what the server keeps: that may be what has failed.

    The driver itself forgets it by the first of several rollbacks alone. Raises its error where the connection is lost.
    """
    connection._prepared.clear()
    connection.execute("ROLLBACK")


def is_lost(connection: Connection) -> bool:
    """Whether nothing more can be read by the connection."""
    return connection.broken or connection.closed


def start_connecting(info: ConnInfo, timeout: float, application_name: str) -> "Future[Connection]":
    """Open a connection as `connect` does, in a thread of its own.

    Cancelling the future ends the wait at once. A lookup of a host's name or a handshake in libpq cannot be
    interrupted: the thread finishes it, and then closes what it has opened. It does not keep the process alive.
    """
    future: Future[Connection] = Future()

    def work() -> None:
        connection: Connection | None = None
        failure: BaseException | None = None
        try:
            connection = connect(info, timeout, application_name)
        except BaseException as error:  # whoever waits raises it
            failure = error
        if not future.set_running_or_notify_cancel():
            if connection is not None:
                connection.close()
        elif connection is not None:
            future.set_result(connection)
        else:
            future.set_exception(failure)

    threading.Thread(target=work, name=f"connecting {application_name}", daemon=True).start()
    return future


def _open(info: ConnInfo, parameters: dict[str, Any]) -> Connection:
    failure: DatabaseError
    try:
        connection = psycopg.connect("", autocommit=True, prepare_threshold=None, **parameters)
        # so that a name never means what another client has prepared, whoever is in between
        connection._prepared._prepared_idx = secrets.randbits(62)
        return connection
    except psycopg.Error as error:
        state = None if is_understood(error) else refused_with(parameters, float(parameters["connect_timeout"]))
        failure = translate(error, info, state=state)
    except OSError as error:
        failure = translate(psycopg.OperationalError(error.strerror or ""), info)
    except UnicodeError:
        message = f"{scrub(info.display, info)}: the host's name cannot be looked up"
        failure = DatabaseUnavailable(message, "correct the host in the connection's settings")
    # Not in the handler: the driver's error shall not even be this one's context.
    raise failure
