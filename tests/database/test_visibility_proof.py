"""That every row is visible is claimed only where the catalog proves it, for the roles whose rights count."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.config import Config, QualifiedName
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import MissingGrant, NotVisible
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.database.visibility import Visibility
from tests.support.harness import Log, assert_spend_is_what_sql_says, config_for, running
from tests.support.preflight import check
from tests.support.scraped import assert_blind, said
from tests.support.servers import DockerServer, EmbeddedServer

PASSWORD = "for this test"
COLUMNS = (
    "created_at, operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd, "
    "latency_ms, success, error_message"
)
EVERY_ROW = "CREATE POLICY {name} ON ai_operation_log FOR SELECT TO {role} USING (true)"
HALF = "CREATE POLICY {name} ON ai_operation_log FOR SELECT TO {role} USING (cost_usd > 1)"


@dataclass(frozen=True)
class House:
    """A log of two rows, a dollar and two, owned by `app`; `reader` reads it, and neither bypasses row security."""

    log: Log
    app: str
    reader: str
    url: str

    def run(self, *statements: str) -> None:
        """Run statements as the superuser; `{app}`, `{reader}` and `{columns}` are filled in."""
        for statement in statements:
            self.log.execute(statement.format(app=self.app, reader=self.reader, columns=COLUMNS))

    def policy(self, role: str, template: str = EVERY_ROW) -> None:
        """Make a policy on the log for a role."""
        self.log.execute(template.format(name=f"p_{secrets.token_hex(4)}", role=role))

    def judge(self, name: str = "calls", **tables: Any) -> Visibility:
        """What a session says of a relation; where it says that all is visible, all is."""
        with session_on(self.url, {"log": name, **tables}) as (session, config):
            relation = session.relation(config.tables.log, "tables.log")
            assert relation is not None
            visibility = session.prove_visible(relation)
            if not visibility.doubts:
                assert session.run(f"SELECT count(*), sum(cost_usd) FROM public.{name}") == [(2, 3)]
            return visibility

    def refusal(self, name: str = "calls", **tables: Any) -> NotVisible:
        """Why a session refuses a relation."""
        with pytest.raises(NotVisible) as caught:
            self.judge(name, **tables)
        return caught.value


@contextlib.contextmanager
def session_on(url: str, tables: dict[str, Any]) -> Iterator[tuple[Session, Config]]:
    config = config_for(url, Path("unused"), {"tables": tables})
    database = Database(resolve_conninfo(config, {}), 5.0, "ai-operation-exporter", config.tables.accept_unproven)
    try:
        with database.session(30.0) as session:
            yield session, config
    finally:
        database.close()


@pytest.fixture
def house(embedded_database: str, embedded_postgres: EmbeddedServer) -> Iterator[House]:
    with Log(embedded_database, "success") as log:
        log.insert(30, cost="1")
        log.insert(60, cost="2")
        mark = secrets.token_hex(4)
        name = log.connection.info.dbname
        house = House(log, f"app_{mark}", f"reader_{mark}", embedded_postgres.url(name, f"reader_{mark}", PASSWORD))
        house.run(
            "CREATE ROLE {app}",
            "CREATE ROLE {reader} LOGIN PASSWORD '" + PASSWORD + "'",
            "GRANT ALL ON SCHEMA public TO {app}",
            "ALTER TABLE ai_operation_log OWNER TO {app}",
            "DROP TABLE cost_budgets, ai_model_routes, helix_recommendations",
            "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE {app} GRANT SELECT ON TABLES TO {reader}",
        )
        yield house
        for role in (house.reader, house.app):
            log.execute(f"DROP OWNED BY {role} CASCADE")
            log.execute(f"DROP ROLE {role}")


def view(of: str = "ai_operation_log", name: str = "calls", options: str = "") -> str:
    return f"CREATE VIEW {name} {options} AS SELECT {{columns}} FROM {of}"


def owned(name: str = "calls") -> str:
    return f"ALTER VIEW {name} OWNER TO {{app}}"


SECURED = "ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY"
FORCED = "ALTER TABLE ai_operation_log FORCE ROW LEVEL SECURITY"
OPEN = "ALTER TABLE ai_operation_log DISABLE ROW LEVEL SECURITY"
GRANTED = "GRANT SELECT ON ai_operation_log TO {reader}"
INVOKER = "WITH (security_invoker = on)"
FOREIGN = (
    "CREATE FOREIGN DATA WRAPPER away",
    "CREATE SERVER far FOREIGN DATA WRAPPER away",
    "CREATE USER MAPPING FOR {reader} SERVER far OPTIONS (user 'distant reader', password 'not to be shown')",
)
FAR_TABLE = (
    "CREATE FOREIGN TABLE far_calls (created_at timestamp, operation_type varchar, operation_id varchar,"
    " model_used varchar, user_id uuid, input_tokens int, output_tokens int, cost_usd numeric(10, 6), latency_ms int,"
    " success boolean, error_message text) SERVER far"
)
FUNCTION = (
    "CREATE FUNCTION all_calls() RETURNS SETOF ai_operation_log LANGUAGE sql {volatility} {rights}"
    " AS 'SELECT * FROM public.ai_operation_log WHERE cost_usd > 1'"
)


def function(volatility: str = "STABLE", rights: str = "") -> str:
    return FUNCTION.replace("{volatility}", volatility).replace("{rights}", rights)


PROVEN = {
    "view of an owner without row security": (OPEN, view(), owned()),
    "view of the table's owner": (SECURED, view(), owned()),
    "view of a superuser": (SECURED, FORCED, view()),
    "view of an owner that bypasses": (SECURED, FORCED, "ALTER ROLE {app} BYPASSRLS", view(), owned()),
    "view over a view": (SECURED, view(name="inner_calls"), owned("inner_calls"), view("inner_calls")),
    "security barrier": (SECURED, view(options="WITH (security_barrier)"), owned()),
    "view with conditions": (SECURED, view("ai_operation_log WHERE cost_usd > 0 AND created_at <= now()"), owned()),
    "view with a union": (
        SECURED,
        view("ai_operation_log WHERE cost_usd > 1 UNION ALL SELECT {columns} FROM ai_operation_log WHERE cost_usd = 1"),
        owned(),
    ),
    "joined tables": (
        SECURED,
        "CREATE TABLE people AS SELECT NULL::uuid AS person",
        "ALTER TABLE people OWNER TO {app}",
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        view("ai_operation_log LEFT JOIN people ON person = user_id"),
        owned(),
    ),
    "materialized view of the owner": (
        SECURED,
        "CREATE MATERIALIZED VIEW calls AS SELECT {columns} FROM ai_operation_log",
        "ALTER MATERIALIZED VIEW calls OWNER TO {app}",
    ),
    "view over a materialized view": (
        SECURED,
        "CREATE MATERIALIZED VIEW kept AS SELECT {columns} FROM ai_operation_log",
        "ALTER MATERIALIZED VIEW kept OWNER TO {app}",
        view("kept"),
    ),
    "invoker view without row security": (OPEN, GRANTED, view(options=INVOKER)),
    "children with row security of their own": (
        OPEN,
        "CREATE TABLE calls (LIKE ai_operation_log)",
        "CREATE TABLE part () INHERITS (calls)",
        "INSERT INTO part SELECT * FROM ai_operation_log",
        "ALTER TABLE part ENABLE ROW LEVEL SECURITY",
    ),
    "partitions with row security of their own": (
        OPEN,
        "CREATE TABLE calls (LIKE ai_operation_log) PARTITION BY RANGE (created_at)",
        "CREATE TABLE part PARTITION OF calls DEFAULT",
        "INSERT INTO calls SELECT * FROM ai_operation_log",
        "ALTER TABLE part ENABLE ROW LEVEL SECURITY",
    ),
    "functions that change values alone": (
        OPEN,
        "CREATE FUNCTION spelled(text) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END'",
        "CREATE VIEW calls AS SELECT created_at, spelled(model_used) AS model_used, cost_usd,"
        " current_user AS reader, current_setting('TimeZone') AS zone FROM ai_operation_log",
    ),
    "functions that change values which are distinct": (
        OPEN,
        "CREATE FUNCTION spelled(text) RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN $1; END'",
        "CREATE VIEW calls AS SELECT DISTINCT created_at, spelled(model_used) AS model_used, cost_usd"
        " FROM ai_operation_log ORDER BY spelled(model_used)",
    ),
    "who asks, and a choice of theirs, in columns that are not read": (
        OPEN,
        "CREATE VIEW calls AS SELECT {columns}, session_user AS viewer, pg_has_role('{app}', 'MEMBER') AS is_member,"
        " CASE WHEN current_user = 'x' THEN cost_usd END AS own_cost, random() AS sample FROM ai_operation_log",
    ),
    "columns that are computed from the row and the time": (
        OPEN,
        "CREATE VIEW calls AS SELECT created_at, coalesce(model_used, 'none') AS model_used, now() AS asked_at,"
        " CASE WHEN success THEN cost_usd ELSE cost_usd * 1 END AS cost_usd, upper(operation_id) AS operation_id,"
        " (SELECT max(l.latency_ms) FROM ai_operation_log l) AS latency_ms, 1 + random() AS output_tokens"
        " FROM ai_operation_log",
    ),
    "columns of an inner view that nobody reads": (
        OPEN,
        "CREATE VIEW inner_calls AS SELECT {columns}, current_user AS viewer FROM ai_operation_log",
        view("inner_calls"),
    ),
    "names with braces": (
        OPEN,
        'CREATE VIEW calls AS SELECT {columns}, current_user AS "}} {{TARGETENTRY" FROM ai_operation_log AS "a{{b\\"',
    ),
    "immutable functions in a condition": (
        OPEN,
        "CREATE FUNCTION wanted(numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'",
        view("ai_operation_log WHERE wanted(cost_usd)"),
    ),
}


@pytest.mark.parametrize("made", PROVEN.values(), ids=PROVEN)
def test_what_shows_every_row_is_read_without_a_word(house: House, made: tuple[str, ...]) -> None:
    house.run(*made)
    assert house.judge() == Visibility(by_policy=False)


@pytest.mark.parametrize("kind", ["plain", "nested", "invoker below a view of its owner's"])
def test_policies_that_show_every_row_to_the_role_whose_rights_count_are_enough(house: House, kind: str) -> None:
    house.run(SECURED, FORCED)
    if kind == "plain":
        house.policy(house.app)
        house.run(view(), owned())
    elif kind == "nested":
        house.policy(house.app)
        house.run(view(name="inner_calls"), owned("inner_calls"), view("inner_calls"))
    else:
        house.policy(house.reader)
        house.run(GRANTED, view(name="inner_calls", options=INVOKER), "GRANT SELECT ON inner_calls TO {app}")
        house.run(view("inner_calls"), owned())
    assert house.judge() == Visibility(by_policy=True)


@pytest.mark.parametrize("policy", [None, HALF, EVERY_ROW.replace("FOR SELECT", "AS RESTRICTIVE FOR SELECT")])
def test_hidden_rows_below_a_view_are_told_of_the_role_whose_rights_count(house: House, policy: str | None) -> None:
    house.run(SECURED, FORCED, view(name="inner_calls"), owned("inner_calls"), view("inner_calls"))
    if policy is not None:
        house.policy(house.app, policy)
    refused = house.refusal()
    assert f"hides rows of public.ai_operation_log from {house.app}" in refused.message
    assert "public.calls" in refused.message
    # pasted as it is, it is the SQL that shows them
    house.run(refused.hint)
    house.judge()


@pytest.mark.parametrize("below", [True, False])
def test_an_invoker_view_counts_the_rights_of_whoever_asks(house: House, below: bool) -> None:
    house.run(SECURED, GRANTED)
    if below:
        house.run(view(name="inner_calls", options=INVOKER), "GRANT SELECT ON inner_calls TO {app}")
        house.run(view("inner_calls"), owned())
    else:
        house.run(view(options=INVOKER))
    refused = house.refusal()
    assert f"from {house.reader}" in refused.message
    # a policy for the owner of the view around it does not help
    house.policy(house.app)
    assert f"from {house.reader}" in house.refusal().message
    house.policy(house.reader)
    assert house.judge().by_policy


PARTED = (
    "CREATE TABLE parted (LIKE ai_operation_log) PARTITION BY RANGE (created_at)",
    "CREATE TABLE part PARTITION OF parted DEFAULT",
    "INSERT INTO parted SELECT * FROM ai_operation_log",
    "ALTER TABLE parted OWNER TO {app}",
    "ALTER TABLE parted ENABLE ROW LEVEL SECURITY",
)
INNER = view(name="inner_calls", options=INVOKER)
LEADS_OUT = {
    "a partitioned table under its owner's forced policies": (
        "{app}",
        (*PARTED, "ALTER TABLE parted FORCE ROW LEVEL SECURITY", view("parted"), owned()),
    ),
    "a partitioned table below an invoker's view": ("{reader}", (*PARTED, view("parted", options=INVOKER))),
    "two invoker's views below one another": (
        "{reader}",
        (SECURED, GRANTED, INNER, view("inner_calls", options=INVOKER)),
    ),
    "an owner's view between two invoker's": (
        "{app}",
        (
            SECURED,
            FORCED,
            view(name="lowest_calls"),
            owned("lowest_calls"),
            view("lowest_calls", "inner_calls", INVOKER),
            view("inner_calls", options=INVOKER),
        ),
    ),
    "an invoker's view below an owner's with a join": (
        "{reader}",
        (
            SECURED,
            GRANTED,
            INNER,
            "GRANT SELECT ON inner_calls TO {app}",
            view("inner_calls JOIN (SELECT 1 AS one) AS other ON true"),
            owned(),
        ),
    ),
    "a view of an owner who lost the table": (
        "{app}",
        (
            SECURED,
            "ALTER TABLE ai_operation_log OWNER TO CURRENT_USER",
            "GRANT SELECT ON ai_operation_log TO {app}",
            view(),
            owned(),
        ),
    ),
    "a subquery in a condition": (
        "{app}",
        (
            SECURED,
            FORCED,
            "CREATE TABLE kept AS SELECT * FROM ai_operation_log",
            "ALTER TABLE kept OWNER TO {app}",
            view("kept WHERE id IN (SELECT id FROM ai_operation_log)"),
            owned(),
        ),
    ),
}


@pytest.mark.parametrize("way", ["first", "second"])
@pytest.mark.parametrize(("role", "made"), LEADS_OUT.values(), ids=LEADS_OUT)
def test_the_hint_of_hidden_rows_names_the_role_and_leads_out_at_once(
    house: House, tmp_path: Path, role: str, made: tuple[str, ...], way: str
) -> None:
    house.run(*made)
    found = check(house.url, tmp_path, tables={"log": "calls"}).entries["rows visible"]
    named = role.format(app=house.app, reader=house.reader)
    assert (found.mark, f" from {named}" in found.detail) == ("FAIL", True), found
    # each of the two statements by itself
    first, _, second = found.hint[0].partition(" -- or, where that cannot be granted: ")
    house.run(first if way == "first" else second)
    report = check(house.url, tmp_path, tables={"log": "calls"})
    assert report.entries["rows visible"].mark == "ok", report.text
    assert house.log.execute("SELECT count(*) FROM calls") == [(2,)]


@pytest.mark.parametrize("kind", ["owner", "nested", "invoker"])
def test_a_grant_that_is_missing_below_a_view_is_told_of_the_role_whose_rights_count(house: House, kind: str) -> None:
    house.run(OPEN, "CREATE TABLE kept AS SELECT * FROM ai_operation_log", "REVOKE SELECT ON kept FROM {reader}")
    if kind == "owner":
        house.run(view("kept"), owned())
    elif kind == "nested":
        house.run(view("kept", "inner_calls"), owned("inner_calls"), view("inner_calls"))
    else:
        house.run(view("kept", options=INVOKER))
    with pytest.raises(MissingGrant) as caught:
        house.judge()
    role = house.reader if kind == "invoker" else house.app
    assert caught.value.hint == f"GRANT SELECT ON public.kept TO {role};"
    house.run(caught.value.hint)
    house.judge()


UNPROVEN = {
    "foreign table": (
        ("public.calls is a foreign table", "far"),
        (*FOREIGN, FAR_TABLE, "ALTER TABLE far_calls RENAME TO calls"),
    ),
    "view over a foreign table": (("far_calls", "foreign table", "far"), (*FOREIGN, FAR_TABLE, view("far_calls"))),
    "partition that is a foreign table": (
        ("far_calls", "foreign table"),
        (
            *FOREIGN,
            "CREATE TABLE calls (LIKE ai_operation_log) PARTITION BY RANGE (created_at)",
            "CREATE FOREIGN TABLE far_calls PARTITION OF calls DEFAULT SERVER far",
        ),
    ),
    "child that is a foreign table": (
        ("far_calls", "foreign table"),
        (
            *FOREIGN,
            "CREATE TABLE calls (LIKE ai_operation_log)",
            "CREATE FOREIGN TABLE far_calls () INHERITS (calls) SERVER far",
        ),
    ),
    "set-returning function": (("all_calls",), (OPEN, function(), view("all_calls()"))),
    "function with its owner's rights": (
        ("all_calls",),
        (SECURED, function(rights="SECURITY DEFINER"), view("all_calls()")),
    ),
    "function that calls itself immutable": (("all_calls",), (OPEN, function("IMMUTABLE"), view("all_calls()"))),
    "set-returning function among the columns": (
        ("all_calls",),
        (OPEN, function(), "CREATE VIEW calls AS SELECT (all_calls()).*"),
    ),
    "function in a condition": (
        ("mine",),
        (
            OPEN,
            "CREATE FUNCTION mine(uuid) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 IS NULL'",
            view("ai_operation_log WHERE mine(user_id)"),
        ),
    ),
    "operator with a function behind it": (
        ("alike",),
        (
            OPEN,
            "CREATE FUNCTION alike(text, text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN true; END'",
            "CREATE OPERATOR === (leftarg = text, rightarg = text, function = alike)",
            view("ai_operation_log WHERE model_used::text === 'x'"),
        ),
    ),
    "rows chosen by current_user": (("current_user",), (OPEN, view("ai_operation_log WHERE current_user = 'x'"))),
    "rows chosen by session_user in a subquery": (
        ("current_user",),
        (OPEN, view("(SELECT *, session_user AS who FROM ai_operation_log) AS a WHERE who = 'x'")),
    ),
    "rows chosen by a setting": (
        ("current_setting",),
        (OPEN, view("ai_operation_log WHERE user_id::text = current_setting('app.user', true)")),
    ),
    "rows chosen by membership": (
        ("pg_has_role",),
        (OPEN, view("ai_operation_log WHERE pg_has_role('{app}', 'MEMBER')")),
    ),
    "rows chosen by the schema": (
        ("current_schema",),
        (OPEN, view("ai_operation_log WHERE model_used = current_schema")),
    ),
    "rows chosen by a function for the schema": (
        ("current_schemas",),
        (OPEN, view("ai_operation_log WHERE model_used = ANY(current_schemas(false))")),
    ),
    "rows chosen by the client's address": (
        ("inet_client_addr",),
        (OPEN, view("ai_operation_log WHERE inet_client_addr() IS NULL")),
    ),
    "rows chosen by a setting in a view of the system": (
        ("pg_show_all_settings",),
        (OPEN, view("ai_operation_log WHERE 'x' = (SELECT setting FROM pg_settings WHERE name = 'application_name')")),
    ),
    "rows chosen by who is connected": (
        ("pg_stat_get_activity",),
        (OPEN, view("ai_operation_log WHERE EXISTS (SELECT FROM pg_stat_activity WHERE query <> '')")),
    ),
    "rows chosen by a right": (
        ("has_function_privilege",),
        (OPEN, view("ai_operation_log WHERE has_function_privilege('pg_reload_conf()', 'EXECUTE')")),
    ),
    "rows chosen by chance": (("random choice",), (OPEN, view("ai_operation_log WHERE random() < 0.5"))),
    "a few rows in an order by chance": (
        ("random choice",),
        (OPEN, view("ai_operation_log ORDER BY random() LIMIT 1")),
    ),
    "rows that are distinct by who asks": (
        ("current_user",),
        (
            OPEN,
            "CREATE VIEW calls AS SELECT DISTINCT ON (CASE WHEN current_user = 'x' THEN id END) *"
            " FROM ai_operation_log",
        ),
    ),
    "sampled rows": (("TABLESAMPLE",), (OPEN, view("ai_operation_log TABLESAMPLE bernoulli (50)"))),
    "sampled rows in a subquery": (
        ("TABLESAMPLE",),
        (OPEN, view("(SELECT * FROM ai_operation_log TABLESAMPLE system (50)) AS part")),
    ),
    "rows out of a query in a text": (
        ("query_to_xml",),
        (
            OPEN,
            "CREATE VIEW calls AS SELECT * FROM XMLTABLE('/table/row' PASSING"
            " query_to_xml('SELECT 1 AS cost_usd', false, false, '') COLUMNS cost_usd numeric)",
        ),
    ),
    "nested deep": (
        ("all_calls",),
        (OPEN, function(), view("all_calls()", "v0"), *(view(f"v{n}", f"v{n + 1}") for n in range(30)), view("v30")),
    ),
}


def masked(condition: str, *before: str, column: str = "cost_usd") -> tuple[str, ...]:
    """A view with every row, one of whose columns is empty where the condition does not hold."""
    shown = COLUMNS.replace(column, f"CASE WHEN {condition} THEN {column} END AS {column}")
    return (OPEN, *before, f"CREATE VIEW calls AS SELECT {shown} FROM ai_operation_log")


ASKS = "CREATE FUNCTION shown_to_me({}) RETURNS boolean LANGUAGE {}"
MASKED = {
    "current_user": ("current_user", masked("current_user = 'x'")),
    "session_user": ("current_user", masked("session_user = 'x'")),
    "current_role": ("current_user", masked("current_role = 'x'")),
    "a setting": ("current_setting", masked("current_setting('role') = 'x'")),
    "a setting that may be missing": ("current_setting", masked("current_setting('app.tenant', true) = 'x'")),
    "membership": ("pg_has_role", masked("pg_has_role('{app}', 'MEMBER')")),
    "the client's address": ("inet_client_addr", masked("inet_client_addr() IS NULL")),
    "a right on a table": ("has_table_privilege", masked("has_table_privilege('ai_operation_log', 'INSERT')")),
    "the schema": ("current_schema", masked("current_schema = 'x'")),
    "the query": ("current_query", masked("current_query() = 'x'")),
    "a subquery": ("current_user", masked("(SELECT current_user) = 'x'")),
    "who is connected": ("pg_stat_get_activity", masked("(SELECT count(*) FROM pg_stat_activity) > 9")),
    "tokens": ("current_user", masked("current_user = 'x'", column="input_tokens")),
    "the time": ("current_user", masked("current_user = 'x'", column="created_at")),
    "the outcome": ("current_user", masked("session_user = 'x'", column="success")),
    "the user": ("current_user", masked("current_user = 'x'", column="user_id")),
    "a file": ("pg_read_file", masked("pg_read_file('x') = 'x'")),
    "a function that asks who asks": (
        "shown_to_me",
        masked("shown_to_me()", ASKS.format("", "sql STABLE AS $$SELECT current_user = 'x'$$")),
    ),
    "a function that calls itself immutable": (
        "shown_to_me",
        masked(
            "shown_to_me(cost_usd)",
            ASKS.format(
                "numeric", "plpgsql IMMUTABLE AS 'BEGIN RETURN pg_catalog.current_setting(''role'') = $1; END'"
            ),
        ),
    ),
    "an inner view, by another name": (
        "current_user",
        (
            OPEN,
            "CREATE VIEW inner_calls AS SELECT *, CASE WHEN current_user = 'x' THEN cost_usd ELSE 0 END AS own"
            " FROM ai_operation_log",
            "CREATE VIEW calls AS SELECT created_at, model_used, own AS cost_usd FROM inner_calls",
        ),
    ),
    "the row of an inner view": (
        "current_user",
        (
            OPEN,
            "CREATE VIEW inner_calls AS SELECT *, CASE WHEN current_user = 'x' THEN cost_usd ELSE 0 END AS own"
            " FROM ai_operation_log",
            "CREATE VIEW calls AS SELECT created_at, model_used, (to_jsonb(i) ->> 'own')::numeric AS cost_usd"
            " FROM inner_calls AS i",
        ),
    ),
    "a column before one with a subquery": (
        "current_user",
        (
            OPEN,
            "CREATE VIEW calls AS SELECT created_at, CASE WHEN current_user = 'x' THEN cost_usd ELSE 0 END AS cost_usd,"
            " (SELECT max(model_used) FROM ai_operation_log) AS model_used FROM ai_operation_log",
        ),
    ),
    "a column behind one with a subquery": (
        "current_user",
        (
            OPEN,
            "CREATE VIEW calls AS SELECT created_at, (SELECT max(model_used) FROM ai_operation_log) AS model_used,"
            " CASE WHEN current_user = 'x' THEN cost_usd ELSE 0 END AS cost_usd FROM ai_operation_log",
        ),
    ),
    "a sum over what one may see": (
        "current_user",
        (
            OPEN,
            "CREATE VIEW calls AS SELECT created_at, sum(cost_usd) FILTER (WHERE current_user = 'x') AS cost_usd"
            " FROM ai_operation_log GROUP BY created_at",
        ),
    ),
}


@pytest.mark.parametrize(("word", "made"), MASKED.values(), ids=MASKED)
def test_a_column_that_depends_on_who_asks_is_not_taken_as_proven(
    house: House, word: str, made: tuple[str, ...]
) -> None:
    house.run(*made)
    refused = house.refusal()
    assert "cannot be proven" in refused.message
    assert word in refused.message
    assert "tables.accept_unproven: [log]" in refused.hint


def test_a_column_is_judged_by_the_name_that_the_configuration_gives_it(house: House, tmp_path: Path) -> None:
    house.run(
        OPEN,
        "CREATE VIEW calls AS SELECT {columns}, CASE WHEN current_user = 'x' THEN cost_usd ELSE 0 END AS own_cost"
        " FROM ai_operation_log",
    )
    assert house.judge() == Visibility(by_policy=False)
    chosen: dict[str, Any] = {"columns": {"log": {"cost": "own_cost"}}, "tables": {"log": "calls"}}
    with running(house.url, tmp_path, **chosen) as exporter:
        assert_blind(exporter.scrape())
    report = check(house.url, tmp_path, **chosen)
    assert report.entries["rows visible"].mark == "FAIL"
    assert "current_user" in report.entries["rows visible"].detail


@pytest.mark.parametrize(("words", "made"), UNPROVEN.values(), ids=UNPROVEN)
def test_what_cannot_be_proven_is_refused_and_can_be_accepted(
    house: House, words: tuple[str, ...], made: tuple[str, ...]
) -> None:
    house.run(*made)
    refused = house.refusal()
    assert "cannot be proven" in refused.message
    assert all(word in refused.message for word in words), refused.message
    assert "tables.accept_unproven: [log]" in refused.hint
    assert "not to be shown" not in str(refused)
    accepted = house.judge(accept_unproven=["log"])
    assert accepted.doubts
    assert not accepted.by_policy


def test_the_role_on_the_other_server_is_named(house: House) -> None:
    house.run(*FOREIGN, FAR_TABLE, "GRANT USAGE ON FOREIGN SERVER far TO {reader}")
    refused = house.refusal("far_calls")
    assert '"distant reader"' in refused.message
    assert '"distant reader"' in refused.hint


def test_a_materialized_view_that_was_filled_under_row_security(house: House) -> None:
    house.run(
        SECURED,
        FORCED,
        "CREATE MATERIALIZED VIEW calls AS SELECT {columns} FROM ai_operation_log WITH NO DATA",
        "ALTER MATERIALIZED VIEW calls OWNER TO {app}",
        "REFRESH MATERIALIZED VIEW calls",
    )
    assert house.log.execute("SELECT count(*) FROM calls") == [(0,)]
    refused = house.refusal()
    assert f"filled by {house.app}" in refused.message
    assert "public.ai_operation_log" in refused.message
    assert house.judge(accept_unproven=["log"]).doubts
    # an invoker view in it counts for whoever fills it
    house.policy(house.reader)
    assert f"filled by {house.app}" in house.refusal().message
    house.policy(house.app)
    house.run("REFRESH MATERIALIZED VIEW calls")
    assert house.judge() == Visibility(by_policy=False)


def test_hidden_rows_of_a_joined_table_hide_rows_of_the_view(house: House) -> None:
    house.run(
        OPEN,
        "CREATE TABLE people AS SELECT NULL::uuid AS person",
        "GRANT SELECT ON people TO {app}",
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        view("ai_operation_log JOIN people ON person IS NOT DISTINCT FROM user_id"),
        owned(),
    )
    assert f"hides rows of public.people from {house.app}" in house.refusal().message


def test_a_member_of_the_owner_sees_what_the_owner_sees(house: House) -> None:
    house.run(SECURED, "GRANT {app} TO {reader}")
    assert house.judge("ai_operation_log") == Visibility(by_policy=False)
    house.run(FORCED)
    assert f"from {house.reader}" in house.refusal("ai_operation_log").message


@pytest.mark.parametrize("option", ["on", "yes", "1", "true"])
def test_an_invoker_view_however_it_is_spelled(house: House, option: str) -> None:
    house.run(SECURED, GRANTED, view(options=f"WITH (security_invoker = {option})"))
    assert f"from {house.reader}" in house.refusal().message


def test_what_is_accepted_of_one_table_is_not_of_another(house: House) -> None:
    house.run(OPEN, function(), view("all_calls()"))
    house.refusal(accept_unproven=["budgets", "routes"])


def test_rows_that_are_hidden_for_certain_are_never_accepted(house: House) -> None:
    house.run(SECURED, FORCED, view(), owned())
    assert "hides rows" in house.refusal(accept_unproven=["log"]).message


def test_the_exporter_is_blind_until_it_is_proven_or_accepted(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house.run(OPEN, function(rights="SECURITY DEFINER").replace("WHERE cost_usd > 1", ""), view("all_calls()"))
    with running(house.url, tmp_path, tables={"log": "calls"}) as exporter:
        assert_blind(exporter.scrape())
        assert said(caplog, "cannot be proven", "all_calls", "tables.accept_unproven: [log]")
        house.run("CREATE OR REPLACE VIEW calls AS SELECT {columns} FROM ai_operation_log")
        assert_spend_is_what_sql_says(exporter.wait_up(), house.log)
        house.run("CREATE OR REPLACE VIEW calls AS SELECT {columns} FROM all_calls()")
        assert_blind(exporter.scrape())
    with running(house.url, tmp_path, tables={"log": "calls", "accept_unproven": ["log"]}, after=exporter) as accepting:
        assert_spend_is_what_sql_says(accepting.wait_up(), house.log)


def test_an_optional_table_is_judged_alike_and_costs_only_itself(house: House, tmp_path: Path) -> None:
    house.run(
        OPEN,
        GRANTED,
        "CREATE FUNCTION routes() RETURNS TABLE (operation_id text, primary_model text) LANGUAGE sql STABLE"
        " AS 'SELECT ''chat'', ''m1'''",
        "CREATE VIEW ai_model_routes AS SELECT * FROM routes()",
    )
    with running(house.url, tmp_path) as exporter:
        assert exporter.wait_up().collectors["routes"] == 0
    tables = {"accept_unproven": ["routes"]}
    with running(house.url, tmp_path, after=exporter, tables=tables) as accepting:
        seen = accepting.wait_up()
        assert seen.collectors["routes"] == 1
        assert seen.has("ai_model_route_info")


def test_check_says_what_is_not_proven(house: House, tmp_path: Path) -> None:
    house.run(OPEN, function(), view("all_calls()"))
    report = check(house.url, tmp_path, tables={"log": "calls"})
    assert report.code == 1
    assert report.entries["rows visible"].mark == "FAIL"
    assert "all_calls" in report.entries["rows visible"].detail
    report = check(house.url, tmp_path, tables={"log": "calls", "accept_unproven": ["log"]})
    assert report.entries["rows visible"].mark == "warn"
    assert "accepted, not proven" in report.entries["rows visible"].detail
    assert "all_calls" in report.entries["rows visible"].detail


class Watched:
    """A cursor whose statements are noted."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.sent: list[Any] = []

    def execute(self, *given: Any) -> Any:
        self.sent.append(given[0])
        return self.cursor.execute(*given)


