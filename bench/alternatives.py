"""`python -m bench.alternatives`: what a scrape costs the database, beside the alternatives, on ever larger tables.

One table grows while ten rows a second arrive; each program is started on it in turn, scraped, and stopped. The floor
is `SELECT count(*), sum(cost_usd)` over the open window of three minutes.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg

from bench.command import run, tell
from bench.contenders import TOTALS, Contender, Ours, SqlExporter, available
from bench.logs import Log, Writer
from bench.processes import cpu_seconds, memory
from bench.report import Cell, Table
from bench.server import Database, Server

SMALL = {"rows": (10_000, 200_000), "partitioned_rows": (), "rivals_up_to": 200_000, "scrapes": 5}
FULL = {
    "rows": (10_000, 100_000, 1_000_000, 10_000_000, 50_000_000),
    "partitioned_rows": (10_000, 10_000_000),
    "rivals_up_to": 10_000_000,
    "scrapes": 40,
}
RATE = 10
RECENT = 900
"""Seconds of rows at the rate before the first scrape."""

FLOOR = "floor"
FLOOR_QUERY = (
    "SELECT count(*), sum(cost_usd) FROM ai_operation_log"
    " WHERE created_at >= timezone('UTC', now()) - interval '3 minutes'"
)
FEW = 3
"""Scrapes of a program that reads the whole table."""


class Cost(NamedTuple):
    """What one scrape costs, all that the program does meanwhile included."""

    database_ms: float
    buffers: float
    server_cpu_ms: float | None
    wall_ms: float
    program_cpu_ms: float | None
    resident: float | None


def floor(database: Database, times: int) -> Cost:
    """What the least query costs that any program could send."""
    database.grant(FLOOR)
    walls = []
    with psycopg.connect(database.url(FLOOR), autocommit=True) as connection:
        connection.execute(FLOOR_QUERY)
        database.reset()
        for _ in range(times):
            begun = time.perf_counter()
            connection.execute(FLOOR_QUERY)
            walls.append(1000 * (time.perf_counter() - begun))
    found = database.statements(FLOOR)
    return Cost(found.milliseconds / times, found.buffers / times, None, median(walls), None, None)


def cost(server: Server, log: Log, writer: Writer, contender: Contender, times: int) -> Cost:
    """What scrapes of a running program cost. `times` is how many, at least."""
    database, refreshing = log.database, isinstance(contender, SqlExporter)
    contender.scrape()
    if isinstance(contender, Ours):
        contender.scrape()
    database.reset()
    server_before = server.cpu_seconds(writer.process, database.process)
    program_before, walls = cpu_seconds(contender.process.pid), []
    if refreshing:
        # it does not read when it is scraped, but by its own clock: what it does in one period is what a scrape costs
        database.wait_for_calls(contender.role, TOTALS, times)
    for _ in range(times):
        walls.append(contender.scrape().milliseconds)
        time.sleep(0 if refreshing else 0.25)
    program = cpu_seconds(contender.process.pid) - program_before
    served = server.cpu_seconds(writer.process, database.process) - server_before
    found = database.statements(contender.role)
    count = max(times, database.calls(contender.role, TOTALS)) if refreshing else times
    return Cost(
        found.milliseconds / count,
        found.buffers / count,
        1000 * served / count,
        median(walls),
        1000 * program / count,
        memory(contender.process.pid)[0],
    )


def each(
    server: Server, log: Log, writer: Writer, folder: Path, scrapes: int, rivals: list[type[Contender]]
) -> Iterator[tuple[str, Cost]]:
    """What a scrape of each program costs on the table as it is."""
    yield "the floor", floor(log.database, scrapes)
    contenders: list[Contender] = [Ours(folder / "ours"), *(kind(folder / kind.__name__) for kind in rivals)]
    for contender in contenders:
        tell(contender.name)
        with contender.running_on(log.database):
            yield contender.name, cost(server, log, writer, contender, scrapes if isinstance(contender, Ours) else FEW)


HEADINGS = (
    "Rows", "Program", "Database time, ms", "Buffers", "Server CPU, ms", "Wall time, ms", "Own CPU, ms", "Memory, MiB",
    "Database time to the exporter's", "Server CPU to the exporter's",
)  # fmt: skip


def measured(
    server: Server, sizes: tuple[int, ...], rivals_up_to: int, scrapes: int, *, partitioned: bool
) -> list[tuple[Cost, list[Cell]]]:
    """The rows of the table for one kind of log, and the figures that are in them."""
    found: list[tuple[Cost, list[Cell]]] = []
    rivals = available()
    with (
        server.database() as database,
        tempfile.TemporaryDirectory() as folder,
        Writer(log := Log(database, partitioned=partitioned), RATE) as writer,
    ):
        log.fill_recent(RATE, RECENT)
        for size in sizes:
            log.grow(max(0, size - round(log.number("SELECT count(*) FROM ai_operation_log"))))
            log.settle()
            tell(f"{size:,} rows are there")
            costs = dict(each(server, log, writer, Path(folder), scrapes, rivals if size <= rivals_up_to else []))
            ours = costs[Ours.name]
            for name, c in costs.items():
                share = None if c.server_cpu_ms is None else c.server_cpu_ms / (ours.server_cpu_ms or 1)
                found.append((c, [size, name, *c, c.database_ms / ours.database_ms, share]))
    return found


def measure(
    server: Server,
    rows: tuple[int, ...],
    partitioned_rows: tuple[int, ...],
    rivals_up_to: int,
    scrapes: int,
) -> Iterator[Table]:
    """A table for one that is not partitioned, and one for a table with a partition for each month."""
    about = (
        f"One scrape, with {RATE} rows a second arriving. Database time is planning and execution by"
        " pg_stat_statements, all that the program asks meanwhile included; a buffer is 8 KiB."
    )
    plain = measured(server, rows, rivals_up_to, scrapes, partitioned=False)
    yield Table("alternatives", HEADINGS, [row for _, row in plain], about)
    ours = [cost for cost, row in plain if row[1] == Ours.name]
    yield Table(
        "table-size",
        ("Rows", "Database time, ms", "Buffers", "Wall time, ms", "Own CPU, ms", "Wall time to that at the first size"),
        [
            [size, c.database_ms, c.buffers, c.wall_ms, c.program_cpu_ms, c.wall_ms / ours[0].wall_ms]
            for size, c in zip(rows, ours, strict=True)
        ],
        "The exporter alone, out of the table above.",
    )
    if not partitioned_rows:
        return
    parts = measured(server, partitioned_rows, rivals_up_to, scrapes, partitioned=True)
    yield Table("partitioned", HEADINGS, [row for _, row in parts], "The same with a partition for each month.")


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
