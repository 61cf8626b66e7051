"""What users are called in Grafana: a function that knows the names, for a role that can read no table."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from exporter.config import Config
from exporter.database.display_names import take_names
from exporter.demo.schema import load_schema
from exporter.sql_files.render import render
from tests.database.test_sql_files import drop_role
from tests.support.servers import EmbeddedServer

Connection = psycopg.Connection[Any]
ANNA, BEN = UUID(int=0xA << 120), UUID(int=0xB << 120)
PASSWORD = "for this test"


@pytest.fixture
def admin(embedded_database: str) -> Iterator[Connection]:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, "success")
        yield connection
        drop_role(connection)


def run_file(connection: Connection, **names: Any) -> None:
    config = Config.model_validate({"users": {"names": names}} if names else {})
    connection.execute(render(config)["dashboards.sql"].encode())


def called(connection: Connection, *users: Any) -> list[str]:
    found = [connection.execute("SELECT ai_dashboards.user_name(%s)", (str(user),)).fetchone() for user in users]
    return [row[0] for row in found if row is not None]


def people(connection: Connection, columns: str, *rows: tuple[Any, ...]) -> None:
    connection.execute(f"CREATE TABLE people ({columns})".encode())
    for row in rows:
        connection.execute(f"INSERT INTO people VALUES ({', '.join(['%s'] * len(row))})".encode(), row)


def test_without_names_users_are_short_ids(admin: Connection) -> None:
    run_file(admin)
    users = (ANNA, str(ANNA).upper(), "anna@example.com", "unattributed", "other", "12345678-9")
    wanted = ["0a000000", "0A000000", "anna@example.com", "unattributed", "other", "12345678-9"]
    assert called(admin, *users) == wanted


NAMES = [
    *("Anna", " Anna\t", "Anna\nBo", "other", '"unattributed"', "x" * 500, "\u200bAnna\u200b", "O'Brien $1 100% \\"),
    *("", " ", None),
]


@pytest.mark.parametrize("kind", ["text", "varchar(600)", "jsonb"])
def test_names_are_those_that_the_exporter_shows(admin: Connection, kind: str) -> None:
    people(admin, f"id uuid PRIMARY KEY, name {kind}")
    users = [UUID(int=number << 96) for number in range(1, len(NAMES) + 1)]
    for user, name in zip(users, NAMES, strict=True):
        value = "to_jsonb(%s::text)" if kind == "jsonb" else "%s"
        admin.execute(f"INSERT INTO people VALUES (%s, {value})".encode(), (user, name))
    run_file(admin, table="people", key="id", name="name")
    exporter = [
        next(iter(take_names([(str(user), name)]).values()), str(user)[:8])
        for user, name in zip(users, NAMES, strict=True)
    ]
    assert called(admin, *users) == exporter


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("id uuid, first text, last text", {"name": "=first || ' ' || last"}),
        ("id text, first text, last text", {"name": "=concat_ws(' ', first, last)"}),
        ("id varchar, first text, label text", {"name": "=first || ' ' || label"}),
        ("key uuid, first text, name text", {"key": "key", "name": "=first || ' ' || name"}),
        ('"Id" uuid, first text, "a b" text', {"key": '"Id"', "name": "=first || ' ' || \"a b\""}),
    ],
)
def test_a_name_may_be_an_expression(admin: Connection, columns: str, names: dict[str, str]) -> None:
    people(admin, columns, (str(ANNA), "Anna", "Bo"))
    run_file(admin, **{"table": "people", "key": "id", **names})
    assert called(admin, ANNA, BEN) == ["Anna Bo", "0b000000"]


@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint", "numeric", "text", "uuid"])
def test_a_user_whom_the_keys_type_cannot_hold_has_no_name(admin: Connection, kind: str) -> None:
    people(admin, f"id {kind}, name text")
    run_file(admin, table="people", key="id", name="name")
    for user in ("7", "-1", "seven", "9" * 30, "", str(ANNA), "unattributed"):
        assert called(admin, user) == [user[:8] if user == str(ANNA) else user]
    admin.execute(
        f"INSERT INTO people VALUES ({'%s' if kind != 'uuid' else '%s::uuid'}, 'seven')".encode(),
        (str(ANNA) if kind == "uuid" else "7",),
    )
    assert called(admin, ANNA if kind == "uuid" else "7") == ["seven"]


def test_grafana_knows_names_and_reads_no_table(admin: Connection, embedded_postgres: EmbeddedServer) -> None:
    people(admin, "id uuid PRIMARY KEY, name text, salary int", (ANNA, "Anna", 7))
    run_file(admin, table="people", key="id", name="name")
    admin.execute(sql.SQL("ALTER ROLE ai_grafana PASSWORD {}").format(PASSWORD))
    url = embedded_postgres.url(admin.info.dbname, "ai_grafana", PASSWORD)
    with psycopg.connect(url, autocommit=True) as connection:
        assert called(connection, ANNA) == ["Anna"]
        for statement in ("SELECT name FROM public.people", "SELECT * FROM public.people"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
    others = admin.execute("SELECT has_function_privilege('public', 'ai_dashboards.user_name(text)', 'EXECUTE')")
    assert others.fetchone() == (False,)


def test_where_users_are_hidden_no_name_is_known(admin: Connection) -> None:
    people(admin, "id uuid, name text", (ANNA, "Anna"))
    admin.execute("SET ai_dashboards.users = 'off'")
    run_file(admin, table="people", key="id", name="name")
    assert called(admin, ANNA, "hidden") == ["0a000000", "hidden"]


def test_a_strangers_table_of_names_is_left_out(admin: Connection) -> None:
    people(admin, "id uuid, name text", (ANNA, "Anna"))
    stranger = sql.Identifier(f"stranger_{admin.info.dbname}")
    admin.execute(sql.SQL("CREATE ROLE {}").format(stranger))
    said: list[str] = []
    admin.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    try:
        admin.execute(sql.SQL("ALTER TABLE people OWNER TO {}").format(stranger))
        run_file(admin, table="people", key="id", name="name")
        assert called(admin, ANNA) == ["0a000000"]
        run_file(admin, table="nobody", key="id", name="name")
        assert called(admin, ANNA) == ["0a000000"]
        assert [notice for notice in said if "users are shown" in notice] == [
            f"users are shown by their ids: no table {name} of the owner of public.ai_operation_log"
            for name in ("people", "nobody")
        ]
    finally:
        admin.execute("DROP TABLE people")
        admin.execute(sql.SQL("DROP ROLE {}").format(stranger))


def test_the_exporters_role_may_read_the_names_and_nothing_else_of_their_table() -> None:
    config = Config.model_validate(
        {"users": {"names": {"table": "app.people", "key": "id", "name": "=first || ' ' || last"}}}
    )
    for name in ("role_bypassrls.sql", "role_policies.sql"):
        text = render(config)[name]
        assert '["app", "people", ["id", "first", "last"]]' in text
        assert "ARRAY['app']::pg_catalog.name[]" in text
    assert '"people"' not in "".join(render(Config()).values())


def test_an_index_on_the_key_serves(admin: Connection) -> None:
    """Of a table with many users, a name costs a look into the index."""
    people(admin, "id uuid PRIMARY KEY, name text")
    admin.execute("INSERT INTO people SELECT gen_random_uuid(), 'user ' || n FROM generate_series(1, 20000) AS n")
    admin.execute("ANALYZE people")
    run_file(admin, table="people", key="id", name="name")
    before = _scans(admin)
    called(admin, *(UUID(int=number) for number in range(20)))
    after = _scans(admin)
    assert after[0] == before[0]
    assert after[1] > before[1]


def _scans(admin: Connection) -> tuple[int, int]:
    admin.execute("SELECT pg_stat_force_next_flush()" if admin.info.server_version >= 150000 else "SELECT pg_sleep(1)")
    row = admin.execute("SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'people'").fetchone()
    assert row is not None
    return row[0], row[1]
