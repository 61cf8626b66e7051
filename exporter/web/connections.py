"""The open connections, with a time limit for each stage."""

import resource
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from tornado.http1connection import HTTP1ServerConnection
from tornado.iostream import IOStream

from exporter.web.limits import Limits
from exporter.web.timer import PatientTimer

_NO_LINGERING = struct.pack("ii", 1, 0)
_OWN_FILES = 32  # for the database, the state and everything else but clients
_FEWEST_CONNECTIONS = 4


class Stage(IntEnum):
    """What a connection waits for; the smaller, the sooner it gives way to a new one."""

    READING = 0  # for a client's handshake, or for a whole request
    WRITING = 1  # for a client to read
    WORKING = 2  # for this program


@dataclass
class _State:
    stage: Stage
    timer: PatientTimer | None = None
    last_request: bool = False


class Connections:
    """The open connections, in the order in which they entered their stage; used by the event loop's thread only."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = _affordable(limits.connections)
        self._open: dict[HTTP1ServerConnection, _State] = {}

    def admit(self, connection: HTTP1ServerConnection) -> bool:
        """Take a new connection in, and close the one that has waited longest for its client if there are too many.

        False when this program is at work on every one of them: then the new one is closed.
        """
        if len(self._open) >= self._most and not self.make_room():
            connection.stream.close()  # the newcomer has nothing to lose
            return False
        self._enter(connection, _State(Stage.READING), self._limits.header_timeout)
        return True

    def make_room(self) -> bool:
        """Close the connection that has waited longest for its client; False when this program is at work on all."""
        # the first, hence oldest, of its stage
        victim = min(self._open, key=lambda one: self._open[one].stage, default=None)
        if victim is None or self._open[victim].stage is Stage.WORKING:
            return False
        self.remove(victim)
        _drop(victim.stream)
        return True

    def await_request(self, connection: HTTP1ServerConnection) -> None:
        """Wait for a request: the first one, whose time runs since the connection was admitted, or one more."""
        state = self._open.get(connection)
        if state is None or state.stage is Stage.READING:
            return
        if state.last_request:
            connection.stream.close()
        else:
            self._move(connection, Stage.READING, self._limits.keep_alive)

    def work(self, connection: HTTP1ServerConnection) -> None:
        """Note that a whole request has arrived; the answer takes what it takes."""
        self._move(connection, Stage.WORKING, None)

    def write(self, connection: HTTP1ServerConnection) -> None:
        """Note that the response is being sent."""
        self._move(connection, Stage.WRITING, self._limits.write_timeout)

    def remove(self, connection: HTTP1ServerConnection) -> None:
        """Forget a connection, which is closed."""
        state = self._open.pop(connection, None)
        if state is not None and state.timer is not None:
            state.timer.cancel()

    def retire(self) -> None:
        """Close all, each after the request it is at: they were made under settings that no longer hold."""
        for connection, state in list(self._open.items()):
            state.last_request = True
            if state.stage is Stage.READING:
                connection.stream.close()

    async def close(self) -> None:
        """Close all at once."""
        while self._open:
            await next(iter(self._open)).close()

    def _move(self, connection: HTTP1ServerConnection, stage: Stage, seconds: float | None) -> None:
        state = self._open.get(connection)
        if state is not None:
            self.remove(connection)
            state.stage = stage
            self._enter(connection, state, seconds)

    def _enter(self, connection: HTTP1ServerConnection, state: _State, seconds: float | None) -> None:
        self._open[connection] = state  # at the end: dictionaries keep their order
        if seconds is not None:
            state.timer = PatientTimer(seconds, partial(_drop, connection.stream))


def _drop(stream: IOStream) -> None:
    """Close, and have the system forget what the client has not read: it would keep that for minutes."""
    if stream.writing():
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
    stream.close()


def _affordable(connections: int) -> int:
    """So many connections, or fewer if they would leave the process too few file descriptors."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(_FEWEST_CONNECTIONS, files - _OWN_FILES))
