"""A database that is down, slow or another one; a state that cannot be written, is taken or damaged."""

import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from exporter.catalog import COLLECTORS
from exporter.demo.history import history, history_start
from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.rows import fill
from tests.support.harness import Log, Running, assert_shows_what_sql_says, fixed_layout, running, wait_for
from tests.support.scraped import Scraped, said
from tests.support.servers import EmbeddedServer

FROM_THE_DATABASE = (
    "ai_spend_today_usd",
    "ai_spend_month_usd",
    "ai_spend_window_start_timestamp_seconds",
    "ai_user_spend_today_usd",
    "ai_user_daily_limit_usd",
    "ai_budget_users",
    "ai_operations_in_progress",
    "ai_approvals_pending",
    "ai_recommendations",
    "ai_model_route_info",
    "ai_operation_last_seen_timestamp_seconds",
    "ai_operation_log_newest_row_timestamp_seconds",
)
layout = fixed_layout("status")


def assert_down(scraped: Scraped, before: Scraped) -> None:
    """Nothing is read, nothing is claimed to be fresh, and counters stand where they stood."""
    assert scraped.up == 0
    assert set(scraped.collectors.values()) == {0}
    assert scraped.counters == before.counters
    for name in FROM_THE_DATABASE:
        assert not scraped.has(name), name
    durations = scraped.having("ai_exporter_collector_duration_seconds")
    assert len(durations) == len(COLLECTORS)


def timed(exporter: Running, timeout: float) -> tuple[Scraped, float]:
    begun = time.monotonic()
    scraped = exporter.scrape(timeout)
    return scraped, time.monotonic() - begun


def test_a_server_that_is_stopped_and_started_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # durable, since the rows that were counted must be there after the crash
    with EmbeddedPostgres() as server:
        url = server.url()
        with Log(url, "status") as log, running(url, tmp_path) as exporter:
            exporter.wait_ready()
            log.insert(2, cost="0.5")
            before = exporter.scrape()
            assert_shows_what_sql_says(before, log)
            control = _control(server)
            # immediate: connections are cut off as by a crash
            control("stop", "-m", "immediate")
            for _ in range(4):
                down, seconds = timed(exporter, 5)
                assert_down(down, before)
                assert seconds < 5
            assert exporter.exporter.health().ok
            lines = [r for r in caplog.records if r.getMessage().startswith("database:")]
            assert 1 <= len(lines) <= 2
            assert server.password not in caplog.text
            control("start", "-w", "-l", str(server.directory / "again.log"), "-o", _options(server))
            log.connection = psycopg.connect(url, autocommit=True)
            log.insert(1, cost="0.25")
            after = exporter.wait_up()
            assert_shows_what_sql_says(after, log)
            assert after.money == 750_000
            control("stop", "-m", "immediate")


def _control(server: EmbeddedPostgres) -> Any:
    (binary,) = {Path(f"/proc/{server.pid}/exe").resolve().with_name("pg_ctl")}
    data = server.directory / "data"
    owner = data.stat()

    def control(action: str, *arguments: str) -> None:
        subprocess.run(
            [str(binary), action, "-D", str(data), *arguments],
            check=True,
            cwd=server.directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            user=owner.st_uid,
            group=owner.st_gid,
            extra_groups=[],
        )

    return control


def _options(server: EmbeddedPostgres) -> str:
    return f"-c port={server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c timezone=UTC"


