"""An exporter without clock, database or files: it reads a model log, keeps a disk in memory, and can crash."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from zoneinfo import ZoneInfo

from exporter.ledger import agenda, probing, view
from exporter.ledger.advance import advance, begin, quarters_within, set_back
from exporter.ledger.aggregate import Aggregate, total
from exporter.ledger.calendar import QUARTER, day_start, first_user_day
from exporter.ledger.model import KEYED, Cell, Changes, Read, Rules, Series, Slice, Span, State
from exporter.ledger.probing import Sums, Watch, held_sums
from exporter.ledger.rebase import rebase, rebase_span
from tests.unit.ledger.model_log import Classes, Log

UTC = ZoneInfo("UTC")

RULES = Rules(window=180, horizon=4 * 3600, max_series=50, zero_hold=60, zone=UTC)
"""A short horizon keeps examples small; nothing in the ledger knows how long it is."""

START = 1772452800
"""Monday, 2 March 2026, 12:00 UTC."""


class Disk:
    """What is durable: changes are written part by part, and a state is built from the parts alone."""

    def __init__(self, state: State) -> None:
        self.progress = state.progress
        self.parts: dict[str, dict[object, object]] = {name: {} for name in KEYED}
        self.slice_users: dict[int, Mapping[str, int]] = {}

    def commit(self, changes: Changes) -> None:
        """Write changes; users of slices are kept apart."""
        self.progress = changes.progress or self.progress
        for name in (*KEYED, "slice_users"):
            part: dict[Any, Any] = self.slice_users if name == "slice_users" else self.parts[name]
            for key, value in getattr(changes, name).items():
                if value is None:
                    part.pop(key, None)
                else:
                    part[key] = replace(value, users={}) if isinstance(value, Slice) else value

    def load(self) -> State:
        """The state as last committed: quarters without users, every slice without its place among reads."""
        state = State(self.progress, **{name: dict(part) for name, part in self.parts.items()})  # type: ignore[arg-type]
        for start, item in state.slices.items():
            users = self.slice_users.get(start, {}) if start >= self.progress.merged else {}
            state.slices[start] = replace(item, users=users, sequence=0)
        return state


@dataclass
class Exporter:
    """The part that is played by scrapes, the background worker and the start of the process.

    `applied` is called with each read whose changes were applied, and whether it was a rebase; `followed` when a clock
    that was set back was followed. `width` is the widest stretch by which the log is read: minutes or quarters. `lead`
    is how far the database's clock is ahead of the host's.
    """

    log: Log
    clock: int
    rules: Rules = RULES
    classes: Classes = field(default_factory=Classes)
    backfill_since: int | None = None
    width: int = 60
    chunk: int = 6 * 3600
    lead: int = 0
    applied: Callable[[Read, bool], None] = lambda read, rebased: None
    followed: Callable[[], None] = lambda: None
    sequence: int = 0
    watch: Watch = field(default_factory=Watch)

    def __post_init__(self) -> None:
        self.state = State(begin(self.clock, self.rules, self.backfill_since, self.clock - max(0, self.lead)))
        self.disk = Disk(self.state)

    # -- reading

    @property
    def now(self) -> int:
        return agenda.present(self.state.progress, self.clock)

    @property
    def safe_now(self) -> int:
        """What cannot be undone goes by the slower of both clocks."""
        return min(self.now, self.clock - max(0, self.lead))

    def follow_clock(self) -> None:
        """Follow a clock that was set back."""
        if agenda.steps_back(self.state.progress, self.clock):
            self.commit(set_back(self.state, self.clock))
            self.followed()

    def read(self, span: Span) -> Read:
        """One snapshot of the log: by minutes, and by quarters where these are asked for and can be."""
        self.sequence += 1
        width = min(self.width, agenda.read_width(self.state.progress, span, self.now, self.rules))
        read = self.log.read(span, self.now, self.classes, self.sequence, width=width)
        read = replace(read, safe_now=self.safe_now)
        return self.without_old_users(read) if self.width == QUARTER else read

    def without_old_users(self, read: Read) -> Read:
        """The read without what it need not bring."""
        since = day_start(first_user_day(read.irrevocable, self.rules.zone), self.rules.zone)
        minutes = {at: replace(part, users=part.users if at >= since else {}) for at, part in read.minutes.items()}
        return replace(read, minutes=minutes)

    def plan(self, read: Read) -> Changes:
        """What a read would change."""
        stored = {q: self.disk.slice_users.get(q, {}) for q in quarters_within(self.state, read.span)}
        return advance(self.state, read, self.rules, stored)

    def commit(self, changes: Changes) -> None:
        """Durable first, then known."""
        self.disk.commit(changes)
        self.state.apply(changes)

    def take(self, read: Read) -> None:
        """Plan, commit and apply."""
        self.commit(self.plan(read))
        self.applied(read, False)

    # -- the three kinds of work

    def scrape(self) -> dict[Series, Aggregate]:
        """Catch up where there is a gap, read the open window, and expose."""
        self.follow_clock()
        while (span := agenda.catch_up(self.state, self.clock, self.chunk)) is not None:
            self.take(self.read(span))
        self.front()
        return self.counters()

    def front(self) -> None:
        """Read the open window."""
        span = agenda.front(self.state, self.clock, self.rules)
        assert span is not None
        self.take(self.read(span))

    def next_work(self) -> Span | None:
        """What the background worker would read next."""
        return agenda.next_merge(self.state, self.chunk) or agenda.next_reread(
            self.state, self.clock, self.rules, self.chunk, self.safe_now
        )

    def work(self) -> None:
        """Everything the background worker has to do now."""
        for _ in range(10_000):
            if (span := self.next_work()) is None:
                return
            self.take(self.read(span))
        raise AssertionError(f"the worker never gets done: {span}")

    # -- late rows

    def sums(self, span: Span) -> Sums:
        """What a probe brings of a span: plain sums over its rows."""
        rows = [self.classes.aggregate(row) for row in self.log.within(span)]
        return held_sums(Slice(span.lo, span.hi - span.lo, {Series("any", "any"): Cell(current=total(rows))}))

    def look(self) -> None:
        """One round of probes; what differs is left to `reread_suspects`."""
        self.sequence += 1
        asked = probing.next_round(self.watch, self.state, self.now)
        found = {span: self.sums(span) for span in (*asked.recent, *asked.older)}
        self.watch = probing.judge(self.watch, asked, self.state.slices, found, self.sequence)

    def reread_suspects(self) -> list[Span]:
        """Read again whatever differs; returns what was read."""
        spans: list[Span] = []
        while (span := probing.next_span(self.watch, self.state.slices, self.chunk)) is not None:
            self.take(self.read(span))
            self.watch = probing.settle(self.watch, self.state.slices, span)
            spans.append(span)
        return spans

    def find_late_rows(self) -> list[Span]:
        """A round over all slices, and what follows from it."""
        self.follow_clock()
        self.watch = replace(self.watch, whole=True)
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
        self.rules = replace(self.rules, **changed)  # type: ignore[arg-type]
        self.state = self.disk.load()
        self.watch = Watch()
        self.commit(Changes(admitted=dict(view.rebirths(self.state, self.rules))))

    def reconfigure(self, classes: Classes | None = None, **changed: object) -> None:
        """A new process with a changed configuration: one snapshot is counted as before, then taken up as new."""
        self.restart()
        while (gap := agenda.catch_up(self.state, self.clock, self.chunk)) is not None:
            self.take(self.read(gap))
        rules = replace(self.rules, **changed)  # type: ignore[arg-type]
        lo = rebase_span(self.state, rules).lo
        self.take(self.read(Span(self.state.progress.folded, max(self.now + 1, self.state.progress.position))))
        self.rules, self.classes = rules, classes or self.classes
        read = self.read(Span(lo, self.state.progress.position))
        self.commit(rebase(self.state, read, rules))
        self.applied(read, True)

    # -- what is seen

    def counters(self) -> dict[Series, Aggregate]:
        """As exposed."""
        return view.counters(self.state)

    def count(self, figure: int, series: Series | None = None) -> int:
        """A counter as it will be exposed once zeros have been held, of one series or of all."""
        totals = self.state.totals
        return sum(total[figure] for key, total in totals.items() if series in (None, key))

    def quarter(self, start: int) -> Slice:
        """The merged slice that begins here."""
        item = self.state.slices[start]
        assert item.width == QUARTER
        return item


def started(log: Log, clock: int = START, **settings: Any) -> Exporter:
    """An exporter whose first reading is done: what the log holds is known and not counted."""
    exporter = Exporter(log, clock, **settings)
    exporter.scrape()
    exporter.work()
    return exporter


def same(left: State, right: State) -> list[str]:
    """The parts in which two states differ."""
    return [f.name for f in fields(State) if getattr(left, f.name) != getattr(right, f.name)]
