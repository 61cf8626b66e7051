"""`check` where the database cannot be reached, or is another one than the state was kept for."""

import socket
from dataclasses import asdict
from pathlib import Path

import psycopg
import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.session import Identity
from exporter.database.transactions import Database
from exporter.demo.schema import load_schema
from exporter.ledger.model import Changes
from exporter.preflight.run import STEPS
from exporter.state.provenance import IDENTITY
from exporter.state.store import Store
from tests.support.preflight import check, populate
from tests.support.servers import EmbeddedServer


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def ready(embedded_database: str) -> str:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        load_schema(admin, "success")
        populate(admin, "success")
    return embedded_database


@pytest.mark.parametrize(
    ("change", "detail", "hint"),
    [
        ({"password": "not-the-word"}, "wrong password for the user", "correct the password"),
        ({"database": "nowhere"}, "the database does not exist", "correct the database's name"),
        ({"user": "nobody", "password": "x"}, "wrong password for the user", "correct the password"),
    ],
)
def test_a_refused_login_fails_with_its_hint_and_skips_the_rest(
    embedded_postgres: EmbeddedServer, change: dict[str, str], detail: str, hint: str, tmp_path: Path
) -> None:
    report = check(embedded_postgres.url(**change), tmp_path)
    assert report.code == 1
    assert report.marked("FAIL") == {"connection"}
    assert detail in report.entries["connection"].detail
    assert hint in report.entries["connection"].hint[0]
    assert report.marked("ok") == {"users", "state folder", "state access", "state space", "series"}
    assert [entry.detail for _, entry in report.findings if entry.mark == "-"] == ["skipped: needs connection"]
    assert report.text.endswith(f" 1 failed, {len(STEPS) - 1} skipped\n")
    assert "not-the-word" not in report.text
    assert embedded_postgres.password not in report.text


def test_a_closed_port_says_so(tmp_path: Path) -> None:
    report = check(f"postgresql://u:s3cret-word@127.0.0.1:{closed_port()}/d", tmp_path)
    assert report.code == 1
    assert "connection refused" in report.entries["connection"].detail
    assert "s3cret-word" not in report.text


def test_a_url_that_cannot_be_read_is_told_without_quoting_it(tmp_path: Path) -> None:
    report = check("postgresql://u:s3cret/word@host@other:port:1/d", tmp_path)
    assert report.code == 1
    assert report.entries["connection"].detail.startswith("DATABASE_URL: the URL cannot be read")
    assert "percent-encode" in report.entries["connection"].hint[0]
    assert "s3cret" not in report.text
    assert report.entries[f"{len(STEPS) - 1} other checks"].detail == "skipped: needs connection"


def test_the_state_of_this_table_passes_and_that_of_another_fails(ready: str, tmp_path: Path) -> None:
    keep_for(ready, tmp_path, "public.ai_operation_log")
    report = check(ready, tmp_path)
    assert report.code == 0
    assert report.entries["state folder"].detail == f"{tmp_path} holds the state of this table"
    keep_for(ready, tmp_path, "public.another_log")
    report = check(ready, tmp_path)
    assert report.code == 1
    assert "belongs to public.another_log in database" in report.entries["state folder"].detail
    assert "state adopt" in report.entries["state folder"].hint[0]


def test_a_state_is_not_compared_where_the_database_cannot_be_reached(ready: str, tmp_path: Path) -> None:
    keep_for(ready, tmp_path, "public.ai_operation_log")
    report = check(f"postgresql://u:p@127.0.0.1:{closed_port()}/d", tmp_path)
    assert report.entries["state folder"].mark == "warn"
    assert "not compared" in report.entries["state folder"].detail


def keep_for(url: str, folder: Path, table: str) -> None:
    """Make a state of this cluster and database for a table."""
    database = Database(resolve_conninfo(Config(), {"DATABASE_URL": url}), 5, "tests")
    with database.session(10) as session:
        known = session.identity(session.log(Config().classification()))
    database.close()
    with Store(folder) as store:
        store.commit(Changes(), {IDENTITY: asdict(Identity(known.system, known.database, table))})
