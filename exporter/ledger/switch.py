"""The switch: the shadow takes the place of slices and sums, and no counter moves.

One exception: what waits for a merge counts at once where it is now dated past the horizon, since no merge will see it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from exporter.figures import AT_MERGE
from exporter.ledger.aggregate import ZERO, Aggregate, add, highest, lowest, net, subtract, total, with_figure
from exporter.ledger.ahead import lies_ahead, recognize, slices_ahead
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR, floor_to
from exporter.ledger.day_sums import DaySums
from exporter.ledger.model import (
    NO_CELL,
    OTHER,
    PUT_OFF,
    SEEN,
    SPENDER_DAYS,
    Admission,
    Cell,
    Changes,
    LedgerSettings,
    Progress,
    Series,
    Slice,
    State,
    Tally,
)
from exporter.ledger.plan import Plan, kept_in_memory
from exporter.ledger.schedule import RECHECK
from exporter.ledger.shadow import Reclassification, Shadow, slot_of, width_of
from exporter.ledger.slices import join_slices, taken_back, with_waiting

SpenderDays = Mapping[tuple[int, str], int]
"""Money units by day and label of one of `SPENDER_DAYS`."""


def switch(
    state: State,
    going: Reclassification,
    shadow: Shadow,
    spender_days: Mapping[str, SpenderDays],
    settings: LedgerSettings,
    safe_now: int,
) -> Changes:
    """Put the shadow in the place of slices and sums. Counters stay, and so does what rows have taken back.

    `shadow` is all of it, with the users at `needs_users`; those of other quarters are to take the place of the
    slices' in the store. `spender_days` is what `sum_users` returns. Rows that are dated ahead now were counted by
    their old time: they are kept as counted and not there, which corrections show, until they are due.
    """
    progress = state.progress
    plan = _plan(state, settings, safe_now)
    # sums are built anew from the shadow, day by day
    plan.changes.days.update(dict.fromkeys(state.days))
    admissions = _admissions(state, shadow, settings)
    admitted = state.admitted.keys() | admissions.keys()
    for (day, series), units in shadow.days.items():
        plan.spend_day(day, series if series in admitted else OTHER, units)
    for part, sums in spender_days.items():
        getattr(plan.changes, part).update({**dict.fromkeys(getattr(state, part)), **sums})
    parts = _parts(shadow, progress, admitted)
    for item in _renewed(plan, state, going, parts):
        for series, cell in item.cells.items():
            plan.spend(item.start, series, net(cell.current))
        if item.start < progress.compacted:
            # what lies there is in the sums of days alone: no merge will count what waits for one
            for series, cell in item.cells.items():
                plan.count(series, highest(subtract(cell.current, cell.high_water), ZERO))
        elif item.start >= progress.position and not (item.cells or item.skipped):
            # nothing of what is found there was counted: it is new when it is due
            plan.compact(item.start)
        elif item.width == MINUTE or any(part.start != item.start for part in parts.get(item.start, [])):
            plan.replace_slice(parts.get(item.start, []), item)
        else:
            # its users are stored for it already
            plan.changes.slices[item.start] = kept_in_memory(item)
    plan.changes.admitted.update(admissions)
    plan.changes.candidates.update({**dict.fromkeys(state.candidates), **shadow.candidates})
    for part in SEEN:
        plan.note_times(part, getattr(shadow, part).items())
    # what is not merged is read again by the next scrape
    plan.changes.progress = replace(progress, closed=progress.merged, converted=0)
    return plan.changes


def _renewed(
    plan: Plan, state: State, going: Reclassification, parts: Mapping[int, Sequence[Slice]]
) -> Iterator[Slice]:
    """What takes the place of each slice, in order, joined of its parts; what is not due is put off."""
    joined = {
        start: join_slices(start, width_of(start, state.progress), parts.get(start, []))
        for start in sorted(state.slices.keys() | parts.keys())
    }
    ahead = {start: item for start, item in joined.items() if _is_ahead(state, going, start)}
    # the old settings have counted all that lies ahead, where they could be read by; where others have changed the
    # times, nearly all of it was
    recognized = {} if going.by_old or going.moved else recognize(slices_ahead(state), ahead)
    waiting = _KnownWaiting(state, going, joined.values())
    for start, found in joined.items():
        old = state.slices.get(start)
        # what lay ahead by unreadable settings is among what lies somewhere now
        kept = old if going.by_old or start not in ahead else None
        item = recognized.get(start)
        if item is None:
            known = waiting.restore(_with_distances(found, kept))
            item = replace(known, stage=RECHECK if known.width == QUARTER_HOUR else 0)
        yield _put_off(plan, item, old) if start in ahead else item


def needs_users(state: State, shadow: Shadow) -> list[int]:
    """The starts whose users `switch` needs: those that memory holds or that are to be joined into a quarter."""
    progress = state.progress
    minutes = {start for start, item in shadow.slices.items() if item.width == MINUTE}
    joined = {floor_to(start, QUARTER_HOUR) for start in minutes if start < progress.merged}
    return sorted(minutes | {start for start in shadow.users.keys() | shadow.slices.keys() if start in joined})


def sum_users(
    state: State,
    going: Reclassification,
    stored: Iterable[tuple[int, Mapping[str, int]]],
    settings: LedgerSettings,
    safe_now: int,
) -> dict[str, SpenderDays]:
    """Each of `SPENDER_DAYS`, of what is stored for the shadow by slice, as far as it is due."""
    plan = _plan(state, settings, safe_now)
    for start, users in stored:
        if not _is_ahead(state, going, start):
            plan.replace_users(start, {}, users)
    return {part: {key: units for key, units in getattr(plan.changes, part).items() if units} for part in SPENDER_DAYS}


def _plan(state: State, settings: LedgerSettings, safe_now: int) -> Plan:
    """A plan that begins without sums of days."""
    without_days = replace(state, days=DaySums(), user_days=DaySums(), group_days=DaySums())
    return Plan(without_days, settings, min(safe_now, state.progress.now))


def _admissions(state: State, shadow: Shadow, settings: LedgerSettings) -> dict[Series, Admission]:
    """Which series are admitted: also the shadow's own, as many as the limit allows; they show their zero first.

    Rows of a series that only the old settings have admitted lie under `OTHER` in the shadow: it keeps them there.
    """
    unread = -floor_to(-max([state.progress.position, *(start + 1 for start in shadow.slices)]), QUARTER_HOUR)
    changed = {}
    for series, admission in state.admitted.items():
        kept = shadow.admitted.get(series)
        since = max(admission.since, unread) if kept is None else kept.since
        if since != admission.since:
            changed[series] = replace(admission, since=since)
    # later than all others, so that a restart admits in the same order
    order = max((admission.order for admission in state.admitted.values()), default=-1) + 1
    in_order = sorted(shadow.admitted, key=lambda series: shadow.admitted[series].order)
    new = [series for series in in_order if series not in state.admitted]
    room = settings.max_series - len(state.admitted.keys() - {OTHER})
    added = [series for series in new if series != OTHER][: max(0, room)]
    if OTHER not in state.admitted and (OTHER in new or len(added) < len(new)):
        added.append(OTHER)
    for position, series in enumerate(added, order):
        since = shadow.admitted[series].since if series in shadow.admitted else 0
        changed[series] = Admission(position, None, since=since)
    return changed


def _is_ahead(state: State, going: Reclassification, start: int) -> bool:
    """Whether a slice of the shadow is not due yet, or not as a whole."""
    progress = state.progress
    if start < progress.merged or start + MINUTE <= progress.position:
        return False
    old = state.slices.get(start)
    return going.moved or start >= progress.position or (old is not None and lies_ahead(old, progress.position))


def _parts(shadow: Shadow, progress: Progress, admitted: Collection[Series]) -> dict[int, list[Slice]]:
    """The shadow's slices, with their users, by the slice that they belong to now."""
    parts: dict[int, list[Slice]] = {}
    for start, item in sorted(shadow.slices.items()):
        cells = _overflow(item.cells, admitted)
        item = replace(item, cells=cells, users=shadow.users.get(start, {}))
        parts.setdefault(slot_of(start, progress), []).append(item)
    return parts


