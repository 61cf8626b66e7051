"""Receive the signals that stop and reload a long-running program, without a handler in Python.

A Python handler runs in the main thread between two instructions, even while the main thread holds a lock that it is
about to release: an event that the handler sets can be lost. The interpreter's own handler writes each signal's number
into a pipe at once, in whatever thread it arrives, and a thread of ours reads it there.
"""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any, Literal, Self

STOP_SECONDS = 2.5
"""The longest that a clean stop can take before the process ends without it."""

_STOP = (signal.SIGINT, signal.SIGTERM)
_ALL = (*_STOP, signal.SIGHUP)
_CLOSE = b"\0"  # the number of no signal


def hold_signals() -> None:
    """Block the signals that stop or reload a program until a `SignalReceiver` receives them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)


class SignalReceiver:
    """Receives SIGINT and SIGTERM as "stop" and SIGHUP as "reload", even if they were ignored or held before.

    Without `reloads`, SIGHUP is received as "stop", too.
    A context manager for the main thread. After the first stop signal, the program has `stop_seconds` (default:
    `STOP_SECONDS`) to leave the context; then the process ends with exit code 0, whatever still hangs. A second stop
    signal ends it at once, with exit code 128 plus the signal's number.
    """

    def __init__(self, stop_seconds: float | None = None, *, reloads: bool = True) -> None:
        self._reloads = reloads
        self._deadline = threading.Timer(STOP_SECONDS if stop_seconds is None else stop_seconds, os._exit, [0])
        self._deadline.daemon = True
        self._changed = threading.Condition()
        self._stop = False
        self._reload = False
        self._thread = threading.Thread(target=self._receive, name="signals", daemon=True)
        self._restored = contextlib.ExitStack()
        self._read_end = self._write_end = -1

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        with contextlib.ExitStack() as restored:
            restored.callback(os.close, self._read_end)
            restored.callback(os.close, self._write_end)
            former = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
            restored.callback(signal.set_wakeup_fd, former)
            for number in _ALL:
                restored.callback(_set_handler, number, signal.signal(number, _noted_already))
            mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)
            restored.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask - set(_ALL))
            self._thread.start()
            restored.callback(self._end_thread)
            self._restored = restored.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._restored.close()

    def wait(self, seconds: float | None = None) -> Literal["stop", "reload", "timeout"]:
        """Wait for the next request, for so many seconds at most. Several reloads that were requested count as one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._stop or self._reload, seconds):
                return "timeout"
            if self._stop:
                return "stop"
            self._reload = False
            return "reload"

    def _receive(self) -> None:
        while _CLOSE not in (numbers := os.read(self._read_end, 4096)):
            for number in numbers:
                self._take(number)

    def _take(self, number: int) -> None:
        with self._changed:
            if number == signal.SIGHUP and self._reloads:
                self._reload = True
            elif number in _ALL:
                if not self._stop:
                    self._deadline.start()
                elif number in _STOP:
                    os._exit(128 + number)
                self._stop = True
            self._changed.notify_all()

    def _end_thread(self) -> None:
        os.write(self._write_end, _CLOSE)
        self._thread.join()
        self._deadline.cancel()


def _noted_already(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; without a handler the interpreter would not write the signal's number."""


def _set_handler(number: signal.Signals, handler: Any) -> None:
    # None: it was set by something else than Python, and cannot be set again
    signal.signal(number, signal.SIG_DFL if handler is None else handler)
