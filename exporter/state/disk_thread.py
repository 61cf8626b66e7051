"""The only thread that touches the state's disk, so that no other thread waits for it longer than it wants to."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

from exporter.state.store import Store

T = TypeVar("T")


class DiskThread:
    """Runs work on a store, in order. A daemon thread: if it hangs in a write, it does not keep the process alive."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._work: queue.SimpleQueue[tuple[Callable[[Store], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Store], T]) -> Future[T]:
        """Queue work on the store; the future holds its result or its error."""
        answer: Future[T] = Future()
        self._work.put((work, answer))
        return answer

    def close(self, seconds: float) -> bool:
        """Close the store when all work is done; False if the disk does not answer within so many seconds.

        The store is then closed when the disk answers, or when the process ends, which rolls back a write that hangs.
        """
        closed = self.submit(Store.release)
        self._work.put(None)
        if not answered(closed, seconds):
            self._store.abandon()
            return False
        return True

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, answer = item
            try:
                answer.set_result(work(self._store))
            except Exception as error:
                answer.set_exception(error)
            # while it waits for more, the thread must not keep finished work in memory
            del item, work, answer


def answered(answer: Future[Any], seconds: float) -> bool:
    """Whether work is done, well or not, within so many seconds."""
    try:
        answer.exception(seconds)
    except NotYet:
        return False
    return True
