"""The SQL an operator runs: least privilege, every row seen, both layouts, twice in a row."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.database.connection import connect
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseUnavailable
from exporter.database.transactions import Database
from exporter.database.window import versions_of
from exporter.demo.history import history
from exporter.demo.rows import TIME_COLUMN, fill
from exporter.demo.schema import Layout, load_schema
from exporter.preflight import run_check
from tests.support import ROOT
from tests.support.harness import running
from tests.support.servers import PostgresServer

pytestmark = pytest.mark.slow

FOLDER = ROOT / "deploy" / "sql"
ROLE_FILES = ("role_bypassrls.sql", "role_policies.sql")
PASSWORD = "for this test"
READABLE: dict[Layout, dict[str, tuple[str, ...]]] = {
    "success": {
        "ai_operation_log": (
            "created_at",
            "operation_type",
            "operation_id",
            "model_used",
            "user_id",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "latency_ms",
            "success",
            "error_message",
        ),
        "cost_budgets": ("user_id", "daily_limit_usd", "warning_threshold_usd", "current_spend_today"),
        "ai_model_routes": ("operation_id", "primary_model", "fallback_model", "enabled"),
        "helix_recommendations": ("recommendation_type", "approval_status", "estimated_savings_usd"),
    },
    "status": {
        "ai_operation_log": (
            "executed_at",
            "operation_id",
            "model_used",
            "user_id",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "latency_ms",
            "status",
            "error_message",
        ),
        "cost_budgets": (
            "user_id",
            "daily_limit_usd",
            "monthly_limit_usd",
            "warning_threshold_percentage",
            "current_spend_today",
            "current_spend_month",
        ),
        "ai_model_routes": ("operation_id", "primary_model", "fallback_model", "enabled", "estimated_cost_usd"),
        "approval_gates": ("status",),
    },
}


@dataclass(frozen=True)
class Prepared:
    """A database with a layout's tables, and the role of one of the files, which was run twice."""

    layout: Layout
    file: str
    admin: "psycopg.Connection[Any]"
    role_url: str


@pytest.fixture
def admin(database: str, postgres: PostgresServer, layout: Layout) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(database, autocommit=True) as connection:
        load_schema(connection, layout)
        fill(connection, layout, history(layout, 0, datetime(2026, 3, 18, 2, tzinfo=UTC), Random(1), per_day=1_700))
        yield connection
        if _role_exists(connection):
            connection.execute("DROP OWNED BY ai_exporter")
        connection.execute("DROP ROLE IF EXISTS ai_exporter")


@pytest.fixture(params=ROLE_FILES)
def prepared(
    request: pytest.FixtureRequest, admin: "psycopg.Connection[Any]", layout: Layout, postgres: PostgresServer
) -> Prepared:
    _run(admin, request.param)
    _run(admin, request.param)
    admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
    return Prepared(layout, request.param, admin, postgres.url(admin.info.dbname, "ai_exporter", PASSWORD))


def test_the_role_reads_its_columns_and_every_row(prepared: Prepared) -> None:
    with psycopg.connect(prepared.role_url) as connection:
        # What makes hidden rows an error; the policy's way needs it on.
        mode = "off" if prepared.file == "role_bypassrls.sql" else "on"
        connection.execute(sql.SQL("SET LOCAL row_security = {}").format(mode))
        for table, columns in READABLE[prepared.layout].items():
            expected = prepared.admin.execute(_count(table)).fetchone()
            assert expected is not None
            assert expected[0] > 0
            assert connection.execute(_count(table)).fetchone() == expected
            connection.execute(
                sql.SQL("SELECT {} FROM {}").format(
                    sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table)
                )
            )


def test_the_role_reads_nothing_else(prepared: Prepared) -> None:
    readable = prepared.admin.execute(
        "SELECT table_name, column_name FROM information_schema.column_privileges"
        " WHERE grantee = 'ai_exporter' AND privilege_type = 'SELECT'"
    ).fetchall()
    assert set(readable) == {
        (table, column) for table, columns in READABLE[prepared.layout].items() for column in columns
    }
    other = prepared.admin.execute(
        "SELECT count(*) FROM information_schema.column_privileges"
        " WHERE grantee = 'ai_exporter' AND privilege_type <> 'SELECT'"
    )
    assert other.fetchone() == (0,)


