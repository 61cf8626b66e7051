"""Start and stop the parts of a running exporter: store, reader and web server."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from exporter.config import Config
from exporter.ledger.calendar import QUARTER_HOUR, floor_to
from exporter.process.reload import Reloader, login_for, parts_of
from exporter.process.service import Service
from exporter.scrape.application import Exporter
from exporter.state.store import StateError, Store
from exporter.web.limits import ScrapeTimeouts
from exporter.web.server import WebServer


@dataclass(frozen=True)
class Running:
    """An exporter, and the web server in front of it."""

    service: Service
    server: WebServer
    reload: Callable[[], None]
    """Applies changes of the configuration and the credentials; the log says what was done."""

    @property
    def url(self) -> str:
        """Its URL."""
        return self.server.url

    @property
    def exporter(self) -> Exporter:
        """The current exporter."""
        exporter = self.service.exporter
        if exporter is None:
            raise RuntimeError("the exporter is being replaced")
        return exporter

    def read_ratio(self) -> float:
        """How much of the log has been read that must be before the figures are whole, 0 to 1; 1 during a reload."""
        exporter = self.service.exporter
        return 1.0 if exporter is None else exporter.read_ratio()


@contextlib.contextmanager
def serving(
    config: Config,
    environ: Mapping[str, str],
    backfill_since: int | None = None,
    load: Callable[[], Config] | None = None,
) -> Iterator[Running]:
    """An exporter that serves until the context is left.

    `load` reads the configuration again; without it, only credentials can change. Raises `UserError` if it cannot
    start.
    """
    parts = parts_of(config, environ)
    secrets: dict[str, None] = {}
    login = login_for(parts, environ, load, secrets)
    store = Store(config.state_dir)
    with contextlib.ExitStack() as started:
        started.callback(store.close)
        if backfill_since is not None:
            _check_backfill(store, backfill_since)
        exporter = Exporter(config, login, store, backfill_since)
        service = Service(exporter)
        started.callback(service.stop)
        scrape = config.scrape
        server = WebServer(
            service,
            config.web.listen_address,
            config.web.config_file,
            ScrapeTimeouts(scrape.timeout, scrape.timeout_offset, scrape.max_timeout),
            refusals=exporter.refusals,
        )
        server.start()
        started.callback(server.stop)
        exporter.start()
        reloader = Reloader(service, parts, environ, backfill_since, load, secrets, exporter.refusals)
        # both refer to what a reload replaces, which must not stay in memory then
        del exporter, login
        yield Running(service, server, reloader.reload)


def _check_backfill(store: Store, since: int) -> None:
    """Refuse a backfill on a used folder, unless it continues an interrupted one."""
    state = store.load()
    if state is not None and state.progress.count_from == floor_to(since, QUARTER_HOUR):
        return
    if state is not None or store.used_before:
        raise StateError(
            f"state folder {store.folder} has been used already: counters that have been exposed cannot add "
            "history; remove --backfill-since, or choose a new --state-dir"
        )
