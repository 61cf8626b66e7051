"""What happens at a moment unless something is done before it, watched by one thread for the whole process."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator


class Deadlines:
    """Moments at which actions are due. For any thread.

    A thread for each of them, as `threading.Timer` has, would cost a scrape more than its own statements do. The one
    here is only woken where a moment comes before all others: those that are given up cost it nothing.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[object, tuple[float, Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None
        self._wakes = math.inf  # when the thread looks again by itself

    @contextlib.contextmanager
    def at(self, moment: float, action: Callable[[], object]) -> Iterator[None]:
        """Act at a moment of the monotonic clock, unless the block ends first; never after its end.

        The action runs while others wait for it: it must be short, and must not raise.
        """
        token = object()
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            elif moment < self._wakes:
                self._changed.notify()
            self._due[token] = moment, action
        try:
            yield
        finally:
            with self._changed:
                self._due.pop(token, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for token in [token for token, (moment, _) in self._due.items() if moment <= now]:
                    _, action = self._due.pop(token)
                    action()
                self._wakes = min((moment for moment, _ in self._due.values()), default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else self._wakes - now)
