"""The hourly history is the plain SQL sum of each finished hour, read once, and kept over restarts and commands."""

import sqlite3
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from exporter.cli import main
from exporter.demo.profiles import USERS
from exporter.ledger.calendar import QUARTER_HOUR, day_of, day_start, floor_to
from exporter.ledger.hourly import day_hours, hour_end, hour_start
from exporter.ledger.model import Hour, HourFigures, Series
from exporter.scrape.hourly import HourlyHistory
from exporter.state.hourly import HOURLY, each_hour
from exporter.state.store import copied
from tests.support.harness import Log, Running, fixed_layout, running, wait_for
from tests.support.kept import files_with

layout = fixed_layout("success")
WEEKS = 8
NAMES = [
    ("email-compose", "deepseek-v3.2"),
    ("email-compose", "gemini-2.0-flash"),
    ("task-breakdown", "claude-opus-4.5"),
]


def fill(log: Log, days: int, seed: int = 1, per_day: int = 12) -> None:
    """Calls at any time of the last `days` days."""
    rng = Random(seed)
    with log.together():
        for _ in range(days * per_day):
            operation, model = rng.choice(NAMES)
            log.insert(
                ago=rng.uniform(0, days * 86400),
                operation=operation,
                model=model,
                cost=f"{rng.uniform(0, 2):.6f}",
                outcome=rng.choice(["success", "success", "failed"]),
                input_tokens=rng.randrange(1000),
                output_tokens=rng.randrange(100),
                latency_ms=rng.choice([None, 10, 1500]),
                user=rng.choice([*USERS[:3], None]),
            )


def done(exporter: Running) -> bool:
    """Whether all that there is has been read."""
    history = exporter.exporter.hourly
    assert "hourly history" not in str(exporter.exporter.status()), str(exporter.exporter.status())
    # while it rests after a failure, or the ledger has something else to do first, nothing is due either
    could_go_on = not history._rests and history._sources() is not None
    return history.totals.hi > 0 and could_go_on and not history.due


def wait_read(exporter: Running) -> HourlyHistory:
    exporter.wait_ready().wait_up()
    wait_for(lambda: done(exporter), lambda: str((exporter.exporter.hourly.totals, exporter.exporter.status())))
    return exporter.exporter.hourly


def kept(folder: Path) -> dict[int, Hour]:
    with copied(folder) as store:
        return {hour.start: hour for hour in store.read(each_hour)}


def by_sql(log: Log, zone: ZoneInfo) -> dict[tuple[int, str, str], HourFigures]:
    """What the rows say by hour and series."""
    sums: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0] * 7)
    for at, operation, model, success, cost, tokens_in, tokens_out, latency in log.execute(
        "SELECT extract(epoch FROM {time} AT TIME ZONE 'UTC'), operation_id, model_used, success, cost_usd,"
        " input_tokens, output_tokens, latency_ms FROM ai_operation_log"
    ):
        units = (1, int(not success), round(cost * 10**12), tokens_in, tokens_out, (latency or 0) * 1000)
        cell = sums[hour_start(int(at), zone), operation, model]
        for position, value in enumerate((*units, int(latency is not None))):
            cell[position] += value
    return {key: HourFigures(*cell) for key, cell in sums.items()}


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"])
def test_every_finished_hour_is_what_sql_says_of_it(log: Log, tmp_path: Path, zone: str) -> None:
    fill(log, 70)
    with running(log.url, tmp_path, budget_time_zone=zone) as exporter:
        history = wait_read(exporter)
    # an hour may have ended since
    totals, hours, where = history.totals, kept(tmp_path), ZoneInfo(zone)
    today = day_of(int(datetime.now(UTC).timestamp()), where)
    # all weeks are known, whole days of them, without a hole
    assert totals.lo == day_start(today - 7 * WEEKS, where)
    assert sorted(hours) == [
        start for day in range(today - 7 * WEEKS, today + 1) for start in day_hours(day, where) if start < totals.hi
    ]
    expected = {key: cell for key, cell in by_sql(log, where).items() if totals.lo <= key[0] < totals.hi}
    found = {(start, *series): cell for start, hour in hours.items() for series, cell in hour.cells.items()}
    assert found == expected
    assert len(found) > 300
    assert {start: total.figures.cost for start, total in totals.hours.items()} == {
        start: sum(cell.cost for cell in hour.cells.values()) for start, hour in hours.items()
    }


