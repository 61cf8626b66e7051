"""What the web server asks: the exporter, which can be replaced by another one while the pages stay up."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric

from exporter.app import Exporter
from exporter.web.app import Verdict

_DRAIN_SECONDS = 5.0
_RELOADING = Verdict(False, "the configuration is being taken up")


class NoExporterError(Exception):
    """There is no exporter to ask now."""


class Service:
    """An `Application` that passes everything on to the exporter of now; its methods may be called from any thread.

    Scrapes that come while the exporter is replaced wait for the next one, as long as their time allows.
    """

    def __init__(self, exporter: Exporter) -> None:
        self._exporter: Exporter | None = exporter
        self._changed = threading.Condition()
        self._scrapes = 0
        self._problem: str | None = None

    @property
    def exporter(self) -> Exporter | None:
        """The exporter of now; None while it is being replaced."""
        return self._exporter

    def scrape(self, timeout: float) -> Iterable[Metric]:
        """All metrics, within about `timeout` seconds. Raises `NoExporterError` where no exporter came in that time."""
        deadline = time.monotonic() + timeout
        with self._in_use(timeout) as exporter:
            return exporter.scrape(max(0.0, deadline - time.monotonic()))

    def health(self) -> Verdict:
        """Whether the process does what it is there for."""
        if self._problem is not None:
            return Verdict(False, self._problem)
        exporter = self._exporter
        return Verdict(True, _RELOADING.reason) if exporter is None else exporter.health()

    def readiness(self) -> Verdict:
        """Whether the figures can be relied upon."""
        exporter = self._exporter
        return _RELOADING if exporter is None else exporter.readiness()

    def status(self) -> Sequence[tuple[str, str]]:
        """What the landing page shows."""
        exporter = self._exporter
        return [("Ready", _RELOADING.reason)] if exporter is None else exporter.status()

    def stop(self) -> None:
        """Stop the exporter, if there is one."""
        exporter = self._exporter
        if exporter is not None:
            exporter.stop()

    def replace(self, build: Callable[[], Exporter]) -> None:
        """Stop the exporter, and take the one that `build` makes; it may raise, and then there is none until the next.

        A scrape under way is waited for, so that it loses nothing. For one thread at a time.
        """
        with self._changed:
            former, self._exporter = self._exporter, None
            self._changed.wait_for(lambda: not self._scrapes, _DRAIN_SECONDS)
        if former is not None:
            former.stop()
        try:
            exporter = build()
        except Exception as error:
            self._problem = f"there is no exporter: {type(error).__name__}"
            raise
        with self._changed:
            self._problem = None
            self._exporter = exporter
            self._changed.notify_all()

    @contextlib.contextmanager
    def _in_use(self, timeout: float) -> Iterator[Exporter]:
        with self._changed:
            self._changed.wait_for(lambda: self._exporter is not None, timeout)
            exporter = self._exporter
            if exporter is None:
                raise NoExporterError(self._problem or _RELOADING.reason)
            self._scrapes += 1
        try:
            yield exporter
        finally:
            with self._changed:
                self._scrapes -= 1
                self._changed.notify_all()
