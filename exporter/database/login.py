"""How the exporter logs in: by settings that are read again from their sources when a login fails."""

import threading
from collections.abc import Callable

from exporter.config import ConfigError
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, LoginRefused
from exporter.database.foresight import Pipelines
from exporter.database.replication import ReplayTracker


class Login:
    """One login that several connections share. Every method may be called from any thread.

    `resolve` reads the settings from their sources, and may raise `ConfigError`; without it they never change.
    `before_change` gets new settings before they are used, to mask their secrets. `replay` judges a server that is a
    standby, and `pipelines` whether it takes statements together, by what all connections have seen of it.
    """

    def __init__(
        self,
        info: ConnInfo,
        resolve: Callable[[], ConnInfo] | None = None,
        before_change: Callable[[ConnInfo], None] | None = None,
    ) -> None:
        self._info = info
        self._resolve = resolve
        self._before_change = before_change
        self._lock = threading.Lock()
        self._refusal: str | None = None
        self._problem: str | None = None
        self._listeners: list[Callable[[], None]] = []
        self.replay = ReplayTracker()
        self.pipelines = Pipelines()

    @property
    def info(self) -> ConnInfo:
        """The settings in force."""
        return self._info

    @property
    def refusal(self) -> str | None:
        """Why the server refused the last login, without secrets and addresses; None after one that succeeded."""
        return self._refusal

    @property
    def problem(self) -> str | None:
        """Why the settings could not be read again, without secrets; None if they could."""
        return self._problem

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call this after each login that succeeds, in the thread that has logged in."""
        self._listeners.append(listener)

    def succeeded(self) -> None:
        """Note that a login has succeeded."""
        self._refusal = None
        for listener in self._listeners:
            listener()

    def failed(self, error: DatabaseError) -> None:
        """Note that a login has failed. A server that cannot be reached has not refused anything."""
        if isinstance(error, LoginRefused):
            self._refusal = error.reason

    def others_than(self, failed: ConnInfo) -> ConnInfo | None:
        """Settings that differ from the failed ones: those in force, or else those in the sources; None if none do."""
        with self._lock:
            if self._info != failed:
                return self._info
            if self._resolve is None:
                return None
            try:
                found = self._resolve()
            except ConfigError as error:
                self._problem = "; ".join(error.problems)
                return None
            self._problem = None
            if found == failed:
                return None
            if self._before_change is not None:
                self._before_change(found)
            self._info = found
            return found
