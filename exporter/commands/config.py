"""`config show`: the settings that are in force."""

import argparse
import json
import os
import sys

from exporter.commands.options import add_report
from exporter.config import read_config
from exporter.config.sources import SOURCES, source_settings, source_text
from exporter.reports.settings import print_settings
from exporter.subcommands import Subcommands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand `show` and its options."""
    show = Subcommands(parser).add_parser(
        "show", help="print every setting, and where its value comes from, without secrets"
    )
    add_report(show)
    show.add_argument(
        "--source",
        choices=SOURCES,
        help="print the settings that this source stands for instead (default: print those that are in force)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the settings; returns 0. Raises `ConfigError`."""
    if arguments.source is not None:
        print(
            json.dumps(source_settings(arguments.source), indent=2, ensure_ascii=False)
            if arguments.json
            else source_text(arguments.source).rstrip("\n")
        )
        return 0
    file = read_config(arguments.config, os.environ, read_files=False)
    print_settings(file, os.environ, sys.stdout, as_json=arguments.json)
    return 0
