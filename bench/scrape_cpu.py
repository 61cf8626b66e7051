"""`python -m bench.scrape_cpu`: processor time and memory that a running exporter takes for each scrape.

Starts an embedded PostgreSQL with a log, and `ai-operation-exporter serve` on it as a process of its own. Rows come in
at a steady rate while the page is fetched at an interval. What is printed is all the processor time of the exporter's
process divided by the scrapes, so what its threads do between scrapes is in it. As Prometheus does, the scraper keeps
its connection; with `--reconnect` it opens one for each scrape. This needs Linux.
"""

import argparse
import contextlib
import gzip
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from bench.processes import free_port
from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.schema import load_schema

# each of the series has the same share of the calls; a call in 20 fails, in one of a few ways
_ROWS = """
INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd,
                              latency_ms, success, error_message, created_at)
SELECT 'chat', 'operation-' || series / 10, 'model-' || series %% 10, lpad(to_hex(user_number), 32, '0')::uuid,
       100 + n %% 900, n %% 400, 0.000001 * (n %% 5000), 100 + n %% 4000, n %% 20 > 0,
       CASE WHEN n %% 20 = 0 THEN 'HTTP 429: rate limit' END, at
FROM (SELECT n, (n * 7919 %% %(series)s)::int AS series, (n * 104729 %% %(users)s)::int AS user_number,
             (now() AT TIME ZONE 'UTC') - interval '1 second'
               * (%(until)s + (%(since)s - %(until)s) * (1 - (n - %(first)s) / %(rows)s::float8)) AS at
      FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(rows)s - 1) AS n) AS made
"""


Connection = psycopg.Connection[Any]
_ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"


def add_rows(
    connection: Connection, first: int, rows: int, sizes: argparse.Namespace, since: float, until: float = 0.0
) -> None:
    """Add rows, spread evenly from `since` seconds ago to `until` seconds ago."""
    numbers = {"first": first, "rows": rows, "series": sizes.series, "users": sizes.users}
    connection.execute(_ROWS, {**numbers, "since": since, "until": until})


def fill(connection: Connection, sizes: argparse.Namespace) -> int:
    """Create the log: every user and series in earlier hours, then an hour at the rate; returns its rows."""
    load_schema(connection, "success")
    earlier: int = max(sizes.users, 30 * sizes.series)
    later = int(3600 * sizes.rate)
    add_rows(connection, 0, earlier, sizes, 4 * 3600, 3600)
    add_rows(connection, earlier, later, sizes, 3600)
    connection.execute("VACUUM ANALYZE")
    return earlier + later


@contextlib.contextmanager
def growing(url: str, first: int, sizes: argparse.Namespace) -> Iterator[None]:
    """Rows that come in at the given rate, once a second."""
    ended = threading.Event()

    def grow() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            added, begun = 0, time.monotonic()
            while not ended.wait(1):
                due = int((time.monotonic() - begun) * sizes.rate)
                if due > added:
                    add_rows(connection, first + added, due - added, sizes, (due - added) / sizes.rate)
                    added = due

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def serving(url: str, folder: Path, sizes: argparse.Namespace) -> Iterator[tuple[int, str]]:
    """A running exporter: its process id, and the address that it listens on."""
    address = f"127.0.0.1:{free_port()}"
    settings = {
        "state_dir": str(folder / "state"),
        "max_series": max(200, 2 * sizes.series),
        "zero_hold": 0,
        # noon has just passed, so that users of the last hours are those of today
        "budget_time_zone": f"Etc/GMT{time.gmtime().tm_hour - 12:+d}",
        "log_level": "warning",
        "web": {"listen_address": address},
    }
    config = folder / "config.yaml"
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "exporter", "serve", "--config", str(config)]
    environment = {**os.environ, "DATABASE_URL": url}
    with subprocess.Popen(command, env=environment) as process:  # noqa: S603 - our own program
        try:
            yield process.pid, address
        finally:
            process.terminate()


class Scraper:
    """Asks for the page as Prometheus does."""

    def __init__(self, address: str, *, reconnect: bool) -> None:
        self._connection = http.client.HTTPConnection(address)
        self._reconnect = reconnect

    def fetch(self) -> str:
        """One scrape. Raises `OSError` or `http.client.HTTPException` if there is no page."""
        try:
            self._connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip", "Accept": _ACCEPT})
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if self._reconnect:
            self._connection.close()
        return gzip.decompress(body).decode()

    def wait_until_up(self) -> int:
        """Wait for the end of the first reading; returns the number of samples."""
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                text = self.fetch()
                if "\nai_operation_log_up 1" in text:
                    return sum(not line.startswith("#") for line in text.splitlines())
            time.sleep(0.5)


def processor_seconds(pid: int) -> float:
    """What all threads of a process have taken so far."""
    # the clock of another process, as clock_getcpuclockid(3) makes it
    return time.clock_gettime((~pid << 3) | 2)


def megabytes(pid: int) -> float:
    """Resident memory of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(pid: int, scraper: Scraper, sizes: argparse.Namespace) -> tuple[float, float]:
    """CPU milliseconds and wall milliseconds of a scrape."""
    before, waited, begun = processor_seconds(pid), 0.0, time.monotonic()
    for number in range(1, sizes.scrapes + 1):
        time.sleep(max(0.0, begun + number * sizes.interval - time.monotonic()))
        asked = time.monotonic()
        scraper.fetch()
        waited += time.monotonic() - asked
    taken = processor_seconds(pid) - before
    return 1000 * taken / sizes.scrapes, 1000 * waited / sizes.scrapes


def main() -> None:
    """Measure one exporter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--users", type=int, default=1000, help="users a day")
    parser.add_argument("--rate", type=float, default=10.0, help="rows a second; 0: nothing changes")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between scrapes")
    parser.add_argument("--scrapes", type=int, default=20)
    parser.add_argument("--reconnect", action="store_true", help="a new connection for each scrape")
    sizes = parser.parse_args()
    with EmbeddedPostgres(durable=False) as server, tempfile.TemporaryDirectory() as folder:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            history = fill(connection, sizes)
        with serving(server.url(), Path(folder), sizes) as (pid, address):
            scraper = Scraper(address, reconnect=sizes.reconnect)
            samples = scraper.wait_until_up()
            with growing(server.url(), history, sizes):
                time.sleep(min(60, 4 * sizes.interval))
                for _ in range(3):
                    scraper.fetch()
                taken, waited = measure(pid, scraper, sizes)
            print(
                f"{sizes.series:,} series, {sizes.users:,} users, {sizes.rate:g} rows/s, every {sizes.interval:g} s, "
                f"{samples:,} samples: {taken:.1f} ms of CPU and {waited:.1f} ms a scrape, {megabytes(pid):.0f} MB"
            )


if __name__ == "__main__":
    main()
