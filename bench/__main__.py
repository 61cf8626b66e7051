"""`python -m bench`: a scrape against a full aggregate, and a scrape of a large table against one of a small table.

The full aggregate is what exporters with free SQL run at each scrape: every row, grouped by operation and model. Each
figure is the best of several runs; only the ratios mean something on another machine.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.schema import load_schema
from exporter.scrape.application import Exporter
from exporter.state.store import Store

SIZES = (10_000, 1_000_000)
REPEATS = 15

_FILL = """
INSERT INTO ai_operation_log (operation_type, operation_id, model_used, input_tokens, output_tokens, cost_usd,
                              latency_ms, success, created_at)
SELECT 'chat', 'operation-' || n %% 9, 'model-' || n %% 3, 100 + n %% 900, n %% 400, 0.000001 * (n %% 5000),
       100 + n %% 4000, n %% 50 > 0,
       now() AT TIME ZONE 'UTC' - n * (interval '30 days' / %(rows)s)
FROM generate_series(1, %(rows)s) AS n
"""

_FULL = """
SELECT operation_id, model_used, count(*), count(*) FILTER (WHERE NOT success), sum(cost_usd), sum(input_tokens),
       sum(output_tokens), sum(latency_ms)
FROM ai_operation_log GROUP BY 1, 2
"""


def best(work: Callable[[], object]) -> float:
    """The shortest of several runs in milliseconds."""
    durations = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        durations.append(1000 * (time.perf_counter() - begun))
    return min(durations)


def measure(server: EmbeddedPostgres, rows: int) -> tuple[float, float]:
    """Milliseconds of a scrape and of a full aggregate on a table of so many rows in thirty days."""
    name = f"bench_{rows}"
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    url = server.url(name)
    with psycopg.connect(url, autocommit=True) as connection, tempfile.TemporaryDirectory() as folder:
        load_schema(connection, "success")
        connection.execute(_FILL, {"rows": rows})
        connection.execute("VACUUM ANALYZE ai_operation_log")
        config = Config()
        info = resolve_conninfo(config, {"DATABASE_URL": url})
        exporter = Exporter(config, info, Store(Path(folder)))
        exporter.start()
        while not exporter.readiness().ok:
            time.sleep(0.1)
        scrape = best(lambda: list(exporter.scrape(60)))
        exporter.stop()
        return scrape, best(lambda: connection.execute(_FULL).fetchall())


def main() -> None:
    """Print the figures and their ratios."""
    found = {}
    with EmbeddedPostgres() as server:
        for rows in SIZES:
            found[rows] = scrape, full = measure(server, rows)
            print(f"{rows:>9,} rows: scrape {scrape:8.1f} ms, full aggregate {full:8.1f} ms, {full / scrape:6.2f} to 1")
    small, large = (found[rows] for rows in SIZES)
    growth = SIZES[1] // SIZES[0]
    print(f"{growth} times the rows: scrape x {large[0] / small[0]:.2f}, full aggregate x {large[1] / small[1]:.2f}")


if __name__ == "__main__":
    main()
