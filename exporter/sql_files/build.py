"""`sql build`: write the SQL files, or see whether they are up to date."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.config import Config, ConfigError, load_config
from exporter.sql_files.render import render

FOLDER = Path("deploy/sql")
"""Where the files are, below the folder of the project."""


def build(config: Config, output: Path = FOLDER, *, check: bool = False) -> list[str]:
    """Write the files into a folder; with `check` only compare them. Returns the names of those that differ.

    Raises OSError if a file cannot be written.
    """
    changed = []
    for name, text in render(config).items():
        path = output / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        changed.append(name)
        if not check:
            output.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return changed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `sql build`."""
    parser.add_argument(
        "--config", type=Path, help="take tables, columns, the log's time zone and aliases of models from it"
    )
    parser.add_argument("--output", type=Path, default=FOLDER, help="the folder (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is not up to date")


def run(arguments: argparse.Namespace) -> int:
    """Build by these options. Returns the exit code: 1 if `--check` finds a difference, 2 if nothing can be built."""
    try:
        config = Config() if arguments.config is None else load_config(arguments.config, {}, read_files=False)
        changed = build(config, arguments.output, check=arguments.check)
    except (ConfigError, OSError) as error:
        print(f"sql build: {error}", file=sys.stderr)
        return 2
    if not arguments.check:
        return 0
    for name in changed:
        print(f"{arguments.output / name} is not up to date: make build", file=sys.stderr)
    return 1 if changed else 0


def main(argv: Sequence[str]) -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(prog="sql build", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(argv))
