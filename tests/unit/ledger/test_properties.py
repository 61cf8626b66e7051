"""The ledger against brute force: a log that does whatever logs do, an exporter that does whatever processes do."""

import os
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from exporter.catalog import SECOND, USD
from exporter.figures import AT_MERGE, Figure
from exporter.ledger import probing, schedule
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import OTHER, LedgerSettings
from exporter.ledger.probing import held_sums
from tests.support.ledger_driver import Exporter
from tests.support.model_log import UNLISTED, Classes, Log, Row
from tests.support.oracle import Oracle
from tests.support.thorough import examples

pytestmark = pytest.mark.slow

PHASES = [phase for phase in Phase if phase is not Phase.shrink or not os.environ.get("LEDGER_NO_SHRINK")]
"""An example is long, and shrinking it may take minutes: without, a failure is told at once."""

HOUR = 3600
DAY = 24 * HOUR

ENDED = ("status", "cost", "latency", "first_token", "refund", "tokens", "error")
"""The columns that are written when a call ends."""


UNSET = {"latency": None, "first_token": None, "refund": 0, "error": "other"}


@dataclass(frozen=True)
class Opening:
    """Where an example begins: a moment near some edge of the calendar."""

    clock: int
    zone: str


OPENINGS = (
    Opening(1793505600 + 4 * HOUR - 200, "America/New_York"),  # the last minutes of October, before a day of 25 hours
    Opening(1793505600 + 5 * HOUR, "America/New_York"),  # within that day
    Opening(1772928000 + 6 * HOUR, "America/New_York"),  # just before a day of 23 hours, a week into March
    Opening(1775001600 - 6 * HOUR + 120, "Asia/Kathmandu"),  # the end of a month, at an odd quarter-hour
    Opening(1791040000, "Australia/Lord_Howe"),  # clocks move by half an hour
    Opening(1772323200 + 1000, "UTC"),  # the first quarter-hours of March
)

