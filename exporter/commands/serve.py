"""`serve`: the exporter itself."""

import argparse
import logging
import os
import sys
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from exporter.commands.options import add_log, add_state, configuration, listen_address
from exporter.config import Config
from exporter.errors import UserError
from exporter.moments import named_moment
from exporter.process.reading_bar import showing_reads
from exporter.process.serving import serving
from exporter.process.signals import SignalReceiver
from exporter.process.watchdog import watching
from exporter.scrape.heap import keep_little, spare_what_stays
from exporter.subcommands import path_option

log = logging.getLogger(__name__)

_OPTION = "--backfill-since"
_FIRST_YEAR = 1970


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    add_state(parser)
    add_log(parser)
    parser.add_argument(
        "--web.listen-address",
        dest="listen_address",
        metavar="ADDRESS",
        help="host:port to serve on (default: web.listen_address of the configuration, or else 127.0.0.1:9867)",
    )
    parser.add_argument(
        "--web.config.file",
        dest="web_config",
        type=path_option,
        metavar="FILE",
        help="TLS and passwords, in the format of exporter-toolkit (default: web.config_file of the configuration, "
        "or else neither)",
    )
    parser.add_argument(
        _OPTION,
        metavar="DATE",
        help="also count the history from this date on, like 2026-01-31; requires a new state folder (default: none)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal stops it. Raises `UserError`."""
    keep_little()
    with SignalReceiver() as signals:
        load = partial(_configuration, arguments)
        config = load()
        since = None if arguments.backfill_since is None else backfill_moment(arguments.backfill_since, config)
        with (
            serving(config, os.environ, since, load) as running,
            watching(running.server),
            showing_reads(running.read_ratio, sys.stderr),
        ):
            spare_what_stays()
            log.info("serving %s/metrics", running.url)
            while signals.wait() == "reload":
                running.reload()
                # the exporter that was there before has gone
                spare_what_stays()
            log.info("stopping")
    return 0


def _configuration(arguments: argparse.Namespace) -> Config:
    config = configuration(arguments)
    if arguments.listen_address is not None:
        try:
            listen_address(arguments.listen_address)
        except argparse.ArgumentTypeError as error:
            raise UserError(f"--web.listen-address {arguments.listen_address!r}: {error}") from None
    options = {"listen_address": arguments.listen_address, "config_file": arguments.web_config}
    given = {name: value for name, value in options.items() if value is not None}
    return config.model_copy(update={"web": config.web.model_copy(update=given)})


def backfill_moment(text: str, config: Config, now: datetime | None = None) -> int:
    """The moment that `--backfill-since` names, in seconds since the epoch.

    A date means its midnight in the budget's time zone; a time without an offset is in that zone too. If a local time
    occurs twice, the first counts. If the clocks skip it, counting starts when they change. Raises `UserError` for a
    text that is no time, and for a time before 1970 or after `now` (default: the present).
    """
    now = now or datetime.now(UTC)
    try:
        moment = named_moment(text, ZoneInfo(config.budget_time_zone))
    except ValueError:
        raise UserError(f"{_OPTION} {text!r}: write a date such as 2026-01-31, or an ISO 8601 time") from None
    if moment.year < _FIRST_YEAR:
        raise UserError(f"{_OPTION} {text!r} is before {_FIRST_YEAR}: write the date of the first call to count")
    # the year first: the last hours of the year 9999 cannot be converted
    if moment.year > now.year + 1 or moment > now:
        raise UserError(f"{_OPTION} {text!r} is in the future: write a date that has begun")
    return max(0, int(moment.timestamp()))
