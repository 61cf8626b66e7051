"""Tables as they are found: other schemas, views, other spellings; and clear words where a guess would be wrong."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.demo.schema import Layout
from tests.support.harness import Log, assert_shows_what_sql_says, fixed_layout, running
from tests.support.scraped import assert_blind, said

layout = fixed_layout("success")


def recreated(log: Log, name: Layout) -> Log:
    """The same database with the tables of the other layout."""
    log.execute("DROP SCHEMA public CASCADE")
    log.execute("CREATE SCHEMA public")
    log.connection.close()
    return Log(log.url, name)


def refused(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, *words: str, **overrides: Any) -> str:
    """What is said of a log that is not read."""
    with running(log.url, tmp_path, **overrides) as exporter:
        scraped = exporter.scrape()
        assert_blind(scraped)
        assert scraped.collectors["routes"] == 1
        message = said(caplog, "log:", *words)
        assert message, caplog.text
        return message


@pytest.mark.parametrize(
    ("column", "setting"),
    [
        ("created_at", "columns.log.time"),
        ("model_used", "columns.log.model"),
        ("cost_usd", "columns.log.cost"),
        ("error_message", "columns.log.error_message"),
        ("success", "columns.log.success or columns.log.status"),
    ],
)
def test_a_missing_column_is_named_with_those_seen_and_the_setting(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, column: str, setting: str
) -> None:
    log.execute(f"ALTER TABLE ai_operation_log RENAME {column} TO renamed")
    message = refused(log, tmp_path, caplog, "public.ai_operation_log", "columns seen: id, ", "renamed", setting)
    # what the message says to write is enough
    setting = setting.split(" or ")[0].split(".")[-1]
    with running(log.url, tmp_path / "other", columns={"log": {setting: "renamed"}}) as exporter:
        exporter.wait_ready()
        assert message
        assert exporter.scrape().up == 1


@pytest.mark.parametrize(
    ("addition", "first", "second", "setting"),
    [
        ("executed_at timestamp DEFAULT now()", "created_at", "executed_at", "time"),
        ("model text", "model_used", "model", "model"),
        ("status text", "success", "status", "success"),
    ],
)
def test_two_candidates_are_a_question_and_the_configuration_answers_it(
    log: Log,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    addition: str,
    first: str,
    second: str,
    setting: str,
) -> None:
    log.execute(f"ALTER TABLE ai_operation_log ADD {addition}")
    refused(log, tmp_path, caplog, first, second, f"columns.log.{setting}")
    with running(log.url, tmp_path / "other", columns={"log": {setting: first}}) as exporter:
        exporter.wait_ready()
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER cost_usd TYPE text", ("cost_usd is of type text", "a number", "columns.log.cost")),
        ("ALTER created_at TYPE date", ("created_at is of type date", "columns.log.time")),
        ("ALTER success TYPE text", ("success is of type text", "boolean")),
        ("ALTER model_used TYPE int USING 1", ("model_used is of type integer", "columns.log.model")),
    ],
)
def test_a_column_of_an_unfit_type(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, words: tuple[str, ...]
) -> None:
    log.execute(f"ALTER TABLE ai_operation_log {change}")
    refused(log, tmp_path, caplog, *words)


def test_a_setting_that_names_no_column(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns = {"log": {"cost": "price"}}
    refused(log, tmp_path, caplog, "no column price", "columns.log.cost", "cost_usd", columns=columns)


def test_no_table_at_all_and_then_there_is_one(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log.execute("ALTER TABLE ai_operation_log RENAME TO elsewhere")
    with running(log.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        assert said(caplog, "log:", "no table or view ai_operation_log", "tables.log")
        log.execute("ALTER TABLE elsewhere RENAME TO ai_operation_log")
        exporter.wait_ready()
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize("schema", ['Our "ユーザー" App', "percent%s{x}", "select"])
def test_a_schema_of_any_name(log: Log, tmp_path: Path, schema: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"'
    log.connection.execute(f"CREATE SCHEMA {quoted}".encode())
    for table in ("ai_operation_log", "cost_budgets", "ai_model_routes", "helix_recommendations"):
        log.connection.execute(f"ALTER TABLE {table} SET SCHEMA {quoted}".encode())
    log.connection.execute(f"SET search_path TO {quoted}".encode())
    # found without being named, as the only one; and by its name
    for number, tables in enumerate(({}, {"log": f"{quoted}.ai_operation_log"})):
        with running(log.url, tmp_path / str(number), tables=tables) as exporter:
            exporter.wait_ready()
            log.insert(1)
            scraped = exporter.scrape()
            assert scraped.money == 10_001
            assert set(scraped.collectors.values()) == {1}


def test_two_schemas_with_the_table_need_a_word(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for schema in ("one", "two"):
        log.execute(f"CREATE SCHEMA {schema}")
        log.execute(f"CREATE TABLE {schema}.ai_operation_log (LIKE ai_operation_log INCLUDING ALL)")
    log.execute("DROP TABLE ai_operation_log")
    refused(log, tmp_path, caplog, "one.ai_operation_log", "two.ai_operation_log", "tables.log")
    log.execute("SET search_path TO two")
    with running(log.url, tmp_path / "other", tables={"log": "two.ai_operation_log"}) as exporter:
        exporter.wait_ready()
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_the_search_path_decides_between_two(log: Log, tmp_path: Path) -> None:
    log.execute("CREATE SCHEMA archive")
    log.execute("CREATE TABLE archive.ai_operation_log (LIKE ai_operation_log INCLUDING ALL)")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_under_another_name_with_other_columns(log: Log, tmp_path: Path, kind: str) -> None:
    log.execute(
        f'CREATE {kind} "Call Log" AS SELECT created_at AS "When", operation_type, model_used AS "the model", user_id,'
        ' input_tokens, output_tokens, cost_usd * 1 AS "Cost (USD)", latency_ms, success, error_message'
        " FROM ai_operation_log"
    )
    columns = {"log": {"time": "When", "model": '"the model"', "cost": '"Cost (USD)"'}}
    with running(log.url, tmp_path, tables={"log": '"Call Log"'}, columns=columns) as exporter:
        exporter.wait_ready()
        log.insert(1)
        if kind != "VIEW":
            log.execute('REFRESH MATERIALIZED VIEW "Call Log"')
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_a_partitioned_table(log: Log, tmp_path: Path) -> None:
    log.execute("ALTER TABLE ai_operation_log RENAME TO flat")
    log.execute("CREATE TABLE ai_operation_log (LIKE flat INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)")
    log.execute("CREATE TABLE past PARTITION OF ai_operation_log FOR VALUES FROM (MINVALUE) TO (now()::timestamp)")
    log.execute("CREATE TABLE rest PARTITION OF ai_operation_log FOR VALUES FROM (now()::timestamp) TO (MAXVALUE)")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(100)
        log.insert(0)
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize("name", ["success", "status"])
def test_a_column_with_time_zone_is_taken_as_it_is(log: Log, tmp_path: Path, name: Layout) -> None:
    with recreated(log, name) as log:
        log.execute("SET timezone TO 'Asia/Tokyo'")
        log.execute("ALTER TABLE ai_operation_log ALTER {time} TYPE timestamptz USING {time} AT TIME ZONE 'UTC'")
        # whatever the session's zone, or that for times without one, says
        with running(log.url, tmp_path, log_time_zone="America/New_York") as exporter:
            exporter.wait_ready()
            log.execute("SET timezone TO 'UTC'")
            log.insert(2, cost="0.5")
            scraped = exporter.scrape()
            assert scraped.money == 500_000
            newest = scraped.one("ai_operation_log_newest_row_timestamp_seconds")
            assert abs(datetime.now(UTC).timestamp() - newest) < 30


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Auckland"])
def test_times_without_zone_in_the_zone_of_the_writer(log: Log, tmp_path: Path, zone: str) -> None:
    with running(log.url, tmp_path, log_time_zone=zone) as exporter:
        exporter.wait_ready()
        for ago in (1, 80, 170):
            written = datetime.fromtimestamp(datetime.now(UTC).timestamp() - ago, ZoneInfo(zone))
            log.insert(at=written.replace(tzinfo=UTC), cost="0.000001")
        scraped = exporter.scrape()
        assert scraped.money == 3
        assert scraped.micro("ai_spend_today_usd") in range(4)


def test_floating_costs_are_counted_to_the_micro_dollar(log: Log, tmp_path: Path) -> None:
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE double precision")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for _ in range(100):
            log.insert(1, cost="0.1")
        assert (
            exporter.scrape().one("ai_operation_cost_usd_total", operation="email-compose", model="deepseek-v3.2") == 10
        )


def test_a_status_that_is_an_enumeration_and_users_that_are_numbers(log: Log, tmp_path: Path) -> None:
    with recreated(log, "status") as log:
        log.execute("CREATE TYPE call_status AS ENUM ('pending', 'running', 'success', 'failed', 'timeout')")
        log.execute(
            "ALTER TABLE ai_operation_log ALTER status DROP DEFAULT, DROP CONSTRAINT ai_operation_log_status_check"
        )
        log.execute("ALTER TABLE ai_operation_log ALTER status TYPE call_status USING status::call_status")
        log.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT ai_operation_log_user_id_fkey")
        log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE bigint USING 42")
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            log.insert(1)
            log.execute("UPDATE ai_operation_log SET user_id = 42")
            scraped = exporter.scrape()
            assert_shows_what_sql_says(scraped, log)
            assert scraped.one("ai_user_spend_today_usd", user="42") == 0.010001
