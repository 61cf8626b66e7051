"""Writers that hold transactions open, roll back and date their own rows, against scrapes: the count is exact."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from exporter.demo.history import Outcome
from exporter.demo.schema import Layout
from tests.support.harness import Log, assert_shows_what_sql_says, assert_spend_is_what_sql_says, running
from tests.support.scraped import Scraped
from tests.support.servers import PostgresServer

pytestmark = pytest.mark.slow

Connection = psycopg.Connection[Any]

WRITERS = 6
SECONDS = 10.0
PAUSE = 0.2
OUTCOMES: dict[Layout, tuple[Outcome, ...]] = {
    "success": ("success", "success", "failed"),
    "status": ("success", "failed", "pending", "pending"),
}
END = "UPDATE ai_operation_log SET status = %s, cost_usd = %s, latency_ms = 700 WHERE id = %s"


@pytest.fixture(params=[("embedded", "success"), ("docker", "status")], ids=lambda both: "-".join(both))
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    kind, layout = request.param
    server: PostgresServer = request.getfixturevalue(f"{kind}_postgres")
    url = server.create_database()
    with Log(url, layout) as log:
        yield log
    server.drop_database(url)


class Writer(threading.Thread):
    """Transactions of a few rows each, until the time is up; some fail half-way, some are rolled back whole."""

    def __init__(self, log: Log, seed: int, until: float) -> None:
        super().__init__(daemon=True)
        self._log = log
        self._rng = Random(seed)
        self._until = until
        self.transactions = 0
        self.failure: BaseException | None = None
        self._begun: list[UUID] = []

    def run(self) -> None:
        try:
            with psycopg.connect(self._log.url) as connection:
                while time.monotonic() < self._until or self._begun:
                    self._transact(connection)
                    self.transactions += 1
        except BaseException as error:
            self.failure = error

    def _transact(self, connection: Connection) -> None:
        rng, begun = self._rng, list(self._begun)
        # the outer block is the transaction: without it each inner block would be one, committed by itself
        with connection.transaction():
            for _ in range(rng.randint(1, 4)):
                known = list(begun)
                with connection.transaction():
                    self._write(connection, begun)
                    if rng.random() < 0.2:
                        begun = known
                        # ends the savepoint's block and goes no further
                        raise psycopg.Rollback
            if rng.random() < 0.25:
                time.sleep(rng.random() * min(2.0, max(0.0, self._until - time.monotonic())))
            if rng.random() < 0.15:
                begun = list(self._begun)
                raise psycopg.Rollback
        self._begun = begun

    def _write(self, connection: Connection, begun: list[UUID]) -> None:
        """Write a row; in layout "status" half of them begin as pending, and end in a later transaction."""
        rng, log = self._rng, self._log
        cost = f"0.{rng.randint(0, 999_999):06}"
        if begun and (rng.random() < 0.7 or time.monotonic() >= self._until):
            status = rng.choice(("success", "failed", "timeout"))
            connection.execute(END, (status, cost, begun.pop(0)))
        if time.monotonic() >= self._until:
            return
        # the writer's own clock, up to 90 s behind
        at = datetime.now(UTC) - timedelta(seconds=rng.choice((0, 0, 1, 30, 90)) * rng.random())
        operation = rng.choice(("email-compose", "email-classify", "task-breakdown"))
        model = rng.choice(("deepseek-v3.2", "gemini-2.0-flash"))
        outcome = rng.choice(OUTCOMES[log.layout])
        if outcome == "pending":
            begun.append(
                log.insert(
                    at=at,
                    cost=None,
                    operation=operation,
                    model=model,
                    outcome=outcome,
                    latency_ms=None,
                    connection=connection,
                )
            )
        else:
            log.insert(at=at, cost=cost, operation=operation, model=model, outcome=outcome, connection=connection)


def test_every_row_that_was_committed_counts_once(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        until = time.monotonic() + SECONDS
        writers = [Writer(log, seed, until) for seed in range(WRITERS)]
        for writer in writers:
            writer.start()
        scrapes: list[Scraped] = []
        while any(writer.is_alive() for writer in writers):
            scrapes.append(exporter.scrape())
            time.sleep(PAUSE)
        for writer in writers:
            writer.join()
            assert writer.failure is None
        assert_shows_what_sql_says(exporter.scrape(), log)
        assert exporter.scrape().total("ai_operation_cost_corrections_usd") == 0
    assert all(scraped.up == 1 for scraped in scrapes)
    assert len({scraped.money for scraped in scrapes}) > len(scrapes) / 2
    assert sum(writer.transactions for writer in writers) > 50
    with running(log.url, tmp_path, after=exporter) as again:
        scraped = again.wait_up()
        assert_shows_what_sql_says(scraped, log)
        assert_spend_is_what_sql_says(scraped, log)
