"""How fast the background reader goes: how much of the log it reads at once, and how long it rests after a failure."""

from dataclasses import dataclass

from exporter.ledger.calendar import HOUR, MINUTE, QUARTER

LONGEST_CHUNK = 24 * 3600
LONGEST_BACKOFF = 60.0

_SPLITS = (QUARTER, 300, MINUTE)


@dataclass
class Pace:
    """How much of the log one chunk holds, so that a chunk takes about `budget` seconds.

    A chunk that was slow is split: down to a quarter of an hour by its length, and below that into several statements
    of one snapshot. Failures in a row wait longer each time.
    """

    budget: float
    length: int = 6 * HOUR
    piece: int = QUARTER
    failures: int = 0

    def took(self, seconds: float) -> None:
        """Learn from a chunk that was read."""
        self.failures = 0
        if seconds > self.budget:
            self.length = max(QUARTER, self.length // 2 // QUARTER * QUARTER)
        elif seconds < self.budget / 2:
            self.length = min(LONGEST_CHUNK, self.length * 2)
            self.piece = QUARTER

    def timed_out(self) -> None:
        """Learn from a chunk whose statement did not end in time."""
        self.failures += 1
        if self.length > QUARTER:
            self.length = max(QUARTER, self.length // 2 // QUARTER * QUARTER)
        else:
            self.piece = next((split for split in _SPLITS if split < self.piece), MINUTE)

    @property
    def backoff(self) -> float:
        """Seconds to wait after a failure."""
        return min(LONGEST_BACKOFF, 0.5 * 2.0 ** min(self.failures, 10))

    @property
    def statement_seconds(self) -> float:
        """What one statement may take before it is split."""
        return 5 * self.budget

    @property
    def split(self) -> int | None:
        """Seconds of the log that one statement reads; None: the whole chunk."""
        return self.piece if self.piece < QUARTER else None