def _overflow(cells: Mapping[Series, Cell], admitted: Collection[Series]) -> Mapping[Series, Cell]:
    """The cells, with those of series that are not admitted under `OTHER`."""
    result: dict[Series, Cell] = {}
    for series, cell in cells.items():
        label = series if series in admitted else OTHER
        known = result.get(label, NO_CELL)
        result[label] = Cell(add(known.current, cell.current), add(known.high_water, cell.high_water))
    return result


def _with_distances(item: Slice, old: Slice | None) -> Slice:
    """The slice with high-water marks as far above what it holds as the old one's are above what that holds."""
    if old is None:
        return item
    cells, waiting = dict(item.cells), ZERO
    for series, cell in old.cells.items():
        # below 0 where a quarter holds what no merge has counted, since an earlier switch has dated it there
        distance = subtract(cell.high_water, cell.current)
        if old.width == MINUTE:
            # those of a minute say how many are known, not how many were counted
            distance = with_waiting(distance, ZERO)
        found = cells.get(series, NO_CELL)
        mark = add(found.high_water, distance)
        cells[series] = Cell(found.current, highest(mark, ZERO))
        waiting = add(waiting, highest(subtract(ZERO, mark), ZERO))
    # what no merge has counted is not counted by renaming it; a series that is new here has most likely got it
    for series in sorted(cells, key=lambda series: (series in old.cells, series)) if any(waiting) else ():
        cell = cells[series]
        uncounted = lowest(waiting, lowest(cell.current, cell.high_water))
        waiting = subtract(waiting, uncounted)
        cells[series] = Cell(cell.current, subtract(cell.high_water, uncounted))
    skipped = dict(item.skipped)
    for skip, tally in old.skipped.items():
        known = skipped.get(skip, Tally())
        skipped[skip] = Tally(known.current, known.high_water + max(0, tally.high_water - tally.current))
    return replace(item, cells=dict(sorted(cells.items())), skipped=skipped)


