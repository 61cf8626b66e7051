"""After an outage: the first scrape that gets through also wakes the background reader."""

from pathlib import Path

import psycopg
import pytest

from exporter.database.login import Login
from exporter.scrape import background
from exporter.scrape.adaptive_chunk import AdaptiveChunk
from exporter.scrape.background import BackgroundReader
from tests.support.harness import Log, Running, fixed_layout, running, wait_for
from tests.support.servers import EmbeddedServer

layout = fixed_layout("success")


def problems(exporter: Running) -> dict[str, str]:
    return {name: text for name, text in exporter.exporter.status() if name.startswith("Problem")}


def reader_has_failed(exporter: Running) -> bool:
    return "Problem: background reader" in problems(exporter)


class Outage:
    """A database that lets nobody in."""

    def __init__(self, log: Log, admin_url: str) -> None:
        self._name = log.url.rsplit("/", 1)[1]
        self._admin_url = admin_url

    def _run(self, *statements: str) -> None:
        with psycopg.connect(self._admin_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def begin(self) -> None:
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'"
        self._run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false", end)

    def end(self) -> None:
        self._run(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")


def test_a_scrape_that_gets_through_wakes_the_background_reader(
    log: Log, embedded_postgres: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(log, embedded_postgres.admin_url)
    monkeypatch.setattr(BackgroundReader, "_is_due", lambda _: True)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        # once it has failed it would rest until long after this test
        monkeypatch.setattr(AdaptiveChunk, "backoff", 3600.0)
        try:
            outage.begin()
            wait_for(lambda: reader_has_failed(exporter), lambda: "the background reader does not fail")
            assert exporter.scrape().up == 0
            assert "takes no connections" in problems(exporter)["Problem: database"]
            # it rests, and is not woken by what fails
            assert reader_has_failed(exporter)
        finally:
            outage.end()
        exporter.wait_up()
        wait_for(lambda: not reader_has_failed(exporter), lambda: str(problems(exporter)))


TROUBLE = {
    "the table is elsewhere": (
        "ALTER TABLE ai_operation_log RENAME TO elsewhere",
        "ALTER TABLE elsewhere RENAME TO ai_operation_log",
    ),
    "a column is missing": (
        "ALTER TABLE ai_operation_log RENAME cost_usd TO price",
        "ALTER TABLE ai_operation_log RENAME price TO cost_usd",
    ),
    "a column is of another kind": (
        "ALTER TABLE ai_operation_log ALTER latency_ms TYPE text",
        "ALTER TABLE ai_operation_log ALTER latency_ms TYPE int USING latency_ms::int",
    ),
    "the schema is not searched": (
        "CREATE SCHEMA hidden; ALTER TABLE ai_operation_log SET SCHEMA hidden",
        "ALTER TABLE hidden.ai_operation_log SET SCHEMA public; DROP SCHEMA hidden",
    ),
    "the time has another name": (
        "ALTER TABLE ai_operation_log RENAME created_at TO moment",
        "ALTER TABLE ai_operation_log RENAME moment TO created_at",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_it_is_woken_after_any_trouble_with_the_database_that_is_over(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """Nobody logs in anew: the connections have lasted, as they do behind a pooler."""
    begin, end = TROUBLE[trouble]
    log.insert()
    monkeypatch.setattr(BackgroundReader, "_is_due", lambda _: True)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_up()
        monkeypatch.setattr(AdaptiveChunk, "backoff", 3600.0)
        log.execute(begin)
        wait_for(lambda: reader_has_failed(exporter), lambda: "the background reader does not fail")
        assert exporter.scrape().up == 0
        log.execute(end)
        exporter.wait_up()
        wait_for(lambda: not reader_has_failed(exporter), lambda: str(problems(exporter)))


def test_it_is_woken_once_a_lock_is_gone(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackgroundReader, "_is_due", lambda _: True)
    monkeypatch.setattr(background, "PROBE_INTERVAL", 0.0)
    with running(log.url, tmp_path, scrape={"timeout": "2s"}) as exporter:
        exporter.wait_up()
        monkeypatch.setattr(AdaptiveChunk, "backoff", 3600.0)
        with psycopg.connect(log.url) as other:
            other.execute("LOCK ai_operation_log IN ACCESS EXCLUSIVE MODE")
            wait_for(lambda: reader_has_failed(exporter), lambda: "the background reader does not fail")
            wait_for(lambda: exporter.scrape().up == 0, lambda: "the lock is not noticed")
        exporter.wait_up()
        wait_for(lambda: not reader_has_failed(exporter), lambda: str(problems(exporter)))


def test_a_reader_that_fails_by_itself_is_not_woken(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BackgroundReader, "_is_due", lambda _: True)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        monkeypatch.setattr(AdaptiveChunk, "backoff", 3600.0)
        worker = exporter.exporter._background
        turns = []

        def step() -> bool:
            turns.append(1)
            raise RuntimeError("a defect")

        monkeypatch.setattr(worker, "step", step)
        wait_for(lambda: reader_has_failed(exporter), lambda: "the background reader does not fail")
        login: Login = exporter.exporter._login
        for _ in range(5):
            login.succeeded()
            exporter.scrape()
        assert len(turns) == 1
