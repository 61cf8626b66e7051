"""`config show`: the settings that are in force."""

import argparse
import os
import sys

from exporter.commands.options import add_report
from exporter.config import read_config
from exporter.reports.settings import print_settings
from exporter.subcommands import Subcommands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand `show` and its options."""
    add_report(
        Subcommands(parser).add_parser(
            "show", help="print every setting, and where its value comes from, without secrets"
        )
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the settings; returns 0. Raises `ConfigError`."""
    file = read_config(arguments.config, os.environ, read_files=False)
    print_settings(file, os.environ, sys.stdout, as_json=arguments.json)
    return 0
