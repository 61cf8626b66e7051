"""Tables and columns of any name that PostgreSQL takes: served, checked and reported."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.demo.profiles import USERS
from exporter.preflight import run_check
from exporter.reports.budgets import run_budget
from exporter.reports.recent import Wanted, run_operations
from exporter.verify.database import spent_since
from tests.support.harness import Log, running

NAMES = (
    "share of 100 %",
    "%s",
    "%(from)s",
    "percent%%twice",
    "{}",
    "{0} {x}",
    'with "quotes"',
    "it's",
    "a.b",
    "Upper Case",
    "select",
    "time",
    "ユーザー",
    "emoji 😀",
    "back\\slash",
    "$1",
    "semi;colon -- comment",
    "x" * 63,
)
TABLES = {
    "log": "ai_operation_log",
    "budgets": "cost_budgets",
    "routes": "ai_model_routes",
    "recommendations": "helix_recommendations",
    "approvals": "approval_gates",
}
COLUMNS = {
    "log": {
        "time": "created_at",
        "operation": "operation_id",
        "model": "model_used",
        "user": "user_id",
        "cost": "cost_usd",
        "success": "success",
        "error_message": "error_message",
    },
    "budgets": {"daily_limit": "daily_limit_usd", "spent_today": "current_spend_today"},
    "routes": {"operation": "operation_id", "primary_model": "primary_model"},
    "recommendations": {"type": "recommendation_type", "status": "approval_status"},
    "approvals": {"status": "status"},
}


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        log.execute("CREATE TABLE approval_gates (id int, status text)")
        log.execute("INSERT INTO approval_gates VALUES (1, 'pending')")
        log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 10)", USERS[0])
        log.execute("INSERT INTO ai_model_routes (operation_id, operation_name, primary_model) VALUES ('a', 'a', 'b')")
        log.execute("INSERT INTO helix_recommendations (operation_id, recommendation_type) VALUES ('a', 'cheaper')")
        log.insert(5, user=USERS[0], cost="0.5")
        log.insert(4, outcome="failed", message="429", cost="0.25")
        yield log


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def seen_by_all(log: Log, folder: Path, **settings: Any) -> None:
    """`serve`, `check`, `operations`, `budget` and `verify` all read the tables."""
    config = Config.model_validate({"database": {"url": log.url}, "state_dir": str(folder / "unused"), **settings})
    out = io.StringIO()
    assert run_check(config, {}, out) == 0, out.getvalue()
    assert "FAIL" not in out.getvalue()
    out = io.StringIO()
    run_operations(config, {}, Wanted(), out, as_json=True)
    # each value by the name of its column
    cost = config.columns.log.cost or "cost_usd"
    assert [row[cost] for row in json.loads(out.getvalue())] == [0.25, 0.5]
    out = io.StringIO()
    run_budget(config, {}, None, out, as_json=True)
    users = json.loads(out.getvalue())["users"]
    assert [(user["daily_limit_usd"], user["spend_today_usd"]) for user in users] == [(10, 0.5), (None, 0.25)]
    assert spent_since(config, resolve_conninfo(config, {}), 0) == 0.75
    with running(log.url, folder, **settings) as exporter:
        exporter.wait_ready()
        scraped = exporter.scrape()
        assert scraped.up == 1
        assert set(scraped.collectors.values()) == {1}
        assert scraped.micro("ai_spend_today_usd") == 750_000
        assert scraped.one("ai_approvals_pending") == 1
        assert scraped.total("ai_recommendations") == 1
        assert scraped.one("ai_user_daily_limit_usd", user=str(USERS[0])) == 10


@pytest.mark.parametrize("name", NAMES)
def test_tables_of_any_name(log: Log, tmp_path: Path, name: str) -> None:
    tables = {}
    for section, table in TABLES.items():
        odd = f"{name[: 63 - len(section) - 1]} {section}"
        log.connection.execute(f"ALTER TABLE {table} RENAME TO {quoted(odd[:63])}".encode())
        tables[section] = quoted(odd)
    seen_by_all(log, tmp_path, tables=tables)


@pytest.mark.parametrize("name", ["share of 100 %", "%(from)s", "{0} {x}", 'with "quotes"', "a.b", "time", "ユーザー"])
def test_columns_of_any_name(log: Log, tmp_path: Path, name: str) -> None:
    columns: dict[str, dict[str, str]] = {}
    for section, roles in COLUMNS.items():
        for role, column in roles.items():
            odd = name if len(roles) == 1 else f"{name[: 63 - len(role) - 1]} {role}"
            log.connection.execute(f"ALTER TABLE {TABLES[section]} RENAME {column} TO {quoted(odd)}".encode())
            columns.setdefault(section, {})[role] = quoted(odd)
    if name == "time":
        log.execute('ALTER TABLE ai_operation_log RENAME "time time" TO "time"')
        columns["log"]["time"] = "time"
    seen_by_all(log, tmp_path, columns=columns)
