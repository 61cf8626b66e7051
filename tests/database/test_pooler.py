"""Behind PgBouncer in transaction mode, where no two transactions need have the same server connection."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from testcontainers.core.container import DockerContainer

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseError
from exporter.database.foresight import ROUND_TRIPS
from exporter.database.transactions import Database
from tests.support.harness import (
    Log,
    assert_shows_what_sql_says,
    assert_spend_is_what_sql_says,
    running,
    wait_for,
)
from tests.support.scraped import Scraped, said
from tests.support.servers import DockerServer, container_address, docker_image, reachable_host
from tests.support.wire import LOGIN, READS_TABLES, READS_THE_LOG, wire_to

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

CONFIG = """
[databases]
* = host={host} port=5432 user=postgres password={password}
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture(scope="module", params=[1, 2])
def pooler(
    request: pytest.FixtureRequest, docker_postgres: DockerServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """Host and port of a pooler with so many server connections for each database."""
    text = CONFIG.format(
        host=docker_postgres.address_for_containers, password=docker_postgres.password, size=request.param
    )
    with serving(text, tmp_path_factory.mktemp("pooler"), "postgres") as place:
        yield place


@contextlib.contextmanager
def serving(config: str, folder: Path, database: str) -> Iterator[tuple[str, int]]:
    """Host and port of a pooler by this configuration, once it lets somebody into a database."""
    folder.chmod(0o755)
    file = folder / "pooler.ini"
    file.write_text(config)
    file.chmod(0o644)
    container = (
        DockerContainer(docker_image("PGBOUNCER_IMAGE", "edoburu/pgbouncer:v1.24.1-p1"))
        .with_kwargs(entrypoint="pgbouncer")
        .with_command("/pooler.ini")
        .with_exposed_ports(6432)
        .with_volume_mapping(str(file), "/pooler.ini", "ro")
    )
    with container:
        host, port = reachable_host(container), int(container.get_exposed_port(6432))
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(host=host, port=port, user="postgres", dbname=database, connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    print(container.get_logs(), container_address(container))
                    raise
                time.sleep(0.1)
        yield host, port


BY_POLICY = """
[databases]
* = host={host} port=5432 user=ai_exporter password=x
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""


REFUSING = """
[databases]
one = host={host} port=5432 user=postgres password={password}
one_per_statement = host={host} port=5432 user=postgres password={password} dbname=postgres pool_mode=statement
no_server = host=127.0.0.1 port=1 user=postgres password={password}
[pgbouncer]
listen_addr = 0.0.0.0
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 1
query_wait_timeout = 2
server_connect_timeout = 2
server_login_retry = 1
max_client_conn = 3
"""


@pytest.fixture(scope="module")
def refusing_pooler(
    docker_postgres: DockerServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, int]]:
    """Host and port of a pooler that has little to give."""
    text = REFUSING.format(host=docker_postgres.address_for_containers, password=docker_postgres.password)
    with serving(text, tmp_path_factory.mktemp("pooler"), "one_per_statement") as place:
        yield place


@pytest.mark.parametrize(
    ("database", "told", "said", "hint"),
    [
        ("nowhere", "does not know the database", "config error", "pooler's databases and users"),
        ("one_per_statement", "for one statement only", "statement pooling mode", "pool_mode = transaction"),
        ("no_server", "no free connection to its server", "query_wait_timeout", "its server may be down"),
    ],
)
def test_the_pooler_s_own_reason_is_told(
    refusing_pooler: tuple[str, int], database: str, told: str, said: str, hint: str
) -> None:
    host, port = refusing_pooler
    error = refusal(f"postgresql://postgres@{host}:{port}/{database}")
    assert told in error.message
    assert said in error.said
    assert error.said.startswith("the server says: ")
    assert hint in error.hint


def test_a_pooler_that_is_full_is_told_from_a_server_that_is(refusing_pooler: tuple[str, int]) -> None:
    host, port = refusing_pooler
    url = f"postgresql://postgres@{host}:{port}/one_per_statement"
    with contextlib.ExitStack() as others:
        for _ in range(3):
            others.enter_context(psycopg.connect(url, autocommit=True))
        error = refusal(url)
    assert "the pooler has no connection left" in error.message
    assert "no more connections allowed" in error.said
    assert "max_client_conn" in error.hint


def refusal(url: str) -> DatabaseError:
    """How the exporter's own session fails."""
    database = Database(resolve_conninfo(Config(), {"DATABASE_URL": url}), 10, "tests")
    try:
        with pytest.raises(DatabaseError) as caught, database.session(10):
            pass
    finally:
        database.close()
    return caught.value


@pytest.fixture
def log(docker_postgres: DockerServer) -> Iterator[Log]:
    url = docker_postgres.create_database()
    with Log(url, "status") as log:
        yield log
    docker_postgres.drop_database(url)


def test_rows_that_a_policy_shows_are_read_through_a_pool(
    docker_postgres: DockerServer, log: Log, tmp_path: Path
) -> None:
    name = log.connection.info.dbname
    log.connection.execute((ROOT / "deploy" / "sql" / "role_policies.sql").read_bytes())
    log.execute("ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY; ALTER ROLE ai_exporter PASSWORD 'x'")
    text = BY_POLICY.format(host=docker_postgres.address_for_containers)
    folder = tmp_path / "pooler"
    folder.mkdir()
    try:
        with (
            serving(text, folder, name) as (host, port),
            running(f"postgresql://ai_exporter@{host}:{port}/{name}", tmp_path / "state") as exporter,
        ):
            exporter.wait_ready().wait_up()
            for number in range(1, 6):
                log.insert(cost="1")
                scraped = exporter.scrape()
                assert scraped.up == 1, exporter.exporter.status()
                assert scraped.money == number * 1_000_000
            log.execute("DROP POLICY ai_exporter_reads ON ai_operation_log")
            assert exporter.scrape().up == 0
    finally:
        log.execute("DROP OWNED BY ai_exporter; DROP ROLE ai_exporter")


def test_two_exporters_share_a_pool_of_one_or_two(pooler: tuple[str, int], log: Log, tmp_path: Path) -> None:
    host, port = pooler
    url = f"postgresql://postgres@{host}:{port}/{log.connection.info.dbname}"
    with running(url, tmp_path / "one") as one, running(url, tmp_path / "two") as two:
        one.wait_ready()
        two.wait_ready()
        seen: list[Scraped] = []

        def scrape_often(which: int) -> None:
            exporter = (one, two)[which]
            for _ in range(15):
                seen.append(exporter.scrape())

        threads = [threading.Thread(target=scrape_often, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            log.insert(2, cost="0.000101")
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        assert len(seen) == 30
        assert {scraped.up for scraped in seen} == {1}
        assert {value for scraped in seen for value in scraped.collectors.values()} == {1}
        for exporter in (one, two):
            assert_shows_what_sql_says(exporter.scrape(), log)


def test_a_scrape_through_a_pool_waits_for_as_few_round_trips(
    pooler: tuple[str, int], log: Log, tmp_path: Path
) -> None:
    host, port = pooler
    with (
        wire_to(f"postgresql://postgres@{host}:{port}/{log.connection.info.dbname}") as wire,
        running(wire.url, tmp_path) as exporter,
    ):
        assert set(exporter.scrape().collectors.values()) == {1}
        # those of the login are not counted: a pooler on the exporter's machine asks for fewer
        assert max(wire.of(READS_THE_LOG), wire.of(READS_TABLES)) <= 12 - LOGIN
        exporter.wait_ready().wait_up()
        for number in range(1, 4):
            log.insert(cost="1")
            before = {name: wire.of(name) for name in (READS_THE_LOG, READS_TABLES)}
            assert exporter.scrape().money == number * 1_000_000
            assert wire.of(READS_THE_LOG) - before[READS_THE_LOG] <= ROUND_TRIPS
            assert wire.of(READS_TABLES) - before[READS_TABLES] <= 5


def test_a_pooler_that_has_no_server_to_give_is_tried_again(
    pooler: tuple[str, int], log: Log, tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = pooler
    url = f"postgresql://postgres@{host}:{port}/{log.connection.info.dbname}"
    database = {"url": url, "connect_timeout": 2}
    log.insert(3600)
    with contextlib.ExitStack() as others, running(url, tmp_path, database=database) as exporter:
        for _ in range(request.node.callspec.params["pooler"]):
            others.enter_context(psycopg.connect(url)).execute("SELECT 1")
        # the login succeeds, and nothing after it is answered
        wait_for(lambda: bool(said(caplog, "background reader:", "no answer in time")), lambda: "nothing said")
        assert exporter.scrape(1).up == 0
        others.close()
        assert_spend_is_what_sql_says(exporter.wait_up(), log)


def test_nothing_of_a_session_is_left_with_the_pooler(pooler: tuple[str, int], log: Log, tmp_path: Path) -> None:
    host, port = pooler
    url = f"postgresql://postgres@{host}:{port}/{log.connection.info.dbname}"
    timeouts = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    names = (*timeouts, "row_security", "jit", "search_path")
    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    fresh = log.execute(query)
    with running(url, tmp_path) as exporter:
        exporter.wait_ready().scrape()
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            for _ in range(5):
                assert connection.execute(query.encode()).fetchall() == fresh
                (prepared,) = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() or (None,)
                assert prepared == 0
                exporter.scrape()
