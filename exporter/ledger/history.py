"""The first reading of what lies past the horizon: only sums are left of it, so up to a day is read as one bucket."""

from dataclasses import replace

from exporter.ledger import schedule
from exporter.ledger.advance import NEVER, QuarterUsers, advance
from exporter.ledger.aggregate import net
from exporter.ledger.calendar import QUARTER_HOUR, day_of, day_start, floor_to
from exporter.ledger.model import (
    EXPOSED,
    Bucket,
    Cell,
    Changes,
    LedgerSettings,
    Phase,
    Progress,
    SpanRead,
    State,
    TimeRange,
)
from exporter.ledger.plan import Plan, known_models
from exporter.ledger.slices import raise_cell


def next_day(progress: Progress, settings: LedgerSettings, safe_now: int, length: int) -> TimeRange | None:
    """The next stretch, at most `length` seconds of it, that can be read as one bucket; None where there is none.

    It lies within one calendar day, all of it is counted or none, and all of it is past the horizon by `safe_now`.
    """
    lo = progress.position
    if progress.phase != Phase.STARTING or progress.compacted != lo:
        return None
    until = floor_to(safe_now - settings.horizon, QUARTER_HOUR)
    if lo < progress.count_from:
        until = min(until, progress.count_from)
    hi = min(lo + length, day_start(day_of(lo, settings.zone) + 1, settings.zone), until)
    return TimeRange(lo, hi) if hi > lo else None


def read_width(
    progress: Progress, span: TimeRange, now: int, settings: LedgerSettings, safe_now: int, *, by_day: bool = True
) -> int:
    """The width of the slices that a span can be read by: all of it where it is `next_day`, and `by_day` is true."""
    length = span.hi - span.lo
    if by_day and next_day(progress, settings, safe_now, length) == span:
        return max(QUARTER_HOUR, length)
    return schedule.read_width(progress, span, now, settings)


def take(state: State, read: SpanRead, settings: LedgerSettings, quarter_users: QuarterUsers) -> Changes:
    """What the state becomes by a read of any width; see `advance`."""
    if read.width > QUARTER_HOUR:
        return _take_sums(state, read, settings)
    return advance(state, read, settings, quarter_users)


def fits(state: State, read: SpanRead, settings: LedgerSettings) -> bool:
    """Whether every series of the read gets a place of its own: if not, quarter-hours tell which of them do."""
    limiter = _plan(state, read, settings).limiter
    wanted = {series for bucket in read.buckets.values() for series in bucket.cells}
    return all(limiter.label(series, read.span.lo) == series for series in wanted)


def _take_sums(state: State, read: SpanRead, settings: LedgerSettings) -> Changes:
    """What the state becomes by a read of `next_day`; nothing where that is not what comes next any more."""
    span, before = read.span, state.progress
    if next_day(before, settings, read.irrevocable, span.hi - span.lo) != span:
        return Changes()
    plan = _plan(state, read, settings)
    bucket, counted = read.buckets.get(span.lo, Bucket()), span.lo >= before.count_from
    for series, aggregate in plan.overflow_labels(span.lo, bucket, read.routes).items():
        if counted:
            # as a quarter-hour that is merged: all that waits for the merge is counted
            plan.count(series, raise_cell(Cell(), aggregate, QUARTER_HOUR)[1])
        plan.spend(span.lo, series, net(aggregate))
    plan.replace_users(span.lo, {}, bucket.users)
    for skip, count in bucket.skipped.items() if counted else ():
        plan.count_skips(skip, count)
    progress, hi = plan.finish(read, read.buckets.values()), span.hi
    plan.changes.progress = replace(progress, compacted=hi, merged=hi, closed=hi, position=hi)
    return plan.changes


def _plan(state: State, read: SpanRead, settings: LedgerSettings) -> Plan:
    """A plan that has admitted the series of the read."""
    # as in `advance`: a history that is counted appears with its total
    first_exposed_at = None if state.progress.count_from == NEVER else EXPOSED
    plan = Plan(state, settings, read.irrevocable, first_exposed_at, known_models(state, read))
    plan.admit(read.routes, read.buckets)
    return plan
