"""Parts of a command line: commands with a description, and the type of options that name a file."""

import argparse
import re
from pathlib import Path

# control characters, and halves of characters except those by which Python writes the bytes of a name
_IN_NO_PATH = re.compile(r"[\x00-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")


class Subcommands:
    """The commands below a parser. One of them has to be named."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="command")

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:  # noqa: A002 - as argparse has it
        """The parser of a new command; what it does stands in the list of commands and in its own help."""
        return self._commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")


def path_option(text: str) -> Path:
    """The type of an option that names a file or a folder."""
    if not text.strip() or _IN_NO_PATH.search(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no path; name a file or a folder")
    return Path(text)
