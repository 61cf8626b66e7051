"""Budgets in each spelling of their table, routes, and optional tables that are not there."""

from decimal import Decimal
from pathlib import Path

import pytest

from exporter.demo.profiles import USERS
from tests.support.harness import Log, assert_shows_what_sql_says, fixed_layout, running
from tests.support.scraped import Scraped, counted

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
layout = fixed_layout("success")


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
        assert counted(scraped) == log.sql_totals()


def _text_users(log: Log) -> None:
    log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE text")
    log.execute("DROP TABLE cost_budgets")
    log.execute("CREATE TABLE cost_budgets (user_id text, daily_limit_usd numeric, warning_threshold_usd numeric)")


SEVERAL = {
    "the smaller one last": (("ann", 9, 8), ("ann", 5, 4)),
    "the smaller one first": (("ann", 5, 4), ("ann", 9, 8)),
    "of equal limits the earlier warning": (("ann", 5, 4.5), ("ann", 5, 4)),
    "a limit and none": (("ann", 5, 4), ("ann", None, None)),
    "none and a limit": (("ann", None, None), ("ann", 5, 4)),
    "three rows": (("ann", 7, 6), ("ann", 5, 4), ("ann", 6, 5)),
    "names that are cleaned alike": (("ann ", 9, 8), ("ann\n", 5, 4)),
    "a limit that cannot be used": (("ann", -1, 0), ("ann", 5, 4)),
}


@pytest.mark.parametrize("rows", SEVERAL.values(), ids=SEVERAL)
def test_of_several_limits_of_a_user_the_smallest_counts_and_is_reported(
    log: Log, tmp_path: Path, rows: tuple[tuple[str, float | None, float | None], ...]
) -> None:
    _text_users(log)
    for row in (*rows, ("bob", 100, 90)):
        log.execute("INSERT INTO cost_budgets VALUES (%s, %s, %s)", *row)
    log.insert(30, cost="4.5")
    log.execute("UPDATE ai_operation_log SET user_id = 'ann'")
    with running(log.url, tmp_path) as exporter:
        seen = exporter.wait_ready().wait_up()
        assert seen.one("ai_user_daily_limit_usd", user="ann") == 5
        assert _states(seen) == {"ok": 1, "warning": 1, "exceeded": 0, "unlimited": 0}
        repeated = {"field": "limit", "reason": "duplicate"}
        assert seen.one("ai_rows_skipped_total", **repeated) == len(rows) - 1
        # an unrelated update moves the row to the table's end
        log.execute("UPDATE cost_budgets SET warning_threshold_usd = warning_threshold_usd WHERE daily_limit_usd = 5")
        assert exporter.scrape().one("ai_user_daily_limit_usd", user="ann") == 5


@pytest.mark.parametrize("name", ["other", " other\n", '"other"', "unattributed"])
def test_a_user_who_is_called_as_a_sum_has_a_series_of_their_own(log: Log, tmp_path: Path, name: str) -> None:
    _text_users(log)
    for user, cost in ((name, "0.5"), ("ann", "0.25"), ("bob", "0.125"), (None, "1")):
        log.insert(30, cost=cost, user=None)
        log.execute("UPDATE ai_operation_log SET user_id = %s WHERE cost_usd = %s", user, Decimal(cost))
    log.execute("INSERT INTO cost_budgets VALUES (%s, 3, 2)", name)
    with running(log.url, tmp_path, users={"top": 1}) as exporter:
        seen = exporter.wait_ready().wait_up()
        shown = f'"{name.strip()}"'
        assert seen.micro("ai_user_spend_today_usd", user=shown) == 500_000
        assert seen.one("ai_user_daily_limit_usd", user=shown) == 3
        assert seen.micro("ai_user_spend_today_usd", user="other") == 375_000
        assert seen.micro("ai_user_spend_today_usd", user="unattributed") == 1_000_000
