"""The demo's incidents: one an hour, announced, and calm between them."""

from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from exporter.demo.history import calls_per_hour, make_call
from exporter.demo.incidents import OPERATION, current_or_next

STARTED = datetime(2026, 3, 18, 12)  # noqa: DTZ001
HOUR = timedelta(hours=1)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_an_hour_has_eight_minutes_of_one_incident() -> None:
    for hour in range(5):
        begins = STARTED + hour * HOUR
        befallen = [
            second
            for second in range(3600)
            if (now := begins + timedelta(seconds=second))
            and current_or_next(STARTED, now).starts <= now < current_or_next(STARTED, now).ends
        ]
        assert (befallen[0], befallen[-1]) == (20 * 60, 28 * 60 - 1)


def test_it_is_announced_before_and_while_it_goes_on() -> None:
    assert current_or_next(STARTED, STARTED).announce(STARTED) == (
        "calm; the next incident begins at 12:20 UTC: 4 of 10 calls of email-classify hit the provider's rate limit"
    )
    during = STARTED + minutes(25)
    assert current_or_next(STARTED, during).announce(during) == (
        "incident until 12:28 UTC: 4 of 10 calls of email-classify hit the provider's rate limit;"
        " expect the alert high_error_rate"
    )
    after = STARTED + minutes(28)
    assert "the next incident begins at 13:20 UTC: calls of email-classify take" in current_or_next(
        STARTED, after
    ).announce(after)


def test_the_operation_is_called_as_the_log_calls_it() -> None:
    assert "calls of aresponses hit" in current_or_next(STARTED, STARTED).announce(STARTED, "aresponses")


def test_a_burst_brings_it_about_and_ends_with_it() -> None:
    for minute, more in ((0, False), (19, False), (20, True), (27, True), (28, False), (79, False), (80, True)):
        now = STARTED + minutes(minute)
        assert (current_or_next(STARTED, now).more_per_hour(now) > 0) == more, minute


def test_the_operation_has_calls_enough_to_see_an_end_at_any_hour() -> None:
    rng = Random(5)
    for hour in range(0, 7 * 24, 5):
        at = STARTED + hour * HOUR
        calls = [make_call(at, rng).operation for _ in range(400)]
        # `min_operations` of the alerts, in ten minutes
        assert calls_per_hour(at) * calls.count(OPERATION) / len(calls) / 6 > 20


def test_the_kinds_take_turns() -> None:
    alerts = [current_or_next(STARTED, STARTED + hour * HOUR).alert for hour in range(4)]
    assert alerts == ["high_error_rate", "slow_operations"] * 2


@given(seconds=st.integers(0, 10**6), seed=st.integers())
def test_only_calls_of_one_operation_in_the_incident_change(seconds: int, seed: int) -> None:
    now = STARTED + timedelta(seconds=seconds)
    incident = current_or_next(STARTED, now)
    call = make_call(now, Random(seed))
    within = incident.starts <= now < incident.ends
    assert incident.befalls(call) == (within and call.operation == OPERATION)
    changed = incident.change(call, Random(seed))
    assert (changed.id, changed.at, changed.operation, changed.user) == (call.id, call.at, call.operation, call.user)


def test_what_it_does_is_what_it_says() -> None:
    rng = Random(3)
    calls = [call for _ in range(4000) if (call := make_call(STARTED, rng)).operation == OPERATION]
    limited, slow = (current_or_next(STARTED, STARTED + hour * HOUR).change for hour in (0, 1))
    share = sum(limited(call, rng).error_class == "rate_limit" for call in calls) / len(calls)
    assert 0.35 < share < 0.45
    assert all(4_000 <= (slow(call, rng).latency_ms or 0) <= 8_000 for call in calls)
