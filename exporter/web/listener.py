"""From an accepted socket to a served connection."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPServerConnectionDelegate
from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import ssl_wrap_socket

from exporter.web.accepting import Acceptor
from exporter.web.connections import Connections
from exporter.web.exchange import Exchange
from exporter.web.limits import Limits
from exporter.web.live import LiveSettings
from exporter.web.routes import Router

_READ_BUFFER = 128 * 1024  # bytes a client can send ahead of its turn


class _Server(HTTPServer):
    """Tornado's HTTP/1, telling the table of connections when one is closed."""

    connections: Connections

    def on_close(self, server_conn: object) -> None:
        self.connections.remove(cast(HTTP1ServerConnection, server_conn).stream)
        super().on_close(server_conn)


class Listener(HTTPServerConnectionDelegate):
    """Accepts, wraps in TLS and serves connections, within the limits; lives in a running event loop."""

    def __init__(self, sockets: Iterable[socket.socket], live: LiveSettings, router: Router, limits: Limits) -> None:
        self._live = live
        self._router = router
        self._connections = Connections(limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = _Server(
            self,
            idle_connection_timeout=max(limits.header_timeout, limits.keep_alive),
            body_timeout=limits.header_timeout,
            max_header_size=limits.header_bytes,
            max_body_size=limits.body_bytes,
            max_buffer_size=_READ_BUFFER,
        )
        self._server.connections = self._connections
        self._sockets = tuple(sockets)
        self._acceptors = [Acceptor(one, self._accept, self._connections.make_room) for one in self._sockets]

    def start_request(
        self,
        server_conn: object,  # noqa: ARG002 - Tornado's signature
        request_conn: HTTPConnection,
    ) -> Exchange:
        """A connection is free for a request."""
        connection = cast(HTTP1Connection, request_conn)
        self._connections.await_request(connection.stream)
        return Exchange(connection, self._connections, self._live, self._router, self._keep)

    async def close(self) -> None:
        """Accept no more, drop what is under way, and close every connection."""
        for acceptor in self._acceptors:
            acceptor.stop()
        for one in self._sockets:
            one.close()
        for task in tuple(self._tasks):
            task.cancel()
        await self._server.close_all_connections()

    def _accept(self, accepted: socket.socket, address: Any) -> None:
        if self._live.refresh():
            self._connections.retire()
        try:
            stream = self._wrap(accepted)
        except OSError:  # gone already
            accepted.close()
            return
        if self._connections.admit(stream):
            self._server.handle_stream(stream, address)

    def _wrap(self, accepted: socket.socket) -> IOStream:
        context = self._live.context
        if context is None:
            return IOStream(accepted, max_buffer_size=_READ_BUFFER)
        wrapped = ssl_wrap_socket(accepted, context, server_side=True, do_handshake_on_connect=False)
        return SSLIOStream(wrapped, max_buffer_size=_READ_BUFFER)

    def _keep(self, task: asyncio.Task[None]) -> None:
        # The event loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Quieter(logging.Filter):
    """Lets one record through every ``seconds``: strangers must not be able to fill the log."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._next = 0.0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        now = self._clock()
        # Below a warning Tornado repeats what the client sent, which may be a password.
        if record.levelno < logging.WARNING:
            return False
        if now < self._next:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg = f"{record.getMessage()} (and {self._left_out} more like it)"
            record.args = None
        self._next, self._left_out = now + self._seconds, 0
        return True
