"""A bounded number of threads, with a bounded queue in front."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class PoolFullError(Exception):
    """Every thread is busy and the queue is full."""


class BoundedPool:
    """Runs blocking functions for the event loop; more than ``threads + queue`` at once are refused.

    The threads are daemons, unlike those of the standard library: a stuck function does not keep the program alive.
    """

    def __init__(self, name: str, threads: int, queue: int) -> None:
        self._name = name
        self._most_threads = threads
        self._most = threads + queue
        self._changed = threading.Condition()  # guards all below
        self._waiting: dict[Future[Any], Callable[[], Any]] = {}  # in the order of their arrival
        self._threads = 0
        self._busy = 0
        self._closed = False

    async def run(self, function: Callable[[], _T], patience: float | None = None) -> _T:
        """The function's result. Raises PoolFullError at once, TimeoutError after ``patience`` seconds, or its error.

        When nobody waits any longer, a function that has not begun never will; one that has keeps its thread.
        """
        future: Future[_T] = Future()
        self._enqueue(future, function)
        future.add_done_callback(self._forget)
        return await asyncio.wait_for(asyncio.wrap_future(future), patience)

    def close(self) -> None:
        """Begin nothing new; does not wait."""
        with self._changed:
            self._closed = True
            abandoned = tuple(self._waiting)
            self._changed.notify_all()
        for future in abandoned:
            future.cancel()

    def _enqueue(self, future: Future[Any], function: Callable[[], Any]) -> None:
        with self._changed:
            wanted = self._busy + len(self._waiting) + 1
            if self._closed or wanted > self._most:
                raise PoolFullError
            if self._threads < min(wanted, self._most_threads):
                threading.Thread(target=self._work, name=f"{self._name}_{self._threads}", daemon=True).start()
                self._threads += 1
            self._waiting[future] = function
            self._changed.notify()

    def _forget(self, future: Future[Any]) -> None:
        # A function that nobody waits for gives its place in the queue back.
        with self._changed:
            self._waiting.pop(future, None)

    def _work(self) -> None:
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return False
            future = next(iter(self._waiting))
            function = self._waiting.pop(future)
            self._busy += 1
        outcome = _outcome(function) if future.set_running_or_notify_cancel() else None
        with self._changed:  # first: whoever gets the result may come back at once
            self._busy -= 1
        if outcome is not None:
            result, error = outcome
            future.set_result(result) if error is None else future.set_exception(error)
        return True


def _outcome(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except StopIteration as error:  # a future refuses it
        return None, _stand_in(error)
    except Exception as error:
        return None, error
    except BaseException as error:  # SystemExit would end the event loop
        return None, _stand_in(error)


def _stand_in(error: BaseException) -> Exception:
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
