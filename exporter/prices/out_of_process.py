"""Published prices, looked up in a separate process that ends when nobody asks.

The data of `genai-prices` takes some 30 MB, and a running exporter needs a price only when it meets a model for the
first time.
"""

import atexit
import contextlib
import json
import pickle
import select
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
        self._alone = False

    @property
    def pid(self) -> int | None:
        """The process that was asked last; None where there was none."""
        return None if self._process is None else self._process.pid

    def listing(self, model: str) -> Listing | None:
        """As `published`."""
        with self._lock:
            # twice, since the process may have ended a moment ago, when nobody had asked for long
            for _ in range(0 if self._alone else 2):
                with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
                    return self._ask(model)
                self._end()
            self._alone = True
        return published(model)

    def close(self) -> None:
        """End the process; the next question starts another one."""
        with self._lock:
            self._end()

    def _ask(self, model: str) -> Listing | None:
        if self._process is None:
            self._process = self._started()
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise BrokenPipeError
        asked.write(json.dumps(model).encode() + b"\n")
        asked.flush()
        if not select.select([answers], [], [], self._patience)[0]:
            raise TimeoutError
        listing: Listing | None = pickle.load(answers)  # noqa: S301 - of our own making
        return listing

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603
            [self._python, "-I", "-c", _PROGRAM, str(self._idle), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C in a terminal is for this process alone
            start_new_session=True,
        )
        # or it would stay behind as a zombie until the next question
        threading.Thread(target=process.wait, name="prices", daemon=True).start()
        return process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._process = None


def answer() -> None:
    """What the other process does: each line on standard input is a model, as JSON; each answer is pickled."""
    idle = float(sys.argv[1])
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while select.select([asked], [], [], idle)[0] and (line := asked.readline()):
        answers.write(pickle.dumps(published(json.loads(line))))
        answers.flush()


_lookup = PriceLookup()
atexit.register(_lookup.close)


@lru_cache(maxsize=MOST_KNOWN)
def published_out_of_process(model: str) -> Listing | None:
    """As `published`, without the data in this process's memory."""
    return _lookup.listing(model)
