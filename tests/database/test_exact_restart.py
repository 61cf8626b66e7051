"""A restart, with whatever happened while the exporter was down, loses nothing and counts nothing twice."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from exporter.config import UPPER_BOUNDS
from exporter.demo.history import history, history_start
from exporter.demo.rows import fill
from tests.support.harness import (
    Log,
    Running,
    assert_shows_what_sql_says,
    assert_spend_is_what_sql_says,
    running,
    wait_for,
)
from tests.support.scraped import Scraped, counted, said, spend, summed

pytestmark = pytest.mark.slow

SERIES = ("email-compose", "deepseek-v3.2")
DAYS = 1
# a regular expression to Python, and none to PostgreSQL, which finds out at the first message
BAD_PATTERN = [{"class": "provider", "patterns": ["x{300}"]}]


@pytest.fixture
def full_log(log: Log) -> Log:
    fill(log.connection, log.layout, history(log.layout, DAYS, datetime.now(UTC), Random(5), per_day=1_700))
    return log


@pytest.fixture
def since() -> datetime:
    return history_start(DAYS, datetime.now(UTC))


def test_rows_written_changed_and_deleted_while_it_was_down(full_log: Log, since: datetime, tmp_path: Path) -> None:
    with running(full_log.url, tmp_path, since) as exporter:
        before = exporter.wait_ready().scrape()
        assert_shows_what_sql_says(before, full_log)
    for ago in (0, 20, 90, 170):
        full_log.insert(ago, cost="0.050505", operation="written-while-down")
    with running(full_log.url, tmp_path, since, after=exporter) as again:
        scraped = again.wait_up()
        assert_shows_what_sql_says(scraped, full_log)
        full_log.execute("DELETE FROM ai_operation_log WHERE operation_id = 'written-while-down'")
        full_log.insert(1, cost="0.25")
    with running(full_log.url, tmp_path, since, after=again) as third:
        scraped = third.wait_up()
        assert scraped.money == full_log.money()
        assert spend(scraped, "today") == full_log.spent(scraped, "day")


def test_many_restarts_count_each_row_once(log: Log, tmp_path: Path) -> None:
    previous: Running | None = None
    for number in range(1, 6):
        with running(log.url, tmp_path, after=previous) as exporter:
            exporter.wait_ready()
            log.insert(2, cost="0.000001")
            assert exporter.scrape().money == 2 * number - 1
        log.insert(1, cost="0.000001")
        previous = exporter
    with running(log.url, tmp_path, after=previous) as exporter:
        assert_shows_what_sql_says(exporter.wait_up(), log)
        assert exporter.scrape().money == 10


def test_it_may_end_at_any_moment_of_the_first_reading(full_log: Log, since: datetime, tmp_path: Path) -> None:
    for moment in (0.05, 0.2, 0.5):
        with running(full_log.url, tmp_path, since) as exporter:
            _wait_for_progress(exporter, moment)
    with running(full_log.url, tmp_path, since) as exporter:
        assert_shows_what_sql_says(exporter.wait_ready().scrape(), full_log)


def _wait_for_progress(exporter: Running, ratio: float) -> None:
    name = "ai_exporter_backfill_progress_ratio"
    wait_for(lambda: exporter.scrape().one(name) >= ratio, lambda: "no progress")


def test_counters_appear_only_when_the_history_is_whole(full_log: Log, since: datetime, tmp_path: Path) -> None:
    with running(full_log.url, tmp_path, since) as exporter:
        seen: list[Scraped] = []

        def is_up() -> bool:
            seen.append(exporter.scrape())
            return seen[-1].up == 1

        wait_for(is_up, lambda: "not up")
        for scraped in seen[:-1]:
            # the background may finish between the read of a scrape and its answer: then they are whole already
            assert not scraped.has("ai_operation_cost_usd_total") or scraped.money == seen[-1].money
            # the day is shown as soon as all of it is read, and so is the month
            for window, calendar in (("today", "day"), ("month", "month")):
                if scraped.has(f"ai_spend_{window}_usd"):
                    assert spend(scraped, window) == full_log.spent(scraped, calendar)
        assert_shows_what_sql_says(seen[-1], full_log)


# -- a restart with another configuration


def test_other_error_patterns_move_no_counter_and_classify_what_comes(log: Log, tmp_path: Path) -> None:
    labels = {"operation": SERIES[0], "model": SERIES[1]}
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for ago in range(5):
            log.insert(ago, outcome="failed", message="the gizmo is jammed")
        before = exporter.scrape()
        assert before.one("ai_operation_failures_total", error_class="other", **labels) == 5
    log.insert(1, outcome="failed", message="the gizmo is jammed again")
    log.insert(1, outcome="failed", message="the gizmo is jammed again")
    patterns = [{"class": "provider", "patterns": ["gizmo"]}]
    with running(log.url, tmp_path, after=exporter, error_classes=patterns) as again:
        scraped = again.wait_in_force()
        assert summed(counted(scraped)) == summed(log.sql_totals())
        log.insert(1, outcome="failed", message="gizmo")
        scraped = again.scrape()
        assert scraped.one("ai_operation_failures_total", error_class="other", **labels) == 7
        assert scraped.one("ai_operation_failures_total", error_class="provider", **labels) == 1
        assert summed(counted(scraped)) == summed(log.sql_totals())


def test_a_new_alias_moves_no_counter_but_the_spend(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(2, model="deepseek", cost="0.5")
        before = exporter.scrape()
        assert before.micro("ai_operation_cost_usd_total", model="deepseek") == 500_000
    log.insert(1, model="deepseek", cost="0.25")
    aliases = {"aliases": {"deepseek": "deepseek-v3.2"}}
    with running(log.url, tmp_path, after=exporter, models=aliases) as again:
        scraped = again.wait_in_force()
        # the row that came while it was down counts once, by the old name or by the new one
        assert scraped.micro("ai_operation_cost_usd_total") == 750_000
        assert scraped.money == log.money()
        assert spend(scraped, "today") == {SERIES: 750_000}
        log.insert(0, model="deepseek", cost="0.125")
        scraped = again.scrape()
        assert scraped.money == log.money() == 875_000
        assert spend(scraped, "today") == {SERIES: 875_000}
        assert scraped.micro("ai_operation_cost_usd_total", model="deepseek-v3.2") == 125_000


def test_another_bound_of_another_version_moves_no_counter_but_the_spend(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other_version:
        other_version.setattr("exporter.config.models.UPPER_BOUNDS", {**UPPER_BOUNDS, "cost": 1})
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            log.insert(2, cost="2.5")
            log.insert(2, cost="0.5")
            assert exporter.scrape().money == 500_000
    log.insert(1, cost="0.25")
    with running(log.url, tmp_path, after=exporter) as again:
        scraped = again.wait_in_force()
        # read by the old bound for the last time, and as known by the new one
        assert scraped.micro("ai_operation_cost_usd_total") == 750_000
        assert spend(scraped, "today") == {SERIES: 3_250_000}
        log.insert(0, cost="7.5")
        scraped = again.scrape()
        assert scraped.micro("ai_operation_cost_usd_total") == 8_250_000
        assert_spend_is_what_sql_says(scraped, log)


def test_another_budget_zone_cuts_the_days_anew(full_log: Log, since: datetime, tmp_path: Path) -> None:
    # one of the two has another day than UTC, whatever the hour
    zone = "Pacific/Kiritimati" if full_log.layout == "success" else "Pacific/Pago_Pago"
    with running(full_log.url, tmp_path, since) as exporter:
        before = exporter.wait_ready().scrape()
        assert_shows_what_sql_says(before, full_log)
    full_log.insert(1, cost="0.333333")
    with running(full_log.url, tmp_path, since, after=exporter, budget_time_zone=zone) as again:
        scraped = again.wait_in_force()
        assert_shows_what_sql_says(scraped, full_log)
        start = scraped.one("ai_spend_window_start_timestamp_seconds", window="day")
        assert datetime.fromtimestamp(start, ZoneInfo(zone)).strftime("%H:%M") == "00:00"
        full_log.insert(0, cost="0.111111")
        assert_shows_what_sql_says(again.scrape(), full_log)


def test_another_log_time_zone_moves_rows_and_no_counter(log: Log, tmp_path: Path) -> None:
    # written in Berlin's time; read as UTC they lie in the future
    berlin = ZoneInfo("Europe/Berlin")
    write = f"UPDATE ai_operation_log SET {log.time_column} = {log.time_column} + %s"
    offset = datetime.now(berlin).utcoffset()
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        row = log.insert(60, cost="0.5")
        log.execute(f"{write} WHERE id = %s", offset, row)
        assert exporter.scrape().money == 0
    with running(log.url, tmp_path, after=exporter, log_time_zone="Europe/Berlin") as again:
        scraped = again.wait_in_force()
        assert spend(scraped, "today") == {SERIES: 500_000}
        row = log.insert(10, cost="0.25")
        log.execute(f"{write} WHERE id = %s", offset, row)
        scraped = again.scrape()
        assert spend(scraped, "today") == {SERIES: 750_000}
        assert scraped.money in (250_000, 750_000)


def test_fewer_series_keep_their_sums(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, tables={"routes": None}) as exporter:
        exporter.wait_ready()
        for number in range(6):
            log.insert(number, operation=f"operation-{number}", cost="0.1")
        before = exporter.scrape()
        assert before.money == 600_000
    with running(log.url, tmp_path, after=exporter, tables={"routes": None}, max_series=2) as again:
        scraped = again.wait_in_force()
        assert scraped.money == 600_000
        assert scraped.micro("ai_spend_today_usd") == 600_000
        log.insert(0, operation="operation-new", cost="0.1")
        scraped = again.scrape()
        assert scraped.money == 700_000
        assert scraped.micro("ai_spend_today_usd", operation="other", model="other") == 100_000


def test_more_series_have_room_for_what_was_folded(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, tables={"routes": None}, max_series=2) as exporter:
        exporter.wait_ready()
        for number in range(6):
            log.insert(number, operation=f"operation-{number}", cost="0.1")
        before = exporter.scrape()
        assert before.micro("ai_operation_cost_usd_total", operation="other") == 400_000
        # which two have a place depends on the minute that each call lies in
        placed = before.labels("ai_operation_cost_usd_total", "operation")
        compacted = next(name for number in range(6) if (name := f"operation-{number}") not in placed)
    log.insert(1, operation="operation-while-down", cost="0.1")
    with running(log.url, tmp_path, after=exporter, tables={"routes": None}, max_series=50) as again:
        scraped = again.wait_in_force()
        # what was counted stays under other; the spend has its own names
        assert scraped.micro("ai_operation_cost_usd_total", operation="other") == 500_000
        assert scraped.money == log.money() == 700_000
        assert spend(scraped, "today") == log.spent(scraped, "day")
        log.insert(0, operation="operation-new", cost="0.1")
        log.insert(0, operation=compacted, cost="0.1")
        scraped = again.scrape()
        assert scraped.micro("ai_operation_cost_usd_total", operation="operation-new") == 100_000
        assert scraped.micro("ai_operation_cost_usd_total", operation=compacted) == 100_000
        assert scraped.money == log.money() == 900_000
        assert_spend_is_what_sql_says(scraped, log)


def test_a_first_configuration_that_is_fixed_before_anything_was_read(log: Log, tmp_path: Path) -> None:
    log.insert(3600, cost="0.5", outcome="failed", message="broken")
    with running(log.url, tmp_path, error_classes=BAD_PATTERN) as exporter:
        # the state is begun for this table, and no row can be read
        wait_for(lambda: exporter.exporter.ledger.durable is not None, lambda: "not begun")
        assert exporter.scrape().up == 0
        assert not exporter.ready
    with running(log.url, tmp_path, after=exporter) as again:
        # the settings that cannot read it are not asked to do so for the last time
        scraped = again.wait_ready().scrape()
        assert_spend_is_what_sql_says(scraped, log)
        log.insert(1, cost="0.25")
        assert again.scrape().money == 250_000


def test_settings_that_began_to_fail_can_be_fixed(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(log.url, tmp_path, error_classes=BAD_PATTERN) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        assert exporter.scrape().money == 500_000
        # the first message that the pattern is held against
        log.insert(0, cost="0.25", outcome="failed", message="broken")
        assert exporter.scrape().up == 0
    with running(log.url, tmp_path, after=exporter) as again:
        scraped = again.wait_in_force()
        assert said(caplog, "cannot be read by the settings that were in force", "regular expression")
        assert_spend_is_what_sql_says(scraped, log)
        before = scraped.money
        log.insert(0, cost="0.125", outcome="failed", message="timed out")
        scraped = again.scrape()
        assert scraped.money == before + 125_000
        assert_spend_is_what_sql_says(scraped, log)


@pytest.mark.parametrize("most", [1, 3])
def test_series_beyond_the_most_are_folded_with_their_sums(
    full_log: Log, since: datetime, tmp_path: Path, most: int
) -> None:
    with running(full_log.url, tmp_path, since, max_series=most, tables={"routes": None}) as exporter:
        scraped = exporter.wait_ready().scrape()
        assert summed(counted(scraped)) == summed(full_log.sql_totals())
        assert len(scraped.having("ai_operations_total")) == most + 1
        assert scraped.micro("ai_spend_month_usd") == sum(full_log.spent(scraped, "month").values())
        assert scraped.total("ai_exporter_series_folded_total") > 0
