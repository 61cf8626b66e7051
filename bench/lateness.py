"""`python -m bench.lateness`: what the probes for late rows cost in the database, for logs of different densities.

A round probes every slice of the last hour, and a tenth of the older ones. The figures are CPU time of the database
process (this needs Linux); the ratio compares a full read with a probe of the same rows. With `--hours` below 48, the
older hours are extrapolated from the rows that exist.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.processes import cpu_seconds
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import span_query
from exporter.database.log_table import LogTable
from exporter.database.one_session import one_session
from exporter.database.probe_query import read_sums
from exporter.database.session import Session
from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.schema import load_schema
from exporter.ledger.calendar import HOUR, QUARTER_HOUR, floor_to
from exporter.ledger.model import TimeRange
from exporter.ledger.probing import RECENT, ROUNDS
from exporter.scrape.lateness import INTERVAL, SHARE

HORIZON = 48 * HOUR
MEASURED_SECONDS = 2.0

_FILL = """
INSERT INTO ai_operation_log (operation_type, operation_id, model_used, input_tokens, output_tokens, cost_usd,
                              latency_ms, success, created_at)
SELECT 'chat', 'operation-' || n %% 9, 'model-' || n %% 3, 100 + n %% 900, n %% 400, 0.000001 * (n %% 5000),
       100 + n %% 4000, n %% 50 > 0, now() AT TIME ZONE 'UTC' - n * (interval '1 second' / %(rate)s)
FROM generate_series(%(rows)s, 0, -1) AS n
"""


@dataclass(frozen=True)
class Cost:
    """Seconds per row: of a probe of recent slices, of a probe of older ones, and of a full read of recent ones."""

    recent: float
    older: float
    read: float


def fill(connection: psycopg.Connection[Any], rate: int, hours: float) -> None:
    """Fill a log with so many rows per second. Its index is dropped meanwhile, which is faster."""
    load_schema(connection, "success")
    index = "SELECT pg_get_indexdef('ai_operation_log_created_at_idx'::regclass)"
    ((created,),) = connection.execute(index).fetchall()
    connection.execute("DROP INDEX ai_operation_log_created_at_idx")
    connection.execute(_FILL, {"rows": int(rate * hours * HOUR), "rate": rate})
    connection.execute(created.encode())
    connection.execute("VACUUM ANALYZE ai_operation_log")


def measure(session: Session, table: LogTable, config: Config, rate: int, hours: float) -> Cost:
    """Measure what the rows of such a log cost."""
    rules, last = config.classification(), floor_to(int(session.clock), QUARTER_HOUR)
    first = last - int(hours * HOUR) // QUARTER_HOUR * QUARTER_HOUR + QUARTER_HOUR
    quarters = [TimeRange(lo, lo + QUARTER_HOUR) for lo in range(first, last, QUARTER_HOUR)]
    recent = [span for span in quarters if span.hi > last - RECENT]
    older = [span for span in quarters if span.hi <= last - RECENT]

    def probe(spans: list[TimeRange]) -> float:
        def work() -> None:
            for start in range(0, len(spans), 6):
                read_sums(session, table, rules, spans[start : start + 6])

        return busy(session, work) / (len(spans) * QUARTER_HOUR * rate)

    read = busy(session, lambda: session.run(*span_query(table, rules, recent[0], QUARTER_HOUR))) / (
        QUARTER_HOUR * rate
    )
    return Cost(probe(recent), probe(older), read)


def busy(session: Session, work: Callable[[], object]) -> float:
    """CPU seconds that the database process spends on a piece of work, whatever else the machine does."""
    ((process,),) = session.run("SELECT pg_backend_pid()")
    times, until, before = 0, time.monotonic() + MEASURED_SECONDS, cpu_seconds(process)
    while times == 0 or time.monotonic() < until:
        work()
        times += 1
    return (cpu_seconds(process) - before) / times


def report(cost: Cost, rate: int) -> None:
    """Print what a round costs, and how soon everything has been probed."""
    recent = cost.recent * rate * (RECENT + QUARTER_HOUR / 2)
    older = cost.older * rate * (HORIZON - RECENT)
    rounds = max(ROUNDS, older / max(SHARE * INTERVAL - recent, recent / 3))
    share = min(SHARE, (recent + older / ROUNDS) / INTERVAL)
    micro = 1e6
    print(
        f"{rate:>6,} rows/s: a row takes {micro * cost.recent:.2f} µs in a probe of the last hour,"
        f" {micro * cost.older:.2f} µs in one of older slices, {micro * cost.read:.2f} µs in a read:"
        f" 1 to {cost.read / cost.recent:.1f}\n"
        f"{'':>15} the last hour {1000 * recent:,.0f} ms, all older slices {1000 * older:,.0f} ms: {100 * share:.1f} %"
        f" of one connection, and all of it once in {rounds * max(INTERVAL, (1 / SHARE) * recent) / 60:.0f} minutes"
    )


def main() -> None:
    """Measure one density after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows-per-second", type=int, nargs="+", default=[10])
    parser.add_argument("--hours", type=float, default=48.0, help="hours of the log to create")
    arguments = parser.parse_args()
    with EmbeddedPostgres(durable=False) as server, tempfile.TemporaryDirectory() as folder:
        for rate in arguments.rows_per_second:
            with psycopg.connect(server.url(), autocommit=True) as admin:
                admin.execute(f"CREATE DATABASE bench_{rate}")
            url = server.url(f"bench_{rate}")
            with psycopg.connect(url, autocommit=True) as connection:
                fill(connection, rate, arguments.hours)
            config = Config.model_validate({"state_dir": str(Path(folder))})
            with one_session(config, resolve_conninfo(config, {"DATABASE_URL": url}), "bench", 600) as session:
                report(measure(session, session.log(config.classification()), config, rate, arguments.hours), rate)


if __name__ == "__main__":
    main()
