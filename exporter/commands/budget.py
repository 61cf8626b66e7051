"""`budget`: users' daily limits, and what they spent today."""

import argparse
import os
import sys

from exporter.commands.options import add_report
from exporter.config import load_config
from exporter.reports.budgets import run_budget


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `budget`."""
    add_report(parser)
    parser.add_argument("--user", metavar="ID", help="only this user")


def run(arguments: argparse.Namespace) -> int:
    """Print the budgets; returns 0. Raises `UserError`."""
    config = load_config(arguments.config, os.environ)
    return run_budget(config, os.environ, arguments.user, sys.stdout, as_json=arguments.json)
