"""Taking up a changed configuration: the same rows, classified anew, without a counter moving."""

from dataclasses import replace

from exporter.ledger.admission import Places
from exporter.ledger.advance import admit, known_models, with_fallbacks
from exporter.ledger.aggregate import ZERO, Field, with_figure
from exporter.ledger.calendar import MINUTE, QUARTER, day_of, day_start, floor_to, month_start_day
from exporter.ledger.draft import Draft
from exporter.ledger.model import RUNNING, SHOWN, Cell, Changes, Read, Rules, Series, Slice, Span, State
from exporter.ledger.slices import know_cell, minutes_within


def rebase_span(state: State, rules: Rules) -> Span:
    """What must be read for `rebase`: every slice, and the days of the current month that are sums already."""
    month = day_start(month_start_day(day_of(state.progress.now, rules.zone)), rules.zone)
    return Span(min(state.progress.folded, floor_to(month, QUARTER)), state.progress.position)


def rebase(state: State, read: Read, rules: Rules) -> Changes:
    """Replace all aggregates by those of a read of `rebase_span`, made under the new configuration.

    Marks keep the distance that they had from the aggregates, so that money taken back stays taken back and rows that
    come back are not counted twice. The sums of days and users are made anew; counters stay where they are.
    """
    before = state.progress
    emptied = replace(state, days={}, user_days={})
    places = Places(state, rules, None if before.phase == RUNNING else SHOWN, anew=True)
    draft = Draft(emptied, rules, places, read.now, read.irrevocable, known_models(state, read))
    admit(places, read)
    draft.changes.days.update(dict.fromkeys(state.days))
    draft.changes.user_days.update(dict.fromkeys(state.user_days))

    for start in range(read.span.lo, before.folded, QUARTER):
        minute = minutes_within(read, start, QUARTER)
        for series, aggregate in draft.fold_labels(start, minute.cells).items():
            draft.spend(start, series, aggregate[Field.COST])
        draft.replace_users(start, {}, minute.users)
    for old in state.slices.values():
        draft.replace_slice([old], _known_slice(draft, old, read))
    draft.see(read)
    draft.changes.admitted.update(places.added)
    draft.changes.candidates.update(places.candidates())
    return draft.changes


def _known_slice(draft: Draft, old: Slice, read: Read) -> Slice:
    minute = minutes_within(read, old.start, old.width)
    current = draft.fold_labels(old.start, with_fallbacks(minute, read.routes, draft.known_models))
    cells: dict[Series, Cell] = {}
    # unpriced calls of a minute are counted by the merge only, all but those that were known from the start
    known_unpriced = sum(cell.mark[Field.UNPRICED] for cell in old.cells.values())
    for series in sorted({*old.cells, *current}):
        cell = know_cell(old.cells.get(series, Cell()), current.get(series, ZERO))
        if old.width == MINUTE:
            unpriced = min(known_unpriced, cell.current[Field.UNPRICED])
            known_unpriced -= unpriced
            cell = Cell(cell.current, with_figure(cell.mark, Field.UNPRICED, unpriced))
        cells[series] = cell
        draft.spend(old.start, series, cell.current[Field.COST])
    if old.width == MINUTE and known_unpriced:
        # priced by this configuration, they stay known for one that finds them without a price again
        series = next(series for series, cell in sorted(old.cells.items()) if cell.mark[Field.UNPRICED])
        cell = cells[series]
        unpriced = cell.mark[Field.UNPRICED] + known_unpriced
        cells[series] = Cell(cell.current, with_figure(cell.mark, Field.UNPRICED, unpriced))
    draft.replace_users(old.start, {}, minute.users)
    return replace(
        old,
        cells=cells,
        skipped=draft.tally(old.skipped, minute.skipped, counted=False),
        waiting=minute.waiting,
        users=minute.users,
        sequence=read.sequence,
    )