moments = st.one_of(st.integers(0, 200), st.integers(0, 1500), st.integers(0, 2 * HOUR), st.integers(0, 8 * HOUR))
lengths = st.sampled_from([900, 1800, HOUR, 6 * HOUR, DAY])
columns = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(["chat", "mail", "plan"]),
        "model": st.sampled_from(["m1", "m2", "m3"]),
        "user": st.sampled_from([None, "ann", "bob"]),
        "group": st.sampled_from([None, "ann", "red"]),
        "status": st.sampled_from(["success", "success", "failed", "timeout", "odd"]),
        "cost": st.sampled_from([1, 10, USD, None, 0, -5]),
        "tokens": st.sampled_from([0, 7]),
        "latency": st.sampled_from([None, 0, SECOND // 20, SECOND // 20 + 1, 2 * SECOND, 61 * SECOND, 500 * SECOND]),
        "first_token": st.sampled_from([None, 0, SECOND // 10, SECOND // 10 + 1, 2 * SECOND, 31 * SECOND]),
        "refund": st.sampled_from([0, 0, 3]),
        "error": st.sampled_from(["rate_limit", "other"]),
    }
)
classes = st.builds(
    Classes,
    names=st.sampled_from([{}, {"m1": "m2"}, {"m1": "new"}]),
    free=st.sampled_from([frozenset[str](), frozenset({"m1"})]),
    timeout=st.sampled_from([60, 600]),
    groups=st.sampled_from([{}, None, {"red": "blue"}]),
    shift=st.sampled_from([0, 0, 0, HOUR, -HOUR, 9 * HOUR + 900, -5 * HOUR]),
)


class Ledger(RuleBasedStateMachine):
    """Any order of events. In a `gentle` example no row is lowered for good, so that counters must be exact."""

    rows: Bundle[Row] = Bundle("rows")
    gone: Bundle[Row] = Bundle("gone")

    @initialize(
        opening=st.sampled_from(OPENINGS),
        horizon=st.sampled_from([9900, 3 * HOUR, 6 * HOUR]),
        window=st.sampled_from([60, 180, 660]),
        max_series=st.sampled_from([0, 2, 4, 50]),
        ample=st.sampled_from([None, None, 0, 2]),
        hold=st.sampled_from([0, 60, 600]),
        back=st.none() | st.integers(0, 5 * DAY),
        history=st.lists(st.tuples(st.integers(0, 9 * HOUR), columns), max_size=4),
        gentle=st.booleans(),
        ready=st.booleans(),
        width=st.sampled_from([60, 900, DAY]),
    )
    def open(
        self,
        opening: Opening,
        horizon: int,
        window: int,
        max_series: int,
        hold: int,
        back: int | None,
        history: list[tuple[int, dict[str, Any]]],
        gentle: bool,
        ready: bool,
        ample: int | None = None,
        width: int = 60,
    ) -> None:
        self.log = Log()
        ledger_settings = LedgerSettings(window, horizon, max_series, hold, ZoneInfo(opening.zone), ample)
        since = None if back is None else opening.clock - back
        self.exporter = Exporter(self.log, opening.clock, ledger_settings, backfill_since=since, chunk=DAY, width=width)
        self.oracle = Oracle(self.exporter)
        self.most_series = max_series
        self.gentle, self.lowered, self.late_price = gentle, False, False
        self.missing: set[int] = set()
        for age, values in history:
            self.oracle.note(self.log.insert(opening.clock - age, **values))
        if ready:
            self.exporter.scrape()
            self.oracle.expose()

    # -- the log

    def write(self, at: int, values: dict[str, Any]) -> Row:
        row = self.log.insert(at, **values)
        self.oracle.note(row)
        return row

    @rule(target=rows, batch=st.lists(st.tuples(moments, columns), min_size=1, max_size=4))
    def insert(self, batch: list[tuple[int, dict[str, Any]]]) -> Any:
        return multiple(*[self.write(self.exporter.clock - age, values) for age, values in batch])

    @rule(target=rows, ahead=st.integers(1, 2 * HOUR), values=columns)
    def insert_ahead(self, ahead: int, values: dict[str, Any]) -> Row:
        return self.write(self.exporter.clock + ahead, values)

    @rule(target=rows, age=moments, values=columns, status=st.sampled_from(["pending", "running"]))
    def begin_call(self, age: int, values: dict[str, Any], status: str) -> Row:
        unset = {"status": status, "cost": None, "latency": None, "first_token": None, "refund": 0, "tokens": 0}
        return self.write(self.exporter.clock - age, values | unset)

    @rule(target=rows, seconds=st.integers(60, 1500), values=columns)
    def live_and_insert(self, seconds: int, values: dict[str, Any]) -> Row:
        row = self.write(self.exporter.clock, values)
        self.live(seconds)
        return row

    @rule(row=rows, values=columns)
    def end_call(self, row: Row, values: dict[str, Any]) -> None:
        found = self.log.rows.get(row.id)
        if found is not None and found.status in ("pending", "running"):
            ended = self.log.update(found, **{key: values[key] for key in ENDED})
            # a price that was set while the call ran may fall when it ends: the counter keeps the higher one
            self.lowered |= self.exporter.classes.cost(ended) < self.exporter.classes.cost(found)
            self.oracle.note(ended)

    @rule(row=rows, cost=st.integers(1, 5))
    def price(self, row: Row, cost: int) -> None:
        found = self.log.rows.get(row.id)
        if found is not None and not found.cost:
            self.late_price = True
            self.oracle.note(self.log.update(found, cost=cost))

    @precondition(lambda self: not self.gentle)
    @rule(row=rows, values=columns)
    def edit(self, row: Row, values: dict[str, Any]) -> None:
        if row.id in self.log.rows:
            self.lowered = True
            self.oracle.note(self.log.update(row, **values))

    @rule(target=gone, row=rows)
    def delete(self, row: Row) -> Any:
        if row.id not in self.log.rows:
            return multiple()
        self.missing.add(row.id)
        return self.log.delete(self.log.rows[row.id])

    @rule(row=gone)
    def bring_back(self, row: Row) -> None:
        if row.id in self.missing:
            self.missing.remove(row.id)
            self.oracle.note(self.log.put(row))
            self.lowered |= row.at < self.exporter.state.progress.compacted

    @rule(operation=st.sampled_from(["chat", "mail", "new"]), model=st.sampled_from(["m1", "m3", "unheard"]))
    def route(self, operation: str, model: str) -> None:
        self.log.routes[operation] = model

    # -- time

    @rule(seconds=st.one_of(st.integers(1, 120), st.integers(1, 40 * 60)))
    def wait(self, seconds: int) -> None:
        self.exporter.clock += seconds

    @rule(seconds=st.one_of(st.integers(300, 2 * HOUR), st.integers(300, 6 * HOUR), st.integers(HOUR, 3 * DAY)))
    def gap(self, seconds: int) -> None:
        self.exporter.clock += seconds

    @rule(seconds=st.one_of(st.integers(1, 600), st.integers(1, 5 * HOUR)))
    def step_back(self, seconds: int) -> None:
        self.exporter.clock -= seconds
        self.exporter.lead -= seconds

    @rule(seconds=st.one_of(st.integers(61, 2 * HOUR), st.integers(HOUR, DAY)))
    def leap(self, seconds: int) -> None:
        """The database's clock alone goes ahead."""
        self.exporter.clock += seconds
        self.exporter.lead += seconds

    @rule()
    def come_back(self) -> None:
        """The database's clock is right again."""
        self.exporter.clock -= self.exporter.lead
        self.exporter.lead = 0

    # -- the exporter

    def next_scrape(self) -> Any:
        exporter = self.exporter
        exporter.follow_clock()
        return exporter.gap() or schedule.front(exporter.state, exporter.clock, exporter.settings)

    @rule()
    def read_once(self) -> None:
        span = self.next_scrape()
        self.exporter.take(self.exporter.read(span))
        self.oracle.expose()

    @rule()
    def scrape(self) -> None:
        self.exporter.scrape()
        self.oracle.expose()

    @rule(seconds=st.integers(60, 2400), step=st.sampled_from([60, 150, 290]))
    def live(self, seconds: int, step: int = 150) -> None:
        """An undisturbed stretch: scrapes, with the worker in between."""
        for _ in range(0, seconds, step):
            self.exporter.clock += step
            self.exporter.scrape()
            self.oracle.expose()
            self.exporter.work()

    @rule()
    def work_once(self) -> None:
        span = self.exporter.next_work()
        if span is not None:
            self.exporter.take(self.exporter.read(span))

    @rule()
    def work(self) -> None:
        self.exporter.work()

    @rule()
    def find_late_rows(self) -> None:
        """A round of probes: what it passes over adds up to what the log holds now, and nothing is read in vain."""
        exporter = self.exporter
        exporter.find_late_rows()
        asked = probing.next_round(replace(exporter.memory, whole=True), exporter.state, exporter.now)
        for span in (*asked.recent, *asked.older):
            assert held_sums(exporter.state.slices[span.lo]) == exporter.sums(span)
        assert not exporter.memory.unresolved
        assert exporter.find_late_rows() == []

    @rule(length=lengths, width=st.sampled_from([60, 900, DAY]))
    def other_chunks(self, length: int, width: int) -> None:
        self.exporter.chunk, self.exporter.width = length, width

    @rule(
        back=st.integers(0, 3 * HOUR),
        forth=st.integers(0, 200),
        late=st.lists(st.tuples(moments, columns), max_size=2),
    )
    def slow_worker(self, back: int, forth: int, late: list[tuple[int, dict[str, Any]]]) -> None:
        """The worker's snapshot is overtaken by that of a scrape."""
        exporter = self.exporter
        span = exporter.next_work()
        if span is None or not schedule.is_current(exporter.state.progress, exporter.clock + forth):
            return
        read, rows = exporter.read(span), exporter.log.within(span, exporter.classes)
        exporter.clock += forth - back
        for age, values in late:
            # a cost that no other row has: the newer read differs from all that was known
            self.write(exporter.clock - age, values | {"cost": 1000 + len(self.oracle.versions)})
        newer = schedule.front(exporter.state, exporter.clock, exporter.settings)
        assert newer is not None
        exporter.front()
        exporter.commit(exporter.plan(read))
        self.oracle.overtaken(read, rows, newer)

    # -- trouble

    @rule(
        window=st.sampled_from([60, 180, 660]),
        horizon=st.sampled_from([9900, 3 * HOUR, 6 * HOUR]),
        hold=st.sampled_from([0, 60, 600]),
    )
    def restart(self, window: int, horizon: int, hold: int) -> None:
        self.exporter.restart(window=window, horizon=horizon, zero_hold=hold)
        self.oracle.restarted()

    @rule(background=st.booleans(), durable=st.booleans())
    def crash(self, background: bool, durable: bool) -> None:
        """Killed with a read in hand, or with changes on disk that nobody has seen."""
        exporter = self.exporter
        span = exporter.next_work() if background else self.next_scrape()
        if span is not None:
            read = exporter.read(span)
            changes = exporter.plan(read)
            if durable:
                exporter.commit(changes)
                exporter.applied(read, False)
            self.oracle.tell_free()
        exporter.restart()
        self.oracle.restarted()

    @rule(
        changed=classes,
        zone=st.sampled_from(sorted({opening.zone for opening in OPENINGS})),
        more=st.integers(-1, 3),
    )
    def configure(self, changed: Classes, zone: str, more: int) -> None:
        """A process with changed settings, which are taken up from now on: whatever happens meanwhile."""
        most = max(0, self.exporter.settings.max_series + more)
        self.most_series = max(self.most_series, most)
        self.oracle.restarted()
        self.exporter.configure(changed, zone=ZoneInfo(zone), max_series=most)

    @rule()
    def put_back(self) -> None:
        """The settings that are in force after all."""
        self.oracle.restarted()
        self.exporter.configure()

    @rule(steps=st.integers(1, 12))
    def convert(self, steps: int) -> None:
        for _ in range(steps):
            self.exporter.convert()
            self.oracle.check()

    @rule(
        changed=classes,
        zone=st.sampled_from(sorted({opening.zone for opening in OPENINGS})),
        more=st.integers(-1, 3),
        knows_old=st.booleans(),
    )
    def reconfigure(self, changed: Classes, zone: str, more: int, knows_old: bool = True) -> None:
        most = max(0, self.exporter.settings.max_series + more)
        self.most_series = max(self.most_series, most)
        self.oracle.restarted()
        self.exporter.reconfigure(changed, knows_old=knows_old, zone=ZoneInfo(zone), max_series=most)

    @rule(place=st.integers(0, 8))
    def forget(self, place: int) -> None:
        """Somebody ends one of the series while no process runs."""
        state = self.exporter.state
        series = sorted(state.admitted.keys() - {OTHER})
        if series:
            others = state.totals.get(OTHER)
            self.exporter.forget(series[place % len(series)])
            self.oracle.restarted()
            self.oracle.forgotten(series[place % len(series)])
            assert self.exporter.state.totals.get(OTHER) == others

    # -- what must hold

    @invariant()
    def every_step(self) -> None:
        self.oracle.check()
        assert len(self.exporter.state.admitted) <= self.most_series + 1
        for item in self.exporter.state.slices.values():
            for cell in item.cells.values():
                below = {
                    at for at, (now, mark) in enumerate(zip(cell.current, cell.high_water, strict=True)) if mark < now
                }
                # whoever finds a series as it was does not look at its marks, but in a quarter that is due at any age:
                # changed settings may have dated into it what no merge has counted
                waits = item.width == MINUTE or item.stage == schedule.RECHECK
                assert below <= (set(AT_MERGE) if waits else set()), f"{item.start}: {cell}"

    @rule(step=st.sampled_from([60 * 10, 60 * 25, HOUR]))
    def settle(self, step: int) -> None:
        """Time passes until everything has been read again for the last time, and nothing is left undone."""
        exporter = self.exporter
        self.come_back()
        while exporter.convert():
            pass
        exporter.scrape()
        since = exporter.state.progress.compacted
        for _ in range((exporter.settings.horizon + 2 * HOUR) // step):
            exporter.clock += step
            exporter.scrape()
            self.oracle.expose()
            exporter.work()
        self.oracle.check_read(since)
        progress = exporter.state.progress
        assert progress.now - progress.compacted < exporter.settings.horizon + 2 * 900, (
            f"slices past the horizon: {progress}"
        )
        assert progress.now - progress.merged < 2 * HOUR, f"unmerged minutes: {progress}"
        if not self.lowered and not self.missing and not self.oracle.changed:
            self.oracle.check_exact()
            if not self.late_price:
                self.oracle.check_at_merge()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=examples(60),
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
    phases=PHASES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize(("ready", "counted"), [(False, 0), (True, 2)], ids=["known at the start", "counted"])
def test_a_price_that_falls_when_its_call_ends_is_a_correction(*, ready: bool, counted: int) -> None:
    machine = Ledger()
    machine.open(OPENINGS[0], 9900, 60, 0, 0, None, [], gentle=True, ready=ready)
    # what is settled, then the last hour by the minute: the open window comes next
    machine.read_once()
    machine.read_once()
    values = {"operation": "chat", "model": "m1", "user": None, "status": "success", "cost": 1, "tokens": 0}
    row = machine.begin_call(0, values | UNSET, "pending")
    machine.price(row, 2)
    machine.read_once()
    machine.end_call(row, values | UNSET)
    machine.settle(600)
    machine.every_step()
    assert machine.exporter.count(Figure.COST) == counted
    assert sum(machine.exporter.state.corrections.values()) == 1


def test_a_call_that_new_settings_find_unpriced_before_its_merge_counts_once() -> None:
    machine = Ledger()
    machine.open(OPENINGS[0], 9900, 60, 0, 0, None, [], gentle=False, ready=False)
    machine.reconfigure(Classes(free=frozenset({"m1"})), "America/New_York", 0)
    values = {"operation": "chat", "model": "m1", "user": None, "status": "success", "cost": None, "tokens": 7}
    machine.live_and_insert(60, values | UNSET)
    machine.reconfigure(Classes(), "America/New_York", 0)
    machine.settle(600)
    machine.every_step()
    assert machine.exporter.count(Figure.UNPRICED) == 1


@pytest.mark.parametrize("shift", [-900, -HOUR, -2 * HOUR, HOUR])
@pytest.mark.parametrize("model", ["m1", UNLISTED], ids=["price known", "price unknown"])
@pytest.mark.parametrize("cost", [1, None], ids=["priced", "unpriced"])
def test_a_call_that_new_settings_date_elsewhere_before_its_merge_counts_once(
    shift: int, model: str, cost: int | None
) -> None:
    machine = Ledger()
    machine.open(OPENINGS[0], 9900, 60, 0, 0, None, [], gentle=False, ready=True)
    values = {"operation": "chat", "model": model, "user": None, "status": "success", "cost": cost, "tokens": 7}
    row = machine.begin_call(0, values | UNSET, "pending")
    machine.every_step()
    machine.edit(row, values | UNSET)
    machine.every_step()
    machine.reconfigure(Classes(shift=shift), "America/New_York", 0)
    machine.every_step()
    machine.settle(600)
    machine.every_step()
    [found] = machine.log.rows.values()
    wanted = machine.exporter.classes.aggregate(found)
    assert {f: machine.exporter.count(f) for f in AT_MERGE} == {f: wanted[f] for f in AT_MERGE}


@pytest.mark.parametrize("shift", [60, HOUR, 9 * HOUR + 900])
@pytest.mark.parametrize("cost", [None, 1, 10])
def test_a_known_refund_that_is_not_due_by_other_times_gives_its_money_back_until_it_is(
    shift: int, cost: int | None
) -> None:
    machine = Ledger()
    values = {"operation": "chat", "model": "m1", "user": "ann", "status": "success", "cost": cost, "tokens": 7}
    machine.open(OPENINGS[5], 6 * HOUR, 60, 50, 0, None, [(0, values | UNSET | {"refund": 3})], False, True)
    machine.reconfigure(Classes(shift=shift), "UTC", 0)
    machine.every_step()
    assert sum(machine.exporter.state.corrections.values()) == (cost or 0) - 3
    machine.live(shift + 60)
    machine.every_step()
    assert sum(machine.exporter.state.corrections.values()) == 0
    assert machine.exporter.count(Figure.REFUNDS) == machine.exporter.count(Figure.COST) == 0
