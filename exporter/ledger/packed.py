"""What is kept and rarely looked at, packed: above all the cells of quarter-hours, which are kept for two days."""

import marshal
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from exporter.ledger.model import Cell, Series

T = TypeVar("T")

_FAST = 1
"""The level of compression: when the exporter starts, there may be a thousand hours to pack."""


def to_bytes(value: Any) -> bytes:
    """Plain values (numbers, texts, tuples, lists and dictionaries of them) in a fraction of their memory."""
    return zlib.compress(marshal.dumps(value), _FAST)


def from_bytes(packed: bytes) -> Any:
    """What `to_bytes` has packed."""
    return marshal.loads(zlib.decompress(packed))  # noqa: S302 - of our own making


class PackedCells(Mapping[Series, Cell]):
    """Cells by series in a tenth of their memory. They are unpacked as a whole; those unpacked last stay unpacked."""

    __slots__ = ("_made", "_packed", "_series")

    _last: "tuple[PackedCells, dict[Series, Cell]] | None" = None

    def __init__(self, cells: Mapping[Series, Cell]) -> None:
        self._series = _known(tuple(cells))
        # most cells have never held more than they do
        values = [
            (cell.current, None if cell.high_water == cell.current else cell.high_water) for cell in cells.values()
        ]
        self._packed = to_bytes(values)
        self._made: dict[Callable[[Mapping[Series, Cell]], object], object] = {}

    def __getitem__(self, series: Series) -> Cell:
        return self._cells()[series]

    def __contains__(self, series: object) -> bool:
        return series in self._series

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def __repr__(self) -> str:
        return f"PackedCells({self._cells()})"

    def once(self, make: Callable[[Mapping[Series, Cell]], T]) -> T:
        """What a function makes of these cells; it is called once, and what it made must not be changed."""
        if make not in self._made:
            self._made[make] = make(self._cells())
        made: T = self._made[make]  # type: ignore[assignment]
        return made

    def _cells(self) -> dict[Series, Cell]:
        last = PackedCells._last
        if last is None or last[0] is not self:
            cells = {
                series: Cell(current, current if high_water is None else high_water)
                for series, (current, high_water) in zip(self._series, from_bytes(self._packed), strict=True)
            }
            PackedCells._last = last = self, cells
        return last[1]


def pack(cells: Mapping[Series, Cell]) -> PackedCells:
    """The same cells, packed."""
    return cells if isinstance(cells, PackedCells) else PackedCells(cells)


def once(cells: Mapping[Series, Cell], make: Callable[[Mapping[Series, Cell]], T]) -> T:
    """What a function makes of cells, see `PackedCells.once`."""
    return cells.once(make) if isinstance(cells, PackedCells) else make(cells)


# most quarter-hours have the same series
@lru_cache(maxsize=16)
def _known(series: tuple[Series, ...]) -> dict[Series, None]:
    return dict.fromkeys(series)
