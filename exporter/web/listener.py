"""From an accepted socket to a served connection."""

import socket
from collections.abc import Iterable
from typing import Any, cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httputil import HTTPConnection, HTTPServerConnectionDelegate
from tornado.iostream import IOStream, SSLIOStream
from tornado.netutil import ssl_wrap_socket

from exporter.web.accepting import Acceptor
from exporter.web.auth import network_of
from exporter.web.connections import Connections
from exporter.web.handler import RequestHandler
from exporter.web.limits import Limits
from exporter.web.reloading import ReloadingSettings
from exporter.web.routes import Router

_READ_BUFFER = 128 * 1024  # bytes a client can send ahead of its turn


class Listener(HTTPServerConnectionDelegate):
    """Accepts, wraps in TLS and serves connections, within the limits; lives in a running event loop."""

    def __init__(
        self, sockets: Iterable[socket.socket], settings: ReloadingSettings, router: Router, limits: Limits
    ) -> None:
        self._settings = settings
        self._router = router
        self._connections = Connections(limits)
        self._parameters = HTTP1ConnectionParameters(
            max_header_size=limits.header_bytes,
            max_body_size=limits.body_bytes,
        )
        self._acceptors = [Acceptor(one, self._accept, self._connections.make_room) for one in sockets]

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> RequestHandler:
        """Wait for a request on a connection that is free for one."""
        connection = cast(HTTP1ServerConnection, server_conn)
        self._connections.await_request(connection)
        exchange = cast(HTTP1Connection, request_conn)
        return RequestHandler(connection, exchange, self._connections, self._settings, self._router)

    def on_close(self, server_conn: object) -> None:
        """Forget a closed connection."""
        self._connections.remove(cast(HTTP1ServerConnection, server_conn))

    async def close(self) -> None:
        """Accept no more, drop what is under way, and close every connection."""
        for acceptor in self._acceptors:
            acceptor.stop()
        await self._connections.close()

    def _accept(self, accepted: socket.socket, address: Any) -> None:
        if self._settings.refresh():
            self._connections.retire()
        try:
            stream = self._wrap(accepted)
        except OSError:  # gone already
            accepted.close()
            return
        connection = HTTP1ServerConnection(stream, self._parameters, context=network_of(address[0]))
        if self._connections.admit(connection):
            connection.start_serving(self)

    def _wrap(self, accepted: socket.socket) -> IOStream:
        context = self._settings.context
        if context is None:
            return IOStream(accepted, max_buffer_size=_READ_BUFFER)
        wrapped = ssl_wrap_socket(accepted, context, server_side=True, do_handshake_on_connect=False)
        return SSLIOStream(wrapped, max_buffer_size=_READ_BUFFER)
