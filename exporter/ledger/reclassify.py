"""Applying changed settings: the same rows, classified anew stretch by stretch, while counters stay as they are.

The settings that were in force go on serving meanwhile. What the new ones make of the rows gathers in a `Shadow`, which
takes the place of the slices and sums once it reaches the present. Each row is counted once: by the old settings until
the stretch that holds it has been converted, by the new ones after the switch. In between it waits.
"""

from dataclasses import dataclass, replace
from itertools import chain

from exporter.ledger.advance import QuarterUsers, advance, restart
from exporter.ledger.aggregate import ZERO
from exporter.ledger.ahead import slices_ahead
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR, day_of, day_start, floor_to
from exporter.ledger.model import PUT_OFF, Changes, LedgerSettings, SpanRead, State, TimeRange
from exporter.ledger.plan import first_day
from exporter.ledger.shadow import Reclassification, Shadow, ShadowStore, slots, take_in
from exporter.ledger.switch import needs_users, sum_users, switch

AHEAD = 48 * HOUR
"""Seconds past the present for which rows that changed settings date there are still recognized when they are due."""


@dataclass(frozen=True)
class Stretch:
    """What to read next: a span of the history, by the new settings' times, or of the slices, by the old ones'."""

    span: TimeRange
    history: bool = False


@dataclass(frozen=True)
class SettingsChange:
    """The ledger's settings in force, and those that take their place."""

    old: LedgerSettings
    new: LedgerSettings


@dataclass(frozen=True)
class Reads:
    """One stretch as both settings have it, out of one snapshot; `old` is None where it is not to be counted."""

    old: SpanRead | None
    new: SpanRead


@dataclass(frozen=True)
class ReclassificationStep:
    """What a step changes: of the state, of the shadow, and how far it has come; `going` is None after the switch."""

    changes: Changes
    shadow: Shadow
    going: Reclassification | None


def begin_anew(state: State, clock: int, settings: LedgerSettings, safe_now: int) -> Changes:
    """Begin the first reading again, with counters at zero: nothing that it has read was ever shown."""
    changes = restart(state, clock, settings, safe_now)
    # zero and not absent: the series stay admitted
    changes.totals.update(dict.fromkeys(state.totals, ZERO))
    changes.corrections.update(dict.fromkeys(state.corrections, 0))
    changes.skipped.update(dict.fromkeys(state.skipped, 0))
    changes.candidates.update(dict.fromkeys(state.candidates))
    # late rows and rows that overflowed are counted again; the clock has not changed
    before = state.progress
    changes.progress = replace(
        changes.progress or before, now=before.now, skew=before.skew, late_rows=0, rows_overflowed=0
    )
    return changes


def start_reclassification(
    state: State, settings: LedgerSettings, safe_now: int, *, by_old: bool, moved: bool
) -> Reclassification:
    """Begin to apply changed settings; `settings` are the new ones, `safe_now` is ahead of no clock."""
    progress = state.progress
    first = first_day(day_of(min(safe_now, progress.now), settings.zone))
    # days that are only sums by now are read anew as well, or their spend would mix two settings
    lo = min(progress.compacted, floor_to(day_start(first, settings.zone), QUARTER_HOUR))
    # rows that get another time may lie ahead of the present by it
    end = floor_to(progress.now + AHEAD, QUARTER_HOUR) if moved and by_old else progress.compacted
    return Reclassification(
        lo=lo, start=progress.compacted, end=end, history=lo, done=progress.compacted, by_old=by_old, moved=moved
    )


def next_stretch(state: State, going: Reclassification, length: int) -> Stretch | None:
    """The next stretch, at most `length` seconds of it (whole quarters); None when only the switch is left.

    One that ends by `merged` can be read by the quarter, another one only by the minute.
    """
    if going.history < going.end:
        return Stretch(TimeRange(going.history, min(going.history + length, going.end)), history=True)
    for span in _to_convert(state, going):
        if (lo := max(going.done, span.lo)) < span.hi:
            return Stretch(TimeRange(lo, min(lo + length, span.hi)))
    return None


