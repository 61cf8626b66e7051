"""Real servers for the tests: PostgreSQL embedded and in a container, and the rule for other containers."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn, Protocol
from urllib.parse import quote

import psycopg
import pytest
from docker.errors import DockerException
from psycopg import sql
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from exporter.demo.postgres import EmbeddedPostgres
from exporter.demo.schema import Layout, load_schema

_READY_SECONDS = 60


class PostgresServer(Protocol):
    """A running PostgreSQL that a test may do anything to, short of stopping it."""

    @property
    def kind(self) -> str:
        """Which one it is: `embedded` or `docker`."""

    @property
    def admin_url(self) -> str:
        """URL of the superuser in the maintenance database."""

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """libpq URL over TCP; without a password, the superuser's own."""

    def create_database(self, like: str | None = None) -> str:
        """Make a database with a name of its own, empty or a copy of another, to which nobody may be connected.

        Databases are named by the superuser's URLs; returns the one of the new database.
        """

    def create_log(self, layout: Layout) -> str:
        """As `create_database`, with the empty tables of a layout."""

    def drop_database(self, url: str) -> None:
        """Remove a database made by `create_database`, ending whatever is connected to it."""


_CHEAP_LOGINS = {"scram_iterations": "1"}
"""A setting of servers: each of thousands of logins hashes its password once, and not thousands of times.

Not of those in containers: clients written in Go, such as postgres_exporter, refuse fewer rounds than 4,096.
"""


class _Server:
    kind = ""
    host = "127.0.0.1"
    port = 0
    password = ""
    _administrator: "psycopg.Connection[Any] | None" = None

    def __init__(self) -> None:
        self._logs: dict[Layout, str] = {}

    @property
    def admin_url(self) -> str:
        return self.url()

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://{quote(user, safe='')}:{secret}@{self.host}:{self.port}/{quote(database, safe='')}"

    def create_database(self, like: str | None = None) -> str:
        name = f"test_{secrets.token_hex(6)}"
        # copied as files: a third of what it costs to write all of it to the log first
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        model = sql.Identifier("template1" if like is None else _name(like))
        self._administer(statement.format(sql.Identifier(name), model))
        return self.url(name)

    def create_log(self, layout: Layout) -> str:
        # copied: to make the tables costs more than the rest of a database
        if layout not in self._logs:
            self._logs[layout] = self.create_database()
            with psycopg.connect(self._logs[layout]) as connection:
                load_schema(connection, layout)
        return self.create_database(like=self._logs[layout])

    def drop_database(self, url: str) -> None:
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_name(url))))

    def _administer(self, statement: sql.Composed) -> None:
        """Run a statement over a connection that is kept; a test may have ended it."""
        if self._administrator is None or self._administrator.closed:
            self._administrator = psycopg.connect(self.admin_url, autocommit=True)
        try:
            self._administrator.execute(statement)
        except psycopg.OperationalError:
            if not self._administrator.closed:
                raise
            self._administer(statement)

    def _prepare(self) -> None:
        """Make cheap what thousands of tests do: to log in, and to look at a fresh database for the first time."""
        # hashed by as few rounds as the server's settings say
        self._administer(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(self.password)))
        # leaves a digest of the catalog among the files that are copied for each database
        psycopg.connect(self.url("template1")).close()


def _name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


class EmbeddedServer(_Server):
    """The server that the demo uses."""

    kind = "embedded"

    def __init__(self, running: EmbeddedPostgres) -> None:
        super().__init__()
        self.port = running.port
        self.password = running.password
        self._prepare()


class DockerServer(_Server):
    """PostgreSQL 17 in a container."""

    kind = "docker"

    def __init__(self, container: DockerContainer, password: str) -> None:
        super().__init__()
        self.host = reachable_host(container)
        self.port = container.get_exposed_port(5432)
        self.password = password
        self._container = container

    @property
    def address_for_containers(self) -> str:
        """IP address at which other containers on the default bridge reach port 5432."""
        return str(container_address(self._container))


@contextlib.contextmanager
def run_embedded_postgres() -> Iterator[EmbeddedServer]:
    """Run an embedded server."""
    with EmbeddedPostgres(durable=False, settings=_CHEAP_LOGINS) as running:
        yield EmbeddedServer(running)


@contextlib.contextmanager
def run_docker_postgres() -> Iterator[DockerServer]:
    """Run PostgreSQL 17 in a container; skips (in CI: fails) where there is no Docker engine."""
    require_docker("PostgreSQL 17 in a container")
    password = secrets.token_hex(16)
    not_durable = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    settings = {**not_durable, "timezone": "UTC"}
    container = (
        DockerContainer(docker_image("POSTGRES_IMAGE", "postgres:17"))
        .with_env("POSTGRES_PASSWORD", password)
        .with_exposed_ports(5432)
        .with_tmpfs_mount("/var/lib/postgresql/data")
        .with_command(["postgres", *(f"--{name}={value}" for name, value in settings.items())])
    )
    with container:
        server = DockerServer(container, password)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                psycopg.connect(server.admin_url, connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        server._prepare()
        yield server


def docker_image(name_env: str, default: str) -> str:
    """The image to run: what the environment variable says, else the default.

    Skips where the engine neither has it nor can pull it; in CI that fails.
    """
    image = os.environ.get(name_env) or default
    if not _image_is_there(image):
        leave_out(f"no image {image} to be had (name another one with {name_env})")
    return image


def require_docker(what_is_not_tested: str) -> None:
    """Skip the test where no Docker engine is reachable; fail it in CI, where nothing is skipped."""
    if not _docker_is_reachable():
        leave_out(f"no Docker engine is reachable: not tested against {what_is_not_tested}")


def leave_out(reason: str) -> NoReturn:
    """Skip the test for this reason; fail it in CI, where nothing is skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def container_address(container: DockerContainer) -> str:
    """A container's IP address on the default bridge."""
    return str(container.get_docker_client().bridge_ip(container.get_wrapped_container().id))


def reachable_host(container: DockerContainer) -> str:
    """The host at which the container's exposed ports answer; 127.0.0.1 where that is this machine."""
    host = container.get_container_host_ip()
    return "127.0.0.1" if host == "localhost" else str(host)


@cache
def _docker_is_reachable() -> bool:
    # Whatever the client raises here (no socket, no permission, a bad DOCKER_HOST) means the same to a test.
    try:
        DockerClient().client.ping()
    except Exception:
        return False
    return True


@cache
def _image_is_there(image: str) -> bool:
    images = DockerClient().client.images
    with contextlib.suppress(DockerException):
        images.get(image)
        return True
    with contextlib.suppress(DockerException):
        images.pull(image)
        return True
    return False
