"""A mistake in the exporter itself: what it touches is absent and said to be, and everything else is shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from exporter import catalog
from tests.support.harness import Log, running
from tests.support.scraped import Scraped, said

GROUPS = {
    "COST_CORRECTIONS": (
        "log",
        {
            "ai_operations_total",
            "ai_operation_failures_total",
            "ai_operation_cost_usd_total",
            "ai_operation_refunds_usd_total",
            "ai_operation_input_tokens_total",
            "ai_operation_output_tokens_total",
            "ai_operation_latency_seconds_bucket",
            "ai_operation_latency_seconds_count",
            "ai_operation_latency_seconds_sum",
            "ai_operations_over_timeout_total",
            "ai_operation_fallbacks_total",
            "ai_operations_unpriced_total",
            "ai_operation_cached_tokens_total",
            "ai_operation_expected_cost_usd_total",
            "ai_operation_checked_cost_usd_total",
            "ai_operations_checked_total",
            "ai_operations_price_unknown_total",
            "ai_operation_cost_corrections_usd",
            "ai_rows_skipped_total",
            "ai_exporter_rows_read_total",
            "ai_exporter_late_rows_total",
            "ai_exporter_series_folded_total",
        },
    ),
    # the window's start and end are there with its spend, complete, or not at all
    "MODEL_LAST_SUCCESS": (
        "log",
        {
            "ai_spend_today_usd",
            "ai_spend_month_usd",
            "ai_spend_window_start_timestamp_seconds",
            "ai_spend_window_end_timestamp_seconds",
            "ai_operation_log_newest_row_timestamp_seconds",
            "ai_operation_last_seen_timestamp_seconds",
            "ai_model_last_success_timestamp_seconds",
        },
    ),
    "OLDEST_IN_PROGRESS": ("log", {"ai_operations_in_progress", "ai_oldest_in_progress_timestamp_seconds"}),
    "BUDGET_USERS": (
        "budgets",
        {
            "ai_user_spend_today_usd",
            "ai_user_daily_limit_usd",
            "ai_budget_users",
            "ai_budget_recorded_spend_today_usd",
        },
    ),
    "APPROVALS_PENDING": ("approvals", {"ai_approvals_pending"}),
    "RECOMMENDATIONS": ("recommendations", {"ai_recommendations"}),
    "ROUTE_ENABLED": ("routes", {"ai_model_route_info", "ai_model_route_enabled"}),
    "DAILY_LIMIT": ("log", {"ai_model_timeout_seconds", "ai_daily_limit_usd", "ai_monthly_limit_usd"}),
    "BUILD_INFO": (
        None,
        {
            "ai_exporter_last_success_timestamp_seconds",
            "ai_exporter_backfill_progress_ratio",
            "ai_exporter_state_commit_failures_total",
            "ai_exporter_database_clock_offset_seconds",
            "ai_exporter_replication_lag_seconds",
            "ai_exporter_web_logins_refused_total",
            "ai_exporter_build_info",
        },
    ),
}
"""By the metric that cannot be made: the collector that has failed then, and all that is absent with it."""


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "status") as log:
        user = uuid4()
        log.execute("INSERT INTO users VALUES (%s, 'someone')", user)
        log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 5)", user)
        log.execute("CREATE TABLE advice (recommendation_type text, approval_status text)")
        log.execute("INSERT INTO advice VALUES ('cheaper', 'PENDING')")
        log.execute("INSERT INTO ai_model_routes (operation_id, operation_name, primary_model) VALUES ('a', 'a', 'b')")
        log.insert(2, user=user)
        log.insert(1, outcome="pending")
        yield log


def names(scraped: Scraped) -> set[str]:
    return {name for name, _ in scraped}


@pytest.mark.parametrize("metric", GROUPS)
def test_figures_that_cannot_be_made_are_absent_and_nothing_else_is(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    collector, absent = GROUPS[metric]
    caplog.set_level("INFO")
    settings: dict[str, Any] = {
        "tables": {"recommendations": "advice"},
        "daily_limit_usd": 200,
        "monthly_limit_usd": 4000,
    }
    with running(log.url, tmp_path, **settings) as first:
        first.wait_ready()
        before = first.scrape()
        assert absent <= names(before)
    # another one, since figures that were made are shown again as long as they are the same
    with running(log.url, tmp_path, after=first, **settings) as exporter:
        exporter.wait_ready()
        with monkeypatch.context() as patched:
            patched.delattr(catalog, metric)
            for _ in range(3):
                broken = exporter.scrape()
                assert names(before) - names(broken) == absent
                assert broken.collectors == before.collectors | ({} if collector is None else {collector: 0})
                # as long as the log counts as read, rules take what is absent for the truth
                assert broken.up == (collector != "log")
        lines = [record for record in caplog.records if "figures of the" in record.getMessage()]
        assert len(lines) == 1
        assert "internal error (AttributeError)" in lines[0].getMessage()
        assert lines[0].exc_info is not None
        log.insert(0)
        after = exporter.scrape()
        assert names(after) == names(before)
        assert after.up == 1
        assert said(caplog, "figures of the", "works again")


def test_a_collector_that_breaks_says_so_once(
    log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise json.JSONDecodeError("no such thing", "", 0)

    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        before = exporter.scrape()
        with monkeypatch.context() as patched:
            patched.setattr("exporter.scrape.collector.plan_approvals", broken)
            for _ in range(3):
                scraped = exporter.scrape()
                assert scraped.collectors == before.collectors | {"approvals": 0}
                assert names(before) - names(scraped) == {"ai_approvals_pending"}
        assert len([r for r in caplog.records if r.getMessage().startswith("approvals: internal error")]) == 1
        assert exporter.scrape().collectors == before.collectors
