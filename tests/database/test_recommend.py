"""`recommend`: each rule says what a history shows, and nothing of a history that does not show it; on both layouts."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.advice import advised, kinds, one, user, week
from tests.support.clock import Clock
from tests.support.harness import Log

PRICES: dict[str, Any] = {
    "dear": [{"input": 10, "output": 40}],
    "cheap": [{"input": 1, "output": 4, "cached": "0.1"}],
    "deepseek-v3.2": [{"input": 1, "output": 4}],
}
FAST = {"latency_ms": 400}


@pytest.fixture
def history(log: Log, clock: Clock) -> tuple[Log, Clock]:
    return log, clock


def test_nothing_is_said_of_a_log_without_calls(log: Log, clock: Clock, tmp_path: Path) -> None:
    assert kinds(advised(log, tmp_path)) <= {"missing_index"}


def test_nothing_is_said_of_even_spend_without_faults(log: Log, clock: Clock, tmp_path: Path) -> None:
    rng = Random(1)
    for number in range(5):
        week(
            log,
            clock,
            40,
            operation=f"op-{number}",
            user=lambda *_: user(rng.randrange(50)),
            input_tokens=lambda *_: rng.randrange(500, 5000),
        )
    assert kinds(advised(log, tmp_path, prices=PRICES)) == set()


def test_the_costliest_operation_is_named(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 20, operation="large", cost="0.5")
    week(log, clock, 20, operation="small", cost="0.01")
    found = one(advised(log, tmp_path), "costly_operation")
    assert found.operation == "large"
    assert found.figures == {"calls": 140, "usd": Decimal("70.000000")}
    assert "98.0 %" in found.reasoning
    assert "$10.00 a day" in found.reasoning


@pytest.mark.parametrize("few", ["calls", "dollars", "operations"])
def test_no_operation_is_costly(log: Log, clock: Clock, tmp_path: Path, few: str) -> None:
    week(log, clock, 14 if few == "calls" else 20, operation="large", cost="0.004" if few == "dollars" else "0.5")
    if few != "operations":
        week(log, clock, 20, operation="small", cost="0.0001")
    assert "costly_operation" not in kinds(advised(log, tmp_path))


def test_no_operation_is_costly_where_more_was_refunded_than_spent(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 20, operation="large", cost="0.5")
    week(log, clock, 20, operation="small", cost="-0.6")
    assert "costly_operation" not in kinds(advised(log, tmp_path))


def test_a_slow_operation_is_named_with_its_quickest_model(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 20, operation="slow", latency_ms=1500)
    week(log, clock, 20, operation="slow", model="quick", latency_ms=lambda *_: 501)
    # a failure that ended at once, and one that took long, do not count
    week(log, clock, 20, operation="slow", outcome="failed", latency_ms=lambda _, n: 1 if n % 2 else 9000, cost=None)
    week(log, clock, 20, operation="quick", latency_ms=500)
    found = one(advised(log, tmp_path), "slow_operation")
    assert found.operation == "slow"
    assert found.figures == {"calls": 280, "mean_latency_ms": Decimal("1000.5")}
    assert "quick is the quickest" in found.reasoning


def test_a_model_of_few_calls_makes_no_other_the_quickest(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 20, latency_ms=1500)
    week(log, clock, 1, model="cheap", latency_ms=100)
    assert one(advised(log, tmp_path), "slow_operation").reasoning.endswith("more than 500 ms is slow.")


def test_few_successful_calls_are_not_slow(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 14, latency_ms=9000)
    week(log, clock, 20, latency_ms=9000, outcome="failed", cost=None)
    assert "slow_operation" not in kinds(advised(log, tmp_path))


def test_money_for_failures_is_shown(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 80, cost="0.01")
    week(log, clock, 20, cost="0.01", outcome="failed")
    found = one(advised(log, tmp_path), "failed_calls")
    assert found.saving.quantize(Decimal("0.0001")) == Decimal("0.2000")
    assert "140 of 700 calls failed (20.0 %)" in found.reasoning
    assert found.figures["retries"] == 0


@pytest.mark.parametrize("why", ["few calls", "no cost", "a small share"])
def test_failures_that_are_few_or_free_are_not_mentioned(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    week(log, clock, 8 if why == "few calls" else 100 if why == "a small share" else 50)
    number = 2 if why == "a small share" else 6
    week(log, clock, number, outcome="failed", cost="0" if why == "no cost" else "0.01")
    assert "failed_calls" not in kinds(advised(log, tmp_path))


def test_retries_that_fail_again_are_told_from_first_failures(log: Log, clock: Clock, tmp_path: Path) -> None:
    # three attempts within a minute, by ten users
    week(
        log,
        clock,
        30,
        outcome="failed",
        user=lambda _, n: user(n // 3),
        input_tokens=lambda _, n: 1000 + n // 3,
        at=lambda _, n: timedelta(hours=n // 3 + 1, seconds=20 * (n % 3)),
    )
    found = advised(log, tmp_path)
    retries, first = one(found, "repeated_failures"), one(found, "failed_calls")
    assert retries.figures == {"failed": 210, "usd": Decimal("2.1"), "retries": 140, "retry_usd": Decimal("1.4")}
    assert round(retries.saving, 4) == Decimal("0.2000")
    assert round(first.saving, 4) == Decimal("0.1000")


@pytest.mark.parametrize("why", ["later", "other users", "other sizes", "nobody"])
def test_failures_that_are_no_retries(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    seconds = 400 if why == "later" else 20
    week(
        log,
        clock,
        30,
        outcome="failed",
        user=lambda _, n: None if why == "nobody" else user(n if why == "other users" else n // 3),
        input_tokens=lambda _, n: 1000 + (n if why == "other sizes" else n // 3),
        at=lambda _, n: timedelta(minutes=30 * (n // 3) + 1, seconds=seconds * (n % 3)),
    )
    assert "repeated_failures" not in kinds(advised(log, tmp_path))


def test_prompts_that_grow_are_shown_with_what_the_growth_costs(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 100, input_tokens=lambda day, n: 1000 + 500 * day + n % 7, output_tokens=10)
    found = one(advised(log, tmp_path, prices=PRICES), "prompt_growth")
    # two days at the beginning, two at the end: 2500 tokens more for 100 calls a day at a dollar per million
    assert round(found.saving, 2) == Decimal("0.25")
    assert found.model == "deepseek-v3.2"
    assert "1,253 tokens" in found.reasoning
    unknown = one(
        advised(log, tmp_path, prices={}, models={"aliases": {"deepseek-v3.2": "nobody-knows"}}), "prompt_growth"
    )
    assert unknown.saving == 0
    assert "no price of nobody-knows is known" in unknown.reasoning


@pytest.mark.parametrize(
    "why", ["one day", "few calls", "few a day", "slightly", "up and down", "another model", "few days"]
)
def test_prompts_that_do_not_grow(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    sizes = {
        "one day": lambda day, _: 9000 if day == 6 else 1000,
        "few calls": lambda day, _: 1000 + 500 * day,
        "few a day": lambda day, _: 1000 + 500 * day,
        "slightly": lambda day, _: 100_000 + 3000 * day,
        "up and down": lambda day, _: (1000, 3000, 900, 2800, 1000, 1900, 2500)[day],
        "another model": lambda day, _: 1000 if day < 4 else 3000,
        "few days": lambda day, _: 1000 + 1000 * day,
    }
    week(
        log,
        clock,
        {"few calls": 14, "few a day": 19}.get(why, 50),
        days=4 if why == "few days" else 7,
        input_tokens=sizes[why],
        model=(lambda day, _: "deepseek-v3.2" if day < 4 else "cheap") if why == "another model" else "deepseek-v3.2",
    )
    assert "prompt_growth" not in kinds(advised(log, tmp_path, prices=PRICES))


def test_a_cheaper_model_is_proposed_by_the_operations_own_tokens(log: Log, clock: Clock, tmp_path: Path) -> None:
    # 1000 tokens at $10 and 100 at $40 per million: 0.014 a call; at the cheap model a tenth
    week(log, clock, 50, operation="here", model="dear", cost="0.014")
    week(log, clock, 50, operation="there", model="cheap", cost="0.0014", latency_ms=420)
    found = one(advised(log, tmp_path, prices=PRICES), "model_switch")
    assert (found.operation, found.model, found.proposal) == ("here", "dear", {"model": "cheap"})
    assert round(found.saving, 4) == Decimal("0.6300")
    assert found.confidence == Decimal("0.40")
    assert "cheap succeeds in 100.0 % of 350 calls, in 420 ms" in found.reasoning
    # once it serves the same operation, more is known
    week(log, clock, 50, operation="here", model="cheap", cost="0.0014", latency_ms=430)
    found = one(advised(log, tmp_path, prices=PRICES), "model_switch")
    assert found.confidence == Decimal("0.70")
    assert "in the same operation cheap succeeds in 100.0 % of 350 calls, in 430 ms" in found.reasoning


def test_a_saving_is_not_taken_from_a_log_that_is_priced_wrongly(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 50, operation="here", model="dear", cost="1.4")
    week(log, clock, 50, operation="there", model="cheap", cost="0.0014")
    assert round(one(advised(log, tmp_path, prices=PRICES), "model_switch").saving, 4) == Decimal("0.6300")


@pytest.mark.parametrize("why", ["no price", "few calls", "it fails", "it is slow", "it is no cheaper", "too little"])
def test_no_other_model_is_proposed(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    tokens = 10 if why == "too little" else 1000
    week(log, clock, 50, operation="here", model="dear", cost="0.014", input_tokens=tokens, output_tokens=tokens // 10)
    week(
        log,
        clock,
        14 if why == "few calls" else 50,
        operation="there",
        model="cheap",
        cost="0.0014",
        latency_ms=700 if why == "it is slow" else 400,
        outcome=(lambda _, n: "failed" if n < 2 else "success") if why == "it fails" else "success",
    )
    prices = dict(PRICES)
    if why == "no price":
        del prices["cheap"]
    if why == "it is no cheaper":
        prices["cheap"] = [{"input": 9, "output": 36}]
    assert "model_switch" not in kinds(advised(log, tmp_path, prices=prices))


def test_calls_with_equal_input_can_be_cached(log: Log, clock: Clock, tmp_path: Path) -> None:
    rng = Random(2)
    sizes = {each: rng.sample(range(1000, 9000), 6) for each in range(10)}
    # each user sends one of a few inputs again and again, three times within the hour
    week(
        log,
        clock,
        120,
        user=lambda _, n: user(n % 10),
        input_tokens=lambda _, n: sizes[n % 10][n // 30 % 6],
        at=lambda _, n: timedelta(hours=n // 30 + 1, minutes=n % 30),
    )
    found = one(advised(log, tmp_path), "response_cache")
    assert found.figures["calls"] == 840
    assert found.figures["repeats"] == 560
    assert Decimal("0.7") < found.saving <= Decimal("0.8")
    assert Decimal("0.4") <= found.confidence <= Decimal("0.5")


@pytest.mark.parametrize("why", ["by chance", "half by chance", "one size", "one user", "nobody", "later"])
def test_equal_sizes_that_say_nothing(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    rng = Random(3)

    def who(_: int, number: int) -> Any:
        return None if why == "nobody" else user(0 if why == "one user" else number % 10)

    def size(_: int, number: int) -> int:
        if why == "by chance":
            return rng.randrange(1000, 1010)
        if why == "half by chance" and rng.random() < 0.5:
            return 700
        return 700 if why == "one size" else 1000 + 37 * (number % 10)

    hours = 0.2 if why != "later" else 2.0
    at = lambda _, n: timedelta(hours=1 + hours * (n // 10))  # noqa: E731
    week(log, clock, 100, user=who, input_tokens=size, at=at, cost="1")
    assert "response_cache" not in kinds(advised(log, tmp_path))


def test_calls_that_come_together_can_be_batched(log: Log, clock: Clock, tmp_path: Path) -> None:
    rng = Random(4)
    # bursts of 30: 20 in one call and 10 in another
    week(
        log,
        clock,
        300,
        user=lambda _, n: user(n // 30),
        input_tokens=lambda *_: 2000 + rng.randrange(500),
        at=lambda _, n: timedelta(hours=n // 30 + 1, minutes=1, seconds=n % 30),
    )
    # counted from midnight, and not from now on, minutes may cut a burst in two
    found = one(advised(log, tmp_path, prices=PRICES), "batching")
    assert found.figures["in_bursts"] == found.figures["calls"] == 2100
    assert Decimal("0.4") < found.saving < Decimal("0.6")
    assert found.confidence == Decimal("0.50")


@pytest.mark.parametrize("why", ["apart", "mostly apart", "no price", "small inputs", "other users", "few"])
def test_calls_that_are_not_batched(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    number = {"few": 10, "small inputs": 400}.get(why, 100)
    each = number // 10
    if why == "mostly apart":
        week(log, clock, 150)
    week(
        log,
        clock,
        number,
        user=lambda _, n: user(n if why == "other users" else n // each),
        input_tokens=99 if why == "small inputs" else 3000,
        at=lambda _, n: timedelta(hours=n // each + 1, seconds=(300 if why == "apart" else 1) * (n % each)),
    )
    models = {"aliases": {"deepseek-v3.2": "nobody-knows"}} if why == "no price" else {}
    prices = {} if why == "no price" else PRICES
    assert "batching" not in kinds(advised(log, tmp_path, prices=prices, models=models))


def route(log: Log, operation: str, enabled: bool = True) -> None:
    log.execute(
        "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model, enabled) VALUES (%s, %s, 'm', %s)",
        operation,
        operation,
        enabled,
    )


def test_operations_that_are_disabled_silent_or_unregistered(log: Log, clock: Clock, tmp_path: Path) -> None:
    route(log, "known")
    route(log, "silent")
    route(log, "disabled", enabled=False)
    route(log, "disabled-and-silent", enabled=False)
    for operation in ("known", "disabled", "stranger"):
        week(log, clock, 30, operation=operation)
    found = advised(log, tmp_path)
    disabled = one(found, "disabled_operation")
    assert (disabled.operation, round(disabled.saving, 2)) == ("disabled", Decimal("0.30"))
    assert disabled.figures["calls"] == 30
    assert one(found, "silent_operation").operation == "silent"
    assert one(found, "unregistered_operation").operation == "stranger"
    found = advised(log, tmp_path, expected_operations=["stranger", "missing"])
    assert "unregistered_operation" not in kinds(found)
    assert {each.operation for each in found if each.kind == "silent_operation"} == {"silent", "missing"}


@pytest.mark.parametrize("why", ["few calls", "no routes", "disabled long ago"])
def test_nothing_is_said_of_operations(log: Log, clock: Clock, tmp_path: Path, why: str) -> None:
    if why != "no routes":
        for operation in ("known", "silent") if why == "few calls" else ("known",):
            route(log, operation)
        route(log, "disabled", enabled=False)
    week(log, clock, 2 if why == "few calls" else 30, operation="known" if why != "no routes" else "stranger")
    week(log, clock, 1 if why == "few calls" else 30, days=7, operation="disabled" if why == "few calls" else "known")
    if why == "few calls":
        week(log, clock, 3, operation="stranger")
    if why == "disabled long ago":
        week(log, clock, 30, operation="disabled")
        log.execute("DELETE FROM ai_operation_log WHERE operation_id = 'disabled' AND {time} > now() - interval '25 h'")
    expected = ["never", "called"]
    found = kinds(advised(log, tmp_path, expected_operations=expected))
    assert not found & {"disabled_operation", "silent_operation", "unregistered_operation"}


def test_a_missing_index_is_recommended_with_its_sql(log: Log, clock: Clock, tmp_path: Path) -> None:
    assert "missing_index" not in kinds(advised(log, tmp_path))
    week(log, clock, 1500)
    index = f"ai_operation_log_{log.time_column}_idx"
    log.execute("ANALYZE")
    assert "missing_index" not in kinds(advised(log, tmp_path))
    log.execute(f"DROP INDEX {index}")
    found = one(advised(log, tmp_path), "missing_index")
    assert found.operation == "*"
    assert found.proposal["sql"].startswith("CREATE INDEX CONCURRENTLY ON ")
    log.execute(found.proposal["sql"])
    assert "missing_index" not in kinds(advised(log, tmp_path))


def test_names_are_shown_as_labels_and_found_by_every_spelling(log: Log, clock: Clock, tmp_path: Path) -> None:
    for operation in ("it's 100% \\ odd", "  it's 100% \\ odd "):
        for model in ("loose", "deepseek-v3.2"):
            week(log, clock, 20, operation=operation, model=model, latency_ms=900)
    found = one(advised(log, tmp_path, models={"aliases": {"loose": "deepseek-v3.2"}}), "slow_operation")
    assert found.operation == "it's 100% \\ odd"
    assert found.figures["calls"] == 560


def test_what_is_older_than_the_window_does_not_count(log: Log, clock: Clock, tmp_path: Path) -> None:
    week(log, clock, 20, latency_ms=900)
    assert "slow_operation" in kinds(advised(log, tmp_path))
    assert "slow_operation" not in kinds(advised(log, tmp_path, seconds=3 * 86_400))
    # a log of one day divides what it spent by one
    log.execute("DELETE FROM ai_operation_log")
    week(log, clock, 200, days=1, outcome=lambda _, n: "failed" if n % 2 else "success", input_tokens=None)
    assert round(one(advised(log, tmp_path), "failed_calls").saving, 2) == Decimal("1.00")
