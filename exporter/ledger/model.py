"""The ledger's data: what a read brings, what the state holds, what a plan changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from exporter.figures import Figure
from exporter.ledger.aggregate import ZERO, Aggregate
from exporter.ledger.calendar import MINUTE, day_of
from exporter.ledger.day_sums import MANY_NAMES, DaySums
from exporter.ledger.spenders import is_group


class Series(NamedTuple):
    """The labels that counters are kept by."""

    operation: str
    model: str


OTHER = Series("other", "other")
"""What pairs beyond `LedgerSettings.max_series` overflow into."""


UNKNOWN = "unknown"
"""The label of a call whose operation or model the log leaves out."""

UNATTRIBUTED = "unattributed"
"""The label of spend whose user the log leaves out."""


class SkippedValue(NamedTuple):
    """A value that could not be used: in which field, and why."""

    field: str
    reason: str


class Waiting(NamedTuple):
    """Rows in progress: how many, and the time of the oldest in seconds since the epoch."""

    rows: int
    oldest: float


@dataclass(frozen=True)
class LedgerSettings:
    """What the ledger needs to know of the configuration; times in seconds.

    At most `max_series` pairs have series of their own. Of these, `ample` get one as soon as they are seen (None: all),
    and those after them when they have been seen steadily. `groups` says that the log has groups.
    """

    window: int
    horizon: int
    max_series: int
    zero_hold: int
    zone: ZoneInfo
    ample: int | None = None
    groups: bool = False


@dataclass(frozen=True)
class TimeRange:
    """A half-open stretch of time to read, `lo` <= t < `hi`, both whole minutes but for a `hi` at the present."""

    lo: int
    hi: int


@dataclass(frozen=True)
class Bucket:
    """What the log holds for a stretch of time that begins at one moment, as read: a minute, or up to a day.

    `users` are all who spend, groups among them (`spenders`).
    """

    cells: Mapping[Series, Aggregate] = field(default_factory=dict)
    users: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[SkippedValue, int] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    seen_operations: Mapping[str, float] = field(default_factory=dict)
    seen_models: Mapping[str, float] = field(default_factory=dict)
    succeeded_models: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def rows(self) -> int:
        """How many rows of the log it stands for."""
        return sum(cell[Figure.ROWS] for cell in self.cells.values())


@dataclass(frozen=True)
class SpanRead:
    """All rows of a span, out of one snapshot.

    `now` is the database's clock when the snapshot was taken, never below that of an earlier read unless the clock was
    set back between them (`set_back`). What cannot be undone goes by `safe_now`, which is ahead of no clock; None: by
    `now`. `skew` is `now` less the clock of the exporter's host, None where it is unknown. Buckets without rows are
    left out. `routes` maps each operation to its route's primary model, as the log spells it.
    A read of a replica that is behind holds what was committed until `complete`, in seconds since the epoch; None: all.
    With a `width` of a quarter-hour, `span` is whole quarter-hours, and `buckets` holds each under its start. What is
    wider is one bucket of the whole span, see `history`. The users of days before `calendar.first_user_day` may be left
    out.
    """

    span: TimeRange
    now: int
    buckets: Mapping[int, Bucket]
    routes: Mapping[str, str] = field(default_factory=dict)
    sequence: int = 0
    width: int = MINUTE
    safe_now: int | None = None
    skew: int | None = None
    complete: int | None = None

    @property
    def rows(self) -> int:
        """How many rows it has found."""
        return sum(bucket.rows for bucket in self.buckets.values())

    @property
    def irrevocable(self) -> int:
        """The time by which slices are compacted and sums are dropped, in seconds since the epoch."""
        return self.whole_until if self.safe_now is None else min(self.safe_now, self.whole_until)

    @property
    def whole_until(self) -> int:
        """The time by which slices are closed, in seconds since the epoch."""
        return self.now if self.complete is None else min(self.complete, self.now)


@dataclass(frozen=True)
class Cell:
    """One series in one slice: the aggregate as last read, and the high-water mark of each figure.

    No mark is below what was last read, but for the figures of `AT_MERGE` in a minute, which wait for the merge, and in
    a quarter that is due to be read again since changed settings have dated such a minute's rows into it.
    """

    current: Aggregate = ZERO
    high_water: Aggregate = ZERO


NO_CELL = Cell()
"""That of a series without rows."""


@dataclass(frozen=True)
class Tally:
    """A count as last read and its high-water mark."""

    current: int = 0
    high_water: int = 0


@dataclass(frozen=True)
class Origin:
    """What a read has made a minute of, and what it has made of that: the same again is not worked through again."""

    bucket: Bucket
    routes: Mapping[str, str]
    known_models: frozenset[str]
    cells: Mapping[Series, Cell]
    skipped: Mapping[SkippedValue, Tally]


@dataclass(frozen=True)
class Slice:
    """One stretch of time: a minute, or a merged quarter of an hour.

    `held` marks a minute that stays open past the window for its rows in progress. `stage` counts the re-reads that a
    quarter has had; below 0 it is due at any age. That of a minute is 0, or `PUT_OFF`. `users` (money units by user and
    group, see `spenders`) is kept for minutes only; that of quarters lies in the store.
    `sequence` orders reads within one process, so that an older snapshot never replaces a newer one. `origin` is of the
    last read in this process.
    """

    start: int
    width: int
    cells: Mapping[Series, Cell] = field(default_factory=dict)
    skipped: Mapping[SkippedValue, Tally] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    users: Mapping[str, int] = field(default_factory=dict)
    held: bool = False
    stage: int = 0
    sequence: int = field(default=0, compare=False)
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Admission:
    """A series of its own: its `order` among all, and since when its zero is exposed.

    `first_exposed_at` (seconds since the epoch) is None before that, and `EXPOSED` once the zero has been shown long
    enough, or never needed to be. Earlier processes have shown it for `exposed_seconds`. Slices that start before
    `since` keep its rows under `OTHER`.
    """

    order: int
    first_exposed_at: int | None
    exposed_seconds: int = 0
    since: int = 0


class Candidate(NamedTuple):
    """A pair that waits for a series of its own: in how many quarter-hours it was seen, the start of the last one, and
    its most rows in one slice.
    """

    quarters: int
    last: int
    rows: int


EXPOSED = 0
"""The `first_exposed_at` of a series whose counters are shown as they are."""

PUT_OFF = -2
"""The `Slice.stage` of a minute whose rows may be counted and not due: changed settings have dated them ahead."""


class HourFigures(NamedTuple):
    """What a series, or all of them, had in an hour: calls that have ended and how many of them failed, money units,
    tokens, and microseconds of the calls that are `timed`, since their latency is known.
    """

    calls: int = 0
    failed: int = 0
    cost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency: int = 0
    timed: int = 0


@dataclass(frozen=True)
class UserSpend:
    """Money units of users in a time. Who is not among them spent nothing if it is `complete`, else nobody knows.

    `groups` is how the log told the groups among them, such as a column; empty: they are users alone.
    """

    units: Mapping[str, int] = field(default_factory=dict)
    complete: bool = False
    groups: str = ""

    def of(self, spender: str) -> int | None:
        """What a user or group spent; None where that is not known."""
        if spender in self.units:
            return self.units[spender]
        return 0 if self.complete and (self.groups or not is_group(spender)) else None


@dataclass(frozen=True)
class Hour:
    """A finished hour of the history, see `hourly`."""

    start: int
    cells: Mapping[Series, HourFigures] = field(default_factory=dict)
    users: UserSpend = UserSpend()


class Phase(StrEnum):
    """Whether the log is read for the first time, or the counters are shown."""

    STARTING = "starting"
    RUNNING = "running"


@dataclass(frozen=True)
class Progress:
    """How far the log has been read; times in seconds, `compacted` <= `merged` <= `closed` <= `position`.

    Before `compacted` only sums are left; up to `merged` there are quarters, then minutes; minutes before `closed` are
    closed unless held; before `position` everything has been read at least once. While `phase` is starting, slices
    before `count_from` are taken as known without being counted. All but `compacted` may lie ahead of `now`, once a
    clock was set back. `skew` is `now` less the exporter's own clock at that moment, None where it was not told.
    Slices before `converted` have been read by changed settings already: they stay as they are until those are in force
    (0 while none are being applied).
    """

    phase: Phase
    now: int
    compacted: int
    merged: int
    closed: int
    position: int
    count_from: int
    began: int
    late_rows: int = 0
    rows_read: int = 0
    rows_overflowed: int = 0
    newest: float = 0.0
    skew: int | None = None
    converted: int = 0


WHOLE = "whole"
"""The name of the stamp that all parts of a state share."""


@dataclass
class State:
    """All that is known, mirrored in the store. Changed by `apply` alone.

    `corrections` is the money by which present aggregates lie below their high-water marks; `days`, `user_days` and
    `group_days` hold money by calendar day in the budget's zone.
    """

    progress: Progress
    slices: dict[int, Slice] = field(default_factory=dict)
    totals: dict[Series, Aggregate] = field(default_factory=dict)
    corrections: dict[Series, int] = field(default_factory=dict)
    skipped: dict[SkippedValue, int] = field(default_factory=dict)
    days: DaySums[Series] = field(default_factory=DaySums)
    user_days: DaySums[str] = field(default_factory=DaySums)
    group_days: DaySums[str] = field(default_factory=DaySums)
    admitted: dict[Series, Admission] = field(default_factory=dict)
    seen_operations: dict[str, float] = field(default_factory=dict)
    seen_models: dict[str, float] = field(default_factory=dict)
    succeeded_models: dict[str, float] = field(default_factory=dict)
    shown_users: dict[str, int] = field(default_factory=dict)
    shown_groups: dict[str, int] = field(default_factory=dict)
    candidates: dict[Series, Candidate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """No part has been changed yet."""
        self._stamps: dict[str, object] = {}

    def stamp(self, name: str = WHOLE) -> object:
        """An object that is replaced when the part of this name changes, by default any part but the progress.

        `Changes.found` replaces none.
        """
        return self._stamps.setdefault(name, object())

    @property
    def changeable(self) -> int:
        """Where the slices begin that a read may still change."""
        return max(self.progress.compacted, self.progress.converted)

    def apply(self, changes: "Changes") -> None:
        """Take over what a plan has found, once it is durable."""
        if changes.progress is not None:
            self.progress = changes.progress
        # first, so that a series which ends and begins again in one commit begins at zero
        for name, keys in changes.ended.items():
            self._changed(name)
            for key in keys:
                getattr(self, name).pop(key, None)
        for name in KEYED:
            new = getattr(changes, name)
            if not new:
                continue
            ours = getattr(self, name)
            self._changed(name)
            for key, value in new.items():
                if value is None:
                    ours.pop(key, None)
                else:
                    ours[key] = value
        # a slice that was found as it was is not written to the disk: only memory learns by which read that is known
        self.slices.update(changes.found)

    def _changed(self, name: str) -> None:
        self._stamps[name] = self._stamps[WHOLE] = object()

    def pack_days(self, zone: ZoneInfo, least: int = MANY_NAMES) -> None:
        """Let the users of days that are over take less memory, where there are `least` or more; nothing changes."""
        self.user_days.pack(day_of(min(self.progress.merged, self.progress.now), zone), least)

    def ahead(self, changes: "Changes") -> "State":
        """A copy with the changes applied; this state stays as it is."""
        copy = State(self.progress, *(getattr(self, name).copy() for name in KEYED))
        copy.apply(changes)
        return copy


@dataclass
class Changes:
    """New values for parts of a `State`, by the same names; None removes the key.

    `slice_users`, `hours` and `past_spend` are what the store alone keeps: money units by user and group for each
    changed slice, the hourly history, and what users with budgets of other periods than a day spent before. `found` are
    slices that a read has found as they were. `ended` has the keys of parts (by their names) that go before anything
    else changes: series, and labels that were theirs alone, end only where somebody wants it.
    """

    progress: Progress | None = None
    slices: dict[int, Slice | None] = field(default_factory=dict)
    totals: dict[Series, Aggregate] = field(default_factory=dict)
    corrections: dict[Series, int] = field(default_factory=dict)
    skipped: dict[SkippedValue, int] = field(default_factory=dict)
    days: dict[tuple[int, Series], int | None] = field(default_factory=dict)
    user_days: dict[tuple[int, str], int | None] = field(default_factory=dict)
    group_days: dict[tuple[int, str], int | None] = field(default_factory=dict)
    admitted: dict[Series, Admission] = field(default_factory=dict)
    seen_operations: dict[str, float] = field(default_factory=dict)
    seen_models: dict[str, float] = field(default_factory=dict)
    succeeded_models: dict[str, float] = field(default_factory=dict)
    shown_users: dict[str, int | None] = field(default_factory=dict)
    shown_groups: dict[str, int | None] = field(default_factory=dict)
    candidates: dict[Series, Candidate | None] = field(default_factory=dict)
    slice_users: dict[int, Mapping[str, int] | None] = field(default_factory=dict)
    hours: dict[int, Hour | None] = field(default_factory=dict)
    past_spend: dict[TimeRange, UserSpend | None] = field(default_factory=dict)
    found: dict[int, Slice] = field(default_factory=dict)
    ended: dict[str, frozenset[Any]] = field(default_factory=dict)

    def moves_time_alone(self, written: Progress) -> bool:
        """Whether only time has passed, less than a minute since the `written` progress.

        Such changes need not reach the disk: after a restart, the log is read again from where it is closed.
        A clock that was set, the database's or the host's, is news: the next process judges the database's clock by it.
        """
        new = self.progress
        if new is None or any(getattr(self, name) for name in _WRITTEN):
            return False
        as_written = replace(new, now=written.now, position=written.position, skew=written.skew)
        return as_written == written and written.now <= new.now < written.now + MINUTE and _is_near(new, written)

    def follow(self, later: "Changes") -> None:
        """Add changes that were planned on top of these."""
        self.progress = later.progress or self.progress
        for name, keys in later.ended.items():
            self.ended[name] = self.ended.get(name, frozenset()) | keys
            for key in keys:
                getattr(self, name).pop(key, None)
        for name in (*KEYED, *_STORE_ALONE):
            getattr(self, name).update(getattr(later, name))
        for start in later.slices:
            # replaced, with a place of its own, or gone
            self.found.pop(start, None)
        self.found.update(later.found)


def _is_near(one: Progress, other: Progress) -> bool:
    """Whether the clocks differ as they did, but for less than a minute."""
    if one.skew is None or other.skew is None:
        return one.skew is other.skew
    return abs(one.skew - other.skew) < MINUTE


KEYED: Sequence[str] = tuple(f.name for f in fields(State) if f.name != "progress")
"""The parts of a state that are mappings, changed key by key."""

SEEN = ("seen_operations", "seen_models", "succeeded_models")
"""The parts of a state, and of what is read, that hold the last time of each operation or model."""

_STORE_ALONE = ("slice_users", "hours", "past_spend")
"""The parts of changes that no state in memory has."""

_WRITTEN = (*KEYED, *_STORE_ALONE, "ended")
"""The parts of changes that are written to the store, beside the progress."""

SPENDER_DAYS = ("user_days", "group_days")
"""The parts of a state that hold money by day and spender."""
