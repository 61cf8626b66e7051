"""Join buckets and slices, and raise the high-water marks of one slice."""

from collections.abc import Iterable, Mapping

from exporter.figures import AT_MERGE, Figure
from exporter.ledger.aggregate import FAILURES, ZERO, Aggregate, add, highest, net, subtract, sum_counts, with_figure
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR
from exporter.ledger.model import NO_CELL, Bucket, Cell, Series, SkippedValue, Slice, SpanRead, Tally, Waiting

_NOTHING = Bucket()


def latest(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The latest of the times known for each key."""
    result: dict[str, float] = {}
    for part in parts:
        for key, at in part.items():
            result[key] = max(at, result.get(key, at))
    return result


def join_waiting(parts: Iterable[Mapping[str, Waiting]]) -> dict[str, Waiting]:
    """Rows in progress of several stretches: counts added, the oldest kept."""
    result: dict[str, Waiting] = {}
    for part in parts:
        for status, waiting in part.items():
            known = result.get(status, Waiting(0, waiting.oldest))
            result[status] = Waiting(known.rows + waiting.rows, min(known.oldest, waiting.oldest))
    return result


def join_buckets(minutes: Iterable[Bucket]) -> Bucket:
    """One `Bucket` that holds what several hold."""
    parts = list(minutes)
    if len(parts) == 1:
        return parts[0]
    cells: dict[Series, Aggregate] = {}
    for minute in parts:
        for series, aggregate in minute.cells.items():
            cells[series] = add(cells.get(series, ZERO), aggregate)
    return Bucket(
        cells=cells,
        users=sum_counts(*(m.users for m in parts)),
        skipped=sum_counts(*(m.skipped for m in parts)),
        waiting=join_waiting(m.waiting for m in parts),
        seen_operations=latest(m.seen_operations for m in parts),
        seen_models=latest(m.seen_models for m in parts),
        succeeded_models=latest(m.succeeded_models for m in parts),
    )


def bucket_within(read: SpanRead, start: int, width: int) -> Bucket:
    """What a read has found in one slice."""
    if width == MINUTE:
        # an empty minute is the same object each time, so that it is seen to be as it was
        return read.buckets.get(start, _NOTHING)
    return join_buckets(read.buckets[m] for m in range(start, start + width, MINUTE) if m in read.buckets)


def join_slices(start: int, width: int, slices: Iterable[Slice]) -> Slice:
    """The slice that was known for a stretch: aggregates, high-water marks and users of its parts added up.

    `held` stays set only where one part is joined with nothing, since a merged slice is never held.
    """
    parts = list(slices)
    if len(parts) == 1 and parts[0].width == width:
        return parts[0]
    cells: dict[Series, Cell] = {}
    skipped: dict[SkippedValue, Tally] = {}
    for part in parts:
        for series, cell in part.cells.items():
            known = cells.get(series, NO_CELL)
            cells[series] = Cell(add(known.current, cell.current), add(known.high_water, cell.high_water))
        for skip, tally in part.skipped.items():
            before = skipped.get(skip, Tally())
            skipped[skip] = Tally(before.current + tally.current, before.high_water + tally.high_water)
    return Slice(
        start=start,
        width=width,
        cells=cells,
        skipped=skipped,
        waiting=join_waiting(part.waiting for part in parts),
        users=sum_counts(*(part.users for part in parts)),
        sequence=max((part.sequence for part in parts), default=0),
    )


def raise_cell(old: Cell, current: Aggregate, width: int) -> tuple[Cell, Aggregate]:
    """The cell after a read, and by how much its counters rise.

    What is `AT_MERGE` waits for the merge into a quarter. A fallback counts only
    together with its call, so that a changed route re-labels nothing that was counted before. A failure counts once,
    by the class that it had then: if its class changes, its mark moves with it.
    """
    high_water = highest(old.high_water, current)
    if width != QUARTER_HOUR:
        high_water = with_waiting(high_water, old.high_water)
    if high_water == current:
        high_water = current  # one tuple in memory
    rise = subtract(high_water, old.high_water)
    if any(rise[FAILURES]):
        high_water, rise = _failing_once(old.high_water, current, high_water, rise)
    rise = with_figure(rise, Figure.FALLBACKS, min(rise[Figure.FALLBACKS], rise[Figure.CALLS]))
    return Cell(current, high_water), rise


def _failing_once(
    old: Aggregate, current: Aggregate, high_water: Aggregate, rise: Aggregate
) -> tuple[Aggregate, Aggregate]:
    """The high-water mark and the rise, where only failures beyond those counted before, of whatever class, are new."""
    marks, rises = list(high_water), list(rise)
    counted, now = sum(old[FAILURES]), sum(current[FAILURES])
    left, surplus = max(0, now - counted), sum(high_water[FAILURES]) - max(counted, now)
    for at in range(FAILURES.start, FAILURES.stop):
        rises[at] = min(rises[at], left)
        left -= rises[at]
        moved = min(marks[at] - current[at], surplus)
        marks[at] -= moved
        surplus -= moved
    return tuple(marks), tuple(rises)


def with_waiting(aggregate: Aggregate, waiting: Aggregate) -> Aggregate:
    """The aggregate with the figures that are counted `AT_MERGE` from the other one."""
    result = list(aggregate)
    for figure in AT_MERGE:
        result[figure] = waiting[figure]
    return tuple(result)


def know_cell(old: Cell, current: Aggregate) -> Cell:
    """The cell after a read that counts nothing: what rows have taken back so far stays taken back."""
    return Cell(current, add(current, highest(subtract(old.high_water, old.current), ZERO)))


def taken_back(cell: Cell) -> int:
    """Money units by which the present aggregate lies below its high-water mark; below 0 where refunds are gone."""
    return net(cell.high_water) - net(cell.current)
