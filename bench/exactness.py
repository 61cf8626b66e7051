"""`python -m bench.exactness`: what Prometheus makes of each program's figures while rows arrive late and change.

All programs are scraped while rows arrive, one in ten of them late, costs of recent rows rise, and a retention job
deletes the oldest days. At the end, what `increase()` has seen is compared with SQL.
"""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.command import run, tell
from bench.contenders import TOTALS, Contender, SqlExporter, everyone, parsed
from bench.logs import Log, Writer
from bench.report import Cell, Table
from bench.server import Server

SMALL = {"rows": 50_000, "seconds": 6, "late": 60, "settle": 0}
FULL = {"rows": 10_000_000, "seconds": 120, "late": 1800, "settle": 180}
RATE = 10
RECENT = 900
EVERY = 5.0
"""Seconds between two scrapes, if all programs are fast enough."""

_RECENT_ROWS = "FROM ai_operation_log WHERE created_at > timezone('UTC', now()) - interval '30 days'"
_SPEND = """
SELECT user_id::text, sum(cost_usd)::float8 FROM ai_operation_log
WHERE created_at >= date_trunc('day', timezone('UTC', now())) GROUP BY user_id
"""

Counters = Mapping[str, Mapping[Any, float]]
"""Series by what they count."""


@dataclass
class Seen:
    """What Prometheus adds up of a program's counters: every rise, and where one falls, all of its new value."""

    last: dict[tuple[str, Any], float] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)
    falls: int = 0
    scrapes: int = 0

    def add(self, counters: Counters) -> None:
        """Take one scrape. A series that is new is not a rise: Prometheus has not seen where it began."""
        self.scrapes += 1
        for name, found in counters.items():
            for labels, value in found.items():
                before = self.last.get((name, labels))
                if before is not None:
                    fell = value < before
                    self.falls += fell
                    self.counted[name] = self.counted.get(name, 0.0) + (value if fell else value - before)
                self.last[name, labels] = value


def truth(log: Log) -> dict[str, float]:
    """What SQL says: calls and cost of the rows that no retention job deletes."""
    return {
        "calls": log.number(f"SELECT count(*) {_RECENT_ROWS}"),
        "cost_usd": log.number(f"SELECT sum(cost_usd) {_RECENT_ROWS}"),
    }


def wrong(shown: Mapping[str, float], true: Mapping[str, float]) -> int:
    """How many of the figures that are shown are not the true ones."""
    return sum(abs(value - true.get(name, 0.0)) > 1e-6 for name, value in shown.items())


def measure(server: Server, rows: int, seconds: int, late: int, settle: int) -> Iterator[Table]:
    """All programs beside each other."""
    with (
        server.database() as database,
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as programs,
    ):
        log = Log(database)
        log.fill_recent(RATE, RECENT)
        log.grow(rows - RATE * RECENT)
        log.settle()
        tell(f"{rows:,} rows are there")
        contenders = [
            programs.enter_context(kind(Path(folder) / kind.__name__).running_on(database)) for kind in everyone()
        ]
        yield Table("exactness", _HEADINGS, compared(log, contenders, seconds, late, settle), _about(rows))


def compared(log: Log, contenders: Sequence[Contender], seconds: int, late: int, settle: int) -> list[list[Cell]]:
    """Scrape all programs while the log changes, and then compare: the rows of the table."""
    seen = {contender.name: Seen() for contender in contenders}

    def scrape() -> dict[str, dict[str, float]]:
        spends = {}
        for contender in contenders:
            samples = parsed(contender.scrape())
            seen[contender.name].add(contender.totals(samples))
            spends[contender.name] = contender.spend_today(samples)
        return spends

    refresh(log, contenders)
    scrape()
    before = truth(log)
    begun = time.monotonic()
    with Writer(log, RATE, late=late, changing=True):
        while time.monotonic() - begun < seconds:
            due = time.monotonic() + EVERY
            scrape()
            time.sleep(max(0.0, due - time.monotonic()))
    # rows that are older than the open window are found within two minutes
    until = time.monotonic() + settle
    while time.monotonic() < until:
        time.sleep(EVERY)
        scrape()
    refresh(log, contenders)
    spends, after = scrape(), truth(log)
    users: dict[str, float] = dict(log.database.connection.execute(_SPEND.encode()).fetchall())
    true = {name: after[name] - before[name] for name in before}
    found: list[list[Cell]] = [["SQL", *(round(v, 6) for v in true.values()), None, None, None, None, None]]
    for name, what in seen.items():
        counted = [what.counted.get(kind, 0.0) for kind in true]
        off = [round(value - right, 6) + 0.0 for value, right in zip(counted, true.values(), strict=True)]
        found.append([name, *counted, *off, what.falls, wrong(spends[name], users), what.scrapes])
    return found


def refresh(log: Log, contenders: Sequence[Contender]) -> None:
    """Wait until a program that reads by a clock of its own has read what is there now."""
    for contender in contenders:
        if isinstance(contender, SqlExporter):
            log.database.reset()
            # the one under way may have begun before
            log.database.wait_for_calls(contender.role, TOTALS, 2)
            time.sleep(1)


_HEADINGS = (
    "Program", "Calls counted", "Dollars counted", "Calls off by", "Dollars off by", "Times a counter fell",
    "Users with a wrong spend", "Scrapes",
)  # fmt: skip


def _about(rows: int) -> str:
    return (
        f"{rows:,} rows, {RATE} a second arriving, one in ten late; costs rise, old days are deleted. Counted: what"
        " a counter's rises add up to, as `increase()` takes them; where a counter falls, Prometheus takes it for a"
        " restart from zero."
    )


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
