"""When the background reader asks the database at all: that rests neither on the server nor on the layout."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from exporter.config import Classification
from exporter.database.log_table import LogTable
from exporter.database.reader import read_rows
from exporter.database.session import Session
from exporter.ledger.model import SpanRead, TimeRange
from exporter.scrape import background, lateness
from exporter.scrape.background import BackgroundReader
from exporter.scrape.ledger_service import LedgerService
from tests.support.clock import START, Clock
from tests.support.harness import Log, assert_spend_is_what_sql_says, fixed_layout, running, wait_for
from tests.support.scenario import DAY
from tests.support.wire import wire_to

layout = fixed_layout("success")


def test_nobody_is_asked_while_there_is_nothing_to_do(log: Log, tmp_path: Path) -> None:
    with wire_to(log.url) as wire, running(wire.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        before, looks = wire.total(), 60
        # a pause is 0.05 s: as many looks as there are for work in a minute
        time.sleep(0.05 * looks)
        assert wire.total() - before < looks / 2


def test_five_idle_minutes_cost_at_most_a_request_in_five_seconds(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By clocks that the test sets: the database's, the host's, and that of the background reader."""
    clock, passed, turns = Clock(log), 0, 0
    clock.set(START)
    turn = BackgroundReader._turn

    def virtual() -> float:
        return time.monotonic() + passed

    def counted(reader: BackgroundReader) -> float:
        nonlocal turns
        turns += 1
        return turn(reader)

    monkeypatch.setattr(background, "IDLE_PAUSES", 1)  # a clock that is put forward ends no rest
    monkeypatch.setattr(background, "time", SimpleNamespace(monotonic=virtual))
    monkeypatch.setattr(background, "LateRows", partial(lateness.LateRows, virtual))
    monkeypatch.setattr(BackgroundReader, "_turn", counted)
    log.insert(at=clock.ago(1800))
    with (
        wire_to(log.url) as wire,
        running(wire.url, tmp_path, host=clock.host, optional_interval=60, worker={"pause": 0.01}) as exporter,
    ):
        exporter.wait_ready().wait_up()
        before, minutes = wire.total(), 5
        for _ in range(minutes * 60):
            clock.advance(1)
            passed += 1
            # one that begins after the clock was put forward, and its end
            begun = turns
            wait_for(lambda begun=begun: turns > begun + 2, lambda: "the reader stands still")  # type: ignore[misc]
        assert minutes <= wire.total() - before <= 0.2 * 60 * minutes


