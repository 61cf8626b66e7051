"""Scrapers that come at the same time share one read of the database."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Semaphore
from urllib.request import urlopen

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.scrape.application import Exporter, Flight
from exporter.web.limits import Limits, ScrapeTimeouts
from exporter.web.server import WebServer
from tests.support.harness import PATIENCE, Log, running
from tests.support.wire import wire_to

SCRAPERS = 50
READS_THE_LOG = "ai-operation-exporter"


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        yield log


def test_fifty_scrapers_cause_one_read(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = Semaphore(0)

    def join(exporter: Exporter) -> Flight:
        flight = real(exporter)
        joined.release()
        return flight

    real = Exporter._join
    with wire_to(log.url) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        server = WebServer(exporter.exporter, "127.0.0.1:0", None, ScrapeTimeouts(PATIENCE, 0, PATIENCE), Limits())
        server.start()
        page = f"http://127.0.0.1:{server.port}/metrics"
        try:
            urlopen(page).close()
            log.insert(cost="0.5")
            before = wire.of(READS_THE_LOG)
            monkeypatch.setattr(Exporter, "_join", join)
            with ThreadPoolExecutor(SCRAPERS) as pool:
                # the read waits until every scraper has come
                with psycopg.connect(log.url) as other:
                    other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
                    answers = [pool.submit(read, page) for _ in range(SCRAPERS)]
                    assert all(joined.acquire(timeout=PATIENCE) for _ in range(SCRAPERS))
                spent = [spend(answer.result()) for answer in answers]
        finally:
            server.stop()
        assert spent == [0.5] * SCRAPERS
        assert wire.of(READS_THE_LOG) - before <= 3


def read(page: str) -> str:
    """What a scraper gets."""
    with urlopen(page) as answer:
        return str(answer.read(), "utf-8")


def spend(page: str) -> float:
    """Today's spend, of all series."""
    families = text_string_to_metric_families(page)
    return sum(sample.value for family in families for sample in family.samples if sample.name == "ai_spend_today_usd")
