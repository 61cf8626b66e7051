"""The generated view calls everything as the exporter does, for any name and any configuration."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from exporter.cli import main
from exporter.config import Config
from exporter.config.names import BREAKS, SURROGATES, UNSEEN
from exporter.database.labels import Names, operation_name, user_name
from exporter.demo.profiles import USERS
from exporter.demo.schema import load_schema
from exporter.sql_files.build import build
from exporter.sql_files.render import render
from tests.database.test_exact_budgets import BUDGETS
from tests.support import ROOT
from tests.support.harness import Log, config_for, running

FILES = ROOT / "deploy" / "sql"
SPECIAL = [chr(point) for each in (*BREAKS, *UNSEEN) for point in each if point not in SURROGATES]
CHARACTER = (
    st.sampled_from(SPECIAL)
    | st.sampled_from(list("ab \"'\\%$§é分😀\u0301"))
    | st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
)
WORD = st.text(CHARACTER, max_size=8) | st.sampled_from(["other", "unattributed", "unknown", "gpt-4", '"other"'])
LONG = st.builds(lambda word, times, end: word * times + end, WORD, st.integers(20, 300), WORD)
NAME = st.none() | WORD | LONG | st.builds(lambda *parts: "".join(parts), WORD, WORD, WORD)


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        log.execute("ALTER TABLE ai_operation_log ALTER operation_type DROP NOT NULL, ALTER model_used DROP NOT NULL")
        log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE text")
        yield log
        drop_role(log.connection)


def drop_role(connection: "psycopg.Connection[Any]") -> None:
    if connection.execute("SELECT FROM pg_roles WHERE rolname = 'ai_grafana'").fetchone() is not None:
        connection.execute("DROP OWNED BY ai_grafana")
        connection.execute("DROP ROLE ai_grafana")


def make_view(log: Log, config: Config | None = None) -> None:
    log.connection.execute(render(config or Config())["dashboards.sql"].encode())


def fill(log: Log, names: list[tuple[str | None, ...]]) -> None:
    log.execute("TRUNCATE ai_operation_log")
    with log.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ai_operation_log (operation_id, operation_type, model_used, user_id, success)"
            " VALUES (%s, %s, %s, %s, true)",
            names,
        )


def labels(log: Log) -> list[tuple[Any, ...]]:
    """The labels of the view of calls, which are those that the functions make of the names in the view of spending."""
    found = sorted(log.connection.execute('SELECT operation, model, "user" FROM ai_dashboards.operations').fetchall())
    made = log.connection.execute(
        "SELECT ai_dashboards.operation_label(operation, operation_type), ai_dashboards.model_label(model),"
        ' ai_dashboards.user_label("user") FROM ai_dashboards.spending'
    ).fetchall()
    assert sorted(made) == found
    return found


def test_the_committed_files_are_those_of_the_defaults(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert build(Config(), FILES, check=True) == []
    assert main(["sql", "build", "--check", "--output", str(tmp_path)]) == 1
    assert "dashboards.sql: not up to date" in capsys.readouterr().err
    assert main(["sql", "build", "--output", str(tmp_path / "new")]) == 0
    assert main(["sql", "build", "--check", "--output", str(tmp_path / "new")]) == 0
    assert main(["sql", "build", "--config", str(tmp_path / "none.yaml")]) == 1


def test_the_gauge_and_the_panel_say_the_same_of_a_model_with_two_names(log: Log, tmp_path: Path) -> None:
    models = {"aliases": {"deepseek": "deepseek-v3.2"}}
    log.insert(30, model="deepseek", cost="1")
    log.insert(40, model="deepseek-v3.2", cost="2")
    config = config_for(log.url, tmp_path, {"models": models})
    make_view(log, config)
    panel = log.execute("SELECT model, sum(cost_usd) FROM ai_dashboards.operations GROUP BY model")
    assert panel == [("deepseek-v3.2", 3)]
    with running(log.url, tmp_path, models=models) as exporter:
        assert exporter.wait_ready().wait_up().micro("ai_spend_today_usd", model="deepseek-v3.2") == 3_000_000


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(NAME, NAME, NAME, NAME), min_size=1, max_size=20))
@example([(c, f"{c}x{c}", f"a{c}b{c}", f"{c}other{c}") for c in SPECIAL])
@example([(" " * 1023 + "a", "b" * 127 + " c", "c" * 128 + "d", " " * 1024 + "e"), ("é" * 200, None, "", "\u200b")])
def test_every_label_of_the_view_is_the_exporters(log: Log, names: list[tuple[str | None, ...]]) -> None:
    if not log.execute("SELECT FROM pg_namespace WHERE nspname = 'ai_dashboards'"):
        make_view(log)
    fill(log, names)
    rules = Names(Config().classification())
    assert labels(log) == sorted(
        (operation_name(_read(one), _read(two)), rules.model(_read(model)), user_name(_read(user)))
        for one, two, model, user in names
    )


def _read(name: str | None) -> str | None:
    return None if name is None else name[:1024]


ALIAS = st.text(st.sampled_from(list("ab\"'\\$%{}:/*-;😀 é\u200b")), min_size=1, max_size=12).filter(
    lambda text: text.strip(" \u200b") != ""
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(ALIAS, ALIAS, min_size=1, max_size=5))
@example({"$$; DROP TABLE ai_operation_log; --": "a", "a": "b", "b": "c", "unknown": "x", "it's": "its\\"})
def test_an_alias_may_be_any_text(log: Log, aliases: dict[str, str]) -> None:
    try:
        config = Config.model_validate({"models": {"aliases": aliases}})
    except ValueError:  # two of them are one name
        return
    make_view(log, config)
    fill(log, [("x", None, name, None) for name in (*aliases, *aliases.values(), None, "gpt-4")])
    rules = Names(config.classification())
    found = [model for _, model, _ in labels(log)]
    assert found == sorted(rules.model(name) for name in (*aliases, *aliases.values(), None, "gpt-4"))


@pytest.mark.parametrize("file", ["role_bypassrls.sql", "role_policies.sql"])
@pytest.mark.parametrize("budgets", ["cost_budgets", "ai_operation_log", '"a.b"', '"it\'s ""$$"'])
def test_a_table_is_the_one_in_the_schema_that_the_configuration_names(log: Log, file: str, budgets: str) -> None:
    """A table of that name in the schema of another one is passed over."""
    log.execute("CREATE SCHEMA app; CREATE SCHEMA billing; ALTER TABLE ai_operation_log SET SCHEMA app")
    for schema, limit in (("public", 1), ("app", 2), ("billing", 3)):
        log.execute(f"DROP TABLE IF EXISTS {schema}.cost_budgets")
        if (schema, budgets) != ("app", "ai_operation_log"):
            log.execute(f"CREATE TABLE {schema}.{budgets} (user_id text, daily_limit_usd numeric)")
            log.execute(f"INSERT INTO {schema}.{budgets} VALUES ('u', {limit})")
    config = Config.model_validate({"tables": {"log": "app.ai_operation_log", "budgets": f"billing.{budgets}"}})
    make_view(log, config)
    assert log.execute("SELECT daily_limit_usd FROM ai_dashboards.budgets") == [(3,)]
    log.connection.execute(render(config)[file].encode())
    try:
        may_read = "SELECT has_column_privilege('ai_exporter', %s, %s, 'SELECT')"
        assert log.execute(may_read, f"billing.{budgets}", "daily_limit_usd") == [(True,)]
        assert log.execute(may_read, "app.ai_operation_log", "cost_usd") == [(True,)]
        if budgets != "ai_operation_log":
            assert log.execute(may_read, f"app.{budgets}", "daily_limit_usd") == [(False,)]
    finally:
        log.execute("DROP OWNED BY ai_exporter; DROP ROLE ai_exporter")


def test_tables_columns_and_zone_are_those_of_the_configuration(log: Log) -> None:
    log.execute('CREATE SCHEMA "it\'s"')
    log.execute('ALTER TABLE ai_operation_log SET SCHEMA "it\'s"')
    log.execute('ALTER TABLE "it\'s".ai_operation_log RENAME TO "100% calls"')
    log.execute('ALTER TABLE "it\'s"."100% calls" RENAME cost_usd TO "the $$ cost"')
    log.execute('ALTER TABLE "it\'s"."100% calls" RENAME created_at TO at')
    config = Config.model_validate(
        {
            "tables": {"log": '"it\'s"."100% calls"', "approvals": None, "budgets": None},
            "columns": {"log": {"cost": '"the $$ cost"', "time": "at"}},
            "log_time_zone": "Europe/Berlin",
        }
    )
    log.execute(
        'INSERT INTO "it\'s"."100% calls" (at, operation_type, model_used, success, "the $$ cost")'
        " VALUES ('2026-01-01 12:00', 'chat', 'm', true, 2)"
    )
    notices: list[str | None] = []
    log.connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    make_view(log, config)
    assert not [notice for notice in notices if "budgets is left out" in str(notice)]
    found = log.execute("SELECT at AT TIME ZONE 'UTC', operation, cost_usd FROM ai_dashboards.operations")
    assert [(str(at), name, cost) for at, name, cost in found] == [("2026-01-01 11:00:00", "chat", 2)]
    for file in ("role_policies.sql", "role_bypassrls.sql"):
        log.connection.execute(render(config)[file].encode())
    granted = log.execute(
        "SELECT has_column_privilege('ai_exporter', '\"it''s\".\"100% calls\"', 'the $$ cost', 'SELECT')"
    )
    log.execute("DROP OWNED BY ai_exporter")
    log.execute("DROP ROLE ai_exporter")
    assert granted == [(True,)]


TYPES = {
    "real": ("real", "cost_usd", "0.1234567", Decimal("0.1234567")),
    "a domain over real": ("short", "cost_usd", "0.1234567", Decimal("0.1234567")),
    "double": ("double precision", "cost_usd", "0.1", Decimal("0.1")),
    "integer": ("integer", "cost_usd", "3", Decimal(3)),
    "more decimals than are kept": ("numeric", "cost_usd", "0.1234567890126", Decimal("0.123456789013")),
    "a name in JSON": ("jsonb", "model_used", '"gpt-4 "', "gpt-4"),
    "a name of fixed length": ("char(20)", "model_used", "gpt-4", "gpt-4"),
    "an enumeration": ("mood", "model_used", "gpt-4 ", "gpt-4"),
    "a user's number": ("bigint", "user_id", "7", "7"),
    "an error in JSON": ("jsonb", "error_message", '{"a": 1}', '{"a": 1}'),
}


@pytest.mark.parametrize(("kind", "column", "written", "shown"), TYPES.values(), ids=TYPES)
def test_a_column_of_any_type_is_shown_as_the_exporter_reads_it(
    log: Log, kind: str, column: str, written: str, shown: object
) -> None:
    log.execute("CREATE DOMAIN short AS real")
    log.execute("CREATE TYPE mood AS ENUM ('gpt-4 ', 'x')")
    log.execute(f"ALTER TABLE ai_operation_log DROP {column}, ADD {column} {kind}")
    make_view(log)
    insert = sql.SQL("INSERT INTO ai_operation_log (operation_type, success, {}) VALUES ('chat', true, {})")
    if column != "model_used":
        log.execute("ALTER TABLE ai_operation_log ALTER model_used SET DEFAULT 'm'")
    log.connection.execute(insert.format(sql.Identifier(column), sql.Literal(written)))
    name = {"model_used": "model", "user_id": '"user"'}.get(column, column)
    assert log.execute(f"SELECT {name} FROM ai_dashboards.operations") == [(shown,)]


@pytest.mark.parametrize(
    ("kind", "written", "shown"),
    [
        ("real", "0.1234567", "0.2469134"),
        ("short", "-0.1234567", "-0.2469134"),
        ("double precision", "0.1", "0.2"),
        ("numeric", "0.0000000000015", "0.000000000003"),
        ("numeric", "NaN", None),
        ("money", "3", "6"),
        ("smallint", "-3", "-6"),
    ],
)
def test_a_cost_of_any_type_is_converted_as_the_exporter_does(
    log: Log, kind: str, written: str, shown: str | None
) -> None:
    log.execute("CREATE DOMAIN short AS real")
    log.execute(f"ALTER TABLE ai_operation_log DROP cost_usd, ADD cost_usd {kind}, ADD code text DEFAULT 'rmb'")
    settings = {"columns": {"log": {"currency": "code", "currencies": {"RMB": 2}}}}
    make_view(log, Config.model_validate(settings))
    log.execute(
        "INSERT INTO ai_operation_log (operation_type, model_used, success, cost_usd)"
        f" VALUES ('chat', 'm', true, '{written}')"
    )
    expected = [(None if shown is None else Decimal(shown),)]
    assert log.execute("SELECT cost_usd FROM ai_dashboards.operations") == expected
    assert log.execute("SELECT cost_usd FROM ai_dashboards.spending") == expected


@pytest.mark.parametrize("mode", ["off", "hmac"])
def test_users_whom_the_exporter_hides_are_hidden_unless_ids_are_asked_for(log: Log, mode: str) -> None:
    log.insert(1)
    hidden = Config.model_validate({"users": {"mode": mode, "hmac_key_file": "key"}})
    for config, expected in ((hidden, True), (Config(), False)):
        make_view(log, config)
        for view in ("operations", "spending"):
            ((user,),) = log.execute(f'SELECT "user" FROM ai_dashboards.{view}')
            assert (user == "hidden") == expected
    log.execute("SET ai_dashboards.users = 'id'")
    make_view(log, hidden)
    assert log.execute('SELECT "user" FROM ai_dashboards.operations') != [("hidden",)]


@pytest.mark.parametrize("spelling", BUDGETS)
def test_the_budgets_are_one_view_in_each_spelling_and_can_be_changed_through_it(log: Log, spelling: str) -> None:
    columns, values = BUDGETS[spelling]
    log.execute("DROP TABLE cost_budgets")
    log.execute(f"CREATE TABLE cost_budgets ({columns})")
    log.execute(f"INSERT INTO cost_budgets VALUES {values}", USERS[0])
    make_view(log)
    found = 'SELECT "user", daily_limit_usd, monthly_limit_usd FROM ai_dashboards.budgets'
    monthly = Decimal(100) if "monthly" in columns else None
    assert log.execute(found) == [(str(USERS[0]), 10, monthly)]
    log.execute('UPDATE ai_dashboards.budgets SET daily_limit_usd = 50 WHERE "user" = %s', str(USERS[0]))
    assert log.execute(found) == [(str(USERS[0]), 50, monthly)]
    assert not log.execute("SELECT 1 WHERE has_table_privilege('ai_grafana', 'ai_dashboards.budgets', 'SELECT')")


def test_without_budgets_or_with_those_of_a_stranger_there_is_no_view_of_them(log: Log) -> None:
    log.execute("CREATE ROLE stranger_to_the_log")
    try:
        log.execute("ALTER TABLE cost_budgets OWNER TO stranger_to_the_log")
        make_view(log)
        assert not log.execute("SELECT FROM pg_views WHERE viewname = 'budgets'")
        log.execute("DROP TABLE cost_budgets")
    finally:
        log.execute("DROP OWNED BY stranger_to_the_log")
        log.execute("DROP ROLE stranger_to_the_log")
    make_view(log)
    assert not log.execute("SELECT FROM pg_views WHERE viewname = 'budgets'")


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII", "EUC_JP"])
def test_the_view_can_be_made_in_databases_of_other_encodings(embedded_database: str, encoding: str) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        name = f"{admin.info.dbname}_other"
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())
        url = embedded_database.replace(admin.info.dbname, name)
        try:
            with psycopg.connect(url, autocommit=True, client_encoding="utf8") as other:
                load_schema(other, "success")
                other.execute(render(Config())["dashboards.sql"].encode())
                other.execute(
                    "INSERT INTO ai_operation_log (operation_type, model_used, success) VALUES (' \tchat', 'm1 ', true)"
                )
                found = other.execute("SELECT operation, model FROM ai_dashboards.operations").fetchall()
                assert found == [("chat", "m1")]
                drop_role(other)
        finally:
            admin.execute(f"DROP DATABASE {name}".encode())
