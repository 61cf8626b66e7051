"""The signals that stop and reload a long-running program, received without handlers.

A handler runs in the main thread between two instructions, also inside of a lock that the main thread is about to
release: an event that it sets can be lost. Here the signals are blocked in every thread, and one thread of our own
receives them with `sigwait`.
"""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Literal, Self

STOP_SECONDS = 2.5
"""How long an orderly stop may take before the process ends without the rest of it."""

_STOP = (signal.SIGINT, signal.SIGTERM)
_ALL = (*_STOP, signal.SIGHUP)


def hold_signals() -> None:
    """Keep what stops or reloads a program waiting from here on, until a `SignalReceiver` takes it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)


class SignalReceiver:
    """Receives SIGINT and SIGTERM as "stop" and SIGHUP as "reload"; a context manager of the main thread.

    Enter it before any other thread starts, since threads inherit which signals are blocked; child processes started
    inside would inherit that too. From the first stop signal the program has `stop_seconds` (STOP_SECONDS) to leave
    the context: then the process ends with exit code 0 whatever still hangs. A second stop signal ends it at once, with
    128 and the signal's number.
    """

    def __init__(self, stop_seconds: float | None = None) -> None:
        self._stop_seconds = STOP_SECONDS if stop_seconds is None else stop_seconds
        self._changed = threading.Condition()
        self._stop = False
        self._reload = False
        self._closed = False
        self._deadline: threading.Timer | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._mask: set[int] = set()
        self._thread = threading.Thread(target=self._receive, name="signals", daemon=True)

    def __enter__(self) -> Self:
        # blocked first: a signal between the two steps waits
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _ALL))
        # whoever starts a program in the background may have it ignore SIGINT, and nohup SIGHUP
        self._handlers = {number: signal.signal(number, _never_called) for number in _ALL}
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            if self._deadline is not None:
                self._deadline.cancel()
        if self._thread.is_alive() and self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, signal.SIGHUP)
            self._thread.join()
        # what came meanwhile meets the empty handlers
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def wait(self) -> Literal["stop", "reload"]:
        """Wait for what is asked for next; several requests to reload that came meanwhile are one."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop or self._reload)
            if self._stop:
                return "stop"
            self._reload = False
            return "reload"

    def _receive(self) -> None:
        while True:
            number = signal.sigwait(_ALL)
            with self._changed:
                if self._closed:
                    return
                if number == signal.SIGHUP:
                    self._reload = True
                elif self._stop:
                    os._exit(128 + number)
                else:
                    self._stop = True
                    self._deadline = threading.Timer(self._stop_seconds, os._exit, [0])
                    self._deadline.daemon = True
                    self._deadline.start()
                self._changed.notify_all()


def _never_called(_number: int, _frame: FrameType | None) -> None:
    """Stand in for "ignore": a blocked signal that is ignored may be dropped before `sigwait` sees it."""
