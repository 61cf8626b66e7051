"""The mission's two questions of the last days: which operations cost most, and which are slow. Pure decisions."""

from collections.abc import Iterator
from decimal import Decimal

from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, Recommendation, confident, percent, usd
from exporter.advisor.usage import spelled, total

COSTLY_SHARE = Decimal("0.25")
"""From this share of all spend on, an operation is costly."""

LEAST_SPEND = Decimal("0.10")
"""USD a day: an operation that costs less is not costly."""

SLOW = 500
"""Milliseconds that successful calls take on average: more is slow."""

_COST = "SELECT count(*) AS calls, sum(cost) AS usd\nFROM {calls}"
_LATENCY = """
SELECT count(latency) AS calls, round(avg(latency), 1) AS mean_latency_ms
FROM {calls} WHERE NOT failed
"""


def costly_operations(facts: Facts) -> Iterator[Recommendation]:
    """The operations that most of the money goes to, where there are several."""
    spent = facts.total.usd
    if len(facts.operations) < 2 or spent <= 0:
        return
    for operation, usages in facts.operations.items():
        found = total(usage.total for usage in usages)
        a_day = facts.a_day(found.usd)
        if found.calls < LEAST_CALLS or found.usd < COSTLY_SHARE * spent or a_day < LEAST_SPEND:
            continue
        share = found.usd / spent
        yield Recommendation(
            kind="costly_operation",
            operation=operation,
            title=f"Look at the prompts, answers and model of {operation} first",
            reasoning=f"It costs {usd(a_day)} a day, {percent(share)} of all spend, in {found.calls:,} calls. Savings "
            "here count most.",
            figures={"calls": found.calls, "usd": found.usd},
            proposal={"action": "review"},
            confidence=confident(1),
            evidence=facts.calls.evidence(_COST, spelled(usages), "cost", by_model=False),
        )


def slow_operations(facts: Facts) -> Iterator[Recommendation]:
    """The operations whose successful calls take more than `SLOW` on average."""
    for operation, usages in facts.operations.items():
        found = total(usage.total for usage in usages)
        if found.timed < LEAST_CALLS or found.mean_latency <= SLOW:
            continue
        models = [(usage.total.mean_latency, usage.model) for usage in usages if usage.total.timed >= LEAST_CALLS]
        hint = "{1} is the quickest of its models, at {0:,.0f} ms.".format(*min(models)) if len(models) > 1 else ""
        yield Recommendation(
            kind="slow_operation",
            operation=operation,
            title=f"Make {operation} faster: shorter answers, a quicker model, or streaming",
            reasoning=f"A successful call takes {found.mean_latency:,.0f} ms on average, over {found.timed:,} calls; "
            f"more than {SLOW} ms is slow. {hint}".rstrip(),
            figures={"calls": found.timed, "mean_latency_ms": round(found.mean_latency, 1)},
            proposal={"mean_latency_ms": str(SLOW)},
            confidence=confident(1),
            evidence=facts.calls.evidence(_LATENCY, spelled(usages), "latency", by_model=False),
        )