def test_the_role_reads_which_rows_of_the_log_have_changed_and_of_no_other_table(prepared: Prepared) -> None:
    # the information schema leaves out columns of the system
    found = prepared.admin.execute(
        "SELECT c.relname::text, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
        " CROSS JOIN LATERAL aclexplode(attacl) AS acl WHERE attnum < 0 AND grantee = 'ai_exporter'::regrole"
    )
    assert found.fetchall() == [("ai_operation_log", "xmin")]
    database = Database(resolve_conninfo(Config(), {"DATABASE_URL": prepared.role_url}), 5, "tests")
    rules = Config().classification()
    with database.session(20) as session:
        blind = versions_of(session, session.log(rules), rules).blind
    database.close()
    assert blind == ("" if prepared.file == "role_bypassrls.sql" else "a policy shows its rows")


@pytest.mark.parametrize(
    ("file", "kind", "all_tables"),
    [
        ("role_policies.sql", "VIEW", False),
        ("role_policies.sql", "VIEW", True),
        ("role_policies.sql", "MATERIALIZED VIEW", True),
        ("indexes.sql", "VIEW", False),
        ("indexes.sql", "VIEW", True),
    ],
)
def test_a_file_takes_views_for_tables(
    admin: "psycopg.Connection[Any]", layout: Layout, postgres: PostgresServer, file: str, kind: str, all_tables: bool
) -> None:
    for name in list(READABLE[layout])[: None if all_tables else 1]:
        admin.execute(f"ALTER TABLE {name} RENAME TO {name}_base".encode())
        admin.execute(f"CREATE {kind} {name} AS SELECT * FROM {name}_base".encode())
    _run(admin, file)
    _run(admin, file)
    if file == "indexes.sql":
        return
    admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
    with psycopg.connect(postgres.url(admin.info.dbname, "ai_exporter", PASSWORD)) as connection:
        for name, columns in READABLE[layout].items():
            count = sql.SQL("SELECT count({}) FROM {}").format(sql.Identifier(columns[0]), sql.Identifier(name))
            assert connection.execute(count).fetchone() == admin.execute(count).fetchone()


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_a_role_file_takes_a_view_for_the_log(prepared: Prepared, kind: str) -> None:
    prepared.admin.execute("ALTER TABLE ai_operation_log RENAME TO base")
    try:
        prepared.admin.execute(f"CREATE {kind} ai_operation_log AS SELECT * FROM base".encode())
        prepared.admin.execute((FOLDER / "role_bypassrls.sql").read_bytes())
        found = prepared.admin.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'ai_operation_log'::regclass AND attacl IS NOT NULL"
            " AND attnum < 0"
        )
        assert found.fetchone() == (0,)
        found = prepared.admin.execute(
            "SELECT has_column_privilege('ai_exporter', 'ai_operation_log', 'model_used', 'SELECT')"
        )
        assert found.fetchone() == (True,)
    finally:
        prepared.admin.execute(f"DROP {kind} ai_operation_log; ALTER TABLE base RENAME TO ai_operation_log".encode())


