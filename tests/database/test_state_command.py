"""A state that belongs to one database, and what it takes to move it to another."""

import json
import logging
import sqlite3
import time
from pathlib import Path

import psycopg
import pytest

from exporter.cli import main
from exporter.config import Config
from exporter.demo.schema import load_schema
from exporter.process.serving import serving
from exporter.state.store import StateError, Store
from tests.support.programs import fetch, parse, total, wait_for
from tests.support.servers import EmbeddedServer

INSERT = (
    "INSERT INTO ai_operation_log (operation_type, model_used, cost_usd, success, created_at)"
    " SELECT 'chat', 'deepseek-v3.2', 0.000001, true, now() AT TIME ZONE 'UTC' - interval '90 s'"
    " FROM generate_series(1, %s)"
)


def configured(folder: Path) -> Config:
    web = {"listen_address": "127.0.0.1:0"}
    return Config.model_validate({"state_dir": str(folder), "web": web, "zero_hold": "0s"})


def write(url: str, rows: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(INSERT, (rows,))


def test_the_state_of_another_database_is_refused_by_name_until_it_is_adopted(
    embedded_postgres: EmbeddedServer,
    embedded_database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    restored = embedded_postgres.create_database()
    for url in (embedded_database, restored):
        with psycopg.connect(url) as connection:
            load_schema(connection, "success")
    config = configured(tmp_path / "state")
    with serving(config, {"DATABASE_URL": embedded_database}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200)
        write(embedded_database, 5)
        before = parse(fetch(f"{running.url}/metrics")[1])
        assert total(before, "ai_operations_total") == 5
    # the restored copy has lost two of the five rows
    write(restored, 3)

    with caplog.at_level(logging.WARNING), serving(config, {"DATABASE_URL": restored}) as running:
        refused = parse(fetch(f"{running.url}/metrics")[1])
    assert refused["ai_operation_log_up", frozenset()] == 0
    assert total(refused, "ai_operations_total") == 5
    assert "state adopt" in caplog.text
    assert embedded_database.rsplit("/", 1)[1] in caplog.text

    monkeypatch.setenv("DATABASE_URL", restored)
    assert main(["state", "adopt", "--state-dir", str(config.state_dir)]) == 0
    assert restored.rsplit("/", 1)[1] in capsys.readouterr().out
    assert main(["state", "show", "--state-dir", str(config.state_dir)]) == 0
    shown = capsys.readouterr().out
    assert restored.rsplit("/", 1)[1] in shown
    assert "cost counted          $0.000005" in shown
    assert main(["state", "show", "--json", "--state-dir", str(config.state_dir)]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert list(fields) == [
        *("table", "database", "system", "phase", "read_up_to", "reread_from", "series", "max_series"),
        *("calls_counted", "cost_counted_usd", "taken_back_usd", "rows_found_late"),
    ]
    assert (fields["database"], fields["cost_counted_usd"]) == (restored.rsplit("/", 1)[1], 0.000005)
    assert (fields["calls_counted"], fields["phase"]) == (5, "running")

    with serving(config, {"DATABASE_URL": restored}) as running:
        after = parse(fetch(f"{running.url}/metrics")[1])
    assert after["ai_operation_log_up", frozenset()] == 1
    assert total(after, "ai_operations_total") == 5
    counted = total(after, "ai_operation_cost_usd_total")
    taken_back = total(after, "ai_operation_cost_corrections_usd")
    assert round((counted - taken_back) * 10**6) == 3
    embedded_postgres.drop_database(restored)


def test_a_state_on_a_full_volume_is_not_adopted_and_says_so(
    embedded_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "success")
    config = configured(tmp_path / "state")
    with serving(config, {"DATABASE_URL": embedded_database}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setenv("DATABASE_URL", embedded_database)
    monkeypatch.setattr(Store, "commit", full)
    assert main(["state", "adopt", "--state-dir", str(config.state_dir)]) == 1
    said = capsys.readouterr()
    assert "disk is full; nothing was changed: free space" in said.err
    assert not said.out


def test_backfill_needs_an_unused_folder_but_may_be_repeated(embedded_database: str, tmp_path: Path) -> None:
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "success")
    environ = {"DATABASE_URL": embedded_database}
    write(embedded_database, 4)
    config, since = configured(tmp_path / "state"), (int(time.time()) // 86400 - 2) * 86400
    for _ in range(2):
        with serving(config, environ, since) as running:
            wait_for(lambda url=running.url: fetch(f"{url}/-/ready")[0] == 200)
            assert total(parse(fetch(f"{running.url}/metrics")[1]), "ai_operations_total") == 4
    with pytest.raises(StateError, match="has been used already"), serving(config, environ, since + 86400):
        pass


def test_show_check_and_verify_work_while_the_exporter_runs(
    embedded_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(embedded_database) as connection:
        load_schema(connection, "success")
    monkeypatch.setenv("DATABASE_URL", embedded_database)
    config = configured(tmp_path / "state")
    show = ["state", "show", "--state-dir", str(config.state_dir)]
    with serving(config, {"DATABASE_URL": embedded_database}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200)
        for rows in (2, 4):
            write(embedded_database, 2)
            assert total(parse(fetch(f"{running.url}/metrics")[1]), "ai_operations_total") == rows
            capsys.readouterr()
            # it shows what is committed, which the scrape has waited for
            assert main(show) == 0
            assert f"calls counted         {rows}\n" in capsys.readouterr().out
        main(["check", "--state-dir", str(config.state_dir)])
        assert "in use by a running exporter" in capsys.readouterr().out
        main(["verify", "--exporter-url", running.url])
        said = capsys.readouterr().out
        assert "every row visible, figures current" in said
    assert main(show) == 0
    assert "calls counted         4\n" in capsys.readouterr().out


def test_show_leaves_a_damaged_state_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"no database" * 1000)
    assert main(["state", "show", "--state-dir", str(tmp_path)]) == 1
    assert "file is not a database" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
