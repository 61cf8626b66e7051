"""What is to be read next, and which age a slice has reached."""

from bisect import bisect_right
from functools import lru_cache

from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR, floor_to
from exporter.ledger.model import LedgerSettings, Phase, Progress, State, TimeRange

LARGEST_GAP = 300
"""Seconds without a read after which the background catches up, in place of the scrape."""

LARGEST_STEP = 60
"""Seconds by which a clock may step back and "now" just waits for it; a clock that steps further is followed."""

REREAD_AGES = (HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR)
"""Ages at which a quarter is read again; the horizon is the last one."""


RECHECK = -1
"""The `Slice.stage` of a quarter that is to be read again at any age."""


# asked for every quarter of the horizon, every second
@lru_cache(maxsize=16)
def reread_ages(horizon: int) -> tuple[int, ...]:
    """The ages in force, the horizon last."""
    return (*(age for age in REREAD_AGES if age < horizon), horizon)


def stage_at(age: int, settings: LedgerSettings) -> int:
    """How many re-reads a quarter of this age has due, or has had when it was read at this age."""
    return bisect_right(reread_ages(settings.horizon), age)


def present(progress: Progress, clock: int) -> int:
    """Now: the database's clock, which never steps back but by `set_back`."""
    return max(progress.now, clock)


def longest_lag(settings: LedgerSettings) -> int:
    """How far, in seconds, a replica may be behind and the open window reaches back to what it is known to hold.

    Minutes before `settled` must be closed.
    """
    return HOUR + MINUTE - settings.window


def hold_back(now: int, known: int | None, complete: int, settings: LedgerSettings) -> int:
    """Now, by a read of a replica that is known to hold what was committed until `complete`.

    Where that is further back than `longest_lag`, time stands still: `known` is the time of the state, None before the
    first reading. When the replica has caught up, what was passed over is a gap like any other.
    """
    held = complete + longest_lag(settings)
    # never back: rows that were counted would be dated into the future
    return max(min(now, held), min(now, now if known is None else known))


def is_closed_ahead(progress: Progress, clock: int, settings: LedgerSettings) -> bool:
    """Whether a part of the open window is closed for good: only a clock that was ahead closes so much."""
    return progress.compacted > clock - settings.window


def steps_back(progress: Progress, clock: int) -> bool:
    """Whether the clock was set back so far that it must be followed, by `set_back`."""
    return progress.now - clock > LARGEST_STEP


def oldest_open(state: State) -> int:
    """Where the next read of the open window begins."""
    return min((s.start for s in state.slices.values() if s.held), default=state.progress.closed)


def is_current(progress: Progress, clock: int) -> bool:
    """Whether one read of the open window brings the ledger up to date."""
    return present(progress, clock) - progress.position <= LARGEST_GAP


def front(state: State, clock: int, settings: LedgerSettings) -> TimeRange | None:
    """The open window up to the present, or None where a gap is to be caught up first.

    A database clock that was set back dates new rows into closed slices: the window then reaches down to them, and up
    to what had been read by the clock as it was.
    """
    progress = state.progress
    if not is_current(progress, clock):
        return None
    # a clock that was set back dates new rows below what is closed
    lo = min(oldest_open(state), floor_to(clock - settings.window, MINUTE))
    if lo < progress.merged:
        lo = max(floor_to(lo, QUARTER_HOUR), state.changeable)
    return TimeRange(lo, max(present(progress, clock) + 1, progress.position))


def catch_up(state: State, clock: int, length: int) -> TimeRange | None:
    """The next stretch of a gap, about `length` seconds (whole quarters) of it, or None when there is none.

    What is settled is read from the last merge on, so that it is merged by the same read, and is never in memory by
    the minute.
    """
    progress = state.progress
    if is_current(progress, clock):
        return None
    now = present(progress, clock)
    old = settled(now)
    # whole quarters are read by one statement, and merged at once
    begun = floor_to(progress.position, QUARTER_HOUR)
    if progress.merged < old and (begun < old or progress.merged < floor_to(progress.closed, QUARTER_HOUR)):
        return TimeRange(progress.merged, min(old, max(progress.merged + length, begun + QUARTER_HOUR)))
    return TimeRange(oldest_open(state), min(begun + length, floor_to(now, MINUTE)))


def settled(now: int) -> int:
    """The quarter-hour before which no minute can be open for a row in progress any more."""
    return floor_to(now - MINUTE - HOUR, QUARTER_HOUR)


def read_width(progress: Progress, span: TimeRange, now: int, settings: LedgerSettings) -> int:
    """The width of the slices by which a span can be read: quarter-hours where all of it is, or will be, merged."""
    closed = floor_to(now - settings.window, QUARTER_HOUR)
    wide = max(progress.merged, min(settled(now), closed))
    whole = span.lo % QUARTER_HOUR == 0 and span.hi % QUARTER_HOUR == 0
    return QUARTER_HOUR if whole and span.hi <= wide else MINUTE


def next_merge(state: State, length: int) -> TimeRange | None:
    """The quarters, at most `length` seconds of them, whose minutes are all closed."""
    progress = state.progress
    if progress.phase != Phase.RUNNING:
        return None
    until = floor_to(oldest_open(state), QUARTER_HOUR)
    hi = min(until, progress.merged + length)
    return TimeRange(progress.merged, hi) if hi > progress.merged else None


def next_reread(
    state: State, clock: int, settings: LedgerSettings, length: int, safe_now: int | None = None
) -> TimeRange | None:
    """A run of quarters, at most `length` seconds of them, that are to be read again.

    The newest of those that are due at any age come first, then the oldest of those that have reached an age.
    Those are due to be compacted that are past the horizon by `safe_now` (None: by the clock).
    """
    progress = state.progress
    if progress.phase != Phase.RUNNING:
        return None
    now = present(progress, clock)
    safe = now if safe_now is None else min(safe_now, now)
    quarters = range(state.changeable, progress.merged, QUARTER_HOUR)
    stages = [state.slices[quarter].stage for quarter in quarters]
    # after a switch everything is due: the newest quarters are the ones that alerts look at
    if RECHECK in stages:
        return _newest_recheck(state, quarters, length)
    # read once more before it is compacted, whatever its stage
    expired = safe - settings.horizon - QUARTER_HOUR
    # asked all the time, and mostly nothing is due: calling a function for each would take longer
    ages, latest = reread_ages(settings.horizon), now - QUARTER_HOUR
    due = {
        quarter
        for quarter, stage in zip(quarters, stages, strict=True)
        if quarter <= expired or stage < bisect_right(ages, latest - quarter)
    }
    if not due:
        return None
    lo = min(due)
    hi = lo + QUARTER_HOUR
    while hi in due and hi < lo + length:
        hi += QUARTER_HOUR
    return TimeRange(lo, hi)


def _newest_recheck(state: State, quarters: range, length: int) -> TimeRange:
    lo = hi = next(quarter for quarter in reversed(quarters) if state.slices[quarter].stage == RECHECK)
    while lo > max(quarters.start, hi + QUARTER_HOUR - length) and state.slices[lo - QUARTER_HOUR].stage == RECHECK:
        lo -= QUARTER_HOUR
    return TimeRange(lo, hi + QUARTER_HOUR)
