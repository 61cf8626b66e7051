"""A database whose clock leaps: what is exposed is still the plain sum, and the leap is told."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.scrape.clock import LEAP_LASTS, HostClock
from tests.support.clock import Clock
from tests.support.harness import Log, Running, assert_shows_what_sql_says, running, wait_for
from tests.support.scraped import counted

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
OFFSET = "ai_exporter_database_clock_offset_seconds"


@pytest.mark.parametrize("leap", [3 * DAY, 16 * HOUR, 40 * DAY, 10 * MINUTE, -3 * DAY, -2 * HOUR])
def test_a_leap_that_does_not_last_changes_no_figure(log: Log, clock: Clock, tmp_path: Path, leap: float) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), cost="1")
        assert exporter.wait_up().money == 1_000_000
        clock.leap(leap)
        told = exporter.scrape()
        assert told.up == 0
        assert told.one(OFFSET) == pytest.approx(leap, abs=30)
        assert not told.has("ai_spend_today_usd")
        assert "clock" in dict(exporter.exporter.status())["Problem: clock"]
        assert not exporter.ready
        # the log is counted all the same, by rows that their writer has dated
        log.insert(at=clock.ago(leap + 1), cost="4")
        wait_for(lambda: exporter.scrape().money == 5_000_000, lambda: str(exporter.last.money))
        clock.leap(-leap)
        log.insert(at=clock.ago(1), cost="6")
        after = exporter.wait_up()
        assert after.money == 11_000_000
        assert_shows_what_sql_says(after, log)
        assert exporter.ready
    with running(log.url, tmp_path, host=clock.host, after=exporter) as again:
        assert_shows_what_sql_says(again.wait_ready().wait_up(), log)


@pytest.mark.parametrize("leap", [3 * DAY, 16 * HOUR, 40 * DAY])
def test_a_leap_that_lasts_is_believed_and_a_clock_that_comes_back_is_followed(
    log: Log, clock: Clock, tmp_path: Path, leap: float
) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), cost="1")
        exporter.wait_up()
        clock.leap(leap)
        assert exporter.scrape().up == 0
        outlast(clock, exporter)
        # dated by the database's clock, as `DEFAULT now()` would do it
        log.insert(at=clock.ago(1), cost="2")
        lasting = exporter.wait_up()
        assert lasting.money == 3_000_000
        assert_shows_what_sql_says(lasting, log)
        clock.advance(HOUR)
        exporter.wait_up()
        clock.leap(-leap)
        log.insert(at=clock.ago(1), cost="8")
        after = exporter.wait_up()
        assert after.money == 11_000_000
        today = after.one("ai_spend_window_start_timestamp_seconds", window="day")
        assert today <= clock.now().timestamp() < today + DAY
        assert after.micro("ai_spend_today_usd") == 9_000_000
        assert counted(after) == log.sql_totals()
    with running(log.url, tmp_path, host=clock.host, after=exporter) as again:
        log.insert(at=clock.ago(1), cost="16")
        assert again.wait_ready().wait_up().money == 27_000_000


def test_a_restart_beside_a_wrong_clock_folds_nothing(log: Log, clock: Clock, tmp_path: Path) -> None:
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), cost="1")
        exporter.wait_up()
    clock.leap(3 * DAY)
    with running(log.url, tmp_path, host=clock.host, after=exporter) as beside:
        assert beside.scrape().up == 0
        outlast(clock, beside)
        settle_until_merged(beside)
        clock.leap(-3 * DAY)
        log.insert(at=clock.ago(1), cost="8")
        after = beside.wait_up()
        assert after.money == 9_000_000
        assert_shows_what_sql_says(after, log)


def outlast(clock: Clock, exporter: Running) -> None:
    """Let time pass until the leap is believed, and not before it has lasted."""
    passed = 0.0

    def believed() -> bool:
        nonlocal passed
        if exporter.scrape().up == 1:
            return True
        # in small steps: a reading between those of both clocks is no other leap
        clock.advance(30)
        passed += 30
        return False

    wait_for(believed, lambda: str(exporter.exporter.status()))
    assert passed >= LEAP_LASTS - 30


def settle_until_merged(exporter: Running) -> None:
    """Wait until the background reader has merged what the leap made old."""
    ledger = exporter.exporter.ledger

    def merged() -> bool:
        present = ledger.present
        return present is not None and present.progress.now - present.progress.merged < HOUR

    wait_for(merged, lambda: "not merged")


@dataclass
class Suspended:
    """The clock of a machine that slept: it does not know for how long."""

    clock: HostClock
    asleep: float = 0.0

    @property
    def host(self) -> HostClock:
        return HostClock(lambda: self.clock.elapsed() - self.asleep, self.clock.wall)


def test_a_host_that_was_suspended_is_up_as_soon_as_it_has_caught_up(log: Log, clock: Clock, tmp_path: Path) -> None:
    machine = Suspended(clock.host)
    with running(log.url, tmp_path, host=machine.host) as exporter:
        exporter.wait_ready()
        log.insert(at=clock.ago(2), cost="1")
        exporter.wait_up()
        machine.asleep = 9 * HOUR
        clock.advance(9 * HOUR)
        log.insert(at=clock.ago(4 * HOUR), cost="2")
        scraped = exporter.wait_up()
        assert scraped.money == 3_000_000
        assert_shows_what_sql_says(scraped, log)


def test_a_first_start_beside_a_clock_that_is_far_ahead_says_so_and_can_be_rewound(
    log: Log, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        log.insert(at=clock.ago(100 + number), cost="1")
    clock.leap(60 * DAY)
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready().wait_up()
        clock.leap(-60 * DAY)
        log.insert(at=clock.ago(1), cost="2")
        wait_for(lambda: exporter.scrape().up == 0, lambda: "up")
        assert "state rewind" in dict(exporter.exporter.status())["Problem: clock"]
        assert not exporter.ready
    monkeypatch.setenv("DATABASE_URL", log.url)
    assert main(["state", "rewind", "--state-dir", str(tmp_path)]) == 0
    with running(log.url, tmp_path, host=clock.host, after=exporter) as again:
        again.wait_ready()
        log.insert(at=clock.ago(1), cost="4")
        after = again.wait_up()
        assert after.money == 4_000_000
        assert after.micro("ai_spend_today_usd") == 11_000_000