@pytest.mark.parametrize("most", [200, 2])
def test_users_have_every_hour_and_the_bound_keeps_those_with_a_limit(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("exporter.ledger.hourly.MOST_USERS", most)
    log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 10)", USERS[0])
    fill(log, 20, per_day=100)
    with running(log.url, tmp_path, users={"top": 0}) as exporter:
        history = wait_read(exporter)
    totals = history.totals  # an hour may have ended since
    spent: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for at, user, cost in log.execute(
        "SELECT extract(epoch FROM {time} AT TIME ZONE 'UTC'), coalesce(user_id::text, 'unattributed'), cost_usd"
        " FROM ai_operation_log"
    ):
        spent[hour_start(int(at), ZoneInfo("UTC"))][user] += round(cost * 10**12)
    complete = [start for start in totals.hours if len(spent[start]) <= most]
    assert (len(complete) < len(totals.hours)) == (most == 2)
    for start, hour in kept(tmp_path).items():
        assert hour.users.complete == (start in complete)
        assert len(hour.users.units) <= most
        assert hour.users.units.items() <= {**dict.fromkeys(map(str, USERS), 0), **spent[start]}.items()
        assert hour.users.of(str(USERS[0])) == spent[start].get(str(USERS[0]), 0)
        if start in complete:
            assert hour.users.units == spent[start]


