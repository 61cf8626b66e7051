"""Changed settings are taken up while the old ones go on serving, in short transactions, and no counter jumps."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from exporter.database.errors import QueryTimeout
from exporter.database.rows import BucketReader
from exporter.ledger.calendar import HOUR
from exporter.scrape.ledger_service import LedgerService
from tests.support.harness import Log, Running, assert_spend_is_what_sql_says, running, wait_for
from tests.support.scraped import said, spend
from tests.support.servers import EmbeddedServer

pytestmark = pytest.mark.slow

SERIES = ("email-compose", "deepseek-v3.2")
RENAMED = ("email-compose", "renamed")
ALIASES = {"aliases": {"deepseek-v3.2": "renamed"}}


class Gate:
    """Stops the background reader before it takes in a stretch, once it has taken in so many past the history."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, passing: int) -> None:
        self.passed = 0
        self.stretches: list[Any] = []
        self.reached = threading.Event()
        self._open = threading.Event()
        monkeypatch.setattr("exporter.scrape.adaptive_chunk.LONGEST_CHUNK", 6 * HOUR)
        convert = LedgerService.convert

        def gated(ledger: LedgerService, going: Any, stretch: Any, reads: Any) -> None:
            if self.passed >= passing and not self._open.is_set():
                self.reached.set()
                self._open.wait()
            self.passed += not stretch.history
            self.stretches.append(stretch)
            convert(ledger, going, stretch, reads)

        monkeypatch.setattr(LedgerService, "convert", gated)

    def wait(self, exporter: Running) -> None:
        """Until the reader has stopped here."""
        wait_for(self.reached.is_set, lambda: exporter.exporter.readiness().reason)

    def open(self) -> None:
        """Let it go on, for good."""
        self._open.set()


@contextmanager
def gate(monkeypatch: pytest.MonkeyPatch, passing: int) -> Iterator[Gate]:
    made = Gate(monkeypatch, passing)
    try:
        yield made
    finally:
        made.open()


def fill(log: Log, hours: int = 47) -> None:
    """A row every ten minutes, a cent each, of which none is of this minute."""
    with log.together():
        for number in range(1, 6 * hours):
            log.insert(600 * number, cost="0.01")


def transactions(log: Log) -> list[tuple[Any, ...]]:
    """The exporter's open transactions."""
    return log.execute(
        "SELECT application_name, state, query FROM pg_stat_activity"
        " WHERE application_name LIKE 'ai-operation-exporter%%' AND xact_start IS NOT NULL"
    )


