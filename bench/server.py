"""The server that everything is measured on: PostgreSQL with pg_stat_statements, and a role for each program."""

import contextlib
import itertools
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from bench import tools
from bench.processes import cpu_seconds_below, wait_until
from exporter.demo.postgres import EmbeddedPostgres

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_planning": "on",
    "pg_stat_statements.max": "10000",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "512MB",
    # each table is vacuumed and analyzed when it is filled; nothing else shall happen while something is measured
    "autovacuum": "off",
}
"""What differs from PostgreSQL's defaults, beside `fsync = off`."""


@dataclass(frozen=True)
class Statements:
    """What a role has cost: milliseconds of planning and execution, and buffers of 8 KiB."""

    milliseconds: float
    buffers: int


class Database:
    """A database of its own, with a connection of its owner."""

    def __init__(self, server: "Server", name: str) -> None:
        self._server = server
        self.name = name
        self.connection: psycopg.Connection[Any] = psycopg.connect(server.url(name), autocommit=True)
        self.process = self.connection.info.backend_pid

    def url(self, role: str, address: str | None = None) -> str:
        """Where a role connects, without TLS; through another `host:port`, if one is given."""
        parts = urlsplit(self._server.url(self.name, role))
        netloc = parts.netloc if address is None else f"{parts.netloc.rpartition('@')[0]}@{address}"
        return urlunsplit(parts._replace(netloc=netloc, query="sslmode=disable"))

    def reset(self) -> None:
        """Begin to count statements anew."""
        self.connection.execute("SELECT pg_stat_statements_reset()")

    def statements(self, role: str) -> Statements:
        """What a role has cost in this database since the last reset."""
        (found,) = self.connection.execute(
            "SELECT coalesce(sum(total_plan_time + total_exec_time), 0)::float8,"
            " coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint"
            " FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid"
            " WHERE r.rolname = %s AND s.dbid = (SELECT oid FROM pg_database WHERE datname = %s)",
            (role, self.name),
        )
        return Statements(*found)

    def calls(self, role: str, like: str) -> int:
        """How often a role has sent one statement like a pattern: the one that it has sent most often."""
        ((found,),) = self.connection.execute(
            "SELECT coalesce(max(calls), 0) FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid"
            " WHERE r.rolname = %s AND query LIKE %s AND s.dbid = (SELECT oid FROM pg_database WHERE datname = %s)",
            (role, like, self.name),
        )
        return int(found)

    def wait_for_calls(self, role: str, like: str, times: int) -> None:
        """Wait until a role has sent a statement like a pattern so often. Raises `TimeoutError`."""
        wait_until(lambda: self.calls(role, like) >= times, f"{role} does not ask the database")

    def grant(self, role: str) -> None:
        """Make a role that may read every row of every table."""
        self._server.make_role(role)
        self.connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(role)))
        self.connection.execute(
            sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(role))
        )

    def close(self) -> None:
        """End the connection, and remove the database."""
        self.connection.close()
        self._server.drop(self.name)


class Server:
    """A running server. One password serves all roles: it listens on 127.0.0.1 alone, for the time of the bench."""

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self._embedded = embedded
        self._numbers = itertools.count()
        self._admin: psycopg.Connection[Any] = psycopg.connect(embedded.url(), autocommit=True)
        self._roles: set[str] = set()
        upkeep = (
            "SELECT pid FROM pg_stat_activity WHERE backend_type IN ('checkpointer', 'background writer', 'walwriter')"
        )
        self._upkeep = {self._admin.info.backend_pid, *(pid for (pid,) in self._admin.execute(upkeep))}

    def url(self, database: str, role: str = "postgres") -> str:
        """A libpq URL."""
        return self._embedded.url(database, role, self._embedded.password)

    @property
    def version(self) -> str:
        """The server's version, as it says it."""
        return self._admin.info.parameter_status("server_version") or ""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self._embedded.port

    def cpu_seconds(self, *without: int) -> float:
        """CPU time so far of all its processes that answer queries, but for some: those of whoever measures."""
        return cpu_seconds_below(self._embedded.pid, {*without, *self._upkeep})

    @contextlib.contextmanager
    def database(self) -> Iterator[Database]:
        """An empty database, removed at the end."""
        name = f"bench_{next(self._numbers)}"
        self._admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        made = Database(self, name)
        try:
            made.connection.execute("CREATE EXTENSION pg_stat_statements")
            yield made
        finally:
            made.close()

    def make_role(self, role: str) -> None:
        """Make a role that row-level security hides nothing from, if it is not there."""
        if role not in self._roles:
            statement = sql.SQL("CREATE ROLE {} LOGIN BYPASSRLS PASSWORD {}")
            self._admin.execute(statement.format(sql.Identifier(role), sql.Literal(self._embedded.password)))
            self._roles.add(role)

    def drop(self, database: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def close(self) -> None:
        """End the connection."""
        self._admin.close()


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server for the time of the bench."""
    with EmbeddedPostgres(durable=False, settings=SETTINGS, binaries=tools.postgres_binaries()) as embedded:
        server = Server(embedded)
        try:
            yield server
        finally:
            server.close()


def machine(server: Server) -> str:
    """What is measured on, in a few words."""
    return (
        f"{os.cpu_count()} cores, PostgreSQL {server.version.split()[0]}, Python {platform.python_version()}, "
        f"{platform.system()}"
    )
