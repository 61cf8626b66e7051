"""Databases of every encoding: text that is none, names that the encoding lacks, and settings in any script."""

import io
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import MissingGrant
from exporter.database.transactions import Database
from exporter.preflight import run_check
from exporter.reports.budgets import run_budget
from exporter.reports.recent import Wanted, run_operations
from exporter.verify.database import spent_since
from tests.support.harness import Log, running
from tests.support.servers import EmbeddedServer

ENCODINGS = ("SQL_ASCII", "LATIN1", "EUC_JP", "EUC_TW")
UNDEFINED = {"SQL_ASCII": "e9", "WIN1252": "81", "EUC_JP": "aaa1"}
"""Bytes that the database takes, and that are no character."""

SETTINGS: dict[str, Any] = {
    "models": {
        "aliases": {"モデル": "gpt-4", "модель": "gpt-4", "mødel €": "gpt-4", "😀": "gpt-4"},
        "timeouts": {"遅い": 5, "медленно": 6, "lent é €": 7, "🐢": 8},
        "free": ["無料", "бесплатно", "é", "🎁"],
    },
    "error_classes": [
        {"class": "rate_limit", "patterns": ["レート制限|429", "[а-я]{3} лимит", "dépassée €", "[😀-😂]"]},
        {"class": "auth", "patterns": ["401"]},
    ],
    "expected_operations": ["メール", "почта", "émail"],
}


@pytest.fixture
def database_in(embedded_postgres: EmbeddedServer) -> Iterator[Callable[[str], str]]:
    """Makes an empty database of an encoding; gives its superuser's URL."""
    urls: list[str] = []

    def make(encoding: str) -> str:
        name = f"test_{encoding.lower()}_{secrets.token_hex(4)}"
        with psycopg.connect(embedded_postgres.admin_url, autocommit=True) as connection:
            made = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
            connection.execute(made.encode())
        urls.append(embedded_postgres.url(name))
        # the test's own connection talks in UTF-8; the exporter's has its own way
        return f"{urls[-1]}?client_encoding={'sql_ascii' if encoding == 'SQL_ASCII' else 'utf8'}"

    yield make
    for url in urls:
        embedded_postgres.drop_database(url)


def checked(log: Log, folder: Path, **settings: Any) -> str:
    """What `check` prints; it must find nothing that fails."""
    out = io.StringIO()
    code = run_check(config_of(log, folder, **settings), {}, out)
    assert code == 0, out.getvalue()
    return out.getvalue()


def config_of(log: Log, folder: Path, **settings: Any) -> Config:
    return Config.model_validate({"database": {"url": log.url}, "state_dir": str(folder / "unused"), **settings})


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_settings_in_any_script_do_not_blind_the_exporter(
    database_in: Callable[[str], str], tmp_path: Path, encoding: str
) -> None:
    with Log(database_in(encoding), "success") as log:
        log.insert(3, cost="0.5")
        log.insert(2, cost="0.25", outcome="failed", message="error 429")
        log.insert(2, cost="0.25", outcome="failed", message="error 401")
        log.insert(2, cost="0", model="plain", input_tokens=5)
        report = checked(log, tmp_path, **SETTINGS)
        if encoding == "SQL_ASCII":
            assert "SQL_ASCII: text is read as UTF-8" in report
        else:
            assert f"the database's encoding {encoding} lacks " in report
            assert "models.timeouts" in report
        config = config_of(log, tmp_path, **SETTINGS)
        for wanted in (
            Wanted(operation="メール"),
            Wanted(model="モデル"),
            Wanted(user="пользователь"),
            Wanted(model="\0"),
            Wanted(user="\udcff"),
        ):
            out = io.StringIO()
            assert run_operations(config, {}, wanted, out, as_json=True) == 0
            assert json.loads(out.getvalue()) == []
        assert spent_since(config, resolve_conninfo(config, {}), 0) == 1
        with running(log.url, tmp_path, **SETTINGS) as exporter:
            exporter.wait_ready()
            log.insert(1, cost="0.125", outcome="failed", message="429")
            scraped = exporter.scrape()
            assert scraped.up == 1
            assert scraped.micro("ai_spend_today_usd") == 1_125_000
            assert scraped.total("ai_operation_failures_total", error_class="rate_limit") == 1


