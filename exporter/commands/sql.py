"""`sql build`: the SQL of the view for Grafana and of the roles."""

import argparse
import sys

from exporter.commands.options import add_config
from exporter.config import Config, load_config
from exporter.errors import UserError
from exporter.sql_files.build import FOLDER, build
from exporter.subcommands import Subcommands, path_option

NOT_FOLLOWED = "the view for Grafana follows names of columns, and no expressions, outcomes, time_unit or where"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand `build` and its options."""
    made = Subcommands(parser).add_parser("build", help="write the SQL of the view for Grafana and of the roles")
    add_config(made)
    made.add_argument(
        "--output",
        type=path_option,
        default=FOLDER,
        metavar="DIR",
        help="where to write the files (default: %(default)s)",
    )
    made.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")


def run(arguments: argparse.Namespace) -> int:
    """Build, or compare; returns 0. Raises `UserError`."""
    config = Config() if arguments.config is None else load_config(arguments.config, {}, read_files=False)
    changed = build(config, arguments.output, check=arguments.check)
    if config.columns.log.is_computed:
        print(f"dashboards.sql is left out: {NOT_FOLLOWED}", file=sys.stderr)
    if arguments.check and changed:
        raise UserError(f"{arguments.output / name}: not up to date — run `sql build`" for name in changed)
    return 0
