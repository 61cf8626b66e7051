"""Statements that the server keeps: only where it is the connection's end itself, and never at a figure's expense."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.config import Config, QualifiedName
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import SchemaProblem
from exporter.database.transactions import Database
from exporter.database.window import WindowReader
from exporter.ledger.model import TimeRange
from exporter.scrape.collector import Collector
from tests.support.harness import Log, fixed_layout, running
from tests.support.wire import READS_TABLES, READS_THE_LOG, wire_to

layout = fixed_layout("success")


@pytest.fixture
def database(log: Log) -> Iterator[Database]:
    """As the exporter has one, on the log's database."""
    config = Config.model_validate({"database": {"url": log.url}})
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    yield database
    database.close()


def look(database: Database, name: str = "ai_operation_log") -> tuple[psycopg.Connection[Any], list[str]]:
    """The connection, and the names of the columns, as a session finds them."""
    wanted = QualifiedName(None, name)
    with database.session(20, purpose="look", tables=[(wanted, None)]) as session:
        relation = session.relation(wanted, "tables.log")
        assert relation is not None
        session.prove_visible(relation)
        return session.connection, list(relation.columns)


def kept(connection: psycopg.Connection[Any]) -> int:
    """How many statements the server keeps for a connection."""
    (row,) = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchall()
    return int(row[0])


def test_a_warm_scrape_has_nothing_parsed_but_its_beginning_and_its_end(log: Log, tmp_path: Path) -> None:
    with wire_to(log.url) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        for number in range(1, 4):
            log.insert(cost="1")
            before = wire.parsed[READS_THE_LOG]
            assert exporter.scrape().money == number * 1_000_000
            assert wire.parsed[READS_THE_LOG] - before <= 2
        assert wire.kept[READS_THE_LOG] > 0


