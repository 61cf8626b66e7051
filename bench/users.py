"""`python -m bench.users`: what users cost: memory, CPU, the first start, and a start with state.

Rows lie in the last twelve hours, and the budget's time zone is one in which these are of one day.
"""

import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.command import run, tell
from bench.contenders import Ours, repeated
from bench.logs import Log, Shape, Writer
from bench.processes import memory
from bench.report import Cell, Table
from bench.server import Server

SMALL = {"users": (1_000,), "calls": 2, "scrapes": 5}
FULL = {"users": (100, 1_000, 10_000, 100_000, 1_000_000), "calls": 2, "scrapes": 40}
RATE = 10
SERIES = 200
HOURS = 12
EVENING = 18
PATIENT = {"X-Prometheus-Scrape-Timeout-Seconds": "60"}
"""What a Prometheus with a scrape timeout of a minute sends."""

LEAST = 20_000
"""Rows, at least."""


def evening_zone(hour: int) -> str:
    """A time zone in which it is 18 o'clock, and so twelve hours are of one day, at this hour in UTC."""
    ahead = (EVENING - hour + 12) % 24 - 12
    # the signs of these zones are the other way round
    return f"Etc/GMT{-ahead:+d}"


def measured(server: Server, users: int, calls: int, scrapes: int) -> list[Cell]:
    """So many users a day: a row of the table."""
    zone = evening_zone(datetime.now(UTC).hour)
    with server.database() as database, tempfile.TemporaryDirectory() as folder:
        log = Log(database, Shape(series=SERIES, users=users))
        log.fill_recent(max(LEAST, calls * users) / (HOURS * 3600), HOURS * 3600)
        log.settle()
        tell(f"{users:,} users")
        ours = Ours(Path(folder), {"budget_time_zone": zone})
        database.grant(ours.role)
        try:
            first = _started(ours, database.url(ours.role))
            with Writer(log, RATE):
                found = repeated(ours, scrapes, 0.2, PATIENT)
            resident, peak = memory(ours.process.pid)
            ours.stop()
            state = sum(file.stat().st_size for file in (Path(folder) / "state").rglob("*") if file.is_file())
            again = _started(ours, database.url(ours.role))
        finally:
            ours.stop()
    return [
        users, max(LEAST, calls * users), first, again, resident, peak, found.cpu_ms, found.wall_ms,
        len(found.page.body), state / 2**20,
    ]  # fmt: skip


def _started(ours: Ours, url: str) -> float:
    begun = time.perf_counter()
    ours.start(url)
    ours.process.fetch(headers=PATIENT)
    return time.perf_counter() - begun


def measure(server: Server, users: tuple[int, ...], calls: int, scrapes: int) -> Iterator[Table]:
    """Each number of users."""
    about = (
        f"{SERIES} series, {RATE} rows a second while it is scraped. Seconds from the start of the process to its first"
        " page with current figures, Python's own start included: with an empty state folder, and with the state."
    )
    headings = (
        "Users a day", "Rows of the day", "First start, s", "Start with state, s", "Memory, MiB", "At the peak, MiB",
        "Own CPU a scrape, ms", "Wall time, ms", "Bytes of the page", "State, MiB",
    )  # fmt: skip
    yield Table("users", headings, [measured(server, number, calls, scrapes) for number in users], about)


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
