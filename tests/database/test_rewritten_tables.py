"""A table that is rewritten or swapped while a read waits for its lock is read again, and never found empty.

What such a change writes is not there for a snapshot that is older, however many rows there are.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from exporter.config import Config, QualifiedName
from exporter.database.connection import Connection
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import PlanOutdated
from exporter.database.login import Login
from exporter.database.one_session import one_session
from exporter.database.transactions import Database
from tests.database.test_kept_statements import CHANGES
from tests.support.harness import Log, fixed_layout, running, wait_for
from tests.support.wire import READS_TABLES, READS_THE_LOG

layout = fixed_layout("success")

T = TypeVar("T")

_WAITING = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.application_name = %s AND a.datname = current_database()
"""
_SWAP = (
    "CREATE TABLE other (LIKE {table} INCLUDING ALL); INSERT INTO other SELECT * FROM {table};"
    " ALTER TABLE {table} RENAME TO gone; ALTER TABLE other RENAME TO {table}"
)


def while_it_waits(log: Log, reader: str, change: str, read: Callable[[], T]) -> T:
    """What a read brings whose lock is not free before a change has been made; `reader` is its application's name."""
    with ThreadPoolExecutor(1) as pool, psycopg.connect(log.url) as other:
        other.execute(change.encode())
        reading = pool.submit(read)
        wait_for(lambda: log.execute(_WAITING, reader) == [(1,)], lambda: f"{reader} waits for no lock")
        other.commit()
        return reading.result()


MORE_CHANGES = {
    **CHANGES,
    "filled_again": "CREATE TEMP TABLE kept AS TABLE ai_operation_log; TRUNCATE ai_operation_log;"
    " INSERT INTO ai_operation_log TABLE kept",
    "other_schema": "CREATE SCHEMA archive; CREATE TABLE archive.ai_operation_log AS TABLE ai_operation_log;"
    " DROP TABLE ai_operation_log CASCADE; ALTER TABLE archive.ai_operation_log SET SCHEMA public",
    "dropped_and_made": "CREATE TABLE other (LIKE ai_operation_log INCLUDING ALL);"
    " INSERT INTO other TABLE ai_operation_log; DROP TABLE ai_operation_log CASCADE;"
    " ALTER TABLE other RENAME TO ai_operation_log",
    "clustered": "CLUSTER ai_operation_log USING ai_operation_log_pkey",
    "unlogged": "ALTER TABLE ai_operation_log SET UNLOGGED",
}
_LOCKS = "LOCK TABLE ai_operation_log; "


@pytest.mark.parametrize("change", MORE_CHANGES)
def test_a_scrape_that_waits_for_a_change_of_the_log_reads_all_rows(log: Log, tmp_path: Path, change: str) -> None:
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        for number in range(1, 8):
            log.insert(cost="1")
            assert exporter.scrape().money == number * 1_000_000
        scraped = while_it_waits(log, READS_THE_LOG, _LOCKS + MORE_CHANGES[change], exporter.scrape)
        assert (scraped.up, scraped.money) == (1, 7_000_000)
        scraped = exporter.scrape()
        assert (scraped.up, scraped.money) == (1, 7_000_000)


SHAPES = {
    "partitioned": (
        "ALTER TABLE ai_operation_log RENAME TO base; ALTER TABLE base DROP CONSTRAINT ai_operation_log_pkey;"
        " CREATE TABLE ai_operation_log (LIKE base INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);"
        " ALTER TABLE ai_operation_log ATTACH PARTITION base DEFAULT",
        {
            "type": "ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(20, 10)",
            "partition": "ALTER TABLE ai_operation_log DETACH PARTITION base;"
            " CREATE TABLE other (LIKE base INCLUDING ALL); INSERT INTO other TABLE base;"
            " ALTER TABLE ai_operation_log ATTACH PARTITION other DEFAULT",
        },
    ),
    "parent": (
        "CREATE TABLE child () INHERITS (ai_operation_log); CREATE RULE down AS ON INSERT TO ai_operation_log"
        " DO INSTEAD INSERT INTO child VALUES (NEW.*)",
        {
            "type": "DROP RULE down ON ai_operation_log;"
            " ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(20, 10)",
            "child": "DROP RULE down ON ai_operation_log;"
            " CREATE TABLE other () INHERITS (ai_operation_log); INSERT INTO other SELECT * FROM child;"
            " DROP TABLE child",
        },
    ),
    "view": (
        "ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW ai_operation_log AS SELECT * FROM base",
        {
            "beneath": "CREATE TEMP TABLE kept AS TABLE base; TRUNCATE base; INSERT INTO base TABLE kept",
            "redefined": "CREATE TABLE other AS TABLE base; CREATE OR REPLACE VIEW ai_operation_log AS"
            " SELECT id, operation_type::varchar, operation_id, model_used, user_id, input_tokens, output_tokens,"
            " cost_usd, latency_ms, quality_score, success, error_message, created_at FROM other",
        },
    ),
    "view_of_views": (
        "ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW middle AS SELECT * FROM base;"
        " CREATE VIEW ai_operation_log AS SELECT * FROM middle",
        {"beneath": "CREATE TEMP TABLE kept AS TABLE base; TRUNCATE base; INSERT INTO base TABLE kept"},
    ),
}


