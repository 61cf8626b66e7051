"""A neighbour in the database plants functions, operators, aggregates, casts and types: none of them is ever called.

They stand in a schema of the search path, before the system's schema or behind it, as whoever may create a schema, or
create in `public`, can put them there. They take the names and types of all that PostgreSQL has, and fit better where
statements mix types.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from exporter.advisor.advise import recommend
from exporter.advisor.store import Stored, store
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo, resolve_writer
from exporter.database.probe_query import read_sums
from exporter.database.reader import read_span, read_spend, read_undated
from exporter.database.transactions import Database
from exporter.demo.data import run_demo_data
from exporter.demo.schema import LAYOUTS, Layout
from exporter.ledger.model import TimeRange
from exporter.preflight import run_check
from exporter.reports.budgets import run_budget
from exporter.reports.recent import Wanted, run_operations
from exporter.verify.database import check_database, spent_since
from tests.database.test_demo_data import EndsAtTraffic
from tests.statements import functions, in_docs, in_files, in_panels, in_python, operators, printed
from tests.support import ROOT
from tests.support.advice import TABLE
from tests.support.grafana import View
from tests.support.grafana import sql as panel_sql
from tests.support.harness import Log, assert_shows_what_sql_says, assert_spend_is_what_sql_says, running, wait_for
from tests.support.planting import PATHS, called, forget, plant, planted, settle
from tests.support.servers import EmbeddedServer

FOLDER = ROOT / "deploy" / "sql"
FILES = ("role_bypassrls.sql", "role_policies.sql", "indexes.sql", "dashboards.sql", "role_postgres_exporter.sql")
ROLES = ("ai_exporter", "ai_grafana", "ai_postgres_exporter")
PASSWORD = "for this test"
USER = UUID(int=1)
OPERATORS = {"=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||", "^"}
OPERATORS |= {"~", "~*", "!~", "~~", "!~~", "->", "->>", "&&", "@>", "<@", "?"}


@dataclass(frozen=True)
class Neighbourhood:
    """A log among traps; `victim` is the URL of the exporter's role, and `server` that of the superuser."""

    log: Log
    server: EmbeddedServer
    admin: "psycopg.Connection[Any]"

    @property
    def name(self) -> str:
        """The database's."""
        return self.log.connection.info.dbname

    def url(self, role: str) -> str:
        """Where a role logs in."""
        return self.server.url(self.name, role, PASSWORD)

    def assert_nothing_called(self) -> None:
        """No trap has been called since the last look."""
        assert called(self.admin, self.log.connection.info.backend_pid) == {}
        forget(self.admin)


