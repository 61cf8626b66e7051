"""`dashboards build`: the Grafana dashboards' JSON."""

import argparse
import re
import sys
from pathlib import Path

from alert_rules.command import FOLDER
from alert_rules.compiler.thresholds import thresholds
from dashboards.alerts import alert_lines
from dashboards.command import build
from dashboards.settings import Settings
from exporter.commands.options import web_address
from exporter.subcommands import Subcommands, path_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand `build` and its options."""
    made = Subcommands(parser).add_parser("build", help="write the dashboards' JSON")
    made.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    made.add_argument(
        "--alerts",
        type=path_option,
        default=FOLDER / "alerts.yaml",
        metavar="FILE",
        help="the alerts whose thresholds are drawn (default: %(default)s)",
    )
    made.add_argument(
        "--output",
        type=path_option,
        default=Path("dashboards/generated"),
        metavar="DIR",
        help="where to write the files (default: %(default)s)",
    )
    made.add_argument(
        "--budget-time-zone",
        default="UTC",
        metavar="ZONE",
        help="the time zone whose midnight ends a day, as in the exporter's configuration (default: %(default)s)",
    )
    made.add_argument(
        "--runbooks",
        type=web_address,
        metavar="URL",
        help="the folder with the alerts' runbooks, to link to (default: no links)",
    )
    made.add_argument(
        "--api-job",
        type=_job,
        default="blackbox",
        metavar="JOBS",
        help="Prometheus' job that probes your API, a regular expression (default: %(default)s)",
    )
    made.add_argument(
        "--postgres-job",
        type=_job,
        default="postgres",
        metavar="JOBS",
        help="Prometheus' job that asks postgres_exporter, a regular expression (default: %(default)s)",
    )
    made.add_argument(
        "--choose-job",
        action="store_true",
        help="show the dropdown for the exporter's job, where one Prometheus has several",
    )


_JOBS = "write a name, or several as a|b"


def _job(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}; {_JOBS}") from error
    if not text or not text.isprintable() or set(text) & set('"\\{}$'):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a job; {_JOBS}")
    return text


def run(arguments: argparse.Namespace) -> int:
    """Build, or compare; returns 0. Raises `UserError`."""
    settings = Settings(
        alert_lines(thresholds(arguments.alerts)),
        zone=arguments.budget_time_zone,
        runbooks=arguments.runbooks or "",
        api_job=arguments.api_job,
        postgres_job=arguments.postgres_job,
        choose_job=arguments.choose_job,
    )
    return build(settings, arguments.output, check=arguments.check, out=sys.stdout)
