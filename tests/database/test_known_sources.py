"""`check` recognizes the log of a public system wherever it is, and nothing else as one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from exporter.config import Config
from tests.support.preflight import Entry, check
from tests.support.public_logs import PUBLIC, PublicLog

Admin = psycopg.Connection[Any]


@pytest.fixture
def admin(embedded_database: str) -> Iterator[Admin]:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        yield connection


def found(admin: Admin, name: str, url: str, folder: Path, **settings: Any) -> Entry:
    return check(url, folder, **settings).entries[name]


def create_in(admin: Admin, schema: str, name: str) -> None:
    """Make a source's log in a schema that is not on the search path."""
    admin.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    admin.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
    PublicLog.of(name).create(admin)
    admin.execute("RESET search_path")


def as_written(hint: str) -> list[dict[str, Any]]:
    """The settings that a hint tells people to write, each alternative by itself."""
    told, _, _ = hint.removeprefix("write ").partition(", whose log is here; or ")
    made = []
    for alternative in told.split(" or "):
        settings: dict[str, Any] = {}
        for part in alternative.split(" with "):
            name, _, value = part.partition(": ")
            if name == "tables.log":
                settings["tables"] = {"log": value}
            else:
                settings[name] = value
        made.append(settings)
    return made


def assert_all_work(entry: Entry, url: str, folder: Path, count: int, **given: Any) -> None:
    """Each of so many alternatives of a hint, beside the `given` settings, finds the log and its columns."""
    assert entry.mark == "FAIL"
    alternatives = as_written(entry.hint[0])
    assert len(alternatives) == count, entry.hint
    for settings in alternatives:
        report = check(url, folder, **{**given, **settings})
        assert report.entries["columns"].mark == "ok", (settings, report.text)


