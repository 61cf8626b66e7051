"""Putting a running exporter together: store, reader, web server, and their end."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from exporter.app import Exporter
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.ledger.calendar import QUARTER, floor_to
from exporter.logs import install_logging
from exporter.state.store import StateError, Store
from exporter.web.limits import ScrapeTimeouts
from exporter.web.server import WebServer


class UsageError(Exception):
    """What was asked for on the command line cannot be done; the message says why and what to do."""


@dataclass(frozen=True)
class Running:
    """An exporter, and the web server in front of it."""

    exporter: Exporter
    server: WebServer

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.server.url


def backfill_moment(text: str, config: Config) -> int:
    """The moment that `--backfill-since` names, in seconds since the epoch.

    A date is its midnight in the budget's time zone; a time without offset is in that zone too.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--backfill-since {text!r}: write a date such as 2026-01-31, or an ISO 8601 time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(config.budget_time_zone))
    return int(moment.timestamp())


@contextlib.contextmanager
def serving(config: Config, environ: Mapping[str, str], backfill_since: int | None = None) -> Iterator[Running]:
    """An exporter that serves until the context is left.

    Raises `ConfigError`, `StateError`, `UsageError`, or the web server's own error when it cannot start.
    """
    info = resolve_conninfo(config, environ)
    install_logging(config.log_level, info.secrets)
    store = Store(config.state_dir)
    with contextlib.ExitStack() as started:
        started.callback(store.close)
        if backfill_since is not None:
            _check_backfill(store, backfill_since)
        exporter = Exporter(config, info, store, backfill_since)
        started.callback(exporter.stop)
        scrape = config.scrape
        server = WebServer(
            exporter,
            config.web.listen_address,
            config.web.config_file,
            ScrapeTimeouts(scrape.timeout, scrape.timeout_offset, scrape.max_timeout),
            refusals=exporter.refusals,
        )
        server.start()
        started.callback(server.stop)
        exporter.start()
        yield Running(exporter, server)


def _check_backfill(store: Store, since: int) -> None:
    """A backfill may begin on an unused folder only, and go on where it was interrupted."""
    state = store.load()
    if state is not None and state.progress.count_from == floor_to(since, QUARTER):
        return
    if state is not None or store.used_before:
        raise StateError(
            f"state folder {store.folder} has been used already: counters that have been exposed cannot take up "
            "history; leave --backfill-since out, or name a new --state-dir"
        )
