"""The web configuration as it is now: read again when a file it depends on has changed."""

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
_Mark = tuple[int, int, int] | None


class ReloadingSettings:
    """The settings in force and their SSL context; to be used by one thread."""

    def __init__(self, path: Path | None, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file, if there is one; ``interval`` seconds lie between looks. Raises ConfigError."""
        self.current = WebSettings()
        self.context: ssl.SSLContext | None = None
        self._path = path
        self._interval = interval
        self._clock = clock
        self._looked = clock()
        self._marks: dict[Path, _Mark] = {}
        if path is not None:
            self._load(path)

    def refresh(self) -> bool:
        """Take over changed files, at most once an interval; true when TLS is now another one.

        A file that cannot be used leaves everything as it was, and one line in the log.
        """
        now = self._clock()
        if self._path is None or now - self._looked < self._interval:
            return False
        marks = _marks(self._marks)
        if marks == self._marks:
            self._looked = now
            return False
        if self._is_being_written(marks):
            return False
        self._looked = now
        before = self.context
        self._marks = marks  # so that what is wrong with them is said once
        try:
            self._load(self._path)
        except ConfigError as error:
            _log.error("web configuration not taken over, the old one stays: %s", "; ".join(error.problems))
            return False
        _log.info("web configuration taken over")
        return self.context is not before

    def _load(self, path: Path) -> None:
        # The marks come before the contents: a change in between is then seen by the next look.
        marks = _marks([path])
        file = read_web_file(path)
        self._marks = marks | _marks(named_files(file))
        self._keep_protection(file)
        self.context = build_context(file)
        self.current = file.settings

    def _keep_protection(self, file: WebFile) -> None:
        # A file emptied by a full disk must not open the doors.
        if not file.settings.model_fields_set and self.current.model_fields_set:
            raise ConfigError([f"{file.path}: is empty now — restart to serve without TLS and passwords"])

    def _is_being_written(self, marks: dict[Path, _Mark]) -> bool:
        newest = max((mark[0] for path, mark in marks.items() if mark and mark != self._marks[path]), default=0)
        return 0 <= time.time_ns() - newest < self._interval * 1e9


def _marks(paths: Iterable[Path]) -> dict[Path, _Mark]:
    return {path: _mark(path) for path in paths}


def _mark(path: Path) -> _Mark:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
