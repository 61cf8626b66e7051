"""From a row in PostgreSQL to a message in Discord, through the real servers."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.alerting import Delivered, alerting
from tests.support.programs import THE_FIVE, Program, running, wait_for

pytestmark = pytest.mark.slow

Log = psycopg.Connection[tuple[object, ...]]

USER = UUID(int=42)

INSERT = (
    "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, user_id, input_tokens, output_tokens,"
    " cost_usd, latency_ms, success, error_message, created_at)"
    " SELECT 'chat', 'email-compose', 'claude-opus-4.5', %s, 10, 5, %s, %s, %s, %s, now() AT TIME ZONE 'UTC'"
    " FROM generate_series(1, %s)"
)
LIMIT = "INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, %s)"


@pytest.fixture
def delivered(log: Log, embedded_database: str, tmp_path: Path) -> Iterator[Delivered]:
    """The way from that log to the channel, with one good call behind it."""
    log.execute(LIMIT, (USER, "100"))
    log.execute(INSERT, (USER, "0.01", 100, True, None, 1))
    program = Program(
        embedded_database, tmp_path / "state", config="zero_hold: 3s\noptional_interval: 0s\ndaily_limit_usd: 150\n"
    )
    with running(program), alerting(tmp_path, program.port) as delivered:
        log.execute(INSERT, (USER, "0.01", 100, True, None, 1))
        # the series have shown their zero, and what comes now is a rise
        wait_for(lambda: delivered.prometheus.query("ai_operations_total > 0"))
        yield delivered


def test_each_of_the_five_is_told_and_so_is_its_end(log: Log, delivered: Delivered) -> None:
    log.execute(INSERT, (USER, "8", 130_000, False, "request timed out", 30))
    for name in THE_FIVE:
        delivered.wait(name, "Firing")
    spend = delivered.wait("high_daily_spend", "Firing")
    assert "The team's spend today is $240.02, above $200." in spend
    assert "email-compose on claude-opus-4.5: $240.02" in spend
    assert f"Spend today of user {USER} is $240.02, above the daily limit of $100.00." in delivered.wait(
        "budget_exceeded", str(USER)
    )
    assert "of $150.00" in delivered.wait("budget_exceeded", "daily limit of $150.00")
    unavailable = delivered.wait("model_unavailable", "% of the calls to claude-opus-4.5 (")
    assert "reached their timeout of 2m" in unavailable
    log.execute("UPDATE ai_operation_log SET cost_usd = 0.01")
    log.execute(INSERT, (USER, "0", 100, True, None, 3000))
    for name in THE_FIVE:
        assert "was" in delivered.wait(name, "Resolved")
    assert not delivered.receiver.refused


def test_sixty_users_over_budget_are_one_message_that_discord_takes(log: Log, delivered: Delivered) -> None:
    users = [uuid4() for _ in range(60)]
    with log.transaction():
        for user in users:
            log.execute(LIMIT, (user, "1"))
            log.execute(INSERT, (user, "1.50", 100, True, None, 1))
    text = delivered.wait("budget_exceeded", "60 firing")
    assert "more" in text
    assert sum(str(user) in text for user in users) >= 3
    assert [text for text in delivered.texts if "budget_exceeded" in text.splitlines()[0]] == [text]
    assert not delivered.receiver.refused
