"""The logs of public systems are read by the settings that are shipped for them: exactly, and by their own indexes."""

import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from exporter.advisor.advise import advise
from exporter.advisor.calls import Calls
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import span_query
from exporter.database.log_time import undated_query
from exporter.database.measures import spend_query
from exporter.database.one_session import one_session
from exporter.database.probe_query import probe_parameters, probe_query
from exporter.database.reader import read_span
from exporter.database.transactions import Database
from exporter.digest.hours import read_hours
from exporter.digest.model import LeftOut
from exporter.digest.run import Wanted as WantedDigest
from exporter.digest.run import read_digest
from exporter.figures import Figure
from exporter.ledger.model import TimeRange
from exporter.reconcile.log import logged
from exporter.reconcile.period import By, DayRange
from exporter.reports.prices import run_prices
from exporter.reports.recent import Wanted, run_operations
from exporter.verify.database import check_database, spent_since
from tests.support import ROOT
from tests.support.harness import running, wait_for
from tests.support.preflight import check
from tests.support.public_logs import PUBLIC, PublicLog, shown
from tests.support.servers import EmbeddedServer


@pytest.fixture(params=PUBLIC)
def public(request: pytest.FixtureRequest) -> PublicLog:
    return PublicLog.of(request.param)


def test_counters_are_what_plain_sql_says(public: PublicLog, embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 500, step=17)
        since = datetime.now(UTC) - timedelta(hours=4)
        with running(embedded_database, tmp_path, since, source=public.name) as exporter:
            exporter.wait_ready()
            truth = public.figures(admin)
            assert truth.calls > 100
            assert shown(exporter.scrape()) == truth


def test_check_passes(public: PublicLog, embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 3000, step=5)
        admin.execute("ANALYZE")
        report = check(embedded_database, tmp_path, source=public.name)
        assert report.code == 0, report.text
        assert report.entries["outcomes"].mark == "ok", report.text
        assert report.entries["time index"].mark == "ok", report.text


@pytest.fixture(scope="module", params=PUBLIC)
def large(request: pytest.FixtureRequest, embedded_postgres: EmbeddedServer) -> Iterator[tuple[PublicLog, str]]:
    """A log of four days, of which a scrape reads some minutes."""
    public, url = PublicLog.of(request.param), embedded_postgres.create_database()
    with psycopg.connect(url, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 30_000, step=12)
        admin.execute("VACUUM ANALYZE")
    yield public, url
    embedded_postgres.drop_database(url)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def test_calls_that_are_compared_with_each_other_are_those_that_count(large: tuple[PublicLog, str]) -> None:
    public, url = large
    config = Config.model_validate({"database": {"url": url}, "source": public.name})
    rules, info = config.classification(), resolve_conninfo(config, {})
    with one_session(config, info, "tests", 60) as session:
        log, now = session.log(rules), int(session.clock)
        span = TimeRange(now - 86_400, now)
        hours = read_hours(session, Calls(log, rules, span), ZoneInfo("UTC"))
        buckets = read_span(session, log, rules, span, width=3600).values()
        cells = [figures for series in hours.values() for figures in series.values()]
        assert sum(each.calls for each in cells) == sum(
            each[Figure.CALLS] for bucket in buckets for each in bucket.cells.values()
        )
        assert any(each.calls for each in cells)
        assert any(each.cost for each in cells) == ("cost" in log.columns)
        for advice in advise(session, info, config):
            with session.savepoint():
                assert session.run(advice.evidence.rpartition("pg_temp;\n")[2].replace("%", "%%")), advice
    digest = read_digest(config, {}, WantedDigest())
    assert digest.day.calls > 0
    assert not isinstance(digest.recommendations, LeftOut)
    for each in (digest.forecast, digest.anomalies):
        assert not isinstance(each, LeftOut) or "are known" in each.reason, each


