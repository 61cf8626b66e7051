"""The price list in force: what the configuration says of a model, and what is published of it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping

from exporter.config import Config
from exporter.config.sections import ConfiguredPrice
from exporter.prices.model import DatedPrice, Listing, Price, Rate, per_million
from exporter.prices.published import data_version, published

FREE = "models.free"
"""The source of the price of models that are free by the configuration."""


LookUp = Callable[[str], Listing | None]
"""What is published of a model by its name, see `published`."""


class PriceList:
    """Prices by model, as labels have the models' names. Configured prices come before published ones.

    `look_up` says what is published of a model.
    """

    def __init__(
        self,
        configured: Mapping[str, Iterable[ConfiguredPrice]],
        free: Iterable[str] = (),
        look_up: LookUp = published,
    ) -> None:
        self._look_up = look_up
        self._configured = {
            **{model: (DatedPrice(Price(Rate(0)), FREE),) for model in free},
            **{model: _dated(entries) for model, entries in configured.items()},
        }

    @classmethod
    def of(cls, config: Config, look_up: LookUp = published) -> "PriceList":
        """The price list by a configuration."""
        return cls(config.prices, config.models.free, look_up)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that decides about prices: the installed data's version, and the configuration."""
        configured = [[model, repr(prices)] for model, prices in sorted(self._configured.items())]
        return hashlib.sha256(json.dumps([data_version(), configured]).encode()).hexdigest()

    @property
    def configured(self) -> frozenset[str]:
        """The models that the configuration says a price of."""
        return frozenset(self._configured)

    def listing(self, model: str) -> Listing | None:
        """The prices of a model; None where no price is known, which is never guessed."""
        configured = self._configured.get(model, ())
        if any(dated.valid_from is None for dated in configured):
            return Listing(configured)
        known = self._look_up(model)
        prices = (*(() if known is None else known.prices), *configured)
        return Listing(prices) if prices else None


def _dated(entries: Iterable[ConfiguredPrice]) -> tuple[DatedPrice, ...]:
    prices = [
        DatedPrice(
            Price(
                input=Rate(per_million(entry.input)),
                output=Rate(per_million(entry.output)),
                cached=None if entry.cached is None else Rate(per_million(entry.cached)),
            ),
            entry.source,
            entry.valid_from_seconds,
        )
        for entry in entries
    ]
    # the last one that holds is the price
    return tuple(sorted(prices, key=lambda dated: (dated.valid_from is not None, dated.valid_from or 0)))
