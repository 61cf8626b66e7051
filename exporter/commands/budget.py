"""`budget`: daily limits of users or groups, and what they spent today or this month."""

import argparse
import os
import sys

from exporter.commands.options import add_report, configuration
from exporter.reports.budgets import run_budget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `budget`."""
    add_report(parser)
    parser.add_argument("--user", metavar="ID", help="only this user, by the ID in the log (default: all)")
    parser.add_argument("--by", choices=("user", "group"), default="user", help="what each line is of (default: user)")
    parser.add_argument("--month", action="store_true", help="the calendar month and monthly limits, in place of today")
    parser.add_argument("--over", action="store_true", help="only users, or groups, that are over their limit")


def run(arguments: argparse.Namespace) -> int:
    """Print the budgets; returns 0. Raises `UserError`."""
    return run_budget(
        configuration(arguments),
        os.environ,
        arguments.user,
        sys.stdout,
        as_json=arguments.json,
        month=arguments.month,
        over=arguments.over,
        by=arguments.by,
    )
