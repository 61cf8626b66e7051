"""`python -m bench`: all tables of docs/performance.md, at a small size; with `--full` at their own.

`--write docs/performance.md` puts the tables that were measured into their places there, and their charts into
docs/images. `--only` measures some: names of modules, such as `alternatives load`.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from bench import alternatives, charts, distance, exactness, load, pages, server, users, window
from bench.report import Table, block, markdown, put

MEASUREMENTS = {
    "alternatives": alternatives,
    "exactness": exactness,
    "load": load,
    "window": window,
    "distance": distance,
    "users": users,
    "pages": pages,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of docs/performance.md: about an hour")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS), metavar="MODULE")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a document with places for the tables")
    chosen = parser.parse_args(arguments)
    with server.running() as running:
        machine = server.machine(running)
        print(machine, flush=True)
        for name in chosen.only:
            module, begun = MEASUREMENTS[name], time.monotonic()
            for table in module.measure(running, **(module.FULL if chosen.full else module.SMALL)):
                print(f"\n{table.name}\n\n{markdown(table)}", flush=True)
                if chosen.write:
                    # at once: what comes after may take long, or fail
                    write(chosen.write, name, table, machine, full=chosen.full)
            print(f"\n{name}: {time.monotonic() - begun:.0f} s", flush=True)


def write(document: Path, module: str, table: Table, machine: str, *, full: bool) -> None:
    """Put a table into its place, and draw its chart. Raises `ValueError` if it has no place."""
    command = f"python -m bench.{module}{' --full' if full else ''}"
    put(document, table, block(command, machine, table))
    if drawn := charts.chart_of(table):
        name, svg = drawn
        (document.parent / "images" / f"performance-{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
