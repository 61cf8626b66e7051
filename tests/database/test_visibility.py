"""Row-level security and grants: every row is seen, or the exporter says that it is not, and how to fix it."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from exporter.database.foresight import Answer
from exporter.database.opening import Opening
from exporter.demo.history import history
from exporter.demo.rows import fill
from exporter.scrape.collector import Collector
from tests.support.harness import Log, assert_spend_is_what_sql_says, running, wait_for
from tests.support.scraped import assert_blind, said
from tests.support.servers import EmbeddedServer
from tests.support.wire import READS_THE_LOG

PASSWORD = "for this test"


@dataclass(frozen=True)
class Reader:
    """A role that may read all tables of a log, and sees none of their rows yet."""

    name: str
    url: str
    log: Log

    def policy(self, condition: str = "true", *, table: str = "ai_operation_log", kind: str = "", to: str = "") -> str:
        """Make a policy on a table for this role; returns the policy's name."""
        name = f"p_{secrets.token_hex(4)}"
        self.log.execute(f"CREATE POLICY {name} ON {table} {kind} TO {to or self.name} USING ({condition})")
        return name

    def see_the_rest(self) -> None:
        """Policies on all tables but the log."""
        tables = self.log.execute("SELECT relname FROM pg_class WHERE relrowsecurity AND relname <> 'ai_operation_log'")
        for (table,) in tables:
            self.policy(table=table, kind="FOR SELECT")


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        for ago in range(1, 100, 7):
            log.insert(ago, cost="0.012345")
        yield log


@pytest.fixture
def reader(log: Log, embedded_postgres: EmbeddedServer) -> Iterator[Reader]:
    name = f"reader_{log.connection.info.dbname}"
    log.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    log.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    yield Reader(name, embedded_postgres.url(log.connection.info.dbname, name, PASSWORD), log)
    log.execute(f"DROP OWNED BY {name}")
    log.execute(f"DROP ROLE {name}")


def test_a_role_without_a_policy_reads_nothing_and_both_fixes_work(
    reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader.see_the_rest()
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        assert not exporter.ready
        message = said(caplog, "row-level security hides rows", "ai_operation_log", reader.name)
        # pasted as it is, the message's SQL runs the first way and comments the second
        reader.log.execute(message.split(" — ")[1])
        assert exporter.wait_up().micro("ai_spend_today_usd") > 0
        reader.log.execute(f"ALTER ROLE {reader.name} NOBYPASSRLS")
        assert_blind(exporter.scrape())
        reader.log.execute("CREATE POLICY" + message.split("CREATE POLICY")[1])
        assert_spend_is_what_sql_says(exporter.scrape(), reader.log)
        reader.log.insert(1, cost="0.5")
        assert exporter.scrape().money == 500_000


def test_each_state_is_said_once(reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(reader.url, tmp_path) as exporter:
        for _ in range(5):
            exporter.scrape()
        lines = [r for r in caplog.records if r.getMessage().startswith("log:") and "hides rows" in r.getMessage()]
        assert len(lines) == 1
        assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("cost_usd > 0", "FOR SELECT"),
        ("1 = 1", "FOR SELECT"),
        ("true", "FOR DELETE"),
        ("'true'::boolean IS NOT NULL", "FOR SELECT"),
    ],
)
def test_a_policy_that_does_not_show_every_row_for_certain(
    reader: Reader, tmp_path: Path, condition: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader.see_the_rest()
    reader.policy(condition, kind=kind)
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        assert said(caplog, "hides rows", "ai_operation_log", "CREATE POLICY", "BYPASSRLS")


def test_a_policy_of_another_role_does_not_help(reader: Reader, tmp_path: Path) -> None:
    reader.see_the_rest()
    reader.policy(to="CURRENT_USER")
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())


@pytest.mark.parametrize("kind", ["FOR SELECT", "FOR ALL"])
def test_a_policy_for_everyone_or_a_second_narrow_one_hides_nothing(reader: Reader, tmp_path: Path, kind: str) -> None:
    reader.see_the_rest()
    reader.policy(kind=kind, to="PUBLIC")
    reader.policy("cost_usd < 0", kind="FOR SELECT")
    with running(reader.url, tmp_path) as exporter:
        assert_spend_is_what_sql_says(exporter.wait_up(), reader.log)


