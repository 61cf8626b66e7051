"""What the tests of the web surface share: an application, a server and clients on plain sockets."""

import base64
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import bcrypt
import pytest

from exporter.catalog import Metric
from exporter.web.app import HealthStatus
from exporter.web.families import Family, Part, Shape
from exporter.web.limits import Limits, ScrapeTimeouts
from exporter.web.server import WebServer

PATIENCE = 20.0  # seconds a test waits for what must happen before it fails
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
QUICK = Limits(reload_interval=0.0)
ALIVE, READY = HealthStatus(True, "alive"), HealthStatus(True, "ready")
TIMEOUTS = ScrapeTimeouts(default=10.0, offset=0.5, most=30.0)


SIZE = Family(Metric("size", "gauge", (), "Size."), {(): 7})
LATENCY = Shape(
    [Part("_bucket", (("le", "1"),)), Part("_bucket", (("le", "+Inf"),)), Part("_count"), Part("_sum")],
    lambda value: value,
)


def families() -> list[Family]:
    calls = Family(Metric("calls_total", "counter", ("model",), "Calls."), {("a",): 3})
    return [calls, SIZE, Family(Metric("latency", "histogram", (), "Latency."), {(): (1, 2, 2, 3)}, LATENCY)]


def large() -> list[Family]:
    """More than the buffers of sockets hold."""
    values = {(f"{number}-" + "x" * 1200,): 1 for number in range(10_000)}
    return [Family(Metric("large", "gauge", ("text",), "Large."), values)]


@dataclass
class App:
    """An application whose answers a test sets; its scrapes hang until ``go`` is set."""

    metrics: Sequence[Family] = field(default_factory=families)
    healthy: HealthStatus = ALIVE
    ready: HealthStatus = READY
    rows: Sequence[tuple[str, str]] = ()
    error: BaseException | None = None
    timeouts: list[float] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self.go.set()

    def scrape(self, timeout: float) -> Iterable[Family]:
        self.timeouts.append(timeout)
        self.begun.release()
        self.go.wait(PATIENCE)
        self._fail()
        return self.metrics

    def health(self) -> HealthStatus:
        self.go.wait(PATIENCE)
        self._fail()
        return self.healthy

    def readiness(self) -> HealthStatus:
        return self.ready

    def status(self) -> Sequence[tuple[str, str]]:
        self._fail()
        return self.rows

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@contextmanager
def serving(
    app: App | None = None, config: Path | None = None, limits: Limits = QUICK, address: str = "127.0.0.1:0"
) -> Iterator[int]:
    """A server for the duration of a block: its port."""
    app = app or App()
    server = WebServer(app, address, config, TIMEOUTS, limits)
    server.start()
    try:
        yield server.port
    finally:
        app.go.set()
        server.stop()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def connect(port: int, tls: ssl.SSLContext | None = None) -> http.client.HTTPConnection:
    if tls is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=tls)


def ask(connection: http.client.HTTPConnection, path: str = "/metrics", method: str = "GET", **headers: str) -> Answer:
    """A request on a connection that stays open; underscores in header names stand for hyphens."""
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read())


def fetch(
    port: int, path: str = "/metrics", method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str
) -> Answer:
    """A request on a connection of its own."""
    connection = connect(port, tls)
    try:
        return ask(connection, path, method, **headers)
    finally:
        connection.close()


def dial(port: int, data: bytes = b"") -> socket.socket:
    """A plain connection that has sent ``data``."""
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    client.sendall(data)
    return client


def read_all(client: socket.socket) -> bytes:
    """What arrives until the server closes; when it does not, the test fails. Closes the socket."""
    received = b""
    with client, suppress(ConnectionError, ssl.SSLEOFError):
        while chunk := client.recv(65536):
            received += chunk
    return received


def await_hangup(*clients: socket.socket) -> None:
    """Wait until the server has closed one of the connections, without reading from them."""
    poller = select.poll()
    for client in clients:
        poller.register(client, select.POLLRDHUP)
    assert poller.poll(PATIENCE * 1000), "the server did not hang up"


def basic(name: str, password: str) -> str:
    """The value of an ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def hashed(password: str, cost: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def publish(path: Path, text: str) -> None:
    """Put a finished file in the place of another one at once."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


class Gate:
    """Stands between the server and bcrypt: counts computations, and holds them until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.order: list[bytes] = []
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.open.set()
        self._check = bcrypt.checkpw
        monkeypatch.setattr(bcrypt, "checkpw", self._hold)

    def _hold(self, password: bytes, right: bytes) -> bool:
        self.count += 1
        self.order.append(password)
        self.begun.release()
        self.open.wait(PATIENCE)
        return self._check(password, right)
