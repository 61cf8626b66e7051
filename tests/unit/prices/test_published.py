"""The published prices: as the data has them, whole, and nothing that is guessed."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as DataUsage
from genai_prices import calc_price
from genai_prices.data import providers
from genai_prices.types import ConditionalPrice, ModelPrice, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import USD
from exporter.prices.model import PRICE_TIERS, Tokens, in_usd
from exporter.prices.published import data_version, published

KNOWN = ["deepseek-v3.2", "gemini-2.0-flash", "claude-opus-4.5", "gpt-4o", "claude-sonnet-4-5", "gemini-2.5-pro", "o3"]
KNOWN += ["deepseek-chat", "gpt-5", "openai/gpt-4o"]


def tier(tokens: int) -> int:
    return sum(tokens > size for size in PRICE_TIERS)


@pytest.mark.parametrize("model", KNOWN)
@given(
    tokens=st.integers(0, 600_000),
    cached=st.floats(0, 1),
    output=st.integers(0, 100_000),
    at=st.integers(1_704_067_200 // 900, 1_798_761_600 // 900).map(
        lambda quarter: datetime.fromtimestamp(900 * quarter, UTC)
    ),
)
def test_a_call_costs_what_the_data_says(model: str, tokens: int, cached: float, output: int, at: datetime) -> None:
    share = int(cached * tokens)
    provider, _, name = model.rpartition("/")
    usage = DataUsage(input_tokens=tokens, cache_read_tokens=share, output_tokens=output)
    wanted = calc_price(usage, name, provider_id=provider or None, genai_request_timestamp=at).total_price
    listing = published(model)
    assert listing is not None
    dated = listing.at(int(at.timestamp()))
    assert dated is not None
    assert Decimal(dated.price.cost(Tokens(1, tier(tokens), tokens, output, share))) / USD == wanted


def test_calls_together_cost_what_they_cost_alone() -> None:
    listing = published("gpt-4o")
    assert listing is not None
    price = listing.prices[0].price
    calls = [Tokens(1, 0, 1000 + n, 20 * n, 7 * n) for n in range(40)]
    summed = Tokens(
        40, 0, *(sum(getattr(c, f"{kind}_tokens") for c in calls) for kind in ("input", "output", "cached"))
    )
    assert price.cost(summed) == sum(map(price.cost, calls))


@pytest.mark.parametrize(
    "model", ["", "unknown", "deepseek", "gemini_flash", "claude", "my-model", "acme/gpt-4o", "/", "x/"]
)
def test_a_model_that_the_data_does_not_name_has_no_price(model: str) -> None:
    assert published(model) is None


@pytest.mark.parametrize(
    "model",
    ["claude-3-5-sonnet-custom", "claude-2x", "gpt-4o-my-finetune", "gemini-2.0-flash-image", "my-openai/gpt-oss-120b"],
)
def test_a_model_whose_name_only_begins_like_another_ones_has_no_price(model: str) -> None:
    assert published(model) is None


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-3-5-sonnet-20241022", "anthropic/claude-3-5-sonnet"),
        ("Claude-Opus-4.5", "anthropic/claude-opus-4-5"),
        ("gemini-2.0-flash-001", "google/gemini-2.0-flash"),
        ("gemini-2.5-pro-preview-05-06", "google/gemini-2.5-pro"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-4.5"),
    ],
)
def test_a_release_of_a_model_has_its_price(model: str, known: str) -> None:
    listing = published(model)
    assert listing is not None
    assert listing.prices[0].source.endswith(known)


def test_a_model_that_is_not_priced_by_tokens_has_no_price() -> None:
    by_other_units = [
        model.id
        for provider in providers
        if provider.id == "openai"
        for model in provider.models
        if isinstance(model.prices, ModelPrice) and model.prices.input_mtok is None
    ]
    assert by_other_units
    assert all(published(model) is None for model in by_other_units)


def test_the_source_names_the_version_and_the_model() -> None:
    listing = published("claude-opus-4.5")
    assert listing is not None
    assert listing.prices[0].source == f"genai-prices {data_version()}: anthropic/claude-opus-4-5"
    assert in_usd(listing.prices[0].price.input.base) == 5


def test_every_tier_of_the_data_is_known() -> None:
    # a newer version of the data that has others would take the prices of their models away
    sizes = set()
    for provider in providers:
        for model in provider.models:
            for each in (
                [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices
            ):
                for key in ("input_mtok", "output_mtok", "cache_read_mtok"):
                    price = getattr(each.prices, key)
                    if isinstance(price, TieredPrices):
                        sizes |= {tier.start for tier in price.tiers}
    assert sizes
    assert sizes <= set(PRICE_TIERS)
