"""A server, or a network, that goes silent in the middle of a conversation: it is said once, and so is its end."""

import contextlib
import socket
import threading
from pathlib import Path

import psycopg
import pytest

from tests.support.harness import Log, assert_shows_what_sql_says, fixed_layout, running

pytestmark = pytest.mark.slow

SILENT_AFTER = {"begin": b"BEGIN ISOLATION", "settings": b"idle_in_transaction_session_timeout", "search": b"pg_class"}
layout = fixed_layout("status")


class Relay:
    """Stands between the exporter and its server. While `silent_after` is set, what holds it is the last passed on.

    A connection that is silent stays so: neither an answer comes from there any more, nor the end that the server makes
    of a transaction that has waited for too long.
    """

    def __init__(self, url: str) -> None:
        self._server = psycopg.conninfo.conninfo_to_dict(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.silent_after: bytes | None = None
        password, name = self._server["password"], self._server["dbname"]
        self.url = (
            f"postgresql://postgres:{password}@127.0.0.1:{self._listener.getsockname()[1]}/{name}?sslmode=disable"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((str(self._server["host"]), int(str(self._server["port"]))))
                self._sockets += [client, server]
                silent = threading.Event()
                threading.Thread(target=self._ask, args=(client, server, silent), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, silent), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                was_silent = silent.is_set()
                if self.silent_after is not None and self.silent_after in data:
                    silent.set()
                if not was_silent:
                    server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket, silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not silent.is_set():
                    client.sendall(data)
            if not silent.is_set():
                client.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("silent_after", SILENT_AFTER.values(), ids=SILENT_AFTER)
def test_a_server_that_goes_silent_is_said_once(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, silent_after: bytes
) -> None:
    caplog.set_level("INFO")
    relay = Relay(log.url)
    scrape = {"timeout": 1, "timeout_offset": 0.5}
    with contextlib.closing(relay), running(relay.url, tmp_path, scrape=scrape) as exporter:
        exporter.wait_ready()
        log.insert(2)
        before = exporter.scrape()
        caplog.clear()
        relay.silent_after = silent_after
        for number in range(6):
            # some are given up, and some get the end of a read that was given up before
            scraped = exporter.scrape(0.3 if number % 2 else 10)
            assert scraped.counters == before.counters
            assert scraped.up == 0
        for subject in ("scrape:", "database:"):
            said = [record.getMessage() for record in caplog.records if record.getMessage().startswith(subject)]
            assert len(said) == 1, said
        # it was not the server that hung up
        assert "connected, and then no answer in time" in said[0]
        relay.silent_after = None
        log.insert(1)
        assert_shows_what_sql_says(exporter.wait_up(), log)
        for subject in ("scrape:", "database:"):
            said = [record.getMessage() for record in caplog.records if record.getMessage().startswith(subject)]
            assert said[1:] == [f"{subject} works again"]