def test_the_role_may_not_look_further_or_write(prepared: Prepared) -> None:
    refused: tuple[LiteralString, ...] = (
        "SELECT * FROM ai_operation_log",
        "SELECT id FROM ai_operation_log",
        "SELECT * FROM cost_budgets",
        "INSERT INTO ai_operation_log (model_used) VALUES ('x')",
        "UPDATE ai_operation_log SET cost_usd = 0",
        "DELETE FROM ai_operation_log",
        "TRUNCATE ai_operation_log",
        "DELETE FROM cost_budgets",
    )
    with psycopg.connect(prepared.role_url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize("layout", ["status"], indirect=True)
@pytest.mark.parametrize("column", ["result", "request_metadata"])
def test_prompts_and_answers_stay_closed(prepared: Prepared, column: str) -> None:
    with (
        psycopg.connect(prepared.role_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(sql.SQL("SELECT {} FROM ai_operation_log").format(sql.Identifier(column)))


def test_the_role_is_read_only_and_its_statements_end(prepared: Prepared) -> None:
    with psycopg.connect(prepared.role_url) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE mine (x int)")
        connection.rollback()
        assert connection.execute("SHOW statement_timeout").fetchone() == ("1min",)
        attributes = connection.execute(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
            " WHERE rolname = current_user"
        ).fetchone()
        assert attributes == (False, False, False, False, prepared.file == "role_bypassrls.sql")


def test_grants_of_an_earlier_version_are_taken_back(prepared: Prepared) -> None:
    prepared.admin.execute("GRANT SELECT, DELETE ON ai_operation_log TO ai_exporter")
    _run(prepared.admin, prepared.file)
    with (
        psycopg.connect(prepared.role_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT * FROM ai_operation_log")


def test_optional_tables_may_be_absent(prepared: Prepared) -> None:
    prepared.admin.execute("DROP TABLE IF EXISTS cost_budgets, ai_model_routes, helix_recommendations, approval_gates")
    _run(prepared.admin, prepared.file)
    with psycopg.connect(prepared.role_url) as connection:
        assert connection.execute("SELECT count(model_used) FROM ai_operation_log").fetchone() != (0,)


def test_tables_in_another_schema_are_found_by_the_search_path(prepared: Prepared) -> None:
    prepared.admin.execute('CREATE SCHEMA "Our App"')
    prepared.admin.execute('ALTER TABLE ai_operation_log SET SCHEMA "Our App"')
    prepared.admin.execute('SET search_path TO "Our App", public')
    _run(prepared.admin, prepared.file)
    with psycopg.connect(prepared.role_url) as connection:
        assert connection.execute('SELECT count(model_used) FROM "Our App".ai_operation_log').fetchone() != (0,)


@pytest.mark.parametrize("file", [*ROLE_FILES, "indexes.sql"])
def test_without_the_log_the_error_says_what_to_do(admin: "psycopg.Connection[Any]", file: str) -> None:
    admin.execute("DROP TABLE ai_operation_log")
    with pytest.raises(psycopg.errors.RaiseException, match="SET search_path to the schema that holds it"):
        _run(admin, file)


def test_the_policies_can_be_made_by_the_tables_owner_without_superuser(
    admin: "psycopg.Connection[Any]", layout: Layout, postgres: PostgresServer
) -> None:
    owner = f"owner_{admin.info.dbname}"
    named = sql.Identifier(owner)
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(named, PASSWORD))
    try:
        for table in READABLE[layout]:
            admin.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), named))
        with psycopg.connect(postgres.url(admin.info.dbname, owner, PASSWORD), autocommit=True) as connection:
            _run(connection, "role_policies.sql")
            _run(connection, "role_policies.sql")
            connection.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
        with psycopg.connect(postgres.url(admin.info.dbname, "ai_exporter", PASSWORD)) as connection:
            seen = connection.execute(_count("ai_operation_log")).fetchone()
            assert seen == admin.execute(_count("ai_operation_log")).fetchone()
    finally:
        admin.execute("DROP OWNED BY ai_exporter")
        admin.execute("DROP ROLE ai_exporter")
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(named))
        admin.execute(sql.SQL("DROP ROLE {}").format(named))


def test_the_indexes_serve_both_layouts(admin: "psycopg.Connection[Any]", layout: Layout) -> None:
    _run(admin, "indexes.sql")
    _run(admin, "indexes.sql")
    made = admin.execute(
        "SELECT split_part(indexdef, 'USING ', 2) FROM pg_indexes WHERE tablename = 'ai_operation_log'"
    ).fetchall()
    time = TIME_COLUMN[layout]
    assert {row[0] for row in made} == {
        "btree (id)",
        f"btree ({time} DESC)",
        f"btree (user_id, {time} DESC)",
        f"btree (model_used, {time} DESC)",
    }
    served = {
        "success": "btree (recommendation_type, approval_status, estimated_savings_usd)",
        "status": "btree (status)",
    }
    others = admin.execute(
        "SELECT split_part(indexdef, 'USING ', 2) FROM pg_indexes"
        " WHERE tablename IN ('helix_recommendations', 'approval_gates') AND indexname NOT LIKE '%pkey'"
    ).fetchall()
    assert others == [(served[layout],)]


@dataclass(frozen=True)
class Admins:
    """Two roles that may create roles and own nothing of each other, and the superuser's connection."""

    first: "psycopg.Connection[Any]"
    second: "psycopg.Connection[Any]"
    name: str