def test_backends_that_are_ended_cost_nothing(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for number in range(1, 4):
            log.execute(
                "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            log.insert(1, cost="0.000001")
            scraped = exporter.scrape()
            # a connection that died while idle is opened anew within the same scrape
            assert scraped.up == 1
            assert scraped.money == number


def test_a_table_that_is_locked(log: Log, tmp_path: Path) -> None:
    scrape = {"timeout": 2, "timeout_offset": 0.5}
    with running(log.url, tmp_path, scrape=scrape) as exporter:
        exporter.wait_ready()
        log.insert(2)
        before = exporter.scrape()
        with psycopg.connect(log.url) as other:
            other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
            for timeout in (0.5, 2.0, 4.0):
                scraped, seconds = timed(exporter, timeout)
                assert scraped.up == 0
                assert scraped.collectors["log"] == 0
                assert scraped.counters == before.counters
                assert not scraped.has("ai_spend_today_usd")
                assert seconds < timeout + 1
        log.insert(1)
        assert_shows_what_sql_says(exporter.wait_up(), log)


def test_a_locked_optional_table_leaves_time_for_the_log(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, scrape={"timeout": 2, "timeout_offset": 0.5}) as exporter:
        exporter.wait_ready()
        log.insert(2)
        before = exporter.scrape()
        with psycopg.connect(log.url) as other:
            other.execute("LOCK TABLE approval_gates IN ACCESS EXCLUSIVE MODE")
            log.insert(1)
            scraped, seconds = timed(exporter, 5)
            assert seconds < 5
            assert scraped.collectors == {**before.collectors, "approvals": 0}
            assert_shows_what_sql_says(scraped, log)
            assert not scraped.has("ai_approvals_pending")
        assert exporter.scrape().collectors["approvals"] == 1


def test_locked_routes_hold_up_neither_a_scrape_nor_the_first_reading(log: Log, tmp_path: Path) -> None:
    log.execute("INSERT INTO ai_model_routes (operation_id, operation_name, primary_model) VALUES ('a', 'A', 'one')")
    settings: dict[str, Any] = {
        "scrape": {"timeout": 2, "timeout_offset": 0.5},
        "worker": {"pause": 0.05, "statement_budget": 0.05},
    }
    with psycopg.connect(log.url) as other:
        other.execute("LOCK TABLE ai_model_routes IN ACCESS EXCLUSIVE MODE")
        with running(log.url, tmp_path, **settings) as exporter:
            exporter.wait_ready()
            log.insert(2, operation="a", model="one")
            scraped, seconds = timed(exporter, 5)
            assert seconds < 5
            assert scraped.up == 1
            assert scraped.collectors == {
                "log": 1,
                "budgets": 1,
                "routes": 0,
                "recommendations": 1,
                "approvals": 1,
                "user_names": 1,
            }
            assert not scraped.has("ai_model_route_info")
            assert_shows_what_sql_says(scraped, log)
            other.rollback()
            assert exporter.scrape().collectors["routes"] == 1
            # the routes that were read last stay in force
            other.execute("LOCK TABLE ai_model_routes IN ACCESS EXCLUSIVE MODE")
            before = exporter.scrape()
            log.insert(0, operation="a", model="two")
            scraped = exporter.scrape()
            assert scraped.collectors["routes"] == 0
            fallbacks = [one.total("ai_operation_fallbacks_total", operation="a") for one in (before, scraped)]
            assert fallbacks[1] == fallbacks[0] + 1


def test_a_slow_table_is_read_in_pieces(log: Log, tmp_path: Path) -> None:
    begun = datetime.now(UTC) - timedelta(hours=5)
    with log.together():
        for second in range(0, 900, 4):
            log.insert(at=begun + timedelta(seconds=second), cost="0.000101")
    # each row costs 5 ms, so that a quarter takes longer than a statement may, and a minute does not
    log.execute(
        "CREATE VIEW slow AS SELECT l.* FROM ai_operation_log l"
        " WHERE (SELECT count(*) FROM pg_sleep(0.005) WHERE l.id IS NOT NULL) = 1"
    )
    since = datetime.now(UTC) - timedelta(hours=6)
    worker = {"pause": 0.05, "statement_budget": 0.05}
    with running(log.url, tmp_path, since, tables={"log": "slow"}, worker=worker) as exporter:
        exporter.wait_ready()
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_connections_that_are_cut_during_the_first_reading(log: Log, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    fill(log.connection, log.layout, history(log.layout, 1, now, Random(8), per_day=1_700))
    with running(log.url, tmp_path, history_start(1, now)) as exporter:
        for _ in range(5):
            exporter.scrape()
            log.execute(
                "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert_shows_what_sql_says(exporter.wait_up(), log)


def test_a_column_that_is_renamed_while_it_runs(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(2)
        before = exporter.scrape()
        log.execute("ALTER TABLE ai_operation_log RENAME cost_usd TO price")
        scraped = exporter.scrape()
        assert scraped.up == 0
        assert scraped.counters == before.counters
        assert said(caplog, "log:", "no column cost_usd", "price", "columns.log.cost")
        log.execute("ALTER TABLE ai_operation_log RENAME price TO cost_usd")
        log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric, ADD another text")
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)
        # the same table made anew: what it held is gone, what was counted stays
        log.execute("CREATE TABLE made_anew (LIKE ai_operation_log INCLUDING ALL)")
        log.execute("DROP TABLE ai_operation_log")
        log.execute("ALTER TABLE made_anew RENAME TO ai_operation_log")
        log.insert(0, cost="0.5")
        assert exporter.scrape().money == log.money() == 500_000


def test_a_server_that_accepts_and_says_nothing(log: Log, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        url = f"postgresql://someone:a-secret@127.0.0.1:{port}/there"
        with running(url, tmp_path, database={"url": url, "connect_timeout": 2}) as exporter:
            scraped, seconds = timed(exporter, 3.5)
            assert scraped.up == 0
            assert set(scraped.collectors.values()) == {0}
            assert seconds < 4


def test_another_database_is_refused_by_name(
    log: Log, embedded_postgres: EmbeddedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        before = exporter.scrape()
    other = embedded_postgres.create_database()
    try:
        with Log(other, "status") as second, running(other, tmp_path, after=exporter) as again:
            second.insert(1, cost="99")
            for _ in range(3):
                scraped = again.scrape()
                assert scraped.up == 0
                assert scraped.collectors["log"] == 0
                assert scraped.counters == before.counters
                assert not scraped.has("ai_spend_today_usd")
            names = log.connection.info.dbname, second.connection.info.dbname
            assert said(caplog, "log:", "kept for", *names, "state adopt", "--state-dir")
    finally:
        embedded_postgres.drop_database(other)
    with running(log.url, tmp_path, after=exporter) as back:
        assert_shows_what_sql_says(back.wait_up(), log)


def test_another_table_of_the_database_is_refused_by_name(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        before = exporter.scrape()
    log.execute("CREATE TABLE copy (LIKE ai_operation_log INCLUDING ALL)")
    with running(log.url, tmp_path, after=exporter, tables={"log": "copy"}) as again:
        for _ in range(5):
            scraped = again.scrape()
            assert scraped.up == 0
            assert scraped.counters == before.counters
        wait_for(lambda: bool(said(caplog, "kept for", "ai_operation_log", "copy")), lambda: caplog.text)
        assert again.scrape().up == 0
    with running(log.url, tmp_path, after=exporter) as back:
        assert_shows_what_sql_says(back.wait_up(), log)
