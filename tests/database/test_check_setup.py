"""`check` on a set-up as deploy/sql makes it: everything passes."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from exporter.demo.rows import TIME_COLUMN
from exporter.demo.schema import Layout, load_schema
from tests.support.preflight import FOLDER, MODELS, PASSWORD, Admin, Entry, add_route, check, populate
from tests.support.servers import PostgresServer


@pytest.fixture
def admin(database: str, layout: Layout) -> Iterator[Admin]:
    with psycopg.connect(database, autocommit=True) as connection:
        load_schema(connection, layout)
        populate(connection, layout)
        add_route(connection, MODELS[0], MODELS[1])
        yield connection
        if connection.execute("SELECT FROM pg_roles WHERE rolname = 'ai_exporter'").fetchone() is not None:
            connection.execute("DROP OWNED BY ai_exporter")
            connection.execute("DROP ROLE ai_exporter")


@pytest.mark.parametrize("file", ["role_bypassrls.sql", "role_policies.sql"])
def test_a_set_up_by_the_shipped_sql_passes_without_a_warning(
    admin: Admin, layout: Layout, file: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    admin.execute((FOLDER / file).read_bytes())
    admin.execute(sql.SQL("ALTER ROLE ai_exporter PASSWORD {}").format(PASSWORD))
    report = check(postgres.url(admin.info.dbname, "ai_exporter", PASSWORD), tmp_path / "not" / "there")
    assert report.code == 0
    assert report.marked("ok") == report.entries.keys()
    assert report.text.splitlines()[-1] == f"{len(report.entries)} passed, 0 to look at, 0 failed, 0 skipped"
    assert f'layout "{layout}"' in report.entries["columns"].detail
    assert f"time: {TIME_COLUMN[layout]}" in report.entries["columns"].detail
    assert f"ai_operation_log_{TIME_COLUMN[layout]}_idx" in report.entries["time index"].detail
    assert report.entries["open window"].detail.startswith("27 rows of the last")
    assert "9 of 9 expected" in report.entries["registered operations"].detail
    absent = "approvals" if layout == "success" else "recommendations"
    assert report.entries[absent].detail.startswith("no table")
    assert list(tmp_path.iterdir()) == []
    assert PASSWORD not in report.text


def test_a_table_too_large_to_be_read_whole_is_read_by_its_index(
    admin: Admin, layout: Layout, database: str, tmp_path: Path
) -> None:
    for minutes in range(1, 60):
        populate(admin, layout, f"{minutes} hours")
    admin.execute("ANALYZE ai_operation_log")
    report = check(database, tmp_path)
    used = f"the scrape's query uses ai_operation_log_{TIME_COLUMN[layout]}_idx"
    assert report.entries["time index"] == Entry("ok", used)
    assert report.marked("warn") == {"least privilege"}
    assert report.entries["least privilege"].detail == "postgres is a superuser: it can read and write everything"
    assert report.code == 0
