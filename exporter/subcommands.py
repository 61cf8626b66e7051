"""Commands of a parser, each with a description that its own help begins with."""

import argparse
from typing import Any


class Subcommands:
    """The commands below a parser. One of them has to be named."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="command")

    def add(self, name: str, what: str, **options: Any) -> argparse.ArgumentParser:
        """The parser of a new command; `what` it does stands in the list of commands and in its own help."""
        return self._commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", **options)
