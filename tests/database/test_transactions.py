"""What the exporter's transactions look like from the database: short, and ended as they should be."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import DatabaseUnavailable
from exporter.database.reader import read_span, read_spend
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.ledger.aggregate import net
from exporter.ledger.calendar import HOUR, QUARTER_HOUR, floor_to
from exporter.ledger.model import TimeRange
from exporter.scrape.adaptive_chunk import AdaptiveChunk
from exporter.scrape.ledger_service import LedgerService
from tests.support.harness import Log, assert_shows_what_sql_says, config_for, fixed_layout, running, wait_for

_OPEN = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'ai-operation-exporter-worker' AND xact_start IS NOT NULL"
)
_OURS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name LIKE 'ai-operation-exporter%'"
)
_ENDED = "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()"
layout = fixed_layout("success")


def test_the_background_reader_has_no_transaction_open_while_the_state_is_written(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with log.together():
        for hours in range(1, 30):
            log.insert(ago=hours * 3600)
    opened: dict[str, int] = {}

    def watched(name: str) -> Callable[..., None]:
        original = getattr(LedgerService, name)

        def method(ledger: LedgerService, *arguments: Any) -> None:
            with psycopg.connect(log.url, autocommit=True) as watcher:
                ((found,),) = watcher.execute(_OPEN).fetchall()
            opened[name] = max(opened.get(name, 0), found)
            original(ledger, *arguments)

        return method

    for name in ("record", "note_skips"):
        monkeypatch.setattr(LedgerService, name, watched(name))
    monkeypatch.setattr("exporter.scrape.background.PROBE_INTERVAL", 0.0)
    # nobody scrapes: all that is recorded is what the background reader has read
    with log, running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=2)) as exporter:
        exporter.wait_ready()
        wait_for(lambda: "note_skips" in opened, lambda: "no probe was recorded")
    assert opened == {"record": 0, "note_skips": 0}


def test_transactions_that_went_well_are_committed(log: Log, tmp_path: Path) -> None:
    log.insert(ago=5)
    scrapes = 10
    with log:
        ((committed, rolled_back),) = log.execute(_ENDED)
        with running(log.url, tmp_path) as exporter:
            exporter.wait_up()
            for _ in range(scrapes):
                exporter.scrape()
        # a server process adds up its transactions when it ends, at the latest
        wait_for(lambda: log.execute(_OURS) == [(0,)], lambda: "connections stay open")
        wait_for(lambda: log.execute(_ENDED)[0][0] >= committed + scrapes, lambda: str(log.execute(_ENDED)))
        # one a connection at most: what was under way when the exporter was stopped
        assert log.execute(_ENDED)[0][1] - rolled_back <= 2


@contextlib.contextmanager
def session_on(url: str, state_dir: Path) -> Iterator[tuple[Session, Config]]:
    config = config_for(url, state_dir, {})
    database = Database(resolve_conninfo(config, {}), 5.0, "ai-operation-exporter")
    try:
        with database.session(30.0) as session:
            yield session, config
    finally:
        database.close()


def test_a_stream_that_fails_half_way_leaves_the_transaction_usable(log: Log, tmp_path: Path) -> None:
    seen: list[Any] = []
    with log, session_on(log.url, tmp_path) as (session, _):
        rows = session.stream("SELECT 1 / (20000 - i) FROM generate_series(1, 30000) AS i")
        with pytest.raises(psycopg.errors.DivisionByZero), session.savepoint():
            seen.extend(rows)
        assert 0 < len(seen) < 20_000
        assert not session.lost
        assert session.run("SELECT 1") == [(1,)]
        assert list(session.stream("SELECT i FROM generate_series(1, 3) AS i")) == [(1,), (2,), (3,)]


class UnexpectedRowError(Exception):
    """What a reader of rows never expected."""


def take_one_and_fail(rows: Iterator[Any]) -> None:
    """The traceback holds this frame, and so the rows."""
    next(rows)
    raise UnexpectedRowError


def ended(work: Callable[[], None]) -> BaseException | None:
    """What it raises; it fails where it never ends."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for itself"
    return raised[0] if raised else None


@pytest.mark.parametrize("count", [3, 30_000, 10_000_000])
def test_a_reader_of_a_stream_that_fails_ends_the_transaction(log: Log, tmp_path: Path, count: int) -> None:
    def fail() -> None:
        with session_on(log.url, tmp_path) as (session, _):
            take_one_and_fail(session.stream(f"SELECT i FROM generate_series(1, {count}) AS i"))

    with log:
        assert isinstance(ended(fail), UnexpectedRowError)
        # a server that was still sending takes a moment to notice that its client has gone
        wait_for(lambda: log.execute(_OURS) == [(0,)], lambda: "the transaction is still open")


