"""Calls that come many at a time: candidates for one call that answers several. One query, one decision."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from psycopg import sql

from exporter.advisor.calls import Calls, Spelling
from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, LEAST_SAVING, Recommendation, confident, usd
from exporter.advisor.usage import MOST_GROUPS
from exporter.catalog import USD
from exporter.database.session import Session

BURST = 5
"""Calls of one user to one operation within a minute that are a burst."""

BATCH = 20
"""Calls that one call answers, at most."""

LEAST_SHARE = Decimal("0.5")
"""The share of calls in bursts from which on it is worth a change."""

LEAST_INPUT = 100
"""Tokens that every call has: fewer are no prompt worth sharing."""

MOST_CONFIDENCE = Decimal("0.5")
"""The log does not tell whether the calls could be answered together."""

_BURSTS = """
SELECT {names} sum(n) AS calls, coalesce(sum(n) FILTER (WHERE n >= {burst}), 0) AS in_bursts,
       coalesce(sum(n - ceil(n / {batch}::numeric)) FILTER (WHERE n >= {burst}), 0) AS calls_less,
       min(least) AS least_input
FROM (
  SELECT operation, operation_type, model, username, floor(at / 60)::bigint AS minute, count(*) AS n,
         min(input_tokens) AS least
  FROM {calls}
  WHERE NOT failed AND username <> '' AND input_tokens > 0
  GROUP BY 1, 2, 3, 4, 5
) AS minutes
"""
_READ = sql.SQL(_BURSTS.replace("{names}", "operation, operation_type, model,") + "GROUP BY 1, 2, 3\nLIMIT {most}")
_EVIDENCE = _BURSTS.replace("{names} ", "").replace("{burst}", str(BURST)).replace("{batch}", str(BATCH))


@dataclass(frozen=True)
class Bursts:
    """Successful calls of known users, those in bursts, how many fewer would do, and the tokens that each call has."""

    operation: str
    model: str
    spelled: Spelling
    calls: int
    in_bursts: int
    calls_less: int
    least_input: int


def read_bursts(session: Session, calls: Calls) -> list[Bursts]:
    """The bursts of each operation and model."""
    rows = calls.read(session, _READ, "input_tokens", burst=BURST, batch=BATCH, most=MOST_GROUPS)
    return [Bursts(*calls.labels(spelled), spelled, *map(int, sums)) for spelled, sums in rows]


def batchable_calls(facts: Facts, bursts: Sequence[Bursts]) -> Iterator[Recommendation]:
    """Operations that send the same instructions many times within a minute, at a known price."""
    cached = {(usage.operation, usage.model) for usage in facts.usages if usage.total.cached_tokens}
    for each in bursts:
        share = Decimal(each.in_bursts) / each.calls
        if each.in_bursts < LEAST_CALLS or share < LEAST_SHARE or each.least_input < LEAST_INPUT:
            continue
        # what all calls share may be cached by the provider already
        rate = facts.least_input_price(each.model, cached=(each.operation, each.model) in cached) or 0
        saving = facts.a_day(Decimal(each.calls_less * each.least_input * rate) / USD)
        if saving < LEAST_SAVING:
            continue
        yield Recommendation(
            kind="batching",
            operation=each.operation,
            model=each.model,
            title=f"Batch the calls of {each.operation}: one call can answer up to {BATCH} that come together",
            reasoning=f"{each.in_bursts:,} of {each.calls:,} calls to {each.model} in {facts.days:.0f} days come "
            f"{BURST} or more within a minute for the same user, each with {each.least_input:,} tokens of input at "
            f"least. If those are instructions, {each.calls_less:,} calls repeat them in vain: {usd(saving)} a day.",
            figures={
                "calls": each.calls,
                "in_bursts": each.in_bursts,
                "calls_less": each.calls_less,
                "least_input": each.least_input,
            },
            proposal={"action": "batch calls", "at_most": str(BATCH)},
            saving=saving,
            confidence=confident(MOST_CONFIDENCE * share),
            evidence=facts.calls.evidence(_EVIDENCE, [each.spelled], "input_tokens"),
        )
