"""What makes an hour's spend odd: how many calls there are, how many tokens each has, and what a token costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from exporter.anomaly.measures import NOTHING, Sums

CALLS, TOKENS_PER_CALL, PRICE_PER_TOKEN = "calls", "tokens_per_call", "price_per_token"
COST_PER_CALL = "cost_per_call"
"""Instead of the two before it, of calls without tokens."""


@dataclass(frozen=True)
class Usual:
    """What an operation usually has of one model in an hour; `typical` are the sums of many hours."""

    cost: float = 0.0
    calls: float = 0.0
    typical: Sums = NOTHING


@dataclass(frozen=True)
class Cause:
    """The model whose spend is the furthest above its usual one, and how many times the usual each factor of it is.

    The product of the factors is how many times the usual the model's spend is. Calls that are not usual in this hour
    at all are infinitely many times the usual; of a model that is new, that is all there is to say.
    """

    model: str
    factors: Mapping[str, float]


def cause(now: Mapping[str, Sums], usual: Mapping[str, Usual]) -> Cause | None:
    """The cause of an operation's present spend by model; None where no model's spend is above its usual one."""
    risen = {model: sums.cost - usual.get(model, Usual()).cost for model, sums in now.items()}
    model = max(risen, key=lambda name: (risen[name], name), default=None)
    if model is None or risen[model] <= 0:
        return None
    return Cause(model, factors(now[model], usual.get(model, Usual())))


def factors(now: Sums, usual: Usual) -> Mapping[str, float]:
    """How many times the usual each factor of a spend is."""
    if now.calls <= 0:
        return {}
    found = {CALLS: now.calls / usual.calls if usual.calls > 0 else inf}
    typical = usual.typical
    if min(typical.calls, typical.cost) <= 0:
        return found
    cost = (now.cost / now.calls) / (typical.cost / typical.calls)
    if min(now.tokens, typical.tokens) <= 0:
        return {**found, COST_PER_CALL: cost}
    tokens = (now.tokens / now.calls) / (typical.tokens / typical.calls)
    return {**found, TOKENS_PER_CALL: tokens, PRICE_PER_TOKEN: cost / tokens}
