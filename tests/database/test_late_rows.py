"""Rows that come, change or go long after their time are seen soon, and a log that stands still is left alone."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.database import probe_query
from exporter.database.log_table import LogTable
from exporter.demo.profiles import USERS
from exporter.ledger.model import TimeRange
from exporter.scrape import lateness
from tests.support.clock import Clock
from tests.support.harness import (
    Log,
    Running,
    assert_shows_what_sql_says,
    assert_spend_is_what_sql_says,
    running,
    wait_for,
)

pytestmark = pytest.mark.slow

MINUTE, HOUR = 60.0, 3600.0
AGES = (4 * MINUTE, 30 * MINUTE, 59 * MINUTE, 66 * MINUTE, 5 * HOUR, 23 * HOUR, 47 * HOUR)
SINCE = timedelta(hours=47, minutes=30)


@dataclass
class Rounds:
    """What the probes of an exporter did: rounds that were done, and what was read again for what they found."""

    done: int = 0
    read: list[TimeRange] = field(default_factory=list)
    differ: bool = False

    def wait(self, more: int = 3) -> None:
        """Until so many more rounds, and what they led to, are over."""
        until = self.done + more + 1
        wait_for(lambda: self.done >= until, lambda: f"{self.done} of {until} rounds")

    def rest(self) -> None:
        """Until nothing is left to be read again, and nothing new is found to differ over some rounds."""
        seen, since = list(self.read), self.done

        def at_rest() -> bool:
            nonlocal seen, since
            if self.read != seen or self.differ:
                seen, since = list(self.read), self.done
            return self.done > since + 6

        wait_for(at_rest, lambda: f"{len(self.read)} reads, the last of {self.read[-1:]}")


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    """Rounds that follow each other at once."""
    monkeypatch.setattr(lateness, "INTERVAL", 0.02)
    monkeypatch.setattr(lateness, "SHARE", 0.9)
    rounds = Rounds()
    look, judge, was_read = lateness.LateRows.look, lateness.LateRows.judge, lateness.LateRows.was_read

    def count(self: lateness.LateRows, *arguments: Any) -> Any:
        rounds.done += 1
        return look(self, *arguments)

    def find(self: lateness.LateRows, *arguments: Any) -> None:
        judge(self, *arguments)
        rounds.differ = bool(self.memory.suspects)

    def note(self: lateness.LateRows, slices: Any, span: TimeRange, seconds: float) -> None:
        if any(span.lo <= suspect.span.lo < span.hi for suspect in self.memory.suspects):
            rounds.read.append(span)
        was_read(self, slices, span, seconds)
        rounds.differ = bool(self.memory.suspects)

    monkeypatch.setattr(lateness.LateRows, "look", count)
    monkeypatch.setattr(lateness.LateRows, "judge", find)
    monkeypatch.setattr(lateness.LateRows, "was_read", note)
    return rounds


def counting(log: Log, folder: Path, **overrides: Any) -> Any:
    """An exporter that counts everything within the horizon."""
    return running(log.url, folder, datetime.now(UTC) - SINCE, **{"worker": {"pause": 0.01}, **overrides})


def fill(log: Log, hours: float = 24, every: float = 10 * MINUTE, **columns: Any) -> list[Any]:
    """Rows at regular intervals up to some hours ago."""
    with log.together():
        return [log.insert(every * number + 1, **columns) for number in range(int(hours * HOUR / every))]


def soon(exporter: Running, log: Log, late: int | None = None) -> None:
    """Everything that is in the log now is shown, and as late rows where a number is given."""
    wait_for(
        lambda: exporter.scrape().money == log.money() and exporter.last.up == 1,
        lambda: f"{exporter.last.money} of {log.money()}",
    )
    assert_spend_is_what_sql_says(exporter.scrape(), log)
    if late is not None:
        assert exporter.scrape().one("ai_exporter_late_rows_total") == late
        assert_shows_what_sql_says(exporter.scrape(), log)


def test_a_row_of_any_age_within_the_horizon_is_shown_soon(log: Log, rounds: Rounds, tmp_path: Path) -> None:
    fill(log)
    with counting(log, tmp_path) as exporter:
        exporter.wait_ready()
        for number, age in enumerate(AGES, 1):
            log.insert(age, cost=f"0.00{number:04}", outcome="failed", message="HTTP 503")
            soon(exporter, log, late=number)


@pytest.mark.parametrize("factor", ["1.5", "0.5"])
def test_a_mass_update_of_a_day_is_shown_soon_and_read_in_few_chunks(
    log: Log, rounds: Rounds, tmp_path: Path, factor: str
) -> None:
    fill(log, cost="0.100000")
    with counting(log, tmp_path) as exporter:
        exporter.wait_ready()
        rounds.wait()
        rounds.read.clear()
        log.execute(f"UPDATE ai_operation_log SET cost_usd = cost_usd * {factor}")
        soon(exporter, log)
        quarters = [span for span in rounds.read if span.hi - span.lo >= 900]
        assert 1 <= len(quarters) <= 24
        assert sum(span.hi - span.lo for span in quarters) > 20 * HOUR


def test_a_user_who_is_deleted_with_all_rows_is_gone_soon(log: Log, rounds: Rounds, tmp_path: Path) -> None:
    if log.layout == "status":
        log.execute("INSERT INTO users (id, email) VALUES (%s, 'a')", USERS[0])
    fill(log, cost="0.25", user=USERS[0])
    fill(log, cost="0.125")
    with counting(log, tmp_path) as exporter:
        before = exporter.wait_ready().scrape()
        assert before.one("ai_user_spend_today_usd", user=str(USERS[0])) > 0
        table, column = ("users", "id") if log.layout == "status" else ("ai_operation_log", "user_id")
        log.execute(f"DELETE FROM {table} WHERE {column} = %s", USERS[0])
        soon(exporter, log)
        assert exporter.last.one("ai_user_spend_today_usd", user=str(USERS[0])) == 0
        assert exporter.last.total("ai_operation_cost_corrections_usd") == 0.25 * 144


CHANGES = {
    "cost": "cost_usd = 0.5",
    "input tokens": "input_tokens = 12345",
    "output tokens": "output_tokens = 12345",
}


@pytest.mark.parametrize(
    ("what", "age"),
    [
        ("cost", 20 * MINUTE),
        ("input tokens", 7 * HOUR),
        ("output tokens", 20 * MINUTE),
        ("outcome", 7 * HOUR),
        ("latency", 20 * MINUTE),
    ],
)
def test_a_change_of_any_figure_is_shown_soon(log: Log, rounds: Rounds, tmp_path: Path, what: str, age: float) -> None:
    row = log.insert(age, latency_ms=10)
    outcome = "success = false" if log.layout == "success" else "status = 'failed'"
    change = {**CHANGES, "outcome": outcome, "latency": "latency_ms = 20"}[what]
    with counting(log, tmp_path) as exporter:
        exporter.wait_ready()
        rounds.wait()
        log.execute(f"UPDATE ai_operation_log SET {change} WHERE id = %s", row)
        if what == "latency":
            wait_for(
                lambda: exporter.scrape().total("ai_operation_latency_seconds_sum") == 0.02,
                lambda: str(exporter.last.having("ai_operation_latency_seconds_sum")),
            )
        else:
            wait_for(lambda: _shows(exporter, log), lambda: f"{exporter.last.counters} and not {log.sql_totals()}")


def _shows(exporter: Running, log: Log) -> bool:
    try:
        assert_shows_what_sql_says(exporter.scrape(), log)
    except AssertionError:
        return False
    return True


def test_a_call_that_ends_long_after_it_began_is_counted_soon(
    embedded_database: str, rounds: Rounds, tmp_path: Path
) -> None:
    with Log(embedded_database, "status") as log:
        fill(log)
        calls = [log.insert(age, outcome="pending", cost=None, latency_ms=None) for age in (2 * HOUR, 30 * HOUR)]
        with counting(log, tmp_path) as exporter:
            exporter.wait_ready()
            calls += [log.insert(age, outcome="running", cost=None, latency_ms=None) for age in (40 * MINUTE, 3 * HOUR)]
            wait_for(lambda: exporter.scrape().total("ai_operations_in_progress") == 4, lambda: "not seen")
            for call in calls:
                log.execute("UPDATE ai_operation_log SET status = 'success', cost_usd = 0.3 WHERE id = %s", call)
                soon(exporter, log)
            assert_shows_what_sql_says(exporter.scrape(), log)


def test_a_call_that_never_ends_holds_no_neighbour_back(embedded_database: str, rounds: Rounds, tmp_path: Path) -> None:
    with Log(embedded_database, "status") as log:
        now = datetime.now(UTC)
        fill(log)
        # in the last third of a quarter-hour, so that closed minutes lie before it in that quarter too
        begun = now - timedelta(minutes=25)
        begun = begun.replace(minute=begun.minute // 15 * 15 + 10, second=5, microsecond=0)
        log.insert(at=begun, outcome="pending", cost=None, latency_ms=None)
        with counting(log, tmp_path) as exporter:
            exporter.wait_ready()
            for minutes in (1, 8, 12, 31, -1, -3):
                log.insert(at=begun - timedelta(minutes=minutes), cost=f"0.00{minutes + 10:04}")
                soon(exporter, log)
            assert exporter.last.total("ai_operations_in_progress") == 1


def test_a_log_that_stands_still_is_not_read_again(log: Log, rounds: Rounds, tmp_path: Path) -> None:
    fill(log)
    for age in (10 * MINUTE, 90 * MINUTE, 9 * HOUR):
        fill_with_odd_values(log, age)
    with counting(log, tmp_path) as exporter:
        exporter.wait_ready()
        rounds.rest()
        assert rounds.read == []
        known = exporter.scrape().total("ai_operations_total")
        log.insert(9 * HOUR)
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == known + 1, lambda: "not found")
        rounds.rest()
        assert len(rounds.read) <= 1


def fill_with_odd_values(log: Log, age: float) -> None:
    """Rows of which not everything can be used."""
    log.execute("ALTER TABLE ai_operation_log DROP CONSTRAINT IF EXISTS ai_operation_log_status_check")
    for column, values in {
        "cost_usd": ("NULL", "'NaN'", "-1"),
        "input_tokens": ("NULL", "-5", "2000000000"),
        "output_tokens": ("NULL", "-5", "2000000000"),
        "latency_ms": ("NULL", "-1", "90000000"),
        "status": ("NULL", "'lost'") if log.layout == "status" else (),
    }.items():
        for value in values:
            row = log.insert(age)
            log.execute(f"UPDATE ai_operation_log SET {column} = {value} WHERE id = %s", row)


TYPES = {
    "double precision": ("double precision", "double precision"),
    "real": ("real", "real"),
    "numeric": ("numeric", "numeric"),
    "bigint tokens": ("numeric(20,14)", "bigint"),
}


@pytest.mark.parametrize("kind", TYPES)
def test_columns_of_other_types_come_to_rest_and_late_rows_are_still_found(
    embedded_database: str, rounds: Rounds, tmp_path: Path, kind: str
) -> None:
    cost, number = TYPES[kind]
    with Log(embedded_database, "success") as log:
        for column, type_ in (
            ("cost_usd", cost),
            ("input_tokens", number),
            ("output_tokens", number),
            ("latency_ms", number),
        ):
            log.execute(f"ALTER TABLE ai_operation_log ALTER {column} TYPE {type_}")
        fill(log)
        log.execute(
            "UPDATE ai_operation_log SET cost_usd = random() / 3, latency_ms = random() * 5000,"
            " input_tokens = random() * 100, output_tokens = random() * 7"
        )
        if number != "bigint":
            log.execute("UPDATE ai_operation_log SET output_tokens = 'NaN' WHERE random() < 0.1")
        with counting(log, tmp_path) as exporter:
            exporter.wait_ready()
            rounds.rest()
            known = exporter.scrape().total("ai_operations_total")
            log.insert(8 * HOUR, cost="0.25")
            wait_for(lambda: exporter.scrape().total("ai_operations_total") == known + 1, lambda: "not found")
            rounds.rest()


def test_figures_that_are_never_twice_the_same_come_to_rest(
    embedded_database: str, rounds: Rounds, tmp_path: Path
) -> None:
    """A view whose tokens have a tail which each series' sum drops, and which is another one each time."""
    with Log(embedded_database, "success") as log:
        for operation in range(9):
            fill(log, hours=4, every=29 * MINUTE, operation=f"operation-{operation}")
        log.execute("ALTER TABLE ai_operation_log RENAME TO entries")
        log.execute(
            "CREATE VIEW ai_operation_log AS SELECT id, operation_type, operation_id, model_used, user_id,"
            " input_tokens + random() * 0.9 AS input_tokens, output_tokens, cost_usd, latency_ms, quality_score,"
            " success, error_message, created_at FROM entries"
        )
        with counting(log, tmp_path) as exporter:
            exporter.wait_ready()
            wait_for(lambda: len(rounds.read) > 0, lambda: "no difference")
            rounds.rest()


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_a_zone_whose_clock_is_moved(embedded_database: str, rounds: Rounds, tmp_path: Path, day: str) -> None:
    with Log(embedded_database, "success") as log:
        clock = Clock(log)
        noon = datetime.fromisoformat(f"{day}T12:03:00+00:00")
        clock.set(noon)
        # every ten minutes of local time, those too that the clock skips or shows twice
        log.execute(
            "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, cost_usd, success, created_at)"
            " SELECT 'chat', 'chat', 'm1', 0.000001 * n, true, timestamp '" + day + "' + n * interval '10 minutes'"
            " FROM generate_series(0, 70) AS n"
        )
        since = noon - timedelta(hours=30)
        with running(log.url, tmp_path, since, log_time_zone="Europe/Berlin") as exporter:
            exporter.wait_ready()
            assert exporter.wait_up().money == log.money()
            rounds.rest()
            assert rounds.read == []
            for number, local in enumerate(("01:59", "02:01", "02:31", "02:59", "03:00", "09:00"), 1):
                log.execute(
                    "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, cost_usd, success,"
                    f" created_at) VALUES ('chat', 'chat', 'm1', 0.01 * {number}, true, '{day} {local}')"
                )
                wait_for(lambda: exporter.scrape().money == log.money(), lambda: f"{exporter.last.money}")
            rounds.rest()
            assert len(rounds.read) <= 6


