"""Taking places away: a series ends, and its place is free for another."""

from collections.abc import Collection
from dataclasses import replace

from exporter.ledger.aggregate import ZERO, Aggregate, add
from exporter.ledger.model import OTHER, Admission, Cell, Changes, Series, Slice, State


def forget(state: State, series: Collection[Series]) -> Changes:
    """End some series, but for `OTHER`.

    Their counters end, and so does what was taken back from them: nothing is added to those of `OTHER`, which would
    show the same calls a second time. Gauges of spend show the sum of the rows, so theirs moves to `OTHER`. In the
    slices that can still be read again, their rows lie under `OTHER` from then on, as known: neither they nor a series
    of the same name that comes back count them again.
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
    """When operations and models that no series bears any more were seen last."""
    left = state.admitted.keys() - gone
    operations, models = {name.operation for name in left}, {name.model for name in left}
    return {
        "seen_operations": frozenset(state.seen_operations.keys() - operations),
        "succeeded_models": frozenset(state.succeeded_models.keys() - models),
    }
