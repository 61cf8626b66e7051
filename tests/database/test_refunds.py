"""Refunds: what costs below 0 give back is counted, and taken off whatever shows what was spent."""

import io
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.catalog import USD
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.one_session import one_session
from exporter.demo.profiles import USERS
from exporter.ledger.aggregate import money_units
from exporter.reconcile.log import logged
from exporter.reconcile.period import By, DayRange
from exporter.reports.recent import Wanted, run_operations
from exporter.verify.database import spent_since
from tests.support import ROOT
from tests.support.harness import Log, Running, assert_spend_is_what_sql_says, config_for, running, wait_for
from tests.support.scraped import Scraped, micro

ANN, BOB = USERS[:2]
COST, REFUNDS = "ai_operation_cost_usd_total", "ai_operation_refunds_usd_total"
CORRECTIONS = "ai_operation_cost_corrections_usd"
SKIPPED = "ai_rows_skipped_total"


@pytest.fixture(autouse=True)
def known_users(log: Log) -> None:
    if log.layout == "status":
        log.execute("INSERT INTO users VALUES (%s, 'ann'), (%s, 'bob')", ANN, BOB)


def amounts(scraped: Scraped) -> tuple[int, int, int]:
    return scraped.micro(COST), scraped.micro(REFUNDS), scraped.micro(CORRECTIONS)


