"""Undo what a clock that was ahead has closed: slices that were folded too soon are kept again."""

from dataclasses import replace

from exporter.ledger.admission import Places
from exporter.ledger.advance import NEVER, begin
from exporter.ledger.calendar import QUARTER
from exporter.ledger.draft import Draft
from exporter.ledger.model import Cell, Changes, Read, Rules, Slice, State, Tally
from exporter.ledger.slices import minutes_within


def begin_again(state: State, clock: int, rules: Rules) -> Changes:
    """Begin the first reading again, which itself went by a clock that was ahead; counters keep what they have."""
    before = state.progress
    backfill = before.count_from if before.count_from < NEVER else None
    progress = begin(clock, rules, backfill)
    counts = {name: getattr(before, name) for name in ("late_rows", "rows_read", "rows_folded")}
    return Changes(
        progress=replace(progress, **counts),
        slices=dict.fromkeys(state.slices),
        slice_users=dict.fromkeys(state.slices),
        days=dict.fromkeys(state.days),
        user_days=dict.fromkeys(state.user_days),
    )


def rewind(state: State, read: Read, rules: Rules) -> Changes:
    """Keep the quarters from the start of the read's span on again, which were folded too soon.

    The read holds what has been counted of them; whatever is found there later counts. Sums of days and users that the
    wrong clock has dropped are not restored.
    """
    before = state.progress
    draft = Draft(state, rules, Places(state, rules, None), before.now, before.now)
    for start in range(read.span.lo, before.folded, QUARTER):
        minute = minutes_within(read, start, QUARTER)
        draft.changes.slices[start] = Slice(
            start,
            QUARTER,
            {series: Cell(known, known) for series, known in draft.fold_labels(start, minute.cells).items()},
            {skip: Tally(count, count) for skip, count in minute.skipped.items()},
        )
        draft.changes.slice_users[start] = minute.users or None
    draft.changes.admitted.update(draft.places.added)
    draft.changes.progress = replace(before, folded=min(before.folded, read.span.lo))
    return draft.changes
