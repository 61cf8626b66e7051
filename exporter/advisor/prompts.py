"""Prompts that grow from day to day. A pure decision."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations

from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, LEAST_SAVING, Recommendation, confident, usd
from exporter.advisor.usage import Figures, total
from exporter.catalog import USD
from exporter.ledger.calendar import DAY

LEAST_OF_A_DAY = 20
"""Calls of a day whose mean counts."""

LEAST_DAYS = 5
"""Days with so many calls that it takes to see growth."""

GROWTH = Decimal("1.2")
"""From this ratio of the last days' mean to that of the first ones on, a prompt has grown."""

STEADINESS = 0.6
"""The least Kendall's tau of the daily means: 1 where each day is above all before it."""

_EVIDENCE = """
SELECT round(avg(input_tokens) FILTER (WHERE at < {early}), 1) AS mean_before,
       round(avg(input_tokens) FILTER (WHERE at >= {late}), 1) AS mean_after
FROM {calls} WHERE input_tokens IS NOT NULL AND (NOT failed OR cost > 0)
"""


def growing_prompts(facts: Facts) -> Iterator[Recommendation]:
    """The operations whose input has become larger, by model, so that a switch of models is no growth."""
    for usage in facts.usages:
        days = [day for day, found in sorted(usage.days.items()) if found.sized >= LEAST_OF_A_DAY]
        if len(days) < LEAST_DAYS or usage.total.sized < LEAST_CALLS:
            continue
        third = len(days) // 3
        early, late = days[third - 1] + 1, days[-third]
        before = total(found for day, found in usage.days.items() if day < early)
        after = total(found for day, found in usage.days.items() if day >= late)
        tau = steadiness([_mean(usage.days[day]) for day in days])
        if not _mean(before) or _mean(after) < GROWTH * _mean(before) or tau < STEADINESS:
            continue
        # the cheapest price, and as if all were cached where anything is, so as not to promise too much
        rate = facts.least_input_price(usage.model, cached=usage.total.cached_tokens > 0)
        calls_a_day = Decimal(after.sized) / (days[-1] - late + 1)
        saving = (_mean(after) - _mean(before)) * calls_a_day * (rate or 0) / USD
        cheaper = f"{usd(saving)} less a day" if rate is not None else f"less; no price of {usage.model} is known"
        if rate is not None and saving < LEAST_SAVING:
            continue
        lo = facts.calls.span.lo
        query = _EVIDENCE.replace("{early}", str(lo + early * DAY)).replace("{late}", str(lo + late * DAY))
        yield Recommendation(
            kind="prompt_growth",
            operation=usage.operation,
            model=usage.model,
            title=f"Find out why the prompts of {usage.operation} grow, and cut them",
            reasoning=f"Calls to {usage.model} had {_mean(before):,.0f} tokens of input on average in the first days, "
            f"and have {_mean(after):,.0f} in the last days. At their former size, "
            f"they would cost {cheaper}.",
            figures={"mean_before": round(_mean(before), 1), "mean_after": round(_mean(after), 1)},
            proposal={"action": "cut the prompt"},
            saving=saving,
            confidence=confident(0.9 * tau),
            evidence=facts.calls.evidence(query, usage.spelled, "input_tokens", "cost"),
        )


def steadiness(means: Sequence[Decimal]) -> float:
    """Kendall's tau of a series against time: from -1, where it always falls, to 1, where it always rises."""
    pairs = list(combinations(means, 2))
    return sum((later > earlier) - (later < earlier) for earlier, later in pairs) / len(pairs) if pairs else 0.0


def _mean(figures: Figures) -> Decimal:
    return Decimal(figures.input_tokens) / figures.sized if figures.sized else Decimal(0)
