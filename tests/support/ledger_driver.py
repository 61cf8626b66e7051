"""An exporter without clock, database or files: it reads a model log, keeps a disk in memory, and can crash."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from zoneinfo import ZoneInfo

from exporter.ledger import exposed, history, probing, reclassify, schedule
from exporter.ledger.advance import begin, quarters_within, set_back
from exporter.ledger.aggregate import Aggregate, total
from exporter.ledger.calendar import QUARTER_HOUR, day_start, first_user_day
from exporter.ledger.forget import forget
from exporter.ledger.model import (
    KEYED,
    Bucket,
    Cell,
    Changes,
    LedgerSettings,
    Phase,
    Series,
    Slice,
    SpanRead,
    State,
    TimeRange,
)
from exporter.ledger.probing import ProbeMemory, Sums, held_sums
from exporter.ledger.reclassify import Reads, ReclassificationStep, SettingsChange, Stretch
from exporter.ledger.shadow import Reclassification, Shadow, begin_shadow
from tests.support.model_log import Classes, Log, Row

UTC = ZoneInfo("UTC")

SETTINGS = LedgerSettings(window=180, horizon=4 * 3600, max_series=50, zero_hold=60, zone=UTC)
"""A short horizon keeps examples small; nothing in the ledger knows how long it is."""

START = 1772452800
"""Monday, 2 March 2026, 12:00 UTC."""


class Disk:
    """What is durable: changes are written part by part, and a state is built from the parts alone."""

    def __init__(self, state: State) -> None:
        self.progress = state.progress
        self.parts: dict[str, dict[object, object]] = {name: {} for name in KEYED}
        self.slice_users: dict[int, Mapping[str, int]] = {}
        self.shadow = ShadowDisk()
        self.going: Reclassification | None = None

    def commit_step(self, step: ReclassificationStep) -> None:
        """Write a step of taking up changed settings, all of it or nothing."""
        self.shadow.kept.update(step.shadow)
        if step.going is None:
            compacted = (step.changes.progress or self.progress).compacted
            self.slice_users = {start: users for start, users in self.shadow.kept.users.items() if start >= compacted}
            self.shadow = ShadowDisk()
        self.going = step.going
        self.commit(step.changes)

    def drop_shadow(self) -> None:
        """Forget how far other settings had been taken up."""
        self.shadow, self.going = ShadowDisk(), None
        self.progress = replace(self.progress, converted=0)

    def commit(self, changes: Changes) -> None:
        """Write changes; users of slices are kept apart."""
        self.progress = changes.progress or self.progress
        for name, keys in changes.ended.items():
            for key in keys:
                self.parts[name].pop(key, None)
        for name in (*KEYED, "slice_users"):
            part: dict[Any, Any] = self.slice_users if name == "slice_users" else self.parts[name]
            for key, value in getattr(changes, name).items():
                if value is None:
                    part.pop(key, None)
                else:
                    part[key] = replace(value, users={}) if isinstance(value, Slice) and value.users else value

    def load(self) -> State:
        """The state as last committed: quarters without users, every slice without its place among reads."""
        state = State(self.progress)
        for name, part in self.parts.items():
            getattr(state, name).update(part)
        for start, item in state.slices.items():
            users = self.slice_users.get(start, {}) if start >= self.progress.merged else {}
            state.slices[start] = replace(item, users=users, sequence=0)
        return state


class ShadowDisk:
    """The shadow as the store has it."""

    def __init__(self) -> None:
        self.kept = Shadow()

    def load(self, starts: Iterable[int] | None) -> Shadow:
        """As the store does: with None all slices, and no users."""
        kept = self.kept
        wanted = kept.slices.keys() if starts is None else set(starts)
        found = Shadow(
            {start: item for start, item in kept.slices.items() if start in wanted},
            {} if starts is None else {start: users for start, users in kept.users.items() if start in wanted},
        )
        found.update(replace(kept, slices={}, users={}))
        return found

    def users(self, starts: Iterable[int]) -> Mapping[int, Mapping[str, int]]:
        """The users at these starts."""
        return {start: self.kept.users[start] for start in starts if start in self.kept.users}

    def all_users(self) -> Iterable[tuple[int, Mapping[str, int]]]:
        """The users of every start."""
        return sorted(self.kept.users.items())


def ignore(*_: Any) -> None:
    """Nobody follows."""


@dataclass
class Exporter:
    """The part that is played by scrapes, the background worker and the start of the process.

    `applied` is called with each read whose changes were applied, and whether changed settings were taken up by it;
    `followed` when a clock that was set back was followed. `width` is the widest stretch by which the log is read:
    minutes, quarters or a day. `lead` is how far the database's clock is ahead of the host's. `wanted` are changed
    settings that are being taken up; then `converted` is called with the rows of each stretch, `switched` with the
    state as it was before the switch, `dropped` when all that was for nothing. `knows_old` says that the settings in
    force can be read by.
    """

    log: Log
    clock: int
    settings: LedgerSettings = SETTINGS
    classes: Classes = field(default_factory=Classes)
    backfill_since: int | None = None
    width: int = 60
    chunk: int = 6 * 3600
    lead: int = 0
    applied: Callable[[SpanRead, bool], None] = ignore
    followed: Callable[[], None] = ignore
    converted: Callable[[list[Row], Classes], None] = ignore
    switched: Callable[[State, Reclassification | None], None] = ignore
    dropped: Callable[[], None] = ignore
    sequence: int = 0
    memory: ProbeMemory = field(default_factory=ProbeMemory)
    wanted: tuple[LedgerSettings, Classes] | None = None
    knows_old: bool = True

    def __post_init__(self) -> None:
        self.state = State(begin(self.clock, self.settings, self.backfill_since, self.clock - max(0, self.lead)))
        self.disk = Disk(self.state)
        self._last_read: dict[int, Bucket] = {}

    # -- reading

    @property
    def now(self) -> int:
        return schedule.present(self.state.progress, self.clock)

    @property
    def safe_now(self) -> int:
        """What cannot be undone goes by the slower of both clocks."""
        return min(self.now, self.clock - max(0, self.lead))

    def follow_clock(self) -> None:
        """Follow a clock that was set back."""
        if schedule.steps_back(self.state.progress, self.clock):
            self.commit(set_back(self.state, self.clock))
            self.followed()

    def read(self, span: TimeRange) -> SpanRead:
        """One snapshot of the log: by minutes, and by quarters where these are asked for and can be."""
        self.sequence += 1
        progress, by_day = self.state.progress, self.width > QUARTER_HOUR
        width = history.read_width(progress, span, self.now, self.settings, self.safe_now, by_day=by_day)
        read = self.log.read(span, self.now, self.classes, self.sequence, width=min(self.width, width))
        read = replace(read, safe_now=self.safe_now, buckets=self._same_as_before(read.buckets))
        if read.width > QUARTER_HOUR and not history.fits(self.state, read, self.settings):
            self.width = QUARTER_HOUR
            return self.read(span)
        return self.without_old_users(read) if self.width >= QUARTER_HOUR else read

    def gap(self) -> TimeRange | None:
        """The next stretch of the first reading, or of a gap."""
        if self.width > QUARTER_HOUR:
            span = history.next_day(self.state.progress, self.settings, self.safe_now, self.chunk)
            if span is not None:
                return span
        return schedule.catch_up(self.state, self.clock, self.chunk)

    def _same_as_before(self, buckets: Mapping[int, Bucket]) -> Mapping[int, Bucket]:
        """The buckets, of which those that are as in the last read are the very same, as the exporter has them."""
        known = self._last_read
        self._last_read = {at: known[at] if known.get(at) == bucket else bucket for at, bucket in buckets.items()}
        return self._last_read

    def without_old_users(self, read: SpanRead) -> SpanRead:
        """The read without what it need not bring."""
        since = day_start(first_user_day(read.irrevocable, self.settings.zone), self.settings.zone)
        minutes = {at: replace(part, users=part.users if at >= since else {}) for at, part in read.buckets.items()}
        return replace(read, buckets=minutes)

    def plan(self, read: SpanRead) -> Changes:
        """What a read would change."""
        stored = {q: self.disk.slice_users.get(q, {}) for q in quarters_within(self.state, read.span)}
        return history.take(self.state, read, self.settings, stored)

    def commit(self, changes: Changes) -> None:
        """Durable first, then known."""
        self.disk.commit(changes)
        self.state.apply(changes)
        self.state.pack_days(self.settings.zone, least=1)

    def take(self, read: SpanRead) -> None:
        """Plan, commit and apply."""
        self.commit(self.plan(read))
        self.applied(read, False)

    # -- the three kinds of work

    def scrape(self) -> dict[Series, Aggregate]:
        """Catch up where there is a gap, read the open window, and expose."""
        self.follow_clock()
        while (span := self.gap()) is not None:
            self.take(self.read(span))
        self.front()
        return self.counters()

    def front(self) -> None:
        """Read the open window."""
        span = schedule.front(self.state, self.clock, self.settings)
        assert span is not None
        self.take(self.read(span))

    def next_work(self) -> TimeRange | None:
        """What the background worker would read next."""
        return schedule.next_merge(self.state, self.chunk) or schedule.next_reread(
            self.state, self.clock, self.settings, self.chunk, self.safe_now
        )

    def work(self) -> None:
        """Everything the background worker has to do now."""
        for _ in range(10_000):
            if (span := self.next_work()) is None:
                return
            self.take(self.read(span))
        raise AssertionError(f"the worker never gets done: {span}")

    # -- late rows

    def sums(self, span: TimeRange) -> Sums:
        """What a probe brings of a span: plain sums over its rows."""
        rows = [self.classes.aggregate(row) for row in self.log.within(span, self.classes)]
        return held_sums(Slice(span.lo, span.hi - span.lo, {Series("any", "any"): Cell(current=total(rows))}))

    def look(self) -> None:
        """One round of probes; what differs is left to `reread_suspects`."""
        self.sequence += 1
        asked = probing.next_round(self.memory, self.state, self.now)
        found = {span: self.sums(span) for span in (*asked.recent, *asked.older)}
        self.memory = probing.judge(self.memory, asked, self.state.slices, found, self.sequence)

    def reread_suspects(self) -> list[TimeRange]:
        """Read again whatever differs; returns what was read."""
        spans: list[TimeRange] = []
        while (span := probing.next_span(self.memory, self.state.slices, self.chunk)) is not None:
            self.take(self.read(span))
            self.memory = probing.settle(self.memory, self.state.slices, span)
            spans.append(span)
        return spans

    def find_late_rows(self) -> list[TimeRange]:
        """A round over all slices, and what follows from it."""
        self.follow_clock()
        self.memory = replace(self.memory, whole=True)
        self.look()
        return self.reread_suspects()

    # -- time and trouble

    def wait(self, seconds: int) -> dict[Series, Aggregate]:
        """Let time pass, then a scrape and the worker."""
        self.clock += seconds
        self.scrape()
        self.work()
        return self.counters()

    def run(self, seconds: int, step: int = 60) -> dict[Series, Aggregate]:
        """Let time pass with a scrape, and the worker's work, every `step` seconds."""
        for _ in range(seconds // step):
            self.wait(step)
        return self.counters()

    def restart(self, **changed: object) -> None:
        """A new process: the durable state, and zeros that are shown anew. `changed` are new values of the rules."""
        self.settings = replace(self.settings, **changed)  # type: ignore[arg-type]
        self.state = self.disk.load()
        self.memory = ProbeMemory()
        self.commit(Changes(admitted=dict(exposed.restart_zero_hold(self.state, self.settings))))

    # -- changed settings

    def configure(self, classes: Classes | None = None, *, knows_old: bool = True, **changed: object) -> None:
        """A new process with changed settings, which are taken up from now on."""
        going, before = self.disk.going, self.wanted
        self.restart()
        wanted = replace(self.settings, **changed), classes or self.classes  # type: ignore[arg-type]
        self.wanted = None if wanted == (self.settings, self.classes) else wanted
        if going is not None and (before is None or self.wanted is None or _differ(before, self.wanted)):
            self.disk.drop_shadow()
            self.state = self.disk.load()
            self.dropped()
        self.knows_old = knows_old

    def convert(self) -> bool:
        """One step of taking up changed settings; False where there are none."""
        if self.wanted is None:
            return False
        self.follow_clock()
        # window, horizon and hold are in force at once
        wanted = self.wanted[0]
        settings = replace(self.settings, zone=wanted.zone, max_series=wanted.max_series, ample=wanted.ample)
        if self.state.progress.phase == Phase.STARTING:
            self.commit(reclassify.begin_anew(self.state, self.clock, settings, self.safe_now))
            self._adopt(settings)
            self.switched(self.state, None)
            return True
        if self.knows_old and (span := schedule.catch_up(self.state, self.clock, self.chunk)) is not None:
            self.take(self.read(span))
            return True
        if self.knows_old and (span := schedule.next_merge(self.state, self.chunk)) is not None:
            self.take(self.read(span))
            return True
        moved = self.classes.shift != self.wanted[1].shift
        going = self.disk.going
        if going is None:
            going = reclassify.start_reclassification(
                self.state, settings, self.safe_now, by_old=self.knows_old, moved=moved
            )
            self.disk.shadow.kept = begin_shadow(self.state)
        stretch = reclassify.next_stretch(self.state, going, self.chunk)
        if stretch is not None:
            self._convert(going, stretch, settings)
        else:
            self._conclude(going, settings)
        return True

    def reconfigure(self, classes: Classes | None = None, *, knows_old: bool = True, **changed: object) -> None:
        """A new process with changed settings, which takes them up without being disturbed."""
        self.configure(classes, knows_old=knows_old, **changed)
        while self.convert():
            pass

    def _convert(self, going: Reclassification, stretch: Stretch, settings: LedgerSettings) -> None:
        old = self.read(stretch.span) if going.by_old and not stretch.history else None
        rows, new = self._read_new(going, stretch)
        change = SettingsChange(self.settings, settings)
        step = reclassify.convert(
            self.state, going, stretch, Reads(old, new), change, self._stored_users(old), self.disk.shadow
        )
        self._take(step)
        if old is not None:
            self.applied(old, False)
        if step.going != going:
            self.converted(rows, self._classes_wanted)

    def _conclude(self, going: Reclassification, settings: LedgerSettings) -> None:
        reads, before = None, self.state
        rows: list[Row] = []
        if going.by_old:
            span = reclassify.last_span(self.state, going, self.now)
            old = self.read(span)
            rows, new = self._read_new(going, Stretch(span))
            reads, before = Reads(old, new), self.state.ahead(self.plan(old))
        step = reclassify.conclude(
            self.state,
            going,
            reads,
            SettingsChange(self.settings, settings),
            self._stored_users(None if reads is None else reads.old),
            self.disk.shadow,
            self.safe_now,
        )
        self._take(step)
        after, self.state = self.state, before
        if reads is not None and reads.old is not None:
            self.applied(reads.old, False)
        self.state = after
        if step.going is None:
            self.converted(rows, self._classes_wanted)
            self._adopt(settings)
            self.switched(before, going)

    def _take(self, step: ReclassificationStep) -> None:
        self.disk.commit_step(step)
        self.state.apply(step.changes)

    def _adopt(self, settings: LedgerSettings) -> None:
        self.classes = self._classes_wanted
        self.settings, self.wanted, self.knows_old = settings, None, True

    @property
    def _classes_wanted(self) -> Classes:
        assert self.wanted is not None
        return self.wanted[1]

    def _stored_users(self, read: SpanRead | None) -> dict[int, Mapping[str, int]]:
        if read is None:
            return {}
        return {q: self.disk.slice_users.get(q, {}) for q in quarters_within(self.state, read.span)}

    def _read_new(self, going: Reclassification, stretch: Stretch) -> tuple[list[Row], SpanRead]:
        """The rows of a stretch, and what the changed settings make of them."""
        old, new, span = self.classes, self._classes_wanted, stretch.span
        moved = going.moved and going.by_old
        rows = self.log.within(span, old if moved and not stretch.history else new)
        if moved and stretch.history:
            rows = [row for row in rows if old.at(row) < going.start]
        if moved:
            rows = [row for row in rows if going.lo <= new.at(row) < self.now + reclassify.AHEAD]
        quarters_to = self.state.progress.merged if self.width == QUARTER_HOUR else 0
        read = self.log.read_rows(rows, span, self.now, new, self.sequence, quarters_to=quarters_to)
        return rows, replace(read, width=60, safe_now=self.safe_now)

    def forget(self, series: Series) -> None:
        """A series ends between two processes."""
        self.restart()
        if self.disk.going is not None:
            self.disk.drop_shadow()
            self.state = self.disk.load()
            self.dropped()
        self.commit(forget(self.state, {series}))

    # -- what is seen

    def counters(self) -> dict[Series, Aggregate]:
        """As exposed."""
        return exposed.counters(self.state)

    def count(self, figure: int, series: Series | None = None) -> int:
        """A counter as it will be exposed once zeros have been held, of one series or of all."""
        totals = self.state.totals
        return sum(total[figure] for key, total in totals.items() if series in (None, key))

    def quarter(self, start: int) -> Slice:
        """The merged slice that begins here."""
        item = self.state.slices[start]
        assert item.width == QUARTER_HOUR
        return item


def _differ(left: tuple[LedgerSettings, Classes], right: tuple[LedgerSettings, Classes]) -> bool:
    return left[1] != right[1] or any(
        getattr(left[0], name) != getattr(right[0], name) for name in ("zone", "max_series", "ample")
    )


def started(log: Log, clock: int = START, **change: Any) -> Exporter:
    """An exporter whose first reading is done: what the log holds is known and not counted."""
    exporter = Exporter(log, clock, **change)
    exporter.scrape()
    exporter.work()
    return exporter


def same(left: State, right: State) -> list[str]:
    """The parts in which two states differ."""
    return [f.name for f in fields(State) if getattr(left, f.name) != getattr(right, f.name)]
