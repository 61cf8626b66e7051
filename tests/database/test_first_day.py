"""A first start shows the current day before it has read the month, and of the month nothing before all of it."""

from pathlib import Path
from uuid import uuid4

import pytest

from exporter.catalog import (
    COST,
    IN_PROGRESS,
    OPERATION_LAST_SEEN,
    SPEND_MONTH,
    SPEND_TODAY,
    USER_SPEND_TODAY,
    WINDOW_START,
)
from exporter.scrape.background import BackgroundReader
from tests.support.harness import Log, Running, assert_spend_is_what_sql_says, running, wait_for
from tests.support.scraped import Scraped, spend

USER = uuid4()


@pytest.fixture
def history_waits(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The history is not read until this is undone."""
    monkeypatch.setattr(BackgroundReader, "_read", lambda *_: ())
    return monkeypatch


def fill(log: Log) -> None:
    if log.layout == "status":
        log.execute("INSERT INTO users (id, email) VALUES (%s, 'ann@demo.example')", USER)
    with log.together():
        for hours in range(72):
            log.insert(3600 * hours + 1, cost="0.5", user=USER if hours % 2 else None)


def wait_for_today(exporter: Running) -> Scraped:
    wait_for(lambda: exporter.scrape().has(SPEND_TODAY.name), lambda: "today is not shown")
    return exporter.scrape()


def test_the_day_is_shown_first_and_alone(log: Log, tmp_path: Path, history_waits: pytest.MonkeyPatch) -> None:
    fill(log)
    with running(log.url, tmp_path) as exporter:
        scraped = wait_for_today(exporter)
        assert spend(scraped, "today") == log.spent(scraped, "day")
        for missing in (SPEND_MONTH, COST, OPERATION_LAST_SEEN, IN_PROGRESS):
            assert not scraped.has(missing.name)
        assert scraped.up == 0
        assert "first reading" in exporter.exporter.readiness().reason
        assert set(scraped.labels(WINDOW_START.name, "window")) == {"day"}
        # it stays current while the history is read
        log.insert(cost="3.25", operation="calendar-prep", user=USER)
        scraped = exporter.scrape()
        assert spend(scraped, "today") == log.spent(scraped, "day")
        assert scraped.one(USER_SPEND_TODAY.name, user=str(USER)) > 3
        assert scraped.total(USER_SPEND_TODAY.name) * 1e6 == pytest.approx(sum(spend(scraped, "today").values()))
        history_waits.undo()
        exporter.wait_ready()
        assert_spend_is_what_sql_says(exporter.wait_up(), log)


def test_a_start_that_is_interrupted_shows_the_day_first_again(
    log: Log, tmp_path: Path, history_waits: pytest.MonkeyPatch
) -> None:
    fill(log)
    for _ in range(2):
        with running(log.url, tmp_path) as exporter:
            scraped = wait_for_today(exporter)
            assert spend(scraped, "today") == log.spent(scraped, "day")
    history_waits.undo()
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        assert_spend_is_what_sql_says(exporter.wait_up(), log)


def test_rows_that_come_while_the_history_is_read_are_known_and_not_counted_twice(
    log: Log, tmp_path: Path, history_waits: pytest.MonkeyPatch
) -> None:
    fill(log)
    with running(log.url, tmp_path) as exporter:
        wait_for_today(exporter)
        log.insert(cost="1")
        exporter.scrape()
        history_waits.undo()
        exporter.wait_ready()
        before = exporter.wait_up().total(COST.name)
        log.insert(cost="0.25")
        assert exporter.scrape().total(COST.name) == pytest.approx(before + 0.25)
        assert before == 0
