"""What a read changes: high-water marks and counters raised, slices closed, merged and compacted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR, day_of, day_start, floor_to, month_start_day
from exporter.ledger.model import (
    EXPOSED,
    NO_CELL,
    OTHER,
    PUT_OFF,
    Admission,
    Bucket,
    Cell,
    Changes,
    LedgerSettings,
    Origin,
    Phase,
    Progress,
    Series,
    Slice,
    SpanRead,
    State,
    TimeRange,
)
from exporter.ledger.plan import Plan, kept_in_memory, known_models
from exporter.ledger.schedule import oldest_open, stage_at
from exporter.ledger.slices import bucket_within, join_slices, know_cell, raise_cell
from exporter.unchanged import kept_while_the_same

QuarterUsers = Mapping[int, Mapping[str, int]]
"""Money units by user, as the store holds them for merged quarters, by the quarter's start."""


NEVER = 2**62
"""A moment past all others: nothing is counted before the first reading is done."""

LONGEST_DOUBT = 40 * 24 * HOUR
"""How far, in seconds, a first reading reaches back for a clock that no other clock confirms."""


def begin(
    clock: int, settings: LedgerSettings, backfill_since: int | None = None, safe_now: int | None = None
) -> Progress:
    """Where an empty ledger begins to read.

    Reading starts at the month's beginning or at the horizon, whichever is older, and counts nothing; with
    `backfill_since` everything from that quarter-hour on is counted. Where `safe_now` lies behind the clock, the
    horizon is that of `safe_now`, so that a clock which is set back to it finds its slices.
    """
    # the month's spend is shown from the first scrape on, so its rows must be known
    month = day_start(month_start_day(day_of(clock, settings.zone)), settings.zone)
    safe = clock if safe_now is None else max(min(safe_now, clock), clock - LONGEST_DOUBT)
    # whole quarters, so that everything before the present can be merged as it is read
    start = floor_to(min(month, safe - settings.horizon), QUARTER_HOUR)
    count_from = NEVER
    if backfill_since is not None:
        count_from = floor_to(backfill_since, QUARTER_HOUR)
        start = min(start, count_from)
    return first_reading(clock, start, count_from)


def first_reading(clock: int, start: int, count_from: int = NEVER) -> Progress:
    """The progress of a ledger that begins to read at `start`, a quarter-hour."""
    return Progress(
        phase=Phase.STARTING,
        now=clock,
        compacted=start,
        merged=start,
        closed=start,
        position=start,
        count_from=count_from,
        began=start,
    )


def restart(state: State, clock: int, settings: LedgerSettings, safe_now: int | None = None) -> Changes:
    """Begin the first reading again: what was read of the log is dropped, counters keep what they have."""
    before = state.progress
    progress = begin(clock, settings, None if before.count_from == NEVER else before.count_from, safe_now)
    return Changes(
        progress=replace(
            progress, late_rows=before.late_rows, rows_read=before.rows_read, rows_overflowed=before.rows_overflowed
        ),
        slices=dict.fromkeys(state.slices),
        slice_users=dict.fromkeys(state.slices),
        days=dict.fromkeys(state.days),
        user_days=dict.fromkeys(state.user_days),
        group_days=dict.fromkeys(state.group_days),
    )


def set_back(state: State, clock: int) -> Changes:
    """Follow a clock that was set back: "now" is `clock`, and nothing that was read is forgotten.

    Slices that were closed or merged by the clock as it was stay so; `schedule.front` reaches them all the same.
    """
    admitted = {
        series: replace(admission, first_exposed_at=clock)
        for series, admission in state.admitted.items()
        if admission.first_exposed_at not in (None, EXPOSED) and admission.first_exposed_at > clock
    }
    return Changes(progress=replace(state.progress, now=clock), admitted=admitted)


def quarters_within(state: State, span: TimeRange) -> list[int]:
    """The merged quarters that a read of the span replaces: `advance` needs their stored users."""
    lo = max(-floor_to(-span.lo, QUARTER_HOUR), state.changeable)
    return list(range(lo, min(state.progress.merged, floor_to(span.hi, QUARTER_HOUR)), QUARTER_HOUR))