@pytest.fixture(scope="module")
def trapped(embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """A database with nothing but traps, to copy: thousands of them take seconds to make."""
    url = embedded_postgres.create_database()
    try:
        with psycopg.connect(url, autocommit=True) as admin:
            used = functions(each for source in (in_python(), in_files(), in_panels(), in_docs()) for each in source)
            plant(admin, admin.info.dbname, used, OPERATORS)
        yield url
    finally:
        embedded_postgres.drop_database(url)
        with psycopg.connect(embedded_postgres.admin_url, autocommit=True) as connection:
            connection.execute("DROP ROLE IF EXISTS mallory")


@pytest.fixture(scope="module", params=LAYOUTS)
def town(request: pytest.FixtureRequest, embedded_postgres: EmbeddedServer, trapped: str) -> Iterator[Neighbourhood]:
    """Traps in a database of each layout, and the roles that the shipped files make, run among the traps."""
    layout: Layout = request.param
    url = embedded_postgres.create_database(like=trapped)
    with Log(url, layout) as log, psycopg.connect(url, autocommit=True) as admin:
        settle(admin, log.connection.info.dbname)
        found = Neighbourhood(log, embedded_postgres, admin)
        try:
            _walk_into(found, PATHS[1])
            for file in FILES:
                _run(found, file)
            found.assert_nothing_called()
            for role in ROLES:
                admin.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'".encode())
            yield found
        finally:
            admin.close()
            log.connection.close()
            embedded_postgres.drop_database(url)
            with psycopg.connect(embedded_postgres.admin_url, autocommit=True) as connection:
                for role in (*ROLES, "ai_recommender"):
                    connection.execute(f"DROP ROLE IF EXISTS {role}".encode())


@pytest.fixture(params=PATHS)
def neighbourhood(town: Neighbourhood, request: pytest.FixtureRequest) -> Neighbourhood:
    """All sessions begin with the traps on their search path, whatever the roles' own setting says."""
    _walk_into(town, request.param)
    forget(town.admin)
    return town


def _walk_into(town: Neighbourhood, path: str) -> None:
    town.admin.execute(f'ALTER DATABASE "{town.name}" SET search_path = {path}'.encode())
    if town.admin.execute("SELECT FROM pg_roles WHERE rolname = 'ai_exporter'").fetchone() is not None:
        town.admin.execute(f"ALTER ROLE ai_exporter SET search_path = {path}".encode())


def _run(town: Neighbourhood, file: str) -> None:
    """As its header says, by a superuser."""
    with psycopg.connect(town.log.url, autocommit=True) as connection:
        connection.execute((FOLDER / file).read_bytes())


def _config(town: Neighbourhood, **settings: Any) -> Config:
    return Config.model_validate({"database": {"url": town.url("ai_exporter")}, **settings})


def _write(log: Log, *agos: float) -> None:
    """Rows of every kind and of some ages, of a user with a limit."""
    if log.layout == "status":
        log.execute("INSERT INTO users (id, email) VALUES (%s, 'a') ON CONFLICT DO NOTHING", USER)
    log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 10) ON CONFLICT DO NOTHING", USER)
    for ago in agos or (1, 50, 400, 4000, 90_000):
        log.insert(ago, user=USER)
        log.insert(ago, operation="calendar-prep", cost=None, outcome="failed", message="429 too many requests")
    if log.layout == "status":
        log.insert(5, outcome="running", cost=None, latency_ms=None)


def test_the_traps_work(neighbourhood: Neighbourhood) -> None:
    counts = planted(neighbourhood.admin)
    assert counts["operators"] > 5000
    assert counts["functions"] > 3000
    assert counts["types"] > 10
    assert counts["casts"] > 10
    with psycopg.connect(neighbourhood.url("ai_exporter"), autocommit=True) as connection:
        for statement in ("SELECT 1.5 < 2", "SELECT left('ab'::varchar, 1)", "SELECT sum(round(1.5, 2::bigint))"):
            connection.execute(statement.encode())
        (path,) = connection.execute("SHOW search_path").fetchone() or ("",)
        first = "pg_catalog" in path
        if first:
            connection.execute("SELECT now(), 1.5::float8, sum(1.5)")
    found = called(neighbourhood.admin, neighbourhood.log.connection.info.backend_pid)
    assert {"left", "round"} < set(found)
    assert any(name.startswith("better_") for name in found)
    assert ({"now", "into_float8", "stepped"} < set(found)) == first


def test_each_operator_that_is_used_has_traps() -> None:
    assert operators(in_python()) | operators(in_files()) | operators(in_panels()) <= OPERATORS


def test_an_exporter_calls_none_and_shows_what_sql_says(neighbourhood: Neighbourhood, tmp_path: Path) -> None:
    log = neighbourhood.log
    _write(log)
    url = neighbourhood.url("ai_exporter")
    since = datetime.fromtimestamp(datetime.now(UTC).timestamp() - 30 * 86_400, UTC)
    with running(url, tmp_path, since) as exporter:
        exporter.wait_ready()
        _write(log, 1, 20)
        wait_for(lambda: exporter.scrape().money == log.money(), lambda: f"{exporter.last.money} of {log.money()}")
        scraped = exporter.scrape()
        assert_shows_what_sql_says(scraped, log)
        assert set(scraped.collectors.values()) == {1}
        assert scraped.one("ai_user_daily_limit_usd", user=str(USER)) == 10
    # the same state with times that mean something else, and other patterns: the slices are read anew
    changed: dict[str, Any] = {"log_time_zone": "Asia/Kathmandu"}
    with running(url, tmp_path, after=exporter, **changed) as exporter:
        exporter.wait_in_force()
    neighbourhood.assert_nothing_called()


