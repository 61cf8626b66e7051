"""Rows that arrive late, change, end or vanish: one scrape later the figures say so, and no counter falls."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from exporter.demo.profiles import USERS
from tests.support.harness import (
    Log,
    Running,
    assert_shows_what_sql_says,
    assert_spend_is_what_sql_says,
    running,
    wait_for,
)
from tests.support.scraped import Scraped, counted, summed
from tests.support.servers import PostgresServer

SERIES = ("email-compose", "deepseek-v3.2")


@pytest.fixture(params=[("docker", "success"), ("embedded", "status")], ids=lambda both: "-".join(both))
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    kind, layout = request.param
    server: PostgresServer = request.getfixturevalue(f"{kind}_postgres")
    url = server.create_database()
    with Log(url, layout) as log:
        yield log
    server.drop_database(url)


@pytest.fixture
def status_log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "status") as log:
        yield log


@pytest.fixture
def started(log: Log, tmp_path: Path) -> Iterator[Running]:
    with running(log.url, tmp_path) as exporter:
        yield exporter.wait_ready()


def test_rows_dated_up_to_three_minutes_ago_count_at_once(log: Log, started: Running) -> None:
    for ago in (0, 1, 59, 61, 119, 150, 178):
        log.insert(ago, cost="0.001003")
        assert_shows_what_sql_says(started.scrape(), log)
    log.insert(5, cost=None, input_tokens=None, output_tokens=None, latency_ms=None)
    log.insert(6, outcome="failed", message="429 Too Many Requests")
    log.insert(7, outcome="timeout", message="ReadTimeout: the read operation timed out")
    scraped = started.scrape()
    assert_shows_what_sql_says(scraped, log)
    labels = {"operation": "email-compose", "model": "deepseek-v3.2"}
    assert scraped.one("ai_operation_failures_total", error_class="rate_limit", **labels) == 1
    assert scraped.one("ai_operation_failures_total", error_class="timeout", **labels) == 1
    assert scraped.one("ai_operation_latency_seconds_count", **labels) == 9
    assert scraped.one("ai_operation_latency_seconds_sum", **labels) == pytest.approx(9 * 1.2)


def test_costs_that_are_filled_in_raised_or_lowered(log: Log, started: Running) -> None:
    row = log.insert(2, cost=None)
    assert started.scrape().money == 0
    for cost, counter in (("0.5", 500_000), ("0.75", 750_000), ("0.25", 750_000), ("0.5", 750_000), ("1", 1_000_000)):
        log.execute("UPDATE ai_operation_log SET cost_usd = %s WHERE id = %s", cost, row)
        scraped = started.scrape()
        assert scraped.micro("ai_operation_cost_usd_total") == counter
        assert scraped.money == log.money()
        assert_spend_is_what_sql_says(scraped, log)
    assert counted(scraped)[SERIES].calls == 1


def test_deleted_rows_become_corrections_and_leave_the_spend(log: Log, started: Running) -> None:
    rows = [log.insert(ago, cost=f"0.{ago:06}", user=None) for ago in range(1, 100, 9)]
    before = started.scrape()
    assert_shows_what_sql_says(before, log)
    log.execute("DELETE FROM ai_operation_log WHERE id = ANY(%s)", rows[::2])
    after = started.scrape()
    assert counted(after) == counted(before)
    assert after.money == log.money() < before.money
    assert_spend_is_what_sql_says(after, log)
    log.execute("DELETE FROM ai_operation_log")
    assert started.scrape().money == 0
    log.insert(1, cost="0.000001")
    scraped = started.scrape()
    assert scraped.money == log.money() == 1
    assert_spend_is_what_sql_says(scraped, log)


def test_a_row_that_moves_to_another_model_counts_once_for_each(log: Log, started: Running) -> None:
    log.insert(2, cost="0.3")
    started.scrape()
    log.execute("UPDATE ai_operation_log SET model_used = 'claude-opus-4.5'")
    scraped = started.scrape()
    assert scraped.money == log.money() == 300_000
    assert scraped.micro("ai_operation_cost_usd_total", model="claude-opus-4.5") == 300_000
    assert scraped.micro("ai_operation_cost_corrections_usd", model="deepseek-v3.2") == 300_000
    assert_spend_is_what_sql_says(scraped, log)


def test_a_transaction_counts_when_it_commits_and_not_when_it_is_rolled_back(log: Log, started: Running) -> None:
    with psycopg.connect(log.url) as writer:
        log.insert(30, cost="0.1", connection=writer)
        log.insert(31, cost="0.2", connection=writer)
        assert started.scrape().money == 0
        writer.commit()
        assert_shows_what_sql_says(started.scrape(), log)
        log.insert(32, cost="0.4", connection=writer)
        started.scrape()
        writer.rollback()
    scraped = started.scrape()
    assert_shows_what_sql_says(scraped, log)
    assert scraped.money == 300_000


def test_a_row_dated_ahead_counts_when_it_is_due(log: Log, started: Running) -> None:
    log.insert(at=datetime.now(UTC) + timedelta(seconds=3), cost="0.7")
    log.insert(at=datetime.now(UTC) + timedelta(days=400), cost="0.9")
    early = started.scrape()
    assert early.up == 1
    assert early.money == 0
    assert early.total("ai_spend_today_usd") == 0
    wait_for(lambda: started.scrape().money == 700_000, lambda: str(started.last.money), 10)
    scraped = started.scrape()
    assert counted(scraped) == {SERIES: (1, 0, 700_000, 100, 10)}
    assert scraped.micro("ai_spend_today_usd") == 700_000


def test_users_are_shown_as_they_spend(log: Log, started: Running) -> None:
    if log.layout == "status":
        log.execute("INSERT INTO users (id, email) VALUES (%s, 'a'), (%s, 'b')", USERS[0], USERS[1])
    log.insert(1, user=USERS[0], cost="0.25")
    log.insert(2, user=USERS[0], cost="0.5")
    log.insert(3, user=USERS[1], cost="1")
    log.insert(4, cost="2")
    scraped = started.scrape()
    for user, spent in ((str(USERS[0]), 0.75), (str(USERS[1]), 1), ("unattributed", 2)):
        assert scraped.one("ai_user_spend_today_usd", user=user) == spent
    if log.layout == "status":
        log.execute("DELETE FROM users WHERE id = %s", USERS[0])
    else:
        log.execute("DELETE FROM ai_operation_log WHERE user_id = %s", USERS[0])
    gone = started.scrape()
    assert gone.one("ai_user_spend_today_usd", user=str(USERS[0])) == 0
    assert gone.money == log.money() == 3_000_000
    assert_spend_is_what_sql_says(gone, log)


def test_a_new_series_shows_its_zero_before_it_rises(embedded_database: str, tmp_path: Path) -> None:
    with Log(embedded_database, "success") as log, running(log.url, tmp_path, zero_hold=2) as exporter:
        exporter.wait_ready().scrape()
        log.insert(1, cost="0.5", outcome="failed", message="HTTP 503")
        first = exporter.scrape()
        labels = {"operation": "email-compose", "model": "deepseek-v3.2"}
        assert first.one("ai_operation_cost_usd_total", **labels) == 0
        assert len(first.having("ai_operation_failures_total", **labels)) == 8
        assert first.total("ai_operation_failures_total", **labels) == 0
        assert first.one("ai_spend_today_usd", **labels) == 0.5
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == 1, lambda: str(exporter.last))
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_calls_in_progress_count_when_they_end(status_log: Log, tmp_path: Path) -> None:
    log = status_log
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        waiting = [
            log.insert(ago, outcome="pending", cost=None, input_tokens=None, output_tokens=None, latency_ms=None)
            for ago in (100, 50, 1)
        ]
        scraped = exporter.scrape()
        assert scraped.one("ai_operations_in_progress", status="pending") == 3
        assert scraped.one("ai_operations_in_progress", status="running") == 0
        oldest = scraped.one("ai_oldest_in_progress_timestamp_seconds", status="pending")
        assert time.time() - oldest == pytest.approx(100, abs=5)
        assert counted(scraped) == {}
        log.execute("UPDATE ai_operation_log SET status = 'running' WHERE id = %s", waiting[0])
        scraped = exporter.scrape()
        assert scraped.one("ai_operations_in_progress", status="running") == 1
        assert counted(scraped) == {}
        ends = (
            "UPDATE ai_operation_log SET status = %s, cost_usd = %s, latency_ms = 900, input_tokens = 7 WHERE id = %s"
        )
        for number, (row, status) in enumerate(zip(waiting, ("success", "failed", "timeout"), strict=True), 1):
            log.execute(ends, status, f"0.{number}", row)
            scraped = exporter.scrape()
            assert_shows_what_sql_says(scraped, log)
            assert counted(scraped)[SERIES].calls == number
        assert scraped.total("ai_operations_in_progress") == 0
        assert counted(scraped)[SERIES].failures == 2


def test_a_cost_that_a_running_call_already_has_counts_before_the_call(status_log: Log, tmp_path: Path) -> None:
    with running(status_log.url, tmp_path) as exporter:
        exporter.wait_ready()
        status_log.insert(3, outcome="running", cost="0.125", latency_ms=None)
        scraped = exporter.scrape()
        assert counted(scraped) == {SERIES: (0, 0, 125_000, 100, 10)}
        assert_shows_what_sql_says(scraped, status_log)


def test_a_call_that_runs_longer_than_the_window_counts_when_it_ends(status_log: Log, tmp_path: Path) -> None:
    log = status_log
    old = log.insert(2400, outcome="running", cost=None, input_tokens=None, output_tokens=None, latency_ms=None)
    with running(log.url, tmp_path) as exporter:
        scraped = exporter.wait_ready().scrape()
        assert scraped.one("ai_operations_in_progress", status="running") == 1
        log.execute(
            "UPDATE ai_operation_log SET status = 'success', cost_usd = 2.5, latency_ms = 999000,"
            " input_tokens = 1, output_tokens = 2 WHERE id = %s",
            old,
        )
        scraped = exporter.scrape()
        assert counted(scraped) == {SERIES: (1, 0, 2_500_000, 1, 2)}
        assert_spend_is_what_sql_says(scraped, log)
        assert scraped.total("ai_operations_in_progress") == 0


def test_scrapes_at_the_same_time_agree(log: Log, started: Running) -> None:
    for ago in range(20):
        log.insert(ago, cost="0.000003")
    found: list[Scraped] = []
    # a Running follows one scraper's counters, so each thread has its own
    scrapers = [Running(started.exporter, started.config, Scraped()) for _ in range(8)]
    threads = [threading.Thread(target=lambda s=s: found.append(s.scrape())) for s in scrapers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    for scraped in found:
        assert scraped.up == 1
        assert summed(counted(scraped)) == summed(log.sql_totals())
