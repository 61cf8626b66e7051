"""Blocking functions in threads of their own, at most so many at once."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")

_IDLE_SECONDS = 75.0  # longer than usual scrape intervals


class PoolFullError(Exception):
    """Every thread is busy and the queue is full."""


class BoundedPool:
    """Runs blocking functions for an event loop; more than ``threads + queue`` at once are refused."""

    def __init__(self, name: str, threads: int, queue: int) -> None:
        self._runner = Runner(name)
        self._threads = asyncio.Semaphore(threads)  # serves in the order of arrival
        self._free = threads + queue

    async def run(self, function: Callable[[], _T], patience: float | None = None) -> _T:
        """The function's result. Raises PoolFullError at once, TimeoutError after ``patience`` seconds, or its error.

        When nobody waits any longer, a function that has not begun never will; one that has keeps its thread.
        """
        if not self._free:
            raise PoolFullError
        self._free -= 1
        async with asyncio.timeout(patience):
            with contextlib.ExitStack() as place:
                place.callback(self._leave)
                await self._threads.acquire()
                place.callback(self._threads.release)
                result = self._runner.start(function)
                held = place.pop_all()
            result.add_done_callback(lambda _: held.close())
            await asyncio.wait({result})
        return result.result()

    def _leave(self) -> None:
        self._free += 1


class Runner:
    """Runs functions in threads, one at a time in each.

    A thread that is done waits for the next function, unless another one waits already: waking a thread takes less time
    than starting one. Threads are daemons, unlike those of the standard library's pools: a function that hangs does not
    keep the program alive.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []

    def start(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Run a function; the result arrives in the running event loop."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_T] = loop.create_future()

        def work() -> None:
            outcome = _outcome(function)
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits
                loop.call_soon_threadsafe(_settle, result, *outcome)

        try:
            self._idle.pop().put(work)
        except IndexError:
            threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True).start()
        return result

    def _run(self, work: Callable[[], None]) -> None:
        given: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        while True:
            work()
            del work  # a thread that waits must not hold on to a result
            if self._idle:
                return
            self._idle.append(given)
            try:
                work = given.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                try:
                    self._idle.remove(given)
                except ValueError:  # taken at this very moment
                    work = given.get()
                else:
                    return


def _settle(result: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if result.cancelled():
        return
    if error is None:
        result.set_result(value)
    else:
        result.set_exception(error)
        result.exception()  # if nobody waits any longer, asyncio would log the error with its text


def _outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            return None, error
        # a future refuses StopIteration, and SystemExit would end the event loop
        return None, RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