EXPRESSIONS = {
    "latency": "=CASE WHEN latency_ms BETWEEN 1 AND 9 THEN latency_ms * 2 % 7 ELSE latency_ms + 0 END",
    "model": "=lower(model_used) || COALESCE(NULLIF(left(error_message, 0), 'x'), '')",
    "cost": "=round(cost_usd::numeric ^ 1, 12)",
    "user": "=concat_ws('', user_id::text, NULL)",
    "where": "model_used LIKE '%' AND model_used ~ 'e' AND cost_usd IS DISTINCT FROM -1 AND model_used IN ('a', 'b')"
    " IS NOT NULL AND ('{\"a\": 1}'::jsonb -> 'a') @> '1'",
}


@pytest.mark.parametrize(
    "changed", [{}, {"log_time_zone": "Europe/Berlin"}, {"columns": {"log": EXPRESSIONS}}], ids=["UTC", "zone", "made"]
)
def test_no_statement_on_the_log_calls_one(neighbourhood: Neighbourhood, changed: dict[str, Any]) -> None:
    """Those too that an exporter sends seldom, and those with the expressions of a configuration."""
    neighbourhood.log.insert(100)
    rules = _config(neighbourhood, **changed).classification()
    config = _config(neighbourhood)
    database = Database(resolve_conninfo(config, {}), 10, "test")
    try:
        with database.session(60) as session:
            log = session.log(rules)
            now = int(session.clock)
            span = TimeRange(now - 3 * 86_400, now + 86_400)
            spent = read_spend(session, log, rules, span)
            assert spent > 0
            assert read_sums(session, log, rules, [span])[span].columns["cost"] == spent
            minutes = read_span(session, log, rules, span)
            assert sum(cell[1] for minute in minutes.values() for cell in minute.cells.values()) > 0
            assert sum(read_undated(session, log).values()) == 0
    finally:
        database.close()
    neighbourhood.assert_nothing_called()


def test_the_commands_call_none(neighbourhood: Neighbourhood, tmp_path: Path) -> None:
    _write(neighbourhood.log)
    config = _config(neighbourhood, state_dir=str(tmp_path))
    said, shown = io.StringIO(), io.StringIO()
    run_check(config, {}, said)
    assert "every row" in said.getvalue()
    assert "internal error" not in said.getvalue()
    wanted = Wanted(operation="email-compose", model="deepseek-v3.2", user=str(USER), days=2, failed=False)
    assert run_operations(config, {}, wanted, shown, as_json=True) == 0
    assert "email-compose" in shown.getvalue()
    assert run_operations(config, {}, Wanted(failed=True), io.StringIO(), as_json=False) == 0
    assert run_budget(config, {}, None, shown, as_json=True) == 0
    info = resolve_conninfo(config, {})
    assert "every row" in check_database(config, info).detail
    assert spent_since(config, info, int(datetime.now(UTC).timestamp()) - 3600) > 0
    neighbourhood.assert_nothing_called()


def test_recommendations_and_their_evidence_call_none(neighbourhood: Neighbourhood, tmp_path: Path) -> None:
    log, admin = neighbourhood.log, neighbourhood.admin
    _write(log, *range(100, 10_000, 50))
    log.execute(TABLE)
    _run(neighbourhood, "role_recommendations.sql")
    ((path,),) = log.execute(
        "SELECT setting FROM pg_db_role_setting, unnest(setconfig) AS setting"
        " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND setrole = 0"
        " AND setting LIKE 'search_path=%'"
    )
    admin.execute(f"ALTER ROLE ai_recommender PASSWORD '{PASSWORD}'".encode())
    admin.execute(f"ALTER ROLE ai_recommender SET {path}".encode())
    writer = {"url": neighbourhood.url("ai_recommender")}
    config = _config(neighbourhood, state_dir=str(tmp_path), recommendations=writer)
    found = recommend(config, {})
    assert "slow_operation" in {each.kind for each in found}
    assert store(config, resolve_writer(config, {}), found) == Stored(len(found), 0)
    with psycopg.connect(log.url, autocommit=True) as connection:
        for each in found:
            connection.execute(each.evidence.encode())
    neighbourhood.assert_nothing_called()
    log.execute("DELETE FROM helix_recommendations" if log.layout == "success" else "DROP TABLE helix_recommendations")


