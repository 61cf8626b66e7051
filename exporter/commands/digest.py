"""`digest`: what was spent, as one message with a picture, once or every day."""

import argparse
import os
import re
import sys
from datetime import time
from functools import partial

from exporter.commands.options import add_config, add_log, configuration, web_address
from exporter.digest.run import Wanted, parse_day, send_digest, write_digest
from exporter.digest.sent import FILE_NAME, SentFile
from exporter.digest.service import STOP_SECONDS, DailyService
from exporter.digest.webhook import VARIABLE
from exporter.errors import UserError
from exporter.process.signals import SignalReceiver
from exporter.subcommands import path_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `digest`."""
    add_config(parser)
    add_log(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--daily",
        type=_time,
        metavar="HH:MM",
        help="send one every day at this time of budget_time_zone, until stopped (default: send one now)",
    )
    how.add_argument(
        "--dry-run",
        type=path_option,
        metavar="DIR",
        help="write text and picture there, and send nothing (default: send)",
    )
    parser.add_argument("--day", metavar="DATE", help="the day that it is about, like 2026-01-31 (default: yesterday)")
    parser.add_argument(
        "--webhook-url-file",
        type=path_option,
        metavar="FILE",
        help=f"holds the webhook's URL (default: the URL in ${VARIABLE}, or else the file that ${VARIABLE}_FILE names)",
    )
    parser.add_argument(
        "--prometheus", type=web_address, metavar="URL", help="where to ask what the alerts did (default: leave it out)"
    )
    parser.add_argument("--no-picture", action="store_true", help="send the text alone, without matplotlib")
    parser.add_argument(
        "--sent-file",
        type=path_option,
        metavar="FILE",
        help=f"where --daily remembers the last day sent (default: {FILE_NAME} in state_dir of the configuration)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Send a digest, write it, or send one every day until a signal stops it; returns 0. Raises `UserError`."""
    load = partial(configuration, arguments)
    config = load()
    if arguments.daily is None and arguments.sent_file is not None:
        raise UserError("--sent-file: only --daily remembers what was sent; leave it out")
    if arguments.daily is not None and arguments.day is not None:
        raise UserError("--day: --daily sends the day before; leave one of the two out")
    day = None if arguments.day is None else parse_day(arguments.day, config)
    wanted = Wanted(day, arguments.prometheus, not arguments.no_picture)
    if arguments.dry_run is not None:
        write_digest(config, os.environ, wanted, arguments.dry_run, sys.stdout)
    elif arguments.daily is None:
        send_digest(config, os.environ, wanted, arguments.webhook_url_file)
    else:
        sent = SentFile(arguments.sent_file or config.state_dir / FILE_NAME)
        with SignalReceiver(STOP_SECONDS) as signals:
            DailyService(load, os.environ, wanted, arguments.webhook_url_file, arguments.daily, sent, signals).run()
    return 0


def _time(text: str) -> time:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        raise argparse.ArgumentTypeError("write a time of day from 00:00 to 23:59, such as 06:00")
    return time.fromisoformat(text)
