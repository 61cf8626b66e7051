"""Undo what a clock that was ahead has closed: slices that were compacted too soon are kept again."""

from dataclasses import replace

from exporter.ledger.admission import SeriesLimiter
from exporter.ledger.advance import NEVER, begin
from exporter.ledger.calendar import QUARTER_HOUR
from exporter.ledger.model import Cell, Changes, LedgerSettings, Slice, SpanRead, State, Tally
from exporter.ledger.plan import Plan
from exporter.ledger.slices import bucket_within


def begin_again(state: State, clock: int, settings: LedgerSettings) -> Changes:
    """Begin the first reading again, which itself went by a clock that was ahead; counters keep what they have."""
    before = state.progress
    backfill = before.count_from if before.count_from < NEVER else None
    progress = begin(clock, settings, backfill)
    counts = {name: getattr(before, name) for name in ("late_rows", "rows_read", "rows_folded")}
    return Changes(
        progress=replace(progress, **counts),
        slices=dict.fromkeys(state.slices),
        slice_users=dict.fromkeys(state.slices),
        days=dict.fromkeys(state.days),
        user_days=dict.fromkeys(state.user_days),
    )


def rewind(state: State, read: SpanRead, settings: LedgerSettings) -> Changes:
    """Keep the quarters from the start of the read's span on again, which were compacted too soon.

    The read holds what has been counted of them; whatever is found there later counts. Sums of days and users that the
    wrong clock has dropped are not restored.
    """
    before = state.progress
    plan = Plan(state, settings, SeriesLimiter(state, settings, None), before.now, before.now)
    for start in range(read.span.lo, before.compacted, QUARTER_HOUR):
        minute = bucket_within(read, start, QUARTER_HOUR)
        plan.changes.slices[start] = Slice(
            start,
            QUARTER_HOUR,
            {series: Cell(known, known) for series, known in plan.overflow_labels(start, minute.cells).items()},
            {skip: Tally(count, count) for skip, count in minute.skipped.items()},
        )
        plan.changes.slice_users[start] = minute.users or None
    plan.changes.admitted.update(plan.limiter.added)
    plan.changes.progress = replace(before, compacted=min(before.compacted, read.span.lo))
    return plan.changes