def test_a_view_takes_one_statement_more_than_a_table_however_much_there_is_to_walk(house: House) -> None:
    house.run(OPEN, GRANTED, view("ai_operation_log", "v0"), *(view(f"v{n}", f"v{n + 1}") for n in range(9)))
    with session_on(house.url, {}) as (session, _):
        for name, statements in (("ai_operation_log", 0), ("v9", 1)):
            relation = session.relation(QualifiedName(None, name), "tables.log")
            assert relation is not None
            watched: Any = Watched(session.catalog)
            session.catalog = watched
            session.prove_visible(relation)
            session.catalog = watched.cursor
            assert len(watched.sent) == statements


def test_a_walk_over_many_partitions_is_one_statement(house: House) -> None:
    house.run(OPEN, "CREATE TABLE calls (LIKE ai_operation_log) PARTITION BY LIST (model_used)")
    with house.log.connection.transaction():
        for number in range(200):
            house.run(f"CREATE TABLE part_{number} PARTITION OF calls FOR VALUES IN ('m{number}')")
    house.run("CREATE TABLE rest PARTITION OF calls DEFAULT", "INSERT INTO calls SELECT * FROM ai_operation_log")
    assert house.judge() == Visibility(by_policy=False)
    house.run("DROP TABLE rest", *FOREIGN, "CREATE FOREIGN TABLE far_calls PARTITION OF calls DEFAULT SERVER far")
    assert "far_calls" in house.refusal().message


