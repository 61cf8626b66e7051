"""What a read changes: marks and counters raised, slices closed, merged and folded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.ledger.admission import Places
from exporter.ledger.agenda import oldest_open, stage_at
from exporter.ledger.aggregate import ZERO, Aggregate, Field, with_figure
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER, day_of, day_start, floor_to, month_start_day
from exporter.ledger.draft import Draft
from exporter.ledger.model import (
    PUT_OFF,
    RUNNING,
    SHOWN,
    STARTING,
    UNKNOWN,
    Cell,
    Changes,
    Minute,
    Progress,
    Read,
    Rules,
    Series,
    Slice,
    Span,
    State,
)
from exporter.ledger.slices import join_slices, know_cell, minutes_within, raise_cell

QuarterUsers = Mapping[int, Mapping[str, int]]
"""Money units by user, as the store holds them for merged quarters, by the quarter's start."""


NEVER = 2**62
"""A moment past all others: nothing is counted before the first reading is done."""

LONGEST_DOUBT = 40 * 24 * HOUR
"""How far, in seconds, a first reading reaches back for a clock that no other clock confirms."""


def begin(clock: int, rules: Rules, backfill_since: int | None = None, safe_now: int | None = None) -> Progress:
    """Where an empty ledger begins to read.

    Reading starts at the month's beginning or at the horizon, whichever is older, and counts nothing; with
    `backfill_since` everything from that quarter-hour on is counted. Where `safe_now` lies behind the clock, the
    horizon is that of `safe_now`, so that a clock which is set back to it finds its slices.
    """
    month = day_start(month_start_day(day_of(clock, rules.zone)), rules.zone)
    safe = clock if safe_now is None else max(min(safe_now, clock), clock - LONGEST_DOUBT)
    start = floor_to(min(month, safe - rules.horizon), QUARTER)
    count_from = NEVER
    if backfill_since is not None:
        count_from = floor_to(backfill_since, QUARTER)
        start = min(start, count_from)
    return Progress(STARTING, clock, start, start, start, start, count_from, start)


def set_back(state: State, clock: int) -> Changes:
    """Follow a clock that was set back: "now" is `clock`, and nothing that was read is forgotten.

    Slices that were closed or merged by the clock as it was stay so; `agenda.front` reaches them all the same.
    """
    admitted = {
        series: replace(admission, born=clock)
        for series, admission in state.admitted.items()
        if admission.born not in (None, SHOWN) and admission.born > clock
    }
    return Changes(progress=replace(state.progress, now=clock), admitted=admitted)


def quarters_within(state: State, span: Span) -> list[int]:
    """The merged quarters that a read of the span replaces: `advance` needs their stored users."""
    lo = max(-floor_to(-span.lo, QUARTER), state.changeable)
    return list(range(lo, min(state.progress.merged, floor_to(span.hi, QUARTER)), QUARTER))


def advance(state: State, read: Read, rules: Rules, quarter_users: QuarterUsers) -> Changes:
    """What the state becomes by a read; the state itself is left as it is.

    `quarter_users` holds the stored users of `quarters_within(state, read.span)`. Slices which the read does not
    cover whole, or which a later read has covered already, stay as they are.
    """
    before = state.progress
    running = before.phase == RUNNING
    layout = _layout(state, before, read, rules)
    if read.width == QUARTER and layout.merged < read.span.hi:
        # what cannot be merged is kept by the minute, which this read does not tell: it is left to another one
        read = _shortened(read, layout.merged)
        layout = _layout(state, before, read, rules)
    # a history that is counted appears with its total; all other series show their zero first
    whole = not running and before.count_from != NEVER
    places = Places(state, rules, SHOWN if whole else None)
    draft = Draft(state, rules, places, read.now, read.irrevocable, known_models(state, read))
    admit(places, read)
    # what a clock that was set back dates into slices which are closed is on time all the same
    late_before = min(before.closed, floor_to(read.now - rules.window, MINUTE))

    refreshed: set[int] = set()
    late_rows = 0
    for start, width in layout.slots(state, read.span):
        parts = [state.slices[m] for m in range(start, start + width, MINUTE) if m in state.slices]
        old = join_slices(start, width, parts)
        if old.sequence > read.sequence:
            continue
        refreshed.add(start)
        if start < before.merged:
            old = replace(old, users=quarter_users.get(start, {}))
        counted = running or start >= before.count_from
        new, rows = _read_slice(draft, old, read, layout, counted=counted)
        if counted and start + width <= late_before and not any(part.held for part in parts):
            late_rows += rows
        if len(parts) == 1 and parts[0].width == width and old == new:
            draft.changes.sequences[start] = read.sequence
        else:
            draft.replace_slice(parts, new)

    folded = before.folded
    while folded < layout.merged and folded in refreshed and read.irrevocable - folded - QUARTER >= rules.horizon:
        draft.fold_away(folded)
        folded += QUARTER

    newest = draft.see(read)
    draft.forget_days()
    draft.changes.admitted.update(places.added)
    draft.changes.candidates.update(places.candidates())
    if running and layout.at_front:
        _show_series(draft)
    rows_read = sum(a[Field.ROWS] for m in read.minutes.values() for a in m.cells.values())
    draft.changes.progress = replace(
        before,
        phase=RUNNING if layout.at_front else before.phase,
        now=max(before.now, read.now),
        folded=folded,
        merged=layout.merged,
        closed=layout.closed,
        position=layout.position,
        late_rows=before.late_rows + late_rows,
        rows_folded=before.rows_folded + draft.rows_folded,
        rows_read=before.rows_read + rows_read,
        newest=max(before.newest, newest),
        skew=before.skew if read.skew is None else read.skew,
    )
    return draft.changes


