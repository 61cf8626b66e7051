"""Money spent on calls that failed, and on failures that were tried again. One query, two decisions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from psycopg import sql

from exporter.advisor.calls import Calls, Spelling
from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, LEAST_SAVING, Recommendation, at_least, confident, percent, usd
from exporter.advisor.usage import MOST_GROUPS
from exporter.database.session import Session

MANY_FAILURES = 0.02
"""From this share of failed calls on, which must be certain, failures are worth a look."""

LEAST_RETRIES = 20
"""Failures that were tried again and failed again."""

RETRY_SECONDS = 300
"""A failure so soon after another one of the same user, operation and size of input is that one's retry."""

_TRIED = """
SELECT {names} count(*) AS failed, coalesce(sum(cost), 0) AS usd, count(*) FILTER (WHERE again) AS retries,
       coalesce(sum(cost) FILTER (WHERE again), 0) AS retry_usd
FROM (
  SELECT calls.*, username <> '' AND input_tokens IS NOT NULL AND coalesce(at - lag(at) OVER (
           PARTITION BY operation, operation_type, username, input_tokens ORDER BY at
         ) <= {seconds}, false) AS again
  FROM {calls} WHERE failed
) AS tried
"""
_READ = sql.SQL(_TRIED + "GROUP BY 1, 2, 3\nLIMIT {most}")


@dataclass(frozen=True)
class Failures:
    """The failed calls of an operation to a model: how many, their cost in USD, and of those the retries."""

    operation: str
    model: str
    spelled: tuple[Spelling, ...]
    failed: int
    usd: Decimal
    retries: int
    retry_usd: Decimal


def read_failures(session: Session, calls: Calls) -> list[Failures]:
    """The failed calls of each operation and model."""
    statement = _READ.format(
        names=sql.SQL("operation, operation_type, model,"),
        calls=sql.SQL("({}) AS calls").format(calls.rows("cost", "input_tokens")),
        seconds=sql.Literal(RETRY_SECONDS),
        most=sql.Literal(MOST_GROUPS),
    )
    found: dict[tuple[str, str], Failures] = {}
    names = calls.names
    for operation, operation_type, model, *sums in session.stream(statement):
        key = names.operation(operation, operation_type), names.model(model)
        known = found.get(key, Failures(*key, (), 0, Decimal(0), 0, Decimal(0)))
        failed, spent, retries, retry_usd = sums
        found[key] = Failures(
            *key,
            (*known.spelled, Spelling(operation, operation_type, model)),
            known.failed + failed,
            known.usd + spent,
            known.retries + retries,
            known.retry_usd + retry_usd,
        )
    return [each for _, each in sorted(found.items())]


def failed_calls(facts: Facts, failures: Sequence[Failures]) -> Iterator[Recommendation]:
    """Operations that pay for a large share of calls that fail; what retries cost is counted by the other rule."""
    calls = {(usage.operation, usage.model): usage.total.calls for usage in facts.usages}
    for each in failures:
        of = calls.get((each.operation, each.model), 0)
        saving = facts.a_day(each.usd - each.retry_usd)
        certain = at_least(each.failed, of)
        if of < LEAST_CALLS or certain < MANY_FAILURES or saving < LEAST_SAVING:
            continue
        yield _recommendation(
            facts,
            each,
            "failed_calls",
            f"Find out why {each.operation} fails on {each.model}, and stop paying for it",
            f"{each.failed:,} of {of:,} calls failed ({percent(each.failed / of)}), and cost "
            f"{usd(facts.a_day(each.usd))} a day all the same; {usd(saving)} of it are first attempts.",
            "avoid the failures",
            saving,
            Decimal("0.8"),
        )


def repeated_failures(facts: Facts, failures: Sequence[Failures]) -> Iterator[Recommendation]:
    """Operations that pay for retries which fail again."""
    for each in failures:
        saving = facts.a_day(each.retry_usd)
        if each.failed < LEAST_CALLS or each.retries < LEAST_RETRIES or saving < LEAST_SAVING:
            continue
        yield _recommendation(
            facts,
            each,
            "repeated_failures",
            f"Try {each.operation} again later, or less often, when {each.model} fails",
            f"{each.retries:,} of {each.failed:,} failed calls came within {RETRY_SECONDS // 60} minutes of another "
            f"failure of the same user with as many tokens of input: most likely retries. They cost "
            f"{usd(saving)} a day.",
            "wait longer before a retry, and give up sooner",
            saving,
            Decimal("0.6"),
        )


def _recommendation(
    facts: Facts,
    each: Failures,
    kind: Literal["failed_calls", "repeated_failures"],
    title: str,
    reasoning: str,
    action: str,
    saving: Decimal,
    confidence: Decimal,
) -> Recommendation:
    query = _TRIED.replace("{names} ", "").replace("{seconds}", str(RETRY_SECONDS))
    return Recommendation(
        kind=kind,
        operation=each.operation,
        model=each.model,
        title=title,
        reasoning=reasoning,
        figures={"failed": each.failed, "usd": each.usd, "retries": each.retries, "retry_usd": each.retry_usd},
        proposal={"action": action},
        saving=saving,
        confidence=confident(confidence),
        evidence=facts.calls.evidence(query, each.spelled, "cost", "input_tokens"),
    )