@pytest.mark.parametrize("schema", ["gateway", "My Gateway", 'a"b.c'])
@pytest.mark.parametrize("name", PUBLIC)
def test_a_log_in_another_schema_is_found(
    name: str, schema: str, admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    create_in(admin, schema, name)
    assert_all_work(found(admin, "log table", embedded_database, tmp_path), embedded_database, tmp_path, 1)


def test_several_logs_in_one_database_are_all_named(admin: Admin, embedded_database: str, tmp_path: Path) -> None:
    PublicLog.of("litellm").create(admin)
    PublicLog.of("new-api").create(admin)
    PublicLog.of("open-webui").create(admin)
    entry = found(admin, "log table", embedded_database, tmp_path)
    assert {each["source"] for each in as_written(entry.hint[0])} == {"litellm", "new-api", "open-webui"}
    assert_all_work(entry, embedded_database, tmp_path, 3)


def test_of_two_logs_with_the_same_name_each_is_named_with_its_schema(
    admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    create_in(admin, "one", "litellm")
    create_in(admin, "two", "litellm")
    assert_all_work(found(admin, "log table", embedded_database, tmp_path), embedded_database, tmp_path, 2)
    # the settings alone do not say which
    entry = found(admin, "log table", embedded_database, tmp_path, source="litellm")
    assert "stands in several schemas" in entry.detail
    assert_all_work(entry, embedded_database, tmp_path, 2, source="litellm")


def test_logs_of_three_systems_with_the_same_name_are_told_apart(
    admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    for name in ("new-api", "one-api", "bifrost"):
        create_in(admin, name, name)
    assert_all_work(found(admin, "log table", embedded_database, tmp_path), embedded_database, tmp_path, 3)


LOOK_ALIKES = (
    "CREATE TABLE logs (id bigserial, created_at timestamptz, level text, message text)",
    "CREATE TABLE logs (id bigserial, created_at bigint, type bigint, content text, username text)",
    "CREATE TABLE messages (id uuid, created_at timestamp, status text, answer text, currency text)",
    "CREATE TABLE spans (id bigserial, start_time timestamptz, end_time timestamptz, name text, attributes jsonb)",
    'CREATE TABLE "LiteLLM_SpendLogs_archive" (request_id text, "startTime" timestamp(3))',
    "CREATE TABLE litellm_spendlogs (request_id text, starttime timestamp(3), spend float8)",
    "CREATE TABLE run (id uuid, created_at timestamptz, type text, status text)",
)


@pytest.mark.parametrize("made", LOOK_ALIKES)
def test_a_table_that_only_has_the_name_is_not_taken_for_one(
    made: str, admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    admin.execute(made.encode())
    entry = found(admin, "log table", embedded_database, tmp_path)
    assert (entry.mark, "source:" in entry.hint[0]) == ("FAIL", False)


def test_a_look_alike_on_the_search_path_hides_the_log_and_check_says_where_that_is(
    admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    admin.execute(LOOK_ALIKES[0].encode())
    create_in(admin, "gateway", "new-api")
    assert_all_work(found(admin, "log table", embedded_database, tmp_path), embedded_database, tmp_path, 1)
    entry = found(admin, "columns", embedded_database, tmp_path, source="new-api")
    assert entry.hint[0].startswith("write tables.log: gateway.logs, whose log is here; or ")
    report = check(embedded_database, tmp_path, source="new-api", tables={"log": "gateway.logs"})
    assert report.entries["columns"].mark == "ok"


@pytest.mark.parametrize("name", PUBLIC)
def test_a_view_or_a_copy_by_another_name_is_recognized_by_its_columns(
    name: str, admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    public = PublicLog.of(name)
    public.create(admin)
    log = Config.model_validate({"source": name}).tables.log.name
    admin.execute(sql.SQL("ALTER TABLE {} RENAME TO renamed").format(sql.Identifier(log)))
    admin.execute('CREATE VIEW "Calls of the Gateway" AS SELECT * FROM renamed')
    for table in ("renamed", '"Calls of the Gateway"'):
        entry = found(admin, "columns", embedded_database, tmp_path, tables={"log": table})
        (settings,) = as_written(entry.hint[0])
        assert settings["source"] == name
        assert_all_work(entry, embedded_database, tmp_path, 1)


PERHAPS = re.compile(r"columns\.log\.(\w+)(?: or columns\.log\.\w+)* \(perhaps (\"[^\"]+\"|\w+)\)")


@pytest.mark.parametrize("name", PUBLIC)
def test_all_missing_columns_are_named_in_one_round_and_what_is_proposed_is_there(
    name: str, admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    PublicLog.of(name).create(admin)
    table = str(Config.model_validate({"source": name}).tables.log)
    entry = found(admin, "columns", embedded_database, tmp_path, tables={"log": table})
    missing = set(re.findall(r"columns\.log\.(\w+)", entry.hint[0]))
    proposed = {role: column.strip('"') for role, column in PERHAPS.findall(entry.hint[0])}
    assert proposed, entry.hint
    columns: dict[str, Any] = {**dict.fromkeys(missing - {"success", "status", "time"}, "=NULL"), **proposed}
    columns |= {role: "='x'" for role in ("operation", "model") if columns.get(role) == "=NULL"}
    if {"success", "status"} <= missing and not {"success", "status"} & set(proposed):
        columns["success"] = "=true"
    # nothing else is missing then: at most a type does not fit
    again = found(admin, "columns", embedded_database, tmp_path, tables={"log": table}, columns={"log": columns})
    assert "no column" not in again.detail, yaml.safe_dump(columns)


def test_a_source_whose_columns_are_all_there_is_not_proposed_for_itself(
    admin: Admin, embedded_database: str, tmp_path: Path
) -> None:
    PublicLog.of("litellm").create(admin)
    wrong = {"log": {"where": "no_such_column"}}
    entry = found(admin, "columns", embedded_database, tmp_path, source="litellm", columns=wrong)
    assert entry.mark == "FAIL"
    assert "whose log is here" not in entry.hint[0]
