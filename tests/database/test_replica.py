"""An exporter that reads a standby: what is not replayed is not current, and counts as soon as it is replayed."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exporter.database import replication
from exporter.database.opening import Opening
from exporter.database.replication import Standby
from exporter.database.session import Session
from exporter.demo.postgres import EmbeddedPostgres
from exporter.scrape.clock import HostClock
from tests.support.harness import Log, Running, assert_shows_what_sql_says, running, wait_for
from tests.support.preflight import Entry, check
from tests.support.scraped import said
from tests.support.standby import StandbyServer, archive_folder, run_pair

pytestmark = pytest.mark.slow

LAG = "ai_exporter_replication_lag_seconds"
BOUND = 1
"""Seconds of lag that the exporter of a test accepts."""


@dataclass
class Pair:
    """A log on a primary, and a standby that an exporter reads. `ahead` is what the standby's clock is put ahead by."""

    log: Log
    standby: StandbyServer
    name: str
    ahead: float = 0.0

    @property
    def url(self) -> str:
        return self.standby.url(self.name)

    def later(self, seconds: float) -> None:
        """Let time pass for the exporter: the clock of its database, and of its host, go ahead."""
        self.ahead += seconds

    @contextlib.contextmanager
    def clocks(self) -> Iterator[None]:
        """Sessions whose clock is put ahead, as `later` says."""
        begin, judge = Session.__init__, Standby.judge

        def ahead(session: Session, *given: Any, **more: Any) -> None:
            begin(session, *given, **more)
            session.clock += self.ahead

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "__init__", ahead)
            patch.setattr(Standby, "judge", lambda standby, clock: judge(standby, clock + self.ahead))
            yield

    @contextlib.contextmanager
    def exporter(self, folder: Path, *, url: str = "", **overrides: Any) -> Iterator[Running]:
        settings = {"database": {"url": url or self.url, "max_replica_lag": BOUND}, **overrides}
        host = HostClock(lambda: time.monotonic() + self.ahead, lambda: time.time() + self.ahead)
        with running(url or self.url, folder, host=host, **settings) as exporter:
            yield exporter

    def insert(self, ago: float = 0.0, cost: str = "1") -> None:
        """A row that was written so many seconds ago, by the clock as it was put. The standby has received it."""
        self.log.insert(at=datetime.now(UTC) + timedelta(seconds=self.ahead - ago), cost=cost)
        if self.standby.receives:
            self.standby.receive()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[EmbeddedPostgres, StandbyServer]]:
    with run_pair() as pair:
        yield pair


