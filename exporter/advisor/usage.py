"""What operations used of models, day by day: read in one pass, which most rules decide by."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

from psycopg import sql

from exporter.advisor.calls import Calls, Spelling
from exporter.database.errors import TooManyRows
from exporter.database.session import Session
from exporter.ledger.calendar import DAY
from exporter.prices.model import PRICE_TIERS, Tokens

MOST_GROUPS = 100_000
"""Operations times models times days, at most."""

# of a call that failed and cost nothing, the tokens were not billed
_USAGE = sql.SQL("""
SELECT operation, operation_type, model, day, tier, count(*), count(*) FILTER (WHERE failed), sum(cost),
       count(*) FILTER (WHERE billed), count(input_tokens) FILTER (WHERE billed),
       sum(input_tokens) FILTER (WHERE billed), sum(output_tokens) FILTER (WHERE billed),
       sum(cached_tokens) FILTER (WHERE billed), count(latency) FILTER (WHERE NOT failed),
       sum(latency) FILTER (WHERE NOT failed), min(at)
FROM (
  SELECT *, floor((at - {lo}) / 86400)::int AS day, NOT failed OR coalesce(cost, 0) > 0 AS billed,
         CASE WHEN {input} < {first_tier} THEN 0 ELSE width_bucket({input}::numeric, {tiers}::numeric[]) END AS tier
  FROM {calls}
) AS dated
GROUP BY 1, 2, 3, 4, 5
LIMIT {most}
""")


_Row = tuple[Spelling, list[Any]]
_INPUT = sql.SQL("coalesce(input_tokens, 0)")
_INPUT_AND_CACHED = sql.SQL("(coalesce(input_tokens, 0) + coalesce(cached_tokens, 0))")


@dataclass(frozen=True)
class Figures:
    """Sums of calls that have ended: money in USD, latency in milliseconds and of successful calls alone."""

    calls: int = 0
    failed: int = 0
    usd: Decimal = Decimal(0)
    billed: int = 0
    sized: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    timed: int = 0
    latency: Decimal = Decimal(0)

    def __add__(self, other: Self) -> "Figures":
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def mean_latency(self) -> Decimal:
        """Milliseconds that a successful call took on average."""
        return self.latency / self.timed if self.timed else Decimal(0)


@dataclass(frozen=True)
class Usage:
    """What one operation used of one model; `days` counts from the beginning of the span.

    `tokens` are those that were billed, by the size of the call's input as `PRICE_TIERS` has it.
    """

    operation: str
    model: str
    spelled: tuple[Spelling, ...]
    days: Mapping[int, Figures]
    tokens: tuple[Tokens, ...] = ()
    oldest: float = 0.0

    @cached_property
    def total(self) -> Figures:
        """All days together."""
        return total(self.days.values())


def total(figures: Iterable[Figures]) -> Figures:
    """The sum of figures."""
    return sum(figures, Figures())


def by(usages: Iterable[Usage], key: Callable[[Usage], str]) -> dict[str, list[Usage]]:
    """Usages by operation, or by model."""
    found: dict[str, list[Usage]] = {}
    for usage in usages:
        found.setdefault(key(usage), []).append(usage)
    return found


def spelled(usages: Iterable[Usage]) -> tuple[Spelling, ...]:
    """Every spelling of their names."""
    return tuple(each for usage in usages for each in usage.spelled)


def read_usage(session: Session, calls: Calls) -> list[Usage]:
    """What each operation used of each model. Raises `TooManyRows` where there are more than `MOST_GROUPS`."""
    rules = calls.rules
    whole = _INPUT if rules.cached_in_input else _INPUT_AND_CACHED
    measures = ("cost", "input_tokens", "output_tokens", "cached_tokens", "latency")
    bounds = {"first_tier": PRICE_TIERS[0] + 1, "tiers": [size + 1 for size in PRICE_TIERS], "most": MOST_GROUPS + 1}
    found: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for row in calls.read(session, _USAGE, *measures, lo=calls.span.lo, input=whole, **bounds):
        found[calls.labels(row[0])].append(row)
    if sum(map(len, found.values())) > MOST_GROUPS:
        raise TooManyRows(f"the log has more than {MOST_GROUPS} operations, models and days", "look less far back")
    return [_usage(key, rows, rules.cached_in_input) for key, rows in sorted(found.items())]


def _usage(key: tuple[str, str], rows: Sequence[_Row], cached_in_input: bool) -> Usage:
    days: dict[int, Figures] = {}
    tokens = []
    for _, (day, tier, *sums, _) in rows:
        known: list[Any] = [Decimal(0) if value is None else value for value in sums]
        figures = Figures(*known)
        days[day] = days.get(day, Figures()) + figures
        cached = int(figures.cached_tokens)
        whole = int(figures.input_tokens) + (0 if cached_in_input else cached)
        tokens.append(Tokens(figures.billed, tier, whole, int(figures.output_tokens), cached))
    spellings = dict.fromkeys(spelling for spelling, _ in rows)
    return Usage(*key, tuple(spellings), days, tuple(tokens), oldest=min(oldest for _, (*_, oldest) in rows))


def covered_days(usages: Iterable[Usage], calls: Calls) -> float:
    """The days that sums are divided by: those since the oldest call of the span, begun ones whole; one at least."""
    oldest = min((usage.oldest for usage in usages), default=calls.span.hi)
    return max(1.0, min(calls.days, math.ceil((calls.span.hi - oldest) / DAY)))
