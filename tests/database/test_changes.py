"""A window of which only the changes are read is what it is when it is read whole, whatever has happened between."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import exporter.database.window
from exporter.config import Config
from exporter.database.changes import LONGEST, ChangeReader
from exporter.database.conninfo import resolve_conninfo
from exporter.database.reader import read_span
from exporter.database.transactions import Database
from exporter.database.window import WindowReader, versions_of
from exporter.ledger.calendar import floor_to
from exporter.ledger.model import Bucket, TimeRange
from tests.support.harness import Log, fixed_layout
from tests.support.thorough import examples

layout = fixed_layout("success")

ROWS = """
INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd,
                              latency_ms, success, error_message, created_at)
SELECT 'chat', 'chat', 'm' || n %% 3, gen_random_uuid(), n, 1, 0.01, 100, n %% 4 > 0, '429',
       timezone('UTC', to_timestamp(%(at)s + n))
FROM generate_series(1, %(rows)s) AS n
"""
SOME = "id IN (SELECT id FROM ai_operation_log ORDER BY md5(id::text) LIMIT 2)"
NEWEST = "id = (SELECT id FROM ai_operation_log ORDER BY created_at DESC, id LIMIT 1)"

AT_ONCE = {
    "cost": f"UPDATE ai_operation_log SET cost_usd = cost_usd + 1 WHERE {SOME}",
    "newest": f"UPDATE ai_operation_log SET latency_ms = 7000, success = true WHERE {NEWEST}",
    "moved": f"UPDATE ai_operation_log SET created_at = created_at - interval '1 minute' WHERE {SOME}",
    "moved_ahead": f"UPDATE ai_operation_log SET created_at = created_at + interval '2 minutes' WHERE {SOME}",
    "deleted": f"DELETE FROM ai_operation_log WHERE {SOME}",
    "newest_deleted": f"DELETE FROM ai_operation_log WHERE {NEWEST}",
    "there_and_back": f"UPDATE ai_operation_log SET created_at = created_at - interval '1 minute' WHERE {SOME};"
    f" UPDATE ai_operation_log SET created_at = created_at + interval '1 minute' WHERE {SOME}",
    "upserted": f"INSERT INTO ai_operation_log SELECT * FROM ai_operation_log WHERE {SOME}"
    " ON CONFLICT (id) DO UPDATE SET output_tokens = ai_operation_log.output_tokens + 5",
    "replaced": f"WITH gone AS (DELETE FROM ai_operation_log WHERE {SOME} RETURNING *) INSERT INTO ai_operation_log"
    " SELECT (jsonb_populate_record(NULL::ai_operation_log, to_jsonb(gone) || '{\"cost_usd\": 3}')).* FROM gone",
}
"""What takes no lock that others wait for."""

ALONE = {
    "truncated": "TRUNCATE ai_operation_log",
    "rewritten": "VACUUM (FULL, FREEZE) ai_operation_log",
    "vacuumed": "VACUUM (FREEZE) ai_operation_log",
    "column": "ALTER TABLE ai_operation_log DROP COLUMN cost_usd CASCADE, ADD COLUMN cost_usd numeric(12,6) DEFAULT 5",
    "columns_change_names": "ALTER TABLE ai_operation_log RENAME input_tokens TO other_tokens;"
    " ALTER TABLE ai_operation_log RENAME output_tokens TO input_tokens;"
    " ALTER TABLE ai_operation_log RENAME other_tokens TO output_tokens",
    "clustered": "CREATE INDEX by_cost ON ai_operation_log (cost_usd); CLUSTER ai_operation_log USING by_cost;"
    " DROP INDEX by_cost",
    "unlogged": "ALTER TABLE ai_operation_log SET UNLOGGED",
    "logged": "ALTER TABLE ai_operation_log SET LOGGED",
    "filled_again": "BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM ai_operation_log;"
    " TRUNCATE ai_operation_log; INSERT INTO ai_operation_log SELECT * FROM kept; COMMIT",
    "column_type": "ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(14,6) USING cost_usd + 1",
    # the rows of what comes and goes were written long before
    "child_comes": "ALTER TABLE child INHERIT ai_operation_log",
    "child_goes": "ALTER TABLE child NO INHERIT ai_operation_log",
    "swapped": "ALTER TABLE ai_operation_log RENAME TO aside; ALTER TABLE other RENAME TO ai_operation_log;"
    " ALTER TABLE aside RENAME TO other",
    "other_filled": "TRUNCATE other; INSERT INTO other SELECT (jsonb_populate_record(NULL::ai_operation_log,"
    " to_jsonb(l) || '{\"cost_usd\": 9}')).* FROM ai_operation_log AS l",
    "child_filled": "TRUNCATE child; INSERT INTO child SELECT * FROM ONLY ai_operation_log LIMIT 3",
}
"""What waits for those who write."""

SLOW = ("insert", "nested", "update", "upsert", "delete", "savepoint", "rollback_to", "commit", "rollback")

steps = st.one_of(
    st.tuples(st.just("rows"), st.integers(-240, 90), st.integers(1, 4)),
    st.tuples(st.just("time"), st.integers(0, 70)),
    st.tuples(st.sampled_from(sorted(AT_ONCE))),
    st.tuples(st.sampled_from(sorted(ALONE))),
    st.tuples(st.just("slow"), st.integers(0, 1), st.sampled_from(SLOW)),
    st.tuples(st.just("read")),
)


class Story:
    """A log to which things happen, and reads of its last minutes."""

    def __init__(self, url: str, rows: int) -> None:
        config = Config.model_validate({"database": {"url": url}})
        self.rules = config.classification()
        self.window = WindowReader()
        self.database = Database(resolve_conninfo(config, {}), 5, "tests")
        self.main = psycopg.connect(url, autocommit=True)
        self.slow = [psycopg.connect(url) for _ in range(2)]
        for connection in self.slow:
            connection.execute("SET lock_timeout = '5ms'")
            connection.commit()
        self.begun = floor_to(int(time.time()), 60)
        self.now = self.begun + 20
        self.main.execute(
            "DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS other; TRUNCATE ai_operation_log;"
            " CREATE TABLE child (LIKE ai_operation_log INCLUDING ALL);"
            " CREATE TABLE other (LIKE ai_operation_log INCLUDING ALL)"
        )
        self.main.execute("ANALYZE ai_operation_log")  # a table that had a child is known as one until then
        self.add(self.main, -200, rows)

    def close(self) -> None:
        for connection in (self.main, *self.slow):
            connection.close()
        self.database.close()

    def add(self, connection: psycopg.Connection[Any], ago: int, rows: int) -> None:
        connection.execute(ROWS, {"at": self.now + ago, "rows": rows})

    def happen(self, what: str, *details: Any) -> None:
        match what:
            case "rows":
                self.add(self.main, *details)
            case "time":
                self.now += details[0]
            case "slow":
                self.go_on(self.slow[details[0]], details[1])
            case "read":
                self.read()
            case _ if what in AT_ONCE:
                with suppress(psycopg.errors.LockNotAvailable):
                    self.main.execute("SET lock_timeout = '5ms'")
                    self.main.execute(AT_ONCE[what].encode())
            case _:
                for connection in self.slow:
                    connection.commit()
                self.main.execute("SET lock_timeout = 0")
                # a child that is one, or is none, already
                with suppress(psycopg.ProgrammingError, psycopg.DataError):
                    self.main.execute(ALONE[what].encode())

    def go_on(self, connection: psycopg.Connection[Any], what: str) -> None:
        """Do something in a transaction that goes on until it is ended."""
        ends: dict[str, Callable[[], object]] = {"commit": connection.commit, "rollback": connection.rollback}
        if what in ends:
            ends[what]()
            return
        sent = {
            "savepoint": "SAVEPOINT one",
            "rollback_to": "ROLLBACK TO one",
            "update": AT_ONCE["cost"],
            "upsert": AT_ONCE["upserted"],
            "delete": AT_ONCE["deleted"],
        }
        try:
            if what == "nested":
                with connection.transaction():
                    self.add(connection, -30, 2)
            elif what == "insert":
                self.add(connection, -70, 2)
            else:
                connection.execute(sent[what].encode())
        except psycopg.Error:
            connection.rollback()

    def read(self) -> dict[int, Bucket]:
        """What the window holds; raises `AssertionError` where that is not what it holds when it is read whole."""
        span = TimeRange(floor_to(self.now - 180, 60), self.now + 1)
        with self.database.session(60) as session:
            table = session.log(self.rules)
            read = self.window.read(session, table, self.rules, span)
            assert read == read_span(session, table, self.rules, span)
            return read

    def tells(self) -> bool:
        with self.database.session(60) as session:
            table = session.log(self.rules)
            return not versions_of(session, table, self.rules).blind


@pytest.fixture
def story(log: Log) -> Iterator[Story]:
    story = Story(log.url, 180)
    yield story
    story.close()


@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(steps, max_size=14), st.sampled_from([0, 3, 60, 4000]))
@example([("slow", 0, "nested"), ("read",), ("slow", 0, "commit"), ("read",)], 4000)
@example([("slow", 0, "insert"), ("rows", -20, 1), ("read",), ("newest_deleted",), ("read",)], 4000)
@example([("slow", 0, "insert"), ("rows", -20, 1), ("read",), ("newest_deleted",), ("read",)], 0)
@example([("other_filled",), ("read",), ("swapped",), ("read",)], 4000)
@example([("child_filled",), ("read",), ("deleted",), ("child_comes",), ("read",), ("child_goes",), ("read",)], 4000)
@example([("read",), ("column",), ("read",), ("rewritten",), ("read",)], 4000)
@example([("cost",), ("read",), ("cost",)], 0)
@example([("read",), ("columns_change_names",), ("read",)], 4000)
@example([("slow", 0, "insert"), ("read",), ("clustered",), ("read",), ("filled_again",), ("read",)], 4000)
@example([("slow", 0, "upsert"), ("read",), ("slow", 0, "commit"), ("unlogged",), ("read",), ("logged",)], 4000)
@example([("rows", 30, 4), ("read",), ("time", 35), ("read",), ("time", 70), ("read",)], 4000)
def test_what_is_read_by_its_changes_is_what_is_there(log: Log, happened: list[tuple[Any, ...]], few: int) -> None:
    story = Story(log.url, 60)
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(exporter.database.window, "FEW", few)
            assert story.tells()
            story.read()
            for step in happened:
                story.happen(*step)
            story.read()
            story.read()
    finally:
        story.close()


def counted(story: Story, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each read takes, from now on."""
    taken: list[int] = []
    read = ChangeReader._read

    def counting(reader: ChangeReader, *arguments: Any) -> Any:
        found = read(reader, *arguments)
        taken.append(sum(len(part) for parts in found.minutes.values() for part in parts))
        return found

    monkeypatch.setattr(ChangeReader, "_read", counting)
    return taken


