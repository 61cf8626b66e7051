"""What Grafana reads of any log that the settings can describe, and the roles for it."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.demo.schema import load_schema
from exporter.sql_files.render import render
from tests.support.grafana import View
from tests.support.grafana import sql as sent
from tests.support.preflight import check
from tests.support.public_logs import PUBLIC, PublicLog
from tests.support.roles import drop_role
from tests.support.servers import EmbeddedServer
from tests.support.sql_panels import SQL_PANELS

PASSWORD = "for this test"

Connection = psycopg.Connection[Any]


def make_views(admin: Connection, config: Config) -> None:
    admin.execute(render(config)["dashboards.sql"].encode())


CONTENT = {
    "litellm": '"LiteLLM_SpendLogs" DROP messages, DROP response',
    "dify": "messages DROP query, DROP answer",
    "lunary": "run DROP input_text, DROP output_text",
    "bifrost": "logs DROP input_history, DROP output_message",
    "open-webui": "chat_message DROP content",
}


@pytest.mark.parametrize("name", CONTENT)
def test_what_people_wrote_is_in_no_view(embedded_database: str, name: str) -> None:
    """A migration may drop those columns: no view has them."""
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        PublicLog.of(name).create(admin)
        make_views(admin, Config.model_validate({"source": name}))
        admin.execute(f"ALTER TABLE {CONTENT[name]}".encode())
        drop_role(admin, "ai_grafana")


@pytest.fixture
def admin(embedded_database: str) -> Iterator[Connection]:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        yield connection
        drop_role(connection, "ai_grafana")


OWN_TABLE = """
CREATE SCHEMA gateway;
CREATE TABLE gateway."100% calls" (
    ts {time}, route text, model text, uid bigint, usage jsonb, cents integer, code {code}, status text,
    began timestamptz, ended timestamptz, "the $$ error" json, kind text
);
CREATE INDEX ON gateway."100% calls" (ts);
"""
OWN_SETTINGS: dict[str, Any] = {
    "tables": {"log": 'gateway."100% calls"', "budgets": None, "approvals": None},
    "columns": {
        "log": {
            "time": "ts",
            "where": "kind = 'it''s $$ a call' AND model NOT LIKE '%test%'",
            "operation": "route",
            "model": "=lower(model)",
            "user": "uid",
            "input_tokens": "=(usage ->> 'in')::numeric",
            "output_tokens": "=NULL",
            "cost": "=cents / 100.0",
            "latency": "=extract(epoch FROM ended - began) * 1000",
            "status": "code",
            "outcomes": {"ok": ["it's \\ $$ ok"], "failed": ["x%s", 'a"b'], "timeout": ["%1$s"], "running": [None]},
            "error_message": '"the $$ error"',
        }
    },
    "models": {"aliases": {"gpt": "gpt-4o"}},
}
INSERT = """
INSERT INTO gateway."100% calls" (ts, route, model, uid, usage, cents, code, began, ended, "the $$ error", kind)
SELECT {at}, 'chat', m, 7, '{{"in": 12}}', 150, code, now(), now() + interval '1.5 s', '{{"a": 1}}', k
FROM (VALUES {rows}) AS rows (m, code, k)
"""
CODES = {"it's \\ $$ ok": "ok", "x%s": "failed", 'a"b': "failed", "%1$s": "timeout", None: "running", "?": "unknown"}
UNITS = {"s": 1, "ms": 1000, "us": 1_000_000}


@pytest.mark.parametrize(
    ("time_type", "unit"),
    # an integer holds no other unit
    [("integer", "s"), *product(["bigint", "numeric", "double precision"], UNITS)],
)
def test_times_that_are_numbers_are_moments(admin: Connection, time_type: str, unit: str) -> None:
    admin.execute(OWN_TABLE.format(time=time_type, code="text").encode())
    at = f"(extract(epoch FROM timestamptz '2026-03-18 09:00:00+00') * {UNITS[unit]})"
    admin.execute(INSERT.format(at=at, rows="('GPT', 'x%s', 'it''s $$ a call')").encode())
    # a time of another unit, which no panel looks for
    admin.execute(
        INSERT.format(
            at="2147483647" + "0" * (0 if time_type == "integer" else 9), rows="('a', 'b', 'it''s $$ a call')"
        ).encode()
    )
    settings = {**OWN_SETTINGS, "columns": {"log": {**OWN_SETTINGS["columns"]["log"], "time_unit": unit}}}
    make_views(admin, Config.model_validate(settings))
    found = (
        "SELECT at FROM ai_dashboards.operations WHERE logged_at >= ai_dashboards.logged('2026-03-18 {}Z'::timestamptz)"
        " AND logged_at < ai_dashboards.logged('2026-03-18 {}Z'::timestamptz)"
    )
    nine = datetime(2026, 3, 18, 9, tzinfo=UTC)
    for since, until, wanted in (
        ("09:00", "10:00", [nine]),
        ("08:59:59.9999", "09:00:00.0001", [nine]),
        ("08:00", "09:00", []),
        ("09:00:00.0001", "10:00", []),
    ):
        rows = admin.execute(found.format(since, until).encode()).fetchall()
        assert [row[0] for row in rows] == wanted, (since, until)
    (newest,) = admin.execute("SELECT max(at) FROM ai_dashboards.operations").fetchone() or (nine,)
    assert newest >= nine


def test_any_text_may_stand_in_conditions_outcomes_and_names(admin: Connection) -> None:
    admin.execute(OWN_TABLE.format(time="timestamptz", code="text").encode())
    rows = ", ".join(
        sql.SQL("({}, {}, {})").format(model, code, kind).as_string()
        for model, code, kind in (
            *(("GPT", code, "it's $$ a call") for code in CODES),
            ("a test", "?", "it's $$ a call"),
            ("GPT", "?", "no call"),
            ("GPT", "?", None),
        )
    )
    admin.execute(INSERT.format(at="now()", rows=rows).encode())
    make_views(admin, Config.model_validate(OWN_SETTINGS))
    shown = admin.execute(
        'SELECT operation, model, "user", input_tokens, output_tokens, cost_usd, latency_seconds, error_message,'
        " outcome FROM ai_dashboards.operations"
    ).fetchall()
    same = ("chat", "gpt-4o", "7", 12, None, Decimal("1.5"), Decimal("1.5"), '{"a": 1}')
    assert sorted(shown) == sorted((*same, outcome) for outcome in CODES.values())


@pytest.mark.parametrize(
    ("code", "settings", "values"),
    [
        (
            "integer",
            {"status": "code", "outcomes": {"ok": [0], "failed": [1, 2]}},
            {0: "ok", 2: "failed", 3: "unknown"},
        ),
        ("boolean", {"status": "code", "outcomes": {"ok": [True], "failed": [False]}}, {True: "ok", False: "failed"}),
        ("boolean", {"success": "code"}, {True: "ok", False: "failed", None: "unknown"}),
        ("integer", {"success": "=code < 400"}, {200: "ok", 404: "failed", None: "unknown"}),
        ("text", {"status": "code", "outcomes": {"ok": [None], "failed": ["x"]}}, {None: "ok", "x": "failed"}),
    ],
)
def test_an_outcome_may_be_of_any_type(
    admin: Connection, code: str, settings: dict[str, Any], values: dict[Any, str]
) -> None:
    """The table has another column status, which is none of the settings."""
    admin.execute(OWN_TABLE.format(time="timestamp", code=code).encode())
    for value in values:
        admin.execute('INSERT INTO gateway."100%% calls" (ts, code) VALUES (now(), %s)', (value,))
    columns = {
        name: of for name, of in OWN_SETTINGS["columns"]["log"].items() if name not in ("status", "outcomes", "where")
    }
    make_views(admin, Config.model_validate({**OWN_SETTINGS, "columns": {"log": columns | settings}}))
    shown = admin.execute("SELECT outcome FROM ai_dashboards.operations").fetchall()
    assert sorted(shown) == sorted((outcome,) for outcome in values.values())


def test_all_that_may_be_lacking_can_be_lacking_at_once(admin: Connection) -> None:
    admin.execute("CREATE TABLE calls (at timestamptz, name text, ok boolean)")
    admin.execute("INSERT INTO calls VALUES (now(), 'chat', true)")
    lacking = dict.fromkeys(("user", "input_tokens", "output_tokens", "cost", "latency", "error_message"), "=NULL")
    columns = {**lacking, "time": "at", "operation": "name", "model": "='a model'", "success": "ok"}
    make_views(admin, Config.model_validate({"tables": {"log": "calls"}, "columns": {"log": columns}}))
    assert admin.execute("SELECT * FROM ai_dashboards.operations").fetchall()[0][2:] == (
        *("chat", "a model", "unattributed", "ok"),
        *(None, None, None, None, None),
    )
    for panel, statement in SQL_PANELS.items():
        now = time.time()
        assert admin.execute(sent(statement, View(now - 1800, now)).encode()).description, panel


@pytest.mark.parametrize(
    "now", ["'2026-03-18 12:00Z'::timestamptz", "(now() + (timestamptz '2026-03-18 12:00Z' - now()))"]
)
def test_of_a_partitioned_log_only_the_partitions_of_the_time_are_read(admin: Connection, now: str) -> None:
    parts = PublicLog.of("litellm").tables.replace("request_id text PRIMARY KEY", "request_id text")
    admin.execute(parts.replace("\n);", '\n) PARTITION BY RANGE ("startTime");', 1).encode())
    for day in range(1, 31):
        admin.execute(
            f'CREATE TABLE d{day} PARTITION OF "LiteLLM_SpendLogs"'
            f" FOR VALUES FROM ('2026-03-{day:02}') TO ('2026-03-{day + 1:02}')".encode()
        )
    make_views(admin, Config.model_validate({"source": "litellm"}))
    plan = admin.execute(
        "EXPLAIN (ANALYZE) SELECT sum(cost_usd) FROM ai_dashboards.operations"
        f" WHERE logged_at >= ai_dashboards.logged({now} - interval '1 hour')"
        f" AND logged_at < ai_dashboards.logged({now})".encode()
    ).fetchall()
    read = {name for (line,) in plan for name in re.findall(r" on (d\d+) ", line) if "never executed" not in line}
    assert read == {"d18"}, plan


def test_a_column_that_is_not_there_is_named_with_what_to_do(admin: Connection) -> None:
    admin.execute("CREATE TABLE logs (created_at bigint, type bigint, quota bigint)")
    columns = {"cost": "=quota / other", "where": "tipe = 2"}
    config = Config.model_validate({"source": "new-api", "columns": {"log": columns}})
    with pytest.raises(psycopg.errors.RaiseException, match=r"has no columns .*other, tipe") as caught:
        make_views(admin, config)
    assert "Correct columns.log in the configuration" in str(caught.value.diag.message_hint)


def test_the_file_of_another_configuration_takes_the_place_of_the_one_before(admin: Connection) -> None:
    public = PublicLog.of("litellm")
    public.create(admin)
    public.fill(admin, 10)
    first = Config.model_validate({"source": "litellm", "columns": {"log": {"where": "call_type <> 'none'"}}})
    plain = {
        "time": "startTime",
        "operation": "call_type",
        "model": "model",
        "user": "user",
        "cost": "spend",
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "status": "status",
        "latency": "request_duration_ms",
        "error_message": "metadata",
    }
    for config in (first, Config.model_validate({"source": "litellm"}), first):
        make_views(admin, config)
        make_views(admin, config)
    tables = {"log": "LiteLLM_SpendLogs", "budgets": None}
    make_views(admin, Config.model_validate({"tables": tables, "columns": {"log": plain}}))
    views = admin.execute(
        "SELECT viewname::text FROM pg_views WHERE schemaname = 'ai_dashboards' ORDER BY 1"
    ).fetchall()
    assert views == [("operations",), ("spending",)]
    assert admin.execute("SELECT count(*) FROM ai_dashboards.operations").fetchone() == (10,)


@pytest.mark.parametrize("script", ["role_policies.sql", "role_bypassrls.sql"])
@pytest.mark.parametrize("name", PUBLIC)
def test_the_exporter_s_role_may_read_what_the_source_needs(
    embedded_database: str, embedded_postgres: EmbeddedServer, tmp_path: Path, name: str, script: str
) -> None:
    public, config = PublicLog.of(name), Config.model_validate({"source": name})
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 1000, step=5)
        admin.execute("ANALYZE")
        for each in ("role_postgres_exporter.sql", script):
            admin.execute(render(config)[each].encode())
        admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
        report = check(embedded_postgres.url(admin.info.dbname, "ai_exporter", PASSWORD), tmp_path, source=name)
        for role in ("ai_exporter", "ai_postgres_exporter"):
            drop_role(admin, role)
    assert report.code == 0, report.text


def test_a_view_of_the_log_gets_its_grants_and_no_policy_and_no_index(
    embedded_database: str, embedded_postgres: EmbeddedServer
) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        load_schema(admin, "success")
        admin.execute("CREATE SCHEMA for_exporter; SET search_path = for_exporter, public")
        admin.execute("CREATE VIEW for_exporter.ai_operation_log AS SELECT * FROM public.ai_operation_log")
        notices: list[str | None] = []
        admin.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        scripts = render(Config())
        for script in ("role_policies.sql", "indexes.sql", "dashboards.sql"):
            admin.execute(scripts[script].encode())
        assert [
            notice for notice in notices if "is no table: create such indexes on the table behind it" in str(notice)
        ]
        admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
        with psycopg.connect(embedded_postgres.url(admin.info.dbname, "ai_exporter", PASSWORD)) as exporter:
            read = exporter.execute("SELECT count(cost_usd) FROM for_exporter.ai_operation_log").fetchone()
            assert read == (0,)
        for role in ("ai_exporter", "ai_grafana"):
            drop_role(admin, role)


def test_any_text_may_stand_in_currencies_groups_and_users_names(admin: Connection) -> None:
    admin.execute('CREATE SCHEMA "s%s"')
    admin.execute(
        "CREATE TABLE ai_operation_log (created_at timestamptz DEFAULT now(), operation_type text, model_used text,"
        " user_id text, input_tokens int, output_tokens int, latency_ms int, cost_usd real, success bool DEFAULT true,"
        ' error_message text, "a%%b" text, "x$$y" text, "c""q" text)'.replace("%%", "%")
    )
    admin.execute('CREATE TABLE "s%s"."t$$" ("k""%" text, n text)')
    for code, cost, kind in (("$$", 1.5, "%1$s"), (";--", -0.25, "%1$s"), ("x", 7, "%1$s"), ("$$", 9, "no call")):
        admin.execute(
            'INSERT INTO ai_operation_log (operation_type, model_used, user_id, cost_usd, "a%%b", "x$$y", "c""q")'
            " VALUES ('chat', 'm', 'ann', %s, 'red', %s, %s)",
            (cost, kind, code),
        )
    admin.execute("INSERT INTO \"s%s\".\"t$$\" VALUES ('ann', 'Ann')")
    names = {"table": '"s%s"."t$$"', "key": '"k""%"', "name": "=n || ' %L $$ {{x}} %1$s'"}
    log = {
        "group": "=upper(\"a%b\") || ' $$ {{x}} %s'",
        "where": "\"x$$y\" = '%1$s'",
        "currency": '"c""q"',
        "currencies": {"$$": 2, ";--": 4},
    }
    make_views(admin, Config.model_validate({"columns": {"log": log}, "users": {"names": names}}))
    shown = admin.execute(
        'SELECT cost_usd::float8, "group", ai_dashboards.user_name("user") FROM ai_dashboards.operations ORDER BY 1'
    ).fetchall()
    same = ("RED $$ {{x}} %s", "Ann %L $$ {{x}} %1$s")
    assert shown == [(-1, *same), (3, *same), (None, *same)]
