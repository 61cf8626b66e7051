"""`operations` and `budget`: what they show of both layouts, as the configuration says."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.cli import main
from exporter.config import Config
from exporter.database.errors import NotVisible
from exporter.demo.schema import LAYOUTS, Layout
from exporter.errors import UserError
from exporter.pseudonyms import Pseudonyms
from exporter.reports.budgets import run_budget
from exporter.reports.calls import time_text
from exporter.reports.follow import follow
from exporter.reports.recent import Look, Wanted, read_calls, run_operations
from tests.support.harness import Log
from tests.support.programs import free_port

ANNA, BEN, CARL = (UUID(int=number) for number in (1, 2, 3))
KEY = b"a key of more than 16 bytes"


@pytest.fixture(params=LAYOUTS)
def log(request: pytest.FixtureRequest, embedded_database: str) -> Iterator[Log]:
    layout: Layout = request.param
    with Log(embedded_database, layout) as log:
        if layout == "status":
            for number, user in enumerate((ANNA, BEN, CARL)):
                log.execute("INSERT INTO users (id, email) VALUES (%s, %s)", user, f"{number}@example.com")
        yield log


def config_for(log: Log, **settings: Any) -> Config:
    return Config.model_validate({"database": {"url": log.url}, **settings})


def operations(log: Log, wanted: Wanted | None = None, **settings: Any) -> list[dict[str, Any]]:
    out = io.StringIO()
    assert run_operations(config_for(log, **settings), {}, wanted or Wanted(), out, as_json=True) == 0
    rows: list[dict[str, Any]] = json.loads(out.getvalue())
    return rows


def budget(log: Log, user: str | None = None, **settings: Any) -> dict[str, Any]:
    out = io.StringIO()
    assert run_budget(config_for(log, **settings), {}, user, out, as_json=True) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_the_newest_calls_come_first_with_all_that_is_known(log: Log) -> None:
    log.insert(30, operation="email-compose", cost="0.010001", user=ANNA, latency_ms=900)
    log.insert(20, operation="calendar-prep", cost=None, outcome="failed", message="no", latency_ms=None)
    newest, older = operations(log)
    ended: dict[str, Any] = {"success": True} if log.layout == "success" else {"status": "success"}
    assert {name: value for name, value in older.items() if name != log.time_column} == {
        "operation_id": "email-compose",
        "user_id": str(ANNA),
        "model_used": "deepseek-v3.2",
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_usd": 0.010001,
        "latency_ms": 900,
        "error_message": None,
        "outcome": "ok",
        "error_class": None,
        **ended,
    }
    failed = {"success": False} if log.layout == "success" else {"status": "failed"}
    assert newest | failed == newest
    assert (newest["operation_id"], newest["user_id"], newest["cost_usd"], newest["latency_ms"]) == (
        "calendar-prep",
        "unattributed",
        None,
        None,
    )
    assert newest[log.time_column].endswith("Z")
    assert newest[log.time_column] > older[log.time_column]


def test_calls_in_progress_are_neither_success_nor_failure(log: Log) -> None:
    if log.layout == "status":
        log.insert(5, outcome="running", cost=None, latency_ms=None)
        (row,) = operations(log)
        assert (row["status"], row["outcome"], row["error_class"]) == ("running", "running", None)


def test_only_what_is_wanted_is_shown(log: Log) -> None:
    log.insert(10, operation="one", model="gemini-2.0-flash", user=ANNA)
    log.insert(20, operation="two", model="gemini", user=BEN, outcome="failed", message="x")
    log.insert(30, operation="two", model="claude", user=BEN)
    log.insert(9 * 86_400, operation="old")
    aliases = {"models": {"aliases": {"gemini": "gemini-2.0-flash"}}}

    def names(**wanted: Any) -> list[str]:
        return [row["operation_id"] for row in operations(log, Wanted(**wanted), **aliases)]

    assert names() == ["one", "two", "two"]
    assert names(days=30) == ["one", "two", "two", "old"]
    assert names(limit=1) == ["one"]
    assert names(operation="two") == ["two", "two"]
    assert names(model="gemini-2.0-flash") == ["one", "two"]
    assert names(user=str(BEN)) == ["two", "two"]
    assert names(failed=True) == ["two"]
    assert names(operation="three") == []


def test_rows_that_no_writer_should_write_are_shown_too(log: Log) -> None:
    log.insert(10, operation="a%b\x1b[31m", model="m", cost="0.5")
    log.execute("UPDATE ai_operation_log SET cost_usd = 'NaN'")
    log.insert(5, operation="undated")
    log.execute("UPDATE ai_operation_log SET {time} = NULL WHERE operation_id = 'undated'")
    (row,) = operations(log)
    assert (row["operation_id"], row["cost_usd"]) == ("a%b [31m", None)


def test_rows_dated_beyond_the_calendar_are_shown_too(log: Log) -> None:
    times = ("294276-12-31 23:59:59", "10000-01-01", "9999-12-31 23:59:59.5", "infinity", "-infinity", "0044-03-15 BC")
    for number, moment in enumerate(times):
        log.insert(10, operation=f"o{number}")
        log.execute("UPDATE ai_operation_log SET {time} = %s WHERE operation_id = %s", moment, f"o{number}")
    log.insert(10, operation="now")
    *distant, now = operations(log)
    assert [row[log.time_column] for row in distant] == [
        "294276-12-31T23:59:59.000Z",
        "10000-01-01T00:00:00.000Z",
        "9999-12-31T23:59:59.500Z",
    ]
    assert now["operation_id"] == "now"
    out = io.StringIO()
    run_operations(config_for(log), {}, Wanted(), out, as_json=False)
    assert "294276-12-31 23:59:59" in out.getvalue()


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_within_the_calendar_are_written_as_ever(at: datetime) -> None:
    at = at.replace(microsecond=at.microsecond // 125_000 * 125_000)
    assert time_text(at.timestamp(), "T", "milliseconds") + "+00:00" == at.isoformat(timespec="milliseconds")
    assert time_text(at.timestamp(), " ", "seconds") == at.isoformat(" ", "seconds").removesuffix("+00:00")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (9_224_318_015_999, "294276-12-31 23:59:59"),
        (253_402_300_800, "10000-01-01 00:00:00"),
        (-62_135_596_801, "0001-12-31 23:59:59 BC"),
        (-63_549_360_000, "0045-03-15 00:00:00 BC"),
    ],
)
def test_years_beyond_the_calendar_are_written_as_postgresql_does(at: float, text: str) -> None:
    assert time_text(at, " ", "seconds") == text


def test_the_table_for_people(log: Log) -> None:
    out = io.StringIO()
    log.insert(10, cost="1234.5" if log.layout == "success" else "12.5", user=ANNA, latency_ms=1500)
    run_operations(config_for(log), {}, Wanted(), out, as_json=False)
    header, row = out.getvalue().splitlines()
    assert re.split("  +", header) == [
        *("time (UTC)", "operation", "user", "model", "tokens in", "tokens out", "cost", "latency ms", "outcome")
    ]
    assert (" $1,234.50 " if log.layout == "success" else " $12.50 ") in row
    assert "1,500" in row
    assert re.split("  +", row)[4:6] == ["100", "10"]
    out = io.StringIO()
    run_operations(config_for(log), {}, Wanted(failed=True), out, as_json=False)
    assert out.getvalue() == "no such calls\n"
    out = io.StringIO()
    run_operations(config_for(log, users={"mode": "off"}), {}, Wanted(), out, as_json=False)
    assert str(ANNA) not in out.getvalue()
    assert "user" not in out.getvalue()


def test_a_failed_call_is_told_with_its_class_and_its_message(log: Log) -> None:
    message = "429 Too Many\nRequests, " + "x" * 100
    log.insert(30, operation="one", outcome="failed", message=message)
    log.insert(20, operation="two", outcome="failed", message="\x1b[31mwhatever")
    log.insert(10, operation="three", outcome="failed", message=None)
    if log.layout == "status":
        log.insert(5, operation="four", outcome="timeout", message="gave up")
    rows = {row["operation_id"]: row for row in operations(log, Wanted(failed=True))}
    assert {name: row["error_class"] for name, row in rows.items() if name != "four"} == {
        "one": "rate_limit",
        "two": "other",
        "three": "other",
    }
    assert (rows["one"]["error_message"], rows["three"]["error_message"]) == (message, None)
    if log.layout == "status":
        assert rows["four"]["error_class"] == "timeout"
    out = io.StringIO()
    run_operations(config_for(log), {}, Wanted(), out, as_json=False)
    header, *shown = out.getvalue().splitlines()
    assert re.split("  +", header)[-2:] == ["class", "message"]
    assert len(shown) == len(rows)
    (first,) = (line for line in shown if " one " in line)
    assert "rate_limit" in first
    assert "429 Too Many Requests, xxx" in first
    assert first.endswith("…")


def test_since_is_a_duration_up_to_now(log: Log) -> None:
    log.insert(20, operation="new")
    log.insert(4000, operation="old")
    assert [row["operation_id"] for row in operations(log, Wanted(since=3600))] == ["new"]
    assert [row["operation_id"] for row in operations(log, Wanted(since=7200))] == ["new", "old"]


@pytest.mark.parametrize("as_json", [True, False])
def test_following_prints_each_call_once_and_again_when_it_has_changed(log: Log, as_json: bool) -> None:
    log.insert(20, operation="earlier")
    log.insert(10, operation="first")
    rounds = iter(range(6))

    def wait(_: float) -> None:
        match next(rounds):
            case 0:
                log.insert(1, operation="second", outcome="failed", message="429")
            case 2:
                log.execute("UPDATE ai_operation_log SET cost_usd = 1 WHERE operation_id = 'second'")
            case 3:
                log.insert(9, operation="late")
            case 4:
                raise KeyboardInterrupt
            case _:
                pass

    out = io.StringIO()
    assert follow(config_for(log), {}, Wanted(limit=1), out, as_json=as_json, wait=wait) == 0
    lines = out.getvalue().splitlines()
    if as_json:
        rows = [json.loads(line) for line in lines]
        assert [row["operation_id"] for row in rows] == ["first", "second", "second", "late"]
        assert [row["cost_usd"] for row in rows] == [0.010001, 0.010001, 1.0, 0.010001]
    else:
        header, *shown = lines
        assert header.split()[:3] == ["time", "(UTC)", "operation"]
        assert [line.split()[2] for line in shown] == ["first", "second", "second", "late"]
        assert header.index("model") == shown[0].index("deepseek")


def test_a_database_that_is_lost_while_following_is_said_once(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.insert(10, operation="first")
    rounds = iter(range(6))

    def wait(_: float) -> None:
        match next(rounds):
            case 0:
                log.execute("ALTER TABLE ai_operation_log RENAME TO elsewhere")
            case 2:
                log.execute("ALTER TABLE elsewhere RENAME TO ai_operation_log")
                log.insert(5, operation="second")
            case 3:
                raise KeyboardInterrupt
            case _:
                pass

    out = io.StringIO()
    assert follow(config_for(log), {}, Wanted(), out, as_json=True, wait=wait) == 0
    assert [json.loads(line)["operation_id"] for line in out.getvalue().splitlines()] == ["first", "second"]
    assert capsys.readouterr().err.count("trying again") == 1


@pytest.mark.parametrize("since", [1, 30, 60.5])
def test_following_since_a_moment_never_prints_what_is_before_it(log: Log, since: float) -> None:
    log.insert(100, operation="before")
    rounds = iter(range(3))

    def wait(_: float) -> None:
        match next(rounds):
            case 0:
                log.insert(0, operation="after")
            case 2:
                raise KeyboardInterrupt
            case _:
                pass

    out = io.StringIO()
    assert follow(config_for(log), {}, Wanted(since=since), out, as_json=True, wait=wait) == 0
    assert [json.loads(line)["operation_id"] for line in out.getvalue().splitlines()] == ["after"]


def test_calls_of_a_long_outage_are_printed_when_it_is_over(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.insert(7200, operation="first")
    rounds, looks = iter(range(3)), iter(range(3))

    def read(*arguments: Any) -> Look:
        look = read_calls(*arguments)
        # the first look was long ago, and since then each one that failed took its time
        return replace(look, clock=look.clock - 7000) if next(looks) == 0 else look

    def wait(_: float) -> None:
        match next(rounds):
            case 0:
                log.execute("ALTER TABLE ai_operation_log RENAME TO elsewhere")
            case 1:
                log.execute("ALTER TABLE elsewhere RENAME TO ai_operation_log")
                log.insert(6000, operation="second")
            case _:
                raise KeyboardInterrupt

    monkeypatch.setattr("exporter.reports.follow.read_calls", read)
    out = io.StringIO()
    assert follow(config_for(log), {}, Wanted(), out, as_json=True, wait=wait) == 0
    assert [json.loads(line)["operation_id"] for line in out.getvalue().splitlines()] == ["first", "second"]


def limits(log: Log, **by_user: tuple[UUID, str | None]) -> None:
    for user, limit in by_user.values():
        log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, %s)", user, limit)


def test_where_each_user_stands_today(log: Log) -> None:
    limits(log, anna=(ANNA, "1.00"), ben=(BEN, "10.00"))
    log.insert(0, cost="1.25", user=ANNA)
    log.insert(0, cost="0.5", user=CARL)
    log.insert(0, cost="0.1")
    log.insert(2 * 86_400, cost="9", user=ANNA)
    found = budget(log, daily_limit_usd=20)
    assert found["team"] == {
        "daily_limit_usd": 20.0,
        "spend_today_usd": 1.85,
        "remaining_usd": 18.15,
        "used_ratio": 0.0925,
        "state": "ok",
    }
    assert found["states"] == {"ok": 1, "warning": 0, "exceeded": 1, "unlimited": 1}
    rows = {row["user"]: row for row in found["users"]}
    assert list(rows) == [str(ANNA), str(CARL), "unattributed", str(BEN)]
    assert rows[str(ANNA)]["remaining_usd"] == -0.25
    assert rows[str(ANNA)]["state"] == "exceeded"
    assert (rows[str(BEN)]["remaining_usd"], rows[str(BEN)]["state"]) == (10.0, "ok")
    assert (rows[str(CARL)]["daily_limit_usd"], rows[str(CARL)]["remaining_usd"]) == (None, None)


def test_the_month_is_told_against_monthly_limits(log: Log) -> None:
    log.execute("ALTER TABLE cost_budgets ADD COLUMN IF NOT EXISTS monthly_limit_usd numeric(10, 2)")
    limits(log, anna=(ANNA, "1.00"), ben=(BEN, "10.00"))
    log.execute("UPDATE cost_budgets SET monthly_limit_usd = CASE user_id WHEN %s THEN 2 ELSE 10 END", ANNA)
    now = datetime.now(UTC)
    log.insert(cost="1.25", user=ANNA, at=now.replace(day=1, hour=0, minute=0, second=0))
    log.insert(0, cost="1", user=ANNA)
    log.insert(0, cost="8", user=BEN)
    log.insert(40 * 86_400, cost="90", user=BEN)
    out = io.StringIO()
    run_budget(config_for(log, monthly_limit_usd=100), {}, None, out, as_json=True, month=True)
    found = json.loads(out.getvalue())
    assert found["month"] == f"{now:%Y-%m}"
    assert found["team"] == {
        "monthly_limit_usd": 100.0,
        "spend_month_usd": 10.25,
        "remaining_usd": 89.75,
        "used_ratio": 0.1025,
        "state": "ok",
    }
    rows = {row["user"]: (row["spend_month_usd"], row["monthly_limit_usd"], row["state"]) for row in found["users"]}
    assert rows == {str(BEN): (8.0, 10.0, "warning"), str(ANNA): (2.25, 2.0, "exceeded")}
    out = io.StringIO()
    run_budget(config_for(log), {}, None, out, as_json=False, month=True, over=True)
    header, anna, _team, _, counts = out.getvalue().splitlines()
    assert re.split("  +", header) == ["user", "monthly limit", "spend this month", "remaining", "used", "state"]
    assert anna.split() == [str(ANNA), "$2.00", "$2.25", "-$0.25", "112%", "exceeded"]
    assert counts.endswith(f"{now:%Y-%m}, UTC")


def test_only_who_is_over_is_shown_where_asked(log: Log) -> None:
    limits(log, anna=(ANNA, "1.00"), ben=(BEN, "10.00"))
    log.insert(0, cost="1.25", user=ANNA)
    log.insert(0, cost="9", user=BEN)
    out = io.StringIO()
    run_budget(config_for(log), {}, None, out, as_json=True, over=True)
    found = json.loads(out.getvalue())
    assert [row["user"] for row in found["users"]] == [str(ANNA)]
    assert found["states"]["warning"] == 1
    with pytest.raises(UserError, match=r"--over: users\.mode is off"):
        run_budget(config_for(log, users={"mode": "off"}), {}, None, io.StringIO(), as_json=True, over=True)


def test_one_user_is_found_by_id_or_by_label_and_a_stranger_is_said(log: Log, tmp_path: Path) -> None:
    limits(log, anna=(ANNA, "1.00"), ben=(BEN, None))
    assert [row["user"] for row in budget(log, str(ANNA))["users"]] == [str(ANNA)]
    with pytest.raises(UserError, match="no user 'nobody' has a budget"):
        budget(log, "nobody")
    key = tmp_path / "key"
    key.write_bytes(KEY)
    hidden: dict[str, Any] = {"users": {"mode": "hmac", "hmac_key_file": str(key)}}
    label = Pseudonyms(KEY).of(str(ANNA))
    for name in (str(ANNA), label):
        assert [row["user"] for row in budget(log, name, **hidden)["users"]] == [label]
    log.insert(5, user=ANNA)
    assert [row["user_id"] for row in operations(log, **hidden)] == [label]


def test_users_that_are_off_are_nowhere(log: Log) -> None:
    limits(log, anna=(ANNA, "1.00"))
    log.insert(5, user=ANNA, cost="2")
    off: dict[str, Any] = {"users": {"mode": "off"}}
    found = budget(log, **off)
    assert found["users"] == []
    assert found["states"]["exceeded"] == 1
    assert "user_id" not in operations(log, **off)[0]
    with pytest.raises(UserError, match=r"users\.mode is off"):
        budget(log, str(ANNA), **off)
    with pytest.raises(UserError, match=r"users\.mode is off"):
        operations(log, Wanted(user=str(ANNA)), **off)


def test_the_table_of_budgets_ends_with_the_team(log: Log) -> None:
    limits(log, anna=(ANNA, "1.00"))
    log.insert(0, cost="0.9", user=ANNA)
    out = io.StringIO()
    run_budget(config_for(log), {}, None, out, as_json=False)
    header, anna, team, _, counts = out.getvalue().splitlines()
    assert header.split()[0] == "user"
    assert anna.split() == [str(ANNA), "$1.00", "$0.90", "$0.10", "90%", "warning"]
    assert team.split() == ["team", "-", "$0.90", "-", "-", "unlimited"]
    assert counts.startswith("users: 0 ok, 1 warning, 0 exceeded, 0 unlimited; ")
    out = io.StringIO()
    run_budget(config_for(log), {}, str(ANNA), out, as_json=False)
    assert len(out.getvalue().splitlines()) == 2


def test_hidden_rows_are_an_error_and_not_an_empty_table(log: Log) -> None:
    log.insert(5)
    log.execute("CREATE ROLE blind LOGIN PASSWORD 'of this test'")
    try:
        log.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO blind")
        login = "//blind:of%20this%20test@"
        url = log.url.split("//")[0] + login + log.url.rpartition("@")[2]
        config = Config.model_validate({"database": {"url": url}})
        with pytest.raises(NotVisible):
            run_operations(config, {}, Wanted(), io.StringIO(), as_json=True)
        with pytest.raises(NotVisible):
            run_budget(config, {}, None, io.StringIO(), as_json=True)
    finally:
        log.execute("DROP OWNED BY blind")
        log.execute("DROP ROLE blind")


def test_the_commands_take_their_words_from_the_command_line(
    log: Log, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", log.url)
    log.insert(5, operation="one", user=ANNA)
    log.insert(4, operation="two", user=ANNA)
    assert main(["operations", "--json", "--operation", "one"]) == 0
    assert [row["operation_id"] for row in json.loads(capsys.readouterr().out)] == ["one"]
    assert main(["budget", "--user", str(ANNA)]) == 0
    assert str(ANNA) in capsys.readouterr().out
    assert main(["budget", "--user", "nobody"]) == 1
    assert "no user 'nobody'" in capsys.readouterr().err
    places = [f"--{part}-url={nowhere()}" for part in ("exporter", "prometheus", "alertmanager", "grafana")]
    assert main(["verify", *places]) == 1
    said = capsys.readouterr().out
    assert "1 passed, 0 to look at, 4 failed" in said
    assert main(["demo-data"]) == 1
    assert "rows that demo-data did not write" in capsys.readouterr().err


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"
