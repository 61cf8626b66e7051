"""Starting, the addresses listened on, and stopping."""

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from exporter.web.limits import Limits
from exporter.web.server import WebError, WebServer
from tests.support.certificates import Authority
from tests.support.web import PATIENCE, QUICK, SCRAPE, TIMEOUTS, App, dial, fetch, large, read_all, serving


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@pytest.mark.parametrize(
    ("address", "host", "url"),
    [
        ("127.0.0.1:0", "127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0:0", "127.0.0.1", "http://127.0.0.1:"),
        (":0", "127.0.0.1", "http://127.0.0.1:"),
        ("localhost:0", "localhost", "http://localhost:"),
        pytest.param(":0", "::1", "http://127.0.0.1:", marks=needs_ipv6),
        pytest.param("[::1]:0", "::1", "http://[::1]:", marks=needs_ipv6),
        pytest.param("[::]:0", "::1", "http://[::1]:", marks=needs_ipv6),
    ],
)
def test_listen_addresses(address: str, host: str, url: str) -> None:
    server = WebServer(App(), address)
    server.start()
    try:
        assert server.url == f"{url}{server.port}"
        client = socket.create_connection((host, server.port), PATIENCE)
        client.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
        assert b"alive" in read_all(client)
        parts = urlsplit(server.url)
        socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE).close()
    finally:
        server.stop()


def test_a_local_address_is_not_reachable_from_elsewhere() -> None:
    with serving(address="127.0.0.2:0") as port, pytest.raises(ConnectionRefusedError):
        dial(port)


@pytest.mark.parametrize(
    "address",
    ["9867", "::1:9867", "127.0.0.1:99999", "no-such-host.invalid:0", "192.0.2.1:0", f"{'a' * 70}.example:0"],
)
def test_addresses_that_cannot_be_listened_on(address: str) -> None:
    with pytest.raises(WebError) as raised:
        WebServer(App(), address).start()
    text = str(raised.value)
    assert address in text
    assert " — " in text


def test_an_address_in_use_is_said() -> None:
    with serving() as port, pytest.raises(WebError) as raised:
        WebServer(App(), f"127.0.0.1:{port}").start()
    assert str(raised.value).startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use — ")


def test_a_server_starts_once() -> None:
    server = WebServer(App(), "127.0.0.1:0")
    server.stop()  # before the start: nothing happens
    server.start()
    with pytest.raises(WebError, match="started already"):
        server.start()
    server.stop()


def test_the_port_is_free_again_after_a_stop() -> None:
    with serving() as port:
        assert fetch(port).status == 200
    with serving(address=f"127.0.0.1:{port}") as again:
        assert (again, fetch(again).status) == (port, 200)


@pytest.fixture
def hanging() -> Iterator[App]:
    app = App()
    app.go.clear()
    yield app
    app.go.set()


def test_stop_closes_what_hangs(hanging: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    server = WebServer(hanging, "127.0.0.1:0")
    server.start()
    idle = dial(server.port)
    slow = dial(server.port, b"GET /metr")
    scraping = dial(server.port, SCRAPE)
    checking = dial(server.port, b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    assert hanging.begun.acquire(timeout=PATIENCE)
    assert fetch(server.port, "/-/ready").status == 200  # what came before it has been read
    server.stop()  # waits for its thread for less than two seconds
    assert "web" not in {thread.name for thread in threading.enumerate()}
    assert not hanging.go.is_set()
    for client in (idle, slow, scraping, checking):
        assert read_all(client) == b""
    with pytest.raises(ConnectionRefusedError):
        dial(server.port)
    server.stop()  # again: nothing happens
    assert caplog.records == []


def test_stop_does_not_wait_for_a_client_that_never_reads() -> None:
    app = App(large())
    server = WebServer(app, "127.0.0.1:0")
    server.start()
    with closing(dial(server.port, SCRAPE)):
        assert app.begun.acquire(timeout=PATIENCE)
        assert fetch(server.port, "/-/ready").status == 200
        server.stop()
        assert "web" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("limits", [QUICK, replace(QUICK, connections=4)], ids=["room", "full"])
def test_stop_while_clients_keep_coming_leaves_none_open(
    authority: Authority, web_file: Path, caplog: pytest.LogCaptureFixture, limits: Limits, *, secure: bool
) -> None:
    caplog.set_level(logging.WARNING)
    certificate, key = (authority.cert.parent / name for name in ("server.crt", "server.key"))
    web_file.write_text(f"tls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n" if secure else "")
    clients: list[socket.socket] = []
    flowing = threading.Event()

    def come() -> None:
        with suppress(ConnectionError):
            for number in range(200):  # file descriptors are few
                clients.append(dial(server.port))
                if number == 3:
                    flowing.set()

    for _ in range(5):
        server = WebServer(App(), "127.0.0.1:0", web_file, TIMEOUTS, limits)
        server.start()
        coming = threading.Thread(target=come)
        coming.start()
        assert flowing.wait(PATIENCE)
        flowing.clear()
        server.stop()
        coming.join(PATIENCE)
        assert not coming.is_alive()
        while clients:
            client = clients.pop()
            # the kernel forgets a few that come while the port closes without telling them, until they say something
            with suppress(ConnectionError):
                client.sendall(b"x")
            assert read_all(client) == b""
    assert caplog.records == []


STUCK = """
import http.client, threading
from exporter.web.limits import Limits
from exporter.web.server import WebServer

begun = threading.Event()

class Stuck:
    def scrape(self, timeout):
        begun.set()
        threading.Event().wait()

server = WebServer(Stuck(), "127.0.0.1:0")
server.start()
connection = http.client.HTTPConnection("127.0.0.1", server.port)
connection.request("GET", "/metrics")
begun.wait()
server.stop()
print("stopped")
"""


def test_a_scrape_that_never_returns_does_not_keep_the_program_alive() -> None:
    ended = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, timeout=PATIENCE, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "stopped\n", "")


FEW_FILES = """
import os, resource, socket
from exporter.web.limits import Limits
from exporter.web.server import WebError, WebServer
from tests.support.certificates import Authority

import selectors, encodings.idna
used = max(int(name) for name in os.listdir("/dev/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 2, used + 2))
try:
    WebServer(object(), "127.0.0.1:0").start()
except WebError as error:
    print(error)
"""


def test_a_start_without_enough_files_fails_instead_of_hanging() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FEW_FILES], capture_output=True, timeout=PATIENCE, text=True, check=False
    )
    assert ended.stdout.startswith("the web server cannot run")
    assert "web server ended: builtins.OSError at " in ended.stderr
    assert ended.returncode == 0
