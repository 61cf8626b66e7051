"""A web configuration that changes while the server runs."""

import logging
import os
import socket
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.config.errors import ConfigError
from exporter.web import reloading
from exporter.web.reloading import ReloadingSettings
from tests.support.certificates import Authority, Issued
from tests.support.web import (
    PATIENCE,
    SCRAPE,
    App,
    ask,
    basic,
    connect,
    dial,
    fetch,
    hashed,
    publish,
    read_all,
    serving,
)

OLD_USERS = f"basic_auth_users: {{al: {hashed('old')}}}\n"
NEW_USERS = f"basic_auth_users: {{al: {hashed('new')}}}\n"


def status(port: int, password: str) -> int:
    return fetch(port, Authorization=basic("al", password)).status


def test_a_new_password_replaces_the_old_one_even_on_open_connections(web_file: Path) -> None:
    web_file.write_text(OLD_USERS)
    with serving(config=web_file) as port:
        connection = connect(port)
        assert ask(connection, Authorization=basic("al", "old")).status == 200
        publish(web_file, NEW_USERS)
        assert ask(connection, Authorization=basic("al", "old")).status == 401
        connection.close()
        assert [status(port, password) for password in ("old", "new")] == [401, 200]


def test_passwords_can_be_switched_on(web_file: Path) -> None:
    web_file.write_text("")
    with serving(config=web_file) as port:
        assert fetch(port).status == 200
        publish(web_file, NEW_USERS)
        assert fetch(port).status == 401


def served_certificate(port: int, authority: Authority) -> bytes | None:
    client = socket.create_connection(("127.0.0.1", port), PATIENCE)
    with authority.client_context().wrap_socket(client, server_hostname="localhost") as done:
        return done.getpeercert(binary_form=True)