def test_a_round_of_all_optional_tables_has_no_catalog_parsed(log: Log, tmp_path: Path) -> None:
    with wire_to(log.url) as wire, running(wire.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        before, of_tables = wire.parsed[READS_TABLES], wire.kept[READS_TABLES]
        assert set(exporter.scrape().collectors.values()) == {1}
        assert wire.kept[READS_TABLES] == of_tables > 0
        # each table's own statement and its limits, the beginning and the end
        assert wire.parsed[READS_TABLES] - before <= 2 * 6 + 3


def test_all_tables_are_looked_for_by_one_statement(log: Log, tmp_path: Path) -> None:
    """Not by one for each: a scrape of many tables costs the server little more than one of a few."""
    with wire_to(log.url) as wire, running(wire.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        before = wire.kept[READS_TABLES]
        assert before <= 10


def test_nothing_is_kept_where_the_server_is_not_the_one_of_the_login(log: Log, tmp_path: Path) -> None:
    with wire_to(log.url, like_a_pooler=True) as wire, running(wire.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        for number in range(1, 4):
            log.insert(cost="1")
            assert exporter.scrape().money == number * 1_000_000
        assert wire.kept.total() == 0
        assert wire.parsed.total() > 0


def test_no_two_connections_give_a_statement_the_same_name(database: Database, log: Log) -> None:
    """One that a pooler in between passes on to another client's server is then unknown, and not another statement."""
    names: set[tuple[str]] = set()
    for _ in range(2):
        for _ in range(2):
            connection, _columns = look(database)
        found = connection.execute("SELECT name FROM pg_prepared_statements").fetchall()
        assert found
        assert not names & set(found)
        names |= set(found)
        database.close()


@pytest.mark.parametrize("forgotten", ["DISCARD ALL", "DEALLOCATE ALL", "DISCARD PLANS"])
def test_a_server_that_has_forgotten_its_statements_is_asked_all_the_same(
    database: Database, log: Log, forgotten: str
) -> None:
    for _ in range(2):
        connection, columns = look(database)
    assert kept(connection) > 0
    for _ in range(2):
        # past the driver, as somebody else would do it
        connection.pgconn.exec_(forgotten.encode())
        assert look(database) == (connection, columns)
    look(database)
    assert kept(connection) > 0


CHANGES = {
    "wider": "ALTER TABLE ai_operation_log ALTER input_tokens TYPE bigint",
    "narrower": "ALTER TABLE ai_operation_log ALTER output_tokens TYPE smallint",
    "numeric": "ALTER TABLE ai_operation_log ALTER latency_ms TYPE numeric",
    "decimals": "ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(20, 10)",
    "floating": "ALTER TABLE ai_operation_log ALTER cost_usd TYPE double precision",
    "user": "ALTER TABLE ai_operation_log ALTER user_id TYPE text",
    "model": "ALTER TABLE ai_operation_log ALTER model_used TYPE varchar(40)",
    "zone": "ALTER TABLE ai_operation_log ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC'",
    "column_comes": "ALTER TABLE ai_operation_log ADD cached_tokens integer DEFAULT 0",
    "column_goes": "ALTER TABLE ai_operation_log ADD more integer; ALTER TABLE ai_operation_log DROP more",
    "swapped": "CREATE TABLE other (LIKE ai_operation_log INCLUDING ALL);"
    " INSERT INTO other SELECT * FROM ai_operation_log;"
    " ALTER TABLE ai_operation_log RENAME TO gone; ALTER TABLE other RENAME TO ai_operation_log",
    "viewed": "ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW ai_operation_log AS SELECT * FROM base",
    "indexed": "CREATE INDEX ON ai_operation_log (created_at, cost_usd)",
    "statistics": "ANALYZE ai_operation_log; ANALYZE pg_catalog.pg_class; ANALYZE pg_catalog.pg_attribute",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_table_costs_no_scrape(log: Log, tmp_path: Path, change: str) -> None:
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        # the server makes plans for all values after five
        for number in range(1, 8):
            log.insert(cost="1")
            assert exporter.scrape().money == number * 1_000_000
        log.execute(CHANGES[change])
        scraped = exporter.scrape()
        assert (scraped.up, scraped.money) == (1, 7_000_000)
        if change != "viewed":
            log.insert(cost="1")
            assert exporter.scrape().money == 8_000_000


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_a_plan_that_is_made_while_the_table_is_small_serves_a_large_one(
    log: Log, database: Database, rows: int
) -> None:
    """Until the next ANALYZE nobody would make another one."""
    with log.together():
        for _ in range(rows):
            log.insert(60)
    log.execute("VACUUM ANALYZE ai_operation_log")
    rules, window, now = Config().classification(), WindowReader(), int(time.time())
    for number in range(8):
        with database.session(20, tables=[(rules.log_table, None)]) as session:
            window.read(session, session.log(rules), rules, TimeRange(now - 600, now))
            if number == 7:
                assert reads_whole_tables(session.connection) == [False, False]


def reads_whole_tables(connection: psycopg.Connection[Any]) -> list[bool]:
    """Of each plan for all values that the server keeps for reads of the log: whether it goes over all of its rows."""
    kept_plans = connection.execute(
        "SELECT name, cardinality(parameter_types) FROM pg_catalog.pg_prepared_statements"
        " WHERE statement LIKE '%FROM %ai_operation_log%' AND generic_plans > 0"
    ).fetchall()
    # what another plan would do, if it were made now
    connection.execute("SET LOCAL enable_seqscan = on")
    plans = [
        connection.execute(f'EXPLAIN EXECUTE "{name}"({", ".join(["NULL"] * parameters)})'.encode()).fetchall()
        for name, parameters in kept_plans
    ]
    return ["Seq Scan on ai_operation_log" in str(plan) for plan in plans]


TROUBLES = {
    "no table": (
        "ALTER TABLE ai_operation_log RENAME TO away",
        "ALTER TABLE away RENAME TO ai_operation_log",
    ),
    "no column": (
        "ALTER TABLE ai_operation_log RENAME cost_usd TO away",
        "ALTER TABLE ai_operation_log RENAME away TO cost_usd",
    ),
    "two meanings": (
        "ALTER TABLE ai_operation_log ADD cached_tokens integer, ADD cache_read_tokens integer",
        "ALTER TABLE ai_operation_log DROP cached_tokens, DROP cache_read_tokens",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_change_of_the_table_after_scrapes_that_failed_costs_none(
    log: Log, tmp_path: Path, trouble: str, times: int
) -> None:
    """The driver itself forgets what the server keeps by the first of several rollbacks alone."""
    begin, end = TROUBLES[trouble]
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        log.execute(begin)
        for _ in range(times):
            assert exporter.scrape().up == 0
        log.execute(end)
        for number in range(1, 4):
            log.insert(cost="1")
            scraped = exporter.scrape()
            assert (scraped.up, scraped.money) == (1, number * 1_000_000)
        for change in ("wider", "decimals", "user"):
            log.execute(CHANGES[change])
            assert [exporter.scrape().up for _ in range(3)] == [1, 1, 1], change


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("forgotten", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_what_a_server_has_forgotten_is_prepared_again_after_transactions_that_failed(
    database: Database, log: Log, forgotten: str, times: int
) -> None:
    for _ in range(2):
        connection, columns = look(database)
    for _ in range(times):
        with pytest.raises(SchemaProblem), database.session(20):
            raise SchemaProblem("for this test", "nothing")
    for _ in range(2):
        assert look(database) == (connection, columns)
    connection.pgconn.exec_(forgotten.encode())
    for _ in range(3):
        assert look(database) == (connection, columns)
    assert kept(connection) > 0


MEANWHILE = {
    **CHANGES,
    "renamed": "ALTER TABLE ai_operation_log RENAME created_at TO executed_at",
    "renamed_model": "ALTER TABLE ai_operation_log RENAME model_used TO model",
    "made_anew": "CREATE TABLE other AS SELECT * FROM ai_operation_log;"
    " ALTER TABLE other RENAME created_at TO executed_at;"
    " DROP TABLE ai_operation_log; ALTER TABLE other RENAME TO ai_operation_log",
}


@pytest.mark.parametrize("change", MEANWHILE)
def test_a_change_of_the_table_in_the_middle_of_a_scrape_costs_none(
    log: Log, tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Collector._read_window
    waiting: list[str] = []

    def changed(*what: Any) -> Any:
        while waiting:
            log.execute(waiting.pop())
        return read(*what)

    monkeypatch.setattr(Collector, "_read_window", changed)
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        for number in range(1, 8):
            log.insert(cost="1")
            assert exporter.scrape().money == number * 1_000_000
        waiting.append(MEANWHILE[change])
        assert [(seen.up, seen.money) for seen in (exporter.scrape(), exporter.scrape())] == [(1, 7_000_000)] * 2
        assert not waiting
