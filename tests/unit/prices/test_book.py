"""The price book: rows keep the price that they were counted by."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest

from exporter.config import Config
from exporter.prices import book as books
from exporter.prices.book import PriceBook
from exporter.prices.listed import FREE, PriceList
from exporter.prices.model import Listing, Tokens, in_usd, valid_from_text

SINCE = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
DAY = 86_400
TOKENS = Tokens(1, 0, 1_000_000, 0)


def listed(prices: dict[str, Any], free: list[str] | None = None) -> PriceList:
    lists = {model: entries if isinstance(entries, list) else [entries] for model, entries in prices.items()}
    return PriceList.of(Config.model_validate({"prices": lists, "models": {"free": free or []}}))


def cost(book: PriceBook, model: str, at: int) -> object:
    price = book.price(model, at)
    return None if price is None else in_usd(price.input.base)


def reopened(book: PriceBook, prices: PriceList, since: int | None) -> PriceBook:
    return PriceBook(prices, json.loads(json.dumps(book.changes())), since)


FIRST = {"m1": {"input": 1, "output": 2, "cached": "0.1"}}
SECOND = {"m1": {"input": 3, "output": 6}}


def test_a_new_price_holds_for_rows_that_were_not_counted_yet() -> None:
    book = PriceBook(listed(FIRST))
    assert cost(book, "m1", SINCE - DAY) == 1
    book = reopened(book, listed(SECOND), SINCE)
    assert [cost(book, "m1", at) for at in (0, SINCE - 900, SINCE, SINCE + DAY)] == [1, 1, 3, 3]
    assert book.changes() is not None
    assert book.changes() is None


def test_what_is_kept_says_the_same_again() -> None:
    book = PriceBook(listed({"m1": [*FIRST.values(), {"input": 3, "output": 6, "valid_from": "2026-06-02"}]}))
    assert cost(book, "claude-sonnet-4-5", 0) == 3
    assert cost(book, "deepseek-chat", SINCE) is not None
    assert cost(book, "m1", 0) == 1
    entries = book.entries()
    same = PriceBook(listed({}), book.changes(), None)
    for model, (entry,) in entries.items():
        if model != "m1":
            assert same.entries()[model] == (entry,)


@pytest.mark.parametrize("then", [None, SINCE])
def test_a_price_for_a_model_that_had_none_holds_from_now_on(then: int | None) -> None:
    book = PriceBook(listed({}))
    assert cost(book, "m1", SINCE) is None
    book = reopened(book, listed(FIRST), then)
    assert cost(book, "m1", SINCE - 900) == (1 if then is None else None)
    assert cost(book, "m1", SINCE) == 1
    # even if it is first asked for much later, by another process
    later = reopened(book, listed(FIRST), SINCE + DAY)
    assert cost(later, "m1", SINCE) == 1


def test_a_price_that_is_taken_away_leaves_what_was_counted() -> None:
    book = PriceBook(listed(FIRST))
    cost(book, "m1", SINCE)
    book = reopened(book, listed({}), SINCE)
    assert cost(book, "m1", SINCE - 1) == 1
    assert cost(book, "m1", SINCE) is None


def test_another_source_of_the_same_price_changes_nothing() -> None:
    book = PriceBook(listed(FIRST))
    cost(book, "m1", SINCE)
    before = book.entries()
    book = reopened(book, listed({"m1": {**FIRST["m1"], "source": "contract"}}), SINCE)
    assert book.entries() == before


def test_changes_before_anything_was_read_replace_each_other() -> None:
    book = PriceBook(listed(FIRST))
    cost(book, "m1", 0)
    book = reopened(book, listed(SECOND), SINCE)
    book = reopened(book, listed({"m1": {"input": 5, "output": 5}}), SINCE)
    assert [entry.since for entry in book.entries()["m1"]] == [None, SINCE]
    assert cost(book, "m1", SINCE) == 5


def test_the_book_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST_MODELS", 3)
    book = PriceBook(listed({f"m{n}": FIRST["m1"] for n in range(9)}))
    assert [cost(book, f"m{n}", 0) for n in range(4)] == [1, 1, 1, None]
    for number in range(40):
        book = reopened(book, listed({"m0": {"input": number + 2, "output": 1}}), SINCE + number * 900)
    assert len(book.entries()["m0"]) == books.MOST_CHANGES
    assert cost(book, "m0", SINCE + DAY) == 41


def test_configured_prices_come_before_published_ones() -> None:
    prices = listed(
        {
            "gpt-4o": {"input": "0.000001", "output": 0, "valid_from": "2026-06-01"},
            "claude-opus-4.5": {"input": 7, "output": 8},
        }
    )
    book = PriceBook(prices)
    assert [cost(book, "gpt-4o", at) for at in (SINCE - 1, SINCE)] == [
        cost(PriceBook(listed({})), "gpt-4o", 0),
        in_usd(1),
    ]
    assert cost(book, "claude-opus-4.5", 0) == 7


def test_dates_and_times_in_any_order() -> None:
    entries = [
        {"input": 3, "output": 0, "valid_from": "2026-06-02T18:30+02:00"},
        {"input": 2, "output": 0, "valid_from": date(2026, 6, 1)},
        {"input": 1, "output": 0, "cached": 0},
    ]
    book = PriceBook(listed({"m1": entries}))
    moments = [0, SINCE - 900, SINCE, SINCE + DAY + 16 * 3600, SINCE + DAY + 16 * 3600 + 1800]
    assert [cost(book, "m1", at) for at in moments] == [1, 1, 2, 2, 3]
    assert [valid_from_text(d.valid_from) for d in listing(book).prices] == [
        "always",
        "2026-06-01",
        "2026-06-02T16:30Z",
    ]


def listing(book: PriceBook) -> Listing:
    found = book.entries()["m1"][-1].listing
    assert found is not None
    return found


def test_a_free_model_costs_nothing_unless_it_has_a_price() -> None:
    book = PriceBook(listed(FIRST, ["m1", "m2"]))
    assert [cost(book, model, 0) for model in ("m1", "m2")] == [1, 0]
    found = book.dated("m2", 0)
    assert found is not None
    assert found.source == FREE


def test_cached_tokens_without_a_price_of_their_own_cost_the_full_one() -> None:
    book = PriceBook(listed({"m1": {"input": 2, "output": 0}, "m2": {"input": 2, "output": 0, "cached": 1}}))
    usage = Tokens(1, 0, 1_000_000, 0, 500_000)
    costs = [price.cost(usage) for model in ("m1", "m2") if (price := book.price(model, 0)) is not None]
    assert costs == [2 * 10**12, 15 * 10**11]
    # more cached tokens than input is an error in the row: nothing is taken back
    dear = book.price("m2", 0)
    assert dear is not None
    assert dear.cost(Tokens(1, 0, 1, 0, 10**6)) == 0
