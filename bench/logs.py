"""Logs to measure: filled at once, and written to while something is measured."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Self

import psycopg

from bench.server import Database
from exporter.demo.schema import load_schema

DAY = 86_400
HISTORY = (400, 40)
"""The history of a table lies this many days in the past: neither the horizon nor the month's sums reach it."""

_ROWS = """
INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd,
                              latency_ms, success, error_message, created_at)
SELECT 'chat', 'operation-' || mod(n, %(series)s) / 3, 'model-' || mod(n, %(series)s) %% 3,
       lpad(to_hex(mod(n * 7919, %(users)s)), 32, '0')::uuid, 100 + mod(n, 900), mod(n, 400),
       0.000001 * mod(n, 5000), 100 + mod(n, 4000), mod(n, 20) > 0,
       CASE WHEN mod(n, 20) = 0 THEN CASE mod(n, 3) WHEN 0 THEN 'rate limit exceeded' WHEN 1 THEN 'request timed out'
            ELSE 'connection reset by peer' END END,
       {time}
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
"""
_SPREAD = "timezone('UTC', to_timestamp(%(start)s + (n - %(first)s) * %(step)s))"
_LATELY = (
    "timezone('UTC', clock_timestamp())"
    " - make_interval(secs => CASE WHEN mod(n, 10) = 0 THEN %(late)s * random() ELSE 0 END)"
)

_PARTITION = """
DO $$ DECLARE first date := date_trunc('month', now())::date - interval '15 months'; BEGIN
  FOR i IN 0..16 LOOP
    EXECUTE format('CREATE TABLE ai_operation_log_%s PARTITION OF ai_operation_log FOR VALUES FROM (%L) TO (%L)', i,
                   first + make_interval(months => i), first + make_interval(months => i + 1));
  END LOOP;
END $$
"""


@dataclass(frozen=True)
class Shape:
    """What rows look like: pairs of operation and model, and users."""

    series: int = 27
    users: int = 200


class Log:
    """`ai_operation_log` in a database, in the layout "success", without a primary key: no query here looks for one."""

    def __init__(self, database: Database, shape: Shape = Shape(), *, partitioned: bool = False) -> None:
        self.database = database
        self.shape = shape
        self._next = 0
        connection = database.connection
        load_schema(connection, "success")
        connection.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT ai_operation_log_pkey")
        if partitioned:
            connection.execute("ALTER TABLE ai_operation_log RENAME TO pattern")
            connection.execute(
                "CREATE TABLE ai_operation_log (LIKE pattern INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)"
            )
            connection.execute("DROP TABLE pattern")
            connection.execute("CREATE INDEX ai_operation_log_created_at_idx ON ai_operation_log (created_at DESC)")
            connection.execute(_PARTITION)

    def fill(self, rows: int, start: float, end: float) -> None:
        """Add so many rows, evenly between two times in seconds since the epoch."""
        first, self._next = self._next, self._next + rows
        self.insert(self.database.connection, first, rows, _SPREAD, start=start, step=(end - start) / max(1, rows))

    def insert(self, connection: psycopg.Connection[Any], first: int, rows: int, at: str, **names: float) -> None:
        """Add rows with numbers from `first` on; `at` is the SQL of a row's time, in which `names` have values."""
        values = {**asdict(self.shape), "first": first, "last": first + rows - 1, **names}
        connection.execute(_ROWS.replace("{time}", at).encode(), values)

    def fill_recent(self, rate: float, seconds: float) -> None:
        """Add rows up to now, at a rate of so many a second."""
        now = time.time()
        self.fill(round(rate * seconds), now - seconds, now)

    def grow(self, rows: int) -> None:
        """Add so many rows of history, between those that are there: no scrape has a reason to look at them."""
        oldest, newest = (time.time() - days * DAY for days in HISTORY)
        self.fill(rows, oldest, newest)

    def settle(self) -> None:
        """Have the server do now what it would do later in the background."""
        self.database.connection.execute("VACUUM ANALYZE ai_operation_log")
        self.database.connection.execute("CHECKPOINT")

    def number(self, statement: str) -> float:
        """The one number that a query returns."""
        found = self.database.connection.execute(statement.encode()).fetchone()
        return 0.0 if found is None or found[0] is None else float(found[0])


class Writer:
    """Rows that arrive while something is measured: a context manager.

    One row in ten is dated up to `late` seconds back. With `changing`, costs of recent rows rise every two seconds, and
    every ten seconds the oldest day of the history is deleted, as a retention job does. `written` counts the rows.
    """

    def __init__(self, log: Log, rate: float, *, late: float = 0.0, changing: bool = False) -> None:
        self._log = log
        self._rate = rate
        self._late = late
        self._changing = changing
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self.written = 0
        self.process = 0

    def __enter__(self) -> Self:
        self._connection = psycopg.connect(self._log.database.url("postgres"), autocommit=True)
        self.process = self._connection.info.backend_pid
        self._running = self._thread.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.shutdown()
        self._connection.close()
        self._running.result()

    def _run(self) -> None:
        begun, pause, number = time.monotonic(), min(0.5, max(0.05, 1 / self._rate)), 0
        while not self._stop.wait(pause):
            self._insert(int((time.monotonic() - begun) * self._rate) - self.written)
            number += 1
            if self._changing and number % 4 == 0:
                self._change()
            if self._changing and number % 20 == 10:
                self._expire()

    def _insert(self, rows: int) -> None:
        if rows > 0:
            # what was filled before has smaller numbers; only the remainders of a number matter
            self._log.insert(self._connection, 10**9 + self.written, rows, _LATELY, late=self._late)
            self.written += rows

    def _change(self) -> None:
        self._connection.execute(
            "UPDATE ai_operation_log SET cost_usd = cost_usd + 0.01 WHERE random() < 0.02"
            " AND created_at >= timezone('UTC', now()) - make_interval(secs => %s)",
            (max(60.0, self._late),),
        )

    def _expire(self) -> None:
        self._connection.execute(
            "DELETE FROM ai_operation_log WHERE created_at < (SELECT min(created_at) FROM ai_operation_log)"
            " + interval '1 day' AND created_at < timezone('UTC', now()) - interval '39 days'"
        )
