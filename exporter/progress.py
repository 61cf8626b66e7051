"""What a command shows on a terminal while it works. Elsewhere: plain lines, and nothing that moves."""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

REFRESH_SECONDS = 0.25
"""How often a bar is drawn again."""


@contextlib.contextmanager
def working(what: str, out: TextIO) -> Iterator[Callable[[str], None]]:
    """A sign that moves below the lines as long as the context lasts; yields the function that prints a line.

    `what` is what the command is doing. Where `out` is no terminal, only the lines are printed.
    """
    if not out.isatty():
        yield lambda line: print(line, file=out, flush=True)
        return
    # takes a while, and is for people only
    from rich.console import Console

    console = Console(file=out)
    with console.status(what):
        yield lambda line: _print_line(console, line)


@contextlib.contextmanager
def counting(what: str, out: TextIO) -> Iterator[Callable[[float], None]]:
    """A bar that fills; yields the function that says how much is done, from 0 to 1.

    Where `out` is no terminal, only the line `what`. Raises OSError, also in that function, if `out` is gone.
    """
    if not out.isatty():
        print(what, file=out, flush=True)
        yield lambda _: None
        return
    from rich.console import Console

    with _bar(what, Console(file=out)) as fill:
        yield fill
        fill(1.0)


@contextlib.contextmanager
def bar_below(what: str, out: TextIO) -> Iterator[tuple[Callable[[float], None], TextIO]]:
    """A bar on the terminal `out`; yields the function that fills it, from 0 to 1, and a stream for lines above it.

    Raises OSError, also in that function, if `out` is gone.
    """
    from rich.console import Console

    console = Console(file=out)
    with _bar(what, console) as fill:
        yield fill, cast(TextIO, _LinesAbove(console))


class _LinesAbove(io.TextIOBase):
    """A stream that prints whole lines above what moves on a console."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            _print_line(self._console, line)
        return len(text)


def _print_line(console: "Console", line: str) -> None:
    console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _bar(what: str, console: "Console") -> Iterator[Callable[[float], None]]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    # without a thread: an error of the output is the caller's to handle
    bar = Progress(*columns, console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    shown = 0.0

    def fill(done: float) -> None:
        nonlocal shown
        if done >= 1 or time.monotonic() - shown >= REFRESH_SECONDS:
            shown = time.monotonic()
            bar.update(task, completed=done, refresh=True)

    with bar:
        task = bar.add_task(what, total=1.0)
        yield fill


def bar_text(done: float, out: TextIO, width: int = 40) -> str:
    """A bar for a terminal, filled from 0 to 1, as text with its colours."""
    from rich.console import Console
    from rich.progress_bar import ProgressBar

    console = Console(file=out, width=width, legacy_windows=False)
    with console.capture() as captured:
        console.print(ProgressBar(total=1.0, completed=done, width=width), end="")
    return captured.get()
