"""Calls that most likely had an input that was answered already: candidates for a cache.

The log has no input, only its size. A user who sends as many tokens as in an earlier call of the same hour may have
sent the same. How often two calls have equal sizes by chance is what the calls of different users show. Only what is
far beyond that counts, and the confidence is never high.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from psycopg import sql

from exporter.advisor.calls import Calls, Spelling
from exporter.advisor.facts import Facts
from exporter.advisor.model import LEAST_CALLS, LEAST_SAVING, Recommendation, confident, percent
from exporter.advisor.usage import MOST_GROUPS
from exporter.database.session import Session

LEAST_PAIRS = 1000
"""Pairs of calls of different users that it takes to know what is chance."""

BEYOND_CHANCE = Decimal("0.8")
"""The least share of equal sizes that chance does not explain."""

MOST_CONFIDENCE = Decimal("0.5")
"""Equal sizes are weak evidence of equal inputs."""

# pairs are counted twice, in both orders; what divides them is, too
_REPEATS = """
WITH sized AS (
  SELECT operation, operation_type, model, username, floor(at / 3600)::bigint AS hour, input_tokens, count(*) AS n,
         coalesce(sum(cost), 0) AS usd
  FROM {calls}
  WHERE NOT failed AND username <> '' AND input_tokens > 0
  GROUP BY 1, 2, 3, 4, 5, 6
), of_users AS (
  SELECT operation, operation_type, model, username, input_tokens, sum(n) AS n FROM sized GROUP BY 1, 2, 3, 4, 5
), of_sizes AS (
  SELECT operation, operation_type, model, input_tokens, sum(n) AS n, sum(n * n) AS own FROM of_users
  GROUP BY 1, 2, 3, 4
), alike AS (
  SELECT operation, operation_type, model, sum(n * n - own) AS pairs FROM of_sizes GROUP BY 1, 2, 3
), between_users AS (
  SELECT operation, operation_type, model, sum(n) * sum(n) - sum(n * n) AS pairs
  FROM (SELECT operation, operation_type, model, username, sum(n) AS n FROM of_users GROUP BY 1, 2, 3, 4) AS users
  GROUP BY 1, 2, 3
), within_hours AS (
  SELECT operation, operation_type, model, sum(n * (n - 1)) AS pairs
  FROM (SELECT operation, operation_type, model, username, hour, sum(n) AS n FROM sized GROUP BY 1, 2, 3, 4, 5) AS hours
  GROUP BY 1, 2, 3
), repeated AS (
  SELECT operation, operation_type, model, sum(n) AS calls, sum(n - 1) AS repeats,
         round(sum(usd * (n - 1) / n), 6) AS usd, sum(n * (n - 1)) AS pairs
  FROM sized GROUP BY 1, 2, 3
)
"""
_READ = sql.SQL(
    _REPEATS
    + """
SELECT r.operation, r.operation_type, r.model, r.calls, r.repeats, r.usd, r.pairs, w.pairs, a.pairs, b.pairs
FROM repeated AS r, within_hours AS w, alike AS a, between_users AS b
WHERE (r.operation, r.operation_type, r.model) = (w.operation, w.operation_type, w.model)
  AND (r.operation, r.operation_type, r.model) = (a.operation, a.operation_type, a.model)
  AND (r.operation, r.operation_type, r.model) = (b.operation, b.operation_type, b.model)
  AND r.repeats >= {least} AND b.pairs >= {pairs}
LIMIT {most}
"""
)
_EVIDENCE = _REPEATS + (
    """
SELECT r.calls, r.repeats, r.usd, round(100.0 * r.pairs / w.pairs, 3) AS equal_percent,
       round(100.0 * a.pairs / b.pairs, 3) AS by_chance_percent
FROM repeated AS r, within_hours AS w, alike AS a, between_users AS b
"""
)


@dataclass(frozen=True)
class Repeats:
    """Successful calls of known users, those with a size that the user had in the same hour, and what they cost in USD.

    `equal` is the share of pairs of a user's calls within an hour that have equal sizes, and `by_chance` that of pairs
    of different users.
    """

    operation: str
    model: str
    spelled: Spelling
    calls: int
    repeats: int
    usd: Decimal
    equal: Decimal
    by_chance: Decimal

    @property
    def beyond_chance(self) -> Decimal:
        """The share of equal sizes that chance does not explain."""
        return 1 - self.by_chance / self.equal if self.equal else Decimal(0)


def read_repeats(session: Session, calls: Calls) -> list[Repeats]:
    """The repeats of each operation and model that has enough of them."""
    bounds = {"least": LEAST_CALLS, "pairs": 2 * LEAST_PAIRS, "most": MOST_GROUPS}
    found = []
    for spelled, (count, repeats, cost, *pairs) in calls.read(session, _READ, "cost", "input_tokens", **bounds):
        alike, tried, alike_by_chance, tried_by_chance = map(Decimal, pairs)
        equal, by_chance = alike / tried, alike_by_chance / tried_by_chance
        found.append(Repeats(*calls.labels(spelled), spelled, int(count), int(repeats), cost, equal, by_chance))
    return found


def cacheable_calls(facts: Facts, repeats: Sequence[Repeats]) -> Iterator[Recommendation]:
    """Operations whose users most likely send the same input again within the hour."""
    for each in repeats:
        share = each.beyond_chance
        saving = facts.a_day(each.usd * share)
        if each.repeats < LEAST_CALLS or share < BEYOND_CHANCE or saving < LEAST_SAVING:
            continue
        yield Recommendation(
            kind="response_cache",
            operation=each.operation,
            model=each.model,
            title=f"Cache the answers of {each.operation} for an hour, for when the same input comes again",
            reasoning=f"{each.repeats:,} of {each.calls:,} calls to {each.model} in {facts.days:.0f} days have as "
            "many tokens of input as an earlier call of the same user in the same hour: "
            f"{percent(each.equal)} of pairs have equal sizes; by chance it would be {percent(each.by_chance)}. Equal "
            "sizes are weak evidence of equal inputs: compare some inputs first.",
            figures={
                "calls": each.calls,
                "repeats": each.repeats,
                "usd": each.usd,
                "equal_percent": round(100 * each.equal, 3),
                "by_chance_percent": round(100 * each.by_chance, 3),
            },
            proposal={"action": "cache answers", "for": "1h"},
            saving=saving,
            confidence=confident(MOST_CONFIDENCE * share),
            evidence=facts.calls.evidence(_EVIDENCE, [each.spelled], "cost", "input_tokens"),
        )
