"""Published prices, looked up in a separate process that ends when nobody asks.

The data of `genai-prices` takes some 30 MB, and a running exporter needs a price only when it meets a model for the
first time.
"""

import atexit
import json
import pickle
import socket
import subprocess
import sys
import threading
from functools import lru_cache

from exporter.prices.model import Listing
from exporter.prices.published import MOST_KNOWN, published

IDLE = 20.0
"""Seconds without a question after which the process ends."""

PATIENCE = 60.0
"""Seconds for an answer: the first one waits until the data is loaded."""

# -I, and the parent's own path: the folder that the exporter was started in must not decide what is imported
_PROGRAM = "import sys; sys.path[:] = sys.argv[2:]; from exporter.prices.out_of_process import answer; answer()"


class LookupAbortedError(Exception):
    """Nobody waits for the price any more."""


class PriceLookup:
    """Asks for the prices of models in another process, or in this one where there can be no other.

    The process is started by a question, and ends `idle` seconds after the last one, or with this process. Every method
    may be called from any thread.
    """

    def __init__(self, python: str = sys.executable, idle: float = IDLE, patience: float = PATIENCE) -> None:
        self._python = python
        self._idle = idle
        self._patience = patience
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._alone = False
        self._aborts = 0

    @property
    def pid(self) -> int | None:
        """The process that was asked last; None where there was none."""
        return None if self._process is None else self._process.pid

    def listing(self, model: str) -> Listing | None:
        """As `published`. Raises `LookupAbortedError` where `abort` comes before the answer."""
        aborts = self._aborts
        with self._lock:
            # twice, since the process may have ended a moment ago, when nobody had asked for long
            for _ in range(0 if self._alone else 2):
                try:
                    return self._ask(model, aborts)
                except LookupAbortedError:
                    self._end()
                    raise
                # whatever it is: what is left of an answer must not be taken for that of the next question
                except Exception:
                    self._end()
                    self._go_on(aborts)
            self._alone = True
        return published(model)

    def abort(self) -> None:
        """Let nobody wait for an answer any longer: who does gets an error."""
        self._aborts += 1
        process = self._process
        if process is not None and self._lock.locked():
            process.kill()

    def close(self) -> None:
        """End the process, and the wait for its answer; the next question starts another one."""
        self.abort()
        with self._lock:
            self._end()

    def _go_on(self, aborts: int) -> None:
        if self._aborts != aborts:
            raise LookupAbortedError

    def _ask(self, model: str, aborts: int) -> Listing | None:
        line = self._line or self._start()
        # only now: an abort from here on finds the process
        self._go_on(aborts)
        line.sendall(json.dumps(model).encode() + b"\n")
        with line.makefile("rb") as answers:
            listing: Listing | None = pickle.load(answers)  # noqa: S301 - of our own making
        return listing

    def _start(self) -> socket.socket:
        self._line, theirs = socket.socketpair()
        self._line.settimeout(self._patience)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                [self._python, "-I", "-c", _PROGRAM, str(self._idle), *sys.path],
                # questions and answers: what the start of Python prints must not be among them
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in a terminal is for this process alone
                start_new_session=True,
            )
        # or it would stay behind as a zombie until the next question
        threading.Thread(target=self._process.wait, name="prices", daemon=True).start()
        return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._line = self._process = None


def answer() -> None:
    """What the other process does: each line on standard input is a model, as JSON; each answer is pickled."""
    idle = float(sys.argv[1])
    with socket.socket(fileno=sys.stdin.fileno()) as line, line.makefile("rb") as questions:
        line.settimeout(idle)
        while question := questions.readline():
            line.sendall(pickle.dumps(published(json.loads(question))))


_lookup = PriceLookup()
atexit.register(_lookup.close)

abort_lookup = _lookup.abort
"""Let nobody wait for the price of a model any longer, as when the exporter stops."""


@lru_cache(maxsize=MOST_KNOWN)
def published_out_of_process(model: str) -> Listing | None:
    """As `published`, without the data in this process's memory. Raises as `PriceLookup.listing`."""
    return _lookup.listing(model)
