"""`state show`, `adopt`, `forget`, `rewind`, `backup` and `restore`: show a state folder or copy it, or change it.

Only `show` and `backup` work while an exporter uses the folder.
"""

import argparse
import os
import sys

from exporter.commands.options import add_json, add_state, configuration
from exporter.commands.state_copies import add_backup, add_restore
from exporter.process.state_changes import adopt, forget_series, rewind_state
from exporter.reports.state import show
from exporter.subcommands import Subcommands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands and their options."""
    commands = Subcommands(parser)

    shown = commands.add_parser(
        "show", help="print which table the state belongs to, and how far the log has been read"
    )
    add_state(shown)
    add_json(shown)
    shown.set_defaults(run=lambda arguments: show(configuration(arguments), sys.stdout, as_json=arguments.json))

    adopted = commands.add_parser("adopt", help="use this state for the database that is configured now")
    add_state(adopted)
    adopted.set_defaults(run=lambda arguments: adopt(configuration(arguments), os.environ, sys.stdout))

    forgotten = commands.add_parser("forget", help="end series that you no longer need, to make room for new ones")
    add_state(forgotten)
    forgotten.add_argument(
        "--operation", required=True, metavar="NAME", help="the operation whose series to end, as /metrics shows it"
    )
    forgotten.add_argument("--model", metavar="NAME", help="only the series with this model (default: all)")
    forgotten.set_defaults(
        run=lambda arguments: forget_series(configuration(arguments), arguments.operation, arguments.model, sys.stdout)
    )

    rewound = commands.add_parser("rewind", help="reopen what a fast clock closed, so that its rows count")
    add_state(rewound)
    rewound.add_argument(
        "--to",
        metavar="TIME",
        help="when the clock was last right, in ISO 8601 (default: the time of the newest row that was counted)",
    )
    rewound.set_defaults(
        run=lambda arguments: rewind_state(configuration(arguments), os.environ, arguments.to, sys.stdout)
    )

    add_backup(commands.add_parser("backup", help="write a copy of the state to a file, also while the exporter runs"))
    add_restore(
        commands.add_parser("restore", help="make a copy that `backup` wrote the state, while no exporter runs")
    )


def run(arguments: argparse.Namespace) -> int:
    """Run a subcommand; returns its exit code. Raises `UserError`."""
    code: int = arguments.run(arguments)
    return code
