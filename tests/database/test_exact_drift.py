"""What changes beyond the horizon is not counted, but shown."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.harness import Log, fixed_layout, running, wait_for

DRIFT = "ai_exporter_ledger_drift_usd"
layout = fixed_layout("success")


def test_money_that_is_deleted_beyond_the_horizon_shows_as_drift_only(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sampled at every idle turn of the background reader, in place of once an hour
    monkeypatch.setattr("exporter.scrape.background.PROBE_INTERVAL", 0.0)
    monkeypatch.setattr("exporter.scrape.background.DRIFT_INTERVAL", 0.0)
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=2)
    log.insert(at=noon, cost="0.25")
    log.insert(at=noon, cost="0.5")
    with log, running(log.url, tmp_path, noon - timedelta(days=1), horizon="3h", monthly_limit_usd=5000) as exporter:
        exporter.wait_ready()
        wait_for(lambda: exporter.scrape().has(DRIFT), lambda: "no drift was sampled")
        before = exporter.scrape()
        assert before.one(DRIFT) == 0
        assert before.money == 750_000
        assert before.one("ai_monthly_limit_usd") == 5000
        log.execute("DELETE FROM ai_operation_log WHERE cost_usd = 0.5")
        wait_for(lambda: exporter.scrape().one(DRIFT) == -0.5, lambda: f"{exporter.scrape().one(DRIFT)}")
        after = exporter.scrape()
        assert after.money == 750_000
        assert after.one("ai_operation_cost_corrections_usd", operation="email-compose", model="deepseek-v3.2") == 0
