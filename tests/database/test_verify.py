"""`verify` with a real database and a real exporter, and nobody else."""

import io
import threading
import time
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.findings import Finding, Level, report
from exporter.process.serving import serving
from exporter.verify.database import spent_since
from exporter.verify.endpoints import Endpoints
from exporter.verify.run import run
from tests.support.harness import Log, wait_for
from tests.support.programs import fetch, free_port


def config_for(url: str, folder: Path) -> Config:
    return Config.model_validate(
        {
            "database": {"url": url},
            "state_dir": str(folder / "state"),
            "optional_interval": 0,
            "web": {"listen_address": f"127.0.0.1:{free_port()}"},
        }
    )


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def found(config: Config, exporter_url: str) -> dict[str, Finding]:
    endpoints = Endpoints(exporter_url, nowhere(), nowhere(), "")
    return {finding.name: finding for finding in run(config, {}, endpoints, test_alert=True)}


def test_the_parts_that_run_pass_and_what_needs_the_others_is_skipped(log: Log, tmp_path: Path) -> None:
    for cost in ("0.123456", "1.5", None):
        log.insert(1, cost=cost)
    config = config_for(log.url, tmp_path)
    with serving(config, {}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200, lambda: "not ready")
        findings = found(config, running.url)
        log.execute("DROP TABLE cost_budgets CASCADE")
        log.execute("CREATE TABLE cost_budgets (nobody int)")
        broken = found(config, running.url)
    assert findings["cost today"].detail == "$1.623456 exposed, $1.623456 by SQL, off by 0.0000%"
    passed = {name for name, finding in findings.items() if finding.level is Level.OK}
    assert passed == {"database", "exporter", "log read", "other tables", "cost today"}
    failed = {name for name, finding in findings.items() if finding.level is Level.FAIL}
    assert failed == {"prometheus", "alertmanager"}
    assert findings["test alert"].detail == "skipped: needs alertmanager"
    assert findings["grafana"].level is Level.SKIPPED
    assert broken["other tables"].detail == "not read: budgets"


def test_a_first_reading_is_waited_for(log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.insert(1, cost="1.5")
    config = config_for(log.url, tmp_path)
    findings: list[dict[str, Finding]] = []
    said = ""

    def waits() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "waiting: " in said

    with psycopg.connect(log.url) as other:
        other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
        with serving(config, {}) as running:
            verifying = threading.Thread(target=lambda: findings.append(found(config, running.url)))
            verifying.start()
            wait_for(waits, lambda: said)
            other.rollback()
            verifying.join()
    assert findings[0]["log read"].level is Level.OK
    assert findings[0]["cost today"].level is Level.OK


def test_without_an_exporter_its_findings_are_skipped(log: Log, tmp_path: Path) -> None:
    findings = found(config_for(log.url, tmp_path), nowhere())
    assert findings["database"].level is Level.OK
    assert findings["exporter"].level is Level.FAIL
    assert findings["cost today"].detail == "skipped: needs exporter"


def test_a_database_that_is_gone_fails_and_so_does_what_cannot_be_read(log: Log, tmp_path: Path) -> None:
    config = config_for(log.url, tmp_path)
    out = io.StringIO()
    with serving(config, {}) as running:
        wait_for(lambda: fetch(f"{running.url}/-/ready")[0] == 200, lambda: "not ready")
        log.execute("ALTER TABLE ai_operation_log RENAME TO elsewhere")
        endpoints = Endpoints(running.url, nowhere(), nowhere(), "")
        assert report(run(config, {}, endpoints, test_alert=False), out) == 1
    lines = {line[6:36].strip(): line for line in out.getvalue().splitlines() if line[:1] not in ("", " ")}
    assert lines["database"].startswith("FAIL")
    assert lines["log read"].startswith("FAIL")
    assert "skipped: needs database" in lines["cost today"]


def test_an_unusable_configuration_is_a_finding(log: Log, tmp_path: Path) -> None:
    config = Config.model_validate({"database": {"url_file": str(tmp_path / "absent")}})
    assert found(config, nowhere())["database"].level is Level.FAIL


def test_sql_sums_what_can_be_used_up_to_now(log: Log) -> None:
    config = Config.model_validate({"database": {"url": log.url}})
    start = int(time.time()) - 3600
    log.insert(60, cost="2.000001")
    log.insert(7200, cost="50")
    log.insert(-600, cost="70")
    log.insert(60, cost=None)
    log.execute("UPDATE ai_operation_log SET cost_usd = 'NaN' WHERE cost_usd IS NULL")
    log.insert(30, cost="0.5")
    assert spent_since(config, resolve_conninfo(config, {}), start) == Decimal("2.500001")
