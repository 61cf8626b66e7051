"""The shadow: what changed settings make of the rows so far, while the ones in force go on serving."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from exporter.ledger.aggregate import ZERO, Aggregate, net, sum_counts
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR, floor_to
from exporter.ledger.day_sums import DaySums
from exporter.ledger.model import (
    SEEN,
    Admission,
    Bucket,
    Candidate,
    Cell,
    LedgerSettings,
    Progress,
    Series,
    Slice,
    SpanRead,
    State,
    Tally,
)
from exporter.ledger.plan import Plan, known_models
from exporter.ledger.slices import join_slices, with_waiting


@dataclass(frozen=True)
class Reclassification:
    """How far changed settings have been applied; times in seconds, all of them whole quarters but `done` at the end.

    First the history is read, from `lo` to `end` by the new settings' times: what was sums already when it began, at
    `start`. Then the slices are converted from `start` on, by the old settings' times. `history` and `done` are where
    the next stretch of each begins.

    `by_old` says that the old settings can still be read by, so that every stretch is counted by them a last time.
    `moved` says that the new ones give the same rows other times.
    """

    lo: int
    start: int
    end: int
    history: int
    done: int
    by_old: bool
    moved: bool


@dataclass
class Shadow:
    """What the new settings make of the rows so far, or the part of it that one stretch concerns.

    `slices` begin at `Reclassification.start`, before which `days` hold the money. A high-water mark says how much of
    an aggregate has been counted. `users` are money units by user and group, by the start of their slice, of the
    history's last days too. `admitted` are its series, and `candidates` the pairs that wait for one. The state's own
    are left as they are: what overflowed by the old settings would be counted again under a label of its own.
    """

    slices: dict[int, Slice] = field(default_factory=dict)
    users: dict[int, Mapping[str, int]] = field(default_factory=dict)
    days: dict[tuple[int, Series], int] = field(default_factory=dict)
    admitted: dict[Series, Admission] = field(default_factory=dict)
    candidates: dict[Series, Candidate | None] = field(default_factory=dict)
    seen_operations: dict[str, float] = field(default_factory=dict)
    seen_models: dict[str, float] = field(default_factory=dict)
    succeeded_models: dict[str, float] = field(default_factory=dict)

    def update(self, changed: "Shadow") -> None:
        """Take over changed parts."""
        for part in fields(Shadow):
            getattr(self, part.name).update(getattr(changed, part.name))


class ShadowStore(Protocol):
    """Where the shadow is kept."""

    def load(self, starts: Iterable[int] | None) -> Shadow:
        """All of it but the slices and users of other starts; with None all slices, and no users."""

    def users(self, starts: Iterable[int]) -> Mapping[int, Mapping[str, int]]:
        """The users at these starts, where there are any."""

    def all_users(self) -> Iterable[tuple[int, Mapping[str, int]]]:
        """The users of every start, one after the other."""


def slots(state: State, read: SpanRead) -> set[int]:
    """The starts of the shadow's slices that a read adds to."""
    return {slot_of(start, state.progress) for start in read.buckets}


def begin_shadow(state: State) -> Shadow:
    """A shadow without rows, in which every admitted series stays admitted."""
    return Shadow(admitted=dict(state.admitted))


def take_in(
    state: State,
    going: Reclassification,
    read: SpanRead,
    settings: LedgerSettings,
    known: Shadow,
    *,
    last: bool = False,
) -> Shadow:
    """Add what the new settings make of a stretch to the shadow; returns the parts changed.

    `known` holds the parts of the shadow at `slots(state, read)`, its days, its series and what it has seen. `last`
    says that the read goes with the switch: what lies in it is counted in all but the figures that wait for the merge.
    """
    progress = state.progress
    if going.moved and settings.ample is not None:
        # a series that is earned holds from a moment on, and here earlier moments come after later ones
        settings = replace(settings, max_series=settings.ample)
    # the switch finds the state's own clock where no read by the old settings has moved it
    irrevocable = min(read.irrevocable, progress.now)
    models = known_models(state, read) | known.seen_models.keys()
    plan = Plan(_as_state(known, progress), settings, irrevocable, known_models=models)
    plan.admit(read.routes, read.buckets)
    changed = Shadow(admitted=plan.limiter.added)
    for start, minute in sorted(read.buckets.items()):
        slot = slot_of(start, progress)
        cells = plan.overflow_labels(slot, minute, read.routes)
        # before that there are no slices, only sums of days; but the switch counts what no merge has counted
        if last or slot >= going.start:
            # a price may still come: whether a call has none is judged at the merge
            waits = last or (not going.by_old and (going.moved or slot >= progress.merged))
            found = _slice(slot, progress, minute, cells, waits=waits)
            parts = [changed.slices.get(slot) or known.slices.get(slot), found]
            changed.slices[slot] = join_slices(slot, found.width, filter(None, parts))
        else:
            for series, aggregate in cells.items():
                plan.spend(slot, series, net(aggregate))
        if users := plan.keep_users(slot, minute.users):
            changed.users[slot] = sum_counts(changed.users.get(slot) or known.users.get(slot, {}), users)
    changed.days = {key: units for key, units in plan.changes.days.items() if units is not None}
    changed.candidates = plan.limiter.candidates()
    # what is dated ahead has not been seen yet
    plan.see([minute for start, minute in read.buckets.items() if start <= progress.now], read.routes)
    for part in SEEN:
        getattr(changed, part).update(getattr(plan.changes, part))
    return changed


def slot_of(start: int, progress: Progress) -> int:
    """The start of the slice that holds a moment: a quarter before `merged`, a minute after it."""
    return floor_to(start, QUARTER_HOUR) if start < progress.merged else start


def width_of(start: int, progress: Progress) -> int:
    """The width of the slice at this start."""
    return QUARTER_HOUR if start < progress.merged else MINUTE


def _slice(slot: int, progress: Progress, minute: Bucket, cells: Mapping[Series, Aggregate], *, waits: bool) -> Slice:
    """What a read adds to one slice, all of it counted; but for what is counted at the merge, where that waits."""
    return Slice(
        start=slot,
        width=width_of(slot, progress),
        cells={
            series: Cell(aggregate, with_waiting(aggregate, ZERO) if waits else aggregate)
            for series, aggregate in cells.items()
        },
        skipped={skip: Tally(count, count) for skip, count in minute.skipped.items()},
        waiting=minute.waiting,
    )


def _as_state(known: Shadow, progress: Progress) -> State:
    """The shadow so far as a state: all that came before a stretch has been read with the same admissions."""
    return State(
        replace(progress, position=0),
        days=DaySums(known.days),
        admitted=known.admitted,
        candidates={series: candidate for series, candidate in known.candidates.items() if candidate is not None},
        **{part: getattr(known, part) for part in SEEN},
    )
