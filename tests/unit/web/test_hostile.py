"""Clients that are slow, silent, many or malicious, and a scrape that succeeds all the same."""

import logging
import socket
import ssl
import struct
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.web.limits import Limits
from exporter.web.rate import LogRateFilter
from tests.support.certificates import Authority
from tests.support.web import PATIENCE, SCRAPE, SIZE, App, await_hangup, dial, fetch, hashed, large, read_all, serving

PATIENT = Limits(header_timeout=600.0, keep_alive=600.0, write_timeout=600.0)  # the default cap, and time enough


@pytest.fixture
def tls_file(authority: Authority, web_file: Path) -> Path:
    folder = authority.cert.parent
    web_file.write_text(f"tls_server_config: {{cert_file: {folder}/server.crt, key_file: {folder}/server.key}}\n")
    return web_file


def fetch_until_ok(port: int, tls: ssl.SSLContext | None = None) -> None:
    """Ask again where nobody new is let in, or where this client itself takes too long."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            assert fetch(port, "/-/healthy", tls=tls).status == 200
        except OSError:
            continue
        return
    pytest.fail("no connection was let in")


@pytest.mark.parametrize(
    "data", [b"", b"GET /metr", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_a_silent_client_is_closed(data: bytes) -> None:
    with serving(limits=Limits(header_timeout=0.2)) as port:
        assert read_all(dial(port, data)) == b""


def test_an_idle_connection_is_closed_after_its_answer() -> None:
    with serving(limits=Limits(header_timeout=600.0, keep_alive=0.2)) as port:
        assert read_all(dial(port, b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n")).endswith(b"ready\n")


def test_headers_a_byte_at_a_time_do_not_extend_the_time() -> None:
    with serving(limits=Limits(header_timeout=0.3)) as port, dial(port, b"GET / HTTP/1.1\r\nX: ") as client:
        client.settimeout(0.02)
        for _ in range(1000):
            try:
                client.sendall(b"a")
                assert client.recv(1) == b""
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("the server is still listening to this")


def test_a_handshake_that_never_ends_is_closed(authority: Authority, tls_file: Path) -> None:
    with serving(config=tls_file, limits=Limits(header_timeout=0.3)) as port:
        silent = dial(port)
        begun = dial(port, b"\x16\x03\x01\x02\x00\x01")
        fetch_until_ok(port, authority.client_context())
        assert read_all(silent) == b""
        assert read_all(begun) == b""


def test_garbage_instead_of_a_handshake_harms_nobody(authority: Authority, tls_file: Path) -> None:
    with serving(config=tls_file) as port:
        for garbage in (b"\x00" * 64, SCRAPE, b"\xff" * 5000):
            assert b"HTTP/1.1 200" not in read_all(dial(port, garbage))
        dial(port).close()
        with pytest.raises(ssl.SSLCertVerificationError):
            fetch(port, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # trusts nobody: breaks the handshake off
        assert fetch(port, tls=authority.client_context()).status == 200


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\xff\x16\x03\r\n\r\n",
        bytes(range(256)) + b"\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_refused(data: bytes) -> None:
    app = App()
    with serving(app) as port:
        received = read_all(dial(port, data))
        assert received == b"" or received.startswith(b"HTTP/1.1 400 ")
        assert fetch(port).status == 200
    assert len(app.timeouts) == 1


def test_a_small_body_is_read_and_thrown_away() -> None:
    with serving() as port:
        request = b"GET /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
        assert read_all(dial(port, request)).endswith(b"ready\n")


@pytest.mark.parametrize("line", [b"X: " + b"a" * 20_000, b"\r\n".join(b"H%d: x" % n for n in range(4000))])
def test_giant_headers_are_not_read_to_their_end(line: bytes) -> None:
    with serving() as port:
        client = socket.create_connection(("127.0.0.1", port), PATIENCE)
        with suppress(ConnectionError):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")
        assert b" 200 " not in read_all(client)
        assert fetch(port).status == 200


def test_headers_within_the_limit_are_read() -> None:
    with serving() as port:
        assert fetch(port, X_Long="a" * 12_000).status == 200


def test_300_idle_connections_do_not_keep_a_scrape_out() -> None:
    with serving(limits=PATIENT) as port:
        idle = [dial(port) for _ in range(300)]
        assert fetch(port).status == 200
        assert read_all(idle[0]) == b""  # the oldest gave way
        idle[-1].sendall(SCRAPE)
        assert idle[-1].recv(15) == b"HTTP/1.1 200 OK"  # the newest did not
        for client in idle:
            client.close()


def test_a_connection_that_is_answered_is_not_closed_for_a_new_one() -> None:
    app = App()
    app.go.clear()
    with serving(app, limits=replace(PATIENT, connections=2)) as port, dial(port, SCRAPE) as scraping:
        assert app.begun.acquire(timeout=PATIENCE)
        others = [dial(port) for _ in range(5)]
        for client in others[:-1]:
            assert read_all(client) == b""
        app.go.set()
        assert scraping.recv(15) == b"HTTP/1.1 200 OK"
        others[-1].close()


def test_when_every_connection_is_answered_a_new_one_is_refused() -> None:
    app = App()
    app.go.clear()
    with serving(app, limits=replace(PATIENT, connections=2)) as port:
        scraping = [dial(port, SCRAPE) for _ in range(2)]
        for _ in scraping:
            assert app.begun.acquire(timeout=PATIENCE)
        for client in [dial(port) for _ in range(5)]:
            assert read_all(client) == b""
        app.go.set()
        for client in scraping:
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            client.close()


def test_a_client_that_is_answered_has_a_slow_scrapes_time() -> None:
    app = App()
    app.go.clear()
    limits = Limits(header_timeout=0.1, keep_alive=0.1, write_timeout=0.1)
    with serving(app, limits=limits) as port, dial(port, SCRAPE) as scraping:
        assert app.begun.acquire(timeout=PATIENCE)
        assert read_all(dial(port)) == b""  # that time is over for one that asks for nothing
        app.go.set()
        assert scraping.recv(15) == b"HTTP/1.1 200 OK"


def received_whole(client: socket.socket) -> bool:
    """Whether the whole of an answer of known length arrives."""
    head, _, body = read_all(client).partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return len(body) == length


def never_read(port: int, app: App) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", port))
    client.sendall(SCRAPE)
    assert app.begun.acquire(timeout=PATIENCE)
    return client


def test_a_client_that_never_reads_is_closed() -> None:
    app = App(large())
    with serving(app, limits=Limits(write_timeout=0.2)) as port:
        deaf = never_read(port, app)
        assert fetch(port, "/-/ready").status == 200
        await_hangup(deaf)
        assert not received_whole(deaf)
        app.metrics = ()
        assert fetch(port).status == 200


def test_clients_that_never_read_give_way_when_connections_run_out() -> None:
    app = App(large())
    with serving(app, limits=replace(PATIENT, connections=2)) as port:
        deaf = [never_read(port, app) for _ in range(2)]
        fetch_until_ok(port)
        await_hangup(*deaf)
        for client in deaf:
            client.close()


def test_a_client_that_reads_in_time_gets_a_large_answer_whole() -> None:
    with serving(App(large())) as port:
        assert received_whole(dial(port, b"GET /metrics HTTP/1.0\r\n\r\n"))


def test_clients_that_leave_in_the_middle_of_their_answers_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    app = App(large())
    with serving(app) as port:
        for _ in range(3):
            never_read(port, app).close()
        app.metrics = [SIZE]
        assert fetch(port).status == 200
    assert caplog.records == []


def test_a_client_that_sends_without_end_is_closed() -> None:
    app = App()
    app.go.clear()
    request = SCRAPE.replace(b"Host: x", b"Host: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 0.1")
    with serving(app) as port, dial(port, request) as client:
        assert app.begun.acquire(timeout=PATIENCE)
        try:
            for _ in range(1000):
                client.sendall(b"x" * 65536)
        except ConnectionError:
            pass
        else:
            pytest.fail("64 MB were taken")
        app.go.set()
        assert fetch(port).status == 200


def test_malformed_requests_are_not_logged_with_their_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving() as port:
        received = read_all(dial(port, b"GET / HTTP/1.1\r\nAuthorization hunter2\r\n\r\n"))
        assert received.startswith(b"HTTP/1.1 400 ")
    assert "hunter2" not in caplog.text


def test_strangers_cannot_fill_the_log() -> None:
    now = 100.0
    quieter = LogRateFilter(10.0, lambda: now)

    def record(level: int = logging.WARNING) -> logging.LogRecord:
        return logging.LogRecord("x", level, "x", 1, "refused %s", ("somebody",), None)

    assert quieter.filter(first := record())
    assert not any(quieter.filter(record()) for _ in range(41))
    assert not quieter.filter(record(logging.INFO))
    now += 10.1
    assert quieter.filter(later := record())
    assert first.getMessage() == "refused somebody"
    assert later.getMessage() == "refused somebody (and 41 more like it)"
    assert not quieter.filter(record())


def test_a_client_that_leaves_while_its_request_is_taken_apart_is_told_apart_all_the_same(
    web_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web_file.write_text(f"basic_auth_users: {{al: {hashed('right')}}}\n")
    with serving(config=web_file) as port:
        for _ in range(50):
            client = dial(port, SCRAPE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert fetch(port).status == 401
    assert {record.name for record in caplog.records} <= {"exporter.web.refusals"}
    assert "127.0.0.1" in caplog.text
