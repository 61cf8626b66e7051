"""Optional tables that are locked, slow or huge: each costs only itself. They are read now and then."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.demo.profiles import USERS
from exporter.scrape.ledger_service import LedgerService
from tests.support.harness import Log, assert_shows_what_sql_says, running, wait_for
from tests.support.scraped import Scraped, said

pytestmark = pytest.mark.slow

TABLES = {
    "budgets": ("cost_budgets", "ai_budget_users"),
    "routes": ("ai_model_routes", "ai_model_route_info"),
    "recommendations": ("helix_recommendations", "ai_recommendations"),
    "approvals": ("approval_gates", "ai_approvals_pending"),
}
"""By collector: its table, and a metric of it."""

LONG = {"timeout": "60s"}
"""So much time that a table which took its share of it would be far beyond that of the scrapes below."""


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        log.execute("CREATE TABLE approval_gates (id int, status text)")
        log.execute("INSERT INTO approval_gates VALUES (1, 'pending')")
        log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 10)", USERS[0])
        log.execute(
            "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model) VALUES ('a', 'A', 'one')"
        )
        log.execute("INSERT INTO helix_recommendations (operation_id, recommendation_type) VALUES ('a', 'cheaper')")
        yield log


def assert_only_lacks(scraped: Scraped, collector: str) -> None:
    """One table could not be read: its figures are absent, and all others are there."""
    assert scraped.up == 1
    assert scraped.collectors == {"log": 1, "user_names": 1} | {name: float(name != collector) for name in TABLES}
    for name, (_, metric) in TABLES.items():
        assert scraped.has(metric) == (name != collector), metric


@pytest.mark.parametrize("collector", TABLES)
def test_a_locked_table_costs_only_itself_however_short_the_scrape(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, collector: str
) -> None:
    with running(log.url, tmp_path, scrape=LONG) as exporter:
        exporter.wait_ready()
        log.insert(2)
        with psycopg.connect(log.url) as other:
            other.execute(f"LOCK TABLE {TABLES[collector][0]} IN ACCESS EXCLUSIVE MODE")
            for _ in range(3):
                log.insert(1)
                scraped = exporter.scrape(5)
                assert_only_lacks(scraped, collector)
                assert_shows_what_sql_says(scraped, log)
        assert set(exporter.scrape().collectors.values()) == {1}
    lines = [record for record in caplog.records if record.getMessage().startswith(f"{collector}: a table is locked")]
    assert len(lines) == 1
    assert "55P03" in lines[0].getMessage()
    assert "pg_locks" in lines[0].getMessage()


@pytest.mark.parametrize("collector", TABLES)
def test_a_view_that_hangs_costs_only_itself(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, collector: str
) -> None:
    table = TABLES[collector][0]
    log.execute(f"CREATE VIEW lazy AS SELECT t.* FROM {table} AS t, (SELECT pg_sleep(600)) AS nap")
    with running(log.url, tmp_path, tables={collector: "lazy"}, scrape=LONG) as exporter:
        exporter.wait_ready()
        for _ in range(3):
            log.insert(1)
            scraped = exporter.scrape(4)
            assert_only_lacks(scraped, collector)
            assert_shows_what_sql_says(scraped, log)
        # the reason is told once the table has been given its whole time
        wait_for(lambda: bool(said(caplog, f"{collector}: not read within", "`check`")), lambda: caplog.text)
        log.execute(f"CREATE OR REPLACE VIEW lazy AS SELECT * FROM {table}")
        wait_for(lambda: exporter.scrape().collectors[collector] == 1, lambda: caplog.text)
        assert exporter.scrape().has(TABLES[collector][1])


def test_each_waiter_gets_the_log_in_its_own_time(log: Log, tmp_path: Path) -> None:
    log.execute("CREATE VIEW lazy AS SELECT t.* FROM cost_budgets AS t, (SELECT pg_sleep(600)) AS nap")
    with running(log.url, tmp_path, tables={"budgets": "lazy"}, scrape=LONG) as exporter:
        exporter.wait_ready()
        log.insert(1)
        seen: list[Scraped] = []
        threads = [
            threading.Thread(target=lambda timeout=timeout: seen.append(exporter.scrape(timeout)))
            for timeout in (2.0, 2.5, 3.0, 4.0, 9.0)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == len(threads)
        for scraped in seen:
            assert_shows_what_sql_says(scraped, log)
            assert scraped.collectors["budgets"] == 0


def test_a_locked_log_leaves_the_other_tables(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(log.url, tmp_path, scrape={"timeout": 2, "timeout_offset": 0.5}) as exporter:
        exporter.wait_ready()
        log.insert(1)
        before = exporter.scrape()
        with psycopg.connect(log.url) as other:
            other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
            for timeout in (1.5, 5.0):
                scraped = exporter.scrape(timeout)
                assert scraped.up == 0
                assert scraped.collectors == before.collectors | {"log": 0}
                assert scraped.counters == before.counters
                assert scraped.one("ai_approvals_pending") == 1
                assert scraped.one("ai_recommendations", type="cheaper", status="pending") == 1
                assert not scraped.has("ai_spend_today_usd")
                assert not scraped.has("ai_budget_users")
            assert said(caplog, "log:", "a table is locked", "55P03", "pg_locks")
        log.insert(0)
        assert_shows_what_sql_says(exporter.wait_up(), log)


def test_a_locked_log_is_told_as_one_by_the_background_reader(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(log.url) as other:
        other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
        with running(log.url, tmp_path, worker={"pause": 0.05, "statement_budget": 0.05}) as exporter:
            wait_for(lambda: bool(said(caplog, "background reader:", "a table is locked")), lambda: caplog.text)
            # a lock says nothing of how much can be read at once
            assert not said(caplog, "background reader:", "reading less")
            other.rollback()
            exporter.wait_ready()
            log.insert(1)
            assert_shows_what_sql_says(exporter.scrape(), log)


def test_the_log_is_free_while_an_optional_table_hangs(log: Log, tmp_path: Path) -> None:
    log.execute("CREATE VIEW lazy AS SELECT t.* FROM cost_budgets AS t, (SELECT pg_sleep(600)) AS nap")
    hanging = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'ai-operation-exporter-tables' AND state = 'active' AND query LIKE '%lazy%'"
    )
    with running(log.url, tmp_path, tables={"budgets": "lazy"}, worker={"pause": 30}) as exporter:
        exporter.wait_ready()
        log.insert(1)
        # it hangs for seconds, and the scrape has gone on without it
        wait_for(lambda: exporter.scrape(2).up == 1 and log.execute(hanging) == [(1,)], lambda: "nothing hangs")
        # what a migration needs: the log's table to itself
        with psycopg.connect(log.url) as other:
            other.execute("SET lock_timeout = '500ms'")
            other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")


def test_no_transaction_is_open_while_a_scrape_records(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[Any] = []
    record = LedgerService.record

    def watched(ledger: LedgerService, *arguments: Any) -> None:
        if threading.current_thread().name.startswith("scrape"):
            states.extend(
                log.execute(
                    "SELECT state FROM pg_stat_activity WHERE application_name = 'ai-operation-exporter'"
                    " AND datname = current_database()"
                )
            )
        record(ledger, *arguments)

    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        monkeypatch.setattr(LedgerService, "record", watched)
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)
    assert states == [("idle",)]


def test_optional_tables_are_read_now_and_then_and_shown_in_between(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, optional_interval="10m") as exporter:
        exporter.wait_ready()
        assert exporter.scrape().one("ai_approvals_pending") == 1
        log.execute("INSERT INTO approval_gates VALUES (2, 'pending')")
        with psycopg.connect(log.url) as other:
            # nobody asks for them: nobody notices
            other.execute("LOCK TABLE approval_gates, cost_budgets, helix_recommendations, ai_model_routes")
            for _ in range(3):
                log.insert(1)
                scraped = exporter.scrape()
                assert set(scraped.collectors.values()) == {1}
                assert scraped.one("ai_approvals_pending") == 1
                assert_shows_what_sql_says(scraped, log)


def test_a_change_shows_once_the_interval_is_over(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, optional_interval="1s") as exporter:
        exporter.wait_ready()
        log.insert(1, user=USERS[0])
        exporter.scrape()
        log.execute("UPDATE cost_budgets SET daily_limit_usd = 20")
        user = str(USERS[0])
        wait_for(
            lambda: exporter.scrape().one("ai_user_daily_limit_usd", user=user) == 20, lambda: "the limit is still 10"
        )


def test_a_table_that_fails_is_absent_at_once_and_not_for_its_interval(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, optional_interval="2s") as exporter:
        exporter.wait_ready()
        assert exporter.scrape().has("ai_approvals_pending")
        with psycopg.connect(log.url) as other:
            other.execute("LOCK TABLE approval_gates IN ACCESS EXCLUSIVE MODE")
            wait_for(lambda: not exporter.scrape().has("ai_approvals_pending"), lambda: "still shown")
            assert_only_lacks(exporter.scrape(), "approvals")
        # a lock costs the database nothing: it is tried again by the next scrape
        assert exporter.scrape().has("ai_approvals_pending")


def test_very_many_budgets_are_read_in_parts(log: Log, tmp_path: Path) -> None:
    log.execute(
        "INSERT INTO cost_budgets (user_id, daily_limit_usd)"
        " SELECT gen_random_uuid(), nullif(n % 3, 0) FROM generate_series(1, 12345) AS n"
    )
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, user=USERS[0], cost="11")
        scraped = exporter.scrape()
        assert scraped.one("ai_budget_users", state="exceeded") == 1
        assert scraped.one("ai_budget_users", state="ok") == 8230
        assert scraped.one("ai_budget_users", state="unlimited") == 4115
        assert scraped.one("ai_user_daily_limit_usd", user=str(USERS[0])) == 10


@pytest.mark.parametrize(("collector", "bound"), [("budgets", "MOST_BUDGETS"), ("routes", "MOST_ROUTES")])
def test_a_table_beyond_its_bound_is_not_read_and_that_is_said(
    log: Log,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    collector: str,
    bound: str,
) -> None:
    monkeypatch.setattr(f"exporter.database.{collector}.{bound}", 2)
    log.execute(
        "INSERT INTO cost_budgets (user_id, daily_limit_usd) SELECT gen_random_uuid(), 5 FROM generate_series(1, 2)"
    )
    log.execute(
        "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model)"
        " SELECT n, n, n FROM generate_series(1, 2) AS n"
    )
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        assert_only_lacks(exporter.scrape(), collector)
        assert said(caplog, f"{collector}:", TABLES[collector][0], "more than 2 rows")


def test_recommendations_are_counted_in_any_case_and_never_without_bound(log: Log, tmp_path: Path) -> None:
    log.execute("ALTER TABLE helix_recommendations DROP CONSTRAINT helix_recommendations_approval_status_check")
    log.execute(
        "INSERT INTO helix_recommendations (operation_id, recommendation_type, approval_status)"
        " SELECT 'o', kind, status FROM unnest(ARRAY['cheaper', 'CHEAPER', 'Cheaper']) AS kind,"
        " unnest(ARRAY['approved', 'APPROVED']) AS status"
    )
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        scraped = exporter.scrape()
        assert scraped.one("ai_recommendations", type="cheaper", status="approved") == 6
        assert scraped.one("ai_recommendations", type="cheaper", status="pending") == 1
        log.execute(
            "INSERT INTO helix_recommendations (operation_id, recommendation_type)"
            " SELECT 'o', 'kind-' || n FROM generate_series(1, 3000) AS n"
        )
        scraped = exporter.scrape()
        assert scraped.total("ai_recommendations") == 3007
        assert scraped.one("ai_recommendations", type="cheaper", status="approved") == 6
        assert len(scraped.having("ai_recommendations")) == 101
        assert scraped.one("ai_recommendations", type="other", status="other") > 2800


APPROVAL_TYPES = {
    "text": "text",
    "varchar": "varchar(20)",
    "char": "char(12)",
    "enum": 'gate."Odd %s {}"',
    "domain": "gate.word",
}


@pytest.mark.parametrize("kind", APPROVAL_TYPES)
def test_pending_approvals_are_counted_however_they_are_written(log: Log, tmp_path: Path, kind: str) -> None:
    words = ["pending", "PENDING", "Pending", "pEnDing", "approved", "REJECTED"]
    log.execute("CREATE SCHEMA gate")
    labels = ", ".join(f"'{word}'" for word in words)
    log.connection.execute(f'CREATE TYPE gate."Odd %s {{}}" AS ENUM ({labels})'.encode())
    log.execute("CREATE DOMAIN gate.word AS text")
    log.connection.execute(f"CREATE TABLE gates (status {APPROVAL_TYPES[kind]})".encode())
    log.connection.execute(
        f"INSERT INTO gates SELECT word::{APPROVAL_TYPES[kind]} FROM unnest(ARRAY[{labels}]) AS word".encode()
    )
    log.execute("INSERT INTO gates VALUES (NULL)")
    with running(log.url, tmp_path, tables={"approvals": "gates"}) as exporter:
        exporter.wait_ready()
        assert exporter.scrape().one("ai_approvals_pending") == 4