def test_a_reader_of_a_stream_that_fails_under_a_savepoint_leaves_the_transaction_usable(
    log: Log, tmp_path: Path
) -> None:
    def go_on() -> None:
        with session_on(log.url, tmp_path) as (session, _):
            with pytest.raises(UnexpectedRowError), session.savepoint():
                take_one_and_fail(session.stream("SELECT i FROM generate_series(1, 30000) AS i"))
            assert session.run("SELECT 1") == [(1,)]

    with log:
        assert ended(go_on) is None


def test_a_stream_that_is_not_read_to_its_end_is_no_obstacle_to_a_commit(log: Log, tmp_path: Path) -> None:
    kept: list[Iterator[Any]] = []

    def leave() -> None:
        with session_on(log.url, tmp_path) as (session, _):
            kept.append(session.stream("SELECT i FROM generate_series(1, 30000) AS i"))
            next(kept[0])

    with log:
        assert ended(leave) is None


def test_a_stream_whose_connection_is_cut_says_that_nothing_more_can_be_read(log: Log, tmp_path: Path) -> None:
    def read_and_cut() -> None:
        with session_on(log.url, tmp_path) as (session, _):
            rows = session.stream("SELECT i FROM generate_series(1, 10000000) AS i")
            next(rows)
            log.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            try:
                collections.deque(rows, maxlen=0)
            finally:
                assert session.lost

    with log, pytest.raises(DatabaseUnavailable, match="closed the connection"):
        read_and_cut()


def test_a_gap_is_read_in_transactions_no_longer_than_a_scrape(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []
    original = Database.session

    def session(self: Database, seconds: float, statement_seconds: float | None = None, **others: Any) -> Any:
        if self._application_name.endswith("-worker") and statement_seconds is not None:
            asked.append((seconds, statement_seconds))
        return original(self, seconds, statement_seconds, **others)

    monkeypatch.setattr(Database, "session", session)
    with log.together():
        for hours in range(1, 40):
            log.insert(ago=hours * 3600)
    scrape = {"timeout": 3, "timeout_offset": 0.5}
    with log, running(log.url, tmp_path, datetime.now(UTC) - timedelta(days=2), scrape=scrape) as exporter:
        exporter.wait_ready()
        assert_shows_what_sql_says(exporter.scrape(), log)
    assert {seconds for seconds, _ in asked} == {3}
    assert all(statement < seconds for seconds, statement in asked)


def test_a_dense_stretch_after_a_long_silence_is_read_exactly(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks grow while there is nothing to read; the one that meets a burst is given up, and read bit by bit."""
    monkeypatch.setattr("exporter.scrape.adaptive_chunk.ROW_BUDGET", 20)
    given_up: list[int] = []
    original = AdaptiveChunk.too_many

    def too_many(self: AdaptiveChunk) -> None:
        given_up.append(self.length)
        original(self)

    monkeypatch.setattr(AdaptiveChunk, "too_many", too_many)
    now = datetime.now(UTC)
    with log.together():
        for number in range(400):
            ago = 5 * HOUR + number % 3 * 2 * HOUR + number * 20
            log.insert(at=now - timedelta(seconds=ago), operation=f"operation-{number % 7}")
    with log, running(log.url, tmp_path, now - timedelta(days=3)) as exporter:
        exporter.wait_ready()
        assert_shows_what_sql_says(exporter.scrape(), log)
    assert given_up
    assert min(given_up) > QUARTER_HOUR


@pytest.mark.parametrize("kind", ["numeric", "double precision"])
def test_the_database_sums_spend_as_the_ledger_does(log: Log, tmp_path: Path, kind: str) -> None:
    log.execute(f"ALTER TABLE ai_operation_log ALTER cost_usd TYPE {kind}")
    for value in ("0.1", "0.2", "0.0000000000004", "0.0000000000006", "999999.9", "1000000.1", "NaN", "-3", None):
        log.insert(ago=100, cost=value)
    with log, session_on(log.url, tmp_path) as (session, config):
        rules = config.classification()
        table = session.log(rules)
        until = floor_to(int(session.clock), QUARTER_HOUR) + QUARTER_HOUR
        span = TimeRange(until - 2 * QUARTER_HOUR, until)
        minutes = read_span(session, table, rules, span)
        known = sum(net(cell) for minute in minutes.values() for cell in minute.cells.values())
        assert known > 0
        assert read_spend(session, table, rules, span) == known
        assert read_spend(session, table, rules, TimeRange(span.lo - HOUR, span.lo)) == 0