def test_days_of_few_rows_are_read_together(
    log: Log, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reading of a month, day by day, takes fewer transactions than the month has days."""
    steps, step = 0, BackgroundReader.step

    def counted(reader: BackgroundReader) -> bool:
        nonlocal steps
        steps += 1
        return step(reader)

    monkeypatch.setattr(BackgroundReader, "step", counted)
    clock.set(START.replace(day=28))
    for day in range(27):
        log.insert(at=clock.ago((day + 1) * DAY), cost="0.25")
    worker = {"pause": 30, "statement_budget": 60}
    with running(log.url, tmp_path, host=clock.host, worker=worker) as exporter:
        scraped = exporter.wait_ready().wait_up()
        assert_spend_is_what_sql_says(scraped, log)
        assert scraped.micro("ai_spend_month_usd") == 27 * 250_000
        assert steps < 25


@pytest.mark.parametrize("days", [(), (1,), (3,), (14,), (25,), (27,), (26, 27), (2, 13, 27)])
def test_a_log_that_is_younger_than_the_month_is_not_read_day_by_day(
    log: Log, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: tuple[int, ...]
) -> None:
    """However few days of the month have rows, and whichever these are, each row is counted."""
    spans: list[TimeRange] = []

    def noted(session: Session, table: LogTable, by: Classification, span: TimeRange, **words: Any) -> Any:
        spans.append(span)
        return read_rows(session, table, by, span, **words)

    monkeypatch.setattr(background, "read_rows", noted)
    clock.set(START.replace(day=28))
    log.insert(at=clock.ago(100), cost="0.50")
    for day in days:
        log.insert(at=clock.ago(day * DAY), cost="0.25")
    with running(log.url, tmp_path, host=clock.host, worker={"pause": 0.05, "statement_budget": 60}) as exporter:
        scraped = exporter.wait_ready().wait_up()
        assert_spend_is_what_sql_says(scraped, log)
        assert scraped.micro("ai_spend_month_usd") == 500_000 + len(days) * 250_000
    past = [span for span in spans if span.hi <= clock.now().timestamp() - 2 * DAY]
    if not [day for day in days if 2 < day < 27]:
        assert len(past) <= 5


def test_an_idle_reader_looks_for_work_after_a_scrape_that_found_some_and_hardly_ever_else(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, turn = 0, BackgroundReader._turn

    def counted(reader: BackgroundReader) -> float:
        nonlocal turns
        turns += 1
        return turn(reader)

    monkeypatch.setattr(BackgroundReader, "_turn", counted)
    monkeypatch.setattr(background, "IDLE_PAUSES", 100_000)
    with running(log.url, tmp_path, worker={"pause": 0.01}) as exporter:
        exporter.wait_ready().wait_up()
        for _ in range(3):
            before = turns
            log.insert()
            exporter.scrape()
            wait_for(lambda before=before: turns > before, lambda: "the reader does not look")  # type: ignore[misc]
        # work that is left from the first reading has been done, and a rest has begun
        wait_for(lambda: _stands_still(lambda: turns), lambda: "the reader does not rest")


def _stands_still(number: Callable[[], int]) -> bool:
    before = number()
    time.sleep(1)
    return number() == before


def test_what_falls_due_is_read_without_a_scrape(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is late is found by the background reader, which wakes by itself."""
    monkeypatch.setattr(lateness, "INTERVAL", 1.0)

    def late_rows() -> int:
        state = exporter.exporter.ledger.present
        return 0 if state is None else state.progress.late_rows

    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        log.insert(ago=1800, cost="3")
        wait_for(lambda: late_rows() == 1, lambda: "the late row is not found")
        assert exporter.scrape().money == 3_000_000


def test_the_days_before_a_young_log_are_taken_whole(
    log: Log, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step waits for the disk. Right after midnight little has been read that would tell how long one may be."""
    taken: list[TimeRange] = []
    record = LedgerService.record

    def noted(ledger: LedgerService, read: SpanRead, *by: Classification) -> None:
        taken.append(read.span)
        record(ledger, read, *by)

    monkeypatch.setattr(LedgerService, "record", noted)
    clock.set(START.replace(day=28, hour=0, minute=4))
    log.insert(at=clock.ago(60), cost="0.50")
    with running(log.url, tmp_path, host=clock.host, worker={"pause": 0.05, "statement_budget": 60}) as exporter:
        scraped = exporter.wait_ready().wait_up()
        assert_spend_is_what_sql_says(scraped, log)
    past = [span for span in taken if span.hi <= clock.now().timestamp() - 2 * DAY]
    assert len(past) < 40


def test_a_log_that_cannot_tell_in_time_whether_past_days_have_rows_is_read(
    log: Log, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a view may be, which is quick about a quarter-hour alone: what was read before the question is not lost."""
    asked = 0

    def too_slow(session: Session, *_: Any) -> bool:
        nonlocal asked
        asked += 1
        return bool(session.attempt("SELECT pg_catalog.pg_sleep(600)"))

    monkeypatch.setattr(background, "has_rows", too_slow)
    clock.set(START.replace(day=28))
    log.insert(at=clock.ago(100), cost="0.50")
    log.insert(at=clock.ago(20 * DAY), cost="0.25")
    with running(log.url, tmp_path, host=clock.host, worker={"pause": 0.05, "statement_budget": 0.1}) as exporter:
        scraped = exporter.wait_ready().wait_up()
        assert_spend_is_what_sql_says(scraped, log)
        assert scraped.micro("ai_spend_month_usd") == 750_000
    assert asked == 1