@pytest.mark.parametrize(
    ("encoding", "name", "pattern"),
    [
        ("SQL_ASCII", "モデル €", "[レ-ン]ート"),
        ("UTF8", "モデル €", "[レ-ン]ート"),
        ("LATIN1", "mødel", "dépassée"),
        ("WIN1252", "mødel €", "dépassée €"),
        ("EUC_JP", "モデル", "レート"),
    ],
)
def test_names_and_patterns_that_the_encoding_has_are_found(
    database_in: Callable[[str], str], tmp_path: Path, encoding: str, name: str, pattern: str
) -> None:
    """A timeout, a free model, an alias, a pattern and a route by a name that is not ASCII."""
    settings: dict[str, Any] = {
        "models": {"timeouts": {name: 1}, "free": [name], "aliases": {f"{name} x": name}},
        "error_classes": [{"class": "rate_limit", "patterns": [pattern]}],
    }
    message = pattern.replace("[レ-ン]", "レ").replace("[а-я]", "л")
    with Log(database_in(encoding), "success") as log:
        log.insert(300, operation=name, cost="0.5")
        with running(log.url, tmp_path, **settings) as exporter:
            exporter.wait_ready()
            log.insert(1, operation=name, model=f"{name} x", cost="0.25", outcome="failed", message=message)
            log.insert(1, operation=name, model=name, cost=None, latency_ms=900)
            scraped = exporter.scrape()
        assert scraped.up == 1
        assert scraped.micro("ai_operation_cost_usd_total", operation=name, model=name) == 250_000
        assert scraped.one("ai_operations_over_timeout_total", operation=name, model=name) == 1
        assert scraped.one("ai_operations_unpriced_total", operation=name, model=name) == 0
        labels = {"operation": name, "model": name, "error_class": "rate_limit"}
        assert scraped.one("ai_operation_failures_total", **labels) == 1


@pytest.mark.parametrize(
    ("encoding", "wrong", "layout"),
    [*((*each, "success") for each in UNDEFINED.items()), ("SQL_ASCII", "c3", "status")],
)
def test_bytes_that_are_no_text_are_counted_under_a_replaced_name(
    database_in: Callable[[str], str], tmp_path: Path, encoding: str, wrong: str, layout: Any
) -> None:
    """In each text column: two names that differ in such a byte only, and messages that end in one."""
    with Log(database_in(encoding), layout) as log:
        log.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT IF EXISTS ai_operation_log_user_id_fkey")
        log.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT IF EXISTS ai_operation_log_status_check")
        log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE text")
        names = "model_used, operation_id, user_id, error_message" + (", status" if layout == "status" else "")
        text = f"'a' || convert_from(decode('{wrong}', 'hex'), '{encoding}')"
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            for number in range(2):
                log.insert(1, cost="0.5", outcome="failed", message="429")
                values = ", ".join([f"{text} || '{'' if number else ' '}'"] * len(names.split(",")))
                log.execute(f"UPDATE ai_operation_log SET ({names}) = ROW({values}) WHERE model_used = 'deepseek-v3.2'")
            scraped = exporter.scrape()
        assert scraped.up == 1
        (model,) = scraped.labels("ai_spend_today_usd", "model")
        assert model.startswith("a\ufffd")
        assert scraped.micro("ai_spend_today_usd", operation=model, model=model) == 1_000_000
        assert scraped.micro("ai_user_spend_today_usd", user=model) == 1_000_000
        if layout == "status":
            assert scraped.total("ai_rows_skipped_total", field="status", reason="unknown") == 2
            return
        checked(log, tmp_path)
        out = io.StringIO()
        run_operations(config_of(log, tmp_path), {}, Wanted(), out, as_json=True)
        assert [row["model_used"] for row in json.loads(out.getvalue())] == [model, model]


@pytest.mark.parametrize(("encoding", "wrong"), [("SQL_ASCII", "ff"), ("WIN1252", "8d")])
def test_optional_tables_with_bytes_that_are_no_text(
    database_in: Callable[[str], str], tmp_path: Path, encoding: str, wrong: str
) -> None:
    with Log(database_in(encoding), "success") as log:
        text = f"'a' || convert_from(decode('{wrong}', 'hex'), '{encoding}')"
        for table in ("ai_operation_log", "cost_budgets"):
            log.execute(f"ALTER TABLE {table} ALTER user_id TYPE text")
        log.execute("CREATE TABLE approval_gates (status text)")
        log.execute(f"INSERT INTO approval_gates VALUES ('pending'), ({text})")
        log.execute(f"INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES ({text}, 10)")
        log.execute(
            "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model, fallback_model)"
            f" VALUES ({text}, 'x', {text}, {text})"
        )
        log.execute(f"INSERT INTO helix_recommendations (operation_id, recommendation_type) VALUES ('a', {text})")
        checked(log, tmp_path)
        log.insert(2)
        log.execute(f"UPDATE ai_operation_log SET user_id = {text}")
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            scraped = exporter.scrape()
        assert set(scraped.collectors.values()) == {1}
        (user,) = scraped.labels("ai_user_daily_limit_usd", "user")
        assert user.startswith("a\ufffd")
        assert scraped.one("ai_approvals_pending") == 1
        assert scraped.total("ai_recommendations") == 1
        assert len(scraped.having("ai_model_route_info")) == 1
        out = io.StringIO()
        run_budget(config_of(log, tmp_path), {}, None, out, as_json=True)
        assert [each["user"] for each in json.loads(out.getvalue())["users"]] == [user]


