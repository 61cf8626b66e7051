"""`demo-data`: sample history and live traffic in a database of your own."""

import argparse
import os
import sys

from exporter.commands.options import add_config, add_history_days, configuration
from exporter.database.conninfo import resolve_conninfo
from exporter.demo.data import run_demo_data
from exporter.subcommands import path_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `demo-data`."""
    add_config(parser)
    add_history_days(parser)
    parser.add_argument(
        "--ready-file",
        type=path_option,
        metavar="FILE",
        help="create this file once the history is complete (default: none)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write until a signal stops it. Raises `UserError`."""
    config = configuration(arguments)
    info = resolve_conninfo(config, os.environ)
    return run_demo_data(config, info, arguments.days, arguments.ready_file, sys.stdout)
