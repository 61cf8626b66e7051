"""Which readings of the database's clock are believed."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ledger.schedule import LARGEST_STEP
from exporter.scrape.clock import LEAP_LASTS, DatabaseClock, HostClock, Moment

START = 1_790_000_000.0
HORIZON = 48 * 3600.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
LEAPS = [61.0, 10 * MINUTE, 16 * HOUR, 3 * DAY, 400 * DAY, -61.0, -10 * MINUTE, -16 * HOUR, -3 * DAY]


@dataclass
class World:
    """A database and a host: `true` is the time, `ahead` how far the database's clock is from it, `skew` the host's."""

    ahead: float = 0.0
    skew: float = 0.0
    true: float = START
    slept: float = 0.0

    def __post_init__(self) -> None:
        self.host = HostClock(lambda: self.true - START - self.slept, lambda: self.true + self.skew)
        self.clock = DatabaseClock(self.host, HORIZON)

    def read(self, after: float = 15.0, *, skew: int | None = None, now: int | None = None) -> Moment:
        """Let time pass and take a reading."""
        self.true += after
        return self.clock.judge(self.true + self.ahead, now, skew)

    def read_for(self, seconds: float) -> list[Moment]:
        """Readings every fifteen seconds."""
        return [self.read() for _ in range(int(seconds // 15))]


@pytest.mark.parametrize("leap", LEAPS)
@pytest.mark.parametrize("skew", [0.0, -2 * DAY, 3 * HOUR])
def test_a_leap_for_one_read_is_disbelieved_and_reported(leap: float, skew: float) -> None:
    world = World(skew=skew)
    world.read_for(MINUTE)
    world.ahead = leap
    moment = world.read()
    assert moment.problem is not None
    assert ("ahead" in moment.problem) == (leap > 0)
    assert moment.now == int(world.true)
    assert world.clock.offset == pytest.approx(leap - skew)
    world.ahead = 0.0
    assert world.read() == Moment(int(world.true), int(world.read(0.0).safe_now), round(-skew))


@pytest.mark.parametrize("leap", LEAPS)
def test_a_leap_that_lasts_is_believed_after_five_minutes(leap: float) -> None:
    world = World()
    world.read_for(MINUTE)
    world.ahead = leap
    moments = world.read_for(LEAP_LASTS)
    assert all(moment.problem for moment in moments)
    moment = world.read()
    assert moment.problem is None
    assert moment.now == int(world.true + leap)
    # nothing is folded by it, for as long as rows may still change
    assert moment.safe_now <= world.true
    world.ahead = 0.0
    moment = world.read()
    assert moment.problem is None, "the host's clock confirms a clock that comes back"
    assert moment.now == int(world.true)


def test_hosts_that_take_turns_make_no_wrong_clock_believable() -> None:
    world = World()
    world.read_for(MINUTE)
    for turn in range(100):
        world.ahead = 3 * DAY if turn % 2 else 0.0
        assert world.read().now == int(world.true)


def test_a_leap_that_grows_begins_anew() -> None:
    world = World()
    world.read_for(MINUTE)
    for _ in range(50):
        world.ahead += 5 * MINUTE
        assert world.read().problem is not None


@pytest.mark.parametrize("step", [0.5, -0.5, 30.0, -30.0, 60.0, -60.0])
def test_a_small_step_is_followed_at_once(step: float) -> None:
    world = World()
    world.read_for(MINUTE)
    world.ahead = step
    moment = world.read()
    assert moment.problem is None
    assert moment.now == int(world.true + step)


@pytest.mark.parametrize("asleep", [10 * MINUTE, 9 * HOUR, 5 * DAY])
@pytest.mark.parametrize("skew", [0.0, 2 * HOUR])
def test_a_machine_that_was_suspended_finds_the_time_at_once(asleep: float, skew: float) -> None:
    world = World(skew=skew)
    world.read_for(MINUTE)
    world.slept = asleep
    moment = world.read(asleep)
    assert moment.problem is None
    assert moment.now == int(world.true)


def test_a_first_start_believes_the_database() -> None:
    world = World(ahead=-170 * DAY)
    assert world.read().problem is None


@pytest.mark.parametrize("leap", LEAPS)
def test_a_restart_beside_a_clock_that_leaps_disbelieves_it_too(leap: float) -> None:
    world = World(ahead=leap)
    known = int(world.true)
    moment = world.read(HOUR, skew=0, now=known)
    assert moment.problem is not None
    assert known <= moment.now <= world.true
    moments = world.read_for(LEAP_LASTS + 30)
    assert moments[-1].problem is None


@pytest.mark.parametrize("downtime", [0.0, HOUR, 30 * DAY])
@pytest.mark.parametrize("skew", [0, -3 * 3600, 86400])
def test_a_restart_after_any_time_believes_a_clock_that_is_right(downtime: float, skew: int) -> None:
    world = World(skew=float(-skew))
    moment = world.read(downtime, skew=skew, now=int(START))
    assert moment.problem is None
    assert moment.now == int(world.true)


def test_a_host_that_wakes_with_a_wrong_clock_goes_neither_ahead_nor_back() -> None:
    world = World(skew=-20 * 365 * DAY)
    moment = world.read(HOUR, skew=0, now=int(START))
    assert moment.problem is not None
    assert moment.now == int(START)
    assert world.read_for(LEAP_LASTS + 30)[-1].now == int(world.true)


def test_a_clock_that_stays_ahead_for_a_horizon_is_right_in_the_end() -> None:
    world = World()
    world.read_for(MINUTE)
    world.ahead = DAY
    while world.true < START + HORIZON:
        moment = world.read(HOUR / 4)
        assert moment.safe_now <= world.true
    for _ in range(8):
        moment = world.read(HOUR / 4)
    assert moment.safe_now == moment.now == int(world.true + DAY)


@given(
    leaps=st.lists(st.tuples(st.floats(0, 3600), st.floats(-(10**8), 10**8), st.floats(1, LEAP_LASTS - 1)), max_size=8)
)
def test_short_leaps_change_nothing(leaps: list[tuple[float, float, float]]) -> None:
    world = World()
    world.read()
    for before, leap, lasts in leaps:
        world.read(before)
        world.ahead = leap
        world.read(0.0)
        moment = world.read(lasts)
        assert abs(moment.now - world.true) <= LARGEST_STEP + 1
        world.ahead = 0.0
        moment = world.read(0.0)
        assert moment.problem is None
        assert moment.now == int(world.true)
        assert moment.safe_now <= world.true
