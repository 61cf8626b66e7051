"""Plausible calls: a pure generator of history, and of single calls for the live traffic."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import accumulate
from random import Random
from typing import Literal
from uuid import UUID

from exporter.demo.profiles import FAILURES, MODELS, OPERATIONS, USERS, Operation
from exporter.demo.schema import DemoLog

Outcome = Literal["pending", "running", "success", "failed", "timeout"]

CALLS_PER_DAY = 12_000
"""Enough that calls come in while one looks on, and few enough that a month of them is written in a few seconds."""
# Shares of a day, hour by hour (UTC): a European office, its breaks, and jobs in the night.
_HOURS = (1, 1, 1, 1, 1, 2, 5, 10, 15, 17, 16, 13, 10, 14, 16, 15, 12, 8, 5, 4, 3, 3, 2, 1)
_WEEKDAYS = (1.2, 1.3, 1.25, 1.25, 1.1, 0.5, 0.4)
_FAILURE_SHARE = 0.015
_FALLBACK_SHARE = 0.04
_USER_WEIGHTS_UP_TO = tuple(accumulate(1 / rank for rank in range(1, len(USERS) + 1)))
_MICRO = Decimal("0.000001")


@dataclass(frozen=True)
class Call:
    """One call to a model; `at` is when it began, in UTC without a zone, as the log has it.

    Cost in USD, latency in milliseconds; None stands for NULL. `error_class` is what the message stands for.
    """

    id: UUID
    at: datetime
    operation: str
    model: str
    user: UUID | None
    outcome: Outcome
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    latency_ms: int | None = None
    quality: Decimal | None = None
    error_class: str | None = None
    error_message: str | None = None
    names_operation: bool = True
    """Whether the row of layout "success" has an operation_id and not only an operation_type."""

    @property
    def ended_at(self) -> datetime:
        """When the call ended: at once where the latency is not known."""
        return self.at + timedelta(milliseconds=self.latency_ms or 0)


def history(layout: DemoLog, days: int, now: datetime, rng: Random, per_day: int = CALLS_PER_DAY) -> Iterator[Call]:
    """Calls of the last `days` whole days (UTC) and of today up to `now`, about `per_day`, roughly in order.

    `now` carries a time zone. In layout "status" the last few are still pending or running.
    """
    if days < 0:
        raise ValueError(f"days must be 0 or more, not {days}")
    end = now.astimezone(UTC).replace(tzinfo=None)
    start = history_start(days, now).replace(tzinfo=None)
    for hour in range((days + 1) * 24):
        begins = start + timedelta(hours=hour)
        for at in sorted(
            begins + timedelta(hours=rng.random()) for _ in range(_calls_in_hour(begins, per_day / CALLS_PER_DAY, rng))
        ):
            call = make_call(at, rng)
            if call.ended_at <= end:
                yield call
    if layout == "status":
        for seconds, outcome in _UNFINISHED:
            yield in_progress(make_call(end - timedelta(seconds=seconds), rng), outcome)


def history_start(days: int, now: datetime) -> datetime:
    """The midnight (UTC, with its zone) at which the history begins."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days)


def calls_per_hour(at: datetime) -> float:
    """How many calls an hour begin at a time of day and week (UTC), on average, in the history and live."""
    return sum(_per_hour(at.hour, at.weekday()))


def make_call(at: datetime, rng: Random) -> Call:
    """One finished call that begins at `at`."""
    return make_call_of(rng.choices(OPERATIONS, _per_hour(at.hour, at.weekday()))[0], at, rng)


def make_call_of(operation: Operation, at: datetime, rng: Random) -> Call:
    """One finished call of an operation that begins at `at`."""
    fell_back = operation.fallback is not None and rng.random() < _FALLBACK_SHARE
    model = operation.fallback if fell_back and operation.fallback is not None else operation.primary
    call = _answered(at, operation, model, rng)
    if rng.random() < _FAILURE_SHARE:
        call = fail(call, rng.choices(list(FAILURES), [share for share, _ in FAILURES.values()])[0], rng)
    return _with_gaps(call, rng)


def fail(call: Call, error_class: str, rng: Random) -> Call:
    """The same call as it ends in a failure of a class."""
    timeout = MODELS[call.model].timeout_ms
    timed_out = error_class == "timeout"
    # What the provider had begun to answer is billed in some of the timeouts and filtered answers.
    billed = error_class in {"timeout", "content_filter"} and rng.random() < 0.5
    return replace(
        call,
        outcome="timeout" if timed_out else "failed",
        output_tokens=call.output_tokens if billed else None,
        cost_usd=call.cost_usd if billed else None,
        input_tokens=call.input_tokens if billed else None,
        latency_ms=timeout + rng.randint(0, 400) if timed_out else rng.randint(40, 2500),
        quality=None,
        error_class=error_class,
        error_message=rng.choice(FAILURES[error_class][1]).format(timeout=timeout),
    )


def in_progress(call: Call, outcome: Literal["pending", "running"]) -> Call:
    """The same call before it ended: nothing is known yet of its cost, tokens and latency."""
    return Call(call.id, call.at, call.operation, call.model, call.user, outcome, names_operation=call.names_operation)


_UNFINISHED: tuple[tuple[float, Literal["pending", "running"]], ...] = (
    (25, "running"),
    (9, "running"),
    (4, "running"),
    (2, "pending"),
    (1, "pending"),
)


@cache
def _per_hour(hour: int, weekday: int) -> tuple[float, ...]:
    """Calls of each operation."""
    by_day = _HOURS[hour] / sum(_HOURS) * _WEEKDAYS[weekday]
    return tuple(CALLS_PER_DAY * each.share * (1 / 24 if each.day_and_night else by_day) for each in OPERATIONS)


def _calls_in_hour(begins: datetime, share: float, rng: Random) -> int:
    mean = calls_per_hour(begins) * share
    return max(0, round(rng.gauss(mean, math.sqrt(mean))))


def _answered(at: datetime, operation: Operation, model_name: str, rng: Random) -> Call:
    model = MODELS[model_name]
    input_tokens = max(20, round(operation.input_tokens * rng.lognormvariate(0, 0.45)))
    output_tokens = max(2, round(operation.output_tokens * rng.lognormvariate(0, 0.4)))
    price = (input_tokens * model.input_price + output_tokens * model.output_price) / 1_000_000
    latency = (model.first_token_ms + output_tokens * model.output_token_ms) * rng.lognormvariate(0, 0.3)
    return Call(
        id=UUID(int=rng.getrandbits(128), version=4),
        at=at,
        operation=operation.name,
        model=model_name,
        user=rng.choices(USERS, cum_weights=_USER_WEIGHTS_UP_TO)[0],
        outcome="success",
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=price.quantize(_MICRO),
        latency_ms=min(round(latency), model.timeout_ms - 1),
        quality=Decimal(rng.randint(62, 100)) / 100 if rng.random() < 0.4 else None,
    )


def _with_gaps(call: Call, rng: Random) -> Call:
    """What real writers leave out: users of background jobs, costs, tokens, latency, the operation's id."""
    if rng.random() < 0.03:
        call = replace(call, user=None)
    if rng.random() < 0.001:
        call = replace(call, cost_usd=rng.choice((None, Decimal(0))))
    if rng.random() < 0.005:
        call = replace(call, input_tokens=None, output_tokens=None)
    if rng.random() < 0.005:
        call = replace(call, latency_ms=None)
    if rng.random() < 0.03:
        call = replace(call, names_operation=False)
    return call
