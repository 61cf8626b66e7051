"""The logs of public systems are read by the settings that are shipped for them: exactly, and by their own indexes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from exporter.config import Config
from tests.support.harness import running
from tests.support.preflight import check
from tests.support.public_logs import PUBLIC, PublicLog, shown


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


def test_check_says_whose_log_it_is(public: PublicLog, embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
    found = check(embedded_database, tmp_path).entries["log table"]
    assert found.mark == "FAIL"
    assert found.hint[0].startswith(f"write source: {public.name}, whose log is here; or ")
    table = str(Config(source=public.name).tables.log)
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
