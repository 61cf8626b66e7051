"""`prices show`: by which prices the cost of calls is checked."""

import argparse
import os
import sys

from exporter.commands.options import add_json, add_state, configuration, whole_number
from exporter.reports.prices import run_prices
from exporter.subcommands import Subcommands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands and their options."""
    commands = Subcommands(parser)
    shown = commands.add_parser(
        "show", help="print the prices of models, where they are from, and since when they hold"
    )
    add_state(shown, exists=True)
    add_json(shown)
    shown.add_argument("--model", metavar="NAME", help="only this model (default: all)")
    shown.add_argument(
        "--days",
        type=whole_number(1, 400),
        metavar="DAYS",
        default=7,
        help="models called in so many days (default: 7)",
    )
    shown.add_argument("--offline", action="store_true", help="ask no database which operations call which models")


def run(arguments: argparse.Namespace) -> int:
    """Print the prices; returns 0. Raises `UserError`."""
    return run_prices(
        configuration(arguments),
        os.environ,
        arguments.model,
        arguments.days,
        sys.stdout,
        offline=arguments.offline,
        as_json=arguments.json,
    )