@pytest.mark.parametrize(("shape", "change"), [(shape, name) for shape, (_, all_) in SHAPES.items() for name in all_])
def test_so_it_does_for_all_that_is_read_with_the_log(log: Log, tmp_path: Path, shape: str, change: str) -> None:
    made, changes = SHAPES[shape]
    log.execute(made)
    with running(log.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        for number in range(1, 8):
            log.insert(cost="1")
            assert exporter.scrape().money == number * 1_000_000
        scraped = while_it_waits(log, READS_THE_LOG, _LOCKS + changes[change], exporter.scrape)
        assert (scraped.up, scraped.money) == (1, 7_000_000)
        assert exporter.scrape().money == 7_000_000


BUDGETS = {
    "decimals": "ALTER TABLE cost_budgets ALTER daily_limit_usd TYPE numeric(20, 10)",
    "floating": "ALTER TABLE cost_budgets ALTER daily_limit_usd TYPE double precision",
    "user": "ALTER TABLE cost_budgets ALTER user_id TYPE text",
    "swapped": _SWAP.format(table="cost_budgets"),
    "dropped_and_made": "CREATE TABLE other (LIKE cost_budgets INCLUDING ALL); INSERT INTO other TABLE cost_budgets;"
    " DROP TABLE cost_budgets CASCADE; ALTER TABLE other RENAME TO cost_budgets",
    "viewed": "ALTER TABLE cost_budgets RENAME TO base; CREATE VIEW cost_budgets AS SELECT * FROM base",
}


@pytest.mark.parametrize("change", BUDGETS)
def test_a_scrape_that_waits_for_a_change_of_a_table_reads_all_its_rows(log: Log, tmp_path: Path, change: str) -> None:
    log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (gen_random_uuid(), 10)")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        assert exporter.scrape().total("ai_budget_users") == 1
        change = "LOCK TABLE cost_budgets; " + BUDGETS[change]
        scraped = while_it_waits(log, READS_TABLES, change, exporter.scrape)
        assert scraped.collectors["budgets"] == 1
        assert scraped.total("ai_budget_users") == 1


def test_a_command_says_that_it_is_to_be_run_again(log: Log) -> None:
    config = Config.model_validate({"database": {"url": log.url}})

    def command() -> None:
        with one_session(config, resolve_conninfo(config, {}), "tests", 20) as session:
            session.log(config.classification())
            log.execute(MORE_CHANGES["swapped"])

    with pytest.raises(PlanOutdated, match="run the command again"):
        command()


@pytest.mark.parametrize("change", ["decimals", "floating", "swapped", "filled_again", "dropped_and_made"])
@pytest.mark.parametrize("together", [True, False], ids=["together", "one_by_one"])
@pytest.mark.parametrize("forgets", [True, False], ids=["forgets", "keeps"])
def test_no_transaction_ends_well_that_found_nothing_of_a_table(
    log: Log, change: str, *, together: bool, forgets: bool
) -> None:
    """Whoever reads: the background reader, `check` and the reports, too."""
    log.insert(cost="1")
    config = Config.model_validate({"database": {"url": log.url}})
    login = Login(resolve_conninfo(config, {}))
    login.pipelines.taken = together
    database, name = Database(login, 5, "tests"), QualifiedName(None, "ai_operation_log")
    count = "SELECT count(*) FROM public.ai_operation_log"

    def read(change: str | None = None) -> None:
        with database.session(20) as session:
            relation = session.relation(name, "tables.log")
            assert relation is not None
            session.prove_visible(relation)
            connections.append(session.connection)
            if change is not None:
                with psycopg.connect(log.url) as other:
                    other.execute(change.encode())
            found.extend(session.run(count))

    with contextlib.closing(database):
        found: list[tuple[int, ...]] = []
        connections: list[Connection] = []
        if forgets:
            for _ in range(3):
                read()
                connections[-1].pgconn.exec_(b"DEALLOCATE ALL")
            read()
        found.clear()
        with pytest.raises(PlanOutdated, match="rewritten or replaced"):
            read(MORE_CHANGES[change])
        read()
        assert found == [(0,), (1,)]
