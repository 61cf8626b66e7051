"""The demo's data in real tables: both layouts load, and live traffic behaves as a real writer does."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.config.error_classes import DEFAULT_ERROR_CLASSES
from exporter.demo.history import Call, calls_per_hour, fail, history, make_call
from exporter.demo.litellm import call_type
from exporter.demo.profiles import FAILURES, MODELS
from exporter.demo.rows import TIME_COLUMN, fill
from exporter.demo.schema import LAYOUTS, DemoLog, Layout, load_schema
from exporter.demo.traffic import LiveWriter, Traffic
from exporter.reports.recent import Wanted, read_calls

NOW = datetime(2026, 3, 18, 15, 30, tzinfo=UTC)
TABLES = {
    "success": {"ai_operation_log", "cost_budgets", "ai_model_routes", "helix_recommendations"},
    "status": {"ai_operation_log", "cost_budgets", "ai_model_routes", "approval_gates", "users"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_history_loads_whole(database: str, layout: Layout) -> None:
    calls = list(history(layout, 1, NOW, Random(5)))
    with psycopg.connect(database) as connection:
        load_schema(connection, layout)
        assert fill(connection, layout, calls) == len(calls)
        count, cost, models = _one(
            connection, "SELECT count(*), sum(cost_usd), count(DISTINCT model_used) FROM ai_operation_log"
        )
        assert (count, cost, models) == (len(calls), sum(call.cost_usd or 0 for call in calls), 3)
        assert _one(connection, "SELECT count(DISTINCT operation_id) FROM ai_operation_log") == (9,)
        newest = _one(connection, f"SELECT max({TIME_COLUMN[layout]}) FROM ai_operation_log")[0]
        assert NOW.replace(tzinfo=None) - newest < timedelta(minutes=5)
        names = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relrowsecurity"
        assert {row[0] for row in connection.execute(names)} == TABLES[layout]
        recorded = "SELECT count(*) FROM cost_budgets WHERE current_spend_today > 0"
        assert _one(connection, recorded)[0] > 8
        routes = "SELECT count(*) FROM ai_model_routes WHERE primary_model IN ('deepseek', 'gemini_flash')"
        assert _one(connection, routes)[0] == 7


def test_deleting_a_user_of_the_status_layout_takes_the_calls_along(embedded_database: str) -> None:
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "status")
        fill(connection, "status", history("status", 0, NOW, Random(5)))
        connection.execute("DELETE FROM users")
        assert _one(connection, "SELECT count(*) FROM ai_operation_log WHERE user_id IS NOT NULL") == (0,)
        assert _one(connection, "SELECT count(*) FROM cost_budgets") == (0,)


def test_an_unknown_layout_is_refused_with_the_known_ones_named(embedded_database: str) -> None:
    with (
        psycopg.connect(embedded_database) as connection,
        pytest.raises(ValueError, match="'wide' is not known: it is one of success, status, litellm"),
    ):
        load_schema(connection, "wide")  # type: ignore[arg-type]


def test_litellm_s_log_is_read_as_the_calls_that_were_made(embedded_database: str) -> None:
    now = datetime.now(UTC)
    calls = list(history("litellm", 0, now, Random(5), per_day=2_000))
    calls += [
        fail(replace(call, error_message=None), each, Random(number))
        for number, each in enumerate(FAILURES)
        for call in calls[:20]
    ]
    calls = list({call.id: call for call in calls}.values())
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "litellm")
        assert fill(connection, "litellm", calls) == len(calls)
    config = Config.model_validate({"database": {"url": embedded_database}, "source": "litellm"})
    read = read_calls(config, {}, Wanted(limit=len(calls) + 1, days=2)).calls
    assert len(read) == len(calls)
    for of, wanted in (
        (lambda call: call.model, [call.model for call in calls]),
        (lambda call: call.operation, [call_type(call.operation) for call in calls]),
        (lambda call: call.user, ["unattributed" if call.user is None else str(call.user) for call in calls]),
        (lambda call: call.error_class, [call.error_class for call in calls]),
        (lambda call: call.outcome, ["ok" if call.outcome == "success" else "failed" for call in calls]),
        (lambda call: call.latency_ms, [call.latency_ms or 0 for call in calls]),
    ):
        assert Counter(map(of, read)) == Counter(wanted)
    assert sum(call.cost_usd or 0 for call in read) == sum(call.cost_usd or 0 for call in calls)


def test_litellm_s_live_rows_come_in_batches_and_stay_as_they_are(embedded_database: str) -> None:
    late = 0
    before: dict[Any, Any] = {}
    query = sql.SQL('SELECT request_id, "startTime", "endTime", spend FROM "LiteLLM_SpendLogs"')
    for now, after in _watch(embedded_database, "litellm", query):
        assert before.items() <= after.items()
        new = [after[key] for key in after.keys() - before.keys()]
        assert all(ended <= now for _, ended, _ in new)
        late += sum(now - ended > timedelta(seconds=3) for _, ended, _ in new)
        before = after
    written = calls_per_hour(_START) * _MINUTES / 60
    assert 0.8 * written < len(before) < 1.2 * written
    assert late > written / 2


def test_each_failure_message_is_of_the_class_it_stands_for(embedded_database: str) -> None:
    with psycopg.connect(embedded_database) as connection:
        for expected, (_, messages) in FAILURES.items():
            for message in messages:
                assert _classify(connection, message.format(timeout=60_000)) == expected, message


def test_live_traffic_arrives_late_changes_and_vanishes(embedded_database: str) -> None:
    late = changed = vanished = 0
    before: dict[Any, Any] = {}
    for after in _watch_traffic(embedded_database, "success"):
        newest = max((at for at, _, _ in before.values()), default=_START)
        late += sum(after[key][0] < newest - timedelta(seconds=4) for key in after.keys() - before.keys())
        changed += sum(after[key] != before[key] for key in after.keys() & before.keys())
        vanished += len(before.keys() - after.keys())
        before = after
    written = calls_per_hour(_START) * _MINUTES / 60
    assert 0.8 * written < len(before) + vanished < 1.2 * written
    assert late > 10
    assert changed > 0
    assert vanished > 0
    # or the demo, which is calm, would raise the alert on costs that differ from the price list
    priced = "SELECT model_used, input_tokens, output_tokens, cost_usd FROM ai_operation_log WHERE cost_usd > 0"
    with psycopg.connect(embedded_database) as connection:
        for model, read, written_tokens, cost in connection.execute(f"{priced} AND input_tokens > 0").fetchall():
            listed = MODELS[model]
            expected = (read * listed.input_price + written_tokens * listed.output_price) / 1_000_000
            # a changed row's tokens are whole, too
            assert abs(cost - expected) <= expected / 50 + Decimal("0.000001"), (model, cost, expected)


def test_live_rows_of_the_status_layout_go_from_pending_over_running_to_their_end(
    embedded_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some_time_out(at: datetime, rng: Random) -> Call:
        call = make_call(at, rng)
        return fail(call, "timeout", rng) if rng.random() < 0.05 else call

    monkeypatch.setattr("exporter.demo.traffic.make_call", some_time_out)
    steps: Counter[tuple[str, str]] = Counter()
    before: dict[Any, Any] = {}
    for after in _watch_traffic(embedded_database, "status"):
        for key in after.keys() & before.keys():
            if before[key][2] != after[key][2]:
                steps[before[key][2], after[key][2]] += 1
                assert before[key][1] is None, "no cost is known before the end"
        before = after
    assert {end for _, end in steps} == {"running", "success", "failed", "timeout"}
    assert {start for start, _ in steps} == {"pending", "running"}
    assert steps["pending", "running"] > 100
    assert steps["running", "success"] > 100


@pytest.mark.parametrize("layout", LAYOUTS)
def test_traffic_runs_by_itself_and_stops_when_told(
    embedded_database: str, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.demo.traffic.calls_per_hour", lambda _: 7200.0)
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, layout)
        fill(connection, layout, [])
        traffic = Traffic(embedded_database, layout, Random(2))
        traffic.start()
        try:
            _wait_for(lambda: _one(connection, "SELECT count(*) FROM ai_operation_log")[0] >= 3)
        finally:
            traffic.stop()
        assert traffic.failure is None
        mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        _wait_for(lambda: _one(connection, mine) == (1,))


def test_traffic_that_cannot_write_says_so_without_the_address() -> None:
    traffic = Traffic("postgresql://someone:secret@127.0.0.1:1/nowhere", "success", Random(2))
    traffic.start()
    _wait_for(lambda: traffic.failure is not None)
    traffic.stop()
    assert traffic.failure == "OperationalError"


def test_traffic_that_never_began_can_be_stopped() -> None:
    Traffic("postgresql://127.0.0.1:1/nowhere", "success", Random(2)).stop()


_START = datetime(2026, 3, 18, 9)  # noqa: DTZ001
_MINUTES = 19
"""No incident begins so early."""


def _watch_traffic(url: str, layout: Layout) -> Iterator[dict[Any, Any]]:
    """The log after each half second of some simulated minutes: time, cost and status of each row."""
    status = "status" if layout == "status" else "success::text"
    query = sql.SQL(f"SELECT id, {TIME_COLUMN[layout]}, cost_usd, {status} FROM ai_operation_log")
    for now, rows in _watch(url, layout, query):
        assert all(at <= now for at, _, _ in rows.values())
        yield rows


def _watch(url: str, layout: DemoLog, query: sql.SQL) -> Iterator[tuple[datetime, dict[Any, Any]]]:
    """The time, and what the query says of each row, by its first column."""
    with psycopg.connect(url, autocommit=True) as connection:
        load_schema(connection, layout)
        fill(connection, layout, [])
        writer = LiveWriter(connection, layout, Random(11), _START)
        for half_second in range(_MINUTES * 120):
            now = _START + timedelta(seconds=half_second / 2)
            assert writer.step(now) > 0
            yield now, {key: tuple(values) for key, *values in connection.execute(query)}


def _wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _classify(connection: psycopg.Connection[Any], message: str) -> str:
    for name, patterns in DEFAULT_ERROR_CLASSES.items():
        if _one(connection, "SELECT %s ~* ANY (%s)", message, list(patterns))[0]:
            return name
    return "other"


def _one(connection: psycopg.Connection[Any], query: LiteralString, *values: Any) -> tuple[Any, ...]:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return tuple(row)
