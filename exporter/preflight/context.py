"""What checks share: the configuration, an open transaction, and what one check has read for the others."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psycopg import sql

from exporter.config import Classification, Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import SchemaProblem
from exporter.database.layout import Relation
from exporter.database.log_table import LogTable
from exporter.database.log_time import span_bounds
from exporter.database.mapping import find_log
from exporter.database.routes import Route, read_routes
from exporter.database.session import Session
from exporter.ledger.model import TimeRange
from exporter.preflight.recent_activity import RecentActivity, look_back, read_a_day

LOG_SETTING = "tables.log"

_SERVER = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int, current_setting('TimeZone'),
       current_user::text
"""
_DEFAULT = """
SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid)
FROM pg_catalog.pg_attrdef d
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE d.adrelid = %(oid)s::oid AND a.attname = %(column)s
"""
_STANDBY = "SELECT pg_is_in_recovery()"


@dataclass(frozen=True)
class Server:
    """The server's version (as text and as number, 160004), its session's time zone, our role, and whether it is a
    standby."""

    version: str
    number: int
    time_zone: str
    user: str
    standby: bool


class CheckContext:
    """The context of all checks in one transaction. Its properties raise `DatabaseError` or `psycopg.Error`."""

    def __init__(self, config: Config, info: ConnInfo, session: Session) -> None:
        self.config = config
        self.info = info
        self.session = session
        self.rules: Classification = config.classification()

    @cached_property
    def server(self) -> Server:
        """The server, and our role there."""
        ((version, number, zone, user),) = self.session.run(_SERVER)
        # if the server does not tell, it is most likely a primary
        ((standby,),) = self.session.ask(_STANDBY) or [(False,)]
        return Server(version, number, zone, user, standby)

    @cached_property
    def relation(self) -> Relation:
        """The log's table or view."""
        relation = self.session.relation(self.rules.log_table, LOG_SETTING)
        if relation is None:
            raise SchemaProblem(
                f"no table or view {self.rules.log_table} in this database",
                f"connect to another database, or set {LOG_SETTING} to the table, as schema.name",
            )
        return relation

    @cached_property
    def log(self) -> LogTable:
        """The log with its columns; grants and hidden rows are not checked yet."""
        return find_log(self.session, self.relation, self.rules.log_columns)

    @cached_property
    def time_default(self) -> str | None:
        """The default of the log's time column as SQL; None where there is none, or the server does not tell."""
        asked = {"oid": self.log.relation.oid, "column": self.log.columns["time"].name}
        found = self.session.ask(_DEFAULT, asked)
        return found[0][0] if found else None

    def last(self, seconds: int) -> dict[str, Any]:
        """The parameters that choose the rows of the last seconds: `from` and `until` by the index on the time."""
        now = int(self.session.clock)
        return span_bounds(self.log, self.rules, TimeRange(now - seconds, now + 1))

    def in_a_day(self, statement: sql.Composed) -> tuple[Any, ...] | None:
        """The row that a statement finds in the last day, behind the number of seconds in that.

        It is of the last hour where the day takes too long, and None where the hour does, too. Raises `psycopg.Error`
        or `TableLocked` if the log is locked.
        """
        return read_a_day(self.session, lambda age: (age, *self.session.run(statement, self.last(age))[0]))

    @cached_property
    def recent_activity(self) -> RecentActivity:
        """The operations and models of the last days."""
        self.session.prove_visible(self.relation)
        return look_back(self.session, self.log, self.rules)

    @cached_property
    def routes(self) -> list[Route] | None:
        """The model routes, or None if there is no such table."""
        return read_routes(self.session, self.config)
