"""`sql`: the scripts that create roles, views and indexes, for the tables that the configuration names."""

import argparse
import os
import sys
from collections.abc import Mapping

from exporter.commands.options import add_config
from exporter.config import Config, load_config
from exporter.config.sources import SOURCES
from exporter.errors import UserError
from exporter.sql_files.build import FOLDER, build
from exporter.sql_files.render import render
from exporter.subcommands import Subcommands, path_option

_PRINTED: Mapping[str, tuple[str, str]] = {
    "roles": ("role_bypassrls.sql", "print the SQL of the exporter's role, which reads the columns that it needs"),
    "dashboards": ("dashboards.sql", "print the SQL of the views that Grafana reads, and of its role"),
    "indexes": ("indexes.sql", "print the SQL of the indexes that panels and counts of open recommendations use"),
    "postgres-exporter": ("role_postgres_exporter.sql", "print the SQL of the role for postgres_exporter"),
}
"""The subcommands that print one script: the file that `build` writes, and the help."""


_NO_INDEXES = "{} needs no further index: panels look for times, and `check` says whether an index serves those"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands and their options."""
    commands = Subcommands(parser)
    made = commands.add_parser("build", help="write all scripts, one file for each")
    _add_tables(made)
    made.add_argument(
        "--output",
        type=path_option,
        default=FOLDER,
        metavar="DIR",
        help="where to write the files (default: %(default)s)",
    )
    made.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    made.set_defaults(script=None)
    for name, (script, text) in _PRINTED.items():
        printed = commands.add_parser(name, help=text)
        _add_tables(printed)
        printed.set_defaults(script=script)
        if name == "roles":
            printed.add_argument(
                "--policies",
                dest="script",
                action="store_const",
                const="role_policies.sql",
                help="see every row by a policy, where BYPASSRLS cannot be granted",
            )


def _add_tables(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--source",
        choices=SOURCES,
        help="the tables of this source (default: source of the configuration, or else helix)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print, build or compare; returns 0. Raises `UserError`."""
    config = _config(arguments)
    if arguments.script is not None:
        print(render(config).get(arguments.script, f"-- {_NO_INDEXES.format(config.tables.log)}\n"), end="")
        return 0
    changed = build(config, arguments.output, check=arguments.check)
    if "indexes.sql" not in render(config):
        print(f"indexes.sql is left out: {_NO_INDEXES.format(config.tables.log)}", file=sys.stderr)
    if arguments.check and changed:
        raise UserError(f"{arguments.output / name}: not up to date — run `sql build`" for name in changed)
    return 0


def _config(arguments: argparse.Namespace) -> Config:
    if arguments.source is None:
        # what is written into the project is that of the defaults, whatever the environment says
        environ = {} if arguments.script is None else os.environ
        return load_config(arguments.config, environ, read_files=False)
    if arguments.config is not None:
        raise UserError("--source: the configuration names its own — write --config or --source, not both")
    return Config.model_validate({"source": arguments.source})