def test_it_serves_by_the_old_settings_and_no_transaction_is_open_while_it_computes(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    fill(log)
    with running(log.url, tmp_path) as exporter:
        before = exporter.wait_ready().scrape()
    with gate(monkeypatch, 3) as held, running(log.url, tmp_path, after=exporter, models=ALIASES) as again:
        again.wait_up()
        held.wait(again)
        log.insert(0, cost="0.5")
        scraped = again.scrape()
        assert scraped.up == 1
        assert scraped.money == before.money + 500_000
        assert spend(scraped, "today") == log.spent(scraped, "day")
        assert 0 < scraped.one("ai_exporter_backfill_progress_ratio") < 1
        assert again.ready
        assert "changed settings" in again.exporter.readiness().reason
        wait_for(lambda: not transactions(log), lambda: str(transactions(log)))
        with psycopg.connect(log.url, autocommit=True) as other:
            # a lock that waits for any reader, and others behind it
            other.execute("SET lock_timeout = '10s'")
            other.execute("ALTER TABLE ai_operation_log ADD COLUMN note text")
        assert again.exporter.ledger.reclassification is not None
        log.insert(0, cost="0.25")
        assert again.scrape().money == before.money + 750_000
        held.open()
        scraped = again.wait_in_force()
        assert scraped.money == before.money + 750_000
        assert spend(scraped, "today") == {RENAMED: sum(log.spent(scraped, "day").values())}
        log.insert(0, cost="0.125")
        scraped = again.scrape()
        assert scraped.micro("ai_operation_cost_usd_total", model="renamed") == 125_000
        assert scraped.money == before.money + 875_000
    assert said(caplog, "by the new settings")
    assert said(caplog, "the new settings are in force")


def test_each_stretch_is_a_transaction_of_its_own(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(log)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
    with gate(monkeypatch, 10_000) as held, running(log.url, tmp_path, after=exporter, models=ALIASES) as again:
        again.wait_in_force()
        assert max(s.span.hi - s.span.lo for s in held.stretches) <= 6 * HOUR
        assert len([s for s in held.stretches if not s.history]) >= 47 // 6


def test_a_restart_midway_goes_on_where_it_was(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(log)
    with running(log.url, tmp_path) as exporter:
        before = exporter.wait_ready().scrape()
    with (
        monkeypatch.context() as patch,
        gate(patch, 5) as held,
        running(log.url, tmp_path, after=exporter, models=ALIASES) as again,
    ):
        again.wait_up()
        held.wait(again)
        first = list(held.stretches)
    log.insert(3 * HOUR, cost="0.5")
    with gate(monkeypatch, 10_000) as rest, running(log.url, tmp_path, after=again, models=ALIASES) as third:
        scraped = third.wait_in_force()
        done = {(s.span.lo, s.span.hi, s.history) for s in first}
        assert not done & {(s.span.lo, s.span.hi, s.history) for s in rest.stretches[1:]}
        assert rest.stretches[0].span.lo >= first[-1].span.lo
        wait_for(lambda: third.scrape().money == before.money + 500_000, lambda: "the late row is missing")
        scraped = third.scrape()
        assert spend(scraped, "today") == {RENAMED: sum(log.spent(scraped, "day").values())}


def test_settings_that_are_put_back_midway_leave_nothing_behind(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log)
    with running(log.url, tmp_path) as exporter:
        before = exporter.wait_ready().scrape()
    with (
        monkeypatch.context() as patch,
        gate(patch, 5) as held,
        running(log.url, tmp_path, after=exporter, models=ALIASES) as again,
    ):
        again.wait_up()
        held.wait(again)
    log.insert(3 * HOUR, cost="0.5")
    with running(log.url, tmp_path, after=again) as third:
        assert not third.exporter.ledger.must_reclassify
        third.wait_up()
        wait_for(lambda: third.scrape().money == before.money + 500_000, lambda: "the late row is missing")
        assert_spend_is_what_sql_says(third.scrape(), log)


def test_a_timeout_midway_keeps_what_is_done(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(log)
    with running(log.url, tmp_path) as exporter:
        before = exporter.wait_ready().scrape()
    slow: list[bool] = []
    reading = BucketReader.add

    def sometimes_slow(self: Any, *arguments: Any, **options: Any) -> None:
        if threading.current_thread().name == "worker" and held.passed >= 3 and len(slow) < 3:
            slow.append(True)
            raise QueryTimeout("a query was cancelled", "nothing")
        reading(self, *arguments, **options)

    with gate(monkeypatch, 10_000) as held:
        monkeypatch.setattr(BucketReader, "add", sometimes_slow)
        with running(log.url, tmp_path, after=exporter, models=ALIASES) as again:
            scraped = again.wait_in_force(60)
    assert slow
    assert scraped.money == before.money
    kinds = [(s.history, s.span.lo) for s in held.stretches]
    assert kinds == sorted(set(kinds), key=lambda kind: (not kind[0], kind[1])), "a stretch was converted twice"


def test_columns_that_may_not_be_read_any_more_are_given_up(
    embedded_postgres: EmbeddedServer, embedded_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Log(embedded_database, "success") as log:
        log.execute("ALTER TABLE ai_operation_log ADD COLUMN price numeric(10,6)")
        log.execute("DROP ROLE IF EXISTS reader_by_column")
        log.execute("CREATE ROLE reader_by_column LOGIN BYPASSRLS PASSWORD 'secret'")
        columns = (
            "id, operation_type, operation_id, model_used, user_id, input_tokens, output_tokens, latency_ms,"
            " quality_score, success, error_message, created_at"
        )
        grant = f"GRANT SELECT ({columns}, {{}}) ON ai_operation_log TO reader_by_column"
        log.execute(grant.format("cost_usd"))
        database = psycopg.conninfo.conninfo_to_dict(embedded_database)["dbname"]
        url = embedded_postgres.url(str(database), "reader_by_column", "secret")
        try:
            with running(url, tmp_path) as exporter:
                exporter.wait_ready()
                log.insert(1, cost="0.5")
                before = exporter.scrape()
                assert before.money == 500_000
            log.execute("REVOKE SELECT ON ai_operation_log FROM reader_by_column")
            log.execute("UPDATE ai_operation_log SET price = cost_usd")
            log.execute(grant.format("price"))
            with running(url, tmp_path, after=exporter, columns={"log": {"cost": "price"}}) as again:
                wait_for(lambda: again.scrape().up == 1, lambda: str(again.exporter.status()))
                scraped = again.scrape()
                assert scraped.money == 500_000
                assert len(said_lines(caplog, "cannot be read by the settings that were in force")) == 1
                assert not said(caplog, "GRANT SELECT ON ai_operation_log")
                row = log.insert(0, cost=None)
                log.execute("UPDATE ai_operation_log SET price = 0.25 WHERE id = %s", row)
                assert again.scrape().money == 750_000
                assert spend(again.scrape(), "today") == {SERIES: 750_000}
        finally:
            log.execute("DROP OWNED BY reader_by_column")
            log.execute("DROP ROLE reader_by_column")


def said_lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def lose_column(log: Log) -> dict[str, Any]:
    log.execute("ALTER TABLE ai_operation_log RENAME COLUMN cost_usd TO price")
    return {"columns": {"log": {"cost": "price"}}}


def change_type(log: Log) -> dict[str, Any]:
    log.execute("ALTER TABLE ai_operation_log ADD COLUMN price numeric")
    log.execute("UPDATE ai_operation_log SET price = cost_usd")
    log.execute("ALTER TABLE ai_operation_log ALTER COLUMN cost_usd TYPE text")
    return {"columns": {"log": {"cost": "price"}}}


def copy_table(log: Log) -> dict[str, Any]:
    log.execute("ALTER TABLE ai_operation_log RENAME TO calls")
    return {"tables": {"log": "calls"}}


@pytest.mark.parametrize("change", [lose_column, change_type])
def test_old_settings_that_cannot_be_read_by_are_given_up_and_said_once(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Log], dict[str, Any]]
) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        assert exporter.scrape().money == 500_000
    with running(log.url, tmp_path, after=exporter, **change(log)) as again:
        wait_for(lambda: again.scrape().up == 1, lambda: str(again.exporter.status()))
        scraped = again.scrape()
        assert scraped.money == 500_000
        assert spend(scraped, "today") == {SERIES: 500_000}
        assert len(said_lines(caplog, "cannot be read by the settings that were in force")) == 1


def test_another_zone_of_the_log_counts_every_row_once_while_others_write(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in Tokyo's time and read as UTC: nine hours ahead. Read in the right zone, nothing is counted again."""
    zone = ZoneInfo("Asia/Tokyo")

    def write(ago: timedelta, cost: str) -> None:
        at = (datetime.now(UTC) - ago).astimezone(zone).replace(tzinfo=UTC)
        log.insert(at=at, cost=cost)

    for hours in range(1, 46):
        write(timedelta(hours=hours), "0.01")
    with running(log.url, tmp_path, horizon="24h") as exporter:
        exporter.wait_ready()
        # of nine hours ago by their zone, and of now by the one that they are read in
        for seconds in (1, 30, 90):
            write(timedelta(hours=9, seconds=seconds), "0.1")
        wait_for(lambda: exporter.scrape().money == 300_000, lambda: f"{exporter.scrape().money}")
    write(timedelta(minutes=1000), "0.2")
    with (
        gate(monkeypatch, 2) as held,
        running(log.url, tmp_path, horizon="24h", after=exporter, log_time_zone="Asia/Tokyo") as again,
    ):
        again.wait_up()
        held.wait(again)
        for minutes in (0, 30, 300, 600, 1100):
            write(timedelta(minutes=minutes), "0.4")
        held.open()
        again.wait_in_force()
        # of the 45 rows at the first start eight were still to come by its zone, of which none has come since
        expected = 300_000 + 200_000 + 5 * 400_000 + 8 * 10_000
        wait_for(lambda: again.scrape().money == expected, lambda: f"{again.scrape().money}, not {expected}")
        write(timedelta(0), "0.8")
        wait_for(lambda: again.scrape().money == expected + 800_000, lambda: f"{again.scrape().money}")


CORRECTIONS = "ai_operation_cost_corrections_usd"


def test_rows_that_are_not_due_by_their_zone_are_recognized_under_a_new_name(log: Log, tmp_path: Path) -> None:
    """Read as UTC, then in New York's zone: four or five hours ahead. A column goes, and the model has an alias."""
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for seconds in (1, 20, 120):
            log.insert(seconds, cost="0.5")
        wait_for(lambda: exporter.scrape().money == 1_500_000, lambda: f"{exporter.scrape().money}")
    zone: dict[str, Any] = {"log_time_zone": "America/New_York"}
    with running(log.url, tmp_path, after=exporter, **zone) as moved:
        moved.wait_in_force()
        assert moved.scrape().micro(CORRECTIONS, model="deepseek-v3.2") == 1_500_000
    with running(log.url, tmp_path, after=moved, models=ALIASES, **zone, **lose_column(log)) as again:
        wait_for(lambda: again.scrape().up == 1, lambda: str(again.exporter.status()))
        scraped = again.scrape()
        assert scraped.micro(CORRECTIONS, model="deepseek-v3.2") == 0
        assert scraped.micro(CORRECTIONS, model="renamed") == 1_500_000
        assert scraped.micro("ai_operation_cost_usd_total") == 1_500_000


def test_rows_that_another_zone_dates_ahead_stay_counted_where_the_zone_before_cannot_be_read_by(
    log: Log, tmp_path: Path
) -> None:
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for seconds in (1, 20, 120):
            log.insert(seconds, cost="0.5")
        wait_for(lambda: exporter.scrape().money == 1_500_000, lambda: f"{exporter.scrape().money}")
    changed = {"log_time_zone": "America/New_York", **lose_column(log)}
    with running(log.url, tmp_path, after=exporter, **changed) as again:
        wait_for(lambda: again.scrape().up == 1, lambda: str(again.exporter.status()))
        scraped = again.scrape()
        assert scraped.micro("ai_operation_cost_usd_total") == 1_500_000
        assert scraped.micro(CORRECTIONS) == 1_500_000
        assert sum(spend(scraped, "today").values()) == 0
