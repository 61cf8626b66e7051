"""The application of the web server: the exporter, which a reload replaces while the pages stay up."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from exporter.scrape.application import Exporter
from exporter.web.app import HealthStatus
from exporter.web.families import Family

_DRAIN_SECONDS = 5.0
_RELOADING = HealthStatus(False, "the configuration is being reloaded")


class NoExporterError(Exception):
    """No exporter is running."""


class Service:
    """An `Application` that forwards to the current exporter, from any thread.

    Scrapes that arrive during a replacement wait for the next exporter, as long as their time allows.
    """

    def __init__(self, exporter: Exporter) -> None:
        self.exporter: Exporter | None = exporter
        """The current exporter; None while it is being replaced."""
        self._changed = threading.Condition()
        self._scrapes = 0
        self._problem: str | None = None

    def scrape(self, timeout: float) -> Iterable[Family]:
        """All metrics, within about `timeout` seconds. Raises `NoExporterError` if none is running by then."""
        deadline = time.monotonic() + timeout
        with self._in_use(timeout) as exporter:
            return exporter.scrape(max(0.0, deadline - time.monotonic()))

    def health(self) -> HealthStatus:
        """Whether the process works."""
        if self._problem is not None:
            return HealthStatus(False, self._problem)
        exporter = self.exporter
        return HealthStatus(True, _RELOADING.reason) if exporter is None else exporter.health()

    def readiness(self) -> HealthStatus:
        """Whether the figures are reliable."""
        exporter = self.exporter
        return _RELOADING if exporter is None else exporter.readiness()

    def status(self) -> Sequence[tuple[str, str]]:
        """What the landing page shows."""
        exporter = self.exporter
        return [("Ready", _RELOADING.reason)] if exporter is None else exporter.status()

    def stop(self) -> None:
        """Stop the exporter, if there is one."""
        exporter = self.exporter
        if exporter is not None:
            exporter.stop()

    def replace(self, build: Callable[[], Exporter]) -> None:
        """Stop the exporter, and use the one that `build` returns.

        If `build` raises, so does this, and no exporter is running until the next call. Scrapes in progress can finish
        first. For one thread at a time.
        """
        with self._changed:
            former, self.exporter = self.exporter, None
            self._changed.wait_for(lambda: not self._scrapes, _DRAIN_SECONDS)
        if former is not None:
            former.stop()
        try:
            exporter = build()
        except Exception as error:
            self._problem = f"no exporter is running: {type(error).__name__}"
            raise
        with self._changed:
            self._problem = None
            self.exporter = exporter
            self._changed.notify_all()

    @contextlib.contextmanager
    def _in_use(self, timeout: float) -> Iterator[Exporter]:
        with self._changed:
            self._changed.wait_for(lambda: self.exporter is not None, timeout)
            exporter = self.exporter
            if exporter is None:
                raise NoExporterError(self._problem or _RELOADING.reason)
            self._scrapes += 1
        try:
            yield exporter
        finally:
            with self._changed:
                self._scrapes -= 1
                self._changed.notify_all()
