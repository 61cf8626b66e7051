"""Days, gaps and late rows, seen on a database whose clock is set: what is exposed is still the plain sum."""

import time
from pathlib import Path
from random import Random

import psycopg
import pytest

from exporter.demo.history import history, history_start
from exporter.demo.profiles import USERS
from exporter.demo.rows import fill
from tests.support.clock import START, Clock
from tests.support.harness import (
    Log,
    Running,
    assert_shows_what_sql_says,
    assert_spend_is_what_sql_says,
    running,
    wait_for,
)
from tests.support.scraped import Scraped, counted

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def settle(exporter: Running) -> Scraped:
    """The figures once the background has nothing left to do."""
    exporter.wait_ready()
    read, since, quiet = -1.0, time.monotonic(), 0
    while quiet < 3:
        scraped = exporter.scrape()
        now = scraped.one("ai_exporter_rows_read_total") + scraped.one("ai_exporter_late_rows_total")
        quiet = quiet + 1 if now == read else 0
        read = now
        time.sleep(0.1)
        assert time.monotonic() - since < 30
        if quiet < 3 and time.monotonic() - since > 3:
            break
    return exporter.wait_up()


@pytest.mark.parametrize("gap", [4 * MINUTE, 6 * MINUTE, 50 * MINUTE, 5 * HOUR, 3 * DAY])
def test_a_gap_without_scrapes_is_caught_up_exactly(log: Log, clock: Clock, tmp_path: Path, gap: float) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), cost="0.000001")
        before = exporter.scrape()
        assert_shows_what_sql_says(before, log)
    clock.advance(gap)
    for part in range(20):
        log.insert(at=clock.ago(gap * part / 20 + 0.5), cost="0.001001", operation=f"operation-{part % 3}")
    with running(log.url, tmp_path, after=exporter, host=clock.host) as again:
        scraped = again.wait_up()
        assert_shows_what_sql_says(scraped, log)
        assert again.wait_ready().scrape().one("ai_exporter_backfill_progress_ratio") == 1


def test_a_long_gap_is_not_called_current(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, worker={"pause": 30}, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), cost="0.5")
        before = exporter.scrape()
        # the background reader rests for half a minute from here on
        time.sleep(0.2)
        clock.advance(HOUR)
        log.insert(at=clock.ago(1800), cost="0.25")
        scraped = exporter.scrape()
        assert scraped.up == 0
        assert scraped.counters == before.counters
        assert not scraped.has("ai_spend_today_usd")


