"""What a command shows on a terminal while it works. Elsewhere: plain lines, and nothing that moves."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TextIO


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
        yield lambda line: console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
