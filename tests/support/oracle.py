"""What must hold, by brute force: sums over the rows that were read, found without any slice, mark or merge."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime

from exporter.catalog import SECOND
from exporter.figures import AT_MERGE, DURATIONS, Figure
from exporter.ledger import aggregate as figures
from exporter.ledger import exposed
from exporter.ledger.aggregate import ZERO, Aggregate, add, net, subtract
from exporter.ledger.model import OTHER, PUT_OFF, UNATTRIBUTED, Phase, Series, SpanRead, State, TimeRange
from exporter.ledger.shadow import Reclassification
from exporter.ledger.slices import taken_back
from tests.support.ledger_driver import Exporter, same
from tests.support.model_log import Classes, Row

EXACT = [f for f in range(figures.WIDTH) if f not in (*AT_MERGE, Figure.FALLBACKS)]
"""The figures of a counter that are those of the rows; the others depend on when a call was counted."""


@dataclass(frozen=True)
class Seen:
    """A row as it was read, under the labels it is kept by."""

    row: Row
    at: int
    series: Series
    figures: Aggregate
    cost: int
    group: str | None


@dataclass
class Oracle:
    """Follows an exporter from its first read on; every `check_` raises where it does what it must not.

    `counted` holds, by id, the rows as last read in slices that were not folded then; `shown` those that gauges show.
    `known` is what the counters leave out. `shadow` are the rows as changed settings have them that are being taken up,
    `read` all that was ever read by settings that were in force. `not_judged` are rows whose minute was not merged when
    the settings changed: whether they are unpriced is decided later, by the new settings.
    """

    exporter: Exporter
    counted: dict[int, Seen] = field(default_factory=dict)
    shown: dict[int, Seen] = field(default_factory=dict)
    known: dict[Series, Aggregate] = field(default_factory=dict)
    offset: dict[Series, Aggregate] = field(default_factory=dict)
    exposed: dict[Series, Aggregate] = field(default_factory=dict)
    zero_since: dict[Series, int] = field(default_factory=dict)
    shown_for: dict[Series, int] = field(default_factory=dict)
    free: set[Series] = field(default_factory=set)
    versions: set[tuple[Row, int]] = field(default_factory=set)
    not_judged: set[tuple[Row, int]] = field(default_factory=set)
    epochs: list[Classes] = field(default_factory=list)
    known_rows: list[Seen] = field(default_factory=list)
    shadow: dict[int, Seen] = field(default_factory=dict)
    read: set[Row] = field(default_factory=set)
    first: frozenset[Series] | None = None
    running: bool = False
    changed: bool = False
    moved: bool = False

    def __post_init__(self) -> None:
        self.exporter.applied = self.applied
        self.exporter.followed = self.followed
        self.exporter.converted = self.converted
        self.exporter.switched = self.switched
        self.exporter.dropped = self.dropped
        self.compacted, self.untouched = self.exporter.state.progress.compacted, 0
        self.epochs.append(self.exporter.classes)

    # -- following

    def applied(self, read: SpanRead, _: bool) -> None:
        """A read was taken over: from now on its rows are what is known of its span."""
        state = self.exporter.state
        lo = max(self.compacted, self.untouched)
        rows = [self._seen(row, self.exporter.classes) for row in self._within(read.span)]
        self.read.update(seen.row for seen in rows)
        for kept in (self.counted, self.shown):
            for key in [key for key, seen in kept.items() if max(lo, read.span.lo) <= seen.at < read.span.hi]:
                del kept[key]
            kept.update((seen.row.id, seen) for seen in rows if seen.at >= lo)
        if not self.running:
            since = state.progress.count_from
            self.known_rows = [seen for seen in self.counted.values() if seen.at < since]
            self.known = self._sum(self.known_rows)
            self.running = state.progress.phase == Phase.RUNNING
            if self.running:
                known = {seen.row for seen in self.known_rows}
                self.versions = {(row, epoch) for row, epoch in self.versions if row not in known}
                self.first = frozenset(state.admitted)
        if read.span.hi > read.now:
            # the open window was committed: from now on scrapers see the zero of a new series
            for series in state.admitted:
                self.zero_since.setdefault(series, state.progress.now)
        self.compacted, self.untouched = state.progress.compacted, state.progress.converted

    def converted(self, rows: list[Row], classes: Classes) -> None:
        """Rows were taken into the shadow: all that are not past the horizon are counted, as they are."""
        self.untouched = self.exporter.state.progress.converted
        for row in rows:
            assert row.id not in self.shadow, f"{row} is converted twice"
            self.shadow[row.id] = self._seen(row, classes)
            at = self.exporter.classes.at(row)
            if self.exporter.wanted is not None and self.exporter.knows_old and at >= self.compacted:
                assert self.counted[row.id].row == row, f"{row} is taken as counted and is not"

    def dropped(self) -> None:
        """What was converted is nothing any more."""
        self.shadow, self.untouched = {}, 0

    def switched(self, before: State, going: Reclassification | None) -> None:
        """Changed settings are in force: counters as `_check_totals` wants, and what was converted is known."""
        state = self.exporter.state
        if going is not None:
            self._check_totals(before.totals, moved=going.moved)
        self.changed, self.moved = True, self.moved or (going is not None and going.moved)
        self.epochs.append(self.exporter.classes)
        if going is None:
            self._begin_anew()
            return
        # only now it is known which series have places
        self.shadow = {key: self._seen(seen.row, self.exporter.classes) for key, seen in self.shadow.items()}
        ahead = [seen for seen in self.shadow.values() if self._is_ahead(seen, going, before)]
        if going.by_old:
            less = {series: -net(total) for series, total in self._sum(ahead).items()}
            for series in state.corrections.keys() | before.corrections.keys() | less.keys():
                rise = state.corrections.get(series, 0) - before.corrections.get(series, 0)
                assert rise == -less.get(series, 0), f"corrections of {series}"
        else:
            # which rows were counted is not known, but how much of them was: it may move to other labels
            again = self.shadow if going.moved else self.counted
            rise = sum(seen.cost for seen in again.values() if self._is_ahead(seen, going, before))
            if going.moved:
                position = state.progress.position
                left = [item for start, item in before.slices.items() if start + 60 > position]
                rise -= sum(taken_back(cell) for item in left for cell in item.cells.values())
            assert sum(state.corrections.values()) == sum(before.corrections.values()) + rise
        due = {key: seen for key, seen in self.shadow.items() if not self._is_ahead(seen, going, before)}
        self.counted = {key: seen for key, seen in due.items() if seen.at >= state.progress.compacted}
        self.shown = due
        self._note_new_epoch(going, ahead)
        self.dropped()
        self.compacted = state.progress.compacted
        self._measure_offset()

    def overtaken(self, read: SpanRead, rows: list[Row], newer: TimeRange) -> None:
        """A read was taken over after one that is newer: it counts only for what that one did not cover."""
        lo = max(self.compacted, self.untouched)
        seen_rows = [self._seen(row, self.exporter.classes) for row in rows]
        old = [seen for seen in seen_rows if lo <= seen.at < newer.lo]
        self.read.update(seen.row for seen in old)
        for kept in (self.counted, self.shown):
            for key in [k for k, s in kept.items() if max(lo, read.span.lo) <= s.at < read.span.hi]:
                if kept[key].at < newer.lo:
                    del kept[key]
            kept.update((seen.row.id, seen) for seen in old)
        self.compacted = self.exporter.state.progress.compacted

    def note(self, row: Row) -> None:
        """A row was written, for the first time or again."""
        self.versions.add((row, len(self.epochs) - 1))

    def tell_free(self) -> None:
        """Note which series have shown their zero for long enough: no later change of the rules takes that back."""
        now, hold = self.exporter.state.progress.now, self.exporter.settings.zero_hold
        self.free.update(s for s, at in self.zero_since.items() if now - at + self.shown_for.get(s, 0) >= hold)

    def followed(self) -> None:
        """The clock was set back: a zero cannot have been shown since a moment that is still to come."""
        now = self.exporter.state.progress.now
        self.zero_since = {series: min(at, now) for series, at in self.zero_since.items()}

    def restarted(self) -> None:
        """Zeros that were not shown for long enough are shown anew, less the time for which they were."""
        now, hold = self.exporter.state.progress.now, self.exporter.settings.zero_hold
        for series in self.zero_since.keys() - self.free:
            lasted = max(now - self.zero_since.pop(series), hold // 4)
            self.shown_for[series] = self.shown_for.get(series, 0) + lasted

    def forgotten(self, series: Series) -> None:
        """A series has ended: what is known of its rows lies under `OTHER`, whose counters have not moved."""
        assert series not in self.counter_sums()
        for kept in (self.counted, self.shown):
            kept.update({key: replace(s, series=OTHER) for key, s in kept.items() if s.series == series})
        self.known_rows = [replace(s, series=OTHER) if s.series == series else s for s in self.known_rows]
        self.known = self._sum(self.known_rows)
        for part in (self.exposed, self.zero_since, self.shown_for):
            part.pop(series, None)
        self.free.discard(series)
        self.changed = True
        self._measure_offset()

    def counter_sums(self) -> dict[Series, Aggregate]:
        """Counters less corrections."""
        state = self.exporter.state
        return {
            series: _less_cost(state.totals.get(series, ZERO), state.corrections.get(series, 0))
            for series in state.admitted
        }

    # -- checking

    def check(self) -> None:
        """Everything that holds after every step."""
        self.tell_free()
        self.check_shape()
        self.check_money()
        self.check_days()
        self.check_histograms()
        self.check_counted_once()

    def expose(self) -> None:
        """A scrape is answered: nothing falls or disappears, and new series begin at 0 for as long as they must."""
        counters = self.exporter.counters()
        self.tell_free()
        for series, before in self.exposed.items():
            assert series in counters, f"{series} is gone"
            falls = [f for f in range(figures.WIDTH) if counters[series][f] < before[f]]
            assert not falls, f"{series}: figures {falls} fall"
        for series, total in counters.items():
            was = self.exposed.get(series)
            if any(total) and not any(was or ()) and series not in (self.first or ()):
                assert series in self.free, f"{series} rose before its zero was seen"
        self.exposed = counters or self.exposed

    def check_shape(self) -> None:
        """Quarters up to `merged`, minutes up to `position`, nothing else; and all of it is on disk."""
        state, progress = self.exporter.state, self.exporter.state.progress
        assert progress.compacted <= progress.merged <= progress.closed <= progress.position
        quarters = dict.fromkeys(range(progress.compacted, progress.merged, 900), 900)
        minutes = dict.fromkeys(range(progress.merged, progress.position, 60), 60)
        due = {start: item.width for start, item in state.slices.items() if start < progress.position}
        assert due == quarters | minutes
        assert not any(
            any(cell.current)
            for start, item in state.slices.items()
            if start not in due
            for cell in item.cells.values()
        )
        for item in state.slices.values():
            assert item.width == 60 or not item.users
            for cell in item.cells.values():
                assert all(
                    m >= c for f, (c, m) in enumerate(zip(cell.current, cell.high_water, strict=True)) if f in EXACT
                )
        stored = self.exporter.disk.load()
        assert same(stored, state) == []

    def check_money(self) -> None:
        """Costs less refunds and corrections are the sum of the rows as last read, less what was known at the start."""
        expected = self.expected()
        found = self.counter_sums()
        for series in {*expected, *found}:
            assert net(found.get(series, ZERO)) == net(expected.get(series, ZERO)), f"spend of {series}"
        # a refund that goes gives money back, also one that was known at the start and is not due by other times
        rows = {row for row, _ in self.versions} | {seen.row for seen in self.known_rows}
        if not any(row.refund for row in rows):
            assert all(units >= 0 for units in self.exporter.state.corrections.values())

    def check_exact(self) -> None:
        """Where nothing was lowered, the counters alone are that sum, in every figure."""
        expected, totals = self.expected(), self.exporter.state.totals
        for series in {*expected, *totals}:
            left, right = totals.get(series, ZERO), expected.get(series, ZERO)
            assert [left[f] for f in EXACT] == [right[f] for f in EXACT], f"figures of {series}"
        assert not any(self.exporter.state.corrections.values())

    def check_at_merge(self) -> None:
        """What waits for the merge is counted when a quarter is merged; for rows that only ever rose, and no change."""
        merged = self.exporter.state.progress.merged
        for figure in AT_MERGE:
            wanted = sum(s.figures[figure] for s in self.counted.values() if s.at < merged)
            wanted -= sum(s.figures[figure] for s in self.known_rows if s.at < merged)
            assert self.exporter.count(figure) == wanted, figure.name

    def check_days(self) -> None:
        """Spend of the day and of the month, by series, user and group, is that of the rows as last read."""
        state, settings = self.exporter.state, self.exporter.settings
        today = self._date(state.progress.now)
        day: dict[Series, int] = {}
        month: dict[Series, int] = {}
        users: dict[str, int] = {}
        groups: dict[str, int] = {}
        for seen in self.shown.values():
            when, user = self._date(seen.at), seen.row.user or UNATTRIBUTED
            if (when.year, when.month) == (today.year, today.month):
                month[seen.series] = month.get(seen.series, 0) + seen.cost
            if when == today:
                day[seen.series] = day.get(seen.series, 0) + seen.cost
                users[user] = users.get(user, 0) + seen.cost
                if seen.group is not None:
                    groups[seen.group] = groups.get(seen.group, 0) + seen.cost
        assert _some(exposed.spend_today(state, settings)) == _some(day)
        assert _some(exposed.spend_month(state, settings)) == _some(month)
        assert _some(exposed.user_spend_today(state, settings)) == _some(users)
        assert _some(exposed.group_spend_today(state, settings)) == _some(groups)

    def check_histograms(self) -> None:
        """Counts are never below 0 and sums lie within the edges of their buckets; a fallback is a call."""
        for total in self.exporter.state.totals.values():
            assert min(total) >= 0
            assert total[Figure.FALLBACKS] <= total[Figure.CALLS]
            if self.changed or any(self.known.values()):
                continue
            for role, metric in DURATIONS.items():
                edges = [0, *(int(edge * SECOND) for edge in metric.edges), 10**18]
                counts, sums = (total[part] for part in figures.HISTOGRAMS[role])
                for count, amount, low, high in zip(counts, sums, edges, edges[1:], strict=False):
                    assert low * count <= amount <= high * count

    def check_counted_once(self) -> None:
        """No counter is above the sum of all rows that ever were, each version of a row taken once."""
        ever, failing = ZERO, set()
        for row, epoch in self.versions:
            aggregate = self.epochs[epoch].aggregate(row)
            ever = add(ever, aggregate)
            if any(aggregate[figures.FAILURES]):
                failing.add((row.id, self.epochs[epoch].series(row)))
        for figure in EXACT:
            assert self.exporter.count(figure) <= ever[figure], f"figure {figure} counted twice"
        # a failure whose class changes is the same failure
        assert sum(sum(each[figures.FAILURES]) for each in self.exporter.state.totals.values()) <= len(failing)
        for figure in AT_MERGE:
            most = sum(self.epochs[epoch].aggregate(row)[figure] for row, epoch in self.versions | self.not_judged)
            if self.moved:
                # what was known of these cannot be told apart from the rest once times have changed
                most += sum(seen.figures[figure] for seen in self.known_rows)
            assert self.exporter.count(figure) <= most, figure.name

    def check_read(self, since: int) -> None:
        """Every row from `since` on was read as it is now, and no other row is remembered."""
        progress = self.exporter.state.progress
        at = self.exporter.classes.at
        rows = {row.id: row for row in self.exporter.log.rows.values() if since <= at(row) < progress.position}
        assert {key: seen.row for key, seen in self.counted.items() if seen.at >= since} == rows

    def expected(self) -> dict[Series, Aggregate]:
        """The rows as last read, less what the counters leave out."""
        result = self._sum(self.counted.values())
        for part in (self.known, self.offset):
            for series, aggregate in part.items():
                result[series] = subtract(result.get(series, ZERO), aggregate)
        return result

    # -- inside

    def _within(self, span: TimeRange) -> list[Row]:
        return self.exporter.log.within(span, self.exporter.classes)

    def _seen(self, row: Row, classes: Classes) -> Seen:
        series = classes.series(row)
        admission = self.exporter.state.admitted.get(series)
        at = classes.at(row)
        place = OTHER if admission is None or at < admission.since else series
        return Seen(row, at, place, classes.aggregate(row), classes.spend(row), classes.group(row))

    def _sum(self, seen: object) -> dict[Series, Aggregate]:
        result: dict[Series, Aggregate] = {}
        for item in seen:  # type: ignore[attr-defined]
            result[item.series] = add(result.get(item.series, ZERO), item.figures)
        return result

    def _check_totals(self, before: dict[Series, Aggregate], *, moved: bool) -> None:
        """No counter has moved, but for what waited for its merge: past the horizon, there is none."""
        for series in before.keys() | self.exporter.state.totals.keys():
            was, now = (totals.get(series, ZERO) for totals in (before, self.exporter.state.totals))
            rising = {figure for figure, (low, high) in enumerate(zip(was, now, strict=True)) if low != high}
            assert rising <= (set(AT_MERGE) if moved else set()), f"{series} moves"
            assert all(now[figure] > was[figure] for figure in rising), f"{series} falls"

    def _is_ahead(self, seen: Seen, going: Reclassification, before: State) -> bool:
        """Whether a row was counted by an earlier time, and is not due."""
        start, position = seen.at - seen.at % 60, self.exporter.state.progress.position
        if start + 60 <= position:
            return False
        old = before.slices.get(start)
        return going.moved or start >= position or (old is not None and old.stage == PUT_OFF)

    def _begin_anew(self) -> None:
        """The first reading begins again: nothing was shown yet."""
        self.counted, self.shown, self.known, self.known_rows = {}, {}, {}, []
        self.versions = {(row, len(self.epochs) - 1) for row, _ in self.versions}
        self.compacted = self.exporter.state.progress.compacted

    def _note_new_epoch(self, going: Reclassification, ahead: list[Seen]) -> None:
        """From now on rows that were not read by the old settings count by the new ones."""
        before, now = len(self.epochs) - 2, len(self.epochs) - 1
        merged, known = self.exporter.state.progress.merged, {seen.row for seen in self.shadow.values()}
        blind = not going.by_old
        if blind and not going.moved:
            # what lies ahead is counted when it is due, unless it was before
            known -= {seen.row for seen in ahead if seen.row not in self.read}
        for row in self.exporter.log.rows.values():
            if row not in known and row not in self.read:
                self.versions.discard((row, before))
                self.versions.add((row, now))
        for seen in self.shadow.values():
            unmerged = seen.at >= merged or self.epochs[before].at(seen.row) >= going.done
            if unmerged or (blind and going.moved):
                self.not_judged.add((seen.row, now))

    def _measure_offset(self) -> None:
        """What the counters leave out, or have beside the rows, from here on."""
        self.offset = {}
        expected, found = self.expected(), self.counter_sums()
        self.offset = {s: subtract(expected.get(s, ZERO), found.get(s, ZERO)) for s in {*expected, *found}}

    def _date(self, instant: int) -> date:
        return datetime.fromtimestamp(instant, self.exporter.settings.zone).date()


def _less_cost(total: Aggregate, units: int) -> Aggregate:
    return (*total[: Figure.COST], total[Figure.COST] - units, *total[Figure.COST + 1 :])


def _some(spend: object) -> dict[object, int]:
    return {key: units for key, units in spend.items() if units}  # type: ignore[attr-defined]
