"""`demo`: an embedded PostgreSQL with history and live traffic, and the exporter on it."""

import argparse
from functools import partial

from exporter.commands.options import add_history_days, listen_address
from exporter.demo.exporter import serve_demo
from exporter.demo.run import run_demo
from exporter.web.server import listen_on

_STOP_SECONDS = 8.0  # its PostgreSQL has to stop too; process managers kill after ten


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `demo`."""
    tables = parser.add_mutually_exclusive_group()
    tables.add_argument(
        "--layout",
        choices=("success", "status"),
        default="success",
        help="the layout of the tables: with the column success or status (default: %(default)s)",
    )
    tables.add_argument(
        "--source",
        choices=("helix", "litellm"),
        default="helix",
        help="whose log to write: the application's own, or LiteLLM's (default: %(default)s)",
    )
    add_history_days(parser)
    parser.add_argument(
        "--web.listen-address",
        dest="listen_address",
        type=listen_address,
        metavar="ADDRESS",
        default="127.0.0.1:9867",
        help="host:port to serve on (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo until a signal stops it. Raises `UserError`."""
    # a port that is taken is said now, and not when the history has been written
    for sock in listen_on(arguments.listen_address):
        sock.close()
    return run_demo(
        arguments.layout if arguments.source == "helix" else arguments.source,
        arguments.days,
        arguments.listen_address,
        partial(serve_demo, source=arguments.source),
        stop_seconds=_STOP_SECONDS,
    )
