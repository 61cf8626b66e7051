"""A database whose clock is set by a test."""

import time
from datetime import UTC, datetime, timedelta

from exporter.scrape.clock import HostClock
from tests.support.harness import Log

START = datetime(2026, 6, 10, 9, 7, 30, tzinfo=UTC)
"""When the fixture `clock` starts."""


class Clock:
    """The clock of one database: its `now()` stands where it is put, and goes on from there.

    `host` is the clock of an exporter's host, which goes with it, and does not leap where the database's does.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._passed = 0.0
        self.host = HostClock(lambda: time.monotonic() + self._passed, lambda: time.time() + self._wall_ahead)
        self._wall_ahead = 0.0
        log.execute("CREATE SCHEMA clock")
        log.execute("CREATE TABLE clock.setting (ahead interval NOT NULL)")
        log.execute("INSERT INTO clock.setting VALUES ('0')")
        # In this database alone, and only for what is written from here on: an older default keeps the true clock.
        # A function on the search path would not be called.
        log.execute("ALTER FUNCTION pg_catalog.now() RENAME TO true_now")
        log.execute(
            "CREATE FUNCTION pg_catalog.now() RETURNS timestamptz STABLE LANGUAGE sql"
            " AS 'SELECT pg_catalog.true_now() + ahead FROM clock.setting'"
        )

    def now(self) -> datetime:
        """The database's time."""
        ((now,),) = self._log.execute("SELECT pg_catalog.now()")
        assert isinstance(now, datetime)
        return now

    def set(self, to: datetime) -> None:
        """Put the database's clock and the host's to a moment, as if the time between had passed."""
        self._passed += max(0.0, (to - self.now()).total_seconds())
        self._log.execute("UPDATE clock.setting SET ahead = %s - pg_catalog.true_now()", to)
        self._wall_ahead = to.timestamp() - time.time()

    def advance(self, seconds: float) -> None:
        """Put the database's clock and the host's forward, or back."""
        self._passed += max(0.0, seconds)
        self._wall_ahead += seconds
        self.leap(seconds)

    def leap(self, seconds: float) -> None:
        """Put the database's clock alone forward, or back."""
        self._log.execute("UPDATE clock.setting SET ahead = ahead + %s", timedelta(seconds=seconds))

    def ago(self, seconds: float) -> datetime:
        """A moment before now."""
        return self.now() - timedelta(seconds=seconds)
