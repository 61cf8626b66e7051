"""Forecasts of a running exporter: by the log's own history, and none without one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.demo.profiles import USERS
from tests.support.harness import Log, Running, fixed_layout, running, wait_for

layout = fixed_layout("success")
ANN, BOB = str(USERS[0]), str(USERS[1])


def forecast(exporter: Running, window: str, bound: str) -> float | None:
    return (
        exporter.scrape()
        .having("ai_spend_forecast_usd")
        .get(("ai_spend_forecast_usd", frozenset({("window", window), ("bound", bound)})))
    )


def fill(log: Log, days: int) -> None:
    """A dollar of ann and two of bob in each whole hour of so many days before today."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with log.together():
        for number in range(days * 24):
            at = midnight - timedelta(hours=number + 1) + timedelta(minutes=20)
            log.insert(at=at, cost="1", user=USERS[0])
            log.insert(at=at, cost="2", user=USERS[1])


def test_the_day_and_the_month_end_as_days_like_them_did(log: Log, tmp_path: Path) -> None:
    fill(log, 21)
    log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 1000000)", ANN)
    log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 0.5)", BOB)
    log.insert(ago=1, cost="1", user=USERS[0])
    log.insert(ago=1, cost="1", user=USERS[1])
    with running(log.url, tmp_path, daily_limit_usd="1.5", monthly_limit_usd="9999999") as exporter:
        exporter.wait_ready()
        wait_for(lambda: forecast(exporter, "month", "expected") is not None, lambda: str(exporter.exporter.status()))
        wait_for(
            lambda: bool(exporter.scrape().having("ai_user_spend_forecast_usd")),
            lambda: str(exporter.exporter.status()),
        )
        found = exporter.scrape()
    today, month = found.total("ai_spend_today_usd"), found.total("ai_spend_month_usd")
    for window, spent in (("day", today), ("month", month)):
        lower, expected, upper = (
            found.one("ai_spend_forecast_usd", window=window, bound=bound) for bound in ("lower", "expected", "upper")
        )
        assert spent <= lower <= expected <= upper
    # 72 dollars a day, less of it the later this test runs
    assert found.one("ai_spend_forecast_usd", window="day", bound="expected") <= today + 72 * 1.2
    assert found.one("ai_user_spend_forecast_usd", user=BOB) >= 1
    # above the limit already; never; above it already; never
    now = found.one("ai_exporter_last_success_timestamp_seconds")
    assert found.one("ai_spend_limit_reached_timestamp_seconds", window="day") == pytest.approx(now, abs=60)
    assert len(found.having("ai_spend_limit_reached_timestamp_seconds")) == 1
    assert found.one("ai_user_limit_reached_timestamp_seconds", user=BOB) == pytest.approx(now, abs=60)
    assert len(found.having("ai_user_limit_reached_timestamp_seconds")) == 1


@pytest.mark.parametrize("why", ["three days", "no weeks"])
def test_without_a_history_nothing_is_forecast(log: Log, tmp_path: Path, why: str) -> None:
    fill(log, 3 if why == "three days" else 8)
    log.insert(ago=1, user=USERS[0])
    with running(log.url, tmp_path, history_weeks=8 if why == "three days" else 0, daily_limit_usd="1") as exporter:
        exporter.wait_ready().wait_up()
        history = exporter.exporter.hourly
        wait_for(lambda: not history.due, lambda: str(exporter.exporter.status()))
        found = exporter.scrape()
    for name in ("ai_spend_forecast_usd", "ai_spend_limit_reached_timestamp_seconds", "ai_user_spend_forecast_usd"):
        assert not found.having(name)
