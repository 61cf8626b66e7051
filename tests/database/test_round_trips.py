"""How many round trips a scrape takes, counted on the wire; and that what is asked ahead is not trusted blindly."""

import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from exporter.database.foresight import ROUND_TRIPS, ROUND_TRIPS_WITHOUT
from exporter.demo.schema import Layout
from exporter.preflight import run_check
from tests.database.test_rewritten_tables import while_it_waits
from tests.support import ROOT
from tests.support.harness import (
    Log,
    Running,
    config_for,
    running,
    wait_for,
)
from tests.support.scraped import Scraped
from tests.support.servers import PostgresServer
from tests.support.wire import LOGIN, READS_TABLES, READS_THE_LOG, Wire, wire_to

POLICIES = ROOT / "deploy" / "sql" / "role_policies.sql"


HIDING = {
    "dropped": "DROP POLICY ai_exporter_reads ON ai_operation_log",
    "altered": "ALTER POLICY ai_exporter_reads ON ai_operation_log USING (cost_usd < 1)",
    "restricted": "CREATE POLICY closed ON ai_operation_log AS RESTRICTIVE USING (false)",
    "for_others": "ALTER POLICY ai_exporter_reads ON ai_operation_log TO pg_monitor",
    "replaced": "ALTER TABLE ai_operation_log RENAME TO old_log; "
    "CREATE TABLE ai_operation_log (LIKE old_log INCLUDING ALL); "
    "GRANT SELECT ON ai_operation_log TO ai_exporter; ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY",
}
"""What hides rows from a role that sees them by a policy."""


@pytest.fixture
def log(database: str, layout: Layout) -> Iterator[Log]:
    """A log on each of the two servers."""
    with Log(database, layout) as log:
        yield log


@pytest.fixture
def by_policy(log: Log, postgres: PostgresServer) -> Iterator[str]:
    """The URL of a role that sees every row by a policy, of tables with row-level security."""
    log.connection.execute(POLICIES.read_bytes())
    log.connection.execute("ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY")
    log.connection.execute("ALTER ROLE ai_exporter PASSWORD 'x'")
    yield postgres.url(log.connection.info.dbname, "ai_exporter", "x")
    log.connection.execute("DROP OWNED BY ai_exporter")
    log.connection.execute("DROP ROLE ai_exporter")


def test_a_warm_scrape_reads_the_log_in_three_round_trips(log: Log, tmp_path: Path) -> None:
    with wire_to(log.url) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        assert_three_round_trips(log, exporter, wire)


@pytest.mark.parametrize("again", [False, True], ids=["first", "reconnected"])
def test_a_cold_scrape_waits_for_at_most_twelve_round_trips(log: Log, tmp_path: Path, *, again: bool) -> None:
    """Five of them are those of the login. The optional tables are read in parallel: theirs are not added."""
    log.insert(cost="0.5")
    with wire_to(log.url) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        before: dict[str, int] = {}
        if again:
            exporter.wait_ready().wait_up()
            before = {name: wire.of(name) for name in (READS_THE_LOG, READS_TABLES)}
            log.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE %s",
                f"{READS_THE_LOG}%",
            )
        scraped = exporter.scrape()
        assert set(scraped.collectors.values()) == {1}
        for name in (READS_THE_LOG, READS_TABLES):
            # the one who finds that its connection has gone has sent one in vain
            assert LOGIN + wire.of(name) - before.get(name, 0) <= 12 + again


