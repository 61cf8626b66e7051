"""`operations`: the newest calls in the log."""

import argparse
import os
import sys

from exporter.commands.options import add_report, configuration, duration, whole_number
from exporter.reports.follow import follow
from exporter.reports.recent import Wanted, run_operations


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `operations`."""
    add_report(parser)
    parser.add_argument(
        "--limit",
        type=whole_number(1, 10_000),
        default=20,
        metavar="COUNT",
        help="print at most this many calls, the newest (default: %(default)s)",
    )
    back = parser.add_mutually_exclusive_group()
    back.add_argument(
        "--days", type=whole_number(1, 400), default=7, metavar="DAYS", help="look this many days back (default: 7)"
    )
    back.add_argument(
        "--since",
        type=duration("400d"),
        metavar="DURATION",
        help="look back this long, like 90s, 30m, 1h or 2d (default: as --days says)",
    )
    parser.add_argument("--operation", metavar="NAME", help="only this operation (default: all)")
    parser.add_argument("--model", metavar="NAME", help="only this model (default: all)")
    parser.add_argument("--user", metavar="ID", help="only this user, by the ID in the log (default: all)")
    parser.add_argument("--failed", action="store_true", help="only calls that failed or timed out")
    parser.add_argument(
        "--follow", action="store_true", help="go on printing calls as they come, the newest last, until Ctrl-C"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the calls; returns 0. Raises `UserError`."""
    wanted = Wanted(
        limit=arguments.limit,
        days=arguments.days,
        operation=arguments.operation,
        model=arguments.model,
        user=arguments.user,
        failed=arguments.failed,
        since=arguments.since,
    )
    print_calls = follow if arguments.follow else run_operations
    return print_calls(configuration(arguments), os.environ, wanted, sys.stdout, as_json=arguments.json)
