"""Every command that reads the log works with the settings of each source, and says what plain SQL does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.cli import main
from exporter.digest.run import TEXT
from tests.support.dashboard_stack import zone_at_day
from tests.support.harness import running
from tests.support.programs import free_port
from tests.support.public_logs import PUBLIC, PublicLog, shown
from tests.support.scraped import Figures
from tests.support.servers import EmbeddedServer


@dataclass
class Counted:
    """A log of some hours of today, that an exporter has counted, and its configuration."""

    public: PublicLog
    truth: Figures
    config: Path
    capsys: Any = None

    def run(self, *words: str, code: int = 0) -> Any:
        """What a command prints as JSON."""
        assert main([*words, "--config", str(self.config)]) == code, self.capsys.readouterr()
        return json.loads(self.capsys.readouterr().out)


@pytest.fixture(scope="module", params=PUBLIC)
def of_today(
    request: pytest.FixtureRequest, embedded_postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Counted]:
    public, url = PublicLog.of(request.param), embedded_postgres.create_database()
    folder, now = tmp_path_factory.mktemp("counted"), datetime.now(UTC)
    settings: dict[str, Any] = {"source": public.name, "budget_time_zone": zone_at_day(now), "daily_limit_usd": 5}
    with psycopg.connect(url, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 300, step=20)
        admin.execute("ANALYZE")
        truth = public.figures(admin)
    with running(url, folder / "state", now - timedelta(hours=4), **settings) as exporter:
        exporter.wait_ready()
        assert shown(exporter.scrape()) == truth
        state = exporter.config.state_dir
    config = folder / "config.yaml"
    config.write_text(json.dumps({**settings, "database": {"url": url}, "state_dir": str(state)}))
    yield Counted(public, truth, config)
    embedded_postgres.drop_database(url)


@pytest.fixture
def counted(of_today: Counted, capsys: pytest.CaptureFixture[str]) -> Counted:
    of_today.capsys = capsys
    return of_today


def usd(truth: Figures) -> Decimal:
    return Decimal(truth.cost) / 10**9


def test_operations(counted: Counted) -> None:
    calls = counted.run("operations", "--json", "--limit", "1000")
    ended = [call for call in calls if call["outcome"] in ("ok", "failed", "timeout")]
    failed = counted.run("operations", "--json", "--limit", "1000", "--failed")
    assert (len(ended), len(failed)) == (counted.truth.calls, counted.truth.failures)
    names = {call["operation"] for call in calls} if calls and "operation" in calls[0] else set()
    for name in names:
        assert counted.run("operations", "--json", "--operation", name)


@pytest.mark.parametrize("period", ["today", "month"])
def test_budget(counted: Counted, period: str) -> None:
    found = counted.run("budget", "--json", *(["--month"] if period == "month" else []))
    spent = f"spend_{period}_usd"
    assert round(found["team"][spent], 6) == round(float(usd(counted.truth)), 6)
    assert sum(user[spent] for user in found["users"]) == pytest.approx(found["team"][spent])


@pytest.mark.parametrize("by", ["operation", "model", "user", "day"])
def test_reconcile(counted: Counted, by: str) -> None:
    found = counted.run("reconcile", "--json", "--by", by)
    assert round(Decimal(str(found["total"]["log_usd"])), 6) == round(usd(counted.truth), 6)


def test_recommend(counted: Counted) -> None:
    assert isinstance(counted.run("recommend", "--json"), dict | list)


def test_digest(counted: Counted, tmp_path: Path) -> None:
    words = ["digest", "--config", str(counted.config), "--dry-run", str(tmp_path), "--no-picture"]
    assert main(words) == 0
    assert "## What should change" in (tmp_path / TEXT).read_text()


def test_check(counted: Counted) -> None:
    assert counted.run("check", "--json")["summary"]["fail"] == 0


def test_verify_reads_the_log(counted: Counted) -> None:
    """Nothing else runs here."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    urls = (f"--{part}-url={nowhere}" for part in ("exporter", "prometheus", "alertmanager"))
    found = counted.run("verify", "--json", *urls, code=1)
    (database,) = [each for each in found["checks"] if each["name"] == "database"]
    assert database["status"] == "ok"
