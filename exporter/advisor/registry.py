"""Operations that are switched off and called all the same, that nobody calls, or that nobody has registered. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from exporter.advisor.calls import Spelling
from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, LEAST_SAVING, Recommendation, confident, usd
from exporter.advisor.usage import spelled, total
from exporter.ledger.calendar import DAY
from exporter.ledger.model import UNKNOWN, TimeRange

LEAST_OF_DISABLED = 20
"""Calls of the last day to an operation that is disabled."""

_COUNT = "SELECT count(*) AS calls\nFROM {calls}"
_COST = "SELECT count(*) AS calls, coalesce(sum(cost), 0) AS usd\nFROM {calls}"


def disabled_operations(facts: Facts) -> Iterator[Recommendation]:
    """Operations whose route is disabled, and that were called in the last whole day of the span."""
    last = int(facts.calls.days) - 1
    lo = facts.calls.span.lo + last * DAY
    span = replace(facts.calls, span=TimeRange(lo, lo + DAY))
    for route in facts.routes or ():
        usages = [] if route.enabled else facts.operations.get(route.operation, [])
        found = total(usage.days[last] for usage in usages if last in usage.days)
        if found.calls < LEAST_OF_DISABLED or found.usd < LEAST_SAVING:
            continue
        yield Recommendation(
            kind="disabled_operation",
            operation=route.operation,
            title=f"Stop calling {route.operation}, or enable its route",
            reasoning=f"Its route is disabled, but {found.calls:,} calls of the last day cost {usd(found.usd)}.",
            figures={"calls": found.calls, "usd": found.usd},
            proposal={"action": "stop the calls"},
            saving=found.usd,
            confidence=confident(0.9),
            evidence=span.evidence(_COST, spelled(usages), "cost", by_model=False),
        )


def unregistered_operations(facts: Facts) -> Iterator[Recommendation]:
    """Operations that are called and have no route, where others have one."""
    if not facts.routes:
        return
    registered = {route.operation for route in facts.routes} | set(facts.expected) | {UNKNOWN}
    for operation, usages in facts.operations.items():
        found = total(usage.total for usage in usages)
        if operation in registered or found.calls < LEAST_CALLS:
            continue
        yield Recommendation(
            kind="unregistered_operation",
            operation=operation,
            title=f"Register a route for {operation}, or find out who calls it",
            reasoning=f"It has neither a route nor a place in expected_operations; {found.calls:,} calls cost "
            f"{usd(facts.a_day(found.usd))} a day.",
            figures={"calls": found.calls},
            proposal={"action": "register it"},
            confidence=confident(0.9),
            evidence=facts.calls.evidence(_COUNT, spelled(usages), by_model=False),
        )


def silent_operations(facts: Facts) -> Iterator[Recommendation]:
    """Operations that have an enabled route or are expected, and have no call at all, while others have many."""
    if facts.total.calls < LEAST_CALLS or facts.days < Decimal(facts.calls.days) / 2:
        return
    disabled = {route.operation for route in facts.routes or () if not route.enabled}
    wanted = dict.fromkeys(route.operation for route in facts.routes or () if route.enabled)
    # the default list names operations that many applications do not have
    if any(operation in facts.operations for operation in facts.expected):
        wanted |= dict.fromkeys(facts.expected)
    for operation in wanted:
        if operation in facts.operations or operation in disabled:
            continue
        yield Recommendation(
            kind="silent_operation",
            operation=operation,
            title=f"Find out why nobody calls {operation}, or disable it",
            reasoning=f"It is registered, but had no call in {facts.calls.days:.0f} days, in which there were "
            f"{facts.total.calls:,} others.",
            figures={"calls": 0},
            proposal={"action": "disable it"},
            confidence=confident(0.6),
            evidence=facts.calls.evidence(_COUNT, [Spelling(operation, "", "")], by_model=False),
        )
