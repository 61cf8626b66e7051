"""Refunds, currencies, groups and budgets with a period at once: each figure is what plain SQL sums up."""

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exporter.demo.profiles import USERS
from exporter.scrape import lateness
from exporter.state.store import FILE_NAME
from tests.support.harness import Log, Running, fixed_layout, running, wait_for
from tests.support.scraped import Scraped

layout = fixed_layout("success")

ANN, BOB = (str(user) for user in USERS[:2])
RATES = {"RMB": Decimal("0.14"), "EUR": Decimal("1.08")}
# a rate of its own for each code; what has none counts for nothing
DOLLARS = (
    "CASE WHEN code = 'USD' THEN cost_usd WHEN code = 'RMB' THEN cost_usd * 0.14"
    " WHEN code = 'EUR' THEN cost_usd * 1.08 ELSE 0 END"
)
SETTINGS: dict[str, Any] = {
    "columns": {"log": {"group": "team", "currency": "code", "currencies": {k: str(v) for k, v in RATES.items()}}},
    "groups": {"daily_limits": {"red": 0.5, "blue": 100}},
    "budgets": [
        {"limit_usd": 1, "period": "week"},
        {"user": ANN, "limit_usd": 0.01, "period": "month"},
        {"user": BOB, "limit_usd": 1000, "period": "month"},
    ],
    "history_weeks": 0,
}


@pytest.fixture
def mixed(log: Log) -> Log:
    log.execute("ALTER TABLE ai_operation_log ADD code text DEFAULT 'USD', ADD team text")
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric")
    return log


def insert(log: Log, rng: Random, ago: float) -> Any:
    row = log.insert(ago, cost=f"{rng.uniform(-0.7, 1.2):.6f}", user=rng.choice(USERS[:2]))
    log.execute(
        "UPDATE ai_operation_log SET code = %s, team = %s WHERE id = %s",
        rng.choice(["USD", "RMB", "EUR", "XYZ"]),
        rng.choice(["red", "blue", None]),
        row,
    )
    return row


def spent(log: Log, amount: str, since: datetime, where: str = "true") -> int:
    ((units,),) = log.execute(
        f"SELECT round(coalesce(sum({amount}), 0) * 1000000) FROM ai_operation_log WHERE {{time}} >= %s AND {where}",
        since.astimezone(UTC).replace(tzinfo=None),
    )
    return int(units)


def midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def expected(log: Log, amount: str) -> dict[str, int]:
    day, month = midnight(), midnight().replace(day=1)
    monday = day - timedelta(days=day.weekday())
    return {
        "today": spent(log, amount, day),
        "month": spent(log, amount, month),
        # who got back more than they spent is nobody to show
        "ann today": max(0, spent(log, amount, day, f"user_id = '{ANN}'")),
        "red": max(0, spent(log, amount, day, "team = 'red'")),
        "all teams": spent(log, amount, day),
        "no team": spent(log, amount, day, "team IS NULL"),
        "team's week": spent(log, amount, monday),
        "ann's month": spent(log, amount, month, f"user_id = '{ANN}'"),
        "bob's month": spent(log, amount, month, f"user_id = '{BOB}'"),
    }


def shown(scraped: Scraped) -> dict[str, int]:
    def micro(metric: str, **labels: str) -> int:
        found = scraped.having(metric, **labels)
        return round(sum(found.values()) * 1e6) if found else 0

    return {
        "today": micro("ai_spend_today_usd"),
        "month": micro("ai_spend_month_usd"),
        "all teams": micro("ai_group_spend_today_usd"),
        "ann today": max(0, micro("ai_user_spend_today_usd", user=ANN)),
        "red": max(0, micro("ai_group_spend_today_usd", group="red")),
        "no team": micro("ai_group_spend_today_usd", group="unattributed"),
        "team's week": micro("ai_budget_spend_usd", user="", period="week"),
        "ann's month": micro("ai_budget_spend_usd", user=ANN, period="month"),
        "bob's month": micro("ai_budget_spend_usd", user=BOB, period="month"),
    }


def wait_for_figures(exporter: Running, log: Log, amount: str, *keys: str) -> None:
    found: dict[str, tuple[int, int]] = {}

    def agree() -> bool:
        wanted, seen = expected(log, amount), shown(exporter.scrape())
        found.update({key: (seen[key], wanted[key]) for key in keys or wanted})
        return all(abs(one - other) <= 1 for one, other in found.values())

    wait_for(agree, lambda: str({key: both for key, both in found.items() if both[0] != both[1]}))


def as_kept_by_format_4(folder: Path) -> None:
    with sqlite3.connect(folder / FILE_NAME) as db:
        if db.execute("PRAGMA user_version").fetchone() == (5,):
            db.execute("DROP TABLE past_spend")
            db.execute("PRAGMA user_version = 4")


def test_settings_that_come_at_once_and_go_again_leave_every_figure_exact(
    mixed: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.scrape.periods._REREAD", 0.0)
    monkeypatch.setattr("exporter.scrape.periods._LOOK", 0.0)
    monkeypatch.setattr(lateness, "INTERVAL", 0.02)
    monkeypatch.setattr(lateness, "SHARE", 0.9)
    log, rng = mixed, Random(11)
    for _ in range(150):
        insert(log, rng, rng.uniform(0, 35 * 86_400))
    # in the open window, which each scrape reads again
    recent = [insert(log, rng, rng.uniform(0, 30)) for _ in range(30)]
    plain: dict[str, Any] = {"history_weeks": 0}
    with running(log.url, tmp_path, **plain) as before:
        wait_for_figures(before.wait_ready(), log, "cost_usd", "today", "month")
        counted = before.scrape().micro("ai_operation_cost_usd_total")
    as_kept_by_format_4(tmp_path)
    log.execute(
        "UPDATE ai_operation_log SET code = 'USD' WHERE {time} < now() AT TIME ZONE 'UTC' - interval '40 hours'"
    )
    with running(log.url, tmp_path, after=before, **SETTINGS) as exporter:
        exporter.wait_in_force()
        wait_for_figures(exporter, log, DOLLARS)
        assert exporter.scrape().micro("ai_operation_cost_usd_total") >= counted
        # a call that goes to another user and team, a refund that becomes one in an unknown currency
        for row in recent[:5]:
            log.execute("UPDATE ai_operation_log SET user_id = %s, team = 'blue' WHERE id = %s", USERS[1], row)
        for row in recent[5:10]:
            log.execute("UPDATE ai_operation_log SET cost_usd = -9, code = 'RMB' WHERE id = %s", row)
        for row in recent[10:15]:
            log.execute("UPDATE ai_operation_log SET code = 'XYZ', cost_usd = -1 WHERE id = %s", row)
        wait_for_figures(exporter, log, DOLLARS)
    with running(log.url, tmp_path, after=exporter, **plain) as again:
        again.wait_in_force()
        wait_for_figures(again, log, "cost_usd", "today", "ann today")
        seen = again.scrape()
        assert not [name for name in ("ai_group_spend_today_usd", "ai_budget_spend_usd") if seen.has(name)]
