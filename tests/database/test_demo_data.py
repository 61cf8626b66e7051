"""`demo-data`: history once, then live traffic, and never among real rows."""

import os
import signal
from io import StringIO
from pathlib import Path

import psycopg
import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseError
from exporter.demo.data import run_demo_data
from exporter.demo.schema import load_schema
from exporter.errors import UserError
from tests.support.harness import Log
from tests.support.programs import free_port


class EndsAtTraffic(StringIO):
    """An output that ends the command when live traffic begins, as SIGTERM does."""

    def write(self, text: str) -> int:
        if "live traffic" in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


def run(url: str, ready: Path | None = None, source: str = "helix") -> str:
    config = Config.model_validate({"database": {"url": url}, "source": source})
    out = EndsAtTraffic()
    assert run_demo_data(config, resolve_conninfo(config, {}), 1, ready, out) == 0
    return out.getvalue()


def rows(log: Log) -> int:
    return int(log.execute("SELECT count(*) FROM ai_operation_log")[0][0])


def test_history_is_written_once(log: Log, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    said = run(log.url, ready)
    assert ready.exists()
    written = rows(log)
    assert written > 300
    assert f"of 1 days, layout '{log.layout}'" in said
    assert "the history is there already" in run(log.url)
    # a call or two of live traffic may have come
    assert rows(log) < written + 20


def test_litellm_s_log_is_filled_by_the_source_and_not_among_real_rows(embedded_database: str) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        load_schema(admin, "litellm")
        assert "of 1 days, layout 'litellm'" in run(embedded_database, source="litellm")
        assert "the history is there already" in run(embedded_database, source="litellm")
        admin.execute('UPDATE "LiteLLM_SpendLogs" SET "user" = $$somebody$$')
        with pytest.raises(UserError, match="LiteLLM_SpendLogs holds rows that demo-data did not write"):
            run(embedded_database, source="litellm")


def test_a_source_that_the_demo_has_no_rows_for_is_refused(embedded_database: str) -> None:
    with pytest.raises(UserError, match="no rows for the source dify — write source: helix or litellm"):
        run(embedded_database, source="dify")


def test_it_does_not_write_among_real_rows(log: Log) -> None:
    log.insert(60)
    with pytest.raises(UserError, match="rows that demo-data did not write"):
        run(log.url)
    assert rows(log) == 1


def test_traffic_that_ends_by_itself_is_a_failure(log: Log) -> None:
    class DropsTheLog(StringIO):
        def write(self, text: str) -> int:
            if text.startswith("wrote"):
                log.execute("DROP TABLE ai_operation_log")
            return super().write(text)

    config = Config.model_validate({"database": {"url": log.url}})
    out = DropsTheLog()
    assert run_demo_data(config, resolve_conninfo(config, {}), 1, None, out) == 1
    assert "the live traffic has stopped: UndefinedTable" in out.getvalue()


def test_a_database_that_is_not_there_is_said(log: Log) -> None:
    with pytest.raises(DatabaseError):
        run(f"postgresql://x:y@127.0.0.1:{free_port()}/z")
