"""Published prices of models, from the data of `genai-prices`, which is installed and never fetched."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from exporter.prices.model import PRICE_TIERS, DatedPrice, Listing, Price, Rate, per_million

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

DISTRIBUTION = "genai-prices"
_QUARTER_HOUR = 900
_THOUSAND = 1000


class _NotToldError(Exception):
    """The price depends on something that the log does not tell."""


@lru_cache(maxsize=1)
def data_version() -> str:
    """The version of the price data that is installed."""
    return version(DISTRIBUTION)


MOST_KNOWN = 4096
"""Models whose prices are remembered: a log may name any number of models that nobody knows."""


@lru_cache(maxsize=MOST_KNOWN)
def published(model: str) -> Listing | None:
    """The prices of a model by its name; None where the data does not know it, or its price by tokens.

    A name may begin with that of a provider, as in `openai/gpt-4o`.
    """
    found = _find(model)
    if found is None:
        return None
    provider, info = found
    source = f"{DISTRIBUTION} {data_version()}: {provider.id}/{info.id}"
    try:
        return Listing(tuple(_dated(info, source)))
    except _NotToldError:
        return None


def _find(model: str) -> "tuple[Provider, ModelInfo] | None":
    # imported only when the first model is looked up: the data takes a third of a second and 30 MB
    from genai_prices import Usage, calc_price

    prefix, slash, rest = model.partition("/")
    attempts: list[dict[str, Any]] = [{"model_ref": model}]
    if slash:
        attempts.append({"model_ref": rest, "provider_id": prefix.lower()})
    for attempt in attempts:
        try:
            found = calc_price(Usage(), **attempt)
        except LookupError:
            continue
        if found.provider.id != attempt.get("provider_id", found.provider.id):
            continue
        # the data matches names by how they begin, too: what is added may be another model, at another price
        if _stem(attempt["model_ref"]) in {_stem(name) for name in (found.model.id, *_texts(found.model.match))}:
            return found.provider, found.model
    return None


_BEFORE = re.compile(r"^([a-z-]+\.)+(?=[a-z])")
_AFTER = re.compile(r"([-@](latest|preview|exp|experimental|[0-9]{3,4}|20[0-9]{6}|20[0-9]{2}-[0-9]{2}-[0-9]{2}"
                    r"|[0-9]{2}-[0-9]{2}|v[0-9]+(:[0-9]+)?))+$")  # fmt: skip


def _stem(name: str) -> str:
    """A model's name without what stands for a vendor, a date or a release of the same model."""
    plain = _BEFORE.sub("", name.strip().lower())
    return _AFTER.sub("", plain).replace(".", "-")


def _texts(clause: Any) -> Iterator[str]:
    """The texts in a clause that matches names."""
    for value in vars(clause).values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for inner in value:
                yield from _texts(inner)


def _dated(info: "ModelInfo", source: str) -> Iterator[DatedPrice]:
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(info.prices, ModelPrice):
        yield DatedPrice(_price(info.prices), source)
        return
    for number, conditional in enumerate(info.prices):
        constraint, price = conditional.constraint, _price(conditional.prices)
        if constraint is None or number == 0:
            # where none holds, the data means the first one
            yield DatedPrice(price, source)
        elif isinstance(constraint, StartDateConstraint):
            midnight = datetime.combine(constraint.start_date, time(), UTC)
            yield DatedPrice(price, source, int(midnight.timestamp()))
        else:
            yield DatedPrice(price, source, hours=(_seconds(constraint.start_time), _seconds(constraint.end_time)))


def _seconds(of_day: time) -> int:
    """Seconds after midnight UTC."""
    zoned = of_day if of_day.tzinfo else of_day.replace(tzinfo=UTC)
    moment = datetime.combine(date(2000, 1, 1), zoned).astimezone(UTC)
    seconds = 3600 * moment.hour + 60 * moment.minute + moment.second
    if seconds % _QUARTER_HOUR or moment.microsecond:
        raise _NotToldError
    return seconds


def _price(price: "ModelPrice") -> Price:
    if price.input_mtok is None:
        # by images, seconds of audio, pages, …
        raise _NotToldError
    return Price(
        input=_rate(price.input_mtok),
        output=Rate(0) if price.output_mtok is None else _rate(price.output_mtok),
        cached=None if price.cache_read_mtok is None else _rate(price.cache_read_mtok),
        call=0 if price.requests_kcount is None else per_million(_flat(price.requests_kcount) * _THOUSAND),
    )


def _rate(price: Any) -> Rate:
    if isinstance(price, Decimal):
        return Rate(per_million(price))
    tiers = tuple((tier.start, per_million(tier.price)) for tier in price.tiers)
    if any(size not in PRICE_TIERS for size, _ in tiers):
        raise _NotToldError
    return Rate(per_million(price.base), tiers)


def _flat(price: Any) -> Decimal:
    if not isinstance(price, Decimal):
        raise _NotToldError
    return price
