"""`deploy/sql/uninstall.sql` takes back what the other files have made, and nothing else."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exporter.demo.schema import Layout, load_schema
from tests.support import ROOT
from tests.support.servers import PostgresServer

FOLDER = ROOT / "deploy" / "sql"
FILES = ("role_policies.sql", "dashboards.sql", "indexes.sql")
ROLES = ["ai_exporter", "ai_grafana", "ai_postgres_exporter", "ai_recommender"]


@pytest.fixture
def owner(database: str, postgres: PostgresServer, layout: Layout) -> Iterator["psycopg.Connection[Any]"]:
    """Who owns the tables and may create roles, but is no superuser; the roles of the files are gone at the end."""
    name = f"owner_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as admin:
        load_schema(admin, layout)
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD 'x'").format(sql.Identifier(name)))
        admin.execute(sql.SQL("GRANT pg_monitor TO {} WITH ADMIN OPTION").format(sql.Identifier(name)))
        admin.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(admin.info.dbname), sql.Identifier(name))
        )
        admin.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(name)))
        for (table,) in admin.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchall():
            admin.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(table), sql.Identifier(name)))
        with psycopg.connect(postgres.url(admin.info.dbname, name, "x"), autocommit=True) as connection:
            yield connection
        for role in ROLES:
            if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None:
                admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(admin.info.dbname)))
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _files(owner: "psycopg.Connection[Any]") -> tuple[str, ...]:
    """The files that can be run: only one of the layouts has the table of recommendations."""
    ((table,),) = owner.execute("SELECT to_regclass('public.helix_recommendations')").fetchall()
    return FILES if table is None else (*FILES, "role_recommendations.sql")


def test_nothing_of_the_roles_policies_and_views_is_left(owner: "psycopg.Connection[Any]") -> None:
    before = _facts(owner)
    for file in (*_files(owner), "role_postgres_exporter.sql"):
        _run(owner, file)
    assert _facts(owner) != before
    _run(owner, "uninstall.sql")
    assert _facts(owner) == before
    _run(owner, "uninstall.sql")


def test_what_was_removed_can_be_made_again(owner: "psycopg.Connection[Any]") -> None:
    for file in _files(owner):
        _run(owner, file)
    made = _facts(owner)
    _run(owner, "uninstall.sql")
    for file in _files(owner):
        _run(owner, file)
    assert _facts(owner) == made


GRANTED = {
    "the database": ["GRANT CONNECT, TEMPORARY ON DATABASE {database} TO ai_exporter"],
    "the database, as a hosted one does": [
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO ai_exporter, ai_grafana, ai_postgres_exporter",
    ],
    "a function": ["CREATE FUNCTION public.f(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1'",
                   "GRANT EXECUTE ON FUNCTION public.f TO ai_exporter"],
    "a procedure": ["CREATE PROCEDURE public.p() LANGUAGE sql AS ''",
                    "GRANT EXECUTE ON PROCEDURE public.p TO ai_grafana"],
    "a view and a sequence": [
        'CREATE VIEW public."My View" AS SELECT 1 AS one', 'GRANT SELECT ON public."My View" TO ai_exporter',
        "CREATE SEQUENCE public.s", "GRANT USAGE ON SEQUENCE public.s TO ai_exporter",
    ],
    "another schema": ['CREATE SCHEMA "Other One"', 'GRANT USAGE, CREATE ON SCHEMA "Other One" TO ai_grafana'],
    "a type": ["CREATE DOMAIN public.money_usd AS numeric", "GRANT USAGE ON DOMAIN public.money_usd TO ai_exporter"],
    "a large object": ["SELECT lo_create(4711)", "GRANT SELECT ON LARGE OBJECT 4711 TO ai_exporter"],
    "all tables, one by one": ["GRANT SELECT ON ALL TABLES IN SCHEMA public TO ai_exporter"],
}  # fmt: skip


@pytest.mark.parametrize("what", GRANTED)
def test_a_role_goes_whatever_it_was_granted_in_this_database(owner: "psycopg.Connection[Any]", what: str) -> None:
    for file in (*_files(owner), "role_postgres_exporter.sql"):
        _run(owner, file)
    for statement in GRANTED[what]:
        owner.execute(statement.format(database=f'"{owner.info.dbname}"').encode())
    _run(owner, "uninstall.sql")
    assert owner.execute("SELECT FROM pg_roles WHERE rolname = ANY (%s)", [ROLES]).rowcount == 0


def test_what_is_in_the_way_is_named_and_nothing_is_removed(owner: "psycopg.Connection[Any]") -> None:
    _run(owner, "role_policies.sql")
    owner.execute("CREATE POLICY other ON public.cost_budgets FOR SELECT TO ai_exporter USING (true)")
    made = _facts(owner)
    with pytest.raises(psycopg.errors.DependentObjectsStillExist) as refused:
        _run(owner, "uninstall.sql")
    assert "policy other on table cost_budgets" in (refused.value.diag.message_detail or "").replace("public.", "")
    assert _facts(owner) == made


def test_a_role_with_rights_in_another_database_is_kept_and_the_database_named(
    owner: "psycopg.Connection[Any]", database: str, postgres: PostgresServer
) -> None:
    _run(owner, "role_policies.sql")
    other = f"other_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(other)))
    try:
        with psycopg.connect(postgres.url(other), autocommit=True) as admin:
            admin.execute("CREATE TABLE public.kept (id int)")
            admin.execute("GRANT SELECT ON public.kept TO ai_exporter")
        made = _facts(owner)
        with pytest.raises(psycopg.errors.RaiseException, match=f"another database: {other}"):
            _run(owner, "uninstall.sql")
        assert _facts(owner) == made
    finally:
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(other)))


def _run(connection: "psycopg.Connection[Any]", file: str) -> None:
    connection.execute((FOLDER / file).read_bytes())


def _facts(connection: "psycopg.Connection[Any]") -> list[tuple[Any, ...]]:
    """The roles of the files, and in this database policies, schemas, and what is granted to them."""
    return connection.execute(
        """
        SELECT 'role', rolname::text, '' FROM pg_roles WHERE rolname = ANY (%(roles)s)
        UNION ALL SELECT 'policy', polname::text, polrelid::regclass::text FROM pg_policy
        UNION ALL SELECT 'schema', nspname::text, '' FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%%'
        UNION ALL SELECT 'granted', table_name::text, grantee::text FROM information_schema.column_privileges
          WHERE grantee = ANY (%(roles)s)
        UNION ALL SELECT 'view', viewname::text, '' FROM pg_views WHERE schemaname = 'ai_dashboards'
        ORDER BY 1, 2, 3
        """,
        {"roles": ROLES},
    ).fetchall()