def der(issued: Issued) -> bytes:
    return x509.load_pem_x509_certificate(issued.cert.read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture
def own(tmp_path: Path) -> Authority:
    """An authority whose certificates a test may replace."""
    authority = Authority(tmp_path)
    authority.issue("server")
    return authority


PAIR = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
MUTUAL = PAIR + "  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n"


def test_a_renewed_certificate_is_served(own: Authority, web_file: Path) -> None:
    web_file.write_text(PAIR)
    with serving(config=web_file) as port:
        before = served_certificate(port, own)
        renewed = own.issue("server")
        assert served_certificate(port, own) == der(renewed) != before


def test_a_certificate_without_its_key_waits_for_the_key(
    own: Authority, web_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    web_file.write_text(PAIR)
    with serving(config=web_file) as port:
        before = served_certificate(port, own)
        other = own.issue("other")
        publish(own.cert.parent / "server.crt", other.cert.read_text())
        assert [served_certificate(port, own) for _ in range(3)] == [before] * 3
        assert caplog.text.count("the key of another certificate") == 1
        publish(own.cert.parent / "server.key", other.key.read_text())
        assert served_certificate(port, own) == der(other)


def test_client_certificates_can_be_asked_for_later(own: Authority, web_file: Path) -> None:
    web_file.write_text(PAIR)
    known = own.client_context(own.issue("scraper"))
    with serving(config=web_file) as port:
        idle, busy = connect(port, own.client_context()), connect(port, own.client_context())
        assert [ask(one, "/-/ready").status for one in (idle, busy)] == [200, 200]
        publish(web_file, MUTUAL)
        assert fetch(port, tls=known).status == 200
        # Connections from before the change are over.
        for one in (idle, busy):
            assert read_all(one.sock) == b""
        publish(web_file, PAIR)
        assert fetch(port, tls=own.client_context()).status == 200


def test_a_request_under_way_is_answered_before_its_connection_is_closed(own: Authority, web_file: Path) -> None:
    web_file.write_text(PAIR)
    app = App()
    app.go.clear()
    with serving(app, web_file) as port:
        client = own.client_context().wrap_socket(
            socket.create_connection(("127.0.0.1", port), PATIENCE), server_hostname="localhost"
        )
        client.sendall(SCRAPE)
        assert app.begun.acquire(timeout=PATIENCE)
        publish(web_file, MUTUAL)
        dial(port).close()
        app.go.set()
        received = read_all(client)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert b"latency_sum" in received


def test_a_connection_whose_own_request_finds_the_change_gets_its_answer(own: Authority, web_file: Path) -> None:
    web_file.write_text(PAIR)
    with serving(config=web_file) as port:
        connection = connect(port, own.client_context())
        assert ask(connection, "/-/ready").status == 200
        publish(web_file, PAIR + "  min_version: TLS13\n")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            ask(connection, "/-/ready")
        connection.close()
        assert fetch(port, tls=own.client_context()).status == 200


def of_the_settings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is logged on the file: refused logins are logged too."""
    return [record for record in caplog.records if record.name == reloading.__name__]


@pytest.mark.parametrize("broken", ["basic_auth_users: [\n", "basic_auth_users: {al: hunter2}", "", "{}", "# gone\n"])
def test_a_broken_file_changes_nothing_and_is_said_once(
    web_file: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web_file.write_text(OLD_USERS)
    with serving(config=web_file) as port:
        publish(web_file, broken)
        for _ in range(3):
            assert fetch(port).status == 401
            assert status(port, "old") == 200
        (record,) = of_the_settings(caplog)
        assert record.levelno == logging.ERROR
        assert "the old one stays" in record.getMessage()
        assert str(web_file) in record.getMessage()
        assert "hunter2" not in caplog.text
        publish(web_file, NEW_USERS)
        assert [status(port, password) for password in ("old", "new")] == [401, 200]
        assert of_the_settings(caplog)[-1].getMessage() == "web configuration applied"


def test_a_removed_file_changes_nothing_and_is_said_once(web_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    web_file.write_text(OLD_USERS)
    with serving(config=web_file) as port:
        web_file.unlink()
        assert [fetch(port).status for _ in range(3)] == [401, 401, 401]
        assert status(port, "old") == 200
        assert len(of_the_settings(caplog)) == 1
        publish(web_file, NEW_USERS)
        assert status(port, "new") == 200


def test_a_file_that_is_broken_at_the_start_is_an_error(web_file: Path) -> None:
    web_file.write_text("users: {}\n")
    with pytest.raises(ConfigError, match="no such setting"), serving(config=web_file):
        pass


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_files_are_looked_at_once_an_interval(web_file: Path) -> None:
    web_file.write_text("rate_limit: {burst: 1}")
    clock = Clock()
    live = ReloadingSettings(web_file, 10.0, clock)
    web_file.write_text("rate_limit: {burst: 22}")
    long_ago = time.time() - 60
    os.utime(web_file, (long_ago, long_ago))
    clock.now += 9.9
    live.refresh()
    assert live.current.rate_limit.burst == 1
    clock.now += 0.2
    live.refresh()
    assert live.current.rate_limit.burst == 22


def test_a_file_that_is_being_written_is_left_alone_until_it_rests(web_file: Path) -> None:
    web_file.write_text("rate_limit: {burst: 1}")
    clock = Clock()
    live = ReloadingSettings(web_file, 10.0, clock)
    clock.now += 20
    web_file.write_text("rate_limit: {burst: 22}")
    live.refresh()
    assert live.current.rate_limit.burst == 1
    rested = time.time() - 11
    os.utime(web_file, (rested, rested))
    live.refresh()
    assert live.current.rate_limit.burst == 22


def test_a_file_from_the_future_is_taken(web_file: Path) -> None:
    web_file.write_text("rate_limit: {burst: 1}")
    clock = Clock()
    live = ReloadingSettings(web_file, 10.0, clock)
    clock.now += 20
    web_file.write_text("rate_limit: {burst: 22}")
    later = time.time() + 3600
    os.utime(web_file, (later, later))
    live.refresh()
    assert live.current.rate_limit.burst == 22


def test_without_a_file_there_is_nothing_to_refresh() -> None:
    live = ReloadingSettings(None, 0.0)
    assert not live.refresh()
    assert live.context is None
