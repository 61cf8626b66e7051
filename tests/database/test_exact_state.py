"""A state that cannot be written, is taken, damaged or for another table: nothing is lost, nothing counts twice."""

import logging
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from exporter.database.conninfo import resolve_conninfo
from exporter.ledger.model import Changes
from exporter.scrape.application import Exporter
from exporter.state.store import StateError, Store
from tests.support.disks import freezable_disk
from tests.support.harness import (
    PATIENCE,
    Log,
    assert_shows_what_sql_says,
    assert_spend_is_what_sql_says,
    config_for,
    fixed_layout,
    running,
    wait_for,
)
from tests.support.scraped import said

layout = fixed_layout("status")


class Disk:
    """Stands between the exporter and its state: while full, nothing is written; until it answers, a write waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.answers = threading.Event()
        self.answers.set()
        commit = Store.commit

        def guarded(store: Store, changes: Changes, *more: Any) -> None:
            if self.full:
                raise sqlite3.OperationalError("database or disk is full")
            self.answers.wait()
            commit(store, changes, *more)

        monkeypatch.setattr(Store, "commit", guarded)


def test_a_disk_that_stalls_holds_up_no_scrape(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with running(log.url, tmp_path) as exporter, ThreadPoolExecutor(2) as pool:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        before = exporter.scrape()
        log.insert(2, cost="0.25")
        disk.answers.clear()
        try:
            for scrape in [pool.submit(exporter.scrape, 1.0) for _ in range(2)]:
                scraped = scrape.result(PATIENCE)
                # neither ahead of what is durable nor lower than what was shown
                assert scraped.counters == before.counters
                assert scraped.up == scraped.collectors["log"] == 0
                assert not scraped.has("ai_spend_today_usd")
        finally:
            disk.answers.set()
        assert_shows_what_sql_says(exporter.wait_up(), log)


def test_a_disk_that_hangs_freezes_counters_alone_and_loses_nothing(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    disk = Disk(monkeypatch)
    with running(log.url, tmp_path) as exporter, ThreadPoolExecutor(2) as pool:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        before = exporter.scrape()
        disk.answers.clear()
        try:
            for _ in range(3):
                log.insert(2, cost="0.25")
                for scrape in [pool.submit(exporter.scrape) for _ in range(2)]:
                    scraped = scrape.result(PATIENCE)
                    # neither ahead of what is durable nor lower than what was shown
                    assert scraped.counters == before.counters
                    assert scraped.up == scraped.collectors["log"] == 1
                    assert_spend_is_what_sql_says(scraped, log)
            assert not exporter.ready
            assert exporter.exporter.health().ok
            wait_for(
                lambda: exporter.scrape().one("ai_exporter_state_commit_failures_total") > 1,
                lambda: "no failure is counted",
            )
            assert said(caplog, "the disk does not answer", "counters are frozen")
            log.execute("DELETE FROM ai_operation_log WHERE cost_usd = 0.5")
            exporter.scrape()
        finally:
            disk.answers.set()
        exporter.wait_ready()
        after = exporter.scrape()
        # the row that was counted before stays counted; the three others are counted once
        assert after.micro("ai_operation_cost_usd_total") == 1_250_000
        assert after.money == log.money() == 750_000
        assert said(caplog, "is written again")
    with running(log.url, tmp_path, after=exporter) as again:
        assert again.wait_up().money == log.money()


def test_a_disk_that_hangs_from_the_start(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    disk.answers.clear()
    log.insert(100, cost="0.5")
    with running(log.url, tmp_path) as exporter:
        try:
            exporter.wait_up()
            assert_spend_is_what_sql_says(exporter.scrape(), log)
            assert exporter.scrape().counters == {}
            assert not exporter.ready
            log.insert(1, cost="0.25")
            exporter.scrape()
        finally:
            disk.answers.set()
        exporter.wait_ready()
        assert exporter.scrape().money == 250_000


def test_one_whose_disk_hangs_can_be_stopped(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    stopped = threading.Event()
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        exporter.scrape()
        disk.answers.clear()
        log.insert(2, cost="0.25")
        exporter.scrape()

        def stop() -> None:
            exporter.exporter.stop()
            stopped.set()

        threading.Thread(target=stop, daemon=True).start()
        try:
            assert stopped.wait(PATIENCE), "the disk holds up the end"
        finally:
            disk.answers.set()


def test_a_full_disk_freezes_counters_and_loses_nothing(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(monkeypatch)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        before = exporter.scrape()
        disk.full = True
        log.insert(2, cost="0.25")
        waiting = log.insert(2, cost=None, outcome="pending", latency_ms=None)
        for number in range(1, 4):
            frozen = exporter.scrape()
            assert frozen.counters == before.counters
            assert_spend_is_what_sql_says(frozen, log)
            assert frozen.one("ai_operations_in_progress", status="pending") == 1
            assert frozen.one("ai_exporter_state_commit_failures_total") >= number
        assert not exporter.ready
        assert exporter.exporter.health().ok
        assert "cannot be written" in exporter.exporter.readiness().reason
        assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1
        log.execute("UPDATE ai_operation_log SET status = 'success', cost_usd = 0.125 WHERE id = %s", waiting)
        log.execute("DELETE FROM ai_operation_log WHERE cost_usd = 0.5")
        exporter.scrape()
        disk.full = False
        exporter.wait_ready(10)
        after = exporter.scrape()
        assert after.micro("ai_operation_cost_usd_total") >= 750_000
        assert after.money == log.money() == 375_000
        assert_spend_is_what_sql_says(after, log)
    with running(log.url, tmp_path, after=exporter) as again:
        assert again.wait_up().money == log.money()


def test_a_disk_that_is_full_until_the_end_loses_nothing(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        exporter.scrape()
        disk.full = True
        log.insert(2, cost="0.25")
        exporter.scrape()
    disk.full = False
    with running(log.url, tmp_path, after=exporter) as again:
        assert_shows_what_sql_says(again.wait_up(), log)


def test_a_disk_that_is_full_from_the_start(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    disk.full = True
    log.insert(100, cost="0.5")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_up()
        frozen = exporter.scrape()
        assert_spend_is_what_sql_says(frozen, log)
        assert frozen.counters == {}
        assert not exporter.ready
        log.insert(1, cost="0.25")
        exporter.scrape()
        disk.full = False
        exporter.wait_ready(10)
        scraped = exporter.scrape()
        assert scraped.money == 250_000
        assert_spend_is_what_sql_says(scraped, log)


def test_a_file_that_another_process_locks(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        before = exporter.scrape()
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            log.insert(1, cost="0.5")
            frozen = exporter.scrape()
            assert frozen.counters == before.counters
            assert frozen.micro("ai_spend_today_usd") == 500_000
            other.execute("ROLLBACK")
        exporter.wait_ready(10)
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_a_second_process_on_the_same_state_is_refused(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        program = (
            "import sys; from pathlib import Path; from exporter.state.store import Store; Store(Path(sys.argv[1]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode != 0
        assert "in use by another process" in done.stderr
        with pytest.raises(StateError, match="in use by another process"):
            Store(tmp_path)
        log.insert(1)
        assert_shows_what_sql_says(exporter.scrape(), log)


@pytest.mark.parametrize("damage", ["text", "header", "pages", "empty"])
def test_a_damaged_file_is_set_aside(log: Log, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        exporter.scrape()
    file = tmp_path / "ledger.sqlite"
    content = file.read_bytes()
    assert len(content) > 8192
    file.write_bytes(
        {
            "text": b"this is not a database" * 500,
            "header": b"\0" * 100 + content[100:],
            "pages": content[:4096] + b"\xff" * (len(content) - 4096),
            "empty": b"",
        }[damage]
    )
    with running(log.url, tmp_path) as again:
        scraped = again.wait_ready().scrape()
        assert scraped.money == 0
        assert_spend_is_what_sql_says(scraped, log)
        log.insert(1, cost="0.25")
        assert again.scrape().money == 250_000
    if damage != "empty":
        assert said(caplog, "damaged", "set aside", "begin anew at zero")
        assert list(tmp_path.glob("ledger.sqlite.damaged-*"))


def test_values_in_the_file_that_are_no_state(log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        exporter.scrape()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as db:
        db.execute("UPDATE parts SET value = '{broken' WHERE part = 'totals'")
    with running(log.url, tmp_path) as again:
        assert again.wait_ready().scrape().money == 0
    assert said(caplog, "damaged", "set aside")


def test_one_that_was_never_started_can_be_stopped(log: Log, tmp_path: Path) -> None:
    # as when the web server cannot listen
    config = config_for(log.url, tmp_path, {})
    exporter = Exporter(config, resolve_conninfo(config, {}), Store(tmp_path))
    exporter.stop()
    Store(tmp_path).close()


def test_a_file_system_that_is_frozen_freezes_counters_alone(log: Log, tmp_path: Path) -> None:
    with freezable_disk(tmp_path / "disk") as (disk, freeze, thaw), running(log.url, disk / "state") as exporter:
        exporter.wait_ready()
        log.insert(3, cost="0.5")
        before = exporter.scrape()
        freeze()
        for _ in range(3):
            log.insert(2, cost="0.25")
            frozen = exporter.scrape()
            assert frozen.counters == before.counters
            assert_spend_is_what_sql_says(frozen, log)
        assert not exporter.ready
        thaw()
        exporter.wait_ready()
        assert_shows_what_sql_says(exporter.scrape(), log)