def test_only_what_has_changed_is_taken(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = counted(story, monkeypatch)
    before = story.read()
    story.add(story.main, -3, 2)
    after = story.read()
    assert taken == [sum(taken[:1]), 2]
    assert taken[0] > 100
    assert [at for at in after if after[at] is not before.get(at)] == [max(after)]


def test_a_row_that_has_changed_makes_only_the_minutes_from_it_on_be_read_again(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = story.read()
    taken = counted(story, monkeypatch)
    story.happen("newest")
    after = story.read()
    last = max(after)
    # once by what has changed, and then the minute whole; from then on it is taken whole at once
    assert [at for at in after if after[at] is not before[at]] == [last]
    story.read()
    assert len(taken) == 3
    assert taken[0] == 1
    assert taken[1] == taken[2]


def test_rows_of_a_transaction_that_is_not_the_newest_are_found(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.add(story.slow[0], -70, 2)
    story.add(story.main, -10, 1)
    story.read()
    story.slow[0].commit()
    taken = counted(story, monkeypatch)
    story.read()
    # all that was written since the transaction began
    assert taken == [3]


def test_a_window_is_read_whole_now_and_then(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.read()
    monkeypatch.setattr("exporter.database.changes.LONGEST", -LONGEST)
    taken = counted(story, monkeypatch)
    story.read()
    assert taken[0] > 100


def test_another_connection_knows_nothing(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.read()
    story.database.close()
    taken = counted(story, monkeypatch)
    story.read()
    assert taken[0] > 100


BLIND = {
    "child": "CREATE TABLE kid () INHERITS (ai_operation_log)",
    "view": "ALTER TABLE ai_operation_log RENAME TO base; CREATE VIEW ai_operation_log AS SELECT * FROM base",
    "materialized": "ALTER TABLE ai_operation_log RENAME TO base;"
    " CREATE MATERIALIZED VIEW ai_operation_log AS SELECT * FROM base",
    "partitioned": "ALTER TABLE ai_operation_log RENAME TO base; ALTER TABLE base DROP CONSTRAINT"
    " ai_operation_log_pkey; CREATE TABLE ai_operation_log (LIKE base) PARTITION BY RANGE (created_at);"
    " ALTER TABLE ai_operation_log ATTACH PARTITION base DEFAULT",
    "catalog": "ALTER TABLE ai_operation_log ALTER user_id TYPE regrole USING 'pg_monitor'::regrole",
    "enumeration": "CREATE TYPE model AS ENUM ('m0', 'm1', 'm2');"
    " ALTER TABLE ai_operation_log ALTER model_used TYPE model USING model_used::model",
}
"""Tables of which versions of rows do not tell all."""

REFRESH = "UPDATE base SET cost_usd = 7; REFRESH MATERIALIZED VIEW ai_operation_log"


@pytest.mark.parametrize("kind", BLIND)
def test_where_versions_of_rows_do_not_tell_the_window_is_read_as_a_whole(story: Story, kind: str) -> None:
    assert story.tells()
    story.main.execute(BLIND[kind].encode())
    assert not story.tells()
    story.read()
    story.main.execute((REFRESH if kind == "materialized" else AT_ONCE["cost"]).encode())
    story.read()


COLUMNS = (
    "id, created_at, operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd, "
    "latency_ms, success, error_message"
)


@pytest.mark.parametrize("granted", [f"({COLUMNS})", f"({COLUMNS}, xmin)", ""], ids=["columns", "xmin", "all"])
def test_a_role_that_reads_single_columns_needs_one_for_the_versions(story: Story, log: Log, granted: str) -> None:
    assert story.tells()
    grant = f"SELECT {granted}"
    log.connection.execute("CREATE ROLE only_columns LOGIN BYPASSRLS PASSWORD 'x'")
    try:
        log.connection.execute(f"GRANT {grant} ON ai_operation_log TO only_columns".encode())
        info = log.connection.info
        url = f"postgresql://only_columns:x@{info.host}:{info.port}/{info.dbname}"
        config = Config.model_validate({"database": {"url": url}})
        story.database.close()
        story.database = Database(resolve_conninfo(config, {}), 5, "tests")
        assert story.tells() == (granted != f"({COLUMNS})")
        story.read()
        story.add(story.main, -3, 2)
        story.read()
        story.happen("cost")
        story.read()
        # what is taken away between two reads is asked for in each
        log.connection.execute(f"REVOKE {grant} ON ai_operation_log FROM only_columns".encode())
        log.connection.execute(f"GRANT SELECT ({COLUMNS}) ON ai_operation_log TO only_columns".encode())
        assert not story.tells()
        story.read()
    finally:
        story.database.close()
        log.connection.execute("DROP OWNED BY only_columns; DROP ROLE only_columns")


def test_a_minute_that_comes_out_the_same_is_the_same_bucket(story: Story) -> None:
    story.read()
    story.happen("newest")
    before = story.read()
    # the newest minutes are taken whole for a while
    after = story.read()
    assert [at for at in after if after[at] is not before[at]] == []


MORE = {
    "refunded": f"UPDATE ai_operation_log SET cost_usd = -cost_usd WHERE {SOME}",
    "first_token": f"UPDATE ai_operation_log SET ttft = coalesce(ttft, 0) + 700 WHERE {SOME}",
    "no_first_token": f"UPDATE ai_operation_log SET ttft = 'NaN' WHERE {SOME}",
    "cached": f"UPDATE ai_operation_log SET cached_tokens = cached_tokens + 3 WHERE {SOME}",
}
"""What happens to the columns that few logs have."""


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([*MORE, "cost", "deleted", "newest", "read"]), max_size=12), st.sampled_from([3, 4000]))
@example([*MORE, "read", *MORE], 4000)
@example(["refunded", "read", "refunded", "read", "no_first_token"], 3)
def test_columns_that_few_logs_have_are_read_by_their_changes_too(log: Log, happened: list[str], few: int) -> None:
    log.execute(
        "ALTER TABLE ai_operation_log ADD IF NOT EXISTS ttft numeric DEFAULT 300,"
        " ADD IF NOT EXISTS cached_tokens int DEFAULT 5"
    )
    story = Story(log.url, 60)
    story.rules = Config.model_validate({"columns": {"log": {"time_to_first_token": "ttft"}}}).classification()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(exporter.database.window, "FEW", few)
            assert story.tells()
            story.read()
            for what in happened:
                if what in MORE:
                    story.main.execute(MORE[what].encode())
                else:
                    story.happen(what)
            story.read()
            story.read()
    finally:
        story.close()
