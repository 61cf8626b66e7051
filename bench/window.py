"""`python -m bench.window`: the statements that read the open window, beside the floor over the same rows.

The floor is `SELECT count(*), sum(cost_usd)` over three minutes, asked between the scrapes. Times are those of planning
and execution by pg_stat_statements: the average, and what that would be had each statement always taken its least.
"""

import time
from collections.abc import Iterator

import psycopg

from bench.alternatives import FLOOR, FLOOR_QUERY
from bench.command import run, tell
from bench.contenders import ours_on
from bench.logs import Shape, Writer
from bench.report import Cell, Table
from bench.server import Database, Server

SMALL = {"rates": (10,), "scrapes": 10, "every": 1}
FULL = {"rates": (3, 10, 30), "scrapes": 60, "every": 5}
RECENT = 900
SERIES = 200
WARM = 3

_COST = """
SELECT coalesce(sum(total_plan_time + total_exec_time), 0)::float8 / %(times)s,
       coalesce(sum(min_plan_time * plans + min_exec_time * calls), 0)::float8 / %(times)s
FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
WHERE r.rolname = %(role)s AND (query LIKE '%%txid_snapshot_xmin%%' OR query LIKE '%%sum(cost_usd)%%')
  AND s.dbid = (SELECT oid FROM pg_database WHERE datname = %(database)s)
"""


def cost(database: Database, role: str, times: int) -> tuple[float, float]:
    """Milliseconds that the statements on the window, or the floor, have taken, for each of so many times."""
    names = {"role": role, "times": times, "database": database.name}
    ((average, least),) = database.connection.execute(_COST, names)
    return average, least


def measured(server: Server, rate: int, scrapes: int, every: int) -> list[Cell]:
    """One rate: a row of the table."""
    tell(f"{rate} rows a second")
    with ours_on(server, Shape(series=SERIES), rate, RECENT) as (log, ours):
        database = log.database
        database.grant(FLOOR)
        with Writer(log, rate), psycopg.connect(database.url(FLOOR), autocommit=True) as connection:
            for _ in range(WARM):
                ours.scrape()
                time.sleep(every)
            database.reset()
            for _ in range(scrapes):
                ours.scrape()
                connection.execute(FLOOR_QUERY)
                time.sleep(every)
            window, least_window = cost(database, ours.role, scrapes)
            floor, least_floor = cost(database, FLOOR, scrapes)
    return [rate, every, window, floor, window / floor, least_window, least_floor, least_window / least_floor]


def measure(server: Server, rates: tuple[int, ...], scrapes: int, every: int) -> Iterator[Table]:
    """Each rate."""
    about = (
        f"{scrapes} scrapes, {SERIES} series. The statements that read the open window, and the floor:"
        " `SELECT count(*), sum(cost_usd)` over three minutes. Planning and execution by pg_stat_statements."
    )
    headings = (
        "Rows a second", "Scraped every, s", "Window, ms", "Floor, ms", "To the floor", "Window at least, ms",
        "Floor at least, ms", "To the floor at least",
    )  # fmt: skip
    yield Table("window", headings, [measured(server, rate, scrapes, every) for rate in rates], about)


if __name__ == "__main__":
    run(measure, SMALL, FULL, __doc__)
