"""A scrape costs what the open window holds, and not what the table holds: by the planner's own account."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import span_query
from exporter.database.log_table import LogTable
from exporter.database.log_time import undated_query
from exporter.database.probe_query import probe_parameters, probe_query, read_sums
from exporter.database.reader import has_rows
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.demo.schema import LAYOUTS
from exporter.ledger.model import TimeRange
from tests.support.harness import Log, running
from tests.support.servers import EmbeddedServer

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("plan")]

ROWS = 1_000_000
DAYS = 240
WINDOW = 180
PAST = 3 * 3600

FILL = {
    "success": (
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens,"
        " cost_usd, latency_ms, success, created_at)"
        " SELECT 'o' || n % 9, 'o' || n % 9, 'm' || n % 3, NULL, 100, 10, 0.001, 900, n % 50 > 0, {at}"
        " FROM generate_series(1, {rows}) AS n ORDER BY random()"
    ),
    "status": (
        "INSERT INTO ai_operation_log (operation_id, model_used, input_tokens, output_tokens, cost_usd, latency_ms,"
        " status, executed_at)"
        " SELECT 'o' || n % 9, 'm' || n % 3, 100, 10, 0.001, 900,"
        " CASE WHEN n % 50 > 0 THEN 'success' ELSE 'failed' END,"
        " {at} FROM generate_series(1, {rows}) AS n ORDER BY random()"
    ),
}


@dataclass(frozen=True)
class Step:
    """One node of a plan: what it is, its relation and index, and how many rows of the table it went over."""

    kind: str
    relation: str
    index: str
    rows: int


@pytest.fixture(scope="module", params=LAYOUTS)
def big_log(request: pytest.FixtureRequest, embedded_postgres: EmbeddedServer) -> Iterator[Log]:
    url = embedded_postgres.create_database()
    with Log(url, request.param) as log:
        at = f"now() AT TIME ZONE 'UTC' - n * interval '{DAYS * 86400 / ROWS} seconds'"
        # quicker without its indexes, which are made again as they were
        ((index,),) = log.execute("SELECT pg_get_indexdef('ai_operation_log_{time}_idx'::regclass)")
        log.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT ai_operation_log_pkey")
        log.execute("DROP INDEX ai_operation_log_{time}_idx")
        log.execute(FILL[log.layout].replace("{at}", at).replace("{rows}", str(ROWS)))
        log.execute("ALTER TABLE ai_operation_log ADD PRIMARY KEY (id)")
        log.execute(index)
        log.execute("ANALYZE ai_operation_log")
        yield log
    embedded_postgres.drop_database(url)


@dataclass(frozen=True)
class Planned:
    """The plan of a statement as the exporter runs it, and the rows of the table that its span holds."""

    steps: list[Step]
    matching: int


def explain(log: Log, config: Config, ago: int, length: int, width: int = 60) -> Planned:
    """The plan of the query for `length` seconds from `ago` seconds ago on."""
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with database.session(60) as session:
            table = session.log(config.classification())
            lo = (int(session.clock) - ago) // 60 * 60
            span = TimeRange(lo, lo + length)
            statement, parameters = span_query(table, config.classification(), span, width)
            plan = session.run(psycopg.sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement, parameters)[0][0]
        ((matching,),) = log.execute(
            "SELECT count(*) FROM ai_operation_log"
            " WHERE {time} >= to_timestamp(%s) AT TIME ZONE 'UTC' AND {time} < to_timestamp(%s) AT TIME ZONE 'UTC'",
            span.lo,
            span.hi,
        )
        return Planned(list(_steps(plan[0]["Plan"])), matching)
    finally:
        database.close()


def _steps(node: dict[str, Any]) -> Iterator[Step]:
    went_over = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    rows = round((went_over + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])
    yield Step(node["Node Type"], node.get("Relation Name", ""), node.get("Index Name", ""), rows)
    for child in node.get("Plans", ()):
        yield from _steps(child)


def config_of(log: Log, **overrides: Any) -> Config:
    return Config.model_validate({"database": {"url": log.url}, **overrides})


def assert_only_the_span_is_touched(planned: Planned, log: Log, most: int) -> None:
    """The table is reached through the time index alone, and rows outside the span are not looked at."""
    at_the_table = [step for step in planned.steps if step.relation == "ai_operation_log"]
    assert at_the_table, planned
    assert not [step for step in planned.steps if step.kind == "Seq Scan"]
    indexes = {step.index for step in planned.steps if step.index}
    assert indexes == {f"ai_operation_log_{log.time_column}_idx"}
    assert planned.matching > 0
    assert sum(step.rows for step in at_the_table) <= most


@pytest.mark.parametrize("ago", [WINDOW, 86_400, 40 * 86_400])
def test_a_window_costs_its_own_rows(big_log: Log, ago: int) -> None:
    planned = explain(big_log, config_of(big_log), ago, WINDOW)
    assert_only_the_span_is_touched(planned, big_log, planned.matching + 5)


def test_a_window_of_a_zone_costs_its_margin(big_log: Log) -> None:
    planned = explain(big_log, config_of(big_log, log_time_zone="Europe/Berlin"), 86_400, WINDOW)
    margin = 6 * 3600 * ROWS // (DAYS * 86_400)
    assert_only_the_span_is_touched(planned, big_log, planned.matching + margin + 5)


def test_a_chunk_of_the_past_costs_its_own_rows(big_log: Log) -> None:
    planned = explain(big_log, config_of(big_log), 5 * 86_400, PAST, 900)
    assert_only_the_span_is_touched(planned, big_log, planned.matching + 5)


def test_the_probe_for_unusable_times_looks_at_no_other_row(big_log: Log) -> None:
    config = config_of(big_log)
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with database.session(60) as session:
            table: LogTable = session.log(config.classification())
            statement = psycopg.sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + undated_query(table, 1000)
            plan = session.run(statement)[0][0]
    finally:
        database.close()
    steps = [step for step in _steps(plan[0]["Plan"]) if step.relation == "ai_operation_log"]
    assert len(steps) == 3
    assert {step.kind for step in steps} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}
    assert sum(step.rows for step in steps) == 0


def explain_probe(log: Log, config: Config, ages: list[int]) -> Planned:
    """The plan of the probe of the quarters that lie so many of them back, and the rows that these hold."""
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with database.session(60) as session:
            table = session.log(config.classification())
            newest = int(session.clock) // 900 * 900
            spans = [TimeRange(newest - age * 900, newest - age * 900 + 900) for age in ages]
            by = config.classification()
            statement, parameters = probe_query(table, by), probe_parameters(table, by, spans)
            plan = session.run(psycopg.sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement, parameters)[0][0]
            found = read_sums(session, table, config.classification(), spans)
        return Planned(list(_steps(plan[0]["Plan"])), sum(sums.rows for sums in found.values()))
    finally:
        database.close()


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("ages", [list(range(1, 7)), list(range(1, 193)), [190]])
def test_a_probe_for_late_rows_costs_the_rows_of_its_slices(big_log: Log, ages: list[int], zone: str) -> None:
    planned = explain_probe(big_log, config_of(big_log, log_time_zone=zone), ages)
    # an average over all slices may be rounded
    assert_only_the_span_is_touched(planned, big_log, planned.matching + len(ages) + 5)


def test_a_probe_of_a_partitioned_log_goes_to_the_partitions_of_its_slices(embedded_database: str) -> None:
    with Log(embedded_database, "success") as log:
        log.execute("ALTER TABLE ai_operation_log RENAME TO old")
        log.execute("CREATE TABLE ai_operation_log (LIKE old INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)")
        for day in range(-1, 6):
            log.execute(
                f"CREATE TABLE part_{day + 1} PARTITION OF ai_operation_log FOR VALUES"
                f" FROM ((current_date - {day})::timestamp) TO ((current_date - {day - 1})::timestamp)"
            )
        log.execute("CREATE INDEX ON ai_operation_log (created_at)")
        at = "now() AT TIME ZONE 'UTC' - n * interval '4.3 seconds'"
        log.execute(FILL["success"].replace("{at}", at).replace("{rows}", "100000"))
        log.execute("ANALYZE ai_operation_log")
        planned = explain_probe(log, config_of(log), list(range(1, 193)))
        parts = [step for step in planned.steps if step.relation.startswith("part_")]
        assert planned.matching > 30_000
        assert not [step for step in parts if step.kind == "Seq Scan" and step.rows]
        assert sum(step.rows for step in parts if step.rows) <= planned.matching + 192 + 5


def test_scrapes_of_a_large_table_read_only_new_rows(big_log: Log, tmp_path: Path) -> None:
    with running(big_log.url, tmp_path) as exporter:
        exporter.wait_ready(120)
        before = exporter.scrape()
        after = exporter.scrape()
        read = after.one("ai_exporter_rows_read_total") - before.one("ai_exporter_rows_read_total")
        # a window holds about ten rows; merges and re-reads in between a few hundred
        assert 0 < read < 3000
        assert after.up == 1


@pytest.mark.parametrize("days", [1, 27, 120])
def test_whether_a_stretch_has_rows_is_told_by_the_time_index(
    big_log: Log, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """A plan that hopes to meet one of many rows soon goes over all that lie before them in the table."""
    config = config_of(big_log)
    asked: list[tuple[Any, Any]] = []
    attempt = Session.attempt

    def noted(session: Session, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
        asked.append((statement, parameters))
        return attempt(session, statement, parameters)

    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with database.session(60) as session:
            table = session.log(config.classification())
            now = int(session.clock)
            monkeypatch.setattr(Session, "attempt", noted)
            assert has_rows(session, table, config.classification(), TimeRange(now - days * 86_400, now))
            ((statement, parameters),) = asked
            plan = session.run(psycopg.sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement, parameters)[0][0]
    finally:
        database.close()
    steps = [step for step in _steps(plan[0]["Plan"]) if step.relation]
    assert {step.index for step in steps} == {f"ai_operation_log_{big_log.time_column}_idx"}
