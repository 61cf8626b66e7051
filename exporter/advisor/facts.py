"""What the rules decide by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

from exporter.advisor.calls import Calls
from exporter.advisor.usage import Figures, Usage, by, covered_days, total
from exporter.database.routes import Route
from exporter.prices.listed import PriceList
from exporter.prices.model import Price

_HOUR = 3600


@dataclass(frozen=True)
class Facts:
    """The usage of a span, the prices, the routes (None: no such table), and the operations that are expected."""

    calls: Calls
    usages: Sequence[Usage]
    prices: PriceList
    routes: Sequence[Route] | None = None
    expected: Sequence[str] = ()

    @cached_property
    def operations(self) -> dict[str, list[Usage]]:
        """Usages by operation."""
        return by(self.usages, lambda usage: usage.operation)

    @cached_property
    def total(self) -> Figures:
        """All calls together."""
        return total(usage.total for usage in self.usages)

    @cached_property
    def days(self) -> Decimal:
        """The days that sums are divided by."""
        return Decimal(covered_days(self.usages, self.calls))

    def recent(self, most: int) -> "Facts":
        """The same by the last whole days alone in which there were so many calls at most; by one day at least."""
        whole = int(self.calls.days)
        kept, count = 0, 0
        while kept < whole:
            day = whole - kept - 1
            count += sum(usage.days[day].calls for usage in self.usages if day in usage.days)
            if kept and count > most:
                break
            kept += 1
        return self if kept == whole else replace(self, calls=self.calls.last(kept))

    def a_day(self, usd: Decimal) -> Decimal:
        """USD a day of an amount of the whole span."""
        return usd / self.days

    def least_input_price(self, model: str, *, cached: bool) -> int | None:
        """What a token of input costs at the cheapest hour, as `Rate.base`; None where no price is known.

        With `cached`, a token that the provider has cached, where that has a price of its own.
        """
        prices = self.prices_of(model)
        return min((((price.cached if cached else None) or price.input).base for price in prices), default=None)

    def prices_of(self, model: str) -> tuple[Price, ...]:
        """The prices of a model at the hours of the present day; empty where none is known at one of them."""
        listing = self.prices.listing(model)
        if listing is None:
            return ()
        now = self.calls.span.hi
        dated = [listing.at(now + hour * _HOUR) for hour in range(24)]
        return () if None in dated else tuple(dict.fromkeys(each.price for each in dated if each is not None))
