"""What time it is by the database, and whether figures can be of that time."""

from dataclasses import dataclass, replace

from exporter.database.replication import NOT_ASKED, Replication
from exporter.ledger.model import LedgerSettings, Progress
from exporter.ledger.schedule import hold_back
from exporter.scrape.clock import LEAP_LASTS, DatabaseClock, HostClock, Moment

Problem = tuple[str, str]
"""What is wrong, and what to do about it."""

CLOCK_HINT = (
    "correct the clock of the database's host; until then, time goes on by this host's clock, "
    f"and a jump that lasts {LEAP_LASTS / 60:.0f} minutes is accepted"
)
"""What to do about a clock that is disbelieved."""


@dataclass(frozen=True)
class _Reading:
    """One look at the server: what time it is by it, and how far it is behind its primary."""

    moment: Moment | None
    replication: Replication


class DatabaseTime:
    """The last reading of the database's clock, and of its replication. May be used from any thread."""

    def __init__(self, host: HostClock, horizon: float, max_lag: float) -> None:
        """`horizon` and `max_lag`, the most that a standby may be behind, are in seconds."""
        self._clock = DatabaseClock(host, horizon)
        self._max_lag = max_lag
        # replaced as a whole, so that no thread sees a moment with another reading's replication
        self._last = _Reading(None, NOT_ASKED)

    def believe(
        self, clock: float, replication: Replication, progress: Progress | None, settings: LedgerSettings
    ) -> Moment:
        """What time it is by a reading that was just taken; `progress` is that of the state, if there is one.

        Where the server is a standby that is behind, that is no later than what it holds allows.
        """
        known_now, known_skew = (None, None) if progress is None else (progress.now, progress.skew)
        moment = self._clock.judge(clock, known_now, known_skew)
        complete = replication.complete_until
        if complete is not None:
            now = hold_back(moment.now, known_now, complete, settings)
            moment = replace(moment, now=now, safe_now=min(moment.safe_now, complete))
        self._last = _Reading(moment, replication)
        return moment

    def expected(self) -> int | None:
        """What time it should be now, without asking; None where only a reading can tell."""
        return None if self.replication.complete_until is not None else self._clock.expected()

    @property
    def moment(self) -> Moment | None:
        """The last moment that was believed; None before the first reading."""
        return self._last.moment

    @property
    def replication(self) -> Replication:
        """How the server stood to its primary at the last reading."""
        return self._last.replication

    @property
    def offset(self) -> float | None:
        """The database's clock as last read less the host's, in seconds; None before the first reading."""
        return self._clock.offset

    @property
    def clock_problem(self) -> Problem | None:
        """Why the database's clock, as last read, is not believed; None where it is."""
        moment = self._last.moment
        return None if moment is None or moment.problem is None else (moment.problem, CLOCK_HINT)

    @property
    def replica_problem(self) -> Problem | None:
        """Why what was read last is not of the present; None where it is."""
        return self._last.replication.problem(self._max_lag)

    def safe(self, clock: int) -> int:
        """The time that what cannot be undone goes by, no later than `clock`; in seconds since the epoch."""
        moment = self._last.moment
        return clock if moment is None else min(moment.safe_now, clock)
