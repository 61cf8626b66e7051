"""How fast the background reader goes: how much of the log it reads at once, and how long it rests after a failure."""

from dataclasses import dataclass

from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR

LONGEST_CHUNK = 24 * HOUR
LONGEST_BACKOFF = 60.0

ROW_BUDGET = 10_000
"""Result rows that one chunk should have at most: with a row a user and slice, this is what memory is bounded by."""

_SPLITS = (QUARTER_HOUR, 300, MINUTE)


@dataclass
class AdaptiveChunk:
    """How much of the log one chunk holds, so that a chunk takes about `budget` seconds and has `ROW_BUDGET` rows.

    It begins small, and grows by what came back. A chunk that was slow is split: down to a quarter of an hour by its
    length, and below that into several statements of one snapshot. Failures in a row wait longer each time.
    """

    budget: float
    length: int = QUARTER_HOUR
    piece: int = QUARTER_HOUR
    failures: int = 0
    stuck: bool = False

    def took(self, seconds: float, rows: int, stretch: int) -> None:
        """Learn from a chunk that was read: how long that took, its result's rows, and how many seconds it covers."""
        self.failures, self.stuck = 0, False
        effort = max(seconds / self.budget, rows / ROW_BUDGET)
        if effort > 1:
            self._shrink(2)
        elif effort < 0.5:
            self.piece = QUARTER_HOUR
            # one that was short for other reasons tells nothing of a longer one
            if stretch >= self.length:
                self.length = min(LONGEST_CHUNK, self.length * (4 if effort < 0.05 else 2))

    def too_many(self) -> None:
        """Learn from a chunk that had more than `most_rows`."""
        self.length = QUARTER_HOUR

    def timed_out(self) -> None:
        """Learn from a chunk whose statement did not end in time."""
        self.failures += 1
        if self.length > QUARTER_HOUR:
            # each try has cost the database all that a statement may take
            self._shrink(4)
        else:
            self.stuck = self.piece == MINUTE
            self.piece = next((split for split in _SPLITS if split < self.piece), MINUTE)

    @property
    def most_rows(self) -> int | None:
        """Result rows after which a chunk is given up; None for the shortest, which must be read whole."""
        return 2 * ROW_BUDGET if self.length > QUARTER_HOUR else None

    @property
    def backoff(self) -> float:
        """Seconds to wait after a failure."""
        return min(LONGEST_BACKOFF, 0.5 * 2.0 ** min(self.failures, 10))

    @property
    def statement_seconds(self) -> float:
        """What one statement may take before it is split."""
        return 5 * self.budget

    def transaction_seconds(self, most: float) -> float:
        """What one transaction may take: `most` seconds at most.

        Where that is too short to read a quarter-hour minute by minute, it may take longer: a quarter-hour comes out
        of one snapshot, and would never be read else.
        """
        whole = self.statement_seconds * (QUARTER_HOUR // MINUTE)
        return whole if self.stuck else min(most, whole)

    @property
    def split(self) -> int | None:
        """Seconds of the log that one statement reads; None: the whole chunk."""
        return self.piece if self.piece < QUARTER_HOUR else None

    def _shrink(self, by: int) -> None:
        self.length = max(QUARTER_HOUR, self.length // by // QUARTER_HOUR * QUARTER_HOUR)
