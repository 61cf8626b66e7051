"""The web configuration, read again when one of its files has changed."""

import logging
import ssl
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from exporter.config.errors import ConfigError
from exporter.web.config import WebFile, read_web_file
from exporter.web.settings import WebSettings
from exporter.web.tls import build_context, named_files

_log = logging.getLogger(__name__)
_Stamp = tuple[int, int, int] | None


class ReloadingSettings:
    """The settings in force and their SSL context; for one thread only."""

    def __init__(self, path: Path | None, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file, if there is one; ``interval`` seconds lie between looks. Raises ConfigError."""
        self.current = WebSettings()
        self.context: ssl.SSLContext | None = None
        self._path = path
        self._interval = interval
        self._clock = clock
        self._looked = clock()
        self._stamps: dict[Path, _Stamp] = {}
        if path is not None:
            self._load(path)

    def refresh(self) -> bool:
        """Apply changed files, at most once an interval; true if the TLS context is a new one.

        A file that cannot be used leaves everything as it was, and one line in the log.
        """
        now = self._clock()
        if self._path is None or now - self._looked < self._interval:
            return False
        stamps = _stamps(self._stamps)
        if stamps == self._stamps:
            self._looked = now
            return False
        if self._is_being_written(stamps):
            return False
        self._looked = now
        before = self.context
        self._stamps = stamps  # so that an error in them is logged once
        try:
            self._load(self._path)
        except ConfigError as error:
            _log.error("web configuration not applied, the old one stays in force: %s", "; ".join(error.problems))
            return False
        _log.info("web configuration applied")
        return self.context is not before

    def _load(self, path: Path) -> None:
        # The stamps come before the contents: a change in between is then seen by the next look.
        stamps = _stamps([path])
        file = read_web_file(path)
        self._stamps = stamps | _stamps(named_files(file))
        self._keep_protection(file)
        self.context = build_context(file)
        self.current = file.settings

    def _keep_protection(self, file: WebFile) -> None:
        # A file emptied by a full disk must not open the doors.
        if not file.settings.model_fields_set and self.current.model_fields_set:
            raise ConfigError([f"{file.path}: is empty now — restart to serve without TLS and passwords"])

    def _is_being_written(self, stamps: dict[Path, _Stamp]) -> bool:
        newest = max((stamp[0] for path, stamp in stamps.items() if stamp and stamp != self._stamps[path]), default=0)
        return 0 <= time.time_ns() - newest < self._interval * 1e9


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> _Stamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
