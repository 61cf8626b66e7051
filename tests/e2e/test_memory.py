"""How much memory the exporter's process takes, whatever the log holds."""

import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.harness import Log
from tests.support.programs import Program, total, wait_for
from tests.support.thorough import IS_THOROUGH

pytestmark = pytest.mark.slow

LIMIT = 140 * 1024 * 1024
"""Bytes that the process may take: well below the 512 MiB of the shipped deployments."""

MANY_LIMIT = 120_000_000
"""The same with 100,000 users a day and 200 series, after a first start and after any other."""

DENSE_LIMIT = 280 * 1024 * 1024
"""The same with 200,000 users in one quarter-hour."""

HOURS = 2.5 if IS_THOROUGH else 1.25
ROWS = int(100_000 * HOURS)
PATIENCE = 300.0

_FILL = """
INSERT INTO ai_operation_log (id, operation_type, operation_id, model_used, user_id, input_tokens, output_tokens,
                              cost_usd, latency_ms, success, created_at)
SELECT gen_random_uuid(), 'op', 'operation-' || i % {operations}, 'model-' || i % 3,
       lpad(to_hex(mod(i::bigint * 7919, {users})), 32, '0')::uuid, 100, 10, 0.0001 * (i % 100), i * 37 % 3000,
       i % 20 > 0,
       (now() AT TIME ZONE 'UTC') - interval '1 second' - make_interval(secs => {seconds}::float8 * i / {rows})
FROM generate_series(0, {rows} - 1) AS i
"""


def fill(log: Log, rows: int, users: int, seconds: float, operations: int = 9) -> None:
    """Write rows of the last so many seconds, each user as often as any other."""
    log.execute(_FILL.format(rows=rows, users=users, seconds=seconds, operations=operations))
    log.execute("ANALYZE ai_operation_log")


def wait_until_read(program: Program, report_figure: Callable[[str], None], what: str) -> None:
    """Wait until the figures are current, scrape, and tell what memory that has taken at its peak."""
    wait_for(lambda: program.ready and program.samples()["ai_operation_log_up", frozenset()] == 1, PATIENCE)
    report_figure(f"{what}: {program.peak_memory / 2**20:.0f} MiB at the peak")


@pytest.fixture
def log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        yield log


def test_a_first_start_over_a_dense_log(log: Log, tmp_path: Path, report_figure: Callable[[str], None]) -> None:
    fill(log, ROWS, 60_000, HOURS * 3600)
    program = Program(log.url, tmp_path / "state")
    program.start(ready=False)
    wait_until_read(program, report_figure, "first start")
    month = total(program.samples(), "ai_spend_month_usd")
    assert program.peak_memory < LIMIT
    program.end(signal.SIGTERM)
    ((spent, first),) = log.execute(
        "SELECT sum(cost_usd), min({time}) >= date_trunc('month', now()) FROM ai_operation_log"
    )
    assert not first or Decimal(month).quantize(Decimal("0.0001")) == spent


def test_a_hundred_thousand_users_a_day(log: Log, tmp_path: Path, report_figure: Callable[[str], None]) -> None:
    fill(log, 250_000 if IS_THOROUGH else 150_000, 100_000, 12 * 3600, operations=200)
    program = Program(log.url, tmp_path / "state")
    for start in ("first", "next"):
        program.start(ready=False)
        wait_until_read(program, report_figure, f"100,000 users, {start} start")
        report_figure(f"then: {program.memory / 2**20:.0f} MiB")
        assert program.memory < MANY_LIMIT
        program.end(signal.SIGTERM)


def test_a_gap_in_a_dense_log(log: Log, tmp_path: Path, report_figure: Callable[[str], None]) -> None:
    clock = Clock(log)
    clock.set(clock.now() - timedelta(hours=HOURS + 1))
    program = Program(log.url, tmp_path / "state", config="zero_hold: 0s\n")
    program.start()
    program.end(signal.SIGTERM)
    clock.advance((HOURS + 1) * 3600)
    fill(log, ROWS, 60_000, HOURS * 3600)
    program.start(ready=False)
    wait_until_read(program, report_figure, "gap")
    assert total(program.samples(), "ai_operations_total") == ROWS
    assert program.peak_memory < LIMIT
    program.end(signal.SIGTERM)


def test_a_quarter_of_an_hour_with_many_users(log: Log, tmp_path: Path, report_figure: Callable[[str], None]) -> None:
    """No chunk is shorter: what is bounded then is what one user of it takes."""
    fill(log, 200_000, 200_000, 800)
    program = Program(log.url, tmp_path / "state")
    program.start(ready=False)
    wait_until_read(program, report_figure, "a quarter of 200,000 users")
    assert program.peak_memory < DENSE_LIMIT
    program.end(signal.SIGTERM)
