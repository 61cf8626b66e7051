"""Servers that refuse a function, a view or a setting of the system: what is optional never decides."""

from pathlib import Path

import psycopg
import pytest

from exporter.config import Config
from exporter.database import opening
from exporter.database.conninfo import resolve_conninfo
from exporter.database.foresight import ROUND_TRIPS
from exporter.database.login import Login
from exporter.database.transactions import Database
from exporter.demo.schema import load_schema
from tests.support.harness import Log, assert_shows_what_sql_says, fixed_layout, running
from tests.support.preflight import check, populate
from tests.support.wire import READS_THE_LOG, wire_to

REFUSALS = {
    "0A000": "feature_not_supported",
    "42883": "undefined_function",
    "42501": "insufficient_privilege",
    "XX000": "internal_error",
    "P0001": "raise_exception",
    "22P02": "invalid_text_representation",
}
layout = fixed_layout("status")


def refuse(connection: "psycopg.Connection[tuple[object, ...]]", signature: str, result: str, state: str) -> None:
    """Replace a function of the system in this database by one that is refused with an SQLSTATE."""
    connection.execute("SET allow_system_table_mods = on")
    name = f"pg_catalog.{signature}"
    connection.execute(f"ALTER FUNCTION {name} RENAME TO taken_away".encode())
    if state == "42883":
        return
    connection.execute(
        f"CREATE FUNCTION {name} RETURNS {result} LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE SQLSTATE '{state}' USING MESSAGE = 'not supported here'; END $$".encode()
    )


@pytest.mark.parametrize("state", REFUSALS)
def test_a_log_is_read_where_the_system_is_not_identified(log: Log, tmp_path: Path, state: str) -> None:
    log.execute("SET allow_system_table_mods = on")
    log.execute("ALTER FUNCTION pg_catalog.pg_control_system() RENAME TO taken_away")
    if state != "42883":
        log.execute(
            "CREATE FUNCTION pg_catalog.pg_control_system() RETURNS TABLE (system_identifier bigint)"
            f" LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '{state}' USING MESSAGE = 'not supported here'; END $$"
        )
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize(
    ("signature", "result"),
    [
        ("version()", "text"),
        ("pg_backend_pid()", "int"),
        ("to_regclass(text)", "regclass"),
        ("has_column_privilege(oid, int2, text)", "bool"),
    ],
)
@pytest.mark.parametrize("state", ["42883", "0A000"])
def test_a_window_is_read_whole_where_a_server_does_not_say_how_it_keeps_rows(
    log: Log, tmp_path: Path, signature: str, result: str, state: str
) -> None:
    refuse(log.connection, signature, result, state)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for _ in range(3):
            log.insert(3, cost="0.5")
            assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize("state", REFUSALS)
def test_a_log_is_read_where_a_server_does_not_say_which_file_a_table_has(log: Log, tmp_path: Path, state: str) -> None:
    refuse(log.connection, "pg_relation_filenode(regclass)", "oid", state)
    with wire_to(log.url) as wire, running(wire.url, tmp_path, optional_interval=60) as exporter:
        exporter.wait_ready().wait_up()
        exporter.scrape()
        for _ in range(3):
            log.insert(3, cost="0.5")
            before = wire.of(READS_THE_LOG)
            assert_shows_what_sql_says(exporter.scrape(), log)
            assert wire.of(READS_THE_LOG) - before <= ROUND_TRIPS


@pytest.mark.parametrize("state", [*REFUSALS, None])
def test_what_a_server_refuses_is_no_sign_that_it_takes_statements_one_by_one_alone(
    log: Log, monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    if state is None:
        monkeypatch.setattr(opening, "_WANTED", ", (SELECT no_such())")
    else:
        refuse(log.connection, "pg_control_system()", "TABLE (system_identifier bigint)", state)
    login = Login(resolve_conninfo(Config(), {"DATABASE_URL": log.url}))
    # as at each start, where every connection asks for the first time
    for _ in range(4):
        database = Database(login, 5, "tests")
        with database.session(10, tables=[(Config().tables.log, None)]) as one:
            one.log(Config().classification())
        database.close()
    assert login.pipelines.taken


@pytest.mark.parametrize(
    "setting", ["no_such_setting_at_all", "not.a.class", "jit_above_cost_of_nothing", "idle_elsewhere", "x"]
)
def test_a_setting_that_a_server_lacks_is_left_out(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setattr(opening, "_WANTED", opening._WANTED.replace("'jit'", f"'{setting}'"))
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(2, cost="0.25")
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize("refused", ["SELECT no_such()", "1/0", "set_config('jit', 'nonsense', true)"])
def test_a_setting_that_a_server_refuses_costs_only_itself(
    log: Log, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    monkeypatch.setattr(opening, "_WANTED", f", ({refused})")
    database = Database(resolve_conninfo(Config(), {"DATABASE_URL": log.url}), 5, "tests")
    try:
        for _ in range(2):
            with database.session(10) as one:
                query = "SELECT current_setting('row_security'), current_setting('statement_timeout'), 1"
                ((security, timeout, number),) = one.run(query)
                assert (security, number) == ("off", 1)
                assert timeout != "0"
    finally:
        database.close()


SERVED = ("recommendations index", "approvals index")
FUNCTIONS = [
    ("pg_is_in_recovery()", "boolean", {"replication"}),
    ("has_any_column_privilege(oid, text)", "boolean", {"least privilege"}),
    ("pg_last_xact_replay_timestamp()", "timestamptz", {"replication"}),
    ("pg_relation_size(regclass)", "bigint", {"time index", "user index", "model index", *SERVED}),
    ("pg_has_role(oid, text)", "boolean", {"least privilege"}),
]


@pytest.mark.parametrize("state", ["0A000", "42883", "42501", "XX000"])
@pytest.mark.parametrize(("signature", "result", "touched"), FUNCTIONS, ids=[name for name, *_ in FUNCTIONS])
def test_check_goes_on_without_what_is_refused(
    embedded_database: str, tmp_path: Path, signature: str, result: str, touched: set[str], state: str
) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        load_schema(admin, "success")
        populate(admin, "success")
        before = check(embedded_database, tmp_path)
        refuse(admin, signature, result, state)
    report = check(embedded_database, tmp_path)
    assert report.marked("FAIL") == before.marked("FAIL") == set()
    assert report.marked("-") == set()
    changed = {name for name, entry in report.entries.items() if entry.mark != before.entries[name].mark}
    assert changed <= touched
    for name in changed:
        assert "the server" in report.entries[name].detail
