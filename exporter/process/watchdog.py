"""End the process when the web server has died or hangs, so that a supervisor restarts it.

The state on the disk stays whole: commits are atomic.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds between two pings."""
PATIENCE = 6
"""How many pings in a row can be unanswered. It counts turns, not seconds: a process that was frozen for an hour has
missed only one."""
EXIT_CODE = 70


class Watched(Protocol):
    """A server with a thread and an event loop of its own."""

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""

    def ping(self, answer: Callable[[], None]) -> None:
        """Make the event loop call `answer` as soon as it can."""


class Watch:
    """Pings a server and counts missing answers. For one thread."""

    def __init__(self, watched: Watched, patience: int) -> None:
        self._watched = watched
        self._patience = patience
        self._answered = threading.Event()
        self._answered.set()
        self._missed = 0

    def problem(self) -> str | None:
        """Ping once; returns the problem, or None."""
        if not self._watched.alive:
            return "the web server has ended"
        if self._answered.is_set():
            self._missed = 0
            self._answered.clear()
            self._watched.ping(self._answered.set)
            return None
        self._missed += 1
        return "the web server hangs" if self._missed >= self._patience else None


def end_process(reason: str) -> NoReturn:
    """Log the reason and end at once, whatever other threads do."""
    log.critical("%s: ending with exit code %d, to be restarted", reason, EXIT_CODE)
    sys.stderr.flush()
    os._exit(EXIT_CODE)


@contextlib.contextmanager
def watching(watched: Watched, end: Callable[[str], object] = end_process) -> Iterator[None]:
    """Watch in a thread until the context is left."""
    over = threading.Event()
    watch = Watch(watched, PATIENCE)

    def run() -> None:
        while not over.wait(PAUSE):
            problem = watch.problem()
            if problem is not None and not over.is_set():
                end(problem)
                return

    thread = threading.Thread(target=run, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
