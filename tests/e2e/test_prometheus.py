"""What Prometheus sees: names without complaint, and increases that are exact."""

import signal
import time
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.catalog import ALL, STANDARD
from tests.support.programs import Program, fetch, prometheus, running, total, wait_for
from tests.support.promtool import promtool

pytestmark = pytest.mark.slow

INSERT = (
    "INSERT INTO ai_operation_log (id, operation_type, operation_id, model_used, input_tokens, output_tokens, cost_usd,"
    " latency_ms, success, error_message, created_at)"
    " VALUES (gen_random_uuid(), 'chat', %s, %s, 10, 5, %s, 900, %s, %s, now() AT TIME ZONE 'UTC')"
)


def write(
    log: psycopg.Connection[tuple[object, ...]], operation: str, cost: str, error: str | None = None, times: int = 1
) -> None:
    for _ in range(times):
        log.execute(INSERT, (operation, "deepseek-v3.2", Decimal(cost), error is None, error))


def program_on(url: str, folder: Path) -> Program:
    return Program(url, folder / "state", config="zero_hold: 3s\ndaily_limit_usd: 200\nmonthly_limit_usd: 5000\n")


def test_promtool_and_openmetrics_have_no_complaint(
    log: psycopg.Connection[tuple[object, ...]], embedded_database: str, tmp_path: Path
) -> None:
    write(log, "email-compose", "0.25", times=3)
    write(log, "email-compose", "0.10", error="429 too many requests")
    with running(program_on(embedded_database, tmp_path)) as program:
        program.samples()
        code, said = promtool().run("check", "metrics", given=program.text())
        assert (code, said.strip()) == (0, "")
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        status, text = fetch(f"{program.url}/metrics", accept)
        assert status == 200
        families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]
        assert families["ai_operation_cost_usd"].unit == "usd"
        exposed = {sample.name for family in families.values() for sample in family.samples}
        standard = {metric.name for metric in STANDARD}
        assert standard <= exposed
        known = set(ALL) | standard | {f"ai_operation_latency_seconds_{part}" for part in ("bucket", "count", "sum")}
        assert exposed <= known


@pytest.mark.parametrize("current", [False, True], ids=["version 2", "current version"])
def test_increase_is_exact_over_a_kill_and_over_the_birth_of_a_series(
    log: psycopg.Connection[tuple[object, ...]], embedded_database: str, tmp_path: Path, current: bool
) -> None:
    cost = "ai_operation_cost_usd_total"
    write(log, "email-compose", "5.000001", times=2)
    with (
        running(program_on(embedded_database, tmp_path)) as program,
        prometheus(tmp_path, program.port, current=current) as server,
    ):
        # known before: at 0 from the start
        wait_for(lambda: server.query(f"{cost} == 0"))
        write(log, "email-compose", "1.250003", times=4)
        wait_for(lambda: server.query(f"sum({cost}) > 5"))
        code, _ = program.end(signal.SIGKILL)
        assert code == -signal.SIGKILL
        write(log, "email-compose", "0.000007", times=3)
        # born while nobody looked, with more than one call at once
        write(log, "calendar-prep", "2.500000", times=2)
        program.start()
        truth = Decimal("1.250003") * 4 + Decimal("0.000007") * 3 + Decimal("2.5") * 2
        wait_for(lambda: total(program.samples(), cost) == pytest.approx(float(truth), abs=1e-9))
        wait_for(lambda: server.query(f"sum({cost}) > 10"))
        newest = max(float(sample["value"][1]) for sample in server.query(f"timestamp({cost})"))
        # at the time of the newest sample nothing is extrapolated beyond it, and before it the series are at 0
        increase = server.query(f"sum by (operation) (increase({cost}[10m]))", at=newest)
        found = {sample["metric"]["operation"]: float(sample["value"][1]) for sample in increase}
        assert found["calendar-prep"] == pytest.approx(5.0, abs=1e-6)
        assert found["email-compose"] == pytest.approx(5.000033, abs=1e-6)
        assert server.query(f"sum(resets({cost}[10m]))")[0]["value"][1] == "0"


@pytest.mark.parametrize("escaping", ["allow-utf-8", "underscores", "dots", "values"])
def test_names_are_those_of_the_rules_whichever_escaping_a_prometheus_asks_for(
    log: psycopg.Connection[tuple[object, ...]], embedded_database: str, tmp_path: Path, escaping: str
) -> None:
    write(log, "email-compose", "0.25")
    with (
        running(program_on(embedded_database, tmp_path)) as program,
        prometheus(tmp_path, program.port, current=True, escaping=escaping) as server,
    ):
        (spend,) = wait_for(lambda: server.query("ai_spend_today_usd > 0"))
        assert spend["metric"]["operation"] == "email-compose"
        names = {sample["metric"]["__name__"] for sample in server.query('{__name__=~".+", job="ai"}')}
        histogram = {f"ai_operation_latency_seconds_{part}" for part in ("bucket", "count", "sum")}
        scraping = {name for name in names if name == "up" or name.startswith("scrape_")}
        assert names - scraping <= set(ALL) | {metric.name for metric in STANDARD} | histogram


def test_killed_at_any_moment_nothing_is_lost_and_nothing_falls(
    log: psycopg.Connection[tuple[object, ...]], embedded_database: str, tmp_path: Path
) -> None:
    names = ("ai_operations_total", "ai_operation_cost_usd_total", "ai_operation_latency_seconds_count")
    program = Program(embedded_database, tmp_path / "state", config="zero_hold: 0s\n")
    written = 0
    highest = dict.fromkeys(names, 0.0)
    program.start()
    for delay in (0.0, 0.05, 0.11, 0.4):
        until = time.monotonic() + delay
        while True:
            write(log, "task-breakdown", "0.000001")
            written += 1
            seen = program.samples()
            for name in names:
                assert total(seen, name) >= highest[name]
                highest[name] = total(seen, name)
            if time.monotonic() >= until:
                break
        program.end(signal.SIGKILL)
        write(log, "task-breakdown", "0.000001", times=2)
        written += 2
        program.start()
    final = program.samples()
    code, logged = program.end(signal.SIGTERM)
    assert total(final, "ai_operations_total") == written
    assert round(total(final, "ai_operation_cost_usd_total") * 10**6) == written
    assert code == 0, logged
    assert "Traceback" not in logged
