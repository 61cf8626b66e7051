"""End series, so that others can be admitted in their stead."""

from collections.abc import Collection, Set
from dataclasses import replace

from exporter.ledger.aggregate import add
from exporter.ledger.model import NO_CELL, OTHER, PUT_OFF, Admission, Cell, Changes, Series, Slice, State
from exporter.ledger.plan import bump
from exporter.ledger.slices import taken_back


def forget(state: State, series: Collection[Series]) -> Changes:
    """End some series; `OTHER` cannot be ended.

    Their counters and corrections end. Nothing is added to those of `OTHER`, which would show the same calls twice.
    Spend gauges show sums of rows, so their spend moves to `OTHER`. In slices that can still be read again, their rows
    count as known under `OTHER` from then on: neither `OTHER` nor a new series of the same name counts them again.
    That holds for rows that are counted and not due yet, too: until they are due, the corrections of `OTHER` show them.
    """
    # `other` holds rows of every pair that was never admitted
    gone = {s for s in series if s in state.admitted} - {OTHER}
    left = state.admitted.keys() - gone
    ended = {
        **dict.fromkeys(("admitted", "totals", "corrections"), frozenset(gone)),
        # labels that no series has any more
        "seen_operations": frozenset(state.seen_operations.keys() - {name.operation for name in left}),
        "succeeded_models": frozenset(state.succeeded_models.keys() - {name.model for name in left}),
    }
    changes = Changes(ended=ended)
    waiting = 0
    for start, item in state.slices.items():
        if not gone.isdisjoint(item.cells):
            changes.slices[start] = _without(item, gone)
            # their rows are counted and not there yet, which corrections say until they are due
            if item.stage == PUT_OFF:
                waiting += sum(taken_back(cell) for name, cell in item.cells.items() if name in gone)
    if waiting:
        changes.corrections[OTHER] = state.corrections.get(OTHER, 0) + waiting
    for (day, name), units in state.days.items():
        if name in gone:
            changes.days[day, name] = None
            bump(changes.days, state.days, (day, OTHER), units)
    if OTHER not in state.admitted and (changes.slices or changes.days):
        order = max(admission.order for admission in state.admitted.values()) + 1
        changes.admitted[OTHER] = Admission(order, None)
    return changes


def _without(item: Slice, gone: Set[Series]) -> Slice:
    cells = {name: cell for name, cell in item.cells.items() if name not in gone}
    other = item.cells.get(OTHER, NO_CELL)
    for name in gone & item.cells.keys():
        rows = item.cells[name].current
        # no more than the rows: what they have taken back ends with the series
        counted = item.cells[name].high_water if item.stage == PUT_OFF else rows
        other = Cell(add(other.current, rows), add(other.high_water, counted))
    cells[OTHER] = other
    return replace(item, cells=cells)
