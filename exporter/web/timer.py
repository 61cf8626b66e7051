"""A timer that does not blame a client for the time in which this program stood still."""

import asyncio
from collections.abc import Callable

_LATE_SECONDS = 0.1


class PatientTimer:
    """Calls back after `seconds`, in the running event loop, and after as many again if the loop is late itself.

    A loop that was held up has the client's request in its buffers, unread: it may read that first.
    """

    def __init__(self, seconds: float, callback: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds, self._callback = seconds, callback
        self._handle = self._loop.call_at(self._loop.time() + seconds, self._expire)

    def cancel(self) -> None:
        """Do not call back."""
        self._handle.cancel()

    def _expire(self) -> None:
        if self._loop.time() - self._handle.when() > _LATE_SECONDS:
            self._handle = self._loop.call_later(self._seconds, self._callback)
        else:
            self._callback()
