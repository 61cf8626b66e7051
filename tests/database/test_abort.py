"""Giving up what a database is asked for, from another thread, wherever it is at that moment."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseUnavailable
from exporter.database.session import Session
from exporter.database.transactions import Database
from tests.support.harness import PATIENCE

NOBODY_ELSE_ENDS_IT = 3600.0


def database(url: str) -> Database:
    return Database(resolve_conninfo(Config(), {"DATABASE_URL": url}), NOBODY_ELSE_ENDS_IT, "tests")


@contextlib.contextmanager
def another_thread(database: Database, work: Callable[[Session], object]) -> Iterator[list[BaseException]]:
    """Have a session do something elsewhere, until the block is over; what that raises is in the list then."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with database.session(NOBODY_ELSE_ENDS_IT) as session:
                work(session)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield raised
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it still waits"


def assert_given_up(raised: list[BaseException]) -> None:
    (error,) = raised
    assert isinstance(error, DatabaseUnavailable)
    assert "given up" in error.message


def test_connecting_to_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        one = database(f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d")
        with another_thread(one, lambda _: None) as raised, silent.accept()[0]:
            one.abort()
        assert_given_up(raised)


def test_looking_up_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> None:
        asked.set()
        answer.wait(PATIENCE)
        raise OSError("it was only a test")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    one = database("postgresql://u:p@db.example/d")
    with another_thread(one, lambda _: None) as raised:
        assert asked.wait(PATIENCE)
        one.abort()
    answer.set()
    assert_given_up(raised)


def test_a_statement_that_runs(embedded_database: str) -> None:
    one = database(embedded_database)
    runs = threading.Event()

    def work(session: Session) -> None:
        runs.set()
        session.run("SELECT pg_sleep(3600)")

    with another_thread(one, work) as raised:
        assert runs.wait(PATIENCE)
        one.abort()
    assert_given_up(raised)


def test_what_comes_afterwards(embedded_database: str) -> None:
    one = database(embedded_database)
    with one.session(10):
        pass
    one.abort()
    with pytest.raises(DatabaseUnavailable, match="given up"), one.session(10):
        pass
