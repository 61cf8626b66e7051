"""Count how often something was seen lately, in a fixed amount of memory."""

import mmap
import time
from collections.abc import Callable

_ROWS, _WIDTH = 4, 1 << 19
_MOST = 255  # what a cell can hold


class Sightings:
    """A count-min sketch of two generations. Counts may be too high, and are too low only above 255."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember a sighting for at least ``seconds``, and for at most twice as long."""
        self._seconds = seconds
        self._clock = clock
        self._began = clock()
        self._now, self._before = _empty(), _empty()

    def add(self, digest: bytes) -> int:
        """Note a sighting; returns how many there have been, including this one.

        The digest must have at least 16 bytes, and nobody outside may be able to choose its bits.
        """
        self._turn_over()
        cells = _cells(digest)
        for cell in cells:
            self._now[cell] = min(self._now[cell] + 1, _MOST)
        # other digests may raise a cell too: the lowest count is the closest
        return min(self._now[cell] for cell in cells) + min(self._before[cell] for cell in cells)

    def _turn_over(self) -> None:
        now = self._clock()
        passed = now - self._began
        if passed >= 2 * self._seconds:
            self._now, self._before, self._began = _empty(), _empty(), now
        elif passed >= self._seconds:
            self._now, self._before, self._began = _empty(), self._now, self._began + self._seconds


def _empty() -> mmap.mmap:
    # what nothing is written to takes up no memory
    return mmap.mmap(-1, _ROWS * _WIDTH)


def _cells(digest: bytes) -> list[int]:
    return [row * _WIDTH + int.from_bytes(digest[4 * row : 4 * row + 4]) % _WIDTH for row in range(_ROWS)]