def test_what_was_read_is_not_read_again_after_a_restart(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, 60, per_day=3)
    with running(log.url, tmp_path) as exporter:
        before = wait_read(exporter).totals
    read = []
    original = HourlyHistory._read

    def watched(history: HourlyHistory, *arguments: object) -> None:
        read.append(arguments)
        original(history, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(HourlyHistory, "_read", watched)
    with running(log.url, tmp_path) as again:
        after = wait_read(again).totals
    assert (after.lo, after.hours[before.lo]) == (before.lo, before.hours[before.lo])
    assert read == []


def test_what_a_log_has_not_is_not_known_to_be_nothing(log: Log, tmp_path: Path) -> None:
    first = datetime.now(UTC) - timedelta(days=10, minutes=7)
    log.insert(at=first)
    log.insert(ago=3 * 86400)
    with running(log.url, tmp_path) as exporter:
        totals = wait_read(exporter).totals
    # rows of the first hour may have been deleted as well
    assert totals.lo == hour_end(hour_start(int(first.timestamp()), ZoneInfo("UTC")), ZoneInfo("UTC"))
    assert len(totals.hours) == (totals.hi - totals.lo) // 3600


def test_an_empty_log_is_known_from_now_on(log: Log, tmp_path: Path) -> None:
    with running(log.url, tmp_path) as exporter:
        totals = wait_read(exporter).totals
    assert totals.lo == totals.hi
    assert not totals.hours


def test_a_row_that_comes_late_changes_its_hour(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.scrape.lateness.INTERVAL", 0.02)
    monkeypatch.setattr("exporter.scrape.lateness.SHARE", 0.9)
    fill(log, 3)
    late = datetime.now(UTC) - timedelta(hours=7)
    start = hour_start(int(late.timestamp()), ZoneInfo("UTC"))
    with running(log.url, tmp_path) as exporter:
        history = wait_read(exporter)
        before = history.totals.hours[start].figures.cost
        log.insert(at=late, cost="3")

        def has_risen() -> bool:
            # as if another hour had ended
            assert history._known is not None
            history._known = type(history._known)(history._known.lo, start, history._known.oldest)
            wait_for(lambda: done(exporter), lambda: str(exporter.exporter.status()))
            return history.totals.hours[start].figures.cost == before + 3 * 10**12

        wait_for(has_risen, lambda: str(history.totals.hours[start]))
    assert sum(cell.cost for cell in kept(tmp_path)[start].cells.values()) == before + 3 * 10**12


def test_other_settings_read_the_history_anew_and_those_that_change_no_hour_do_not(log: Log, tmp_path: Path) -> None:
    fill(log, 9)
    with running(log.url, tmp_path) as exporter:
        before = wait_read(exporter).totals
    with running(log.url, tmp_path, models={"default_timeout": 60}) as exporter:
        assert wait_read(exporter).totals.hours[before.lo] == before.hours[before.lo]
    alias = {"aliases": {"deepseek-v3.2": "gemini-2.0-flash"}}
    with running(log.url, tmp_path, models=alias) as exporter:
        exporter.wait_in_force()
        wait_read(exporter)
    assert {series.model for hour in kept(tmp_path).values() for series in hour.cells} == {
        "gemini-2.0-flash",
        "claude-opus-4.5",
    }


def test_without_weeks_there_is_no_history_and_more_weeks_are_read_when_they_are_wanted(
    log: Log, tmp_path: Path
) -> None:
    fill(log, 70, per_day=3)
    for weeks, days in ((1, 7), (0, 0), (2, 14), (3, 21), (1, 7)):
        with running(log.url, tmp_path, history_weeks=weeks) as exporter:
            exporter.wait_ready()
            wait_for(lambda: not exporter.exporter.hourly.due, lambda: "never done")
            if weeks:
                assert days * 24 <= len(wait_read(exporter).totals.hours) < (days + 1) * 24 + 1
        assert len(kept(tmp_path)) == len(exporter.exporter.hourly.totals.hours)


@pytest.mark.parametrize("mode", ["hmac", "off"])
def test_no_id_is_left_in_the_history_once_users_are_hidden(log: Log, tmp_path: Path, mode: str) -> None:
    fill(log, 5)
    key = tmp_path / "users.key"
    key.write_bytes(b"a key of sixteen bytes")
    state, ids = tmp_path / "state", [str(user) for user in USERS[:3]]
    with running(log.url, state) as exporter:
        wait_read(exporter)
    assert files_with(state, *ids)
    with running(log.url, state, users={"mode": mode, "hmac_key_file": str(key)}) as exporter:
        wait_read(exporter)
    assert files_with(state, *ids) == set()
    named = {user for hour in kept(state).values() for user in hour.users.units} - {"unattributed"}
    assert len(named) == 3
    other = tmp_path / "other.key"
    other.write_bytes(b"another key, also long")
    with running(log.url, state, users={"mode": "hmac", "hmac_key_file": str(other)}) as exporter:
        exporter.wait_in_force()
        wait_read(exporter)
    assert named.isdisjoint(user for hour in kept(state).values() for user in hour.users.units)


@pytest.fixture
def folder(log: Log, tmp_path: Path) -> Path:
    fill(log, 9)
    with running(log.url, tmp_path / "state") as exporter:
        wait_read(exporter)
    return tmp_path / "state"


def test_a_series_that_is_ended_goes_on_in_the_history_as_other(folder: Path, log: Log) -> None:
    before = kept(folder)
    assert main(["state", "forget", "--state-dir", str(folder), "--operation", "email-compose"]) == 0
    after = kept(folder)
    assert {series for hour in after.values() for series in hour.cells} == {Series(*NAMES[2]), Series("other", "other")}
    for start, hour in before.items():
        assert sum(cell.cost for cell in after[start].cells.values()) == sum(c.cost for c in hour.cells.values())
        assert after[start].users == hour.users


def test_a_copy_has_the_history_and_a_damaged_one_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, other = tmp_path / "copy", tmp_path / "other"
    assert main(["state", "backup", "--state-dir", str(folder), str(copy)]) == 0
    assert main(["state", "restore", "--state-dir", str(other), str(copy)]) == 0
    assert kept(other) == kept(folder)
    with sqlite3.connect(copy) as db:
        db.execute("UPDATE hours SET series = substr(series, 2)")
    db.close()
    assert main(["state", "restore", "--replace", "--state-dir", str(other), str(copy)]) == 1
    assert "the copy is damaged" in capsys.readouterr().err
    assert kept(other) == kept(folder)


def test_a_rewound_state_reads_the_hours_again_that_a_wrong_clock_may_have_made(
    folder: Path, log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", log.url)
    to = floor_to(int(datetime.now(UTC).timestamp()) - 5 * 86400, QUARTER_HOUR)
    moment = datetime.fromtimestamp(to, UTC).isoformat()
    assert main(["state", "rewind", "--state-dir", str(folder), "--to", moment]) == 0
    hours = kept(folder)
    assert hours
    assert max(hours) < to
    with copied(folder) as store:
        assert store.meta(HOURLY)["hi"] == hour_start(to, ZoneInfo("UTC"))
    with running(log.url, folder) as exporter:
        exporter.wait_in_force()
        history = wait_read(exporter)
    totals = history.totals  # an hour may have ended since
    expected = {key: cell for key, cell in by_sql(log, ZoneInfo("UTC")).items() if totals.lo <= key[0] < totals.hi}
    assert {(s, *series): cell for s, hour in kept(folder).items() for series, cell in hour.cells.items()} == expected


@pytest.mark.parametrize(
    "damage",
    ["UPDATE hours SET series = substr(series, 2)", "UPDATE meta SET value = '{}' WHERE name = 'hourly'"],
    ids=["hours", "what is known"],
)
def test_a_damaged_history_is_read_again_and_counters_go_on(folder: Path, log: Log, damage: str) -> None:
    before = kept(folder)
    with sqlite3.connect(folder / "ledger.sqlite") as db:
        db.execute(damage)
    db.close()
    with running(log.url, folder) as exporter:
        wait_read(exporter)
    assert not list(folder.glob("*damaged*"))
    assert {start: hour.cells for start, hour in kept(folder).items() if start in before} == {
        start: hour.cells for start, hour in before.items()
    }