@pytest.fixture
def admins(admin: "psycopg.Connection[Any]", layout: Layout, postgres: PostgresServer) -> Iterator[Admins]:
    names = [f"{which}_{admin.info.dbname}" for which in ("first", "second")]
    for name in names:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(sql.Identifier(name), PASSWORD))
    for table in READABLE[layout]:
        # both may do with the tables what the file does, as members of their owner
        admin.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), sql.Identifier(names[1])))
    admin.execute(sql.SQL("GRANT {} TO {}").format(*map(sql.Identifier, reversed(names))))
    urls = [postgres.url(admin.info.dbname, name, PASSWORD) for name in names]
    with psycopg.connect(urls[0], autocommit=True) as first, psycopg.connect(urls[1], autocommit=True) as second:
        yield Admins(first, second, names[1])
    if _role_exists(admin):
        admin.execute("DROP OWNED BY ai_exporter")
        admin.execute("DROP ROLE ai_exporter")
    for name in reversed(names):
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_role_that_another_admin_made_fails_with_what_to_do(admin: "psycopg.Connection[Any]", admins: Admins) -> None:
    if admin.info.server_version < 160000:
        pytest.skip("before PostgreSQL 16 whoever may create roles may change all of them")
    _run(admins.first, "role_policies.sql")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        _run(admins.second, "role_policies.sql")
    assert "another role has made" in (refused.value.diag.message_primary or "")
    hint = refused.value.diag.message_hint or ""
    assert admins.first.info.user in hint
    grant = f"GRANT ai_exporter TO {admins.name} WITH ADMIN OPTION;"
    assert grant in hint
    admins.first.execute(grant.encode())
    _run(admins.second, "role_policies.sql")


@pytest.mark.parametrize("file", ROLE_FILES)
def test_who_may_not_create_roles_is_told_who_may(admin: "psycopg.Connection[Any]", admins: Admins, file: str) -> None:
    admin.execute(sql.SQL("ALTER ROLE {} NOCREATEROLE").format(sql.Identifier(admins.name)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        _run(admins.second, file)
    assert "may not create the role ai_exporter" in (refused.value.diag.message_primary or "")
    assert "CREATEROLE" in (refused.value.diag.message_hint or "")


def test_without_bypassrls_the_other_file_is_named(admin: "psycopg.Connection[Any]", admins: Admins) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        _run(admins.second, "role_bypassrls.sql")
    assert "role_policies.sql" in (refused.value.diag.message_hint or "")
    assert not _role_exists(admin)


def test_without_the_tables_the_error_says_who_may(admin: "psycopg.Connection[Any]", admins: Admins) -> None:
    admin.execute("ALTER TABLE ai_operation_log OWNER TO postgres")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        _run(admins.second, "role_policies.sql")
    assert "ai_operation_log" in (refused.value.diag.message_primary or "")
    assert "owner" in (refused.value.diag.message_hint or "")


@pytest.mark.parametrize("file", ROLE_FILES)
def test_the_role_has_a_limit_of_connections_also_where_it_was_there(
    admin: "psycopg.Connection[Any]", postgres: PostgresServer, file: str
) -> None:
    admin.execute("CREATE ROLE ai_exporter LOGIN")
    _run(admin, file)
    ((limit,),) = admin.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'ai_exporter'").fetchall()
    assert limit == 10
    admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
    url = postgres.url(admin.info.dbname, "ai_exporter", PASSWORD)
    with contextlib.ExitStack() as opened:
        for _ in range(limit):
            opened.enter_context(psycopg.connect(url))
        with pytest.raises(DatabaseUnavailable, match=r"the role has no connection left .* CONNECTION LIMIT"):
            connect(resolve_conninfo(Config.model_validate({"database": {"url": url}}), {}), 5, "tests")


def test_two_exporters_and_a_check_fit_into_the_limit(
    admin: "psycopg.Connection[Any]", postgres: PostgresServer, tmp_path: Path
) -> None:
    _run(admin, "role_bypassrls.sql")
    admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
    url = postgres.url(admin.info.dbname, "ai_exporter", PASSWORD)
    with running(url, tmp_path / "one") as one, running(url, tmp_path / "two") as two:
        for exporter in (one, two):
            assert set(exporter.wait_up().collectors.values()) == {1}
        assert (
            run_check(
                Config.model_validate({"database": {"url": url}, "state_dir": str(tmp_path / "no")}), {}, io.StringIO()
            )
            == 0
        )
        ((used,),) = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'ai_exporter'").fetchall()
        # the connection of the check may still be closing
        assert 6 <= used <= 7


def test_no_file_holds_a_password() -> None:
    for file in FOLDER.glob("*.sql"):
        for line in file.read_text().splitlines():
            assert "PASSWORD" not in line.upper() or line.startswith("--"), f"{file.name}: {line}"


def _run(connection: "psycopg.Connection[Any]", file: str) -> None:
    connection.execute((FOLDER / file).read_bytes())


def _count(table: str) -> sql.Composed:
    return sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))


def _role_exists(connection: "psycopg.Connection[Any]") -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = 'ai_exporter'").fetchone() is not None
