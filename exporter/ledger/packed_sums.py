"""What users spent on a day that is over, packed: there may be a hundred thousand, and few are asked for."""

import marshal
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")

_TOGETHER = 64
"""How many names are unpacked together, to find one of them."""

_MOST_ASKED = 10_000
"""Names whose sums are remembered once they were asked for: those with budgets are asked for at each scrape."""


class PackedSums(Mapping[K, int], Generic[K]):
    """Sums by name, in a third of a dictionary's memory. What changes later lies on top of what is packed."""

    __slots__ = ("_asked", "_changed", "_parts", "_size")

    def __init__(self, sums: Mapping[K, int]) -> None:
        parts: list[dict[K, int]] = [{} for _ in range(len(sums) // _TOGETHER + 1)]
        for name, units in sums.items():
            parts[hash(name) % len(parts)][name] = units
        self._parts = [marshal.dumps(part) for part in parts]
        self._size = len(sums)
        self._changed: dict[K, int] = {}
        self._asked: dict[K, int | None] = {}

    @property
    def changes(self) -> int:
        """How many sums have changed since they were packed."""
        return len(self._changed)

    def copy(self) -> "PackedSums[K]":
        """The same sums; what changes here does not change there."""
        copy: PackedSums[K] = PackedSums({})
        copy._parts, copy._size, copy._asked = self._parts, self._size, self._asked
        copy._changed = self._changed.copy()
        return copy

    def items(self) -> Any:
        """All of them, unpacked at once."""
        sums: dict[K, int] = {}
        for part in self._parts:
            sums.update(marshal.loads(part))  # noqa: S302 - of our own making
        return (sums | self._changed).items()

    def __getitem__(self, name: K) -> int:
        units = self._changed.get(name)
        if units is None:
            units = self._packed(name)
        if units is None:
            raise KeyError(name)
        return units

    def __setitem__(self, name: K, units: int) -> None:
        self._size += name not in self
        self._changed[name] = units

    def __iter__(self) -> Iterator[K]:
        return (name for name, _ in self.items())

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"PackedSums({dict(self.items())})"

    def _packed(self, name: K) -> int | None:
        """What was packed of a name; None where nothing was."""
        asked = self._asked
        try:
            # not looked for first: another thread may clear them at any moment
            return asked[name]
        except KeyError:
            if len(asked) >= _MOST_ASKED:
                asked.clear()
            units: int | None = marshal.loads(self._parts[hash(name) % len(self._parts)]).get(name)  # noqa: S302 - likewise
            asked[name] = units
            return units
