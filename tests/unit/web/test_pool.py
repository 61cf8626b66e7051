"""Blocking functions beside an event loop: how many, in which order, and what becomes of those nobody waits for."""

import asyncio
import gc
import logging
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.pool import BoundedPool, PoolFullError
from tests.support.web import PATIENCE, SCRAPE, App, dial, serving


class Work:
    """Functions that note their beginning, and end when they may."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.begins = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, number: int) -> Callable[[], int]:
        def function() -> int:
            self.begun.append(number)
            self.begins.release()
            assert self.go.wait(PATIENCE)
            return number

        return function

    async def await_begun(self, count: int) -> None:
        for _ in range(count):
            assert await asyncio.to_thread(self.begins.acquire, timeout=PATIENCE)


async def turns() -> None:
    """More turns of the event loop than a step takes."""
    for _ in range(10):
        await asyncio.sleep(0)


@given(threads=st.integers(1, 3), queue=st.integers(0, 3), asked=st.integers(1, 8))
def test_as_many_run_and_wait_as_it_says_and_the_rest_is_refused(threads: int, queue: int, asked: int) -> None:
    async def story() -> None:
        bounded, work = BoundedPool("x", threads, queue), Work()
        tasks = [asyncio.create_task(bounded.run(work(number))) for number in range(asked)]
        await work.await_begun(min(asked, threads))
        await turns()
        assert sorted(work.begun) == list(range(min(asked, threads)))
        work.go.set()
        outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
        taken = min(asked, threads + queue)
        assert outcomes[:taken] == list(range(taken))
        assert {type(one) for one in outcomes[taken:]} <= {PoolFullError}
        # and afterwards there is room for all again
        assert await asyncio.gather(*(bounded.run(lambda: 1) for _ in range(threads + queue))) == [1] * (
            threads + queue
        )

    asyncio.run(story())


def test_functions_one_after_the_other_have_one_thread() -> None:
    async def story() -> None:
        bounded, threads = BoundedPool("x", 3, 0), set()
        for _ in range(5):
            threads.add(await bounded.run(threading.get_ident))
            while not bounded._runner._idle:
                await asyncio.sleep(0)
        assert len(threads) == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_threads_that_nobody_needs_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.web.pool._IDLE_SECONDS", 0.01)

    async def story() -> None:
        bounded, work = BoundedPool("idle pool", 3, 0), Work()
        tasks = [asyncio.create_task(bounded.run(work(number))) for number in range(3)]
        await work.await_begun(3)
        work.go.set()
        assert await asyncio.gather(*tasks) == [0, 1, 2]
        while any(thread.name == "idle pool" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
        assert await bounded.run(lambda: 1) == 1

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_those_who_wait_are_served_in_the_order_of_their_arrival() -> None:
    async def story() -> None:
        bounded, work = BoundedPool("x", 1, 20), Work()
        tasks = [asyncio.create_task(bounded.run(work(number))) for number in range(20)]
        work.go.set()
        await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert work.begun == list(range(20))

    asyncio.run(story())


@pytest.mark.parametrize("late", [False, True], ids=["left", "out of time"])
def test_a_function_nobody_waits_for_never_begins_and_one_that_has_begun_keeps_its_thread(late: bool) -> None:
    async def story() -> None:
        bounded, work = BoundedPool("x", 1, 1), Work()
        running = asyncio.create_task(bounded.run(work(0), 0.05 if late else None))
        await work.await_begun(1)
        for number in (1, 2, 3):
            waiting = asyncio.create_task(bounded.run(work(number), 0.05 if late else None))
            await turns()
            if not late:
                waiting.cancel()
            with pytest.raises((asyncio.CancelledError, TimeoutError)):
                await waiting
        if not late:
            running.cancel()
        with pytest.raises((asyncio.CancelledError, TimeoutError)):
            await running
        last = asyncio.create_task(bounded.run(work(4)))
        await turns()
        assert work.begun == [0]
        with pytest.raises(PoolFullError):
            await bounded.run(work(5))
        work.go.set()
        assert await asyncio.wait_for(last, PATIENCE) == 4
        assert work.begun == [0, 4]

    asyncio.run(story())


@pytest.mark.parametrize(
    "kind", [ValueError, TimeoutError, StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit]
)
def test_an_error_comes_to_whoever_waits_and_the_pool_goes_on(kind: type[BaseException]) -> None:
    async def story() -> None:
        bounded = BoundedPool("x", 1, 0)
        for _ in range(3):
            with pytest.raises((kind, RuntimeError)) as raised:
                await bounded.run(lambda: raising(kind("hunter2")))
            assert isinstance(raised.value, kind) or "hunter2" not in str(raised.value)
            assert isinstance(raised.value, Exception)
        assert await bounded.run(lambda: 1) == 1

    asyncio.run(story())


def raising(error: BaseException) -> None:
    raise error


def test_an_error_nobody_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asyncio")

    async def story() -> None:
        bounded, go, begun = BoundedPool("x", 1, 0), threading.Event(), threading.Event()

        def fail() -> None:
            begun.set()
            go.wait(PATIENCE)
            raise ValueError("hunter2")

        task = asyncio.create_task(bounded.run(fail))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        task.cancel()
        await asyncio.wait({task})
        del task  # its traceback refers to what would be logged once it is collected
        go.set()
        while True:
            try:
                await bounded.run(lambda: 1)
                break
            except PoolFullError:
                await asyncio.sleep(0.01)
        gc.collect()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
    assert "hunter2" not in caplog.text


def test_a_thread_that_cannot_start_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        bounded = BoundedPool("x", 1, 0)
        with monkeypatch.context() as full:
            full.setattr(threading, "Thread", lambda **_: raising(RuntimeError("can't start new thread")))
            for _ in range(3):
                with pytest.raises(RuntimeError, match="can't start"):
                    await bounded.run(lambda: 1)
        assert await bounded.run(lambda: 1) == 1

    asyncio.run(story())


def test_an_answer_arrives_though_the_event_loop_itself_holds_no_task() -> None:
    app = App()
    app.go.clear()
    # a busy machine takes seconds to look at all of a test process's memory, so the scrape may take longer than usual
    patient = SCRAPE.replace(b"Host: x", b"Host: x\r\nX-Prometheus-Scrape-Timeout-Seconds: 30")
    with serving(app) as port, dial(port, patient) as client:
        assert app.begun.acquire(timeout=PATIENCE)
        gc.collect()
        app.go.set()
        assert client.recv(15) == b"HTTP/1.1 200 OK"
