"""New connections while there is no file descriptor left: said once, and none is lost."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from exporter.web import accepting
from exporter.web.accepting import Acceptor
from tests.support.web import PATIENCE


class Short(socket.socket):
    """A listening socket that cannot accept while there is an error."""

    tried = 0

    def __init__(self, error: int | None = None) -> None:
        super().__init__()
        self.error = error
        self.bind(("127.0.0.1", 0))
        self.listen()
        self.setblocking(False)

    def accept(self) -> tuple[socket.socket, Any]:
        self.tried += 1
        if self.error is not None:
            raise OSError(self.error, "there is none left")
        return super().accept()


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "_REST_SECONDS", 0.02)
    monkeypatch.setattr(accepting, "_CALM_SECONDS", 0.2)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == accepting.__name__]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM])
@pytest.mark.parametrize("room", [True, False])
def test_a_shortage_is_said_once_and_so_is_its_end(error: int, room: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    accepted: list[socket.socket] = []

    async def run() -> None:
        with Short(error) as listening, socket.socket() as client:
            acceptor = Acceptor(listening, lambda one, _: accepted.append(one), lambda: room)
            client.connect(listening.getsockname())
            await until(lambda: listening.tried > 10)
            assert accepted == []
            assert len(said(caplog)) == 1
            assert "there is none left" in said(caplog)[0]
            listening.error = None
            await until(lambda: len(accepted) == 1)
            await until(lambda: len(said(caplog)) > 1)
            assert said(caplog)[1:] == ["new connections are accepted again"]
            acceptor.stop()

    asyncio.run(run())
    accepted[0].close()


def test_it_does_not_keep_the_loop_busy_while_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "_REST_SECONDS", 3600)

    async def run() -> None:
        with Short(errno.EMFILE) as listening, socket.socket() as client:
            acceptor = Acceptor(listening, lambda *_: None, lambda: False)
            client.connect(listening.getsockname())
            await until(lambda: listening.tried > 0)
            for _ in range(20):
                await asyncio.sleep(0)
            assert listening.tried == 1
            acceptor.stop()

    asyncio.run(run())


def test_one_that_gives_way_makes_room_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "_REST_SECONDS", 3600)
    accepted: list[socket.socket] = []

    async def run() -> None:
        with Short(errno.EMFILE) as listening, socket.socket() as client:

            def make_room() -> bool:
                listening.error = None
                return True

            acceptor = Acceptor(listening, lambda one, _: accepted.append(one), make_room)
            client.connect(listening.getsockname())
            await until(lambda: len(accepted) == 1)
            acceptor.stop()

    asyncio.run(run())
    accepted[0].close()


def test_a_connection_that_cannot_be_served_does_not_end_the_accepting(caplog: pytest.LogCaptureFixture) -> None:
    taken: list[socket.socket] = []

    def accepted(one: socket.socket, _: Any) -> None:
        taken.append(one)
        if len(taken) < 3:
            raise ValueError(one)

    async def run() -> None:
        with Short() as listening:
            acceptor = Acceptor(listening, accepted, lambda: False)
            clients = [socket.create_connection(listening.getsockname()) for _ in range(4)]
            await until(lambda: len(taken) == 4)
            acceptor.stop()
            for one in (*clients, *taken):
                one.close()

    asyncio.run(run())


def test_one_that_is_gone_before_it_is_accepted_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    class Aborted(Short):
        def accept(self) -> tuple[socket.socket, Any]:
            self.tried += 1
            if self.tried <= 3:
                raise ConnectionAbortedError
            return super().accept()

    accepted: list[socket.socket] = []

    async def run() -> None:
        with Aborted() as listening, socket.socket() as client:
            acceptor = Acceptor(listening, lambda one, _: accepted.append(one), lambda: False)
            client.connect(listening.getsockname())
            await until(lambda: len(accepted) == 1)
            acceptor.stop()

    asyncio.run(run())
    accepted[0].close()
    assert said(caplog) == []


def test_after_a_stop_nothing_is_accepted() -> None:
    accepted: list[socket.socket] = []

    async def run() -> None:
        with Short() as listening, socket.socket() as client:
            acceptor = Acceptor(listening, lambda one, _: accepted.append(one), lambda: False)
            await asyncio.sleep(0)
            acceptor.stop()
            client.connect(listening.getsockname())
            for _ in range(20):
                await asyncio.sleep(0)

    asyncio.run(run())
    assert accepted == []


@pytest.mark.parametrize("turns", range(1, 6))
def test_what_is_accepted_while_it_stops_is_passed_on(turns: int) -> None:
    """Whoever is accepted and not passed on is never closed."""
    taken: list[int] = []
    accepted: list[socket.socket] = []
    acceptors: list[Acceptor] = []

    class Stopping(Short):
        def accept(self) -> tuple[socket.socket, Any]:
            connection, address = super().accept()
            taken.append(connection.fileno())
            stop_in(turns)
            return connection, address

    def stop_in(turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(stop_in, turns - 1)
        else:
            acceptors[0].stop()

    async def run() -> None:
        with Stopping() as listening:
            acceptors.append(Acceptor(listening, lambda one, _: accepted.append(one), lambda: False))
            await asyncio.sleep(0)
            clients = [socket.create_connection(listening.getsockname()) for _ in range(8)]
            for _ in range(40):
                await asyncio.sleep(0)
            for client in clients:
                client.close()

    asyncio.run(run())
    assert len(taken) > 0
    assert [one.fileno() for one in accepted] == taken
    for one in accepted:
        one.close()
