"""A cheaper model for an operation, by the operation's own tokens. A pure decision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, Recommendation, confident, percent, usd
from exporter.advisor.usage import Figures, Usage, by, total
from exporter.catalog import USD
from exporter.ledger.model import UNKNOWN
from exporter.prices.model import Tokens

LEAST_SAVED = Decimal("0.05")
"""USD a day that a switch must save."""

LEAST_SHARE = Decimal("0.2")
"""Share of its cost that a switch must save: tokens of one model are not quite those of another."""

MORE_FAILURES = 0.01
"""The other model may fail in so much larger a share of calls, at most."""

SLOWER = Decimal("1.5")
"""The other model may take so many times as long, at most."""

SAME_OPERATION, ELSEWHERE = Decimal("0.7"), Decimal("0.4")
"""The confidence where the other model serves the operation already, and where it serves others only."""

_EVIDENCE = """
SELECT count(*) AS calls, sum(cost) AS usd, sum(input_tokens) FILTER (WHERE NOT failed OR cost > 0) AS input_tokens,
       sum(output_tokens) FILTER (WHERE NOT failed OR cost > 0) AS output_tokens,
       sum(CASE WHEN failed THEN 1 ELSE 0 END) AS failed,
       round(avg(latency) FILTER (WHERE NOT failed), 1) AS mean_latency_ms
FROM {calls}
"""


@dataclass(frozen=True)
class _Candidate:
    model: str
    usd: Decimal
    seen: Figures
    here: bool

    @property
    def confidence(self) -> Decimal:
        return SAME_OPERATION if self.here else ELSEWHERE


def cheaper_models(facts: Facts) -> Iterator[Recommendation]:
    """For each operation and model, the model of the log that would serve it for the least money, and no worse."""
    by_model = by(facts.usages, lambda usage: usage.model)
    models = {model: total(each.total for each in usages) for model, usages in by_model.items()}
    for usage in facts.usages:
        current = usage.total
        if current.billed < LEAST_CALLS or current.timed < LEAST_CALLS or usage.model == UNKNOWN:
            continue
        spent = _spent(facts, usage)
        candidates = [
            each
            for model in models
            if model not in (usage.model, UNKNOWN)
            and (each := _candidate(facts, usage, model, models[model])) is not None
            and spent - each.usd >= LEAST_SHARE * spent
            and facts.a_day(spent - each.usd) >= LEAST_SAVED
            and _is_no_worse(each.seen, current)
        ]
        if candidates:
            best = max(candidates, key=lambda each: ((spent - each.usd) * each.confidence, each.model))
            yield _recommendation(facts, usage, spent, best)


def _spent(facts: Facts, usage: Usage) -> Decimal:
    """What the calls cost: as logged, or as expected where that is less, since then the log's price is wrong."""
    expected = _cost(facts, usage.model, usage.tokens)
    return usage.total.usd if expected is None else min(usage.total.usd, expected)


def _cost(facts: Facts, model: str, tokens: Sequence[Tokens]) -> Decimal | None:
    """What tokens cost at another model, in USD, at its dearest hour; None where no price is known."""
    prices = facts.prices_of(model)
    return max((Decimal(sum(map(price.cost, tokens))) / USD for price in prices), default=None)


def _candidate(facts: Facts, usage: Usage, model: str, everywhere: Figures) -> _Candidate | None:
    cost = _cost(facts, model, usage.tokens)
    if cost is None:
        return None
    here = next((each.total for each in facts.operations[usage.operation] if each.model == model), Figures())
    seen, is_here = (here, True) if min(here.calls, here.timed) >= LEAST_CALLS else (everywhere, False)
    if min(seen.calls, seen.timed) < LEAST_CALLS:
        return None
    return _Candidate(model, cost, seen, is_here)


def _is_no_worse(seen: Figures, current: Figures) -> bool:
    return (
        seen.failed / seen.calls <= current.failed / current.calls + MORE_FAILURES
        and seen.mean_latency <= SLOWER * current.mean_latency
    )


def _recommendation(facts: Facts, usage: Usage, spent: Decimal, best: _Candidate) -> Recommendation:
    current, seen = usage.total, best.seen
    saving = facts.a_day(spent - best.usd)
    where = "in the same operation" if best.here else "in other operations"
    return Recommendation(
        kind="model_switch",
        operation=usage.operation,
        model=usage.model,
        title=f"Try {best.model} in place of {usage.model} for a part of {usage.operation}",
        reasoning=f"{current.calls:,} calls to {usage.model} cost {usd(facts.a_day(spent))} a day; their tokens cost "
        f"{usd(facts.a_day(best.usd))} at {best.model}. {_said(usage.model, current)}; {where} "
        f"{_said(best.model, seen)}. The log does not tell how good the answers are: compare them first.",
        figures={
            "calls": current.calls,
            "usd": current.usd,
            "input_tokens": current.input_tokens,
            "output_tokens": current.output_tokens,
            "failed": current.failed,
            "mean_latency_ms": round(current.mean_latency, 1),
        },
        proposal={"model": best.model},
        saving=saving,
        confidence=confident(best.confidence),
        evidence=facts.calls.evidence(_EVIDENCE, usage.spelled, "cost", "input_tokens", "output_tokens", "latency"),
    )


def _said(model: str, figures: Figures) -> str:
    rate = (figures.calls - figures.failed) / figures.calls
    return (
        f"{model} succeeds in {percent(rate)} of {figures.calls:,} calls, in {figures.mean_latency:,.0f} ms on average"
    )
