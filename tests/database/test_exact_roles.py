"""The roles that are shipped see every row of both layouts."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from psycopg import sql

from exporter.demo.history import history, history_start
from exporter.demo.rows import fill
from exporter.demo.schema import LAYOUTS
from tests.support import ROOT
from tests.support.harness import Log, assert_shows_what_sql_says, running
from tests.support.servers import PostgresServer

SQL = ROOT / "deploy" / "sql"
PASSWORD = "for this test"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("file", ["role_policies.sql", "role_bypassrls.sql"])
def test_the_shipped_roles_see_everything(
    database: str, postgres: PostgresServer, layout: str, file: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    with Log(database, "success" if layout == "success" else "status") as log:
        fill(log.connection, log.layout, history(log.layout, 1, now, Random(4), per_day=1_700))
        log.execute((SQL / file).read_text())
        try:
            log.connection.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
            url = postgres.url(log.connection.info.dbname, "ai_exporter", PASSWORD)
            with running(url, tmp_path, history_start(1, now)) as exporter:
                scraped = exporter.wait_ready().scrape()
                assert_shows_what_sql_says(scraped, log)
                assert set(scraped.collectors.values()) == {1}
                assert scraped.has("ai_user_daily_limit_usd")
                assert scraped.has("ai_model_route_info")
                log.insert(1, cost="0.1")
                assert_shows_what_sql_says(exporter.scrape(), log)
        finally:
            log.execute("DROP OWNED BY ai_exporter")
            log.execute("DROP ROLE ai_exporter")
