"""How a module of the bench is run: at a small size, in full, or with sizes of one's own."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench import server
from bench.report import Table, markdown

Sizes = Mapping[str, Any]
Measure = Callable[..., Iterator[Table]]
"""Called with a running server and the sizes as keywords."""


def tell(text: str) -> None:
    """Say how far a long measurement is, apart from the tables."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def sizes_of(small: Sizes, full: Sizes, arguments: Sequence[str] | None, about: str | None) -> dict[str, Any]:
    """The sizes that the command line asks for."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of docs/performance.md")
    for name, value in full.items():
        several = isinstance(value, tuple)
        kind = type(value[0] if several else value)
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=kind, nargs="+" if several else None, help=f"small {small[name]}, full {value}")
    given = vars(parser.parse_args(arguments))
    chosen = dict(full if given.pop("full") else small)
    return chosen | {name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if v is not None}


def run(measure: Measure, small: Sizes, full: Sizes, about: str | None) -> None:
    """Measure, and print the tables."""
    sizes = sizes_of(small, full, None, about)
    with server.running() as database_server:
        print(server.machine(database_server))
        for table in measure(database_server, **sizes):
            print(f"\n{table.name}\n\n{markdown(table)}", flush=True)