def test_what_check_prints_as_a_fix_calls_none(neighbourhood: Neighbourhood, tmp_path: Path) -> None:
    log = neighbourhood.log
    _write(log)
    said = io.StringIO()
    log.execute("UPDATE cost_budgets SET daily_limit_usd = 'NaN'")
    try:
        run_check(_config(neighbourhood, state_dir=str(tmp_path)), {}, said)
    finally:
        log.execute("UPDATE cost_budgets SET daily_limit_usd = 10")
    (shown,) = re.findall(r"SELECT user_id.*?;", said.getvalue())
    queries = [each.text for each in printed()]
    assert queries
    with psycopg.connect(log.url, autocommit=True) as connection:
        for query in (shown, *queries):
            connection.execute(query.encode())
    neighbourhood.assert_nothing_called()


def test_the_demo_s_writer_calls_none(neighbourhood: Neighbourhood) -> None:
    log = neighbourhood.log
    for table in (
        "ai_operation_log",
        "cost_budgets",
        "ai_model_routes",
        *(("users",) if log.layout == "status" else ()),
    ):
        log.execute(f"DELETE FROM {table}")
    config = Config.model_validate({"database": {"url": log.url}})
    assert run_demo_data(config, resolve_conninfo(config, {}), 1, None, EndsAtTraffic()) == 0
    assert log.execute("SELECT count(*) > 300 FROM ai_operation_log") == [(True,)]
    neighbourhood.assert_nothing_called()
    log.execute("DELETE FROM ai_operation_log")


@pytest.mark.parametrize("file", FILES)
def test_a_superuser_who_runs_a_file_calls_none(neighbourhood: Neighbourhood, file: str) -> None:
    _run(neighbourhood, file)
    neighbourhood.assert_nothing_called()
    assert neighbourhood.admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'").fetchone() == (False,)


def test_the_panels_call_none_whatever_the_database_s_path_is(neighbourhood: Neighbourhood) -> None:
    _write(neighbourhood.log)
    now = datetime.now(UTC).timestamp()
    view = View(now - 86_400, now + 1, "Europe/Berlin", {"operation": ["email-compose", "a.b"]})
    statements = list(in_panels())
    assert len(statements) > 5
    with psycopg.connect(neighbourhood.url("ai_grafana"), autocommit=True) as connection:
        rows = [connection.execute(panel_sql(each.text, view).encode()).fetchall() for each in statements]
    assert any(rows)
    neighbourhood.assert_nothing_called()


@dataclass(frozen=True)
class Lure:
    """A table that the layout does not have, put where the search path finds it; its collector and its columns."""

    table: str
    collector: str
    columns: tuple[str, ...]


LURES: dict[Layout, Lure] = {
    "success": Lure("approval_gates", "approvals", ("status",)),
    "status": Lure("helix_recommendations", "recommendations", ("approval_status", "recommendation_type")),
}


@pytest.fixture(params=["view", "enum"])
def lured(town: Neighbourhood, request: pytest.FixtureRequest) -> Iterator[Lure]:
    """A view calls its functions with the rights of whoever reads it, and so does casting a type of somebody's own."""
    lure, admin = LURES[town.log.layout], town.admin
    _walk_into(town, "public")
    admin.execute("GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory; SET search_path = public")
    admin.execute(
        "CREATE FUNCTION trap(text) RETURNS text LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', true); RETURN 'pending'; END$$"
    )
    if request.param == "view":
        values = ", ".join(f"trap('a') AS {column}" for column in lure.columns)
        admin.execute(f"CREATE VIEW {lure.table} AS SELECT {values}".encode())
    else:
        admin.execute("CREATE TYPE lure AS ENUM ('pending')")
        admin.execute("CREATE FUNCTION trap(lure) RETURNS text LANGUAGE sql AS $$SELECT public.trap('a'::text)$$")
        admin.execute("CREATE CAST (lure AS text) WITH FUNCTION trap(lure)")
        values = ", ".join(f"'pending'::lure AS {column}" for column in lure.columns)
        admin.execute(f"CREATE TABLE {lure.table} AS SELECT {values}".encode())
    admin.execute(f"GRANT SELECT ON {lure.table} TO ai_exporter".encode())
    admin.execute("RESET ROLE; SET search_path = pg_catalog, public")
    forget(admin)
    yield lure
    kind = "VIEW" if request.param == "view" else "TABLE"
    admin.execute(f"DROP {kind} public.{lure.table}".encode())
    admin.execute("DROP TYPE IF EXISTS public.lure CASCADE; DROP FUNCTION public.trap(text) CASCADE")
    admin.execute("REVOKE CREATE ON SCHEMA public FROM mallory")


