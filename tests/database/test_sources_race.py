"""Writers and kills against the logs of public systems: each row that was committed counts once, and nothing falls."""

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from tests.support.litellm import migrate
from tests.support.programs import Program, eventually, running
from tests.support.public_logs import PublicLog, shown
from tests.support.scraped import Figures, Scraped, assert_no_counter_fell

pytestmark = pytest.mark.slow

WRITERS = 4
KILLS = (0.0, 0.3, 1.5, 0.05, 0.8, 2.5)
"""How many seconds after it is up the exporter is killed, each time anew."""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Gateway:
    """How a system writes its log: `make` its tables, `insert` a call that began some seconds ago and has just ended,
    and `change` one that was written before.
    """

    source: str
    make: Callable[[Connection], None]
    insert: str
    change: str
    row: Callable[[Random, str, float], Mapping[str, Any]]


def _litellm_row(rng: Random, name: str, took: float) -> Mapping[str, Any]:
    failed = rng.random() < 0.2
    error = {"error_class": "RateLimitError", "error_code": "429", "error_message": "slow down"}
    return {
        "id": name,
        "took": took,
        "spend": 0.0 if failed else rng.randint(0, 10**6) / 10**7,
        "tokens": rng.randint(0, 4000),
        "model": rng.choice(("", "gpt-4o", "claude-sonnet-4-5")),
        "user": rng.choice(("", "user-1", "user-2")),
        "status": rng.choice(("failure", None)) if failed else rng.choice(("success", None)),
        "metadata": json.dumps({"status": "failure", "error_information": error} if failed else {}),
        "hit": rng.choice(("True", "False", "")),
    }


def _new_api_row(rng: Random, name: str, took: float) -> Mapping[str, Any]:
    return {
        "id": name,
        "took": took,
        "type": rng.choice((2, 2, 2, 5, 1, 3)),
        "quota": rng.randint(0, 10**6),
        "tokens": rng.randint(0, 4000),
        "model": rng.choice(("", "gpt-4o", "claude-sonnet-4-5")),
        "user": rng.choice(("", "user-1", "user-2")),
    }


GATEWAYS = (
    Gateway(
        "litellm",
        migrate,
        # rows are sent again where an answer was lost
        'INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, prompt_tokens, completion_tokens, "startTime",'
        ' "endTime", request_duration_ms, model, "user", status, metadata, cache_hit) VALUES (%(id)s, \'acompletion\','
        " %(spend)s, %(tokens)s, 7, now() AT TIME ZONE 'UTC' - %(took)s * interval '1 s', now() AT TIME ZONE 'UTC',"
        " %(took)s * 1000, %(model)s, %(user)s, %(status)s, %(metadata)s, %(hit)s) ON CONFLICT DO NOTHING",
        'UPDATE "LiteLLM_SpendLogs" SET metadata = metadata || \'{"routed": true}\', spend = spend + 0.0000125'
        " WHERE request_id = %(id)s",
        _litellm_row,
    ),
    Gateway(
        "new-api",
        PublicLog.of("new-api").create,
        "INSERT INTO logs (created_at, type, content, username, token_name, model_name, quota, prompt_tokens,"
        " completion_tokens, use_time, other) VALUES (extract(epoch FROM now())::bigint - %(took)s, %(type)s, '429',"
        " %(user)s, 'key', %(model)s, %(quota)s, %(tokens)s, 7, %(took)s, %(id)s)",
        "UPDATE logs SET quota = quota + 3, ip = '10.0.0.1' WHERE other = %(id)s",
        _new_api_row,
    ),
)