@pytest.mark.parametrize(("encoding", "name"), [("SQL_ASCII", "ユーザー"), ("LATIN1", "clé"), ("EUC_JP", "ユーザー")])
def test_tables_and_columns_with_names_that_are_not_ascii(
    database_in: Callable[[str], str], tmp_path: Path, encoding: str, name: str
) -> None:
    with Log(database_in(encoding), "success") as log:
        settings: dict[str, Any] = {"tables": {"log": f'"{name}"'}, "columns": {"log": {"cost": f'"{name} %"'}}}
        log.insert(3, cost="0.5")
        log.execute(f'ALTER TABLE ai_operation_log RENAME cost_usd TO "{name} %"')
        log.execute(f'ALTER TABLE ai_operation_log RENAME TO "{name}"')
        log.execute(f'ALTER TABLE cost_budgets RENAME daily_limit_usd TO "{name}"')
        settings["columns"]["budgets"] = {"daily_limit": f'"{name}"'}
        # a name that is looked for and cannot be there is absent
        settings["tables"]["routes"] = '"модель 😀"'
        checked(log, tmp_path, **settings)
        with running(log.url, tmp_path, **settings) as exporter:
            exporter.wait_ready()
            scraped = exporter.scrape()
        assert set(scraped.collectors.values()) == {1}
        assert scraped.micro("ai_spend_today_usd") == 500_000


def test_an_encoding_in_the_url_does_not_matter(database_in: Callable[[str], str], tmp_path: Path) -> None:
    with Log(database_in("UTF8"), "success") as log:
        log.insert(300, operation="ユーザー 😀", cost="0.5")
        url = log.url.replace("client_encoding=utf8", "client_encoding=latin1")
        with running(url, tmp_path) as exporter:
            exporter.wait_ready()
            assert exporter.scrape().micro("ai_spend_today_usd", operation="ユーザー 😀") == 500_000


@pytest.mark.parametrize(("encoding", "name"), [("SQL_ASCII", "ユーザー"), ("LATIN1", "clé"), ("EUC_JP", "ユーザー")])
def test_a_missing_grant_is_told_with_the_name_of_the_table(
    database_in: Callable[[str], str], embedded_postgres: EmbeddedServer, encoding: str, name: str
) -> None:
    role = f"reader_{secrets.token_hex(4)}"
    with Log(database_in(encoding), "success") as log:
        log.execute(f'ALTER TABLE ai_operation_log RENAME TO "{name}"')
        log.execute(f'ALTER TABLE "{name}" DISABLE ROW LEVEL SECURITY')
        log.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        try:
            info = resolve_conninfo(
                Config.model_validate(
                    {"database": {"url": embedded_postgres.url(log.connection.info.dbname, role, "x")}}
                ),
                {},
            )
            database = Database(info, 5, "tests")
            with pytest.raises(MissingGrant) as raised, database.session(10) as session:
                session.run(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", name)))
            database.close()
        finally:
            log.execute(f"DROP ROLE {role}")
        assert raised.value.hint == f'GRANT SELECT ON "{name}" TO {role};'


def test_a_long_name_is_not_cut_within_a_character(database_in: Callable[[str], str], tmp_path: Path) -> None:
    with Log(database_in("SQL_ASCII"), "success") as log:
        log.insert(300, operation="😀" * 127 + "a", cost="0.5")
        log.insert(300, operation="😀" * 127 + "b", cost="0.25")
        log.insert(300, operation="ユ" * 500, cost="0.125")
        with running(log.url, tmp_path) as exporter:
            exporter.wait_ready()
            scraped = exporter.scrape()
        assert scraped.micro("ai_spend_today_usd", operation="😀" * 127 + "a") == 500_000
        assert scraped.micro("ai_spend_today_usd", operation="😀" * 127 + "b") == 250_000
        assert scraped.micro("ai_spend_today_usd", operation="ユ" * 128) == 125_000
