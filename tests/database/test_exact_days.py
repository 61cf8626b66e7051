"""Midnights, months and changes of the clocks, in any zone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.clock import Clock
from tests.support.harness import Log, assert_shows_what_sql_says, fixed_layout, running, wait_for
from tests.support.scraped import counted, summed

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
layout = fixed_layout("success")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Los_Angeles"])
def test_midnight_and_the_month_s_end(log: Log, clock: Clock, tmp_path: Path, zone: str) -> None:
    midnight = datetime(2026, 7, 1, tzinfo=ZoneInfo(zone))
    clock.set(midnight - timedelta(seconds=130))
    with running(log.url, tmp_path, budget_time_zone=zone, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=midnight - timedelta(seconds=140), cost="0.5")
        before = exporter.scrape()
        assert_shows_what_sql_says(before, log)
        assert before.one("ai_spend_window_end_timestamp_seconds", window="day") == midnight.timestamp()
        assert before.one("ai_spend_window_end_timestamp_seconds", window="month") == midnight.timestamp()
        clock.set(midnight + timedelta(seconds=20))
        # a row of yesterday's that comes today
        log.insert(at=midnight - timedelta(microseconds=1), cost="0.25")
        log.insert(at=midnight, cost="0.125")
        after = exporter.scrape()
        assert_shows_what_sql_says(after, log)
        assert after.micro("ai_spend_today_usd") == after.micro("ai_spend_month_usd") == 125_000
        assert after.one("ai_spend_window_start_timestamp_seconds", window="day") == midnight.timestamp()
        assert after.money == 875_000
        assert after.one("ai_user_spend_today_usd", user="unattributed") == 0.125


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_days_on_which_the_clocks_change(log: Log, clock: Clock, tmp_path: Path, day: str, hours: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    clock.set(midnight + timedelta(hours=23, minutes=50))
    with log.together():
        for quarter in range(25 * 4):
            log.insert(at=midnight.astimezone(UTC) + timedelta(minutes=15 * quarter), cost="0.010101")
    since = midnight - timedelta(days=1)
    with running(log.url, tmp_path, since, budget_time_zone="Europe/Berlin", host=clock.host) as exporter:
        scraped = exporter.wait_ready().scrape()
        start, end = (
            scraped.one(f"ai_spend_window_{edge}_timestamp_seconds", window="day") for edge in ("start", "end")
        )
        assert end - start == hours * HOUR
        due = [row for row in range(25 * 4) if midnight.timestamp() + 900 * row <= clock.now().timestamp()]
        assert scraped.micro("ai_spend_today_usd") == 10_101 * len(due)


def test_a_log_written_in_local_time_through_the_hour_that_comes_twice(log: Log, clock: Clock, tmp_path: Path) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # 02:30 comes twice on this day; a time without zone is one of the two, and counts once
    clock.set(datetime(2026, 10, 25, 0, 20, tzinfo=UTC))
    with running(log.url, tmp_path, log_time_zone="Europe/Berlin", host=clock.host) as exporter:
        exporter.wait_ready()
        for _ in range(26):
            local = clock.ago(1).astimezone(berlin).replace(tzinfo=UTC)
            log.insert(at=local, cost="0.000001")
            exporter.wait_up()
            clock.advance(4 * MINUTE)
        clock.advance(3 * HOUR)
        exporter.wait_up()
        wait_for(lambda: exporter.scrape().money == 26, lambda: f"{exporter.last.money} of 26")
        assert summed(counted(exporter.scrape())).calls == 26