@pytest.mark.parametrize("shape", ["partitioned", "view", "timestamptz"])
def test_other_shapes_of_the_log(
    embedded_database: str, rounds: Rounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    # a view is probed in parts: a round looks at all of them, as one of six seconds does
    monkeypatch.setattr(lateness, "OLDER_SHARE", 0.99)
    with Log(embedded_database, "success") as log:
        if shape == "partitioned":
            log.execute("ALTER TABLE ai_operation_log RENAME TO old")
            log.execute("CREATE TABLE ai_operation_log (LIKE old INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)")
            for number in range(-1, 4):
                log.execute(
                    f"CREATE TABLE part_{number + 1} PARTITION OF ai_operation_log FOR VALUES"
                    f" FROM ('{_day(-number)}') TO ('{_day(1 - number)}')"
                )
            log.execute("CREATE INDEX ON ai_operation_log (created_at)")
        elif shape == "view":
            log.execute("ALTER TABLE ai_operation_log RENAME TO entries")
            log.execute("CREATE VIEW ai_operation_log AS SELECT * FROM entries")
        else:
            log.execute("SET timezone = 'UTC'")
            log.execute("ALTER TABLE ai_operation_log ALTER created_at TYPE timestamptz")
        fill(log)
        with counting(log, tmp_path) as exporter:
            exporter.wait_ready()
            rounds.rest()
            assert rounds.read == []
            for age in AGES:
                log.insert(age)
                soon(exporter, log)
            rounds.rest()
            assert len(rounds.read) <= len(AGES)


def _day(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def test_a_restart_looks_soon(log: Log, tmp_path: Path) -> None:
    """With the pace that is shipped: what came late while nothing ran is there within seconds."""
    fill(log)
    with counting(log, tmp_path) as exporter:
        exporter.wait_ready().scrape()
    for age in AGES:
        log.insert(age)
    with running(log.url, tmp_path, after=exporter) as again:
        again.wait_ready()
        soon(again, log)
        # the youngest is not late where the merge of its quarter-hour is due and comes first
        assert again.scrape().one("ai_exporter_late_rows_total") in (len(AGES) - 1, len(AGES))
        assert_shows_what_sql_says(again.scrape(), log)


def test_a_statement_that_takes_too_long_ends_its_round_and_the_next_one_asks_for_less(
    log: Log, rounds: Rounds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log)
    real, refused = probe_query.read_sums, 0

    def read_sums(session: Any, table: LogTable, rules: Any, spans: list[TimeRange]) -> Any:
        nonlocal refused
        if sum(span.hi - span.lo for span in spans) > 900:
            refused += 1
            session.run("DO $$ BEGIN RAISE query_canceled; END $$")
        return real(session, table, rules, spans)

    with counting(log, tmp_path) as exporter:
        exporter.wait_ready()
        monkeypatch.setattr("exporter.scrape.lateness.read_sums", read_sums)
        log.insert(40 * MINUTE)
        log.insert(30 * HOUR)
        soon(exporter, log)
        assert refused > 0
