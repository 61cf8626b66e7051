"""The logs of public systems are read by the settings that are shipped for them: exactly, and by their own indexes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

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
