"""A bar on the terminal below the log, as long as the log table is being read for the first time, or after a gap."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from exporter.logs import logging_through
from exporter.progress import REFRESH_SECONDS, bar_below

_JOIN_SECONDS = 1.0


@contextlib.contextmanager
def showing_reads(ratio: Callable[[], float], out: TextIO) -> Iterator[None]:
    """Show a bar whenever `ratio`, how much has been read, is below 1, until the context is left.

    Does nothing where `out` is no terminal.
    """
    if not out.isatty():
        yield
        return
    over = threading.Event()
    # a daemon: a terminal that takes no more must not keep the process alive
    thread = threading.Thread(target=_show, args=(ratio, out, over), name="reading bar", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_JOIN_SECONDS)


def _show(ratio: Callable[[], float], out: TextIO, over: threading.Event) -> None:
    # the terminal may be gone while the exporter goes on
    with contextlib.suppress(OSError):
        while not over.wait(REFRESH_SECONDS):
            if ratio() >= 1:
                continue
            with bar_below("reading the log", out) as (fill, above), logging_through(above):
                while (done := ratio()) < 1 and not over.wait(REFRESH_SECONDS):
                    fill(done)
                if done >= 1:
                    fill(1.0)
