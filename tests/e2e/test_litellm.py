"""From a row in LiteLLM's own table to a message in Discord, through the real servers."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exporter.demo.schema import load_schema
from tests.support.alerting import Delivered, alerting
from tests.support.programs import THE_FIVE, Program, running, wait_for

pytestmark = pytest.mark.slow

Log = psycopg.Connection[tuple[object, ...]]

CONFIG = "source: litellm\nzero_hold: 3s\ndaily_limit_usd: 150\n"
INSERT = """
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, prompt_tokens, completion_tokens, "startTime", "endTime",
                                 request_duration_ms, model, model_group, "user", metadata, status)
SELECT gen_random_uuid()::text, 'acompletion', %(spend)s, 10, 5, at, at + %(ms)s * interval '1 ms', %(ms)s,
       'anthropic/claude-opus-4.5', 'claude-opus-4.5', 'user-1',
       CASE WHEN %(failed)s THEN '{"status": "failure", "error_information": {"error_class": "Timeout",
            "error_code": "408", "error_message": "litellm.Timeout: Request timed out"}}' ELSE '{}' END::jsonb,
       CASE WHEN %(failed)s THEN 'failure' ELSE 'success' END
FROM (SELECT now() AT TIME ZONE 'UTC' AS at FROM generate_series(1, %(rows)s)) AS made
"""
GOOD = {"spend": 0.01, "ms": 100, "failed": False, "rows": 1}


@pytest.fixture
def litellm(embedded_database: str) -> Iterator[Log]:
    with psycopg.connect(embedded_database, autocommit=True) as connection:
        load_schema(connection, "litellm")
        yield connection


@pytest.fixture
def delivered(litellm: Log, embedded_database: str, tmp_path: Path) -> Iterator[Delivered]:
    """The way from that log to the channel, with one good call behind it."""
    litellm.execute(INSERT, GOOD)
    program = Program(embedded_database, tmp_path / "state", config=CONFIG)
    with running(program), alerting(tmp_path, program.port) as delivered:
        litellm.execute(INSERT, GOOD)
        # the series have shown their zero, and what comes now is a rise
        wait_for(lambda: delivered.prometheus.query("ai_operations_total > 0"))
        yield delivered


def test_each_of_the_five_is_told(litellm: Log, delivered: Delivered) -> None:
    litellm.execute(INSERT, {"spend": 8, "ms": 130_000, "failed": True, "rows": 30})
    for name in THE_FIVE:
        delivered.wait(name, "Firing")
    assert "acompletion on claude-opus-4.5: $240.02" in delivered.wait("high_daily_spend", "Firing")
    assert "of $150.00" in delivered.wait("budget_exceeded", "daily limit of $150.00")
    assert not delivered.receiver.refused
