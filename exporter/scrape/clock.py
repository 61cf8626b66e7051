"""Decide which readings of the database's clock to believe, by the clocks of the exporter's host."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from exporter.humanize import span_text
from exporter.ledger.schedule import LARGEST_STEP

LEAP_LASTS = 300.0
"""Seconds that a leap must last before it is believed, if no other clock confirms it."""


def _elapsed() -> float:
    # CLOCK_BOOTTIME also counts the time for which the machine was suspended; not every system has it
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class HostClock:
    """The host's clocks, in seconds: one that only goes forward, and the wall clock since the epoch."""

    elapsed: Callable[[], float] = _elapsed
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class Moment:
    """What time it is, in seconds since the epoch.

    `now` is the database's clock, or what it should show while a leap is disbelieved. `safe_now` is ahead of no clock:
    use it for whatever cannot be undone. `skew` is `now` minus the host's clock. `problem` says why the database's
    clock is not believed; None if it is.
    """

    now: int
    safe_now: int
    skew: int
    problem: str | None = None


@dataclass(frozen=True)
class _Believed:
    """A reading that was believed: the database's clock and the host's clocks at the same moment."""

    clock: float
    elapsed: float
    wall: float


@dataclass(frozen=True)
class _Leap:
    """A leap that is disbelieved: its size in seconds, and when it began, by the host's elapsed time."""

    offset: float
    since: float


class DatabaseClock:
    """Judges every reading of the database's clock. May be used from any thread.

    A reading is plausible if it is within `LARGEST_STEP` of the last one plus the time elapsed since then, or if the
    host's clock confirms it: both show the same time, or differ by as much as before. Any other reading is a leap,
    forward or back. It is disbelieved until it has lasted for `LEAP_LASTS`; until then, time goes on by the host's
    clock.
    """

    def __init__(self, host: HostClock, horizon: float) -> None:
        self._host = host
        self._horizon = horizon
        self._lock = threading.Lock()
        self._last: _Believed | None = None
        self._leap: _Leap | None = None
        self._safe: tuple[float, float] | None = None
        self._lags_since: float | None = None
        self._offset: float | None = None

    @property
    def offset(self) -> float | None:
        """The database's clock as last read minus the host's, in seconds; None before the first reading."""
        return self._offset

    def expected(self) -> int | None:
        """What the database's clock should show now, without asking; None where that cannot be told."""
        with self._lock:
            if self._last is None or self._leap is not None:
                return None
            return int(self._last.clock + self._host.elapsed() - self._last.elapsed)

    def judge(self, clock: float, known_now: int | None = None, known_skew: int | None = None) -> Moment:
        """The moment of a reading that was just taken.

        `known_now` and `known_skew` are the last values in the state; they matter for the first reading of a process.
        """
        with self._lock:
            elapsed, wall = self._host.elapsed(), self._host.wall()
            self._offset = clock - wall
            expected = self._expected(elapsed, wall, known_skew)
            leap = None
            if expected is not None and not self._is_plausible(clock, expected, wall, known_skew):
                leap = self._leap_of(clock - expected, elapsed)
            if expected is None or leap is None or elapsed - leap.since >= LEAP_LASTS:
                self._leap = None
                self._last = _Believed(clock, elapsed, wall)
                return self._moment(clock, elapsed, wall)
            self._leap = leap
            now = expected
            if self._last is None:
                # the host's clock may be the one that is wrong: go neither forward nor back because of it
                now = max(min(clock, expected), known_now or 0)
            return self._moment(now, elapsed, wall, _describe(leap.offset))

    def _expected(self, elapsed: float, wall: float, known_skew: int | None) -> float | None:
        if self._last is not None:
            return self._last.clock + elapsed - self._last.elapsed
        return None if known_skew is None else wall + known_skew

    def _is_plausible(self, clock: float, expected: float, wall: float, known_skew: int | None) -> bool:
        skew = known_skew if self._last is None else self._last.clock - self._last.wall
        candidates = (expected, wall, wall + (skew or 0.0))
        return any(abs(clock - candidate) <= LARGEST_STEP for candidate in candidates)

    def _leap_of(self, offset: float, elapsed: float) -> _Leap:
        """The leap that is going on, or the one that begins with this reading."""
        if self._leap is not None and abs(offset - self._leap.offset) <= LARGEST_STEP:
            return self._leap
        return _Leap(offset, elapsed)

    def _moment(self, now: float, elapsed: float, wall: float, problem: str | None = None) -> Moment:
        safe = self._safe_now(now, elapsed, wall)
        return Moment(int(now), int(safe), round(now - wall), problem)

    def _safe_now(self, now: float, elapsed: float, wall: float) -> float:
        """The earliest of `now`, the host's clock, and the last safe time plus the time elapsed since then.

        Once it has lagged behind `now` for a whole horizon, `now` is taken to be right.
        """
        safe = min(now, wall)
        if self._safe is not None:
            safe = self._safe[0] + elapsed - self._safe[1]
        if safe > now - LARGEST_STEP:
            safe, self._lags_since = now, None
        elif self._lags_since is None:
            self._lags_since = elapsed
        elif elapsed - self._lags_since >= self._horizon:
            safe, self._lags_since = now, None
        self._safe = safe, elapsed
        return safe


def _describe(offset: float) -> str:
    direction = "ahead of" if offset > 0 else "behind"
    return f"the database's clock is {span_text(abs(offset))} {direction} where it should be"
