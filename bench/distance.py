"""`python -m bench.distance`: round trips, bytes, and how long a scrape takes, the further the database is away."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.command import run, tell
from bench.contenders import TOTALS, Contender, SqlExporter, everyone, repeated
from bench.logs import Log, Writer
from bench.report import Cell, Table
from bench.server import Server
from bench.wire import Wire, wire_to

SMALL = {"milliseconds": (20,), "scrapes": 3, "idle": 1}
FULL = {"milliseconds": (0, 20, 60), "scrapes": 20, "idle": 60}
RATE = 10
RECENT = 900


def scraped(contender: Contender, wire: Wire, times: int) -> tuple[float, float, float, float, int]:
    """Per scrape: milliseconds, round trips, bytes sent to the database and received; and the bytes of a page."""
    contender.scrape()
    contender.scrape()
    wire.reset()
    found = repeated(contender, times, 0.1)
    return found.wall_ms, wire.round_trips / times, wire.sent / times, wire.received / times, len(found.page.body)


def refreshed(log: Log, contender: Contender, wire: Wire) -> tuple[float, float, float, float, int]:
    """The same for a program that reads by a clock of its own."""
    wire.reset()
    log.database.reset()
    log.database.wait_for_calls(contender.role, TOTALS, 3)
    count = log.database.calls(contender.role, TOTALS)
    page = contender.scrape()
    return page.milliseconds, wire.round_trips / count, wire.sent / count, wire.received / count, len(page.body)


def while_idle(wire: Wire, seconds: int) -> float:
    """Round trips a minute while nobody scrapes."""
    wire.reset()
    time.sleep(seconds)
    return 60 * wire.round_trips / seconds


def measure(server: Server, milliseconds: tuple[int, ...], scrapes: int, idle: int) -> Iterator[Table]:
    """Each program, at each distance."""
    found: list[list[Cell]] = []
    with (
        server.database() as database,
        tempfile.TemporaryDirectory() as folder,
        Writer(log := Log(database), RATE),
    ):
        log.fill_recent(RATE, RECENT)
        log.settle()
        for kind in everyone():
            walls: list[Cell] = []
            rest: list[float] = []
            for rtt in milliseconds:
                tell(f"{kind.name} at {rtt} ms")
                contender = kind(Path(folder) / kind.__name__)
                with wire_to(server.address, rtt / 1000) as wire, contender.running_on(database, wire.address):
                    refreshing = isinstance(contender, SqlExporter)
                    wall, *rest = refreshed(log, contender, wire) if refreshing else scraped(contender, wire, scrapes)
                    quiet = while_idle(wire, idle) if rtt == milliseconds[-1] else 0.0
                walls.append(wall)
            found.append([kind.name, *walls, *rest, quiet])
    headings = (
        "Program", *(f"Scrape at {rtt} ms, ms" for rtt in milliseconds), "Round trips a scrape",
        "Bytes to the database", "Bytes from it", "Bytes of the page", "Round trips a minute while nobody scrapes",
    )  # fmt: skip
    about = (
        f"Median of {scrapes} scrapes with the database at an added round-trip time, {RATE} rows a second. Of"
        " prometheus-sql-exporter, which reads by a clock of its own (here each second), the figures are those of one"
        " refresh."
    )
    yield Table("distance", headings, found, about)


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
