"""What is counted and shown is the plain SQL sum, to the micro-dollar, from the first start on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from exporter.demo.history import history, history_start
from exporter.demo.rows import fill
from exporter.demo.schema import Layout
from tests.support.harness import Log, assert_shows_what_sql_says, assert_spend_is_what_sql_says, running
from tests.support.scraped import counted, spend, summed

DAYS = 3
NAMES = {"deepseek": "deepseek-v3.2", "gemini_flash": "gemini-2.0-flash", "claude_opus": "claude-opus-4.5"}


@pytest.fixture
def log(database: str, layout: Layout) -> Iterator[Log]:
    with Log(database, layout) as log:
        now = datetime.now(UTC)
        assert fill(log.connection, layout, history(layout, DAYS, now, Random(3), per_day=1_700)) > 1000
        yield log


def test_a_history_that_is_counted_equals_sql_and_a_restart_changes_nothing(log: Log, tmp_path: Path) -> None:
    since = history_start(DAYS, datetime.now(UTC))
    with running(log.url, tmp_path, since) as exporter:
        first = exporter.wait_ready().scrape()
        assert_shows_what_sql_says(first, log)
        assert first.total("ai_operation_cost_corrections_usd") == 0
        assert first.total("ai_rows_skipped_total") == 0
        assert first.total("ai_exporter_rows_read_total") >= sum(f.calls for f in log.sql_totals().values())
    with running(log.url, tmp_path, since, after=exporter) as again:
        second = again.wait_up()
        assert_shows_what_sql_says(second, log)
        assert counted(second) == counted(first)
        log.insert(3, cost="1.234567")
        assert_shows_what_sql_says(again.scrape(), log)


def test_a_first_start_counts_from_zero_but_shows_what_was_spent(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        first = exporter.wait_ready().scrape()
        assert summed(counted(first)) == (0, 0, 0, 0, 0)
        assert sorted(log.sql_totals()) == sorted(
            (dict(labels)["operation"], dict(labels)["model"])
            for _, labels in first.having("ai_operations_total")
            if dict(labels)["model"] not in NAMES
        )
        assert_spend_is_what_sql_says(first, log)
        log.insert(1, cost="0.000007", input_tokens=3, output_tokens=2)
        log.insert(170, cost="0.000011", input_tokens=5, output_tokens=0, outcome="failed", operation="new-one")
        later = exporter.scrape()
        assert_spend_is_what_sql_says(later, log)
        assert counted(later) == {
            ("email-compose", "deepseek-v3.2"): (1, 0, 7, 3, 2),
            ("new-one", "deepseek-v3.2"): (1, 1, 11, 5, 0),
        }


def test_aliases_join_what_is_written_in_two_ways(log: Log, tmp_path: Path) -> None:
    log.insert(40, model="deepseek", cost="0.5")
    log.insert(41, model="deepseek-v3.2", cost="0.25")
    since = history_start(DAYS, datetime.now(UTC))
    with running(log.url, tmp_path, since, models={"aliases": NAMES}) as exporter:
        scraped = exporter.wait_ready().scrape()
        assert set(scraped.labels("ai_operations_total", "model")) == set(NAMES.values())
        log.execute("UPDATE ai_operation_log SET model_used = 'deepseek-v3.2' WHERE model_used = 'deepseek'")
        assert counted(scraped) == log.sql_totals()
        assert spend(scraped, "today") == log.spent(scraped, "day")
