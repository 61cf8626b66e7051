"""How people read money and shares."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.humanize import money, share


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("0", "$0.00"),
        ("0.5", "$0.50"),
        ("0.05", "$0.05"),
        ("0.0123", "$0.0123"),
        ("0.010001", "$0.010001"),
        ("0.000045", "$0.000045"),
        ("0.0000001", "< $0.000001"),
        ("-0.4", "-$0.40"),
        ("1", "$1.00"),
        ("1234.5", "$1,234.50"),
        ("12.345678", "$12.35"),
        ("1e6", "$1,000,000.00"),
    ],
)
def test_money_as_people_read_it(usd: str, text: str) -> None:
    assert money(Decimal(usd)) == text
    assert money(float(usd)) == text


@given(st.decimals(-(10**9), 10**9, allow_nan=False, places=6))
def test_no_money_is_lost_to_the_eye(usd: Decimal) -> None:
    text = money(usd)
    assert re.fullmatch(r"-?\$[\d,]+\.\d{2,6}", text)
    read = Decimal(re.sub(r"[$,]", "", text))
    assert abs(read - usd) <= (Decimal("0.005") if abs(usd) >= 1 else 0)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0, "0%"), (0.042, "4.2%"), (0.0004, "< 0.1%"), (0.0996, "10%"), (0.87, "87%"), (1, "100%"), (2.5, "250%")],
)
def test_a_share_in_per_cent(ratio: float, text: str) -> None:
    assert share(ratio) == text