def advance(state: State, read: SpanRead, settings: LedgerSettings, quarter_users: QuarterUsers) -> Changes:
    """What the state becomes by a read; the state itself is left as it is.

    `quarter_users` holds the stored users of `quarters_within(state, read.span)`. Slices which the read does not
    cover whole, or which a later read has covered already, stay as they are.
    """
    before = state.progress
    frontier = _frontier(state, read, settings)
    if read.width == QUARTER_HOUR and frontier.merged < read.span.hi:
        # what cannot be merged is kept by the minute, which this read does not tell: it is left to another one
        hi = max(read.span.lo, frontier.merged)
        buckets = {start: bucket for start, bucket in read.buckets.items() if start < hi}
        read = replace(read, span=TimeRange(read.span.lo, hi), buckets=buckets)
        frontier = _frontier(state, read, settings)
    # a history that is counted appears with its total; all other series show their zero first
    counts_history = before.phase != Phase.RUNNING and before.count_from != NEVER
    plan = Plan(
        state,
        settings,
        read.irrevocable,
        first_exposed_at=EXPOSED if counts_history else None,
        known_models=known_models(state, read),
    )
    news = _news(state, read, plan.known_models)
    plan.admit(read.routes, news)
    refreshed, late_rows = _replace_slices(plan, read, frontier, quarter_users)
    plan.changes.progress = replace(
        plan.finish(read, news.values()),
        phase=Phase.RUNNING if frontier.at_front else before.phase,
        compacted=_compact(plan, frontier, refreshed),
        merged=frontier.merged,
        closed=frontier.closed,
        position=frontier.position,
        late_rows=before.late_rows + late_rows,
    )
    if before.phase == Phase.RUNNING and frontier.at_front:
        _show_series(plan, read.now)
    return plan.changes


def _news(state: State, read: SpanRead, known_models: frozenset[str]) -> dict[int, Bucket]:
    """The buckets but for those that are as they were: of these, the series are admitted, and the times noted."""
    return {
        start: bucket
        for start, bucket in read.buckets.items()
        if start not in state.slices or not _is_as_it_was(state.slices[start], bucket, read.routes, known_models)
    }


def _replace_slices(
    plan: Plan, read: SpanRead, frontier: "_Frontier", quarter_users: QuarterUsers
) -> tuple[set[int], int]:
    """Put what was read in the place of the slices; returns their starts, and how many rows were late."""
    slices, before = plan.state.slices, plan.state.progress
    # what a clock that was set back dates into slices which are closed is on time all the same
    late_before = min(before.closed, floor_to(read.now - plan.settings.window, MINUTE))
    refreshed: set[int] = set()
    late_rows = 0
    for start, width in frontier.slots(plan.state, read.span):
        parts = [slices[minute] for minute in range(start, start + width, MINUTE) if minute in slices]
        old = join_slices(start, width, parts)
        if old.sequence > read.sequence:
            continue
        refreshed.add(start)
        if start < before.merged and old.users != (users := quarter_users.get(start, {})):
            old = replace(old, users=users)
        counted = before.phase == Phase.RUNNING or start >= before.count_from
        new, rows = _read_slice(plan, old, read, frontier, counted=counted)
        if counted and start + width <= late_before and not any(part.held for part in parts):
            late_rows += rows
        if len(parts) == 1 and parts[0].width == width and old == new:
            plan.changes.found[start] = kept_in_memory(new)
        else:
            plan.replace_slice(parts, new)
    return refreshed, late_rows


def _compact(plan: Plan, frontier: "_Frontier", refreshed: set[int]) -> int:
    """Compact the oldest slices past the horizon, which were read again just now; returns where they end."""
    start = plan.state.progress.compacted
    until = min(frontier.merged, plan.irrevocable - plan.settings.horizon - QUARTER_HOUR + 1)
    # a slice leaves with what was read in this commit: a late row must not slip in between
    while start < until and start in refreshed:
        plan.compact(start)
        start += QUARTER_HOUR
    return start


@dataclass(frozen=True)
class _Frontier:
    """How far slices are closed and merged after a read, and which minutes stay open for rows in progress."""

    closed: int
    merged: int
    position: int
    held: frozenset[int]
    at_front: bool

    def slots(self, state: State, span: TimeRange) -> Iterator[tuple[int, int]]:
        """Start and width of each slice that the read replaces, in order."""
        for quarter in quarters_within(state, span):
            yield quarter, QUARTER_HOUR
        for quarter in range(state.progress.merged, self.merged, QUARTER_HOUR):
            yield quarter, QUARTER_HOUR
        for minute in range(max(span.lo, self.merged), span.hi, MINUTE):
            yield minute, MINUTE


def _frontier(state: State, read: SpanRead, settings: LedgerSettings) -> _Frontier:
    before, span, now = state.progress, read.span, read.now
    # after a gap nothing closes: what lies between has not been read past its age
    contiguous = span.lo <= before.closed
    closed = before.closed
    if contiguous:
        closed = max(closed, min(floor_to(span.hi, MINUTE), floor_to(read.whole_until - settings.window, MINUTE)))
    covered = range(span.lo, span.hi, MINUTE)
    held = {s.start for s in state.slices.values() if s.held and s.start not in covered}
    # a call keeps its minute open for an hour: its cost and outcome come when it ends
    held.update(
        start
        for start, minute in read.buckets.items()
        if minute.waiting and before.merged <= start < closed and now < start + MINUTE + HOUR
    )
    merged = before.merged
    # a scrape may have read newer rows of a minute than a slow background read has seen
    overtaken = {s.start for s in state.slices.values() if s.sequence > read.sequence}
    while (
        span.lo <= merged
        and merged + QUARTER_HOUR <= min(span.hi, closed)
        and not any(merged <= start < merged + QUARTER_HOUR for start in held | overtaken)
    ):
        merged += QUARTER_HOUR
    return _Frontier(
        closed=closed,
        merged=merged,
        position=max(before.position, span.hi if span.lo <= before.position else 0),
        held=frozenset(held),
        # only a read up to the present, with no gap before it, makes the figures current
        at_front=span.hi > now and span.lo <= oldest_open(state),
    )