def test_rows_that_come_late_are_found_by_the_re_reads(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        for age in (10 * MINUTE, 70 * MINUTE, 5 * HOUR, 13 * HOUR, 30 * HOUR, 46 * HOUR):
            log.insert(at=clock.ago(age), cost="0.000001")
        # each is counted by the end of the horizon at the latest
        for step in (20 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, 8 * HOUR):
            done = 0.0
            while done < step:
                clock.advance(min(4 * MINUTE, step) if step <= HOUR else step)
                done += min(4 * MINUTE, step) if step <= HOUR else step
                exporter.wait_up()
        wait_for(lambda: exporter.scrape().money == 6, lambda: f"{exporter.last.money} of 6", 20)
        assert exporter.scrape().one("ai_exporter_late_rows_total") == 6
        assert counted(exporter.scrape()) == log.sql_totals()


def test_a_transaction_of_an_hour_counts_after_the_merge(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter, psycopg.connect(log.url) as writer:
        exporter.wait_ready()
        log.insert(at=clock.ago(1), cost="0.5", connection=writer)
        for _ in range(16):
            clock.advance(4 * MINUTE)
            exporter.wait_up()
        assert exporter.scrape().money == 0
        writer.commit()
        clock.advance(HOUR)
        exporter.wait_up()
        wait_for(lambda: exporter.scrape().money == 500_000, lambda: "not found")
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_rows_deleted_inside_and_beyond_the_horizon(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        old = log.insert(at=clock.ago(2), cost="0.5")
        exporter.scrape()
        clock.advance(3 * DAY)
        exporter.wait_up()
        young = log.insert(at=clock.ago(2), cost="0.25")
        before = settle(exporter)
        assert before.money == 750_000
        log.execute("DELETE FROM ai_operation_log WHERE id = %s", old)
        clock.advance(2 * HOUR)
        after = exporter.wait_up()
        # retention deletes what has been counted for good
        assert after.money == 750_000
        log.execute("DELETE FROM ai_operation_log WHERE id = %s", young)
        clock.advance(3 * HOUR)
        exporter.wait_up()
        wait_for(lambda: exporter.scrape().money == 500_000, lambda: str(exporter.last.money))
        assert exporter.last.micro("ai_operation_cost_usd_total") == 750_000
        assert exporter.last.micro("ai_operation_cost_corrections_usd") == 250_000


def test_a_clock_that_is_set_back(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        for step in (0.0, 4 * MINUTE, 4 * MINUTE, -10 * MINUTE, 30.0, -HOUR, MINUTE, 4 * MINUTE, 56 * MINUTE):
            clock.advance(step)
            log.insert(at=clock.ago(1), cost="0.000001")
            scraped = exporter.wait_up()
            assert_spend_is_what_sql_says(scraped, log)
            assert scraped.money == log.money()
            assert counted(scraped) == log.sql_totals()


def test_calls_that_never_end_are_shown_and_hold_nothing_up(embedded_database: str, tmp_path: Path) -> None:
    with Log(embedded_database, "status") as log:
        clock = Clock(log)
        clock.set(START)
        with running(log.url, tmp_path, host=clock.host) as exporter:
            exporter.wait_ready()
            never = log.insert(at=clock.ago(5), outcome="running", cost=None, latency_ms=None)
            for _ in range(20):
                clock.advance(4 * MINUTE)
                log.insert(at=clock.ago(1), cost="0.000001")
                scraped = exporter.wait_up()
                assert scraped.one("ai_operations_in_progress", status="running") == 1
            assert scraped.money == 20
            assert clock.now().timestamp() - scraped.one(
                "ai_oldest_in_progress_timestamp_seconds", status="running"
            ) == pytest.approx(80 * MINUTE, abs=60)
            log.execute("UPDATE ai_operation_log SET status = 'timeout', cost_usd = 0.5 WHERE id = %s", never)
            clock.advance(3 * HOUR)
            exporter.wait_up()
            wait_for(lambda: exporter.scrape().money == 500_020, lambda: str(exporter.last.money))
            assert exporter.scrape().total("ai_operations_in_progress") == 0


def test_unpriced_calls_count_when_costs_have_had_their_time(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, models={"free": ["free-model"]}, host=clock.host) as exporter:
        exporter.wait_ready()
        priced_later = log.insert(at=clock.ago(2), cost=None)
        log.insert(at=clock.ago(2), cost=None)
        log.insert(at=clock.ago(2), cost="0")
        log.insert(at=clock.ago(2), cost=None, input_tokens=None, output_tokens=None)
        log.insert(at=clock.ago(2), cost=None, model="free-model")
        assert exporter.scrape().total("ai_operations_unpriced_total") == 0
        log.execute("UPDATE ai_operation_log SET cost_usd = 0.5 WHERE id = %s", priced_later)
        exporter.scrape()
        for _ in range(6):
            clock.advance(4 * MINUTE)
            exporter.wait_up()
        wait_for(lambda: exporter.scrape().total("ai_operations_unpriced_total") == 2, lambda: "not counted")


def test_a_user_stays_shown_to_the_end_of_the_next_day(log: Log, clock: Clock, tmp_path: Path) -> None:
    user = str(USERS[0])
    if log.layout == "status":
        log.execute("INSERT INTO users (id, email) VALUES (%s, 'a')", USERS[0])
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), user=USERS[0], cost="0.5")
        assert exporter.scrape().one("ai_user_spend_today_usd", user=user) == 0.5
        clock.advance(DAY)
        assert exporter.wait_up().one("ai_user_spend_today_usd", user=user) == 0
        clock.advance(DAY)
        exporter.wait_up()
        assert not exporter.scrape().having("ai_user_spend_today_usd", user=user)


def test_a_month_of_history_with_restarts_and_gaps(log: Log, clock: Clock, tmp_path: Path) -> None:
    now = clock.now()
    fill(log.connection, log.layout, history(log.layout, 4, now, Random(11), per_day=1_700))
    previous: Running | None = None
    since = history_start(4, now)
    for gap in (0.0, HOUR, 2 * DAY, 20 * MINUTE):
        clock.advance(gap)
        log.insert(at=clock.ago(gap / 2), cost="0.111111")
        with running(log.url, tmp_path, since, after=previous, host=clock.host) as exporter:
            exporter.wait_ready()
            log.insert(at=clock.ago(1), cost="0.222222")
            assert_shows_what_sql_says(exporter.wait_up(), log)
            previous = exporter