class _KnownWaiting:
    """How much of the figures `AT_MERGE` of unmerged minutes the merge must not count, since it was known.

    Where unreadable settings gave other times, that is all of `found` but as much as has waited: the newest of it.
    Nobody knows how much that is of rows which lay ahead. Where none do any more, it is taken to be what is unmerged.
    """

    def __init__(self, state: State, going: Reclassification, found: Collection[Slice]) -> None:
        self._of = {
            start: {series: with_waiting(ZERO, cell.high_water) for series, cell in item.cells.items()}
            for start, item in state.slices.items()
            if item.width == MINUTE
        }
        self._moved = going.moved
        self._left = total(marks for known in self._of.values() for marks in known.values())
        if going.moved and not going.by_old:
            self._left = highest(subtract(_uncounted(found), _uncounted(state.slices.values())), ZERO)
            lay_ahead = any(item.cells for item in slices_ahead(state).values())
            if lay_ahead and not any(item.cells for item in found if item.start >= state.progress.position):
                self._left = lowest(self._left, _uncounted(item for item in found if item.width == QUARTER_HOUR))

    def restore(self, item: Slice) -> Slice:
        """The slice with as much of the figures marked as known as was known."""
        known = self._of.get(item.start, {})
        left = self._left if self._moved else total(known.values())
        cells = dict(item.cells)
        for series, cell in sorted(cells.items()) if any(left) else ():
            taken = lowest(left, _waiting(cell))
            left = subtract(left, taken)
            cells[series] = Cell(cell.current, add(cell.high_water, taken))
        if self._moved:
            # one stretch of minutes has become another one: which row is which is not known
            self._left = left
            return replace(item, cells=cells)
        for figure in AT_MERGE:
            if left[figure]:
                # gone by these settings, it stays known for others that find it again
                series = min(series for series, marks in known.items() if marks[figure])
                cell = cells[series]
                mark = with_figure(cell.high_water, figure, cell.high_water[figure] + left[figure])
                cells[series] = Cell(cell.current, mark)
        return replace(item, cells=cells)


def _waiting(cell: Cell) -> Aggregate:
    """What no merge has counted yet of the figures `AT_MERGE`."""
    return with_waiting(ZERO, highest(subtract(cell.current, cell.high_water), ZERO))


def _uncounted(slices: Iterable[Slice]) -> Aggregate:
    return total(_waiting(cell) for item in slices for cell in item.cells.values())


def _put_off(plan: Plan, item: Slice, old: Slice | None) -> Slice:
    """The slice as it is while its rows are not due: counted, and not there. `old` is what it takes the place of."""
    cells = {series: Cell(ZERO, cell.high_water) for series, cell in item.cells.items() if any(cell.high_water)}
    for series, cell in cells.items():
        plan.take_back(series, taken_back(cell))
    for series, cell in old.cells.items() if old else ():
        plan.take_back(series, -taken_back(cell))
    skipped = {skip: Tally(0, tally.high_water) for skip, tally in item.skipped.items() if tally.high_water}
    return replace(item, cells=cells, skipped=skipped, waiting={}, users={}, stage=PUT_OFF)
