"""The switch: the shadow takes the place of slices and sums, and no counter moves."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from exporter.ledger.admission import Places
from exporter.ledger.agenda import RECHECK
from exporter.ledger.aggregate import ZERO, Field, add, highest, subtract, with_figure
from exporter.ledger.calendar import MINUTE, QUARTER, floor_to
from exporter.ledger.draft import Draft
from exporter.ledger.model import OTHER, PUT_OFF, Admission, Cell, Changes, Progress, Rules, Series, Slice, State, Tally
from exporter.ledger.shadow import Reclassification, Shadow, later, slot_of, width_of
from exporter.ledger.slices import join_slices


def switch(
    state: State,
    going: Reclassification,
    shadow: Shadow,
    user_days: Mapping[tuple[int, str], int],
    rules: Rules,
    safe_now: int,
) -> Changes:
    """Put the shadow in the place of slices and sums. Counters stay, and so does what rows have taken back.

    `shadow` is all of it, with the users at `needs_users`; those of other quarters are to take the place of the
    slices' in the store. Rows that are dated ahead now were counted by their old time: they are kept as counted and
    not there, which corrections show, until they are due.
    """
    progress = state.progress
    draft = _draft(replace(state, days={}, user_days={}), rules, safe_now)
    draft.changes.days.update(dict.fromkeys(state.days))
    admissions = _admissions(state, shadow, rules)
    places = state.admitted.keys() | admissions.keys()
    for (day, series), units in shadow.days.items():
        draft.spend_day(day, series if series in places else OTHER, units)
    draft.changes.user_days.update({**dict.fromkeys(state.user_days), **user_days})
    parts = _parts(shadow, progress, places)
    unpriced = _KnownUnpriced(state, moved=going.moved)
    for start in sorted(state.slices.keys() | parts.keys()):
        item = join_slices(start, width_of(start, progress), parts.get(start, []))
        if start >= progress.folded:
            item = _with_distances(item, state.slices.get(start))
            item = replace(item, cells=unpriced.restore(item), stage=RECHECK if item.width == QUARTER else 0)
        if _is_ahead(going, start, progress):
            item = _put_off(draft, item)
        for series, cell in item.cells.items():
            draft.spend(start, series, cell.current[Field.COST])
        if start >= progress.folded:
            _put(draft, item, [part.start for part in parts.get(start, [])])
    draft.changes.admitted.update(admissions)
    draft.changes.candidates.update({**dict.fromkeys(state.candidates), **shadow.candidates})
    draft.changes.seen_operations.update(later(state.seen_operations, shadow.seen_operations))
    draft.changes.seen_models.update(later(state.seen_models, shadow.seen_models))
    draft.changes.succeeded_models.update(later(state.succeeded_models, shadow.succeeded_models))
    # what is not merged is read again by the next scrape
    draft.changes.progress = replace(progress, closed=progress.merged, converted=0)
    return draft.changes


def needs_users(state: State, shadow: Shadow) -> list[int]:
    """The starts whose users `switch` needs: those that memory holds or that are to be joined into a quarter."""
    progress = state.progress
    minutes = {start for start, item in shadow.slices.items() if item.width == MINUTE}
    joined = {floor_to(start, QUARTER) for start in minutes if start < progress.merged}
    return sorted(minutes | {start for start in shadow.users.keys() | shadow.slices.keys() if start in joined})


def sum_users(
    state: State,
    going: Reclassification,
    stored: Iterable[tuple[int, Mapping[str, int]]],
    rules: Rules,
    safe_now: int,
) -> dict[tuple[int, str], int]:
    """Money units by day and user of what is stored for the shadow by slice, as far as it is due."""
    draft = _draft(replace(state, user_days={}), rules, safe_now)
    for start, users in stored:
        if not _is_ahead(going, start, state.progress):
            draft.replace_users(start, {}, users)
    return {key: units for key, units in draft.changes.user_days.items() if units}


def _draft(state: State, rules: Rules, safe_now: int) -> Draft:
    now = state.progress.now
    return Draft(state, rules, Places(state, rules, None), now, min(safe_now, now))


def _admissions(state: State, shadow: Shadow, rules: Rules) -> dict[Series, Admission]:
    """What becomes of places: the shadow's own series get one, as many as there is room for, and show their zero first.

    Rows of a series that only the old settings have given a place lie under `OTHER` in the shadow: it keeps them there.
    """
    unread = -floor_to(-max([state.progress.position, *(start + 1 for start in shadow.slices)]), QUARTER)
    changed = {}
    for series, admission in state.admitted.items():
        kept = shadow.admitted.get(series)
        since = max(admission.since, unread) if kept is None else kept.since
        if since != admission.since:
            changed[series] = replace(admission, since=since)
    order = max((admission.order for admission in state.admitted.values()), default=-1) + 1
    new = [series for series in _in_order(shadow.admitted) if series not in state.admitted]
    room = rules.max_series - len(state.admitted.keys() - {OTHER})
    placed = [series for series in new if series != OTHER][: max(0, room)]
    if OTHER not in state.admitted and (OTHER in new or len(placed) < len(new)):
        placed.append(OTHER)
    for place, series in enumerate(placed, order):
        changed[series] = Admission(
            place, None, since=shadow.admitted[series].since if series in shadow.admitted else 0
        )
    return changed


def _in_order(admitted: Mapping[Series, Admission]) -> list[Series]:
    return sorted(admitted, key=lambda series: admitted[series].order)


def _is_ahead(going: Reclassification, start: int, progress: Progress) -> bool:
    """Whether a slice of the shadow is not due yet, or not as a whole."""
    return going.moved and start >= progress.merged and start + MINUTE > progress.position


def _parts(shadow: Shadow, progress: Progress, places: Collection[Series]) -> dict[int, list[Slice]]:
    """The shadow's slices, with their users, by the slice that they belong to now."""
    parts: dict[int, list[Slice]] = {}
    for start, item in sorted(shadow.slices.items()):
        cells = _fold(item.cells, places)
        item = replace(item, cells=cells, users=shadow.users.get(start, {}))
        parts.setdefault(slot_of(start, progress), []).append(item)
    return parts


