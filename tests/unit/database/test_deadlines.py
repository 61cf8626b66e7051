"""What is due at a moment happens then, and not once the block has ended."""

import threading
import time
from contextlib import ExitStack

from exporter.database.deadlines import Deadlines


def soon() -> float:
    return time.monotonic() + 0.05


def never() -> float:
    return time.monotonic() + 3600


def unexpected() -> None:
    raise AssertionError("the block has ended")


def test_an_action_happens_at_its_moment() -> None:
    happened = threading.Event()
    moment = soon()
    with Deadlines().at(moment, happened.set):
        assert happened.wait(60)
    assert time.monotonic() >= moment


def test_an_action_happens_though_its_moment_has_passed() -> None:
    happened = threading.Event()
    with Deadlines().at(time.monotonic() - 5, happened.set):
        assert happened.wait(60)


def test_a_later_one_does_not_hold_up_an_earlier_one() -> None:
    deadlines, happened = Deadlines(), threading.Event()
    with deadlines.at(never(), unexpected), deadlines.at(soon(), happened.set):
        assert happened.wait(60)


def test_all_that_are_due_happen() -> None:
    deadlines, happened = Deadlines(), [threading.Event() for _ in range(20)]
    with ExitStack() as stack:
        for event in happened:
            stack.enter_context(deadlines.at(soon(), event.set))
        assert all(event.wait(60) for event in happened)


def test_nothing_happens_once_the_block_has_ended() -> None:
    deadlines, happened, late = Deadlines(), threading.Event(), []
    for _ in range(50):
        with deadlines.at(soon(), lambda: late.append(1)):
            pass
    # due after those: when it happens, they would have
    with deadlines.at(soon() + 0.05, happened.set):
        assert happened.wait(60)
    assert not late


def test_an_action_happens_once() -> None:
    deadlines, happened, again = Deadlines(), [], threading.Event()
    with deadlines.at(soon(), lambda: happened.append(1)), deadlines.at(soon() + 0.1, again.set):
        assert again.wait(60)
    assert happened == [1]


def test_one_thread_serves_all() -> None:
    deadlines = Deadlines()
    before = threading.active_count()
    for _ in range(100):
        with deadlines.at(never(), unexpected), deadlines.at(never(), unexpected):
            pass
    assert threading.active_count() <= before + 1


def test_an_action_that_fails_does_not_end_those_after_it() -> None:
    deadlines, failed, happened = Deadlines(), threading.Event(), threading.Event()
    reported = threading.excepthook
    threading.excepthook = lambda _: failed.set()
    try:
        with deadlines.at(soon(), lambda: 1 / 0):
            assert failed.wait(60)
    finally:
        threading.excepthook = reported
    with deadlines.at(soon(), happened.set):
        assert happened.wait(60)
