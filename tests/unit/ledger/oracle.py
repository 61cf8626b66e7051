"""What must hold, by brute force: sums over the rows that were read, found without any slice, mark or merge."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime

from exporter.ledger import aggregate as figures
from exporter.ledger import view
from exporter.ledger.aggregate import LATENCY_EDGES, SECOND, ZERO, Aggregate, Field, add, subtract
from exporter.ledger.model import OTHER, RUNNING, UNATTRIBUTED, Read, Series, Span
from tests.unit.ledger.driver import Exporter, same
from tests.unit.ledger.model_log import Classes, Row

EXACT = [f for f in range(figures.WIDTH) if f not in (Field.UNPRICED, Field.FALLBACKS)]
"""The figures of a counter that are those of the rows; the other two depend on when a call was counted."""


@dataclass(frozen=True)
class Seen:
    """A row as it was read, under the labels it is kept by."""

    row: Row
    series: Series
    figures: Aggregate
    cost: int


@dataclass
class Oracle:
    """Follows an exporter from its first read on; every `check_` raises where it does what it must not.

    `counted` holds, by id, the rows as last read in slices that were not folded then; `shown` those that gauges show.
    `known` is what the counters leave out. `not_judged` are rows whose minute was not merged when the settings changed:
    whether they are unpriced is decided later, by the new settings.
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
    first: frozenset[Series] | None = None
    running: bool = False
    rebased: bool = False

    def __post_init__(self) -> None:
        self.exporter.applied = self.applied
        self.exporter.followed = self.followed
        self.folded = self.exporter.state.progress.folded
        self.epochs.append(self.exporter.classes)

    # -- following

    def applied(self, read: Read, rebased: bool) -> None:
        """A read was taken over: from now on its rows are what is known of its span."""
        state = self.exporter.state
        before = self.counter_sums() if rebased else {}
        rows = [self._seen(row) for row in self.exporter.log.within(read.span)]
        for kept, lo in ((self.counted, self.folded), (self.shown, read.span.lo if rebased else self.folded)):
            for key in [key for key, seen in kept.items() if max(lo, read.span.lo) <= seen.row.at < read.span.hi]:
                del kept[key]
            kept.update((seen.row.id, seen) for seen in rows if seen.row.at >= lo)
        if not self.running:
            since = state.progress.count_from
            self.known_rows = [seen for seen in self.counted.values() if seen.row.at < since]
            self.known = self._sum(self.known_rows)
            self.running = state.progress.phase == RUNNING
            if self.running:
                known = {seen.row for seen in self.known_rows}
                self.versions = {(row, epoch) for row, epoch in self.versions if row not in known}
                self.first = frozenset(state.admitted)
        if rebased:
            self._start_epoch(before)
        elif read.span.hi > read.now:
            # the open window was committed: from now on scrapers see the zero of a new series
            for series in state.admitted:
                self.zero_since.setdefault(series, state.progress.now)
        self.folded = state.progress.folded

    def overtaken(self, read: Read, rows: list[Row], newer: Span) -> None:
        """A read was taken over after one that is newer: it counts only for what that one did not cover."""
        old = [self._seen(row) for row in rows if self.folded <= row.at < newer.lo]
        for kept in (self.counted, self.shown):
            for key in [k for k, s in kept.items() if max(self.folded, read.span.lo) <= s.row.at < read.span.hi]:
                if kept[key].row.at < newer.lo:
                    del kept[key]
            kept.update((seen.row.id, seen) for seen in old)
        self.folded = self.exporter.state.progress.folded

    def note(self, row: Row) -> None:
        """A row was written, for the first time or again."""
        self.versions.add((row, len(self.epochs) - 1))

    def tell_free(self) -> None:
        """Note which series have shown their zero for long enough: no later change of the rules takes that back."""
        now, hold = self.exporter.state.progress.now, self.exporter.rules.zero_hold
        self.free.update(s for s, at in self.zero_since.items() if now - at + self.shown_for.get(s, 0) >= hold)

    def followed(self) -> None:
        """The clock was set back: a zero cannot have been shown since a moment that is still to come."""
        now = self.exporter.state.progress.now
        self.zero_since = {series: min(at, now) for series, at in self.zero_since.items()}

    def restarted(self) -> None:
        """Zeros that were not shown for long enough are shown anew, less the time for which they were."""
        now, hold = self.exporter.state.progress.now, self.exporter.rules.zero_hold
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
        self.rebased = True
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
        assert progress.folded <= progress.merged <= progress.closed <= progress.position
        quarters = dict.fromkeys(range(progress.folded, progress.merged, 900), 900)
        minutes = dict.fromkeys(range(progress.merged, progress.position, 60), 60)
        assert {start: item.width for start, item in state.slices.items()} == quarters | minutes
        for item in state.slices.values():
            assert item.width == 60 or not item.users
            for cell in item.cells.values():
                assert all(m >= c for f, (c, m) in enumerate(zip(cell.current, cell.mark, strict=True)) if f in EXACT)
        stored = self.exporter.disk.load()
        assert same(stored, state) == []

    def check_money(self) -> None:
        """Counters less corrections are the sum of the rows as last read, less what was known at the start."""
        expected = self.expected()
        found = self.counter_sums()
        for series in {*expected, *found}:
            money = found.get(series, ZERO)[Field.COST]
            assert money == expected.get(series, ZERO)[Field.COST], f"cost of {series}"
        assert all(units >= 0 for units in self.exporter.state.corrections.values())

    def check_exact(self) -> None:
        """Where nothing was lowered, the counters alone are that sum, in every figure."""
        expected, totals = self.expected(), self.exporter.state.totals
        for series in {*expected, *totals}:
            left, right = totals.get(series, ZERO), expected.get(series, ZERO)
            assert [left[f] for f in EXACT] == [right[f] for f in EXACT], f"figures of {series}"
        assert not any(self.exporter.state.corrections.values())

    def check_unpriced(self) -> None:
        """Unpriced calls are counted when a quarter is merged; for rows that only ever rose, and no rebase."""
        merged = self.exporter.state.progress.merged
        unpriced = sum(s.figures[Field.UNPRICED] for s in self.counted.values() if s.row.at < merged)
        unpriced -= sum(s.figures[Field.UNPRICED] for s in self.known_rows if s.row.at < merged)
        assert self.exporter.count(Field.UNPRICED) == unpriced

    def check_days(self) -> None:
        """Spend of the day and of the month, by series and by user, is that of the rows as last read."""
        state, rules = self.exporter.state, self.exporter.rules
        today = self._date(state.progress.now)
        day: dict[Series, int] = {}
        month: dict[Series, int] = {}
        users: dict[str, int] = {}
        for seen in self.shown.values():
            when, user = self._date(seen.row.at), seen.row.user or UNATTRIBUTED
            if (when.year, when.month) == (today.year, today.month):
                month[seen.series] = month.get(seen.series, 0) + seen.cost
            if when == today:
                day[seen.series] = day.get(seen.series, 0) + seen.cost
                users[user] = users.get(user, 0) + seen.cost
        assert _some(view.spend_today(state, rules)) == _some(day)
        assert _some(view.spend_month(state, rules)) == _some(month)
        assert _some(view.user_spend_today(state, rules)) == _some(users)

    def check_histograms(self) -> None:
        """Counts are never below 0 and sums lie within the edges of their buckets; a fallback is a call."""
        edges = [0, *(int(edge * SECOND) for edge in LATENCY_EDGES), 10**18]
        for total in self.exporter.state.totals.values():
            assert min(total) >= 0
            assert total[Field.FALLBACKS] <= total[Field.CALLS]
            if self.rebased or any(self.known.values()):
                continue
            counts, sums = total[figures.BUCKET_COUNTS], total[figures.BUCKET_SUMS]
            for count, amount, low, high in zip(counts, sums, edges, edges[1:], strict=False):
                assert low * count <= amount <= high * count

    def check_counted_once(self) -> None:
        """No counter is above the sum of all rows that ever were, each version of a row taken once."""
        ever = ZERO
        for row, epoch in self.versions:
            ever = add(ever, self.epochs[epoch].aggregate(row))
        for figure in EXACT:
            assert self.exporter.count(figure) <= ever[figure], f"figure {figure} counted twice"
        unpriced = sum(
            self.epochs[epoch].aggregate(row)[Field.UNPRICED] for row, epoch in self.versions | self.not_judged
        )
        assert self.exporter.count(Field.UNPRICED) <= unpriced

    def check_read(self, since: int) -> None:
        """Every row from `since` on was read as it is now, and no other row is remembered."""
        progress = self.exporter.state.progress
        rows = {row.id: row for row in self.exporter.log.rows.values() if since <= row.at < progress.position}
        assert {key: seen.row for key, seen in self.counted.items() if seen.row.at >= since} == rows

    def expected(self) -> dict[Series, Aggregate]:
        """The rows as last read, less what the counters leave out."""
        result = self._sum(self.counted.values())
        for part in (self.known, self.offset):
            for series, aggregate in part.items():
                result[series] = subtract(result.get(series, ZERO), aggregate)
        return result

    # -- inside

    def _seen(self, row: Row) -> Seen:
        classes = self.exporter.classes
        series = classes.series(row)
        admission = self.exporter.state.admitted.get(series)
        place = OTHER if admission is None or row.at < admission.since else series
        return Seen(row, place, classes.aggregate(row), classes.cost(row))

    def _sum(self, seen: object) -> dict[Series, Aggregate]:
        result: dict[Series, Aggregate] = {}
        for item in seen:  # type: ignore[attr-defined]
            result[item.series] = add(result.get(item.series, ZERO), item.figures)
        return result

    def _start_epoch(self, before: dict[Series, Aggregate]) -> None:
        assert all(self.counter_sums()[series] == sums for series, sums in before.items()), "a rebase moved a counter"
        self.rebased = True
        self.epochs.append(self.exporter.classes)
        progress = self.exporter.state.progress
        for row in self.exporter.log.rows.values():
            if row.at >= progress.position:
                self.note(row)
            elif row.at >= progress.merged:
                self.not_judged.add((row, len(self.epochs) - 1))
        self._measure_offset()

    def _measure_offset(self) -> None:
        """What the counters leave out, or have beside the rows, from here on."""
        self.offset = {}
        expected, found = self.expected(), self.counter_sums()
        self.offset = {s: subtract(expected.get(s, ZERO), found.get(s, ZERO)) for s in {*expected, *found}}

    def _date(self, instant: int) -> date:
        return datetime.fromtimestamp(instant, self.exporter.rules.zone).date()


def _less_cost(total: Aggregate, units: int) -> Aggregate:
    return (*total[: Field.COST], total[Field.COST] - units, *total[Field.COST + 1 :])


def _some(spend: object) -> dict[object, int]:
    return {key: units for key, units in spend.items() if units}  # type: ignore[attr-defined]
