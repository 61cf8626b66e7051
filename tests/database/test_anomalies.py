"""An operation that costs more than it usually does is shown with its cause; a short history says nothing."""

from pathlib import Path

import pytest

from tests.support.harness import Log, Running, running, wait_for
from tests.support.scraped import Scraped

HOUR, DAY = 3600, 86400
OF = {"operation": "email-compose"}


def rhythm(log: Log, days: int) -> None:
    """Two calls an hour, for $0.20 in all, with 110 tokens each."""
    with log.together():
        for ago in range(1800, days * DAY, 1800):
            log.insert(ago=ago, cost="0.10")


def judged(exporter: Running) -> Scraped:
    """What is shown once the whole history has been read, and judged by."""
    exporter.wait_ready().wait_up()
    background = exporter.exporter.hourly

    def done() -> bool:
        exporter.scrape()
        return background.totals.hi > 0 and not background.due and exporter.exporter.anomalies.is_current

    wait_for(done, lambda: str(exporter.exporter.status()))
    return exporter.scrape()


def test_a_loop_is_shown_with_its_cause(log: Log, tmp_path: Path) -> None:
    rhythm(log, 22)
    for _ in range(60):
        log.insert(ago=5, cost="0.50", input_tokens=400, output_tokens=40, model="claude-opus-4.5")
    with running(log.url, tmp_path) as exporter:
        before = judged(exporter)
    with running(log.url, tmp_path, after=exporter) as restarted:
        after = judged(restarted)
    for scraped in (before, after):
        assert scraped.one("ai_spend_anomaly_usd", **OF) == pytest.approx(30, abs=0.5)
        assert scraped.one("ai_spend_usual_usd", **OF) == pytest.approx(0.2)
        assert scraped.one("ai_calls_anomaly", **OF) == pytest.approx(60, abs=3)
        factor = {**OF, "model": "claude-opus-4.5", "factor": "calls"}
        assert scraped.one("ai_spend_anomaly_factor_ratio", **factor) == 60
        begun = scraped.one("ai_spend_anomaly_start_timestamp_seconds", **OF)
        assert begun % HOUR == 0
        assert 0 <= scraped.one("ai_exporter_last_success_timestamp_seconds") - begun < 3 * HOUR


def test_a_rhythm_is_shown_as_not_odd(log: Log, tmp_path: Path) -> None:
    rhythm(log, 22)
    with running(log.url, tmp_path) as exporter:
        scraped = judged(exporter)
    assert scraped.one("ai_spend_anomaly_usd", **OF) == 0
    assert not scraped.has("ai_spend_anomaly_factor_ratio")
    assert not scraped.has("ai_spend_anomaly_start_timestamp_seconds")


def test_a_dearer_model_is_told_from_more_calls(log: Log, tmp_path: Path) -> None:
    with log.together():
        for ago in range(0, 22 * DAY, 120):
            dear = ago < 1200
            log.insert(ago=ago, cost="1.00" if dear else "0.02")
    with running(log.url, tmp_path) as exporter:
        scraped = judged(exporter)
    of = {**OF, "model": "deepseek-v3.2"}
    assert scraped.one("ai_spend_anomaly_usd", **OF) > 2
    assert scraped.one("ai_spend_anomaly_factor_ratio", factor="price_per_token", **of) > 10
    assert scraped.one("ai_spend_anomaly_factor_ratio", factor="tokens_per_call", **of) == pytest.approx(1)


@pytest.mark.parametrize("days", [0, 3, 13])
def test_a_cold_start_is_silent(log: Log, tmp_path: Path, days: int) -> None:
    rhythm(log, days)
    for _ in range(60):
        log.insert(ago=5, cost="5.00")
    with running(log.url, tmp_path) as exporter:
        scraped = judged(exporter)
    assert not [name for name, _ in scraped if "anomaly" in name or "usual" in name]


def test_without_a_history_nothing_is_judged(log: Log, tmp_path: Path) -> None:
    rhythm(log, 22)
    with running(log.url, tmp_path, history_weeks=0) as exporter:
        exporter.wait_ready()
        scraped = exporter.wait_up()
    assert not scraped.has("ai_spend_anomaly_usd")
