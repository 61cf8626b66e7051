"""`operations`: the newest calls in the log."""

import argparse
import os
import sys

from exporter.commands.options import add_report, whole_number
from exporter.config import load_config
from exporter.reports.recent import Wanted, run_operations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `operations`."""
    add_report(parser)
    parser.add_argument(
        "--limit", type=whole_number(1, 10_000), default=20, help="print at most this many calls (default: 20)"
    )
    parser.add_argument("--days", type=whole_number(1, 400), default=7, help="look this many days back (default: 7)")
    parser.add_argument("--operation", metavar="NAME", help="only this operation")
    parser.add_argument("--model", metavar="NAME", help="only this model")
    parser.add_argument("--user", metavar="ID", help="only this user, by the ID in the log")
    parser.add_argument("--failed", action="store_true", help="only calls that failed or timed out")


def run(arguments: argparse.Namespace) -> int:
    """Print the calls; returns 0. Raises `UserError`."""
    wanted = Wanted(
        limit=arguments.limit,
        days=arguments.days,
        operation=arguments.operation,
        model=arguments.model,
        user=arguments.user,
        failed=arguments.failed,
    )
    return run_operations(
        load_config(arguments.config, os.environ), os.environ, wanted, sys.stdout, as_json=arguments.json
    )
