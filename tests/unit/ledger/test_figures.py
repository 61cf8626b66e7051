"""Arithmetic of the figures, and money in and out of its units."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger.aggregate import (
    FAILURES,
    HISTOGRAMS,
    WIDTH,
    ZERO,
    add,
    highest,
    money_units,
    subtract,
    total,
    units_of,
    usd,
    with_figure,
)

aggregates = st.tuples(*[st.integers(0, 10**15)] * WIDTH)


@given(aggregates, aggregates)
def test_sums_and_differences_undo_each_other_figure_by_figure(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    assert subtract(add(left, right), right) == left
    assert total([left, right]) == add(left, right) == add(right, left)
    assert total([]) == ZERO
    assert highest(left, right) == tuple(max(pair) for pair in zip(left, right, strict=True))


@given(aggregates, st.sampled_from(Figure))
def test_one_figure_is_replaced_and_the_rest_kept(aggregate: tuple[int, ...], field: Figure) -> None:
    changed = with_figure(aggregate, field, -1)
    assert changed[field] == -1
    assert [v for f, v in enumerate(changed) if f != field] == [v for f, v in enumerate(aggregate) if f != field]


def test_the_parts_of_an_aggregate_do_not_overlap() -> None:
    parts = [FAILURES, *(part for buckets in HISTOGRAMS.values() for part in buckets)]
    assert FAILURES.start == len(Figure)
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert parts[-1].stop == WIDTH == len(ZERO)


@given(st.decimals(0, 10**6, places=6))
def test_money_at_the_columns_scale_is_exact(amount: Decimal) -> None:
    assert Decimal(money_units(amount)) / USD == amount
    assert usd(money_units(amount)) == float(amount)


def test_digits_past_the_twelfth_are_rounded_half_to_even() -> None:
    assert [money_units(Decimal(text)) for text in ("0.0000000000005", "0.0000000000015", "1")] == [0, 2, USD]


@given(st.integers(0, 10**9))
def test_money_of_a_column_of_integers_is_whole_dollars(dollars: int) -> None:
    assert money_units(dollars) == units_of(Figure.COST, dollars) == money_units(Decimal(dollars)) == dollars * USD


def test_money_is_printed_as_dollars() -> None:
    assert [usd(money_units(amount)) for amount in (0, 2, Decimal("0.25"))] == [0.0, 2.0, 0.25]


@given(st.integers(0, 10**20), st.integers(0, 10**6))
def test_more_money_never_prints_as_less(units: int, more: int) -> None:
    assert usd(units + more) >= usd(units)
