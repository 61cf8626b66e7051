"""`completion`: a script that completes commands and options in a shell."""

import argparse
import sys
from collections.abc import Iterator

import shtab

_FILES = {"FILE": shtab.FILE, "DIR": shtab.DIR}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument(
        "shell",
        choices=sorted(shtab.SUPPORTED_SHELLS),
        help="the shell; docs/command-line.md says where its script belongs",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the script; returns 0."""
    parser = arguments.whole_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = _FILES[action.metavar]  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell), file=sys.stdout)
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
