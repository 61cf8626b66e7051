"""How often something was seen in the last minutes, in a fixed amount of memory."""

import time
from collections.abc import Callable

_ROWS, _WIDTH = 4, 1 << 19
_MOST = 255  # what a cell can hold


class Sightings:
    """A count-min sketch of two generations: its counts are sometimes too high, and too low only above 255."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """A sighting is remembered for ``seconds`` at least, and for twice as long at most."""
        self._seconds = seconds
        self._clock = clock
        self._began = clock()
        self._now, self._before = _empty(), _empty()

    def add(self, digest: bytes) -> int:
        """Note one more sighting; how many there have been, this one included.

        The digest must be of 16 bytes or more, and such that nobody outside can choose its bits.
        """
        self._turn_over()
        cells = _cells(digest)
        for cell in cells:
            self._now[cell] = min(self._now[cell] + 1, _MOST)
        # others raise a cell, too: the lowest of its cells is nearest to the truth
        return min(self._now[cell] for cell in cells) + min(self._before[cell] for cell in cells)

    def _turn_over(self) -> None:
        now = self._clock()
        passed = now - self._began
        if passed >= 2 * self._seconds:
            self._now, self._before, self._began = _empty(), _empty(), now
        elif passed >= self._seconds:
            self._now, self._before, self._began = _empty(), self._now, self._began + self._seconds


def _empty() -> bytearray:
    return bytearray(_ROWS * _WIDTH)


def _cells(digest: bytes) -> list[int]:
    return [row * _WIDTH + int.from_bytes(digest[4 * row : 4 * row + 4]) % _WIDTH for row in range(_ROWS)]
