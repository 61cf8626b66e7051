"""What makes an hour's spend odd: how many calls there are, how many tokens each has, and what a token costs."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.anomaly.measures import SPEND, tokens
from exporter.ledger.hourly import NOTHING
from exporter.ledger.model import HourFigures

CALLS, TOKENS_PER_CALL, PRICE_PER_TOKEN = "calls", "tokens_per_call", "price_per_token"
COST_PER_CALL = "cost_per_call"
"""Instead of the two before it, of calls without tokens."""


@dataclass(frozen=True)
class Usual:
    """What an operation usually has of one model in an hour, in dollars; `typical` are the sums of many hours."""

    cost: float = 0.0
    calls: float = 0.0
    typical: HourFigures = NOTHING


@dataclass(frozen=True)
class Cause:
    """The model whose spend is the furthest above its usual one, and how many times the usual each factor of it is.

    The product of the factors is how many times the usual the model's spend is. Where no call is usual in this hour,
    one is taken for usual; of a model that is new, that is all there is to say.
    """

    model: str
    factors: Mapping[str, float]


def cause(now: Mapping[str, HourFigures], usual: Mapping[str, Usual]) -> Cause | None:
    """The cause of an operation's present spend by model; None where no model's spend is above its usual one."""
    risen = {model: SPEND.of(hour) - usual.get(model, Usual()).cost for model, hour in now.items()}
    model = max(risen, key=lambda name: (risen[name], name), default=None)
    if model is None or risen[model] <= 0:
        return None
    return Cause(model, factors(now[model], usual.get(model, Usual())))


def factors(now: HourFigures, usual: Usual) -> Mapping[str, float]:
    """How many times the usual each factor of a spend is."""
    if now.calls <= 0:
        return {}
    typical = usual.typical
    found = {CALLS: now.calls / max(usual.calls, 1)}
    if min(typical.calls, typical.cost) <= 0:
        return found
    cost = (now.cost / now.calls) / (typical.cost / typical.calls)
    if min(tokens(now), tokens(typical)) <= 0:
        return {**found, COST_PER_CALL: cost}
    used = (tokens(now) / now.calls) / (tokens(typical) / typical.calls)
    return {**found, TOKENS_PER_CALL: used, PRICE_PER_TOKEN: cost / used}