@pytest.mark.parametrize("statement", ["window", "quarter-hours", "undated", "spend"])
def test_the_log_s_own_index_serves_whatever_its_size(large: tuple[PublicLog, str], statement: str) -> None:
    public, url = large
    config = Config.model_validate({"database": {"url": url}, "source": public.name})
    rules = config.classification()
    database = Database(resolve_conninfo(config, {}), 5, "tests")
    try:
        with database.session(60) as session:
            table, now = session.log(rules), int(session.clock)
            window = TimeRange(now - 900, now)
            quarters = [TimeRange(now // 900 * 900 - age * 900, now // 900 * 900) for age in (1, 2)]
            parameters: dict[str, Any] = {}
            if statement == "window":
                query, parameters = span_query(table, rules, window, 60)
            elif statement == "quarter-hours":
                query, parameters = probe_query(table, rules), probe_parameters(table, rules, quarters)
            elif statement == "spend":
                query, parameters = spend_query(table, rules, window)
            else:
                query = undated_query(table, 1000)
            (((plan,),),) = session.run(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + query, parameters)
    finally:
        database.close()
    nodes = list(_nodes(plan["Plan"]))
    at_the_table = [node for node in nodes if node.get("Relation Name") == config.tables.log.name]
    assert at_the_table
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in nodes)
    assert read <= 3000, plan


def test_check_says_whose_log_it_is(public: PublicLog, embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
    found = check(embedded_database, tmp_path).entries["log table"]
    assert found.mark == "FAIL"
    assert found.hint[0].startswith(f"write source: {public.name}, whose log is here; or ")
    table = str(Config.model_validate({"source": public.name}).tables.log)
    named = check(embedded_database, tmp_path, tables={"log": table}).entries["columns"]
    assert (named.mark, named.hint[0].startswith(f"write source: {public.name}, ")) == ("FAIL", True)


def test_all_that_is_missing_is_said_at_once_with_what_it_may_be(embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        PublicLog.of("litellm").create(admin)
    found = check(embedded_database, tmp_path, tables={"log": "LiteLLM_SpendLogs"}).entries["columns"]
    for name in ("user_id", "input_tokens", "output_tokens", "cost_usd", "latency_ms", "error_message", "operation"):
        assert name in found.detail
    for near in (
        'columns.log.user (perhaps "user")',
        "columns.log.input_tokens (perhaps prompt_tokens)",
        "columns.log.output_tokens (perhaps completion_tokens)",
        "columns.log.cost (perhaps spend)",
        "columns.log.latency (perhaps request_duration_ms)",
        "columns.log.operation (perhaps call_type)",
    ):
        assert near in found.hint[0], found.hint[0]


def test_commands_follow_the_settings(public: PublicLog, embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 200, step=20)
        truth = public.figures(admin)
    settings = {"database": {"url": embedded_database}, "source": public.name, "state_dir": str(tmp_path)}
    config = Config.model_validate(settings)
    out = io.StringIO()
    assert run_operations(config, {}, Wanted(limit=1000), out, as_json=True) == 0
    calls = json.loads(out.getvalue())
    final = [call for call in calls if call["outcome"] in ("ok", "failed", "timeout")]
    assert (len(final), sum(call["outcome"] == "failed" for call in final)) == (truth.calls, truth.failures)
    assert all(call["error_class"] != "other" for call in final if call["outcome"] == "failed")
    failed = io.StringIO()
    assert run_operations(config, {}, Wanted(limit=1000, failed=True), failed, as_json=True) == 0
    assert len(json.loads(failed.getvalue())) == truth.failures
    assert run_operations(config, {}, Wanted(), io.StringIO(), as_json=False) == 0
    prices = io.StringIO()
    assert run_prices(config, {}, None, 7, prices, offline=False, as_json=True) == 0
    assert json.loads(prices.getvalue())
    info = resolve_conninfo(config, {})
    assert round(spent_since(config, info, int(time.time()) - 86_400) * 10**6) == round(truth.cost / 1000)
    assert "every row visible" in check_database(config, info).detail
    rules = config.classification()
    now = int(time.time())
    with one_session(config, info, "tests", 60) as session:
        log = session.log(rules)
        kinds: tuple[By, ...] = ("operation", "model", "user", "day")
        for by in kinds:
            period = DayRange(now - 86_400, now + 1, ZoneInfo("UTC"))
            found = logged(session, log, rules, by, period)
            assert round(sum(units for units, _ in found.values()) / 1000) == truth.cost


def test_the_grants_of_the_page_are_all_that_litellm_needs(
    embedded_database: str, embedded_postgres: EmbeddedServer, tmp_path: Path
) -> None:
    (text,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sources.md").read_text(), re.DOTALL)
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        PublicLog.of("litellm").create(admin)
        PublicLog.of("litellm").fill(admin, 100, step=10)
        admin.execute("DROP ROLE IF EXISTS litellm_reader")
        admin.execute(text)
        admin.execute("ALTER ROLE litellm_reader PASSWORD 'for this test'")
        try:
            url = embedded_postgres.url(admin.info.dbname, "litellm_reader", "for this test")
            report = check(url, tmp_path, source="litellm")
            assert report.code == 0, report.text
            assert report.marked("warn") == set(), report.text
        finally:
            admin.execute("DROP OWNED BY litellm_reader; DROP ROLE litellm_reader")


def test_a_partitioned_log_under_row_level_security_is_read_as_a_whole(
    embedded_database: str, embedded_postgres: EmbeddedServer, tmp_path: Path
) -> None:
    public = PublicLog.of("litellm")
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        # as the proxy makes it: daily partitions and a default one, and the time in the primary key
        tables = public.tables.replace("request_id text PRIMARY KEY", "request_id text").replace(
            "CURRENT_TIMESTAMP\n);",
            'CURRENT_TIMESTAMP, PRIMARY KEY (request_id, "startTime")\n) PARTITION BY RANGE ("startTime");',
        )
        assert tables.count("PARTITION BY") == 1
        admin.execute(tables.encode())
        admin.execute('CREATE TABLE part_default PARTITION OF "LiteLLM_SpendLogs" DEFAULT')
        for day in range(-3, 2):
            lo, hi = (datetime.now(UTC).date() + timedelta(days=day + more) for more in (0, 1))
            bounds = f"FOR VALUES FROM ('{lo}') TO ('{hi}')"
            admin.execute(f'CREATE TABLE "part{day}" PARTITION OF "LiteLLM_SpendLogs" {bounds}'.encode())
        public.fill(admin, 2000, step=120)
        admin.execute("ANALYZE")
        admin.execute('ALTER TABLE "LiteLLM_SpendLogs" ENABLE ROW LEVEL SECURITY')
        admin.execute("DROP ROLE IF EXISTS spend_reader")
        admin.execute("CREATE ROLE spend_reader LOGIN PASSWORD 'for this test'")
        admin.execute('GRANT SELECT ON "LiteLLM_SpendLogs" TO spend_reader')
        try:
            url = embedded_postgres.url(admin.info.dbname, "spend_reader", "for this test")
            hidden = check(url, tmp_path, source="litellm")
            assert hidden.entries["rows visible"].mark == "FAIL"
            admin.execute('CREATE POLICY all_rows ON "LiteLLM_SpendLogs" FOR SELECT TO spend_reader USING (true)')
            report = check(url, tmp_path, source="litellm")
            assert report.marked("FAIL") == set(), report.text
            assert report.entries["time index"].mark == "ok", report.text
            with running(url, tmp_path, datetime.now(UTC) - timedelta(days=3), source="litellm") as exporter:
                exporter.wait_ready()
                assert shown(exporter.scrape()) == public.figures(admin)
        finally:
            admin.execute("DROP OWNED BY spend_reader; DROP ROLE spend_reader")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["litellm", "new-api"])
def test_rows_that_come_late_and_out_of_order_are_counted_over_restarts(
    name: str, embedded_database: str, tmp_path: Path
) -> None:
    public = PublicLog.of(name)
    settings: dict[str, Any] = {"source": name, "open_window": "15m"}
    table = Config.model_validate({"source": name}).tables.log.name
    since = datetime.now(UTC) - timedelta(hours=1)
    moving = sql.SQL(
        "WITH moved AS (DELETE FROM staged WHERE ctid = ANY(ARRAY(SELECT ctid FROM staged ORDER BY random() LIMIT 20))"
        " RETURNING *) INSERT INTO {} SELECT * FROM moved"
    ).format(sql.Identifier(table))
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        admin.execute(sql.SQL("CREATE TABLE staged (LIKE {} INCLUDING DEFAULTS)").format(sql.Identifier(table)))
        written = re.sub(rf'INSERT INTO "?{table}"?', "INSERT INTO staged", public.rows)
        admin.execute(written.replace("{rows}", "400").replace("{step}", "1").encode())
        before = None
        for _ in range(4):
            with running(embedded_database, tmp_path, since, after=before, **settings) as exporter:
                exporter.wait_ready()
                for number in range(5):
                    # what is not committed is not seen, and every third is taken back
                    with admin.transaction(force_rollback=number == 2):
                        admin.execute(moving)
                        exporter.scrape()
                    exporter.scrape()
                before = exporter
        with running(embedded_database, tmp_path, since, after=before, **settings) as exporter:
            exporter.wait_ready()
            assert admin.execute("SELECT count(*) FROM staged").fetchone() == (80,)
            wait_for(lambda: shown(exporter.scrape()) == public.figures(admin), lambda: str(shown(exporter.last)))
            exporter.wait_ready()
            # no counter has fallen, and nothing was taken back
            assert exporter.scrape().total("ai_operation_cost_corrections_usd") == 0