def test_a_restrictive_policy_beside_a_true_one_hides_rows(
    reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader.see_the_rest()
    reader.policy()
    name = reader.policy("cost_usd < 0", kind="AS RESTRICTIVE FOR SELECT", to="PUBLIC")
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        assert said(caplog, "hides rows", "restrictive")
        reader.log.execute(f"DROP POLICY {name} ON ai_operation_log")
        assert_spend_is_what_sql_says(exporter.wait_up(), reader.log)
        # one for another role, or another command, restricts nothing here
        reader.policy("false", kind="AS RESTRICTIVE FOR SELECT", to="CURRENT_USER")
        reader.policy("false", kind="AS RESTRICTIVE FOR DELETE")
        assert_spend_is_what_sql_says(exporter.scrape(), reader.log)


@pytest.mark.parametrize("inherits", [True, False])
def test_a_policy_of_a_group(reader: Reader, tmp_path: Path, inherits: bool) -> None:
    reader.see_the_rest()
    group = f"group_{reader.name}"
    reader.log.execute(f"CREATE ROLE {group}")
    try:
        # whether a policy of a group applies depends on whether its rights are inherited
        reader.log.execute(f"GRANT {group} TO {reader.name} WITH INHERIT {inherits}")
        reader.policy(to=group)
        with psycopg.connect(reader.url) as connection:
            (seen,) = connection.execute("SELECT count(*) FROM ai_operation_log").fetchone() or (0,)
        with running(reader.url, tmp_path) as exporter:
            if inherits:
                assert seen > 0
                assert_spend_is_what_sql_says(exporter.wait_up(), reader.log)
            else:
                assert seen == 0
                assert_blind(exporter.scrape())
    finally:
        reader.log.execute(f"DROP OWNED BY {group}")
        reader.log.execute(f"DROP ROLE {group}")


def test_the_owner_under_forced_row_security(reader: Reader, tmp_path: Path) -> None:
    reader.see_the_rest()
    reader.log.execute(f"ALTER TABLE ai_operation_log OWNER TO {reader.name}")
    with running(reader.url, tmp_path) as exporter:
        assert_spend_is_what_sql_says(exporter.wait_up(), reader.log)
        reader.log.execute("ALTER TABLE ai_operation_log FORCE ROW LEVEL SECURITY")
        assert_blind(exporter.scrape())
    reader.log.execute("ALTER TABLE ai_operation_log OWNER TO CURRENT_USER")


def test_counters_stay_when_the_policy_goes_and_go_on_when_it_comes_back(reader: Reader, tmp_path: Path) -> None:
    reader.see_the_rest()
    name = reader.policy()
    with running(reader.url, tmp_path) as exporter:
        exporter.wait_up()
        reader.log.insert(3, cost="0.25")
        before = exporter.scrape()
        assert before.money == 250_000
        reader.log.execute(f"DROP POLICY {name} ON ai_operation_log")
        reader.log.insert(2, cost="0.5")
        blind = exporter.scrape()
        assert_blind(blind)
        assert blind.counters == before.counters
        assert blind.collectors == {
            "log": 0,
            "budgets": 1,
            "routes": 1,
            "recommendations": 1,
            "approvals": 1,
            "user_names": 1,
        }
        reader.policy()
        after = exporter.scrape()
        assert_spend_is_what_sql_says(after, reader.log)
        assert after.money == 750_000


def test_without_a_grant_the_message_holds_the_one_to_give(
    reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader.see_the_rest()
    reader.policy()
    reader.log.execute(f"REVOKE ALL ON ai_operation_log FROM {reader.name}")
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        message = said(caplog, "log:", "may not read", "ai_operation_log", "GRANT SELECT")
        reader.log.execute(message.split(" — ")[1])
        assert_spend_is_what_sql_says(exporter.wait_up(), reader.log)


def test_without_a_grant_on_one_column(reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reader.see_the_rest()
    reader.policy()
    columns = "created_at, operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, cost_usd"
    reader.log.execute(f"REVOKE ALL ON ai_operation_log FROM {reader.name}")
    reader.log.execute(f"GRANT SELECT ({columns}, success, error_message) ON ai_operation_log TO {reader.name}")
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        assert said(caplog, "may not read", "ai_operation_log", "GRANT SELECT")
        reader.log.execute(f"GRANT SELECT (latency_ms) ON ai_operation_log TO {reader.name}")
        assert_spend_is_what_sql_says(exporter.wait_up(), reader.log)


def test_without_the_right_to_the_schema(reader: Reader, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = reader.log
    reader.see_the_rest()
    reader.policy()
    log.execute('CREATE SCHEMA "Closed App"')
    log.execute('ALTER TABLE ai_operation_log SET SCHEMA "Closed App"')
    log.execute('SET search_path TO "Closed App", public')
    with running(reader.url, tmp_path) as exporter:
        assert_blind(exporter.scrape())
        message = said(caplog, "log:", "may not read", "GRANT USAGE ON SCHEMA")
        log.execute(message.split(" — ")[1])
        assert_spend_is_what_sql_says(exporter.wait_up(), log)


@pytest.mark.parametrize("broken", ["policy", "grant", "column", "limit"])
def test_only_the_budgets_are_unreadable(
    reader: Reader, tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = reader.log
    fill(log.connection, log.layout, history(log.layout, 0, datetime.now(UTC), Random(2), per_day=1_700))
    reader.see_the_rest()
    reader.policy()
    words = {
        "policy": ("hides rows", "CREATE POLICY"),
        "grant": ("may not read", "GRANT SELECT"),
        "column": ("columns seen:", "columns.budgets.user"),
        "limit": ("daily_limit_usd is of type", "columns.budgets.daily_limit"),
    }[broken]
    if broken == "policy":
        log.execute("SELECT pg_catalog.quote_ident('x')")
        for (name,) in log.execute("SELECT polname FROM pg_policy WHERE polrelid = 'cost_budgets'::regclass"):
            log.execute(f"DROP POLICY {name} ON cost_budgets")
    elif broken == "grant":
        log.execute(f"REVOKE ALL ON cost_budgets FROM {reader.name}")
    elif broken == "column":
        log.execute("ALTER TABLE cost_budgets RENAME user_id TO owner_id")
    else:
        log.execute("ALTER TABLE cost_budgets ALTER daily_limit_usd TYPE text")
    with running(reader.url, tmp_path) as exporter:
        scraped = exporter.wait_up()
        assert scraped.collectors == {
            "log": 1,
            "budgets": 0,
            "routes": 1,
            "recommendations": 1,
            "approvals": 1,
            "user_names": 1,
        }
        assert_spend_is_what_sql_says(scraped, log)
        assert scraped.has("ai_user_spend_today_usd")
        assert scraped.has("ai_model_route_info")
        assert scraped.has("ai_recommendations")
        for name in ("ai_user_daily_limit_usd", "ai_budget_users", "ai_budget_recorded_spend_today_usd"):
            assert not scraped.has(name)
        assert said(caplog, "budgets:", "cost_budgets", *words)


@pytest.mark.parametrize("invoker", [True, False])
def test_a_view_over_a_hidden_table(reader: Reader, tmp_path: Path, invoker: bool) -> None:
    """A view of its owner's shows all that the owner sees; one of the invoker's hides rows, and must not be read."""
    log = reader.log
    reader.see_the_rest()
    log.execute(f"CREATE VIEW calls WITH (security_invoker = {invoker}) AS SELECT * FROM ai_operation_log")
    log.execute(f"GRANT SELECT ON calls TO {reader.name}")
    with running(reader.url, tmp_path, tables={"log": "calls"}) as exporter:
        if invoker:
            assert_blind(exporter.scrape())
        else:
            assert_spend_is_what_sql_says(exporter.wait_up(), log)


def test_a_role_that_is_read_only_by_default(reader: Reader, tmp_path: Path) -> None:
    reader.see_the_rest()
    reader.policy()
    for setting in ("default_transaction_read_only = on", "statement_timeout = '1ms'", "row_security = off"):
        reader.log.execute(f"ALTER ROLE {reader.name} SET {setting}")
    reader.log.execute(f"ALTER ROLE {reader.name} SET search_path = ''")
    with running(reader.url, tmp_path, tables={"log": "public.ai_operation_log"}) as exporter:
        wait_for(lambda: exporter.scrape().up == 1, lambda: str(exporter.exporter.status()))
        assert_spend_is_what_sql_says(exporter.scrape(), reader.log)


BESIDE = {
    "a temporary table": "CREATE TEMP TABLE ai_operation_log (x int)",
    "a temporary view": "CREATE TEMP VIEW ai_operation_log AS SELECT 1",
    "a sequence": "CREATE SCHEMA e; CREATE SEQUENCE e.ai_operation_log",
    "a type": "CREATE SCHEMA e; CREATE TYPE e.ai_operation_log AS (a int)",
    "an index": "CREATE SCHEMA e; CREATE TABLE e.x (x int); CREATE INDEX ai_operation_log ON e.x (x)",
    "a table elsewhere": "CREATE SCHEMA e; CREATE TABLE e.ai_operation_log (x int)",
    "a view elsewhere": "CREATE SCHEMA e; CREATE VIEW e.ai_operation_log AS SELECT 1",
    "a right on a column": "GRANT SELECT (model_used) ON ai_operation_log TO PUBLIC",
    "statistics": "ANALYZE ai_operation_log; ANALYZE pg_catalog.pg_class; VACUUM pg_catalog.pg_attribute",
}


@contextlib.contextmanager
def a_session_that_does(
    log: Log, statements: str, monkeypatch: pytest.MonkeyPatch, of: type, at: str
) -> Iterator[list[str]]:
    """Another session, which runs them once, when a scrape of the log comes to a method."""
    do, waiting = getattr(of, at), [statements]
    with psycopg.connect(log.url, autocommit=True) as other:

        def done(self: Any, what: Any, *more: Any, **named: Any) -> Any:
            connection = getattr(what, "connection", what)
            if waiting and connection.info.parameter_status("application_name") == READS_THE_LOG:
                for statement in waiting.pop().split("; "):
                    other.execute(statement.encode())
            return do(self, what, *more, **named)

        monkeypatch.setattr(of, at, done)
        yield waiting


@pytest.mark.parametrize("beside", BESIDE)
def test_what_others_make_under_the_same_name_meanwhile_costs_no_scrape_that_a_policy_shows(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    reader.see_the_rest()
    reader.policy(kind="FOR SELECT")
    with running(reader.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        with a_session_that_does(reader.log, BESIDE[beside], monkeypatch, Opening, "commit_and_ask") as waiting:
            reader.log.insert(1, cost="0.5")
            scraped = exporter.scrape()
            assert not waiting
            assert (scraped.up, scraped.money) == (1, 500_000)
            # the server makes plans for all values after five, which may find rows in another order
            assert [exporter.scrape().up for _ in range(6)] == [1] * 6


NARROWED = {
    "fewer rows": "ALTER POLICY shown ON ai_operation_log USING (cost_usd < 0)",
    "none": "DROP POLICY shown ON ai_operation_log",
    "one that restricts": "CREATE POLICY less ON ai_operation_log AS RESTRICTIVE USING (false)",
    "not for the role": "ALTER POLICY shown ON ai_operation_log TO CURRENT_USER",
}


@pytest.mark.parametrize("narrowed", NARROWED)
def test_rows_that_a_policy_hides_from_the_middle_of_a_scrape_on_are_not_taken_for_gone(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, narrowed: str
) -> None:
    reader.see_the_rest()
    reader.log.execute(f"CREATE POLICY shown ON ai_operation_log FOR SELECT TO {reader.name} USING (true)")
    with running(reader.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        with a_session_that_does(reader.log, NARROWED[narrowed], monkeypatch, Collector, "_read_window") as waiting:
            assert_blind(exporter.scrape())
            assert not waiting


def test_the_catalog_may_answer_in_another_order(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.see_the_rest()
    reader.policy(kind="FOR SELECT")
    ask = Opening.commit_and_ask

    def turned(*what: Any, **named: Any) -> list[Answer]:
        return [Answer(answer.fetchall()[::-1]) for answer in ask(*what, **named)]

    monkeypatch.setattr(Opening, "commit_and_ask", turned)
    with running(reader.url, tmp_path) as exporter:
        assert exporter.wait_ready().wait_up().up == 1


@pytest.mark.parametrize("moved", ["ALTER TABLE ai_operation_log SET UNLOGGED", "TRUNCATE ai_operation_log"])
def test_rows_that_a_policy_shows_are_not_taken_for_gone_when_they_have_moved(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """The snapshot of the scrape does not show what is in another file by now."""
    reader.see_the_rest()
    reader.policy(kind="FOR SELECT")
    with running(reader.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        with a_session_that_does(reader.log, moved, monkeypatch, Collector, "_read_window") as waiting:
            scraped = exporter.scrape()
            assert not waiting
        # it was read once more
        assert scraped.up == 1
        assert_spend_is_what_sql_says(scraped, reader.log)
