"""Amounts beside each other: what differs, by how much, and when that is too much."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import USD
from exporter.reconcile.comparison import LEAST, Source, compare, with_overflow

ONE_PERCENT = Decimal("0.01")
AMOUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10**15), max_size=5)


@pytest.mark.parametrize(
    ("logged", "other", "off"),
    [
        (100 * USD, 101 * USD, False),
        (100 * USD, 101 * USD + 1, True),
        (100 * USD, 99 * USD - 1, True),
        (0, LEAST, False),
        (0, LEAST + 1, True),
        (LEAST, 0, False),
        (0, 0, False),
    ],
)
def test_past_one_per_cent_and_a_micro_dollar(logged: int, other: int, off: bool) -> None:
    found = compare({"a": logged}, [Source("b", {"a": other})], ONE_PERCENT)
    assert found.off is found.lines[0].off is found.total.off is off


def test_amounts_that_changed_places_differ_though_the_total_does_not() -> None:
    found = compare({"a": 3 * USD, "b": USD}, [Source("s", {"a": USD, "b": 3 * USD})], ONE_PERCENT)
    assert not found.total.off
    assert found.off


def test_a_source_without_amounts_is_compared_in_total_alone() -> None:
    found = compare({"a": 3 * USD}, [Source("s", total=2 * USD), Source("t", note="not there")], ONE_PERCENT)
    assert found.lines[0].cells == (None, None)
    assert [None if cell is None else cell.difference for cell in found.total.cells] == [-USD, None]
    assert found.off


@given(AMOUNTS, AMOUNTS)
def test_lines_add_up_to_the_total(logged: dict[str, int], other: dict[str, int]) -> None:
    found = compare(logged, [Source("s", other)], ONE_PERCENT)
    assert {line.key for line in found.lines} == logged.keys() | other.keys()
    assert sum(line.logged for line in found.lines) == found.total.logged == sum(logged.values())
    cells = [cell for line in found.lines for cell in line.cells if cell is not None]
    (total,) = found.total.cells
    assert total is not None
    assert sum(cell.difference for cell in cells) == total.difference
    assert sum(cell.amount for cell in cells) == total.amount


@given(AMOUNTS, st.sets(st.sampled_from("abcdef")))
def test_what_has_no_place_of_its_own_is_other(logged: dict[str, int], known: set[str]) -> None:
    folded = with_overflow(logged, {*known, "other"}, "other")
    assert folded.keys() <= known | {"other"}
    assert sum(folded.values()) == sum(logged.values())
    assert with_overflow(logged, known, "other") == logged