def test_a_scrape_that_reads_every_optional_table_waits_for_no_more(log: Log, tmp_path: Path) -> None:
    with wire_to(log.url) as wire, running(wire.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        for _ in range(3):
            before = wire.of(READS_TABLES)
            assert set(exporter.scrape().collectors.values()) == {1}
            assert 1 <= wire.of(READS_TABLES) - before <= 5


def test_an_optional_table_that_fails_costs_no_round_trip_of_the_others(log: Log, tmp_path: Path) -> None:
    log.execute("DROP TABLE ai_model_routes CASCADE; CREATE TABLE ai_model_routes (nothing int)")
    with wire_to(log.url) as wire, running(wire.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        for _ in range(3):
            before = wire.of(READS_TABLES)
            failed = [name for name, value in exporter.scrape().collectors.items() if not value]
            assert failed == ["routes"]
            # it is looked at in a transaction of its own
            assert wire.of(READS_TABLES) - before <= 5 + 6


def test_a_server_that_answers_one_by_one_is_asked_so_and_the_log_says_so(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with wire_to(log.url, one_by_one=True) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready()
        log.insert(cost="0.5")
        said = "does not answer statements that are sent together"
        wait_for(lambda: exporter.scrape().up == 1 and said in caplog.text, lambda: caplog.text)
        opened, before = wire.opened(), wire.of(READS_THE_LOG)
        assert exporter.scrape().money == 500_000
        assert wire.opened() == opened
        assert ROUND_TRIPS < wire.of(READS_THE_LOG) - before <= ROUND_TRIPS_WITHOUT


def test_it_does_so_where_rows_are_shown_by_a_policy(log: Log, by_policy: str, tmp_path: Path) -> None:
    with wire_to(by_policy) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        assert_three_round_trips(log, exporter, wire)
        # a Flush behind the end of a transaction keeps a pooler's server for nothing, until the next one has ended
        assert wire.strays.total() == 0


@pytest.mark.parametrize("shape", ["table", "partitioned"])
def test_a_log_with_policies_is_read_again_where_its_rows_were_written_anew(
    log: Log, by_policy: str, tmp_path: Path, shape: str
) -> None:
    if shape == "partitioned":
        time = log.time_column
        log.execute(
            "ALTER TABLE ai_operation_log RENAME TO base;"
            " ALTER TABLE base DROP CONSTRAINT ai_operation_log_pkey CASCADE;"
            f" CREATE TABLE ai_operation_log (LIKE base INCLUDING DEFAULTS) PARTITION BY RANGE ({time});"
            " ALTER TABLE ai_operation_log ATTACH PARTITION base DEFAULT;"
            " ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY; GRANT SELECT ON ai_operation_log TO ai_exporter;"
            " CREATE POLICY ai_exporter_reads ON ai_operation_log FOR SELECT TO ai_exporter USING (true)"
        )
    with running(by_policy, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        for number in range(1, 8):
            log.insert(cost="1")
            assert exporter.scrape().money == number * 1_000_000
        change = "LOCK TABLE ai_operation_log; ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(20, 10)"
        scraped = while_it_waits(log, READS_THE_LOG, change, exporter.scrape)
        assert (scraped.up, scraped.money) == (1, 7_000_000)


def test_a_policy_that_is_gone_is_noticed_by_the_next_scrape(log: Log, by_policy: str, tmp_path: Path) -> None:
    with running(by_policy, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        log.connection.execute("DROP POLICY ai_exporter_reads ON ai_operation_log")
        assert exporter.scrape().up == 0
        log.connection.execute(
            "CREATE POLICY ai_exporter_reads ON ai_operation_log FOR SELECT TO ai_exporter USING (true)"
        )
        assert exporter.wait_up().up == 1


@pytest.mark.parametrize("together", [True, False], ids=["together", "one_by_one"])
@pytest.mark.parametrize("change", HIDING)
def test_rows_that_are_hidden_while_the_read_waits_for_a_lock_are_noticed(
    log: Log, by_policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, *, together: bool
) -> None:
    """The catalog is as of the transaction's beginning, the policies that are obeyed are those after the lock."""
    if not together:
        monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)
    with running(by_policy, tmp_path, optional_interval=60, scrape={"timeout": "30s"}) as exporter:
        exporter.wait_ready().wait_up()
        log.insert(cost="1")
        assert exporter.scrape().money == 1_000_000
        scraped: list[Scraped] = []
        scrape = threading.Thread(target=lambda: scraped.append(exporter.scrape(25)))
        with psycopg.connect(log.url) as other:
            other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
            scrape.start()
            wait_for(lambda: _waits_for_a_lock(log), lambda: "the scrape does not wait")
            other.execute(HIDING[change].encode())
        scrape.join()
        assert scraped[0].up == 0
        assert not scraped[0].has("ai_spend_today_usd")
        assert exporter.scrape().up == 0


def _waits_for_a_lock(log: Log) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = %s"
    return bool(log.execute(waiting, READS_THE_LOG))


def test_a_locked_catalog_is_said_to_be_locked(
    log: Log, by_policy: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is sent ahead waits for the lock: that must not look like a server that is gone."""
    database = {"url": by_policy, "connect_timeout": "2s"}
    with running(by_policy, tmp_path, optional_interval=60, database=database) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        with psycopg.connect(log.url) as other:
            other.execute("LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE")
            assert exporter.scrape(20).up == 0
        lines = [record.getMessage() for record in caplog.records]
        assert any(line.startswith("log: a table is locked") for line in lines), lines
        assert not any(line.startswith("database:") for line in lines), lines
        exporter.wait_up()


def test_row_level_security_that_begins_is_noticed_by_the_next_scrape(log: Log, by_policy: str, tmp_path: Path) -> None:
    log.connection.execute("ALTER TABLE ai_operation_log DISABLE ROW LEVEL SECURITY")
    log.connection.execute("DROP POLICY ai_exporter_reads ON ai_operation_log")
    with running(by_policy, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        log.connection.execute("ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY")
        assert exporter.scrape().up == 0


def test_a_table_that_was_put_in_the_place_of_the_log_is_read(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        log.insert(cost="1")
        assert exporter.scrape().money == 1_000_000
        log.connection.execute("ALTER TABLE ai_operation_log RENAME TO old_log")
        assert exporter.scrape().up == 0
        log.connection.execute("CREATE TABLE ai_operation_log (LIKE old_log INCLUDING ALL)")
        log.connection.execute("INSERT INTO ai_operation_log SELECT * FROM old_log")
        log.insert(cost="2")
        assert exporter.wait_up().money == 3_000_000


def test_a_column_that_is_gone_is_named_by_the_next_scrape(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        log.connection.execute(sql.SQL("ALTER TABLE ai_operation_log RENAME COLUMN cost_usd TO price"))
        caplog.clear()
        assert exporter.scrape().up == 0
        assert "cost" in caplog.text


def test_check_measures_the_distance(log: Log, tmp_path: Path) -> None:
    out = io.StringIO()
    run_check(config_for(log.url, tmp_path, {}), {}, out)
    assert re.search(r"^ok +distance +\d+\.\d ms a round trip; a scrape waits for 3$", out.getvalue(), re.MULTILINE)


def assert_three_round_trips(log: Log, exporter: Running, wire: Wire) -> None:
    exporter.wait_ready().wait_up()
    for number in range(1, 4):
        log.insert(cost="0.5")
        before = wire.of(READS_THE_LOG)
        scraped = exporter.scrape()
        assert scraped.up == 1
        assert scraped.money == 500_000 * number
        assert wire.of(READS_THE_LOG) - before <= 3
