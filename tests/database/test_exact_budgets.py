"""Budgets in each spelling of their table, routes, and optional tables that are not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.demo.profiles import USERS
from tests.database.harness import Log, assert_shows_what_sql_says, running
from tests.database.scraped import Scraped, counted


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        yield log


BUDGETS = {
    "usd": (
        "user_id uuid UNIQUE, daily_limit_usd numeric(10,2), warning_threshold_usd numeric(10,2),"
        " current_spend_today numeric(10,6), operations_today int, last_checked timestamp",
        "(%s, 10, 4, 3.5, 7, now())",
    ),
    "percentage": (
        "user_id uuid UNIQUE, daily_limit_usd numeric(10,2), monthly_limit_usd numeric(10,2),"
        " warning_threshold_percentage int, current_spend_today numeric(10,6), current_spend_month numeric(10,6),"
        " last_reset_date date, budget_status text",
        "(%s, 10, 100, 40, 3.5, 7, now(), 'active')",
    ),
    "share": (
        "user_id uuid UNIQUE, daily_limit_usd numeric(10,2), warning_threshold_percentage numeric(3,2),"
        " current_spend_today numeric(10,6)",
        "(%s, 10, 0.4, 3.5)",
    ),
    "budget": (
        "user_id uuid UNIQUE, daily_budget_usd numeric, monthly_budget_usd numeric, daily_spent_usd numeric,"
        " monthly_spent_usd numeric, warning_threshold_percentage int",
        "(%s, 10, 100, 3.5, 7, 40)",
    ),
}


@pytest.mark.parametrize("spelling", BUDGETS)
def test_each_spelling_of_the_budgets(log: Log, tmp_path: Path, spelling: str) -> None:
    columns, values = BUDGETS[spelling]
    log.execute("DROP TABLE cost_budgets")
    log.execute(f"CREATE TABLE cost_budgets ({columns})")
    for user in USERS[:3]:
        log.execute(f"INSERT INTO cost_budgets VALUES {values}", user)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for user, cost in zip(USERS[:4], ("3.999999", "4.000001", "10.000001", "1000"), strict=True):
            log.insert(1, user=user, cost=cost)
        scraped = exporter.scrape()
        assert scraped.collectors["budgets"] == 1
        assert _states(scraped) == {"ok": 1, "warning": 1, "exceeded": 1, "unlimited": 1}
        assert scraped.one("ai_budget_recorded_spend_today_usd") == 10.5
        for user in USERS[:3]:
            assert scraped.one("ai_user_daily_limit_usd", user=str(user)) == 10
        assert not scraped.having("ai_user_daily_limit_usd", user=str(USERS[3]))


def _states(scraped: Scraped) -> dict[str, float]:
    states = ("ok", "warning", "exceeded", "unlimited")
    return {state: scraped.one("ai_budget_users", state=state) for state in states}


def test_a_threshold_that_is_not_there_is_four_fifths(log: Log, tmp_path: Path) -> None:
    log.execute("ALTER TABLE cost_budgets DROP warning_threshold_usd, DROP current_spend_today")
    for user in USERS[:2]:
        log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 10)", user)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, user=USERS[0], cost="7.999999")
        log.insert(1, user=USERS[1], cost="8.000001")
        scraped = exporter.scrape()
        assert _states(scraped) == {"ok": 1, "warning": 1, "exceeded": 0, "unlimited": 0}
        assert not scraped.has("ai_budget_recorded_spend_today_usd")


def test_optional_tables_may_be_absent_or_switched_off(log: Log, tmp_path: Path) -> None:
    log.execute("DROP TABLE cost_budgets, ai_model_routes, helix_recommendations")
    with running(log.url, tmp_path, tables={"approvals": None}) as exporter:
        exporter.wait_ready()
        log.insert(1)
        scraped = exporter.scrape()
        assert_shows_what_sql_says(scraped, log)
        assert set(scraped.collectors.values()) == {1}
        for name in ("ai_budget_users", "ai_model_route_info", "ai_recommendations", "ai_approvals_pending"):
            assert not scraped.has(name)


def test_a_route_says_what_is_a_fallback(log: Log, tmp_path: Path) -> None:
    log.execute(
        "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model, fallback_model)"
        " VALUES ('email-compose', 'x', 'deepseek', 'gemini_flash'), ('email-classify', 'y', 'not-in-the-log', NULL)"
    )
    aliases = {"deepseek": "deepseek-v3.2", "gemini_flash": "gemini-2.0-flash"}
    with running(log.url, tmp_path, models={"aliases": aliases}) as exporter:
        first = exporter.wait_ready().scrape()
        assert first.one("ai_operations_total", operation="email-compose", model="deepseek-v3.2") == 0
        log.insert(3, model="deepseek-v3.2")
        log.insert(2, model="gemini-2.0-flash")
        log.insert(1, operation="email-classify", model="gemini-2.0-flash")
        scraped = exporter.scrape()
        assert {
            tuple(sorted(dict(labels).values())): value
            for (_, labels), value in scraped.having("ai_operation_fallbacks_total").items()
            if value
        } == {("email-compose", "gemini-2.0-flash"): 1}
        labels = {"operation": "email-compose", "primary_model": "deepseek-v3.2", "fallback_model": "gemini-2.0-flash"}
        assert scraped.one("ai_model_route_info", **labels) == 1
        assert counted(scraped) == log.truth()
