"""One request and its response on a connection."""

import asyncio
import ssl
from http import HTTPStatus
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine

from exporter.web.connections import Connections
from exporter.web.messages import Request, Response
from exporter.web.reloading import ReloadingSettings
from exporter.web.routes import Router
from exporter.web.settings import WebSettings, usual_address

_STANDARD_HEADERS = {
    "Server": "ai-operation-exporter",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class RequestHandler(HTTPMessageDelegate):
    """Receives a request, has it answered, and writes the response; its body, if any, is thrown away."""

    def __init__(
        self,
        connection: HTTP1ServerConnection,
        exchange: HTTP1Connection,
        connections: Connections,
        settings: ReloadingSettings,
        router: Router,
    ) -> None:
        """``exchange`` is Tornado's side of this one request; its context is the client's network."""
        self._connection = connection
        self._exchange = exchange
        self._connections = connections
        self._settings = settings
        self._router = router
        self._request: Request | None = None

    def headers_received(self, start_line: object, headers: HTTPHeaders) -> None:
        """Take the head of the request, which is whole."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server gets no responses
        names = _alternative_names(self._connection.stream.socket)
        self._request = Request(start_line.method, start_line.path, headers, names, str(self._exchange.context))

    def finish(self) -> None:
        """Have the request answered, which is whole."""
        if self._settings.refresh():
            self._connections.retire()
        if self._request is None or self._connection.stream.closed():
            return
        self._connections.work(self._connection)
        task = asyncio.get_running_loop().create_task(self._answer(self._request))
        # Nothing else refers to the task: the event loop holds tasks weakly.
        self._exchange.set_close_callback(lambda: _cancel(task))

    async def _answer(self, request: Request) -> None:
        settings = self._settings.current
        response = await self._router.answer(request, settings)
        if self._connection.stream.closed():
            return
        self._connections.write(self._connection)
        status = HTTPStatus(response.status)
        failed = status >= HTTPStatus.BAD_REQUEST
        headers = _headers(response, settings)
        if failed:
            headers["Connection"] = "close"
        body = response.body if request.method != "HEAD" else None
        sent = self._exchange.write_headers(ResponseStartLine("HTTP/1.1", status.value, status.phrase), headers, body)
        self._exchange.finish()
        if failed:
            # Whoever is refused has no claim on a place among the connections.
            sent.add_done_callback(lambda _: self._connection.stream.close())


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _headers(response: Response, settings: WebSettings) -> HTTPHeaders:
    headers = HTTPHeaders(_STANDARD_HEADERS)
    headers["Content-Type"] = response.content_type
    if response.body is not None:
        headers["Content-Length"] = str(len(response.body))
    for name, value in {**response.headers, **settings.http_server_config.headers}.items():
        if value:
            headers[name] = value
        else:
            headers.pop(name, None)
    return headers


def _alternative_names(connected: object) -> frozenset[str]:
    """The subject alternative names of the client's verified certificate, addresses in their usual form."""
    if not isinstance(connected, ssl.SSLSocket):
        return frozenset()
    pairs: Any = (connected.getpeercert() or {}).get("subjectAltName", ())
    return frozenset(usual_address(value.strip()) if kind == "IP Address" else value for kind, value in pairs)
