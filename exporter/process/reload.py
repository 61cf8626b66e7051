"""Reload a changed configuration while the pages stay up."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.config import Config, ConfigError, read_hmac_key
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.login import Login
from exporter.errors import UserError
from exporter.logs import install_logging
from exporter.process.service import Service
from exporter.scrape.application import Exporter
from exporter.state.store import Store
from exporter.web.refusals import Refusals

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_KEPT = ("state_dir", "scrape", "web")
"""Settings that need a restart."""


@dataclass(frozen=True)
class Parts:
    """What an exporter is built from. If it is equal after a reload, nothing has changed."""

    config: Config
    info: ConnInfo
    hmac_key: bytes | None = field(repr=False)


def parts_of(config: Config, environ: Mapping[str, str]) -> Parts:
    """Read the files that a configuration names. Raises `ConfigError`."""
    key = read_hmac_key(config) if config.users.mode == "hmac" else None
    return Parts(config, resolve_conninfo(config, environ), key)


def login_for(
    parts: Parts, environ: Mapping[str, str], load: Callable[[], Config] | None, secrets: dict[str, None]
) -> Login:
    """A login that reads its settings again after a failure.

    It masks its secrets in the log before it uses them; `secrets` has all secrets of the process so far.
    """

    def hide(info: ConnInfo) -> None:
        secrets.update(dict.fromkeys(info.secrets))
        install_logging(parts.config.log_level, secrets, parts.config.log_format)
        for notice in info.notices:
            log.warning("%s: %s", info.source, notice)

    def resolve() -> ConnInfo:
        config = parts.config
        if load is not None:
            # even if the rest of the configuration is wrong, a secret in a file of its own can be read
            with contextlib.suppress(ConfigError):
                config = config.model_copy(update={"database": load().database})
        return resolve_conninfo(config, environ)

    hide(parts.info)
    return Login(parts.info, resolve, hide)


@dataclass(repr=False)
class Reloader:
    """Reads the configuration again and replaces the exporter of a service. For one thread."""

    service: Service
    parts: Parts
    environ: Mapping[str, str]
    backfill_since: int | None
    load: Callable[[], Config] | None
    secrets: dict[str, None]
    refusals: Refusals  # the web server keeps counting in it

    def reload(self) -> None:
        """Apply the changes. If they cannot be used, the log says why, and the old configuration stays in force."""
        try:
            parts = self._read()
        except ConfigError as error:
            log.error("configuration not applied, the old one stays in force: %s", "; ".join(error.problems))
            return
        former, exporter = self.parts, self.service.exporter
        if parts == former:
            log.info("configuration reloaded: nothing has changed")
            return
        if exporter is not None and exporter.ledger.commits_fail:
            log.error("configuration not applied, the old one stays in force: the state cannot be written now")
            return
        try:
            self.service.replace(lambda: self._build(parts))
        except Exception as error:
            log.error("configuration not applied: %s", _named(error))
            self._go_back()
            return
        self.parts = parts
        log.info("configuration applied")

    def _read(self) -> Parts:
        former = self.parts.config
        config = former if self.load is None else self.load()
        kept = {name: getattr(former, name) for name in _KEPT}
        for name, value in kept.items():
            if getattr(config, name) != value:
                log.warning("%s has changed: restart to apply it; until then, the old value stays in force", name)
        config = config.model_copy(update=kept)
        return parts_of(config, self.environ)

    def _go_back(self) -> None:
        """Start the former exporter again as soon as possible."""
        said = ""
        while True:
            try:
                self.service.replace(lambda: self._build(self.parts))
            except Exception as error:
                if said != (said := _named(error)):
                    log.error("the exporter cannot start again, retrying every second: %s", said)
                time.sleep(_RETRY_SECONDS)
            else:
                log.warning("the old configuration is in force again")
                return

    def _build(self, parts: Parts) -> Exporter:
        store = Store(parts.config.state_dir)
        try:
            login = login_for(parts, self.environ, self.load, self.secrets)
            exporter = Exporter(parts.config, login, store, self.backfill_since, refusals=self.refusals)
        except BaseException:
            store.close()
            raise
        exporter.start()
        return exporter


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else type(error).__name__