def test_a_table_that_a_stranger_puts_beside_the_log_is_not_read(
    town: Neighbourhood, lured: Lure, tmp_path: Path
) -> None:
    with running(town.url("ai_exporter"), tmp_path) as exporter:
        exporter.wait_up()

        def unread() -> list[str]:
            return [name for name, value in exporter.scrape().collectors.items() if value != 1]

        # on a busy machine an optional table can run out of its time in one scrape
        wait_for(lambda: unread() == [lured.collector], lambda: str(exporter.last.collectors))
    said = io.StringIO()
    assert run_check(_config(town, state_dir=str(tmp_path)), {}, said) == 1
    assert f"public.{lured.table} belongs to mallory, who has no right on the log" in said.getvalue()
    town.assert_nothing_called()


def test_a_table_that_is_named_with_its_schema_is_trusted_but_changes_no_other_statement(
    town: Neighbourhood, lured: Lure, tmp_path: Path
) -> None:
    """The function behind it puts the traps on the search path."""
    town.log.insert(1, cost="0.25")
    tables = {lured.collector: f"public.{lured.table}"}
    with running(town.url("ai_exporter"), tmp_path, tables=tables) as exporter:
        scraped = exporter.wait_up()
        assert set(scraped.collectors.values()) == {1}
        assert_spend_is_what_sql_says(scraped, town.log)
    assert set(called(town.admin, town.log.connection.info.backend_pid)) <= {"trap"}


@pytest.mark.parametrize("owner", ["own", "superuser", "writer", "behind the view"])
def test_a_table_of_somebody_who_knows_the_log_is_read(town: Neighbourhood, tmp_path: Path, owner: str) -> None:
    """Its own owner, a superuser, a role that may only write, and one with a right on what the log's view reads."""
    _walk_into(town, "public")
    admin, lure, log = town.admin, LURES[town.log.layout], "public.ai_operation_log"
    tables: dict[str, Any] = {}
    admin.execute("CREATE ROLE neighbour")
    columns = ", ".join(f"{column} text" for column in lure.columns)
    admin.execute(
        f"CREATE TABLE public.{lure.table} ({columns}); GRANT SELECT ON public.{lure.table} TO ai_exporter".encode()
    )
    if owner != "superuser":
        admin.execute(f"ALTER TABLE public.{lure.table} OWNER TO neighbour".encode())
        admin.execute(f"GRANT INSERT ON {log} TO neighbour".encode())
    if owner == "own":
        admin.execute(f"ALTER TABLE {log} OWNER TO neighbour".encode())
    if owner == "behind the view":
        admin.execute(
            f"CREATE VIEW public.calls AS SELECT * FROM {log}; GRANT SELECT ON public.calls TO ai_exporter".encode()
        )
        tables["log"] = "calls"
    try:
        with running(town.url("ai_exporter"), tmp_path, tables=tables) as exporter:
            assert set(exporter.wait_up().collectors.values()) == {1}
    finally:
        admin.execute(f"DROP VIEW IF EXISTS public.calls; DROP TABLE public.{lure.table}".encode())
        admin.execute(f"ALTER TABLE {log} OWNER TO postgres; DROP OWNED BY neighbour; DROP ROLE neighbour".encode())
