"""A table whose rows are put into other files in the middle of a transaction: what that cannot see is not gone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.scrape.background import BackgroundReader
from exporter.scrape.collector import Collector
from tests.support.harness import Log, assert_spend_is_what_sql_says, fixed_layout, running, wait_for
from tests.support.servers import EmbeddedServer
from tests.support.wire import READS_THE_LOG, wire_to

layout = fixed_layout("success")

BELOW = {
    "table": "",
    "pooler": "",
    "view": "ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW ai_operation_log AS SELECT * FROM base",
    "view of a view": "ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW above AS SELECT * FROM base;"
    " CREATE VIEW ai_operation_log AS SELECT * FROM above",
    "partition": "ALTER TABLE ai_operation_log RENAME TO base;"
    " CREATE TABLE ai_operation_log (LIKE base INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);"
    " ALTER TABLE ai_operation_log ATTACH PARTITION base DEFAULT",
    "child": "ALTER TABLE ai_operation_log RENAME TO base;"
    " CREATE TABLE ai_operation_log (LIKE base INCLUDING DEFAULTS); ALTER TABLE base INHERIT ai_operation_log",
}
"""What is made of the log first: its rows lie in the table `base` from then on, where there is one."""

TO_THE_CHILD = "WITH moved AS (DELETE FROM ONLY ai_operation_log RETURNING *) INSERT INTO base SELECT * FROM moved"

REWRITTEN = {
    "unlogged": "ALTER TABLE {table} SET UNLOGGED",
    "another type": "ALTER TABLE ai_operation_log ALTER quality_score TYPE double precision",
    "filled again": "BEGIN; CREATE TABLE kept AS SELECT * FROM {table}; TRUNCATE {table};"
    " INSERT INTO {table} SELECT * FROM kept; COMMIT",
}


def table_of(kind: str) -> str:
    """The table that holds the rows."""
    return "base" if BELOW[kind] else "ai_operation_log"


def do_all(waiting: list[str], connection: psycopg.Connection[Any]) -> None:
    """Execute what waits, once."""
    while waiting:
        connection.execute(waiting.pop(0).encode())


def before_reading(monkeypatch: pytest.MonkeyPatch, of: type, at: str, happens: Callable[[], None]) -> None:
    """Have something happen each time that a transaction has begun, and the log has not been read yet."""
    read = getattr(of, at)

    def changed(*what: Any) -> Any:
        happens()
        return read(*what)

    monkeypatch.setattr(of, at, changed)


# PostgreSQL changes no type of a column that a view shows
CASES = [
    (kind, rewritten)
    for kind in BELOW
    for rewritten in REWRITTEN
    if not (kind.startswith("view") and rewritten == "another type")
]


@pytest.mark.parametrize(("kind", "rewritten"), CASES)
def test_a_scrape_does_not_take_the_rows_for_gone(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, rewritten: str
) -> None:
    log.execute(BELOW[kind] or "SELECT")
    waiting: list[str] = []
    with psycopg.connect(log.url, autocommit=True) as other:
        before_reading(monkeypatch, Collector, "_read_window", lambda: do_all(waiting, other))
        with (
            wire_to(log.url, like_a_pooler=kind == "pooler") as wire,
            running(wire.url, tmp_path, optional_interval=60) as exporter,
        ):
            exporter.wait_ready().wait_up()
            for number in (1, 2):
                log.insert(cost="1")
                if kind == "child":
                    log.execute(TO_THE_CHILD)
                assert exporter.scrape().money == number * 1_000_000
            waiting += REWRITTEN[rewritten].format(table=table_of(kind)).split("; ")
            for _ in range(2):
                scraped = exporter.scrape()
                assert (scraped.up, scraped.money, scraped.micro("ai_spend_today_usd")) == (1, 2_000_000, 2_000_000)
            assert not waiting


WAITS = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND application_name = %s AND datname = current_database()
"""
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()
"""


@pytest.mark.parametrize("is_cut", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("kind", ["table", "pooler", "view", "partition"])
def test_a_scrape_that_has_waited_until_the_table_was_rewritten_shows_its_rows(
    log: Log, tmp_path: Path, kind: str, is_cut: bool
) -> None:
    """A rewrite locks the table for long: a scrape that comes meanwhile has its snapshot from before its end."""
    log.execute(BELOW[kind] or "SELECT")
    with (
        psycopg.connect(log.url, autocommit=True) as other,
        ThreadPoolExecutor() as pool,
        wire_to(log.url, like_a_pooler=kind == "pooler") as wire,
        running(wire.url, tmp_path, optional_interval=60) as exporter,
    ):
        exporter.wait_ready().wait_up()
        log.insert(cost="1")
        for _ in range(2):
            assert exporter.scrape().money == 1_000_000
        other.execute("BEGIN")
        other.execute(f"ALTER TABLE {table_of(kind)} SET UNLOGGED".encode())
        if is_cut:
            log.execute(CUT, READS_THE_LOG)
        scrape = pool.submit(exporter.scrape, 30)
        wait_for(lambda: log.execute(WAITS, READS_THE_LOG)[0][0] > 0, lambda: "the scrape does not wait")
        other.execute("COMMIT")
        scraped = scrape.result()
        assert (scraped.up, scraped.money, scraped.micro("ai_spend_today_usd")) == (1, 1_000_000, 1_000_000)


HARMLESS = {
    "an index": "CREATE INDEX ON {table} (cost_usd)",
    "an index again": "REINDEX TABLE {table}",
    "statistics": "ANALYZE {table}",
    "vacuum": "VACUUM {table}",
    "vacuum full": "VACUUM FULL {table}",
    "rows": "DELETE FROM {table} WHERE cost_usd < 0",
    "another table": "CREATE TABLE IF NOT EXISTS another (x int)",
}


@pytest.mark.parametrize("kind", ["table", "view"])
@pytest.mark.parametrize("happens", HARMLESS)
def test_what_moves_no_rows_costs_no_scrape(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, happens: str
) -> None:
    log.execute(BELOW[kind] or "SELECT")
    waiting: list[str] = []
    with psycopg.connect(log.url, autocommit=True) as other:
        before_reading(monkeypatch, Collector, "_read_window", lambda: do_all(waiting, other))
        with running(log.url, tmp_path, optional_interval=60) as exporter:
            exporter.wait_ready().wait_up()
            log.insert(cost="1")
            for _ in range(2):
                waiting.append(HARMLESS[happens].format(table=table_of(kind)))
                scraped = exporter.scrape()
                assert (scraped.up, scraped.money) == (1, 1_000_000)


@pytest.mark.parametrize("kind", ["table", "partition"])
def test_the_background_reader_does_not_take_the_rows_for_gone(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    log.execute(BELOW[kind] or "SELECT")
    for ago in range(0, 7200, 300):
        log.insert(ago, cost="0.25")
    waiting = ["UNLOGGED", "LOGGED"]

    def rewrite() -> None:
        if waiting:
            other.execute(f"ALTER TABLE {table_of(kind)} SET {waiting.pop(0)}".encode())

    with psycopg.connect(log.url, autocommit=True) as other:
        before_reading(monkeypatch, BackgroundReader, "_read_next", rewrite)
        with running(log.url, tmp_path, optional_interval=60) as exporter:
            exporter.wait_ready().wait_up()
            assert not waiting
            assert_spend_is_what_sql_says(exporter.scrape(), log)


def test_a_server_that_does_not_tell_is_read_as_before(
    log: Log, embedded_postgres: EmbeddedServer, tmp_path: Path
) -> None:
    name = log.connection.info.dbname
    log.execute("ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW ai_operation_log AS SELECT * FROM base")
    log.execute("REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC")
    log.execute(f"CREATE ROLE blind_{name} LOGIN BYPASSRLS PASSWORD 'for this test'")
    log.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO blind_{name}")
    try:
        with running(embedded_postgres.url(name, f"blind_{name}", "for this test"), tmp_path) as exporter:
            exporter.wait_ready().wait_up()
            for number in (1, 2):
                log.insert(cost="1")
                scraped = exporter.scrape()
                assert (scraped.up, scraped.money) == (1, number * 1_000_000)
                assert set(scraped.collectors.values()) == {1}
    finally:
        log.execute(f"DROP OWNED BY blind_{name}; DROP ROLE blind_{name}")
