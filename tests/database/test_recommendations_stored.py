"""`recommend --store`: what it writes, that it writes nothing twice, and what its role may do."""

import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from exporter.advisor.advise import recommend
from exporter.advisor.model import Recommendation
from exporter.advisor.run import run_recommend
from exporter.advisor.store import Stored, store
from exporter.config import Config
from exporter.database.conninfo import resolve_writer
from exporter.database.errors import DatabaseError, MissingGrant, NotVisible, SchemaProblem
from exporter.errors import UserError
from tests.support import ROOT
from tests.support.advice import TABLE, week
from tests.support.clock import Clock
from tests.support.harness import Log, config_for, wait_for
from tests.support.servers import EmbeddedServer

FILE = (ROOT / "deploy" / "sql" / "role_recommendations.sql").read_text()
NAMES = ("operation_id", "recommendation_type", "approval_status")


def a(kind: Any = "model_switch", operation: str = "email-compose", model: str | None = "dear", **more: Any) -> Any:
    """A recommendation."""
    return Recommendation(
        **{
            "kind": kind,
            "operation": operation,
            "model": model,
            "title": "Try it",
            "reasoning": "It's 100 % \\ cheaper.",
            "figures": {"calls": 100, "usd": Decimal("1.500000")},
            "proposal": {"model": "cheap"},
            "saving": Decimal("0.2146"),
            "confidence": Decimal("0.70"),
            "evidence": "SELECT;",
            **more,
        }
    )


