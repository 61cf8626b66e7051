"""Money spent on calls that failed, and on failures that were tried again. One query, two decisions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

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
_READ = sql.SQL(_TRIED.replace("{names}", "operation, operation_type, model,") + "GROUP BY 1, 2, 3\nLIMIT {most}")
_EVIDENCE = _TRIED.replace("{names} ", "").replace("{seconds}", str(RETRY_SECONDS))


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
    found: dict[tuple[str, str], list[tuple[Spelling, list[Any]]]] = {}
    for row in calls.read(session, _READ, "cost", "input_tokens", seconds=RETRY_SECONDS, most=MOST_GROUPS):
        found.setdefault(calls.labels(row[0]), []).append(row)
    failures = []
    for key, rows in sorted(found.items()):
        sums: list[Any] = [sum(column) for column in zip(*(figures for _, figures in rows), strict=True)]
        failures.append(Failures(*key, tuple(spelled for spelled, _ in rows), *sums))
    return failures


def failed_calls(facts: Facts, failures: Sequence[Failures]) -> Iterator[Recommendation]:
    """Operations that pay for a large share of calls that fail; what retries cost is counted by the other rule."""
    calls = {(usage.operation, usage.model): usage.total.calls for usage in facts.usages}
    for each in failures:
        of = calls.get((each.operation, each.model), 0)
        saving = facts.a_day(each.usd - each.retry_usd)
        certain = at_least(each.failed, of)
        if of < LEAST_CALLS or certain < MANY_FAILURES or saving < LEAST_SAVING:
            continue
        yield Recommendation(
            kind="failed_calls",
            operation=each.operation,
            model=each.model,
            title=f"Find out why {each.operation} fails on {each.model}, and stop paying for it",
            reasoning=f"{each.failed:,} of {of:,} calls failed ({percent(each.failed / of)}), but still cost "
            f"{usd(facts.a_day(each.usd))} a day; {usd(saving)} of that is for first attempts.",
            figures={"failed": each.failed, "usd": each.usd, "retries": each.retries, "retry_usd": each.retry_usd},
            proposal={"action": "avoid the failures"},
            saving=saving,
            confidence=confident(0.8),
            evidence=facts.calls.evidence(_EVIDENCE, each.spelled, "cost", "input_tokens"),
        )


def repeated_failures(facts: Facts, failures: Sequence[Failures]) -> Iterator[Recommendation]:
    """Operations that pay for retries which fail again."""
    for each in failures:
        saving = facts.a_day(each.retry_usd)
        if each.failed < LEAST_CALLS or each.retries < LEAST_RETRIES or saving < LEAST_SAVING:
            continue
        yield Recommendation(
            kind="repeated_failures",
            operation=each.operation,
            model=each.model,
            title=f"Retry {each.operation} later, or less often, when {each.model} fails",
            reasoning=f"{each.retries:,} of {each.failed:,} failed calls came within {RETRY_SECONDS // 60} minutes "
            "after another failure of the same user with as many tokens of input: they are most likely retries. They "
            f"cost {usd(saving)} a day.",
            figures={"failed": each.failed, "usd": each.usd, "retries": each.retries, "retry_usd": each.retry_usd},
            proposal={"action": "wait longer before a retry, and give up sooner"},
            saving=saving,
            confidence=confident(0.6),
            evidence=facts.calls.evidence(_EVIDENCE, each.spelled, "cost", "input_tokens"),
        )
