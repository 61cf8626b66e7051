"""Prices, and when each of them holds. Money is in ledger units, 1e-12 USD, so that a token costs a whole number."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from exporter.ledger.calendar import DAY

PRICE_TIERS = (32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288)
"""Tokens of input above which prices of one model or another change."""

DECIMALS = 6
"""Decimal places of a price in USD per million tokens: the last one is a ledger unit per token."""

_UNITS = 10**DECIMALS


@dataclass(frozen=True)
class Tokens:
    """What some calls used: their tokens, and how many of `PRICE_TIERS` the input of each one exceeds.

    `cached_tokens` are part of the `input_tokens`.
    """

    calls: int
    tier: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class Rate:
    """What a token costs, by the size of the call's input: `tiers` are pairs of a size and the price above it.

    Above a size, all tokens of the call cost that tier's price. Every size is one of `PRICE_TIERS`.
    """

    base: int
    tiers: tuple[tuple[int, int], ...] = ()

    def at(self, tier: int) -> int:
        """The price of a token of a call whose input exceeds so many of `PRICE_TIERS`."""
        reached = [price for size, price in self.tiers if PRICE_TIERS.index(size) < tier]
        return reached[-1] if reached else self.base


@dataclass(frozen=True)
class Price:
    """What calls to a model cost: by token of input, of output and of input that was cached, and by call.

    Cached input costs as much as other input where `cached` is None.
    """

    input: Rate
    output: Rate = Rate(0)
    cached: Rate | None = None
    call: int = 0

    def cost(self, usage: Tokens) -> int:
        """What calls with this usage cost together, all of them of one tier."""
        cached = usage.cached_tokens if self.cached else 0
        units = usage.calls * self.call + usage.output_tokens * self.output.at(usage.tier)
        units += (usage.input_tokens - cached) * self.input.at(usage.tier)
        if self.cached:
            units += cached * self.cached.at(usage.tier)
        # more cached tokens than tokens is an error of the rows: it never takes money back from others
        return max(0, units)


@dataclass(frozen=True)
class DatedPrice:
    """A price that holds since `valid_from` (seconds since the epoch; None: always), and within `hours` of the day.

    `hours` are seconds after midnight UTC: from the first to the second, past midnight where that is less. All times
    are whole quarter-hours, so that a slice of the ledger has one price. `source` says where the price is from.
    """

    price: Price
    source: str
    valid_from: int | None = None
    hours: tuple[int, int] | None = None

    def holds(self, at: int) -> bool:
        """Whether it holds at a moment, in seconds since the epoch."""
        if self.valid_from is not None and at < self.valid_from:
            return False
        if self.hours is None:
            return True
        start, end = self.hours
        second = at % DAY
        return start <= second < end if start <= end else second >= start or second < end


@dataclass(frozen=True)
class Listing:
    """The prices of one model: of those that hold at a moment, the last one is the price."""

    prices: tuple[DatedPrice, ...]

    def at(self, moment: int) -> DatedPrice | None:
        """The price at a moment, in seconds since the epoch; None where none holds."""
        return next((dated for dated in reversed(self.prices) if dated.holds(moment)), None)


def per_million(usd: Decimal) -> int:
    """Ledger units per token of a price in USD per million tokens, rounded half to even."""
    return int((usd * _UNITS).to_integral_value())


def in_usd(units: int) -> Decimal:
    """USD per million tokens of a price in ledger units per token."""
    return Decimal(units).scaleb(-DECIMALS)


def valid_from_text(valid_from: int | None) -> str:
    """When a price begins to hold, for people: a date, or a time where it is no midnight; UTC."""
    if valid_from is None:
        return "always"
    moment = datetime.fromtimestamp(valid_from, UTC)
    return moment.strftime("%Y-%m-%d" if valid_from % DAY == 0 else "%Y-%m-%dT%H:%MZ")
