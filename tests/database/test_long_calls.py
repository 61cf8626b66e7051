"""`check` says where calls take longer than the open window: a row that comes at their end is then too late for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.demo.schema import load_schema
from tests.support.preflight import Bench, Entry, check
from tests.support.public_logs import PublicLog

Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(embedded_database: str) -> Iterator[Admin]:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        yield connection


def add_call(bench: Bench, latency_ms: str, ago: str = "10 minutes") -> None:
    bench.run(
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, latency_ms, created_at)"
        f" VALUES ('chat', 'email-compose', 'deepseek-v3.2', true, {latency_ms},"
        f" now() AT TIME ZONE 'UTC' - interval '{ago}')"
    )


def long_calls(bench: Bench, **settings: Any) -> Entry:
    return bench.check(**settings).entries["long calls"]


def test_calls_within_the_window_pass(bench: Bench) -> None:
    add_call(bench, "179000")
    found = long_calls(bench)
    assert (found.mark, found.detail) == (
        "ok",
        "28 calls of the last 24.0 h have a latency, and the longest took 179.0 s: open_window is 3 min",
    )
    bench.run("DELETE FROM ai_operation_log")
    found = long_calls(bench)
    assert (found.mark, found.detail) == ("ok", "0 calls of the last 24.0 h have a latency: open_window is 3 min")


def test_longer_ones_are_told_with_the_window_that_covers_them(bench: Bench) -> None:
    # rows that are dated by whoever writes them
    bench.run("ALTER TABLE ai_operation_log ALTER created_at DROP DEFAULT")
    add_call(bench, "181000")
    add_call(bench, "640000")
    found = long_calls(bench)
    assert found.mark == "warn"
    assert found.detail.startswith(
        "2 of 29 calls of the last 24.0 h took longer than open_window (3 min), the longest 11 min: "
    )
    assert "up to two minutes late" in found.detail
    assert found.hint == ["if that is too late: open_window: 12m"]
    assert long_calls(bench, open_window="12m").mark == "ok"


def test_a_call_of_hours_shows_later_and_no_window_covers_it(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_operation_log ALTER created_at DROP DEFAULT")
    add_call(bench, "7200000")
    found = long_calls(bench)
    assert "up to fifteen minutes late" in found.detail
    assert found.hint == ["if that is too late: open_window: 60m"]
    bench.check(open_window="60m")  # it may be written


def test_rows_that_get_their_time_when_they_are_written_are_never_late(bench: Bench) -> None:
    add_call(bench, "640000")
    found = long_calls(bench)
    assert (found.mark, found.detail.endswith("; their rows get their time when they are written")) == ("ok", True)
    for default in ("CURRENT_TIMESTAMP", "LOCALTIMESTAMP", "clock_timestamp()", "(now() AT TIME ZONE 'UTC')"):
        bench.run(f"ALTER TABLE ai_operation_log ALTER created_at SET DEFAULT {default}")
        assert long_calls(bench).mark == "ok", default
    bench.run("ALTER TABLE ai_operation_log ALTER created_at SET DEFAULT '2000-01-01'")
    assert long_calls(bench).mark == "warn"


def test_rows_that_are_there_before_their_calls_end_may_be_late(
    admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    load_schema(admin, "status")
    admin.execute(
        "INSERT INTO ai_operation_log (operation_id, model_used, status, latency_ms, executed_at)"
        " VALUES ('o', 'm', 'success', 640000, now() AT TIME ZONE 'UTC' - interval '1 hour')"
    )
    assert check(embedded_database, tmp_path).entries["long calls"].mark == "warn"


@pytest.mark.parametrize("latency", ["'NaN'", "'Infinity'", "-640000", "1e12", "NULL"])
def test_what_is_no_latency_is_not_taken_for_a_long_one(bench: Bench, latency: str) -> None:
    bench.run(
        "ALTER TABLE ai_operation_log ALTER created_at DROP DEFAULT",
        "ALTER TABLE ai_operation_log ALTER latency_ms TYPE numeric",
    )
    add_call(bench, latency)
    assert long_calls(bench).mark == "ok"


def test_calls_of_an_earlier_day_do_not_count(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_operation_log ALTER created_at DROP DEFAULT")
    add_call(bench, "640000", "25 hours")
    assert long_calls(bench).mark == "ok"


def test_a_log_without_latency_cannot_tell(admin: Admin, embedded_database: str, tmp_path: Path) -> None:
    PublicLog.of("open-webui").create(admin)
    found = check(embedded_database, tmp_path, source="open-webui").entries["long calls"]
    assert (found.mark, "has no latency" in found.detail) == ("ok", True)


@pytest.mark.parametrize(
    ("source", "statement"),
    [
        (
            "litellm",
            'INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", request_duration_ms)'
            " SELECT 'x', 'acompletion', at, at + interval '40 min', {} FROM"
            " (SELECT now() AT TIME ZONE 'UTC' - interval '1 hour' AS at) AS made",
        ),
        (
            "new-api",
            "INSERT INTO logs (created_at, type, use_time)"
            " SELECT extract(epoch FROM now())::bigint - 3600, 2, 2400 WHERE {} IS NULL",
        ),
    ],
)
def test_the_latency_of_a_public_system_is_looked_at_too(
    admin: Admin, embedded_database: str, tmp_path: Path, source: str, statement: str
) -> None:
    PublicLog.of(source).create(admin)
    admin.execute(statement.format("NULL").encode())
    found = check(embedded_database, tmp_path, source=source).entries["long calls"]
    assert (found.mark, "the longest 40 min" in found.detail) == ("warn", True), found
    assert found.hint == ["if that is too late: open_window: 41m"]
