"""`ai_recommendations_savings_usd`: what pending recommendations would save, as the table has it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.harness import Log, fixed_layout, running
from tests.support.servers import EmbeddedServer

layout = fixed_layout("success")

NAME = "ai_recommendations_savings_usd"


def add(log: Log, kind: str, saving: str | None, status: str = "PENDING") -> None:
    log.execute(
        "INSERT INTO helix_recommendations (operation_id, recommendation_type, estimated_savings_usd, approval_status)"
        " VALUES ('o', %s, %s, %s)",
        kind,
        saving,
        status,
    )


def shown(url: str, state: Path) -> tuple[dict[str, float], float]:
    """The savings by type, and how many recommendations are counted."""
    with running(url, state) as exporter:
        scraped = exporter.wait_up()
    savings = {dict(labels)["type"]: value for (name, labels), value in scraped.items() if name == NAME}
    return savings, sum(value for (name, _), value in scraped.items() if name == "ai_recommendations")


@pytest.fixture
def loose(log: Log) -> Log:
    """A table in which anything can be written."""
    log.execute(
        "ALTER TABLE helix_recommendations DROP CONSTRAINT helix_recommendations_approval_status_check,"
        " ALTER estimated_savings_usd TYPE numeric"
    )
    return log


def test_pending_ones_are_summed_by_type_and_others_are_not(loose: Log, tmp_path: Path) -> None:
    for kind, saving, status in (
        ("model_switch", "41.005", "PENDING"),
        ("MODEL_SWITCH", "0.995", "pending"),
        ("model_switch", "1000", "APPROVED"),
        ("model_switch", "1000", "REJECTED"),
        ("batching", "0.25", "Pending"),
        ("slow_operation", None, "PENDING"),
    ):
        add(loose, kind, saving, status)
    assert shown(loose.url, tmp_path) == ({"batching": 0.25, "model_switch": 42.0, "slow_operation": 0.0}, 6)


def test_amounts_that_cannot_be_are_left_out(loose: Log, tmp_path: Path) -> None:
    for saving in ("NaN", "Infinity", "-5", "1e30", "0.1", "0.2"):
        add(loose, "batching", saving)
    assert shown(loose.url, tmp_path) == ({"batching": 0.3}, 6)


def test_the_types_beyond_those_shown_are_summed(loose: Log, tmp_path: Path) -> None:
    loose.execute(
        "INSERT INTO helix_recommendations (operation_id, recommendation_type, estimated_savings_usd)"
        " SELECT 'o', 'kind-' || n, 1 FROM generate_series(1, 1500) AS n"
    )
    savings, count = shown(loose.url, tmp_path)
    assert (len(savings), sum(savings.values()), savings["other"], count) == (101, 1500, 1400, 1500)


def test_an_empty_table_saves_nothing(log: Log, tmp_path: Path) -> None:
    assert shown(log.url, tmp_path) == ({}, 0)


def test_a_table_without_the_column_shows_the_rest(log: Log, tmp_path: Path) -> None:
    add(log, "batching", "1")
    log.execute("ALTER TABLE helix_recommendations DROP estimated_savings_usd")
    assert shown(log.url, tmp_path) == ({}, 1)


@pytest.fixture
def reader(log: Log, embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """The URL of a role as an earlier version made it: it may not read the savings."""
    with psycopg.connect(log.url, autocommit=True) as admin:
        admin.execute("CREATE ROLE earlier LOGIN BYPASSRLS PASSWORD 'r'")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO earlier")
        admin.execute("REVOKE SELECT ON helix_recommendations FROM earlier")
        admin.execute("GRANT SELECT (recommendation_type, approval_status) ON helix_recommendations TO earlier")
        yield embedded_postgres.url(admin.info.dbname, "earlier", "r")
        admin.execute("DROP OWNED BY earlier")
        admin.execute("DROP ROLE earlier")


def test_without_the_grant_the_rest_is_shown_and_with_it_the_savings(log: Log, reader: str, tmp_path: Path) -> None:
    add(log, "batching", "1")
    assert shown(reader, tmp_path / "a") == ({}, 1)
    log.execute("GRANT SELECT (estimated_savings_usd) ON helix_recommendations TO earlier")
    assert shown(reader, tmp_path / "b") == ({"batching": 1.0}, 1)