def _shortened(read: Read, hi: int) -> Read:
    """The part of a read that lies before `hi`."""
    hi = max(read.span.lo, hi)
    minutes = {start: minute for start, minute in read.minutes.items() if start < hi}
    return replace(read, span=Span(read.span.lo, hi), minutes=minutes)


@dataclass(frozen=True)
class _Layout:
    """How far slices are closed and merged after a read, and which minutes stay open for rows in progress."""

    closed: int
    merged: int
    position: int
    held: frozenset[int]
    at_front: bool

    def slots(self, state: State, span: Span) -> Iterator[tuple[int, int]]:
        """Start and width of each slice that the read replaces, in order."""
        for quarter in quarters_within(state, span):
            yield quarter, QUARTER
        for quarter in range(state.progress.merged, self.merged, QUARTER):
            yield quarter, QUARTER
        for minute in range(max(span.lo, self.merged), span.hi, MINUTE):
            yield minute, MINUTE


def _layout(state: State, before: Progress, read: Read, rules: Rules) -> _Layout:
    span, now = read.span, read.now
    contiguous = span.lo <= before.closed
    closed = before.closed
    if contiguous:
        closed = max(closed, min(floor_to(span.hi, MINUTE), floor_to(read.whole_until - rules.window, MINUTE)))
    covered = range(span.lo, span.hi, MINUTE)
    held = {s.start for s in state.slices.values() if s.held and s.start not in covered}
    held.update(
        start
        for start, minute in read.minutes.items()
        if minute.waiting and before.merged <= start < closed and now < start + MINUTE + HOUR
    )
    merged = before.merged
    overtaken = {s.start for s in state.slices.values() if s.sequence > read.sequence}
    while (
        span.lo <= merged
        and merged + QUARTER <= min(span.hi, closed)
        and not any(merged <= start < merged + QUARTER for start in held | overtaken)
    ):
        merged += QUARTER
    return _Layout(
        closed,
        merged,
        max(before.position, span.hi if span.lo <= before.position else 0),
        frozenset(held),
        span.hi > now and span.lo <= oldest_open(state, before),
    )


def _read_slice(draft: Draft, old: Slice, read: Read, layout: _Layout, *, counted: bool) -> tuple[Slice, int]:
    """The slice as the read has it, and the number of rows by which its marks rose."""
    minute = minutes_within(read, old.start, old.width)
    current = draft.fold_labels(old.start, with_fallbacks(minute, read.routes, draft.known_models))
    cells: dict[Series, Cell] = {}
    rows = 0
    for series in sorted({*old.cells, *current}):
        before = old.cells.get(series, Cell())
        if counted:
            cells[series], rise = raise_cell(before, current.get(series, ZERO), old.width)
            draft.count(series, rise)
            rows += rise[Field.ROWS]
        else:
            cells[series] = know_cell(before, current.get(series, ZERO))
        draft.replace_cell(old.start, series, before, cells[series])
    users = draft.keep_users(old.start, minute.users)
    draft.replace_users(old.start, old.users, users)
    new = Slice(
        old.start,
        old.width,
        cells,
        draft.tally(old.skipped, minute.skipped, counted=counted),
        minute.waiting,
        users,
        held=old.start in layout.held,
        stage=_stage(old, read, draft.rules),
        sequence=read.sequence,
    )
    return new, rows


def _stage(old: Slice, read: Read, rules: Rules) -> int:
    if old.width == QUARTER:
        return stage_at(read.now - old.start - QUARTER, rules)
    # the rest of the minute that the read ends in is still to come
    return PUT_OFF if old.stage == PUT_OFF and old.start + MINUTE > read.span.hi else 0


def _show_series(draft: Draft) -> None:
    """Begin the time of series whose zero is shown now for the first time, and end it where it has lasted."""
    for series, admission in {**draft.state.admitted, **draft.changes.admitted}.items():
        if admission.born == SHOWN:
            continue
        born = draft.now if admission.born is None else admission.born
        lasted = draft.now - born + admission.shown >= draft.rules.zero_hold
        if (changed := replace(admission, born=SHOWN if lasted else born)) != admission:
            draft.changes.admitted[series] = changed


def admit(places: Places, read: Read) -> None:
    """Give places to the series of a read: those of routes, then by first appearance, then by name."""
    places.admit_all(Series(*route) for route in sorted(read.routes.items()))
    for start in sorted(read.minutes):
        for series, cell in sorted(read.minutes[start].cells.items()):
            places.admit(series, start, cell[Field.ROWS])


def known_models(state: State, read: Read) -> frozenset[str]:
    """The models that the log has been seen to name."""
    return frozenset(state.seen_models).union(*(minute.seen_models for minute in read.minutes.values()))


def with_fallbacks(minute: Minute, routes: Mapping[str, str], known: frozenset[str]) -> dict[Series, Aggregate]:
    """The minute's aggregates, with the calls marked that another model than the route's primary has served.

    None is claimed where the log knows no model by the primary's name: the route may spell it otherwise.
    """
    return {
        series: with_figure(aggregate, Field.FALLBACKS, aggregate[Field.CALLS])
        if series.model != UNKNOWN
        and routes.get(series.operation, series.model) != series.model
        and routes[series.operation] in known
        else aggregate
        for series, aggregate in minute.cells.items()
    }
