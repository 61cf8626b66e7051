"""Days of a team's calls with everything that goes wrong in a quarter of a year, told as one story.

`make soak` lets it run for 92 days; the suite for as many as `SIMULATED_DAYS` says.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from exporter.catalog import USD
from exporter.figures import Figure
from exporter.ledger import exposed
from exporter.ledger.aggregate import Aggregate
from exporter.ledger.model import LedgerSettings, Series
from exporter.scrape.clock import LEAP_LASTS, DatabaseClock, HostClock
from tests.support.ledger_driver import START, Exporter
from tests.support.model_log import Classes, Log, Row

# the tracer would triple the time
pytestmark = [pytest.mark.slow, pytest.mark.unmeasured]

DAYS = int(os.environ.get("SIMULATED_DAYS", "4"))
SEEDS = [int(seed) for seed in os.environ.get("SIMULATED_SEEDS", "1 2").split()]

MINUTE, HOUR, DAY = 60, 3600, 86400
HORIZON = 6 * HOUR
STEP = 240
"""Seconds between two scrapes."""

OPERATIONS, MODELS, USERS = ["chat", "mail", "plan"], ["m1", "m2", "m3"], ["ann", "bob", None]
ZONES = ["America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC"]


@dataclass
class Story:
    """A team's log, the exporter on it, and the clocks of both hosts.

    `ahead` is how far the database's clock is off. No row is ever lowered, so counters are the plain sum in the end.
    """

    seed: int
    ahead: int = 0
    true: int = START
    happened: Counter[str] = field(default_factory=Counter)
    waiting: list[Row] = field(default_factory=list)
    exposed: dict[Series, Aggregate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.log = Log()
        zone = ZoneInfo(ZONES[self.seed % len(ZONES)])
        settings = LedgerSettings(window=180, horizon=HORIZON, max_series=50, zero_hold=60, zone=zone)
        self.exporter = Exporter(self.log, self.true, settings, chunk=6 * HOUR)
        self.host = HostClock(lambda: float(self.true), lambda: float(self.true))
        self.clock = DatabaseClock(self.host, HORIZON)
        self.look()

    # -- the team

    def call(self, at: int) -> None:
        """A call that was made at a moment."""
        pending = self.random.random() < 0.2
        row = self.log.insert(
            at,
            operation=self.random.choice(OPERATIONS),
            model=self.random.choice(MODELS),
            user=self.random.choice(USERS),
            status="pending" if pending else self.random.choice(["success", "success", "failed", "timeout"]),
            cost=None if pending else self.random.randrange(1, USD),
            refund=self.random.choice([0, 0, 0, self.random.randrange(1, USD)]),
            tokens=self.random.randrange(1000),
            latency=self.random.randrange(1, 10**8),
            first_token=self.random.choice([None, self.random.randrange(1, 10**8)]),
        )
        if pending:
            self.waiting.append(row)

    def end_calls(self) -> None:
        """Calls end some time after they began, and get their price."""
        for row in [row for row in self.waiting if self.random.random() < 0.5]:
            self.waiting.remove(row)
            self.log.update(row, status="success", cost=self.random.randrange(1, USD))

    def traffic(self) -> None:
        """What is written within one step: mostly now, sometimes late, sometimes dated by the database's clock."""
        for _ in range(self.random.randrange(3)):
            self.call(self.true - self.random.randrange(STEP))
        if self.random.random() < 0.05:
            self.happened["late row"] += 1
            self.call(self.true - self.random.randrange(HORIZON - HOUR))
        if self.random.random() < 0.2 and self.ahead > HOUR - HORIZON:
            self.call(self.true + self.ahead)
        self.end_calls()

    # -- the exporter

    def look(self) -> None:
        """A scrape, the background reader's work, and what must hold after both."""
        exporter, known = self.exporter, self.exporter.state.progress
        moment = self.clock.judge(float(self.true + self.ahead), known.now, None)
        exporter.clock, exporter.lead = moment.now, moment.now - moment.safe_now
        counters = exporter.scrape()
        for series, before in self.exposed.items():
            assert all(now >= then for now, then in zip(counters[series], before, strict=True)), f"{series} falls"
        self.exposed = counters
        exporter.work()
        if self.random.random() < 0.1:
            exporter.find_late_rows()

    def check_spend(self) -> None:
        """Spend of the day is the plain sum of the rows of the day, once late ones have been looked for."""
        self.exporter.find_late_rows()
        zone, classes = self.exporter.settings.zone, self.exporter.classes
        today = _date(self.exporter.state.progress.now, zone)
        spent: Counter[Series] = Counter()
        for row in self.log.rows.values():
            if _date(row.at, zone) == today and row.at < self.exporter.state.progress.position:
                spent[classes.series(row)] += classes.spend(row)
        found = exposed.spend_today(self.exporter.state, self.exporter.settings)
        assert {s: units for s, units in found.items() if units} == {s: u for s, u in spent.items() if u}

    def pass_time(self, seconds: int, step: int = STEP) -> None:
        """Let the team work and the exporter look on."""
        for _ in range(0, seconds, step):
            self.true += step
            self.traffic()
            self.look()

    # -- what goes wrong

    def gap(self) -> None:
        """Nobody scrapes."""
        for _ in range(self.random.choice([2, 20, 100, 400])):
            self.true += STEP
            self.traffic()

    def restart(self) -> None:
        self.exporter.restart()
        self.clock = DatabaseClock(self.host, HORIZON)

    def crash(self) -> None:
        """Killed between the commit and what comes after it, or before it."""
        span = self.exporter.next_work()
        if span is not None and self.random.random() < 0.5:
            self.exporter.commit(self.exporter.plan(self.exporter.read(span)))
        self.restart()

    def restart_loop(self) -> None:
        for _ in range(5):
            self.pass_time(60, 30)
            self.crash()

    def change_settings(self) -> None:
        """They are taken up stretch by stretch, while the team works and processes come and go."""
        names = self.random.choice([{}, {"m1": "m2"}, {"m1": "new"}])
        free = frozenset(self.random.sample(MODELS, 1))
        self.exporter.configure(Classes(names, free, self.random.choice([60, 600])))
        self.clock = DatabaseClock(self.host, HORIZON)
        while self.exporter.convert():
            self.pass_time(STEP)
            if self.random.random() < 0.1:
                self.crash()

    def leap(self) -> None:
        """The database's clock leaps, for one read or for hours but less than the horizon, and comes back."""
        self.ahead = self.random.choice([-3 * DAY, -2 * HOUR, 10 * MINUTE, 16 * HOUR, 3 * DAY])
        self.pass_time(self.random.choice([STEP, int(LEAP_LASTS), HOUR, 5 * HOUR]))
        self.ahead = 0

    def fail_over(self) -> None:
        """To a host whose clock is wrong, and which is then set right by small steps."""
        self.ahead = self.random.choice([-300, 300])
        self.pass_time(HOUR)
        while self.ahead:
            self.ahead -= 50 if self.ahead > 0 else -50
            self.pass_time(STEP)

    def flicker(self) -> None:
        """Rows are gone for a while and come back as they were."""
        recent = [row for row in self.log.rows.values() if row.at > self.true - HOUR and row not in self.waiting]
        for row in recent[:2]:
            self.log.delete(row)
        self.pass_time(10 * MINUTE)
        for row in recent[:2]:
            self.log.put(row)

    def faults(self) -> list[Callable[[], None]]:
        return [self.gap, self.restart, self.crash, self.restart_loop, self.leap, self.fail_over, self.flicker]


