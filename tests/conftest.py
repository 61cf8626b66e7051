"""Fixtures: real PostgreSQL servers, and fresh databases on them."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.support.servers import (
    DockerServer,
    EmbeddedServer,
    PostgresServer,
    run_docker_postgres,
    run_embedded_postgres,
)

# a busy machine may take any time
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

Tell = Callable[[str], None]


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Says something at the end of the run, whichever process the test ran in."""
    return lambda text: record_property("told", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have told."""
    told = [
        text
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        for name, text in report.user_properties
        if name == "told" and report.when == "call"
    ]
    if told:
        terminalreporter.section("figures")
        for text in told:
            terminalreporter.write_line(str(text))


@pytest.fixture(scope="session")
def embedded_postgres() -> Iterator[EmbeddedServer]:
    """The embedded server: for tests that need any one PostgreSQL."""
    with run_embedded_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def docker_postgres() -> Iterator[DockerServer]:
    """PostgreSQL 17 in a container."""
    with run_docker_postgres() as server:
        yield server


@pytest.fixture(scope="session", params=["embedded", "docker"])
def postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """Each of the two servers in turn."""
    server: PostgresServer = request.getfixturevalue(f"{request.param}_postgres")
    return server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """Superuser's URL of a fresh empty database, on each of the two servers."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def embedded_database(embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """Superuser's URL of a fresh empty database on the embedded server."""
    url = embedded_postgres.create_database()
    yield url
    embedded_postgres.drop_database(url)
