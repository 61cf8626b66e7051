"""`dashboards build`: the Grafana dashboards' JSON."""

import argparse
import sys
from pathlib import Path

from alert_rules.command import FOLDER
from alert_rules.compiler.thresholds import thresholds
from dashboards.alerts import alert_lines
from dashboards.command import build
from dashboards.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand `build` and its options."""
    commands = parser.add_subparsers(required=True, metavar="command")
    made = commands.add_parser("build", help="write the dashboards' JSON")
    made.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    made.add_argument(
        "--alerts",
        type=Path,
        default=FOLDER / "alerts.yaml",
        metavar="FILE",
        help="the alerts whose thresholds are drawn (default: %(default)s)",
    )
    made.add_argument(
        "--output", type=Path, default=Path("dashboards/generated"), metavar="DIR", help="(default: %(default)s)"
    )
    made.add_argument(
        "--budget-time-zone",
        default="UTC",
        metavar="ZONE",
        help="as in the exporter's configuration (default: %(default)s)",
    )
    made.add_argument("--runbooks", default="", metavar="URL", help="the address of the alerts' runbooks")


def run(arguments: argparse.Namespace) -> int:
    """Build, or compare; returns 0. Raises `UserError`."""
    settings = Settings(alert_lines(thresholds(arguments.alerts)), arguments.budget_time_zone, arguments.runbooks)
    return build(settings, arguments.output, check=arguments.check, out=sys.stdout)