def _date(instant: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(instant, zone).date()


@pytest.mark.parametrize("seed", SEEDS)
def test_days_of_faults_lose_and_double_nothing(seed: int, report_figure: Callable[[str], None]) -> None:
    story = Story(seed)
    changes = [START + DAY * DAYS * n // 10 for n in range(1, 10)]
    while story.true < START + DAYS * DAY:
        story.pass_time(story.random.choice([HOUR, 2 * HOUR, 5 * HOUR]))
        story.check_spend()
        if changes and story.true > changes[0]:
            changes.pop(0)
            story.happened["change of settings"] += 1
            story.change_settings()
        else:
            fault = story.random.choice(story.faults())
            story.happened[fault.__name__] += 1
            fault()
        story.look()
    for row in story.waiting:
        story.log.update(row, status="success", cost=USD)
    story.waiting.clear()
    # until the last row that is dated ahead is past the horizon
    end = max(row.at for row in story.log.rows.values()) + HORIZON + 2 * HOUR
    while story.true < end:
        story.true += STEP
        story.look()
    counted = story.exporter.count(Figure.COST), story.exporter.count(Figure.CALLS)
    assert counted == (sum(row.cost or 0 for row in story.log.rows.values()), len(story.log.rows))
    assert story.exporter.count(Figure.REFUNDS) == sum(row.refund for row in story.log.rows.values())
    assert not any(story.exporter.state.corrections.values())
    report_figure(f"simulated {DAYS} days, seed {seed}: {len(story.log.rows)} calls, {dict(story.happened)}")
