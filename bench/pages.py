"""`python -m bench.pages`: what a page costs the exporter, by its samples, and by how many ask for it at once."""

import gzip
import threading
import urllib.error
from collections.abc import Iterator
from statistics import median

from bench.command import run, tell
from bench.contenders import Ours, ours_on, repeated, samples_on
from bench.logs import Shape, Writer
from bench.processes import cpu_seconds, memory
from bench.report import Cell, Table
from bench.server import Database, Server

SMALL = {"series": (100,), "scrapers": (1, 10), "scrapes": 5}
FULL = {"series": (30, 300, 3_000), "scrapers": (1, 2, 5, 10, 20, 50), "scrapes": 40}
RATE = 10
RECENT = 900
MANY_SERIES = {"max_series": 10_000}
COMPRESSED = {"Accept-Encoding": "gzip"}
READS = "%ai_operation_log%"
"""The statement by which the exporter reads the log in each scrape, as a pattern: no other one is sent so often."""


def rendered(server: Server, series: int, times: int) -> list[Cell]:
    """A page with so many series: a row of the table."""
    tell(f"{series} series")
    with ours_on(server, Shape(series=series), max(RATE, 2 * series / RECENT), RECENT, MANY_SERIES) as (log, ours):
        # what was written before has left the open window when nothing changes from one scrape to the next
        with Writer(log, RATE):
            ours.scrape()
            busy = repeated(ours, times, 0.1, COMPRESSED)
        page = ours.scrape()
        quiet = repeated(ours, times, 0.1, COMPRESSED)
        resident = memory(ours.process.pid)[0]
    packed = len(gzip.compress(page.body, 6))
    return [series, samples_on(page), len(page.body), packed, busy.cpu_ms, quiet.cpu_ms, busy.wall_ms, resident]


def together(ours: Ours, database: Database, scrapers: int, times: int) -> list[Cell]:
    """So many scrapers that come at the same moment: a row of the table."""
    gate, walls, refused = threading.Barrier(scrapers), [], []

    def scrape() -> None:
        for _ in range(times):
            gate.wait()
            try:
                walls.append(ours.process.fetch(headers=COMPRESSED).milliseconds)
            except urllib.error.HTTPError as error:
                refused.append(error.code)

    database.reset()
    before = cpu_seconds(ours.process.pid)
    threads = [threading.Thread(target=scrape) for _ in range(scrapers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = 1000 * (cpu_seconds(ours.process.pid) - before)
    reads = database.calls(ours.role, READS)
    return [
        scrapers,
        reads / times,
        len(refused) // times,
        own / times,
        own / times / scrapers,
        median(walls),
        max(walls),
    ]


def measure(server: Server, series: tuple[int, ...], scrapers: tuple[int, ...], scrapes: int) -> Iterator[Table]:
    """Pages by their size, then one page asked for by several at once."""
    about = f"Pages compressed, with {RATE} rows a second, and when no more rows arrive."
    by_size = (
        "Series", "Samples", "Bytes", "Compressed", "Own CPU, ms", "Without new rows, ms", "Wall time, ms",
        "Memory, MiB",
    )  # fmt: skip
    yield Table("pages", by_size, [rendered(server, number, scrapes) for number in series], about)
    with ours_on(server, Shape(series=200), RATE, RECENT) as (log, ours):
        ours.scrape()
        ours.scrape()
        rows = [together(ours, log.database, number, max(3, scrapes // 4)) for number in scrapers]
    by_scrapers = (
        "Scrapers at once", "Reads of the log", "Refused", "Own CPU of all, ms", "Of one, ms", "Wall time, ms",
        "The slowest, ms",
    )  # fmt: skip
    yield Table("scrapers", by_scrapers, rows, "200 series; each scraper asks again when all have their page.")


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