@dataclass(eq=False)
class Writer(threading.Thread):
    """Batches of calls, each in a transaction that may stay open for a while, or be rolled back, until told to stop."""

    gateway: Gateway
    url: str
    seed: int
    stop: threading.Event
    committed: int = 0
    failure: BaseException | None = None
    written: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        try:
            rng = Random(self.seed)
            with psycopg.connect(self.url, autocommit=True) as connection:
                while not self.stop.is_set():
                    self._write(connection, rng)
        except BaseException as error:
            self.failure = error

    def _write(self, connection: Connection, rng: Random) -> None:
        names = [f"{self.seed}-{len(self.written)}-{number}" for number in range(rng.randint(1, 8))]
        taken_back = rng.random() < 0.15
        with connection.transaction(force_rollback=taken_back):
            for name in names:
                # a few seconds mostly; some streams and batches take longer than the open window
                took = rng.choice((0, 1, 3, 20, 90, 600, 1300, 2500)) if rng.random() < 0.5 else rng.randint(0, 5)
                connection.execute(self.gateway.insert.encode(), self.gateway.row(rng, name, took))
            for name in rng.sample(self.written, min(2, len(self.written))):
                connection.execute(self.gateway.change.encode(), {"id": name})
            self.stop.wait(rng.random() * 0.4)
        if not taken_back:
            self.written += names
            self.committed += 1


@pytest.mark.parametrize("gateway", GATEWAYS, ids=lambda gateway: gateway.source)
def test_killed_at_any_moment_while_rows_come_late_each_counts_once(
    gateway: Gateway, embedded_database: str, tmp_path: Path
) -> None:
    since = datetime.now(UTC) - timedelta(hours=2)
    config = f"source: {gateway.source}\nopen_window: 15m\nzero_hold: 0s\n"
    arguments = [f"--backfill-since={since:%Y-%m-%dT%H:%M:%SZ}"]
    program = Program(embedded_database, tmp_path / "state", arguments, config)
    stop = threading.Event()
    writers = [Writer(gateway, embedded_database, seed, stop) for seed in range(WRITERS)]
    last = Scraped()
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        gateway.make(admin)
        for writer in writers:
            writer.start()
        with running(program):
            try:
                for delay in KILLS:
                    until = time.monotonic() + delay
                    while True:
                        last = scrape(program, last)
                        if time.monotonic() >= until:
                            break
                    assert program.end(signal.SIGKILL)[0] == -signal.SIGKILL
                    program.start(ready=delay < 1)
            finally:
                stop.set()
                for writer in writers:
                    writer.join()
            assert [writer.failure for writer in writers] == [None] * WRITERS
            assert all(writer.committed > 3 for writer in writers)
            # what has come since is found by the probes that follow a start
            assert program.end(signal.SIGKILL)[0] == -signal.SIGKILL
            program.start()
            truth = PublicLog.of(gateway.source).figures(admin)
            wait_for_figures(program, last, truth)
            final = scrape(program, last)
            assert final.total("ai_operation_cost_corrections_usd") == 0
            assert final.total("ai_spend_today_usd") == pytest.approx(spent_today(admin, gateway, final), abs=1e-7)
            code, logged = program.end(signal.SIGTERM)
    assert code == 0, logged
    assert "Traceback" not in logged


def wait_for_figures(program: Program, last: Scraped, truth: Figures) -> None:
    """Wait until the counters are what plain SQL says."""

    def holds() -> None:
        assert shown(scrape(program, last)) == truth

    eventually(holds, 180)


def scrape(program: Program, before: Scraped) -> Scraped:
    """A scrape, none of whose counters is below what was shown before, by whichever process."""
    scraped = Scraped(program.samples())
    # while the log is not read for the first time there are none
    if scraped.counters:
        assert_no_counter_fell(before.counters, scraped.counters)
        return scraped
    return before


def spent_today(admin: Connection, gateway: Gateway, scraped: Scraped) -> float:
    """What plain SQL says of the day that the scrape names."""
    start = scraped.one("ai_spend_window_start_timestamp_seconds", window="day")
    end = scraped.one("ai_spend_window_end_timestamp_seconds", window="day")
    cost, time_, table = (
        ("spend::numeric", "extract(epoch FROM \"startTime\" AT TIME ZONE 'UTC')", '"LiteLLM_SpendLogs"')
        if gateway.source == "litellm"
        else ("quota / 500000.0", "created_at", "logs WHERE type = 2")
    )
    statement = (
        f"SELECT sum(cost) FROM (SELECT {cost} AS cost, {time_} AS at FROM {table}) AS rows WHERE at >= %s AND at < %s"
    )
    found = admin.execute(statement.encode(), (start, end)).fetchone()
    assert found is not None
    return float(found[0])
