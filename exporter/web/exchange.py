"""One request and its response on a connection."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from exporter.web.auth import network_of
from exporter.web.connections import Connections
from exporter.web.live import LiveSettings
from exporter.web.messages import Request, Response
from exporter.web.routes import Router
from exporter.web.settings import WebSettings

_GONE = "a client that has left"
"""The network of a client whose connection is closed already."""

_STANDARD_HEADERS = {
    "Server": "ai-operation-exporter",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Exchange(HTTPMessageDelegate):
    """Collects a request, has it answered, and writes the response."""

    def __init__(
        self,
        connection: HTTP1Connection,
        connections: Connections,
        live: LiveSettings,
        router: Router,
        keep: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._connection = connection
        self._stream = connection.stream
        self._connections = connections
        self._live = live
        self._router = router
        self._keep = keep
        self._request: Request | None = None

    def headers_received(self, start_line: object, headers: HTTPHeaders) -> None:
        """The head of the request is whole."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server gets no responses
        names = _alternative_names(self._stream.socket)
        network = network_of_client(self._stream.socket)
        self._request = Request(start_line.method, start_line.path, headers, names, network)

    def data_received(self, chunk: bytes) -> None:
        """Bodies mean nothing here."""

    def finish(self) -> None:
        """The request is whole: have it answered."""
        if self._live.refresh():
            self._connections.retire()
        if self._request is None or self._stream.closed():
            return
        self._connections.work(self._stream)
        task = asyncio.get_running_loop().create_task(self._answer(self._request))
        self._connection.set_close_callback(lambda: _cancel(task))
        self._keep(task)

    def on_connection_close(self) -> None:
        """The client left before its request was whole: nothing has begun."""

    async def _answer(self, request: Request) -> None:
        settings = self._live.settings
        self._send(request, await self._router.answer(request, settings), settings)

    def _send(self, request: Request, response: Response, settings: WebSettings) -> None:
        if self._stream.closed():
            return
        self._connections.write(self._stream)
        failed = response.status >= HTTPStatus.BAD_REQUEST
        headers = _headers(response, settings)
        if failed:
            headers["Connection"] = "close"
        status = HTTPStatus(response.status)
        body = response.body if request.method != "HEAD" else None
        sent = self._connection.write_headers(ResponseStartLine("HTTP/1.1", status.value, status.phrase), headers, body)
        self._connection.finish()
        if failed:
            # Whoever is refused has no claim on a place among the connections.
            sent.add_done_callback(lambda _: self._stream.close())


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _headers(response: Response, settings: WebSettings) -> HTTPHeaders:
    headers = HTTPHeaders(_STANDARD_HEADERS)
    headers["Content-Type"] = response.content_type
    if response.body is not None:
        headers["Content-Length"] = str(len(response.body))
    for name, value in response.headers.items():
        headers[name] = value
    for name, value in settings.http_server_config.headers.items():
        if value:
            headers[name] = value
        else:
            headers.pop(name, None)
    return headers


def network_of_client(connected: socket.socket | None) -> str:
    """The network that a request comes from; the same for all clients that have left already."""
    try:
        # None once the stream is closed, which may be while the head of its request is still being taken apart
        return _GONE if connected is None else network_of(connected.getpeername()[0])
    except OSError:
        return _GONE


def _alternative_names(connected: object) -> frozenset[str]:
    """The subject alternative names of the client's verified certificate, addresses in their usual form."""
    if not isinstance(connected, ssl.SSLSocket):
        return frozenset()
    pairs: Any = (connected.getpeercert() or {}).get("subjectAltName", ())
    return frozenset(_usual(kind, value) for kind, value in pairs)


def _usual(kind: str, value: str) -> str:
    if kind != "IP Address":
        return value
    try:
        return str(ipaddress.ip_address(value.strip()))
    except ValueError:
        return value
