"""`check`: what the exporter relies on, checked before it is started."""

import argparse
import os
import sys

from exporter.commands.options import add_json, add_state, configuration
from exporter.preflight.run import run_check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `check`."""
    add_state(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print each finding; returns 1 if one of them is a failure, else 0."""
    # a file that cannot be used is one finding, and prevents no other check
    return run_check(configuration(arguments, read_files=False), os.environ, sys.stdout, as_json=arguments.json)