def test_a_refund_is_counted_and_taken_off_the_spend(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        assert exporter.scrape().micro(REFUNDS) == 0
        log.insert(1, cost="0.5", user=ANN)
        log.insert(2, cost="-0.2", user=ANN)
        log.insert(3, cost="-1", user=BOB, outcome="failed")
        scraped = exporter.scrape()
        assert amounts(scraped) == (500_000, 1_200_000, 0)
        assert scraped.micro("ai_spend_today_usd") == log.money() == -700_000
        assert scraped.micro("ai_user_spend_today_usd", user=str(ANN)) == 300_000
        # who got back more than they spent is nobody to show
        assert scraped.micro("ai_user_spend_today_usd", user="other") == -1_000_000
        assert_spend_is_what_sql_says(scraped, log)
        assert scraped.total("ai_operations_total") == 3
        assert scraped.one(SKIPPED, field="cost", reason="negative") == 0
        # a refund is no price that is too low
        assert scraped.total("ai_operations_unpriced_total") == 0
    with running(log.url, tmp_path, after=exporter) as again:
        assert amounts(again.wait_ready().scrape()) == (500_000, 1_200_000, 0)


def test_no_counter_falls_whatever_becomes_of_refunds(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        row = log.insert(1, cost="0.5")
        gone = log.insert(1, cost="-0.3")
        assert amounts(exporter.scrape()) == (500_000, 300_000, 0)
        log.execute("UPDATE ai_operation_log SET cost_usd = -0.1 WHERE id = %s", row)
        assert amounts(exporter.scrape()) == (500_000, 400_000, 500_000)
        log.execute("DELETE FROM ai_operation_log WHERE id = %s", gone)
        scraped = exporter.scrape()
        # the refund that is gone gives its money back
        assert amounts(scraped) == (500_000, 400_000, 200_000)
        assert scraped.money == log.money() == -100_000
        log.execute("UPDATE ai_operation_log SET cost_usd = 0.75 WHERE id = %s", row)
        scraped = exporter.scrape()
        assert amounts(scraped) == (750_000, 400_000, -400_000)
        assert scraped.money == scraped.micro("ai_spend_today_usd") == log.money()


@pytest.mark.parametrize("kind", ["numeric", "double precision", "real", "numeric(14,6)", "integer"])
def test_amounts_below_0_are_exact_whatever_the_type(log: Log, tmp_path: Path, kind: str) -> None:
    whole = kind == "integer"
    log.execute(f"ALTER TABLE ai_operation_log ALTER cost_usd TYPE {kind}")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for cost in ("3", "-1", "-2", "0") if whole else ("0.25", "-0.000001", "-0.125", "0", "NULL"):
            row = log.insert(1)
            log.execute(f"UPDATE ai_operation_log SET cost_usd = {cost} WHERE id = %s", row)
        scraped = exporter.scrape()
        assert amounts(scraped) == ((3_000_000, 3_000_000, 0) if whole else (250_000, 125_001, 0))
        assert scraped.money == log.money()


def test_refunds_beyond_all_reason_are_not_used(log: Log, tmp_path: Path) -> None:
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for cost in ("-1000000", "-1000000.000001", "-1e30", "'NaN'"):
            row = log.insert(1)
            log.execute(f"UPDATE ai_operation_log SET cost_usd = {cost} WHERE id = %s", row)
        scraped = exporter.scrape()
        assert amounts(scraped) == (0, 10**12, 0)
        assert scraped.one(SKIPPED, field="cost", reason="too_large") == 2
        assert scraped.one(SKIPPED, field="cost", reason="nan") == 1
        assert scraped.one(SKIPPED, field="cost", reason="negative") == 0


def test_refunds_that_come_late_and_with_the_history_are_counted(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.scrape.lateness.INTERVAL", 0.02)
    monkeypatch.setattr("exporter.scrape.lateness.SHARE", 0.9)
    rng = Random(3)
    for number in range(200):
        log.insert(700 * number + 5, cost=str(rng.randrange(-(10**6), 10**6) / 10**6))
    with running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=2)) as exporter:
        exporter.wait_ready()
        scraped = exporter.scrape()
        assert scraped.money == log.money()
        assert scraped.micro(REFUNDS) == -micro(
            log.execute("SELECT sum(cost_usd) FROM ai_operation_log WHERE cost_usd < 0")[0][0]
        )
        assert_spend_is_what_sql_says(scraped, log)
        log.insert(3 * 3600, cost="-0.5")
        log.insert(3 * 3600 + 60, cost="-0.25")
        wait_for(lambda: exporter.scrape().money == log.money(), lambda: str(amounts(exporter.last)))
        assert_spend_is_what_sql_says(exporter.scrape(), log)
        assert exporter.last.micro(CORRECTIONS) == 0


def test_all_reports_say_what_plain_sql_says(log: Log, tmp_path: Path) -> None:
    for number in range(40):
        log.insert(20 * number, cost=str((number % 7 - 3) * 0.125), user=(ANN, BOB)[number % 2])
    config = config_for(log.url, tmp_path, {})
    total, now = log.money(), int(time.time())
    assert total < 0
    info = resolve_conninfo(config, {})
    out = io.StringIO()
    run_operations(config, {}, Wanted(limit=100), out, as_json=True)
    assert sum(micro(call["cost_usd"]) for call in json.loads(out.getvalue())) == total
    assert micro(spent_since(config, info, now - 86_400)) == total
    with one_session(config, info, "tests", 60) as session:
        rules = config.classification()
        table = session.log(rules)
        kinds: tuple[By, ...] = ("operation", "model", "user", "day")
        for by in kinds:
            found = logged(session, table, rules, by, DayRange(now - 86_400, now + 1, ZoneInfo("UTC")))
            assert sum(units for units, _ in found.values()) == money_units(1) * total // 10**6
    log.execute((ROOT / "deploy" / "sql" / "dashboards.sql").read_text())
    for view in ("operations", "spending"):
        assert micro(log.execute(f"SELECT sum(cost_usd) FROM ai_dashboards.{view}")[0][0]) == total


def before_refunds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count as the versions did that knew no refunds."""
    known = Config.classification

    def as_before(config: Config) -> Any:
        return known(config).model_copy(update={"refunds": False})

    monkeypatch.setattr(Config, "classification", as_before)


def test_a_state_of_before_takes_up_refunds_and_no_counter_moves(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.insert(120, cost="0.5", user=ANN)
    log.insert(130, cost="-0.2", user=ANN)
    with monkeypatch.context() as patched:
        before_refunds(patched)
        with running(log.url, tmp_path, datetime.now(UTC) - timedelta(hours=3)) as exporter:
            exporter.wait_ready()
            before = exporter.scrape()
            assert amounts(before) == (500_000, 0, 0)
            assert before.micro("ai_spend_today_usd") == 500_000
            assert before.one(SKIPPED, field="cost", reason="negative") == 1
    with running(log.url, tmp_path, after=exporter) as later:
        after = later.wait_in_force()
        assert amounts(after) == (500_000, 0, 0)
        assert_spend_is_what_sql_says(after, log)
        log.insert(1, cost="-0.125")
        assert later.scrape().micro(REFUNDS) == 125_000
        assert_spend_is_what_sql_says(later.scrape(), log)


def test_past_days_and_hours_of_before_are_read_again_with_refunds(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    log.insert(6 * 86_400, cost="0")  # the history begins with the hour after the first call's
    for cost in ("0.5", "-0.2"):
        log.insert(5 * 86_400, cost=cost, user=ANN)
    reset = (midnight + timedelta(days=1)).isoformat()
    budget = {"user": str(ANN), "limit_usd": 100, "period": "10d", "reset_at": reset}
    settings: dict[str, Any] = {"budgets": [budget], "tables": {"budgets": None}, "history_weeks": 2}

    def seen(exporter: Running) -> tuple[int, int]:
        hours = exporter.exporter.hourly.totals.hours.values()
        spent = exporter.scrape().micro("ai_budget_spend_usd", user=str(ANN), period="10d")
        return spent, micro(Decimal(sum(hour.figures.cost for hour in hours)) / USD)

    def wait_for_spend(exporter: Running, units: int) -> None:
        wait_for(lambda: seen(exporter) == (units, units), lambda: str(seen(exporter)))

    with monkeypatch.context() as patched:
        before_refunds(patched)
        with running(log.url, tmp_path, **settings) as exporter:
            exporter.wait_ready()
            wait_for_spend(exporter, 500_000)
    with running(log.url, tmp_path, after=exporter, **settings) as later:
        later.wait_in_force()
        wait_for_spend(later, 300_000)
