"""docker-compose.yml with LiteLLM's own table: every part up, Grafana's role reads it, and every alert told."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.compose import Stack, demo_stack
from tests.support.docker import Image
from tests.support.grafana import View
from tests.support.grafana import sql as sent
from tests.support.sql_panels import SQL_PANELS

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("compose")]

INSERT = """
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, prompt_tokens, completion_tokens, "startTime", "endTime",
                                 request_duration_ms, model_group, "user", metadata, status)
SELECT gen_random_uuid()::text, 'acompletion', 5.5, 10, 5, at, at, 130000, 'claude-opus-4.5', 'somebody',
       '{"error_information": {"error_class": "Timeout", "error_code": "408"}}', 'failure'
FROM (SELECT now() AT TIME ZONE 'UTC' AS at FROM generate_series(1, 40)) AS made
"""


@pytest.fixture(scope="module")
def stack(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with demo_stack(image, tmp_path_factory.mktemp("stack"), "litellm") as running:
        yield running


def test_verify_is_green(stack: Stack) -> None:
    verdict = stack.verify()
    assert verdict.failed == set(), verdict.text
    assert verdict.code == 0, verdict.text
    assert "off by 0.0" in verdict.text


def test_every_panel_of_the_log_has_data_for_grafanas_role(stack: Stack) -> None:
    secrets, now = Path(stack.environ["SECRETS_DIR"]), time.time()
    password = (secrets / "grafana_database_password").read_text()
    port = stack.environ["POSTGRES_PORT"]
    with psycopg.connect(f"postgresql://ai_grafana:{password}@127.0.0.1:{port}/demo", autocommit=True) as grafana:
        for panel, statement in SQL_PANELS.items():
            assert grafana.execute(sent(statement, View(now - 86_400, now)).encode()).fetchall(), panel


def test_the_five_alerts_arrive_at_discord(stack: Stack) -> None:
    with stack.connect() as log:
        log.execute(INSERT)
    stack.wait_for_the_five()
