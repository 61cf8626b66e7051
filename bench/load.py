"""`python -m bench.load`: what the exporter costs the database while rows arrive, and whether it counts every one.

For ten minutes of each of two loads: `python -m bench.load --rates 1000 5000 --every 5 15 --seconds 600 --recent 3600`.
It ends with an error where a counter is not exact. What the exporter costs the server is the CPU time of the server's
processes but for those of whoever writes and measures: other work on the machine does not add to it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from bench.alternatives import floor
from bench.command import run, tell
from bench.contenders import Samples, ours_on, parsed, series
from bench.logs import Log, Shape, Writer
from bench.processes import Page, cpu_seconds, wait_until
from bench.report import Cell, Table
from bench.server import Server

SMALL = {"rates": (10, 1000), "every": (1, 1), "seconds": 3, "recent": 30}
FULL = {"rates": (10, 100, 1000, 5000), "every": (15, 15, 5, 15), "seconds": 60, "recent": 900}
WINDOW = 180
"""Seconds that each scrape reads again."""

EXACT = 3
"""The column that says whether the counters are exact."""

YES = "yes"

LATE = 60.0
"""Rows are dated up to so many seconds back: within the open window, so that each scrape is exact."""


@dataclass(frozen=True)
class Totals:
    """Calls and dollars."""

    calls: int
    cost: Decimal

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(self.calls - other.calls, self.cost - other.cost)


def shown(samples: Samples) -> Totals:
    """What the exporter's counters say, exact to a millionth of a dollar."""
    cost = sum(series(samples, "ai_operation_cost_usd_total").values())
    return Totals(round(sum(series(samples, "ai_operations_total").values())), Decimal(cost).quantize(Decimal("1e-6")))


def is_current(page: Page) -> bool:
    """Whether the log was read for this page; else it shows what was read before."""
    return b"\nai_operation_log_up 1" in page.body


def logged(log: Log) -> Totals:
    """What SQL says about the whole log."""
    ((calls, cost),) = log.database.connection.execute("SELECT count(*), sum(cost_usd) FROM ai_operation_log")
    return Totals(calls, cost)


def loaded(server: Server, rate: int, every: int, seconds: int, recent: int) -> list[Cell]:
    """One load: a row of the table."""
    tell(f"{rate:,} rows a second for {seconds} s")
    with ours_on(server, Shape(), rate, recent) as (log, ours):
        database = log.database
        wait_until(lambda: is_current(ours.scrape()), "no scrape is in time")
        first, before = shown(parsed(ours.scrape())), logged(log)
        database.reset()
        walls, late = [], 0
        with Writer(log, rate, late=min(LATE, recent)) as writer:
            begun, program = time.monotonic(), cpu_seconds(ours.process.pid)
            busy = server.cpu_seconds(writer.process, database.process)
            while time.monotonic() - begun < seconds:
                time.sleep(every)
                page = ours.scrape()
                walls.append(page.milliseconds)
                late += not is_current(page)
            elapsed = time.monotonic() - begun
            busy = server.cpu_seconds(writer.process, database.process) - busy
            program = cpu_seconds(ours.process.pid) - program
            found = database.statements(ours.role)
            least = floor(database, 5)
        wait_until(lambda: is_current(ours.scrape()), "no scrape is in time")
        counted, true = shown(parsed(ours.scrape())) - first, logged(log) - before
    exact = YES if counted == true else f"no: {counted.calls - true.calls:+} calls, {counted.cost - true.cost:+} USD"
    per_scrape = found.milliseconds / len(walls)
    in_window = rate * min(WINDOW, recent + seconds)
    return [
        rate, every, writer.written, exact, late, found.milliseconds / 10 / elapsed, 100 * busy / elapsed, per_scrape,
        1000 * per_scrape / in_window, least.database_ms, per_scrape / least.database_ms, median(walls),
        1000 * program / len(walls),
    ]  # fmt: skip


def measure(
    server: Server, rates: tuple[int, ...], every: tuple[int, ...], seconds: int, recent: int
) -> Iterator[Table]:
    """Each load."""
    about = (
        f"{seconds} s of each load, on a log that had {recent} s of it before. Exact: at the end, the calls and the"
        " dollars by which the counters have risen are those of the rows that were written. A scrape is too late when"
        " the log does not answer within its ten seconds: it then shows what was read before. Database time and server"
        " CPU are all that the exporter causes, its background reader too, in percent of one core. The floor is"
        " `SELECT count(*), sum(cost_usd)` over three minutes."
    )
    headings = (
        "Rows a second", "Scraped every, s", "Rows written", "Exact", "Scrapes too late", "Database time, %",
        "Server CPU, %", "Database time a scrape, ms", "For a row of the window, µs", "Floor, ms", "To the floor",
        "Wall time, ms", "Own CPU a scrape, ms",
    )  # fmt: skip
    rows = []
    for rate, pause in zip(rates, every, strict=True):
        rows.append(loaded(server, rate, pause, seconds, recent))
        # each takes long, and the next one may fail
        tell(", ".join(f"{heading}: {value}" for heading, value in zip(headings, rows[-1], strict=True)))
    yield Table("load", headings, rows, about)
    # last, so that the figures are printed all the same
    if wrong := [row for row in rows if row[EXACT] != YES]:
        raise SystemExit(f"not exact: {wrong}")


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
