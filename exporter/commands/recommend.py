"""`recommend`: what should change, with the SQL that shows why."""

import argparse
import os
import sys

from exporter.advisor.advise import WEEK
from exporter.advisor.report import FORMATS
from exporter.advisor.run import run_recommend
from exporter.commands.options import add_config, configuration, duration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `recommend`."""
    add_config(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=FORMATS, default="text", help="how to print them (default: %(default)s)")
    form.add_argument("--json", action="store_const", dest="format", const="json", help="print JSON, for a script")
    parser.add_argument(
        "--since",
        type=duration("400d"),
        metavar="DURATION",
        default=float(WEEK),
        help="look back this long, like 1d or 30d (default: 7d)",
    )
    parser.add_argument(
        "--store",
        action="store_true",
        help="write new ones into helix_recommendations, as the role in recommendations.url (default: write nothing)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the recommendations; returns 0. Raises `UserError`."""
    config = configuration(arguments)
    return run_recommend(config, os.environ, arguments.since, sys.stdout, form=arguments.format, stored=arguments.store)