def test_dblink_is_a_function_like_any_other(house: House) -> None:
    try:
        house.run("CREATE EXTENSION dblink")
    except psycopg.errors.FeatureNotSupported:
        house.run(
            "CREATE FUNCTION dblink(text, text) RETURNS SETOF record LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN; END'"
        )
    house.run("CREATE VIEW calls AS SELECT * FROM dblink('x', 'y') AS t(created_at timestamp, cost_usd numeric)")
    assert "dblink" in house.refusal().message


@pytest.fixture
def far_and_near(docker_postgres: DockerServer) -> Iterator[tuple[Log, str, str]]:
    """A log of 12 dollars under row-level security, a database with a foreign table of it, and the role over there."""
    there, here = docker_postgres.create_database(), docker_postgres.create_database()
    mark = secrets.token_hex(4)
    with Log(there, "success") as log, psycopg.connect(here, autocommit=True) as near:
        log.insert(30, cost="12")
        log.execute(f"CREATE ROLE remote_{mark} LOGIN PASSWORD '{PASSWORD}'")
        log.execute(f"GRANT SELECT ON ai_operation_log TO remote_{mark}")
        log.execute("ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY")
        for statement in (
            "CREATE EXTENSION postgres_fdw",
            f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname '{log.connection.info.dbname}')",
            f"CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'remote_{mark}', password '{PASSWORD}')",
            "IMPORT FOREIGN SCHEMA public LIMIT TO (ai_operation_log) FROM SERVER far INTO public",
        ):
            near.execute(statement.encode())
        yield log, here, f"remote_{mark}"
        log.execute(f"DROP OWNED BY remote_{mark} CASCADE")
    docker_postgres.drop_database(here)
    with psycopg.connect(there, autocommit=True) as connection:
        connection.execute(f"DROP ROLE remote_{mark}".encode())
    docker_postgres.drop_database(there)


def test_a_foreign_table_whose_remote_role_sees_nothing_is_not_read_as_zero(
    far_and_near: tuple[Log, str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, here, role = far_and_near
    with running(here, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        assert said(caplog, "cannot be proven", "foreign table", role, "server far")
        assert PASSWORD not in caplog.text
    log.execute(EVERY_ROW.format(name="every_row", role=role))
    with running(here, tmp_path, tables={"accept_unproven": ["log"]}, after=exporter) as accepting:
        assert_spend_is_what_sql_says(accepting.wait_up(), log)
        assert accepting.last.micro("ai_spend_month_usd") == 12_000_000