def _read_slice(plan: Plan, old: Slice, read: SpanRead, frontier: _Frontier, *, counted: bool) -> tuple[Slice, int]:
    """The slice as the read has it, and the number of rows by which its high-water marks rose."""
    minute = bucket_within(read, old.start, old.width)
    held, stage = old.start in frontier.held, _stage(old, read, plan.settings)
    if _is_as_it_was(old, minute, read.routes, plan.known_models):
        return replace(old, held=held, stage=stage, sequence=read.sequence), 0
    current = plan.overflow_labels(old.start, minute, read.routes)
    cells: dict[Series, Cell] = {}
    rows = 0
    # a series that the read does not have has lost its rows in the log
    for series in sorted({*old.cells, *current}) if old.cells.keys() != current.keys() else old.cells:
        before, after = old.cells.get(series, NO_CELL), current.get(series, ZERO)
        # most rows of the open window have been read before
        if after == before.current and old.width == MINUTE:
            cells[series] = before
            continue
        if counted:
            cells[series], rise = raise_cell(before, after, old.width)
            plan.count(series, rise)
            rows += rise[Figure.ROWS]
        else:
            cells[series] = know_cell(before, after)
        plan.replace_cell(old.start, series, before, cells[series])
    # gauges by user cover yesterday and today: older users would only take up memory
    users = plan.keep_users(old.start, minute.users)
    plan.replace_users(old.start, old.users, users)
    skipped = plan.tally(old.skipped, minute.skipped, counted=counted)
    new = Slice(
        start=old.start,
        width=old.width,
        cells=cells,
        skipped=skipped,
        waiting=minute.waiting,
        users=users,
        held=held,
        stage=stage,
        sequence=read.sequence,
        origin=Origin(minute, read.routes, plan.known_models, cells, skipped) if old.width == MINUTE else None,
    )
    return new, rows


def _is_as_it_was(old: Slice, minute: Bucket, routes: Mapping[str, str], known_models: frozenset[str]) -> bool:
    """Whether a slice is what a read has made of the same, and nothing else has changed it since.

    Rows of a pair without a series of its own may get one, so a slice that has some is looked at each time.
    """
    origin = old.origin
    return (
        origin is not None
        and origin.bucket is minute
        and origin.cells is old.cells
        and origin.skipped is old.skipped
        and minute.users is old.users
        and minute.waiting is old.waiting
        and OTHER not in old.cells
        and (origin.routes, origin.known_models) == (routes, known_models)
    )


def _stage(old: Slice, read: SpanRead, settings: LedgerSettings) -> int:
    if old.width == QUARTER_HOUR:
        # one read covers all ages that have passed, so that a long gap costs one re-read
        return stage_at(read.now - old.start - QUARTER_HOUR, settings)
    # the rest of the minute that the read ends in is still to come
    return PUT_OFF if old.stage == PUT_OFF and old.start + MINUTE > read.span.hi else 0


def _show_series(plan: Plan, now: int) -> None:
    """Begin the time of series whose zero is shown now for the first time, and end it where it has lasted."""
    hidden = _hidden(plan.state.admitted, plan.state.stamp("admitted"))
    for series, admission in _not_exposed({**hidden, **plan.changes.admitted}).items():
        first_exposed_at = now if admission.first_exposed_at is None else admission.first_exposed_at
        # time in which no process ran shows nobody a zero, so it is added up by process
        lasted = now - first_exposed_at + admission.exposed_seconds >= plan.settings.zero_hold
        if (changed := replace(admission, first_exposed_at=EXPOSED if lasted else first_exposed_at)) != admission:
            plan.changes.admitted[series] = changed


def _not_exposed(admitted: Mapping[Series, Admission]) -> Mapping[Series, Admission]:
    """The series whose counters are not shown as they are."""
    return {series: each for series, each in admitted.items() if each.first_exposed_at != EXPOSED}


@kept_while_the_same
def _hidden(admitted: Mapping[Series, Admission], _admitted: object) -> Mapping[Series, Admission]:
    return _not_exposed(admitted)