def _to_convert(state: State, going: Reclassification) -> list[TimeRange]:
    """What is converted stretch by stretch, in order: all but what the old settings read at the switch."""
    merged, position = state.progress.merged, state.progress.position
    settled = TimeRange(going.start, merged)
    if going.by_old:
        return [settled]
    present = floor_to(position, MINUTE)
    ahead = [*slices_ahead(state), *([present] if going.moved else [])]
    if not ahead:
        return [settled, TimeRange(merged, position)]
    # counted rows may get yet another time
    until = max(*ahead, present + AHEAD) + MINUTE
    return [settled, TimeRange(merged, min(position, *ahead)), TimeRange(min(ahead), until)]


def last_span(state: State, going: Reclassification, now: int) -> TimeRange:
    """What the switch reads by both settings out of one snapshot, where the old ones can be read by.

    It reaches past the present where slices do: what an earlier switch has dated ahead is counted already, in the rest
    of the present minute, too.
    """
    position = max(now + 1, state.progress.position)
    # they are read with the rest, or the switch would find them counted and gone
    ahead = [start + MINUTE for start, item in state.slices.items() if start >= position or item.stage == PUT_OFF]
    return TimeRange(going.done, max([position, *ahead]))


def ratio(state: State, going: Reclassification) -> float:
    """How much of it is done, 0 to 1."""
    whole = going.end - going.lo + state.progress.position - going.start
    return min(1.0, (going.history - going.lo + going.done - going.start) / max(1, whole))


def after(going: Reclassification, stretch: Stretch) -> Reclassification:
    """How far it has come once a stretch is taken in."""
    return replace(going, history=stretch.span.hi) if stretch.history else replace(going, done=stretch.span.hi)


def converted(going: Reclassification) -> int:
    """`Progress.converted` at this stage: the old settings leave alone what was converted, if they are in use."""
    return going.done if going.by_old and going.done > going.start else 0


def overtaken(state: State, read: SpanRead) -> bool:
    """Whether a read of the old settings that is newer has changed what this one is to convert."""
    return any(
        item.sequence > read.sequence for start, item in state.slices.items() if read.span.lo <= start < read.span.hi
    )


def convert(
    state: State,
    going: Reclassification,
    stretch: Stretch,
    reads: Reads,
    change: SettingsChange,
    quarter_users: QuarterUsers,
    stored: ShadowStore,
) -> ReclassificationStep:
    """Count a stretch by the old settings for the last time, and add to the shadow what the new ones make of it."""
    changes = _count(state, reads.old, change.old, quarter_users)
    counted = state.ahead(changes)
    known = stored.load(slots(counted, reads.new))
    shadow = take_in(counted, going, reads.new, change.new, known)
    going = after(going, stretch)
    changes.progress = replace(counted.progress, converted=converted(going))
    return ReclassificationStep(changes, shadow, going)


def conclude(
    state: State,
    going: Reclassification,
    reads: Reads | None,
    change: SettingsChange,
    quarter_users: QuarterUsers,
    stored: ShadowStore,
    safe_now: int,
) -> ReclassificationStep:
    """Count what is left by the old settings, and put the shadow in the place of the slices.

    `reads` are of `last_span`; None where the old settings cannot be read by, and nothing is left. Where the last read
    merges a quarter that is not converted yet, it counts, and the switch is put off. What is dropped for good goes by
    `safe_now`, which is ahead of no clock.
    """
    changes = _count(state, None if reads is None else reads.old, change.old, quarter_users)
    counted = state.ahead(changes)
    # the shadow has minutes where the slices are a quarter now: the stretch is converted first
    if going.by_old and counted.progress.merged > going.done:
        return ReclassificationStep(changes, Shadow(), going)
    shadow = stored.load(None)
    if reads is not None:
        shadow.users.update(stored.users(slots(counted, reads.new)))
        shadow.update(take_in(counted, going, reads.new, change.new, shadow, last=True))
    # what was just read is not on the disk yet
    fresh = dict(shadow.users)
    shadow.users.update(stored.users(start for start in needs_users(counted, shadow) if start not in fresh))
    kept = ((start, users) for start, users in stored.all_users() if start not in fresh)
    spender_days = sum_users(counted, going, chain(kept, fresh.items()), change.new, safe_now)
    changes.follow(switch(counted, going, shadow, spender_days, change.new, safe_now))
    return ReclassificationStep(changes, Shadow(users=fresh), None)


def _count(state: State, read: SpanRead | None, settings: LedgerSettings, quarter_users: QuarterUsers) -> Changes:
    return Changes() if read is None else advance(state, read, settings, quarter_users)
