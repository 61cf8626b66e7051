"""The command line: a table of commands, each in a module of its own that is imported when it is used."""

import argparse
import errno
import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

from exporter.errors import UserError
from exporter.logs import install_logging
from exporter.subcommands import Subcommands

PROGRAM = "ai-operation-exporter"


class Command(NamedTuple):
    """A command: `module` is in `exporter.commands`, and has `add_arguments` and `run`."""

    name: str
    help: str
    module: str


COMMANDS = (
    Command("serve", "serve /metrics", "serve"),
    Command("check", "check the connection, the grants, the tables and the state before you start", "check"),
    Command("config", "show the settings that are in force", "config"),
    Command("operations", "print the newest calls in the log", "operations"),
    Command("budget", "print users' limits, and what they spent today or this month", "budget"),
    Command("reconcile", "compare the log with what was recorded of it, and with a provider's export", "reconcile"),
    Command("digest", "send yesterday's figures to Discord as one message with a picture, or every day", "digest"),
    Command("prices", "show by which prices the cost of calls is checked", "prices"),
    Command("recommend", "recommend what should change, each with the SQL that shows why", "recommend"),
    Command("verify", "check all running parts, from a row to a message", "verify"),
    Command("demo", "run an embedded PostgreSQL with history and live traffic, and the exporter on it", "demo"),
    Command("demo-data", "fill the empty tables of a database with sample calls, and keep writing", "demo_data"),
    Command("dashboards", "build the Grafana dashboards", "dashboards"),
    Command("state", "show or change what the state folder holds", "state"),
    Command("rules", "compile alerts to Prometheus rules and Alertmanager's routing", "rules"),
    Command("completion", "print a script that completes commands and options in your shell", "completion"),
    Command("sql", "build the SQL of the view for Grafana and of the roles", "sql"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, or 1 for a failure, which is printed on standard error.

    Raises SystemExit with 2 for wrong usage, and with 0 for `--help` and `--version`.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    _print_any_character()
    try:
        arguments = _read(words)
        install_logging("info", [], getattr(arguments, "log_format", None) or "logfmt")
        code: int = arguments.run_command(arguments)
        sys.stdout.flush()
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        if error.filename is not None:
            what = f"{error.filename}: {error.strerror} — name a path that can be used, or make this one usable"
        elif error.errno in _NO_SPACE:
            what = f"the output cannot be written: {error.strerror} — free space where it goes, and run this again"
        else:
            raise
        print(f"{PROGRAM}: {what}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return 1
    return code


def _read(words: Sequence[str]) -> argparse.Namespace:
    """The arguments. Meanwhile Python looks for no garbage: it would look among all that is imported, which stays."""
    gc.disable()
    try:
        return build_parser(words).parse_args(words)
    finally:
        gc.enable()


_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _drop_output() -> None:
    """Drop what nobody takes: else the interpreter would fail again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_any_character() -> None:
    """Escape what the terminal's encoding cannot hold, such as a file's name that is not UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def whole_parser() -> argparse.ArgumentParser:
    """The parser with the options of all commands."""
    return build_parser([command.name for command in COMMANDS])


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for a command line. Only commands among the `words` have options: the others are not imported."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Exact metrics of LLM operations, from the PostgreSQL table that logs them."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    commands = Subcommands(parser)
    for command in COMMANDS:
        subparser = commands.add_parser(command.name, help=command.help)
        if command.name in words:
            module = import_module(f"exporter.commands.{command.module}")
            module.add_arguments(subparser)
            # a command may need the parser of all commands: `completion` does
            subparser.set_defaults(run_command=module.run, whole_parser=whole_parser)
    return parser
