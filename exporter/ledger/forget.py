"""End series, and free their places for others."""

from collections.abc import Collection
from dataclasses import replace

from exporter.ledger.aggregate import ZERO, Aggregate, add
from exporter.ledger.model import OTHER, Admission, Cell, Changes, Series, Slice, State


def forget(state: State, series: Collection[Series]) -> Changes:
    """End some series; `OTHER` cannot be ended.

    Their counters and corrections end. Nothing is added to those of `OTHER`, which would show the same calls twice.
    Spend gauges show sums of rows, so their spend moves to `OTHER`. In slices that can still be read again, their rows
    count as known under `OTHER` from then on: neither `OTHER` nor a new series of the same name counts them again.
    """
    gone = {s for s in series if s in state.admitted} - {OTHER}
    labels = _unused_labels(state, gone)
    changes = Changes(ended={**dict.fromkeys(("admitted", "totals", "corrections"), frozenset(gone)), **labels})
    for start, item in state.slices.items():
        if not gone.isdisjoint(item.cells):
            changes.slices[start] = _without(item, gone)
    for (day, name), units in state.days.items():
        if name in gone:
            changes.days[day, name] = None
            known = changes.days.get((day, OTHER))
            changes.days[day, OTHER] = (state.days.get((day, OTHER), 0) if known is None else known) + units
    if OTHER not in state.admitted and (changes.slices or changes.days):
        order = max(admission.order for admission in state.admitted.values()) + 1
        changes.admitted[OTHER] = Admission(order, None)
    return changes


def _without(item: Slice, gone: Collection[Series]) -> Slice:
    cells = {name: cell for name, cell in item.cells.items() if name not in gone}
    rows: Aggregate = ZERO
    for name in gone:
        rows = add(rows, item.cells.get(name, Cell()).current)
    other = cells.get(OTHER, Cell())
    cells[OTHER] = Cell(add(other.current, rows), add(other.mark, rows))
    return replace(item, cells=cells)


def _unused_labels(state: State, gone: Collection[Series]) -> dict[str, frozenset[str]]:
    """The keys of operations and models that no series has any more."""
    left = state.admitted.keys() - gone
    operations, models = {name.operation for name in left}, {name.model for name in left}
    return {
        "seen_operations": frozenset(state.seen_operations.keys() - operations),
        "succeeded_models": frozenset(state.succeeded_models.keys() - models),
    }
