"""`python -m bench.sources`: the logs of public systems, read by the settings that are shipped for them.

Each is filled with a row a second, twice: a small log and a large one. What the exporter's query sums is compared with
plain SQL on the table, the blocks that a scrape's query touches are counted, and each panel that reads the log by SQL
is asked.
"""

import argparse
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from bench.report import Table, markdown
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import span_query
from exporter.database.log_table import LogTable
from exporter.database.one_session import one_session
from exporter.database.reader import read_span
from exporter.database.session import Session
from exporter.demo.postgres import EmbeddedPostgres
from exporter.figures import Figure
from exporter.ledger.aggregate import FAILURES, net
from exporter.ledger.calendar import HOUR, MINUTE, floor_to
from exporter.ledger.model import TimeRange
from exporter.sql_files.render import render
from tests.support.grafana import View
from tests.support.grafana import sql as sent
from tests.support.public_logs import PUBLIC, PublicLog
from tests.support.scraped import Figures
from tests.support.sql_panels import SQL_PANELS

_NANO = 10**9
_DAY = 24 * HOUR
_EXPLAIN = sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ")


@dataclass(frozen=True)
class Seen:
    """What the exporter's query sums of a log, what plain SQL does, the blocks of a scrape, and panels that answer."""

    found: Figures
    truth: Figures
    blocks: int
    panels: int


def look(url: str, public: PublicLog, rows: int) -> Seen:
    """Fill a log with so many rows, and read it."""
    with psycopg.connect(url, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, rows)
        admin.execute("VACUUM ANALYZE")
        truth = public.figures(admin)
    config = Config.model_validate({"database": {"url": url}, "source": public.name})
    with one_session(config, resolve_conninfo(config, {}), "bench", 600) as session:
        log = session.log(config.classification())
        return Seen(_sums(session, log, config, rows), truth, _blocks(session, log, config), _panels(url, config))


def _sums(session: Session, log: LogTable, config: Config, rows: int) -> Figures:
    now = int(session.clock)
    span = TimeRange(floor_to(now - rows - _DAY, _DAY), now + 1)
    cells = [
        cell
        for bucket in read_span(session, log, config.classification(), span, width=_DAY).values()
        for cell in bucket.cells.values()
    ]
    return Figures(
        sum(cell[Figure.CALLS] for cell in cells),
        sum(sum(cell[FAILURES]) for cell in cells),
        round(Decimal(sum(net(cell) for cell in cells)) / (Figure.COST.scale // _NANO)),
        sum(cell[Figure.INPUT_TOKENS] for cell in cells),
        sum(cell[Figure.OUTPUT_TOKENS] for cell in cells),
    )


def _blocks(session: Session, log: LogTable, config: Config) -> int:
    now = int(session.clock)
    span = TimeRange(floor_to(now - int(config.open_window_seconds), MINUTE), now + 1)
    statement, parameters = span_query(log, config.classification(), span, MINUTE)
    (((plan,),),) = session.run(_EXPLAIN + statement, parameters)
    top: dict[str, Any] = plan["Plan"]
    return int(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


def _panels(url: str, config: Config) -> int:
    """How many panels get an answer from the views that are made for the log."""
    now, answered = time.time(), 0
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(render(config)["dashboards.sql"].encode())
        for statement in SQL_PANELS.values():
            with contextlib.suppress(psycopg.Error):
                admin.execute(sent(statement, View(now - HOUR, now)).encode())
                answered += 1
    return answered


def measure(server: EmbeddedPostgres, sizes: Sequence[int], names: Sequence[str] = PUBLIC) -> Table:
    """The table of all sources, at these sizes."""
    rows = []
    for name in names:
        seen = []
        for size in sizes:
            database = f"{name.replace('-', '_')}_{size}"
            with psycopg.connect(server.url(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE {database}")
            seen.append(look(server.url(database), PublicLog.of(name), size))
        truth = seen[-1].truth
        equal = all(each.found == each.truth for each in seen)
        rows.append(
            [
                f"`{name}`",
                truth.calls,
                truth.failures,
                f"{truth.cost / _NANO:,.6f}" if truth.cost else None,
                truth.input_tokens + truth.output_tokens,
                "yes" if equal else "**no**",
                f"{min(each.panels for each in seen)} of {len(SQL_PANELS)}",
                *(each.blocks for each in seen),
            ]
        )
    headers = ["source", "calls", "failures", "USD", "tokens", "equal to SQL", "panels that answer"]
    return Table("sources", [*headers, *(f"blocks a scrape, {size:,} rows" for size in sizes)], rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="the sizes of the logs")
    chosen = parser.parse_args(arguments)
    with EmbeddedPostgres(durable=False) as server:
        print(markdown(measure(server, chosen.rows)))


if __name__ == "__main__":
    main()
