"""A process that stands still (a paused machine, a full one): what clients have sent meanwhile is answered."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.web.limits import Limits
from exporter.web.server import WebServer
from tests.support.certificates import Authority
from tests.support.web import PATIENCE, SCRAPE, TIMEOUTS, App, dial, fetch, large, read_all

pytestmark = pytest.mark.slow

HALF = len(SCRAPE) // 2
LIMIT = 2.0
"""Seconds that a client has for everything."""


@contextmanager
def server(app: App, config: Path | None = None) -> Iterator[WebServer]:
    limits = Limits(header_timeout=LIMIT, keep_alive=LIMIT, write_timeout=LIMIT)
    running = WebServer(app, "127.0.0.1:0", config, TIMEOUTS, limits)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def stalled(running: WebServer) -> Iterator[None]:
    """The event loop stands still during the block, and until every client's time is over."""
    begun, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        time.sleep(LIMIT + 0.5)

    running.ping(stand_still)
    assert begun.wait(PATIENCE)
    try:
        yield
    finally:
        go_on.set()


def connected(running: WebServer, first: bytes = b"") -> socket.socket:
    """A connection that is accepted, and has sent something."""
    client = dial(running.port, first)
    # the server takes connections in turn
    assert fetch(running.port, "/-/healthy").status == 200
    return client


def test_a_first_request_is_answered() -> None:
    with server(App()) as running:
        client = connected(running)
        with stalled(running):
            client.sendall(SCRAPE)
        assert read_all(client).startswith(b"HTTP/1.1 200")


def test_the_rest_of_a_request_is_taken() -> None:
    with server(App()) as running:
        client = connected(running, SCRAPE[:HALF])
        with stalled(running):
            client.sendall(SCRAPE[HALF:])
        assert read_all(client).startswith(b"HTTP/1.1 200")


def test_one_more_request_is_answered() -> None:
    with server(App()) as running:
        client = connected(running, SCRAPE)
        with stalled(running):
            client.sendall(SCRAPE)
        assert read_all(client).count(b"HTTP/1.1 200 OK") == 2


def test_a_handshake_may_go_on(authority: Authority, web_file: Path) -> None:
    folder = authority.cert.parent
    web_file.write_text(f"tls_server_config: {{cert_file: {folder}/server.crt, key_file: {folder}/server.key}}\n")
    with server(App(), web_file) as running:
        plain = dial(running.port)
        assert fetch(running.port, "/-/healthy", tls=authority.client_context()).status == 200
        answers: list[bytes] = []

        def shake() -> None:
            wrapped = authority.client_context().wrap_socket(plain, server_hostname="localhost")
            wrapped.sendall(SCRAPE)
            answers.append(wrapped.recv(15))
            wrapped.close()

        client = threading.Thread(target=shake)
        with stalled(running):
            client.start()
        client.join(PATIENCE)
        assert answers == [b"HTTP/1.1 200 OK"]


def test_an_answer_that_is_read_meanwhile_is_sent_to_its_end() -> None:
    with server(App(metrics=large())) as running:
        whole = len(fetch(running.port).body)
        client = dial(running.port, SCRAPE)
        received = client.recv(65536)
        with stalled(running):
            received += client.recv(65536)
        assert len((received + read_all(client)).partition(b"\r\n\r\n")[2]) == whole


@pytest.mark.parametrize("first", [b"", SCRAPE[:HALF]], ids=["nothing", "half"])
def test_a_client_that_stays_silent_is_closed_all_the_same(first: bytes) -> None:
    with server(App()) as running:
        client = connected(running, first)
        with stalled(running):
            pass
        assert read_all(client) == b""
