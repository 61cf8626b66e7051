"""Every open connection and how long it may stay as it is."""

import asyncio
import resource
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum

from tornado.iostream import IOStream

from exporter.web.limits import Limits

_AT_ONCE = struct.pack("ii", 1, 0)
_OWN_FILES = 32  # for the database, the state and everything else but clients
_LEAST_CONNECTIONS = 4


class Stage(IntEnum):
    """What a connection waits for; the smaller, the sooner it gives way to a new one."""

    WAITING = 0  # for a client's handshake, or for a whole request
    WRITING = 1  # for a client to read
    WORKING = 2  # for this program


@dataclass
class _Connection:
    stage: Stage
    timer: asyncio.TimerHandle | None = None
    last_request: bool = False


class Connections:
    """The open connections, in the order in which they entered their stage; used by the event loop's thread only."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = _affordable(limits.connections)
        self._open: dict[IOStream, _Connection] = {}

    def admit(self, stream: IOStream) -> bool:
        """Take a new connection in, and close the one that has waited longest for its client if there are too many.

        False when this program is at work on every one of them: then the new one is closed.
        """
        if len(self._open) >= self._most and not self.make_room():
            stream.close()  # the newcomer has nothing to lose
            return False
        self._open[stream] = _Connection(Stage.WAITING)
        self._set_timer(stream, self._limits.header_timeout)
        return True

    def make_room(self) -> bool:
        """Close the connection that has waited longest for its client; False when this program is at work on all."""
        # the first, hence oldest, of its stage
        victim = min(self._open, key=lambda one: self._open[one].stage, default=None)
        if victim is None or self._open[victim].stage is Stage.WORKING:
            return False
        self.remove(victim)
        _drop(victim)
        return True

    def await_request(self, stream: IOStream) -> None:
        """The connection is free for a request: its first one, or one more."""
        connection = self._open.get(stream)
        if connection is None or connection.stage is Stage.WAITING:
            return  # the time for the first one runs since it was admitted
        if connection.last_request:
            stream.close()
            return
        self._enter(stream, Stage.WAITING, self._limits.keep_alive)

    def work(self, stream: IOStream) -> None:
        """A whole request has arrived; the answer takes what it takes."""
        self._enter(stream, Stage.WORKING, None)

    def write(self, stream: IOStream) -> None:
        """The response is being sent."""
        self._enter(stream, Stage.WRITING, self._limits.write_timeout)

    def remove(self, stream: IOStream) -> None:
        """The connection is closed."""
        connection = self._open.pop(stream, None)
        if connection is not None and connection.timer is not None:
            connection.timer.cancel()

    def retire(self) -> None:
        """Close them, each after the request it is at: they were made under rules that no longer hold."""
        for stream, connection in list(self._open.items()):
            connection.last_request = True
            if connection.stage is Stage.WAITING:
                stream.close()

    def _enter(self, stream: IOStream, stage: Stage, seconds: float | None) -> None:
        connection = self._open.pop(stream, None)
        if connection is None:
            return
        connection.stage = stage
        self._open[stream] = connection  # at the end: dictionaries keep their order
        self._set_timer(stream, seconds)

    def _set_timer(self, stream: IOStream, seconds: float | None) -> None:
        connection = self._open[stream]
        if connection.timer is not None:
            connection.timer.cancel()
            connection.timer = None
        if seconds is not None:
            connection.timer = asyncio.get_running_loop().call_later(seconds, _drop, stream)


def _drop(stream: IOStream) -> None:
    """Close, and have the system forget what the client has not read: it would keep that for minutes."""
    if stream.writing():
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    stream.close()


def _affordable(connections: int) -> int:
    """So many connections, or fewer if they would leave the process too few file descriptors."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(_LEAST_CONNECTIONS, files - _OWN_FILES))