def _fold(cells: Mapping[Series, Cell], places: Collection[Series]) -> Mapping[Series, Cell]:
    """The cells with those under `OTHER` that have no place."""
    result: dict[Series, Cell] = {}
    for series, cell in cells.items():
        place = series if series in places else OTHER
        known = result.get(place, Cell())
        result[place] = Cell(add(known.current, cell.current), add(known.mark, cell.mark))
    return result


def _with_distances(item: Slice, old: Slice | None) -> Slice:
    """The slice with its marks as far above what it holds as those of the old one are above what that one holds."""
    if old is None:
        return item
    cells = dict(item.cells)
    for series, cell in old.cells.items():
        distance = highest(subtract(cell.mark, cell.current), ZERO)
        if old.width == MINUTE:
            # those of a minute say how many are known, not how many were counted
            distance = with_figure(distance, Field.UNPRICED, 0)
        found = cells.get(series, Cell())
        cells[series] = Cell(found.current, add(found.mark, distance))
    skipped = dict(item.skipped)
    for skip, tally in old.skipped.items():
        known = skipped.get(skip, Tally())
        skipped[skip] = Tally(known.current, known.mark + max(0, tally.mark - tally.current))
    return replace(item, cells=dict(sorted(cells.items())), skipped=skipped)


class _KnownUnpriced:
    """Unpriced calls of unmerged minutes that the merge must not count, since they were known from the start."""

    def __init__(self, state: State, *, moved: bool) -> None:
        self._of = {
            start: {series: count for series, cell in item.cells.items() if (count := cell.mark[Field.UNPRICED])}
            for start, item in state.slices.items()
            if item.width == MINUTE
        }
        self._moved = moved
        self._left = sum(sum(known.values()) for known in self._of.values()) if moved else 0

    def restore(self, item: Slice) -> Mapping[Series, Cell]:
        """The slice's cells with as many of their unpriced calls marked as known as were known."""
        known = self._of.get(item.start, {})
        left = self._left if self._moved else sum(known.values())
        if not left:
            return item.cells
        cells = dict(item.cells)
        for series, cell in sorted(cells.items()):
            waiting = max(0, cell.current[Field.UNPRICED] - cell.mark[Field.UNPRICED])
            taken = min(left, waiting)
            left -= taken
            cells[series] = _know_unpriced(cell, taken)
        if self._moved:
            # one stretch of minutes has become another one: which row is which is not known
            self._left = left
        elif left:
            # priced by these settings, they stay known for others that find them without a price again
            series = min(known)
            cells[series] = _know_unpriced(cells[series], left)
        return cells


def _know_unpriced(cell: Cell, more: int) -> Cell:
    return Cell(cell.current, with_figure(cell.mark, Field.UNPRICED, cell.mark[Field.UNPRICED] + more))


def _put_off(draft: Draft, item: Slice) -> Slice:
    """The slice as it is while its rows are not due: counted, and not there."""
    cells = {series: Cell(ZERO, cell.mark) for series, cell in item.cells.items()}
    for series, cell in item.cells.items():
        draft.take_back(series, cell.current[Field.COST])
    skipped = {skip: Tally(0, tally.mark) for skip, tally in item.skipped.items()}
    return replace(item, cells=cells, skipped=skipped, waiting={}, users={}, stage=PUT_OFF)


def _put(draft: Draft, item: Slice, parts: Iterable[int]) -> None:
    """Put a slice in the place of the old one, and its users in that of those that were stored for its parts."""
    users = item.users
    draft.changes.slices[item.start] = replace(item, users={}) if item.width == QUARTER else item
    if item.width == MINUTE or any(part != item.start for part in parts):
        draft.changes.slice_users.update(dict.fromkeys(parts))
        draft.changes.slice_users[item.start] = users or None
