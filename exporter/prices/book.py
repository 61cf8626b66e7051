"""The price book: by which prices rows are counted, so that newer price data never rewrites what was counted."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.prices.listed import PriceList
from exporter.prices.model import DatedPrice, Listing, Price, Rate

MOST_MODELS = 1000
"""Models that have a place in the book at most; the price of another one counts as unknown."""

MOST_CHANGES = 16
"""Changes of its prices that are kept of a model."""


class Prices(Protocol):
    """What can tell the price of a model."""

    def price(self, model: str, at: int) -> Price | None:
        """The price of calls to a model at a moment, in seconds since the epoch; None where it is not known."""


@dataclass(frozen=True)
class Entry:
    """Prices by which rows dated `since` (seconds since the epoch; None: always) or later are counted.

    Without a `listing` their price is not known.
    """

    since: int | None
    listing: Listing | None


class PriceBook:
    """By which prices rows of each model are counted. Every method may be called from any thread.

    A model is entered with the prices that are listed when it is first seen. Where a price list has changed since,
    rows go by the new prices from `since` on: a moment before which rows may have been counted. So a row that comes
    late, or is read again, has the price that it had.
    """

    def __init__(self, listed: PriceList, kept: Mapping[str, Any] | None = None, since: int | None = None) -> None:
        self._listed = listed
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._since: int | None = None
        self._changed = kept is None
        if kept is None:
            return
        self._since = kept["since"]
        self._entries = {model: tuple(map(_decode_entry, entries)) for model, entries in kept["models"].items()}
        if kept["list"] != listed.fingerprint:
            self._changed, self._since = True, since
            for model, entries in self._entries.items():
                self._entries[model] = _with_listing(entries, listed.listing(model), since)

    def price(self, model: str, at: int) -> Price | None:
        """The price of calls to a model at a moment, in seconds since the epoch; None where it is not known."""
        dated = self.dated(model, at)
        return None if dated is None else dated.price

    def dated(self, model: str, at: int) -> DatedPrice | None:
        """As `price`, with where it is from and since when it holds."""
        for entry in reversed(self._entries_of(model)):
            if entry.since is None or at >= entry.since:
                return None if entry.listing is None else entry.listing.at(at)
        return None

    def entries(self) -> dict[str, tuple[Entry, ...]]:
        """All entries, by model."""
        with self._lock:
            return dict(self._entries)

    def changes(self) -> dict[str, Any] | None:
        """The book as JSON, where it has changed since it was last asked for; it is to be committed."""
        with self._lock:
            if not self._changed:
                return None
            self._changed = False
            models = {model: [_encode_entry(entry) for entry in entries] for model, entries in self._entries.items()}
            return {"list": self._listed.fingerprint, "since": self._since, "models": models}

    def _entries_of(self, model: str) -> tuple[Entry, ...]:
        known = self._entries.get(model)
        if known is not None:
            return known
        listing = self._listed.listing(model)
        if listing is None:
            return ()
        with self._lock:
            if model not in self._entries and len(self._entries) < MOST_MODELS:
                # before the list changed, the model had no price
                unknown = () if self._since is None else (Entry(None, None),)
                self._entries[model] = (*unknown, Entry(self._since, listing))
                self._changed = True
            return self._entries.get(model, ())


def _with_listing(entries: tuple[Entry, ...], listing: Listing | None, since: int | None) -> tuple[Entry, ...]:
    """The entries, with a listing that holds since a moment, if it says another price than the last one."""
    if entries and _said(entries[-1].listing) == _said(listing):
        return entries
    # what was to hold from that moment on has not been counted by
    before = tuple(entry for entry in entries if entry.since is None or (since is not None and entry.since < since))
    return (*before, Entry(since, listing))[-MOST_CHANGES:]


def _said(listing: Listing | None) -> Any:
    """What a listing says, wherever that is from."""
    return listing and [(dated.price, dated.valid_from, dated.hours) for dated in listing.prices]


def _encode_entry(entry: Entry) -> list[Any]:
    listing = entry.listing
    return [entry.since, None if listing is None else [_encode_dated(dated) for dated in listing.prices]]


def _decode_entry(kept: Any) -> Entry:
    since, prices = kept
    return Entry(since, None if prices is None else Listing(tuple(map(_decode_dated, prices))))


def _encode_dated(dated: DatedPrice) -> dict[str, Any]:
    price = dated.price
    return {
        "source": dated.source,
        "valid_from": dated.valid_from,
        "hours": dated.hours,
        "input": _encode_rate(price.input),
        "output": _encode_rate(price.output),
        "cached": None if price.cached is None else _encode_rate(price.cached),
        "call": price.call,
    }


def _decode_dated(kept: Any) -> DatedPrice:
    cached, hours = kept["cached"], kept["hours"]
    price = Price(
        input=_decode_rate(kept["input"]),
        output=_decode_rate(kept["output"]),
        cached=None if cached is None else _decode_rate(cached),
        call=kept["call"],
    )
    return DatedPrice(price, kept["source"], kept["valid_from"], None if hours is None else (hours[0], hours[1]))


def _encode_rate(rate: Rate) -> list[Any]:
    return [rate.base, *map(list, rate.tiers)]


def _decode_rate(kept: Any) -> Rate:
    base, *tiers = kept
    return Rate(base, tuple((size, price) for size, price in tiers))
