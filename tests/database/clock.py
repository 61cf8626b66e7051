"""A database whose clock is set by a test."""

from datetime import datetime, timedelta

from tests.database.harness import Log


class Clock:
    """The clock of one database: its `now()` stands where it is put, and goes on from there."""

    def __init__(self, log: Log) -> None:
        self._log = log
        log.execute("CREATE SCHEMA clock")
        log.execute("CREATE TABLE clock.setting (ahead interval NOT NULL)")
        log.execute("INSERT INTO clock.setting VALUES ('0')")
        log.execute(
            "CREATE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql"
            " AS 'SELECT pg_catalog.now() + ahead FROM clock.setting'"
        )
        name = log.connection.info.dbname
        log.execute(f"ALTER DATABASE {name} SET search_path = clock, pg_catalog, public")

    def now(self) -> datetime:
        """The database's time."""
        ((now,),) = self._log.execute("SELECT clock.now()")
        assert isinstance(now, datetime)
        return now

    def set(self, to: datetime) -> None:
        """Put the clock to a moment."""
        self._log.execute("UPDATE clock.setting SET ahead = %s - pg_catalog.now()", to)

    def advance(self, seconds: float) -> None:
        """Put the clock forward, or back."""
        self._log.execute("UPDATE clock.setting SET ahead = ahead + %s", timedelta(seconds=seconds))

    def ago(self, seconds: float) -> datetime:
        """A moment before now."""
        return self.now() - timedelta(seconds=seconds)