class Advised:
    """A log with the table of recommendations, and the role that writes them."""

    def __init__(self, log: Log, server: EmbeddedServer, state: Path) -> None:
        self.log = log
        log.execute(TABLE)
        self.run_file()
        log.execute("ALTER ROLE ai_recommender PASSWORD 'w'")
        self.url = server.url(log.connection.info.dbname, "ai_recommender", "w")
        self._state = state

    def run_file(self, text: str = FILE) -> None:
        """Run the file that makes the role."""
        self.log.connection.execute(text.encode())

    def config(self, **settings: Any) -> Config:
        """The configuration with the role's URL."""
        return config_for(self.log.url, self._state, {"recommendations": {"url": self.url}, **settings})

    def store(self, *recommendations: Recommendation, **settings: Any) -> Stored:
        """Store them as the command does."""
        config = self.config(**settings)
        return store(config, resolve_writer(config, {}), recommendations)

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """All rows of the table."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns or NAMES))
        return self.log.connection.execute(
            sql.SQL("SELECT {} FROM helix_recommendations ORDER BY 1, 2, 3").format(names)
        ).fetchall()


@pytest.fixture
def advised(log: Log, embedded_postgres: EmbeddedServer, tmp_path: Path) -> Iterator[Advised]:
    yield Advised(log, embedded_postgres, tmp_path)
    log.execute("DROP OWNED BY ai_recommender CASCADE")
    log.execute("DROP ROLE ai_recommender")


def test_a_recommendation_is_written_into_the_tables_own_columns(advised: Advised) -> None:
    assert advised.store(a()) == Stored(1, 0)
    ((operation, kind, status, saving, confidence, current, proposed, reasoning),) = advised.rows(
        *NAMES, "estimated_savings_usd", "confidence", "current_config", "proposed_config", "reasoning"
    )
    assert (operation, kind, status) == ("email-compose", "model_switch", "PENDING")
    assert (saving, confidence) == (Decimal("0.21"), Decimal("0.70"))
    assert current == {"model": "dear", "calls": 100, "usd": "1.500000"}
    assert proposed == {"model": "cheap"}
    assert reasoning == "Try it. It's 100 % \\ cheaper.\n\nSELECT;"


def test_one_matter_has_one_open_recommendation(advised: Advised) -> None:
    same = a(figures={"calls": 500}, proposal={"model": "another"}, saving=Decimal(9))
    others = (
        a(operation="email-respond"),
        a(model="other"),
        a(kind="failed_calls"),
        a(kind="slow_operation", model=None),
    )
    assert advised.store(a(), *others) == Stored(5, 0)
    assert advised.store(same, a(), *others) == Stored(0, 6)
    assert advised.store(a(operation="new"), same) == Stored(1, 1)
    assert len(advised.rows()) == 6


def test_two_indexes_are_two_matters(advised: Advised) -> None:
    both = [
        a(kind="missing_index", operation="*", model=None, figures={"column": name}, proposal={"sql": name})
        for name in ("user_id", "model_used")
    ]
    assert advised.store(*both) == Stored(2, 0)
    assert advised.store(*both) == Stored(0, 2)


def test_what_the_application_wrote_under_a_loose_name_is_the_same_matter(advised: Advised) -> None:
    advised.log.execute(
        "INSERT INTO helix_recommendations (operation_id, recommendation_type, current_config)"
        " VALUES ('email-compose', 'MODEL_SWITCH', '{\"model\": \"loose\"}'), ('email-compose', 'other', NULL)"
    )
    assert advised.store(a(), models={"aliases": {"loose": "dear"}}) == Stored(0, 1)
    assert advised.store(a()) == Stored(1, 0)


@pytest.mark.parametrize("status", ["APPROVED", "REJECTED"])
def test_what_a_person_decided_is_not_asked_again_unless_the_proposal_is_another(advised: Advised, status: str) -> None:
    advised.store(a())
    advised.log.execute("UPDATE helix_recommendations SET approval_status = %s", status)
    assert advised.store(a(figures={"calls": 7})) == Stored(0, 1)
    assert advised.store(a(proposal={"model": "cheaper"})) == Stored(1, 0)
    assert {row[2] for row in advised.rows()} == {status, "PENDING"}


def test_two_runs_at_once_write_one_each(advised: Advised) -> None:
    matters = [a(operation=f"op-{number}") for number in range(20)]
    started = threading.Barrier(3)

    def run() -> Stored:
        started.wait()
        return advised.store(*matters)

    # both wait for a third, so that neither has ended when the other begins
    ((oid,),) = advised.log.execute("SELECT 'helix_recommendations'::regclass::oid::bigint")
    with psycopg.connect(advised.log.url) as third, ThreadPoolExecutor(2) as pool:
        third.execute("SELECT pg_advisory_xact_lock(%s)", [(0x61696F65 << 32) | oid])
        runs = [pool.submit(run) for _ in range(2)]
        started.wait()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: advised.log.execute(waiting) == [(2,)], lambda: str(advised.log.execute(waiting)))
        third.rollback()
        found = {each.result() for each in runs}
    assert found == {Stored(20, 0), Stored(0, 20)}
    assert len(advised.rows()) == 20


def test_all_or_nothing_is_written(advised: Advised) -> None:
    advised.log.execute("ALTER TABLE helix_recommendations ALTER operation_id TYPE varchar(20)")
    with pytest.raises(DatabaseError, match=r"22001"):
        advised.store(a(), a(operation="x" * 100))
    assert advised.rows() == []


@pytest.mark.parametrize("default", ["'APPROVED'", None])
def test_nothing_is_written_where_a_new_row_would_not_be_pending(advised: Advised, default: str | None) -> None:
    change = "DROP DEFAULT, ALTER approval_status DROP NOT NULL" if default is None else f"SET DEFAULT {default}"
    advised.log.execute(f"ALTER TABLE helix_recommendations ALTER approval_status {change}")
    with pytest.raises(SchemaProblem, match=r"not PENDING: nothing was written.*SET DEFAULT 'PENDING';") as refused:
        advised.store(a())
    assert advised.rows() == []
    advised.log.execute(refused.value.hint)
    assert advised.store(a()) == Stored(1, 0)


@pytest.mark.parametrize("kind", ["enum", "json", "lower case", "forced", "domain"])
def test_other_types_and_spellings_of_the_columns(advised: Advised, kind: str) -> None:
    statements = {
        "enum": "CREATE TYPE kind AS ENUM ('model_switch');"
        " ALTER TABLE helix_recommendations ALTER recommendation_type TYPE kind USING recommendation_type::kind",
        "json": "ALTER TABLE helix_recommendations ALTER current_config TYPE json, ALTER proposed_config TYPE json",
        "lower case": "ALTER TABLE helix_recommendations DROP CONSTRAINT helix_recommendations_approval_status_check,"
        " ALTER approval_status SET DEFAULT 'pending'",
        "forced": "ALTER TABLE helix_recommendations FORCE ROW LEVEL SECURITY",
        "domain": "CREATE DOMAIN amount AS numeric(12, 4); CREATE DOMAIN document AS jsonb;"
        " ALTER TABLE helix_recommendations ALTER estimated_savings_usd TYPE amount,"
        " ALTER current_config TYPE document",
    }
    advised.log.execute(statements[kind])
    assert advised.store(a()) == Stored(1, 0)
    assert advised.store(a()) == Stored(0, 1)


def test_columns_of_other_names_are_named_in_the_configuration(advised: Advised) -> None:
    advised.log.execute('ALTER TABLE helix_recommendations RENAME reasoning TO "the %s Why"')
    with pytest.raises(SchemaProblem, match=r"columns.recommendations.reasoning"):
        advised.store(a())
    columns = {"recommendations": {"reasoning": '"the %s Why"'}}
    assert advised.store(a(), columns=columns) == Stored(1, 0)


@pytest.mark.parametrize("column", ["current_config", "proposed_config"])
def test_a_configuration_that_is_no_json_is_refused(advised: Advised, column: str) -> None:
    advised.log.execute(f"ALTER TABLE helix_recommendations ALTER {column} TYPE text")
    with pytest.raises(SchemaProblem, match=f"{column} is of type text, not jsonb.*columns.recommendations.{column}"):
        advised.store(a())


def test_a_table_that_is_not_there_or_switched_off_is_said(advised: Advised) -> None:
    with pytest.raises(SchemaProblem, match=r"--store: tables.recommendations is switched off"):
        advised.store(a(), tables={"recommendations": None})
    with pytest.raises(SchemaProblem, match=r"names elsewhere, which is not in this database"):
        advised.store(a(), tables={"recommendations": "elsewhere"})


def test_the_role_may_add_rows_and_nothing_else(advised: Advised) -> None:
    advised.store(a())
    granted = advised.log.execute(
        "SELECT privilege_type, string_agg(column_name, ' ' ORDER BY column_name)"
        " FROM information_schema.column_privileges WHERE grantee = 'ai_recommender' GROUP BY 1 ORDER BY 1"
    )
    assert granted == [
        (
            "INSERT",
            "confidence current_config estimated_savings_usd operation_id proposed_config reasoning"
            " recommendation_type",
        ),
        ("SELECT", "approval_status current_config operation_id proposed_config recommendation_type"),
    ]
    refused = (
        "UPDATE helix_recommendations SET approval_status = 'APPROVED'",
        "DELETE FROM helix_recommendations",
        "TRUNCATE helix_recommendations",
        "INSERT INTO helix_recommendations (operation_id, recommendation_type, approval_status)"
        " VALUES ('x', 'y', 'APPROVED')",
        "SELECT reasoning FROM helix_recommendations",
        "SELECT operation_id FROM ai_operation_log",
        "SELECT FROM cost_budgets",
        "CREATE TABLE public.x ()",
    )
    with psycopg.connect(advised.url, autocommit=True) as role:
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(statement)
    assert [row[2] for row in advised.rows()] == ["PENDING"]


def test_the_file_can_be_run_again(advised: Advised) -> None:
    advised.store(a())
    advised.run_file()
    assert advised.store(a()) == Stored(0, 1)


def test_row_level_security_that_hides_rows_is_refused(advised: Advised) -> None:
    advised.log.execute("DROP POLICY ai_recommender_reads ON helix_recommendations")
    with pytest.raises(NotVisible, match=r"hides rows of public.helix_recommendations from ai_recommender"):
        advised.store(a())
    assert advised.rows() == []


def test_row_level_security_that_refuses_the_row_is_a_clear_error(advised: Advised) -> None:
    advised.log.execute("DROP POLICY ai_recommender_writes ON helix_recommendations")
    with pytest.raises(MissingGrant, match=r"row-level security refuses new rows of .*from ai_recommender") as refused:
        advised.store(a())
    assert advised.rows() == []
    advised.log.execute(refused.value.hint)
    assert advised.store(a()) == Stored(1, 0)


@pytest.mark.parametrize("revoked", ["INSERT ON helix_recommendations", "SELECT ON helix_recommendations"])
def test_a_missing_grant_is_shown_as_sql(advised: Advised, revoked: str) -> None:
    what, table = revoked.split(" ON ")
    advised.log.execute(f"REVOKE {what} ON {table} FROM ai_recommender")
    with pytest.raises(DatabaseError, match=r"ai_recommender may not") as refused:
        advised.store(a())
    assert advised.rows() == []
    advised.log.execute(refused.value.hint.partition(" -- ")[0])
    assert advised.store(a()) == Stored(1, 0)


def test_the_exporters_own_role_cannot_write(advised: Advised, embedded_postgres: EmbeddedServer) -> None:
    advised.log.execute("CREATE ROLE just_reads LOGIN PASSWORD 'r'")
    advised.log.execute("GRANT USAGE ON SCHEMA public TO just_reads")
    advised.log.execute("GRANT SELECT ON helix_recommendations TO just_reads")
    advised.log.execute("CREATE POLICY p ON helix_recommendations FOR SELECT TO just_reads USING (true)")
    advised.log.execute("ALTER ROLE just_reads SET default_transaction_read_only = on")
    try:
        advised.url = embedded_postgres.url(advised.log.connection.info.dbname, "just_reads", "r")
        with pytest.raises(MissingGrant, match=r"just_reads may not write into public.helix_recommendations"):
            advised.store(a())
        assert advised.rows() == []
    finally:
        advised.log.execute("DROP OWNED BY just_reads")
        advised.log.execute("DROP ROLE just_reads")


def test_the_command_stores_what_it_prints(advised: Advised, clock: Clock) -> None:
    advised.log.execute(
        "GRANT USAGE ON SCHEMA clock TO ai_recommender; GRANT SELECT ON clock.setting TO ai_recommender"
    )
    week(advised.log, clock, 30, latency_ms=1500)
    config = advised.config(expected_operations=[])

    def run(stored: bool = True) -> dict[str, Any]:
        out = io.StringIO()
        assert run_recommend(config, {}, 7 * 86_400, out, form="json", stored=stored) == 0
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    assert run(stored=False)["stored"] is None
    assert advised.rows() == []
    assert run()["stored"] == {"new": 1, "known": 0}
    assert run()["stored"] == {"new": 0, "known": 1}
    assert advised.rows() == [("email-compose", "slow_operation", "PENDING")]
    assert len(recommend(config, {})) == 1


def test_without_an_address_to_write_to_nothing_is_read(log: Log, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"--store: no database is given to write to — set RECOMMENDATIONS_DATABASE_URL"
    ):
        run_recommend(config_for(log.url, tmp_path, {}), {}, 60, io.StringIO(), form="text", stored=True)
