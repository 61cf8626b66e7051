"""Money by day and name, of which a day can be handed out without copying it."""

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, MutableMapping
from typing import Generic, TypeVar

from exporter.ledger.aggregate import sum_counts
from exporter.ledger.packed_sums import PackedSums
from exporter.unchanged import kept_while_the_same

K = TypeVar("K", bound=Hashable)

MANY_NAMES = 1000
"""Names from which on a day is packed."""

_MOST_CHANGED = 0.1
"""Share of a packed day's names that may have changed until it is packed again."""


class DaySums(MutableMapping[tuple[int, K], int], Generic[K]):
    """Sums by day (`datetime.date.toordinal`) and name.

    What `on` has handed out never changes: a day is copied before it does, once, however many have it.
    """

    def __init__(self, sums: Mapping[tuple[int, K], int] | None = None) -> None:
        """The same sums as others."""
        self._days: dict[int, dict[K, int] | PackedSums[K]] = {}
        self._handed_out: set[int] = set()
        # two, since the newest day changes all the time, and the days before it hardly ever do
        self._add_past: Callable[..., Mapping[K, int]] = kept_while_the_same(sum_counts)
        self._add_newest: Callable[..., Mapping[K, int]] = kept_while_the_same(sum_counts)
        self.update(sums or {})

    @property
    def all_days(self) -> Iterable[int]:
        """The days that have sums."""
        return self._days.keys()

    def on(self, day: int) -> Mapping[K, int]:
        """The sums of a day as they are now."""
        self._handed_out.add(day)
        return self._days.get(day, {})

    def over(self, days: Container[int]) -> Mapping[K, int]:
        """The sums of several days together, as they are now: the same object again, as long as they are the same."""
        parts = [self.on(day) for day in sorted(self._days) if day in days]
        return self._add_newest(self._add_past(*parts[:-1]), *parts[-1:])

    def pack(self, until: int, least: int = MANY_NAMES) -> None:
        """Pack the days before one that have `least` names or more; none of their sums changes by that.

        The names must be texts, or what else `marshal` writes.
        """
        for day, sums in self._days.items():
            changed = sums.changes if isinstance(sums, PackedSums) else len(sums)
            if day < until and len(sums) >= least and changed > _MOST_CHANGED * len(sums):
                self._days[day] = PackedSums(sums)
                self._handed_out.discard(day)

    def copy(self) -> "DaySums[K]":
        """Sums of their own: the days are shared until one of both changes them."""
        copy: DaySums[K] = DaySums()
        copy._days = dict(self._days)
        self._handed_out.update(self._days)
        copy._handed_out.update(self._days)
        return copy

    def __getitem__(self, key: tuple[int, K]) -> int:
        day, name = key
        return self._days[day][name]

    def __setitem__(self, key: tuple[int, K], units: int) -> None:
        day, name = key
        self._own(day)[name] = units

    def __delitem__(self, key: tuple[int, K]) -> None:
        day, name = key
        if key not in self:
            raise KeyError(key)
        sums = self._own(day)
        if isinstance(sums, PackedSums):
            sums = self._days[day] = dict(sums.items())
        del sums[name]
        if not sums:
            del self._days[day]

    def __iter__(self) -> Iterator[tuple[int, K]]:
        return ((day, name) for day, sums in self._days.items() for name in sums)

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    def __repr__(self) -> str:
        return f"DaySums({dict(self)})"

    def _own(self, day: int) -> dict[K, int] | PackedSums[K]:
        if day in self._handed_out:
            self._handed_out.remove(day)
            if day in self._days:
                self._days[day] = self._days[day].copy()
        return self._days.setdefault(day, {})
