"""The price book, kept beside the ledger's state."""

from exporter.config import Config
from exporter.ledger.calendar import QUARTER_HOUR, floor_to
from exporter.ledger.model import State
from exporter.prices.book import PriceBook
from exporter.prices.listed import LookUp, PriceList
from exporter.prices.published import published
from exporter.state.store import Store

PRICES = "prices"
"""Its name in the store."""


def price_book(config: Config, store: Store, state: State | None, look_up: LookUp = published) -> PriceBook:
    """The book in the store, brought up to the price list in force for rows that cannot have been counted yet."""
    since = None if state is None else -floor_to(-state.progress.position, QUARTER_HOUR)
    return PriceBook(PriceList.of(config, look_up), store.meta(PRICES), since)
