"""How recommendations are weighed, and what is too little to be said."""

from decimal import Decimal
from math import isclose
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.advisor.calls import Calls
from exporter.advisor.facts import Facts
from exporter.advisor.model import at_least, confident, percent, usd
from exporter.advisor.prompts import steadiness
from exporter.advisor.usage import Figures, Usage, covered_days
from exporter.config import Config, QualifiedName
from exporter.database.columns import Column
from exporter.database.layout import Relation
from exporter.database.log_table import LogTable
from exporter.ledger.calendar import DAY
from exporter.ledger.model import TimeRange
from exporter.prices.listed import PriceList

LOG = LogTable(Relation(QualifiedName(None, "t"), 1, {}), {"time": Column("at", "timestamp", "D")})
UTC = ZoneInfo("UTC")


def facts(*calls_a_day: int, days: float = 7) -> Facts:
    """Facts of one operation with so many calls on each day, the last of which ends the span."""
    span = TimeRange(0, int(days * DAY))
    first = int(days) - len(calls_a_day)
    found = {first + number: Figures(calls=count) for number, count in enumerate(calls_a_day)}
    usage = Usage("o", "m", (), found, oldest=float(first * DAY))
    return Facts(Calls(LOG, Config().classification(), span), [usage], PriceList({}))


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_the_lower_bound_is_below_the_share_and_rises_with_it(whole: int, part: int) -> None:
    part = min(part, whole)
    bound = at_least(part, whole)
    assert 0 <= bound <= part / whole
    assert at_least(min(part + 1, whole), whole) >= bound
    # of more calls at the same share, more is certain
    assert at_least(10 * part, 10 * whole) >= bound


def test_nothing_is_certain_of_no_calls() -> None:
    assert at_least(0, 0) == 0
    assert isclose(at_least(50, 100), 0.4038, abs_tol=1e-4)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=12, unique=True))
def test_steadiness_is_between_falling_and_rising(means: list[int]) -> None:
    numbers = [Decimal(each) for each in means]
    assert steadiness(sorted(numbers)) == 1
    assert steadiness(sorted(numbers, reverse=True)) == -1
    assert steadiness(numbers) == pytest.approx(-steadiness(numbers[::-1]))
    assert steadiness(numbers[:1]) == 0


def test_amounts_for_people() -> None:
    assert [usd(Decimal(each)) for each in ("0", "0.0123", "0.999", "1", "1234.567")] == [
        "$0.0000",
        "$0.0123",
        "$1.00",
        "$1.00",
        "$1,234.57",
    ]
    assert percent(0.1234) == "12.3 %"
    assert [confident(each) for each in (-1, 0.555, 2)] == [Decimal(0), Decimal("0.56"), Decimal(1)]


@pytest.mark.parametrize(
    ("counts", "most", "days"),
    [
        ((10,) * 7, 70, 7),
        ((10,) * 7, 69, 6),
        ((10,) * 7, 35, 3),
        ((10,) * 7, 5, 1),
        ((1000, 0, 0, 0, 0, 0, 1), 10, 6),
        ((5,), 3, 1),
        ((), 3, 7),
    ],
)
def test_of_many_calls_the_last_whole_days_are_compared(counts: tuple[int, ...], most: int, days: int) -> None:
    recent = facts(*counts).recent(most)
    assert recent.calls.span == TimeRange((7 - days) * DAY, 7 * DAY)


def test_a_span_of_less_than_a_day_stays_whole() -> None:
    assert facts(days=0.5).recent(0).calls.span == TimeRange(0, DAY // 2)


@pytest.mark.parametrize(("counts", "days"), [((1,) * 7, 7), ((1, 1), 2), ((1,), 1), ((), 1)])
def test_sums_are_divided_by_the_days_since_the_oldest_call(counts: tuple[int, ...], days: int) -> None:
    known = facts(*counts)
    assert covered_days(known.usages if counts else [], known.calls) == days
