"""How far a standby is behind, by what it says of itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.database.replication import PRIMARY, UNKNOWN, Positions, ReplayTracker, Replication

DAY = 86400.0


def at(
    received: int | None, replayed: int | None, committed: float | None = None, receiver: int | None = 7, **more: bool
) -> Positions:
    return Positions(received, replayed, committed, receiver, **more)


def test_an_idle_primary_is_no_lag_however_old_the_last_transaction_is() -> None:
    tracker = ReplayTracker()
    for hour in range(10):
        assert tracker.judge(DAY + hour * 3600, at(500, 500, DAY - 3600)) == Replication(True, 0.0)


@pytest.mark.parametrize("replayed", [500, 501, 900])
def test_what_is_replayed_beyond_what_was_received_is_from_an_archive(replayed: int) -> None:
    assert ReplayTracker().judge(DAY, at(500, replayed)).lag == 0


def test_a_standby_that_is_paused_is_complete_up_to_when_it_had_received_no_more() -> None:
    tracker = ReplayTracker()
    tracker.judge(1000, at(500, 500, 900))
    # nothing to replay is nothing behind, paused or not
    assert tracker.judge(1010, at(500, 500, 900, paused=True)).lag == 0
    for later in (20, 200, 2000):
        behind = tracker.judge(1010 + later, at(500 + later, 500, 900, paused=True))
        assert behind == Replication(True, later, 1010, "paused")
    # half of it is replayed
    assert tracker.judge(4000, at(3000, 750, 905)) == Replication(True, 4000 - 1210, 1210, "behind")
    assert tracker.judge(4001, at(3000, 3000, 3999)).lag == 0


def test_the_last_replayed_commit_counts_where_it_is_newer() -> None:
    tracker = ReplayTracker()
    tracker.judge(1000, at(500, 500))
    assert tracker.judge(1300, at(900, 800, 1290.5)) == Replication(True, 9.5, 1290.5, "behind")
    # a primary whose clock is ahead
    assert tracker.judge(1301, at(900, 800, 1400)) == Replication(True, 0, 1301, "behind")


def test_a_standby_that_receives_nothing_lags_by_the_time_since_it_did() -> None:
    tracker = ReplayTracker()
    tracker.judge(1000, at(500, 500, 400))
    assert tracker.judge(1090, at(500, 500, 400, receiver=None)) == Replication(True, 90, 1000, "cut off")
    assert tracker.judge(1100, at(500, 500, 400, receiver=8)).lag == 0


def test_a_standby_that_is_fed_from_an_archive_lags_by_its_last_commit() -> None:
    tracker = ReplayTracker()
    assert tracker.judge(1000, at(None, 500, 940, receiver=None)) == Replication(True, 60, 940, "cut off")
    assert tracker.judge(1100, at(None, 900, 1090, receiver=None)).lag == 10


def test_a_standby_that_was_just_started_is_behind_until_it_has_replayed_something() -> None:
    found = ReplayTracker().judge(1000, at(900, 500))
    assert found.lag == math.inf
    problem = found.problem(60)
    assert problem is not None
    assert "replayed nothing" in problem[0]


def test_another_standby_behind_the_same_name_that_has_received_less_is_behind() -> None:
    tracker = ReplayTracker()
    tracker.judge(1000, at(500, 500))
    tracker.judge(1010, at(800, 800))
    assert tracker.judge(1020, at(600, 600)) == Replication(True, 20, 1000, "behind")


def test_a_standby_that_follows_another_primary_is_judged_anew() -> None:
    tracker = ReplayTracker()
    tracker.judge(1000, at(800, 800))
    assert tracker.judge(1020, at(600, 600, receiver=8)).lag == 0


@pytest.mark.parametrize(
    ("lag", "problem"), [(0.0, False), (60.0, False), (60.1, True), (None, False), (math.inf, True)]
)
def test_a_lag_is_a_problem_only_beyond_the_accepted_one(lag: float | None, problem: bool) -> None:
    assert (Replication(True, lag, 1.0, "paused").problem(60) is not None) == problem
    assert PRIMARY.problem(1) is None
    assert UNKNOWN.problem(1) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "receive", "replay", "look", "cut", "connect"]),
            st.integers(min_value=1, max_value=200),
        ),
        max_size=60,
    )
)
def test_a_standby_is_never_said_to_be_complete_beyond_what_it_has_replayed(steps: list[tuple[str, int]]) -> None:
    tracker = ReplayTracker()
    now, received, replayed, connected, process = 1000, 0, 0, True, 1
    commits: list[int] = []  # when each ten bytes of WAL were written
    for step, seconds in steps:
        now += seconds
        match step:
            case "write":
                commits.append(now)
            case "receive" if connected:
                received = len(commits)
            case "replay":
                replayed += (received - replayed + 1) // 2
            case "cut":
                connected = False
            case "connect" if not connected:
                connected, process = True, process + 1
            case "look":
                # whoever is connected has received everything but for an instant
                received = len(commits) if connected else received
                committed = float(commits[replayed - 1]) if replayed else None
                found = at(received * 10, replayed * 10, committed, process if connected else None)
                judged = tracker.judge(now, found)
                first_missing = commits[replayed] if replayed < len(commits) else math.inf
                complete = now if judged.complete is None else judged.complete
                assert complete < first_missing
                assert judged.lag == pytest.approx(now - complete) or judged.lag == math.inf


def test_memory_is_bounded_while_a_standby_stands_still() -> None:
    tracker = ReplayTracker()
    tracker.judge(0, at(0, 0))
    for second in range(1, 20_000):
        behind = tracker.judge(second, at(second, 0))
    assert behind.complete == 0
    assert len(tracker._samples) <= 1001
    caught_up_to = tracker.judge(20_000, at(20_000, 10_000)).complete
    assert caught_up_to is not None
    assert 9_900 < caught_up_to <= 10_000
