"""A digest a day, as a service: at its time, once, however often the service is started."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from datetime import time as time_of_day
from pathlib import Path
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.digest.message import payload
from exporter.digest.picture import require_matplotlib
from exporter.digest.run import Wanted, make_digest
from exporter.digest.schedule import LATE, PUNCTUAL, Due, due, following
from exporter.digest.sent import SentFile
from exporter.digest.webhook import RefusedError, deliver, find_webhook
from exporter.errors import UserError
from exporter.humanize import span_text
from exporter.logs import install_logging
from exporter.moments import as_utc

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
"""How long a message that is being sent may take when the service is stopped: it is then known to have been sent."""

_LOOK_SECONDS = 30.0  # also after the clock was set, or the machine has slept
_PATIENCE = 120.0
_FIRST_RETRY, _LAST_RETRY = 60.0, 900.0


class Requests(Protocol):
    """Where requests to stop and to reload come from; see `SignalReceiver`."""

    def wait(self, seconds: float | None = None) -> Literal["stop", "reload", "timeout"]:
        """Wait for one, for so many seconds at most."""


@dataclass
class DailyService:
    """Sends a digest a day at a time of the budget's zone. `load` reads the configuration."""

    load: Callable[[], Config]
    environ: Mapping[str, str]
    wanted: Wanted
    webhook_file: Path | None
    at: time_of_day
    sent: SentFile
    requests: Requests
    clock: Callable[[], float] = time.time
    stopwatch: Callable[[], float] = time.monotonic
    _secrets: dict[str, None] = field(default_factory=dict, init=False)
    _reload: bool = field(default=False, init=False)
    _retry_at: float = field(default=0.0, init=False)
    _pause: float = field(default=_FIRST_RETRY, init=False)
    _owed: Due | None = field(default=None, init=False)

    def run(self) -> None:
        """Serve until a request to stop. Raises `UserError` where it cannot begin."""
        config = self._configuration()
        log.info("the next digest is due at %s", as_utc(following(self.clock(), self.at, _zone(config))))
        while True:
            self.sent.touch()
            self._step(config)
            if not self._go_on(_LOOK_SECONDS):
                log.info("stopping")
                return
            if self._reload:
                self._reload = False
                config = self._reloaded(config)

    def _configuration(self) -> Config:
        """The configuration, once all that it needs can be used; what is secret in it is masked from now on."""
        config = self.load()
        if self.wanted.picture:
            require_matplotlib()
        webhook = find_webhook(self.webhook_file, self.environ)
        self._secrets.update(dict.fromkeys((*webhook.secrets, *resolve_conninfo(config, self.environ).secrets)))
        install_logging(config.log_level, self._secrets, config.log_format)
        return config

    def _reloaded(self, config: Config) -> Config:
        try:
            config = self._configuration()
        except UserError as error:
            log.error("not reloaded, the settings before stay in force: %s", error)
        else:
            log.info("reloaded")
        return config

    def _step(self, config: Config) -> None:
        """Send what is due now, if anything is."""
        now = self.clock()
        owed = due(now, self.at, _zone(config), self.sent.day)
        if self._owed is not None and owed != self._owed:
            day = date.fromordinal(self._owed.day - 1)
            log.error("the digest for %s is given up: it is more than %s late", day, span_text(LATE))
        if owed != self._owed:
            self._owed, self._pause, self._retry_at = owed, _FIRST_RETRY, 0.0
        if owed is None or now < self._retry_at:
            return
        try:
            self._send(config, owed, now)
        except UserError as error:
            asked = error.wait or 0.0 if isinstance(error, RefusedError) else 0.0
            self._put_off(asked)
            log.error("no digest yet, trying again in %s: %s", span_text(self._retry_at - now), error)
        except Exception:
            self._put_off(0.0)
            log.exception("internal error: no digest yet, trying again in %s", span_text(self._retry_at - now))

    def _put_off(self, asked: float) -> None:
        self._retry_at = self.clock() + max(self._pause, asked)
        self._pause = min(2 * self._pause, _LAST_RETRY)

    def _send(self, config: Config, owed: Due, now: float) -> None:
        webhook = find_webhook(self.webhook_file, self.environ)
        late = [f"Sent late: it was due at {self.at:%H:%M}"] if now - owed.planned > PUNCTUAL else []
        wanted = Wanted(owed.day - 1, self.wanted.prometheus, self.wanted.picture)
        made = make_digest(config, self.environ, wanted, late)
        message = payload(made.digest, picture=made.picture is not None)
        deliver(webhook, message, made.files, _PATIENCE, self._go_on)
        self._owed = None
        log.info("sent the digest for %s", made.digest.date.isoformat())
        try:
            self.sent.remember(owed.day)
        except OSError as error:
            log.error("the file with the last day sent cannot be written, a restart may send twice: %s", error.strerror)

    def _go_on(self, seconds: float) -> bool:
        """Wait, however often somebody asks to reload; returns False as soon as the service has to stop."""
        until = self.stopwatch() + seconds
        while (left := until - self.stopwatch()) > 0:
            asked = self.requests.wait(left)
            if asked == "stop":
                return False
            self._reload = self._reload or asked == "reload"
            if asked == "reload" and seconds == _LOOK_SECONDS:
                break
        return True


def _zone(config: Config) -> ZoneInfo:
    return ZoneInfo(config.budget_time_zone)
