"""The demo's history: plausible, complete in its cases, and the same for the same seed."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.history import Call, calls_per_hour, history, history_start, make_call
from exporter.demo.profiles import DAILY_LIMITS, FAILURES, MODELS, OPERATIONS, USERS
from exporter.demo.rows import COLUMNS, to_row
from exporter.demo.schema import LAYOUTS, Layout

NOW = datetime(2026, 3, 18, 15, 30, tzinfo=UTC)
OPERATION_NAMES = {
    "email-compose",
    "email-classify",
    "email-respond",
    "calendar-prep",
    "calendar-time",
    "task-prioritize",
    "task-breakdown",
    "analytics-summary",
    "analytics-anomaly",
}


@pytest.fixture(scope="module")
def week() -> list[Call]:
    return list(history("success", 7, NOW, Random(7)))


def test_thirty_days_are_few_enough_to_be_written_in_seconds(week: list[Call]) -> None:
    start = history_start(30, NOW)
    assert 300_000 < sum(calls_per_hour(start + timedelta(hours=hour)) for hour in range(30 * 24)) < 400_000
    assert len({call.id for call in week}) == len(week)
    assert len({call.at.date() for call in week}) == 8


def test_every_operation_and_model_occurs(week: list[Call]) -> None:
    assert {call.operation for call in week} == OPERATION_NAMES
    assert {call.model for call in week} == {"deepseek-v3.2", "gemini-2.0-flash", "claude-opus-4.5"}


def test_about_two_percent_fail_in_every_class_with_its_messages(week: list[Call]) -> None:
    failed = [call for call in week if call.outcome != "success"]
    assert 0.01 < len(failed) / len(week) < 0.03
    said: dict[str, set[str]] = {name: set() for name in FAILURES}
    for call in failed:
        assert call.error_class is not None
        assert call.error_message
        said[call.error_class].add(call.error_message)
    assert all(len(messages) >= 2 for messages in said.values())
    assert all(call.error_message is None for call in week if call.outcome == "success")
    assert {call.error_class for call in failed if call.outcome == "timeout"} == {"timeout"}


def test_days_have_a_rhythm(week: list[Call]) -> None:
    past = [call for call in week if call.at.date() < NOW.date()]
    hours = Counter(call.at.hour for call in past)
    assert hours[9] > 3 * hours[3]
    weekdays = Counter(call.at.weekday() for call in past)
    assert max(weekdays[5], weekdays[6]) < min(weekdays[day] for day in range(5))


def test_calls_come_in_while_one_looks_on_at_any_hour_of_the_week() -> None:
    assert all(calls_per_hour(NOW + timedelta(hours=hour)) > 3600 / 20 for hour in range(7 * 24))


def test_hours_have_as_many_calls_as_live_traffic_would_have_then(week: list[Call]) -> None:
    hours = Counter(call.at.replace(minute=0, second=0, microsecond=0) for call in week)
    for hour in list(hours)[-48:-1]:
        expected = calls_per_hour(hour)
        assert abs(hours[hour] - expected) < 5 * expected**0.5


@pytest.mark.parametrize("time", ["00:00", "00:01", "15:30", "23:59"])
def test_nobody_is_near_the_daily_limit_at_any_hour(time: str) -> None:
    now = datetime.fromisoformat(f"2026-03-18T{time}:00+00:00")
    spent: Counter[object] = Counter()
    for call in history("status", 0, now, Random(1)):
        spent[call.user] += call.cost_usd or 0  # type: ignore[assignment]
    for user in USERS:
        limit = DAILY_LIMITS[user]
        assert limit is not None
        assert spent[user] < limit / 2


def test_budgets_without_a_limit_are_of_users_without_calls(week: list[Call]) -> None:
    unlimited = {user for user, limit in DAILY_LIMITS.items() if limit is None}
    assert unlimited
    assert not unlimited & {call.user for call in week}


def test_every_operation_is_faster_on_average_than_the_alert_on_slow_ones(week: list[Call]) -> None:
    for operation in OPERATION_NAMES:
        latencies = [call.latency_ms for call in week if call.operation == operation and call.latency_ms is not None]
        assert sum(latencies) / len(latencies) < 1_800, operation


def test_the_gaps_of_real_logs_occur(week: list[Call]) -> None:
    answered = [call for call in week if call.outcome == "success"]
    assert any(call.user is None for call in answered)
    assert any(call.input_tokens is None for call in answered)
    assert any(call.latency_ms is None for call in answered)
    assert any(call.cost_usd is None and call.input_tokens for call in answered)
    assert any(call.cost_usd == 0 and call.input_tokens for call in answered)
    assert any(not call.names_operation for call in answered)


def test_some_calls_fall_back_from_their_route(week: list[Call]) -> None:
    primary = {operation.name: operation.primary for operation in OPERATIONS}
    fallback = {operation.name: operation.fallback for operation in OPERATIONS}
    others = [call for call in week if call.model != primary[call.operation]]
    assert 0.01 < len(others) / len(week) < 0.08
    assert all(call.model == fallback[call.operation] for call in others)


def test_costs_are_list_prices_to_the_micro_dollar(week: list[Call]) -> None:
    priced = 0
    for call in week:
        if call.cost_usd and call.input_tokens and call.output_tokens:
            model = MODELS[call.model]
            exact = call.input_tokens * model.input_price + call.output_tokens * model.output_price
            assert abs(call.cost_usd - exact / 1_000_000) <= Decimal("0.0000005")
            priced += 1
    assert priced > 0.9 * len(week)


def test_only_the_status_layout_has_calls_in_progress_and_only_near_now() -> None:
    past, present = (list(history(layout, 1, NOW, Random(3))) for layout in LAYOUTS)
    assert {call.outcome for call in past} == {"success", "failed", "timeout"}
    waiting = [call for call in present if call.outcome in {"pending", "running"}]
    assert {call.outcome for call in waiting} == {"pending", "running"}
    assert all(NOW.replace(tzinfo=None) - call.at < timedelta(minutes=1) for call in waiting)
    assert all(call.cost_usd is None and call.latency_ms is None for call in waiting)


@settings(max_examples=15, deadline=None)
@given(
    layout=st.sampled_from(LAYOUTS),
    days=st.integers(0, 1),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.timezones()),  # noqa: DTZ001
    seed=st.integers(),
)
def test_any_history_lies_in_its_span_and_is_the_same_for_the_same_seed(
    layout: Layout, days: int, now: datetime, seed: int
) -> None:
    calls, again = (list(history(layout, days, now, Random(seed), per_day=2_000)) for _ in range(2))
    assert calls == again
    start = min(history_start(days, now), now - timedelta(seconds=30))
    assert all(start <= call.at.replace(tzinfo=UTC) <= now for call in calls)


@given(seed=st.integers(), layout=st.sampled_from(LAYOUTS))
def test_any_call_makes_a_row_that_fits_its_columns(seed: int, layout: Layout) -> None:
    call = make_call(datetime(2026, 3, 18, 12), Random(seed))  # noqa: DTZ001
    row = dict(zip(COLUMNS[layout], to_row(layout, call), strict=True))
    assert row["operation_id"] == call.operation or (layout == "success" and row["operation_id"] is None)
    assert row["cost_usd"] is None or 0 <= row["cost_usd"] < 100
    assert call.ended_at >= call.at


def test_a_call_in_progress_has_no_row_in_the_success_layout() -> None:
    waiting = [call for call in history("status", 0, NOW, Random(1)) if call.outcome == "running"]
    with pytest.raises(ValueError, match="no rows of calls in progress"):
        to_row("success", waiting[0])


def test_litellm_has_rows_of_calls_that_have_ended_alone() -> None:
    waiting = [call for call in history("status", 0, NOW, Random(1)) if call.outcome == "running"]
    with pytest.raises(ValueError, match="no rows of calls in progress"):
        to_row("litellm", waiting[0])
    for call in history("litellm", 0, NOW, Random(1), per_day=500):
        row = dict(zip(COLUMNS["litellm"], to_row("litellm", call), strict=True))
        assert row["startTime"] <= row["completionStartTime"] <= row["endTime"]
        assert None not in row.values()


def test_a_negative_number_of_days_is_refused() -> None:
    with pytest.raises(ValueError, match="days must be 0 or more, not -1"):
        next(history("success", -1, NOW, Random(1)))
