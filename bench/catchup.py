"""`python -m bench.catchup`: what reading costs, measured against the least that the database could do for it.

Three figures, each a ratio of two times of one run on one machine:

- the open window, as a scrape reads it, against the floor: a count and one sum over the same rows;
- the first reading of a month, against two plain GROUP BYs over the same rows (by hour and series, by day and user);
- the time until today's figures are shown, as a part of that first reading.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from exporter import catalog
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import Shape, span_query
from exporter.database.one_session import one_session
from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.schema import load_schema
from exporter.ledger.advance import begin
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import TimeRange
from exporter.scrape.application import Exporter
from exporter.scrape.ledger_settings import settings_for
from exporter.state.store import Store

POLL = 0.2
RUNS = 100
LAST_HOUR = 23

_FILL = """
INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd,
                              latency_ms, success, error_message, created_at)
SELECT 'chat', 'operation-' || n %% 9, 'model-' || n / 9 %% 3,
       ('00000000-0000-4000-8000-' || lpad(to_hex(n * 7919::bigint %% %(users)s), 12, '0'))::uuid,
       100 + n %% 900, n %% 400, 0.000001 * (n * 37::bigint %% 50000), 100 + n * 7919::bigint %% 9000, n %% 50 > 0,
       CASE WHEN n %% 50 = 0 THEN 'Error code: 503 - Service unavailable' END,
       %(since)s::timestamp + n * ((%(until)s::timestamp - %(since)s::timestamp) / %(rows)s)
FROM generate_series(0, %(rows)s - 1) AS n
"""
_INDEX = "CREATE INDEX ai_operation_log_created_at_idx ON ai_operation_log (created_at DESC)"
_BY_SERIES = """
SELECT date_trunc('hour', created_at), operation_id, model_used, count(*), sum(cost_usd)
FROM ai_operation_log GROUP BY 1, 2, 3
"""
_BY_USER = "SELECT date_trunc('day', created_at), user_id, count(*), sum(cost_usd) FROM ai_operation_log GROUP BY 1, 2"
_FLOOR = b"SELECT count(*), sum(cost_usd) FROM ai_operation_log WHERE created_at >= %(lo)s AND created_at < %(hi)s"
_EXPLAIN = b"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT JSON) "
_NEWEST = """
SELECT min(created_at), max(created_at)
FROM (SELECT created_at FROM ai_operation_log ORDER BY created_at DESC LIMIT %s) AS newest
"""


@dataclass(frozen=True)
class Times:
    """Milliseconds of a statement: until all rows are there, and of these what the server takes to plan and run it."""

    fetched: float
    server: float


@dataclass(frozen=True)
class Start:
    """Seconds after a first start until today's figures are shown, and until everything is."""

    today: float
    ready: float


def fill(connection: psycopg.Connection[Any], config: Config, rows: int, users: int) -> None:
    """Fill the log with so many rows, from where a first reading begins up to now."""
    load_schema(connection, "success")
    # quicker without its indexes
    connection.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT ai_operation_log_pkey")
    connection.execute("DROP INDEX ai_operation_log_created_at_idx")
    clock = int(time.time())
    since = begin(clock, settings_for(config, config.classification())).began
    connection.execute(_FILL, {"rows": rows, "users": users, "since": _utc(since), "until": _utc(clock)})
    connection.execute(_INDEX)
    connection.execute("VACUUM ANALYZE ai_operation_log")


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)


def window_times(connection: psycopg.Connection[Any], config: Config, rows: int) -> dict[str, Times]:
    """The floor, and the window as a scrape reads it, row by row and as sums, over about the newest `rows` rows."""
    found = connection.execute(_NEWEST, [rows]).fetchone()
    if found is None:
        raise ValueError("the log is empty")
    oldest, newest = (int(at.replace(tzinfo=UTC).timestamp()) for at in found)
    span, rules = TimeRange(oldest - oldest % MINUTE, newest + 1), config.classification()
    with one_session(config, resolve_conninfo(config, {}), "bench", 600) as session:
        log = session.log(rules)
    statements: dict[str, tuple[bytes, Any]] = {"floor": (_FLOOR, {"lo": _utc(span.lo), "hi": _utc(span.hi)})}
    for shape in (Shape.EACH, Shape.USERS):
        statement, parameters = span_query(log, rules, span, MINUTE, shape=shape)
        statements[shape.value] = statement.as_bytes(connection), parameters
    return {name: times(connection, *statement) for name, statement in statements.items()}


def times(connection: psycopg.Connection[Any], statement: bytes, parameters: Any) -> Times:
    """The best of many runs, which on a busy machine is one that nobody has interrupted."""
    fetched, planned_and_run = [], []
    for _ in range(RUNS):
        fetched.append(1000 * seconds(lambda: connection.execute(statement, parameters).fetchall()))
        plan = connection.execute(_EXPLAIN + statement, parameters).fetchall()[0][0][0]
        planned_and_run.append(plan["Planning Time"] + plan["Execution Time"])
    return Times(min(fetched), min(planned_and_run))


def late_zone(hour: int) -> str:
    """A zone where the day is nearly over, when it is that hour in UTC: today is then as long as a day can be."""
    offset = (LAST_HOUR - hour + 9) % 24 - 9
    return f"Etc/GMT{-offset:+d}"


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def first_start(config: Config) -> Start:
    """A first start on the log, asked for its figures all the time."""
    with tempfile.TemporaryDirectory() as folder:
        exporter = Exporter(config, resolve_conninfo(config, {}), Store(Path(folder)))
        begun, today = time.perf_counter(), 0.0
        exporter.start()
        while not exporter.readiness().ok:
            shown = {family.metric.name for family in exporter.scrape(60)}
            if not today and catalog.SPEND_TODAY.name in shown:
                today = time.perf_counter() - begun
            time.sleep(POLL)
        ready = time.perf_counter() - begun
        exporter.stop()
        return Start(today or ready, ready)


def main() -> None:
    """Print the figures and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench.catchup", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the log (1,000,000)")
    parser.add_argument("--users", type=int, default=65_000, help="users a day (65,000)")
    parser.add_argument("--window", type=int, default=600, help="rows of the open window (600)")
    arguments = parser.parse_args()
    with EmbeddedPostgres() as server:
        zone = late_zone(datetime.now(UTC).hour)
        config = Config.model_validate({"database": {"url": server.url()}, "budget_time_zone": zone})
        with psycopg.connect(server.url(), autocommit=True) as connection:
            fill(connection, config, arguments.rows, arguments.users)
            found = window_times(connection, config, arguments.window)
            floor = found["floor"]
            for name, one in found.items():
                ratios = f"{one.fetched / floor.fetched:.1f} to 1, in the server {one.server / floor.server:.1f} to 1"
                print(f"window, {name}: {one.fetched:.2f} ms, in the server {one.server:.2f} ms; {ratios}", flush=True)
            series = seconds(lambda: connection.execute(_BY_SERIES).fetchall())
            users = seconds(lambda: connection.execute(_BY_USER).fetchall())
        plain = series + users
        print(f"two GROUP BYs: {series:.1f} s by hour and series, {users:.1f} s by day and user", flush=True)
        start = first_start(config)
        print(f"first reading: {start.ready:.1f} s, {start.ready / plain:.2f} to 1")
        print(f"today's figures after {start.today:.1f} s, {start.today / plain:.2f} to 1")


if __name__ == "__main__":
    main()
