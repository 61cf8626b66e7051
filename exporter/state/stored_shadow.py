"""The shadow as the journal's disk has it, read in pieces, so that no single read takes long."""

from collections.abc import Iterable, Iterator, Mapping

from exporter.ledger.shadow import Shadow
from exporter.state.journal import Journal
from exporter.state.shadow import load_parts, load_slices, load_users, starts_of

AT_ONCE = 16
"""Slices that are read at once."""


class StoredShadow:
    """What `exporter.ledger.shadow.ShadowStore` asks for. Every method may raise `DiskSilent`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def load(self, starts: Iterable[int] | None) -> Shadow:
        """All of the shadow but the slices and users of other starts; with None all slices, and no users."""
        shadow = self._journal.read(load_parts)
        wanted = self._journal.read(starts_of, "next_slices") if starts is None else sorted(starts)
        for part in _pieces(wanted):
            shadow.slices.update(self._journal.read(load_slices, part))
            if starts is not None:
                shadow.users.update(self._journal.read(load_users, part))
        return shadow

    def users(self, starts: Iterable[int]) -> Mapping[int, Mapping[str, int]]:
        """The users at these starts, where there are any."""
        found: dict[int, Mapping[str, int]] = {}
        for part in _pieces(sorted(starts)):
            found.update(self._journal.read(load_users, part))
        return found

    def all_users(self) -> Iterator[tuple[int, Mapping[str, int]]]:
        """The users of every start, one after the other."""
        for start in self._journal.read(starts_of, "next_slice_users"):
            yield from self._journal.read(load_users, [start]).items()


def _pieces(starts: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(starts), AT_ONCE):
        yield starts[first : first + AT_ONCE]
