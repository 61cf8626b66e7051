"""`state backup` and `restore`: copies of the state, in files."""

import argparse
import contextlib
import sys
from pathlib import Path

from exporter.commands.options import add_state, configuration
from exporter.state.backup import backup, restore
from exporter.state.private import make_file
from exporter.state.store import StateError

_STANDARD = "-"


def add_backup(parser: argparse.ArgumentParser) -> None:
    """The options of `backup`."""
    add_state(parser)
    parser.add_argument("file", metavar="FILE", type=_file_name, help="where to write it, or - for standard output")
    parser.set_defaults(run=lambda arguments: back_up(configuration(arguments).state_dir, arguments.file))


def add_restore(parser: argparse.ArgumentParser) -> None:
    """The options of `restore`."""
    add_state(parser)
    parser.add_argument("file", metavar="FILE", type=_file_name, help="the copy, or - for standard input")
    parser.add_argument("--replace", action="store_true", help="even if the folder holds a state")
    parser.set_defaults(
        run=lambda arguments: bring_back(configuration(arguments).state_dir, arguments.file, replace=arguments.replace)
    )


def _file_name(text: str) -> str:
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be the name of a file; write another path, or -")
    return text


def back_up(folder: Path, file: str) -> int:
    """Write a copy of the state to a file that only its owner can read, whole or not at all. Raises `StateError`."""
    copy = backup(folder)
    if file == _STANDARD:
        sys.stdout.buffer.write(copy)
        return 0
    path = Path(file)
    if path.absolute().parent.resolve() == folder.resolve():
        raise StateError(f"{path}: write the copy to another folder than the state's")
    new = path.parent / f"{path.name}.new"
    try:
        new.unlink(missing_ok=True)
        make_file(new)
        new.write_bytes(copy)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise StateError(f"{path}: {error.strerror}") from None
    return 0


def bring_back(folder: Path, file: str, *, replace: bool) -> int:
    """Make the copy in a file the state. Raises `StateError`."""
    try:
        copy = sys.stdin.buffer.read() if file == _STANDARD else Path(file).read_bytes()
    except OSError as error:
        raise StateError(f"{file}: {error.strerror}; name a copy that can be read") from None
    restore(folder, copy, replace=replace)
    return 0
