"""Undo what a clock that was ahead has closed: slices that were compacted too soon are kept again."""

from dataclasses import replace

from exporter.ledger.calendar import QUARTER_HOUR
from exporter.ledger.model import Cell, Changes, LedgerSettings, Slice, SpanRead, State, Tally
from exporter.ledger.plan import Plan
from exporter.ledger.slices import bucket_within


def rewind(state: State, read: SpanRead, settings: LedgerSettings) -> Changes:
    """Keep the quarters from the start of the read's span on again, which were compacted too soon.

    The read holds what has been counted of them; whatever is found there later counts. Sums of days and users that the
    wrong clock has dropped are not restored.
    """
    before = state.progress
    plan = Plan(state, settings, before.now)
    # known and counted alike: only rows that come later make a difference
    for start in range(read.span.lo, before.compacted, QUARTER_HOUR):
        minute = bucket_within(read, start, QUARTER_HOUR)
        plan.changes.slices[start] = Slice(
            start=start,
            width=QUARTER_HOUR,
            cells={series: Cell(known, known) for series, known in plan.overflow_labels(start, minute, {}).items()},
            skipped={skip: Tally(count, count) for skip, count in minute.skipped.items()},
        )
        plan.changes.slice_users[start] = minute.users or None
    plan.changes.admitted.update(plan.limiter.added)
    plan.changes.progress = replace(before, compacted=min(before.compacted, read.span.lo))
    return plan.changes
