"""What Grafana may read: one view for both layouts, every row of it, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exporter.demo.history import history
from exporter.demo.rows import TIME_COLUMN, fill
from exporter.demo.schema import Layout, load_schema
from tests.support import ROOT
from tests.support.servers import PostgresServer

FILE = ROOT / "deploy" / "sql" / "dashboards.sql"
PASSWORD = "for this test"
NOW = datetime(2026, 3, 18, 9, tzinfo=UTC)
COLUMNS = [
    "logged_at",
    "at",
    "operation",
    "model",
    "user",
    "outcome",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "latency_seconds",
    "error_message",
]

Connection = psycopg.Connection[Any]


@pytest.fixture
def admin(database: str, layout: Layout) -> Iterator[Connection]:
    with psycopg.connect(database, autocommit=True) as connection:
        load_schema(connection, layout)
        fill(connection, layout, history(layout, 1, NOW, Random(1), per_day=1_700))
        yield connection
        connection.execute("RESET ROLE")
        if one(connection, "SELECT count(*) FROM pg_roles WHERE rolname = 'ai_grafana'"):
            connection.execute("DROP OWNED BY ai_grafana")
            connection.execute("DROP ROLE ai_grafana")


def run_file(connection: Connection) -> None:
    connection.execute(FILE.read_bytes())


def grafana(admin: Connection, postgres: PostgresServer) -> Connection:
    admin.execute(sql.SQL("ALTER ROLE ai_grafana PASSWORD {}").format(PASSWORD))
    return psycopg.connect(postgres.url(admin.info.dbname, "ai_grafana", PASSWORD), autocommit=True)


def one(connection: Connection, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def test_the_view_has_every_row_and_the_same_columns_for_both_layouts(
    admin: Connection, postgres: PostgresServer, layout: Layout
) -> None:
    run_file(admin)
    run_file(admin)
    time = TIME_COLUMN[layout]
    with grafana(admin, postgres) as connection:
        cursor = connection.execute("SELECT * FROM ai_dashboards.operations")
        assert [column.name for column in cursor.description or ()] == COLUMNS
        sums = "count(*), sum(cost_usd), sum(input_tokens), sum(output_tokens)"
        assert (
            connection.execute(f"SELECT {sums} FROM ai_dashboards.operations".encode()).fetchone()
            == admin.execute(f"SELECT {sums} FROM ai_operation_log".encode()).fetchone()
        )
        wanted = one(admin, f"SELECT max({time}) FROM ai_operation_log").replace(tzinfo=UTC)
        assert one(connection, "SELECT max(at) FROM ai_dashboards.operations") == wanted
        outcomes = {"ok", "failed"} | ({"timeout", "pending", "running"} if layout == "status" else set())
        seen = connection.execute("SELECT DISTINCT outcome FROM ai_dashboards.operations").fetchall()
        assert {row[0] for row in seen} == outcomes


def test_the_role_reads_the_view_alone_and_writes_nothing(admin: Connection, postgres: PostgresServer) -> None:
    run_file(admin)
    with grafana(admin, postgres) as connection:
        readable = connection.execute(
            "SELECT DISTINCT table_schema, table_name FROM information_schema.table_privileges"
            " WHERE grantee = 'ai_grafana'"
        ).fetchall()
        assert sorted(readable) == [("ai_dashboards", "operations"), ("ai_dashboards", "spending")]
        for refused in ("SELECT cost_usd FROM public.ai_operation_log", "SELECT user_id FROM public.cost_budgets"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TEMP TABLE mine (x int)")
        assert one(connection, "SHOW statement_timeout") == "30s"
        assert one(connection, "SHOW timezone") == "UTC"


def test_a_time_range_is_served_by_the_index_on_the_log(
    admin: Connection, postgres: PostgresServer, layout: Layout
) -> None:
    run_file(admin)
    with grafana(admin, postgres) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = connection.execute(
            "EXPLAIN SELECT sum(cost_usd) FROM ai_dashboards.operations"
            " WHERE logged_at >= ai_dashboards.logged('2026-03-18T08:00:00Z'::timestamptz)"
            " AND logged_at < ai_dashboards.logged('2026-03-18T09:00:00Z'::timestamptz)"
        ).fetchall()
    assert any(f"Index Cond: (({TIME_COLUMN[layout]} >= " in row[0] for row in plan), plan


def test_a_session_in_another_zone_reads_the_same_rows(admin: Connection, postgres: PostgresServer) -> None:
    run_file(admin)
    statement = (
        "SELECT count(*), min(at), max(at) FROM ai_dashboards.operations"
        " WHERE logged_at >= ai_dashboards.logged('2026-03-17T22:00:00Z'::timestamptz)"
    )
    with grafana(admin, postgres) as connection:
        found = []
        for zone in ("UTC", "America/New_York"):
            connection.execute(f"SET timezone = '{zone}'".encode())
            found.append(connection.execute(statement.encode()).fetchone())
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[0][0] > 0
    assert found[0][1] >= datetime(2026, 3, 17, 22, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["another zone", "with zone"])
def test_times_in_another_zone_and_times_with_one_are_the_same_moments(
    admin: Connection, postgres: PostgresServer, layout: Layout, kind: str
) -> None:
    run_file(admin)
    newest = one(admin, "SELECT max(at) FROM ai_dashboards.operations")
    admin.execute("DROP SCHEMA ai_dashboards CASCADE")
    time = TIME_COLUMN[layout]
    if kind == "another zone":
        admin.execute("SET ai_dashboards.log_time_zone = 'Europe/Berlin'")
        newest -= timedelta(hours=1)  # the same wall clock, an hour earlier
    else:
        admin.execute(
            f"ALTER TABLE ai_operation_log ALTER {time} TYPE timestamptz USING {time} AT TIME ZONE 'UTC'".encode()
        )
    run_file(admin)
    with grafana(admin, postgres) as connection:
        assert one(connection, "SELECT max(at) FROM ai_dashboards.operations") == newest
        since = (newest - timedelta(minutes=5)).isoformat()
        counted = f"SELECT count(*) FROM ai_dashboards.operations WHERE %s >= %s'{since}'::timestamptz%s"
        by_index = one(connection, counted % ("logged_at", "ai_dashboards.logged(", ")"))
        assert by_index == one(connection, counted % ("at", "", "")) > 0


def test_values_that_cannot_be_are_left_out_as_the_exporter_does(admin: Connection, layout: Layout) -> None:
    run_file(admin)
    total = one(admin, "SELECT sum(cost_usd) FROM ai_dashboards.operations")
    changes = "cost_usd = 'NaN', input_tokens = -5" if layout == "success" else "cost_usd = -1, input_tokens = -5"
    chosen = "SELECT id FROM ai_operation_log WHERE cost_usd > 0 ORDER BY id LIMIT 1"
    lost = one(admin, f"SELECT cost_usd FROM ai_operation_log WHERE id = ({chosen})")
    admin.execute(f"UPDATE ai_operation_log SET {changes} WHERE id = ({chosen})".encode())
    # a cost below 0 is a refund
    refunded = 0 if layout == "success" else 1
    assert one(admin, "SELECT sum(cost_usd) FROM ai_dashboards.operations") == total - lost - refunded
    assert one(admin, "SELECT min(input_tokens) FROM ai_dashboards.operations") > 0


def test_users_can_be_hidden(admin: Connection) -> None:
    admin.execute("SET ai_dashboards.users = 'off'")
    run_file(admin)
    for view in ("operations", "spending"):
        assert admin.execute(f'SELECT DISTINCT "user" FROM ai_dashboards.{view}'.encode()).fetchall() == [("hidden",)]
    shown = admin.execute('SELECT DISTINCT ai_dashboards.user_label("user") FROM ai_dashboards.spending').fetchall()
    assert shown == [("hidden",)]
    admin.execute("SET ai_dashboards.users = 'none'")
    with pytest.raises(psycopg.errors.RaiseException, match="id or off is expected"):
        run_file(admin)


def test_the_owner_of_the_tables_can_make_the_view_and_others_are_refused(
    admin: Connection, postgres: PostgresServer
) -> None:
    owner = sql.Identifier(f"owner_{admin.info.dbname}")
    admin.execute(sql.SQL("CREATE ROLE {} CREATEROLE").format(owner))
    admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(admin.info.dbname), owner))
    admin.execute(sql.SQL("GRANT SELECT ON ai_operation_log TO {}").format(owner))
    try:
        admin.execute(sql.SQL("SET ROLE {}").format(owner))
        with pytest.raises(psycopg.errors.RaiseException, match="row-level security hides rows"):
            run_file(admin)
        admin.execute("RESET ROLE")
        admin.execute(sql.SQL("ALTER TABLE ai_operation_log OWNER TO {}").format(owner))
        admin.execute(sql.SQL("SET ROLE {}").format(owner))
        run_file(admin)
        admin.execute("RESET ROLE")
        with grafana(admin, postgres) as connection:
            seen = one(connection, "SELECT count(*) FROM ai_dashboards.operations")
        assert seen == one(admin, "SELECT count(*) FROM ai_operation_log") > 0
    finally:
        admin.execute("RESET ROLE")
        if one(admin, "SELECT count(*) FROM pg_roles WHERE rolname = 'ai_grafana'"):
            admin.execute("DROP OWNED BY ai_grafana")
            admin.execute("DROP ROLE ai_grafana")
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(owner))
        admin.execute(sql.SQL("DROP ROLE {}").format(owner))


def test_without_the_log_or_its_columns_the_error_says_what_to_do(admin: Connection, layout: Layout) -> None:
    outcome = "success" if layout == "success" else "status"
    admin.execute(f"ALTER TABLE ai_operation_log RENAME {outcome} TO verdict".encode())
    with pytest.raises(psycopg.errors.RaiseException, match="of neither layout") as caught:
        run_file(admin)
    assert "SET search_path to it" in str(caught.value.diag.message_hint)
    admin.execute("DROP TABLE ai_operation_log")
    with pytest.raises(psycopg.errors.RaiseException, match="no table ai_operation_log"):
        run_file(admin)
