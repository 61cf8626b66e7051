"""Packed cells are the cells that they were made of, whatever these hold."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.aggregate import WIDTH, ZERO, Aggregate
from exporter.ledger.model import Cell, Series
from exporter.ledger.packed import PackedCells, once, pack

FIGURES = st.integers(-(2**80), 2**80) | st.just(0)
# most figures of a cell are 0, and to draw all of them takes long
AGGREGATES = st.dictionaries(st.integers(0, WIDTH - 1), FIGURES, max_size=8).map(
    lambda drawn: tuple(drawn.get(position, 0) for position in range(WIDTH))
)
SERIES = st.builds(Series, st.text(), st.text())
CELLS: Any = st.dictionaries(
    SERIES, AGGREGATES.map(lambda known: Cell(known, known)) | st.builds(Cell, AGGREGATES, AGGREGATES), max_size=5
)


def aggregate(number: int) -> Aggregate:
    return (number, *ZERO[1:])


ONE, TWO = Series("chat", "one"), Series("chat", "two")


@given(cells=CELLS)
def test_they_are_the_same_cells_in_the_same_order(cells: dict[Series, Cell]) -> None:
    packed = pack(cells)
    assert packed == cells
    assert cells == packed
    assert list(packed.items()) == list(cells.items())
    assert len(packed) == len(cells)
    assert packed == pack(dict(packed))
    assert packed.keys() == cells.keys()


@given(cells=CELLS, other=CELLS)
def test_others_are_others(cells: dict[Series, Cell], other: dict[Series, Cell]) -> None:
    assert (pack(cells) == pack(other)) == (cells == other)
    assert (pack(cells) == other) == (cells == other)


def test_a_mark_that_is_what_was_read_is_one_tuple() -> None:
    cell = pack({ONE: Cell(aggregate(7), aggregate(7))})[ONE]
    assert cell.current is cell.high_water


def test_several_are_told_apart_however_they_are_looked_at() -> None:
    first, second = pack({ONE: Cell(aggregate(1))}), pack({ONE: Cell(aggregate(2)), TWO: Cell()})
    for _ in range(2):
        assert first[ONE].current == aggregate(1)
        assert second[ONE].current == aggregate(2)
    assert TWO in second
    assert TWO not in first
    assert first.get(TWO) is None
    assert repr(second) == f"PackedCells({dict(second)})"


def test_what_is_packed_is_not_packed_again() -> None:
    packed = pack({ONE: Cell()})
    assert pack(packed) is packed


def test_what_is_made_of_packed_cells_is_made_once() -> None:
    calls = []

    def made(cells: Any) -> int:
        calls.append(1)
        return len(cells)

    cells = {ONE: Cell(), TWO: Cell()}
    packed = PackedCells(cells)
    assert [once(packed, made), once(packed, made), len(calls)] == [2, 2, 1]
    assert [once(cells, made), once(cells, made), len(calls)] == [2, 2, 3]
