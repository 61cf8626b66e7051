"""What the exporter's transactions look like from the database: short, and ended as they should be."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.books import Books
from tests.database.harness import Log, running, wait_for

_OPEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'ai-operation-exporter-worker' AND xact_start IS NOT NULL"
)
_OURS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name LIKE 'ai-operation-exporter%'"
)
_ENDED = "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
def log(embedded_database: str) -> Log:
    return Log(embedded_database, "success")


def test_the_background_reader_has_no_transaction_open_while_the_state_is_written(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours in range(1, 30):
        log.insert(ago=hours * 3600)
    opened: dict[str, int] = {}

    def watched(name: str) -> Callable[..., None]:
        original = getattr(Books, name)

        def method(books: Books, *arguments: Any) -> None:
            with psycopg.connect(log.url, autocommit=True) as watcher:
                ((found,),) = watcher.execute(_OPEN).fetchall()
            opened[name] = max(opened.get(name, 0), found)
            original(books, *arguments)

        return method

    for name in ("record", "note_skips"):
        monkeypatch.setattr(Books, name, watched(name))
    monkeypatch.setattr("exporter.worker.PROBE_INTERVAL", 0.0)
    # nobody scrapes: all that is recorded is what the background reader has read
    with log, running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=2)) as exporter:
        exporter.wait_ready()
        wait_for(lambda: "note_skips" in opened, lambda: "no probe was recorded")
    assert opened == {"record": 0, "note_skips": 0}


def test_transactions_that_went_well_are_committed(log: Log, tmp_path: Path) -> None:
    log.insert(ago=5)
    scrapes = 10
    with log:
        ((committed, rolled_back),) = log.execute(_ENDED)
        with running(log.url, tmp_path) as exporter:
            exporter.wait_up()
            for _ in range(scrapes):
                exporter.scrape()
        # a server process adds up its transactions when it ends, at the latest
        wait_for(lambda: log.execute(_OURS) == [(0,)], lambda: "connections stay open")
        wait_for(lambda: log.execute(_ENDED)[0][0] >= committed + scrapes, lambda: str(log.execute(_ENDED)))
        # one a connection at most: what was under way when the exporter was stopped
        assert log.execute(_ENDED)[0][1] - rolled_back <= 2