@pytest.fixture
def pair(servers: tuple[EmbeddedPostgres, StandbyServer]) -> Iterator[Pair]:
    primary, standby = servers
    name = f"shop_{datetime.now(UTC).strftime('%H%M%S%f')}"
    with psycopg.connect(primary.url(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    with Log(primary.url(name), "success") as log:
        standby.catch_up()
        pair = Pair(log, standby, name)
        with pair.clocks():
            yield pair
        standby.run("SELECT pg_catalog.pg_wal_replay_resume()")
        standby.connect()


def wait_behind(exporter: Running) -> None:
    """Scrape until the log is not current any more."""
    wait_for(lambda: exporter.scrape().up == 0, lambda: str(exporter.exporter.status()))


def test_a_standby_that_replays_is_current_and_an_idle_primary_is_no_lag(pair: Pair, tmp_path: Path) -> None:
    pair.insert(5)
    pair.standby.catch_up()
    with pair.exporter(tmp_path) as exporter:
        exporter.wait_ready()
        pair.insert()
        pair.standby.catch_up()
        assert exporter.wait_up().money == 1_000_000
        # nothing is written for longer than the lag that is accepted
        quiet = datetime.now(UTC) + timedelta(seconds=2 * BOUND)
        while datetime.now(UTC) < quiet:
            assert exporter.scrape().up == 1
        assert exporter.last.one(LAG) == 0
        assert exporter.ready


@pytest.mark.parametrize("how", ["paused", "cut off"])
def test_a_standby_that_stands_still_is_not_current_until_it_goes_on(
    pair: Pair, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop, go = {
        "paused": (pair.standby.pause, pair.standby.resume),
        "cut off": (pair.standby.cut, pair.standby.connect),
    }[how]
    with pair.exporter(tmp_path) as exporter:
        exporter.wait_ready().wait_up()
        stop()
        pair.insert(cost="30")
        wait_behind(exporter)
        behind = exporter.scrape()
        assert behind.one(LAG) > BOUND
        assert not behind.has("ai_spend_today_usd")
        assert not exporter.ready
        words = {"paused": ("replay is paused", "pg_wal_replay_resume"), "cut off": ("receives nothing",)}[how]
        assert said(caplog, "replica:", "is a standby", *words)
        assert len([r for r in caplog.records if r.getMessage().startswith("replica:")]) == 1
        go()
        pair.standby.catch_up()
        after = exporter.scrape()
        assert after.up == 1
        assert after.money == 30_000_000
        assert_shows_what_sql_says(after, pair.log)
        assert exporter.ready


@pytest.mark.parametrize(
    ("minutes", "then"), [(4, "goes on"), (20, "goes on"), (20, "restarts"), (90, "goes on"), (90, "restarts")]
)
def test_what_is_replayed_late_is_counted_at_once(pair: Pair, tmp_path: Path, minutes: int, then: str) -> None:
    with pair.exporter(tmp_path) as exporter:
        exporter.wait_ready()
        pair.insert()
        pair.standby.catch_up()
        exporter.wait_up()
        pair.standby.pause()
        for minute in range(minutes):
            pair.insert(ago=30)
            if minute % 5 == 0:
                assert exporter.scrape().money == 1_000_000
            pair.later(60)
        exporter.scrape()
        late = exporter.last.total("ai_exporter_late_rows_total")
        if then == "goes on":
            resumed(pair, exporter, minutes, late)
    if then == "restarts":
        with pair.exporter(tmp_path, after=exporter) as again:
            resumed(pair, again, minutes, late)


def resumed(pair: Pair, exporter: Running, minutes: int, late: float) -> None:
    """The next scrape shows everything, or the first one after the gap if the standby stood still for long."""
    pair.standby.resume()
    after = exporter.wait_up() if minutes > 58 else exporter.scrape()
    assert after.up == 1, str(exporter.exporter.status())
    assert after.money == (minutes + 1) * 1_000_000
    assert after.total("ai_exporter_late_rows_total") == late


def test_a_standby_that_is_promoted_is_current_and_has_lost_no_row(tmp_path: Path) -> None:
    with run_pair() as (primary, standby), Log(primary.url(), "success") as log:
        pair = Pair(log, standby, "postgres")
        with pair.clocks(), pair.exporter(tmp_path) as exporter:
            standby.catch_up()
            exporter.wait_ready()
            standby.pause()
            for _ in range(20):
                pair.insert(ago=30)
                pair.later(60)
            exporter.scrape()
            standby.receive()
            standby.run("SELECT pg_catalog.pg_wal_replay_resume()")
            standby.promote()
            assert exporter.wait_up().money == 20_000_000
            assert exporter.last.one(LAG) == 0
        with (
            Log(standby.url(), "success", exists=True) as there,
            pair.clocks(),
            pair.exporter(tmp_path, after=exporter) as again,
        ):
            there.insert(at=datetime.now(UTC) + timedelta(seconds=pair.ahead), cost="5")
            assert again.wait_ready().wait_up().money == 25_000_000
            assert there.sql_totals().keys() == log.sql_totals().keys()


@pytest.mark.parametrize("when", ["before it begins", "after it has begun", "before the log is read"])
def test_a_promotion_in_the_middle_of_a_scrape_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    begin_with, table, tables = Opening.begin_with, Session.table, Session.tables
    armed = False

    def promote(now: str) -> None:
        nonlocal armed
        if armed and when == now:
            armed = False
            standby.promote()

    def begin(opening: Opening, *given: Any, **more: Any) -> Any:
        promote("before it begins")
        begun = begin_with(opening, *given, **more)
        promote("after it has begun")
        return begun

    def read(session: Session, *given: Any, **more: Any) -> Any:
        promote("before the log is read")
        return table(session, *given, **more)

    def read_changes(session: Session, *given: Any, **more: Any) -> Any:
        promote("before the log is read")
        return tables(session, *given, **more)

    monkeypatch.setattr(Opening, "begin_with", begin)
    monkeypatch.setattr(Session, "table", read)
    monkeypatch.setattr(Session, "tables", read_changes)
    with (
        run_pair() as (primary, standby),
        Log(primary.url(), "success") as log,
        running(standby.url(), tmp_path, optional_interval=60) as exporter,
    ):
        exporter.wait_ready().wait_up()
        log.insert(cost="1")
        standby.catch_up()
        armed = True
        assert exporter.scrape().up == 1
        assert not armed
        with Log(standby.url(), "success", exists=True) as there:
            there.insert(cost="5")
            assert exporter.wait_up().money == 6_000_000
            assert exporter.last.one(LAG) == 0


def test_another_cluster_behind_the_same_name_is_not_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two servers with one table each: libpq goes on to the next one when the first has gone."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(EmbeddedPostgres(durable=False)) for _ in range(2)]
        places = []
        for server in servers:
            with Log(server.url(), "success") as log:
                log.execute("ALTER ROLE postgres PASSWORD 'same'")
                log.insert(cost="1")
            places.append(f"127.0.0.1:{server.port}")
        with running(f"postgresql://postgres:same@{','.join(places)}/postgres", tmp_path) as exporter:
            before = exporter.wait_ready().wait_up().money
            servers[0].stop()
            wait_for(lambda: bool(said(caplog, "log:", "state adopt")) or not exporter.scrape(), lambda: caplog.text)
            after = exporter.scrape()
            assert (after.up, after.money) == (0, before)
            assert not after.has("ai_spend_today_usd")


def test_a_switch_from_the_primary_to_a_standby_that_is_behind_and_back(
    pair: Pair, servers: tuple[EmbeddedPostgres, StandbyServer], tmp_path: Path
) -> None:
    on_primary = servers[0].url(pair.name)
    pair.standby.pause()
    with pair.exporter(tmp_path, url=on_primary) as exporter:
        exporter.wait_ready()
        for _ in range(10):
            pair.insert(ago=30)
            pair.later(60)
            exporter.scrape()
        assert exporter.wait_up().money == 10_000_000
    with pair.exporter(tmp_path, after=exporter) as there:
        wait_behind(there)
        pair.insert(cost="7")
        there.scrape()
        pair.standby.resume()
        assert there.wait_up().money == 17_000_000
        assert_shows_what_sql_says(there.last, pair.log)
    with pair.exporter(tmp_path, url=on_primary, after=there) as back:
        assert back.wait_ready().wait_up().money == 17_000_000


def test_a_standby_that_catches_up_under_writes_is_never_ahead_of_what_it_holds(pair: Pair, tmp_path: Path) -> None:
    with pair.exporter(tmp_path) as exporter:
        exporter.wait_ready()
        written = 0
        for _ in range(5):
            pair.standby.pause()
            for _ in range(20):
                pair.insert(cost="0.01")
                written += 1
            exporter.scrape()
            pair.standby.run("SELECT pg_catalog.pg_wal_replay_resume()")
            exporter.scrape()
        pair.standby.catch_up()
        assert exporter.wait_up().money == written * 10_000


def test_the_first_reading_waits_for_a_standby_that_is_behind(pair: Pair, tmp_path: Path) -> None:
    pair.standby.pause()
    pair.insert()
    pair.later(600)
    with pair.exporter(tmp_path) as exporter:
        wait_for(
            lambda: "standby" in exporter.exporter.readiness().reason, lambda: exporter.exporter.readiness().reason
        )
        assert exporter.scrape().up == 0
        pair.standby.resume()
        # what was written before the first start is known, and not counted
        assert exporter.wait_ready().wait_up().money == 0
        assert exporter.last.micro("ai_spend_today_usd") >= 0


def test_a_standby_that_is_fed_from_an_archive_lags_by_what_it_replayed_last(tmp_path: Path) -> None:
    with archive_folder() as archive:
        settings = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
        with (
            EmbeddedPostgres(durable=False, settings=settings) as primary,
            Log(primary.url(), "success") as log,
            StandbyServer(primary, feed=False) as standby,
        ):
            standby.copy_archive(archive)
            log.insert(cost="3")
            log.execute("SELECT pg_switch_wal()")
            counted = "SELECT count(*) FROM ai_operation_log"
            wait_for(lambda: standby.run(counted) == [(1,)], lambda: "nothing is restored", 60)
            bound = {"url": standby.url(), "max_replica_lag": "30m"}
            with running(standby.url(), tmp_path, database=bound) as exporter:
                assert exporter.wait_ready().wait_up().one(LAG) > 0

            def replication() -> Entry:
                return check(standby.url(), tmp_path, database={"max_replica_lag": "1s"}).entries["replication"]

            wait_for(lambda: replication().mark == "FAIL", lambda: "no failure")
            assert "archive_timeout" in replication().hint[0]


def test_check_tells_of_the_standby(pair: Pair, tmp_path: Path) -> None:
    report = check(pair.url, tmp_path)
    assert report.entries["replication"].mark == "ok"
    assert "standby" in report.entries["replication"].detail
    pair.standby.pause()
    pair.insert()
    wait_for(
        lambda: check(pair.url, tmp_path, database={"max_replica_lag": "1s"}).entries["replication"].mark == "FAIL",
        lambda: "no failure",
    )


@pytest.mark.parametrize("refused", ["receiver", "committed", "paused", "received", "replayed", "standby"])
def test_what_a_hosted_server_refuses_to_say_costs_only_itself(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    facts = {**replication.FACTS, refused: "no_such_function()"}
    monkeypatch.setattr(replication, "FACTS", facts)
    with pair.exporter(tmp_path) as exporter:
        exporter.wait_ready()
        pair.insert()
        pair.standby.catch_up()
        seen = exporter.wait_up()
        assert seen.money == 1_000_000
        # without its positions nothing is known, and nothing decided
        assert seen.has(LAG) == (refused not in ("received", "replayed", "standby"))


def test_an_unprivileged_role_is_told_enough(pair: Pair, tmp_path: Path) -> None:
    role = f"reader_{pair.name}"
    pair.log.execute(f"CREATE ROLE {role} LOGIN BYPASSRLS PASSWORD 'x'")
    pair.log.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    pair.standby.catch_up()
    url = pair.standby.url(pair.name, role, "x")
    with pair.exporter(tmp_path, url=url) as exporter:
        exporter.wait_ready()
        assert exporter.wait_up().one(LAG) == 0
        pair.standby.pause()
        pair.insert()
        wait_behind(exporter)
        pair.standby.resume()
        assert exporter.wait_up().money == 1_000_000
