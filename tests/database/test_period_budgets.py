"""Budgets with a period: what they show is the plain SQL sum since the period began, and none is read as daily."""

import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exporter.config import Config
from exporter.demo.profiles import USERS
from exporter.preflight import run_check
from exporter.reports.budgets import run_budget
from exporter.state.store import FILE_NAME
from tests.support.harness import Log, Running, config_for, fixed_layout, look_at_once, running, wait_for
from tests.support.scraped import Scraped

layout = fixed_layout("success")

ANN, BOB, CID, DAN = (str(user) for user in USERS[:4])
TABLE = "limits"
COLUMNS = {"user": "user_id", "limit": "max_budget", "period": "budget_duration", "reset_at": "budget_reset_at"}
SETTINGS: dict[str, Any] = {
    "tables": {"budgets": TABLE},
    "columns": {"budgets": {**COLUMNS, "soft_limit": "soft_budget"}},
    "history_weeks": 0,
}


def now() -> datetime:
    return datetime.now(UTC)


def midnight(days: int = 0) -> datetime:
    return now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def limits(log: Log, *rows: tuple[str, float | None, str | None, datetime | None, float | None]) -> None:
    """A table as LiteLLM has it."""
    log.execute(
        f"CREATE TABLE {TABLE} (user_id text, max_budget float8, budget_duration text, budget_reset_at timestamp(3),"
        " soft_budget float8)"
    )
    for row in rows:
        add(log, *row)


def add(
    log: Log, user: str, limit: float | None, period: str | None, reset: datetime | None, soft: float | None = None
) -> None:
    at = None if reset is None else reset.astimezone(UTC).replace(tzinfo=None)
    log.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s, %s)", user, limit, period, at, soft)


def fill(log: Log, days: int, per_day: int = 20, seed: int = 1) -> None:
    rng = Random(seed)
    for _ in range(days * per_day):
        log.insert(rng.uniform(0, days * 86_400), cost=f"{rng.uniform(0, 1):.6f}", user=rng.choice([*USERS[:4], None]))


def spent_since(log: Log, start: datetime, user: str | None) -> int:
    """Micro-dollars of a user, or of all, since a moment."""
    ((units,),) = log.execute(
        "SELECT round(coalesce(sum(cost_usd), 0) * 1000000) FROM ai_operation_log"
        " WHERE {time} >= %s AND (%s::text IS NULL OR user_id::text = %s)",
        start.astimezone(UTC).replace(tzinfo=None),
        user,
        user,
    )
    return int(units)


def shown(scraped: Scraped, metric: str, user: str | None, period: str) -> float | None:
    labels = frozenset({"user": user or "", "group": "", "period": period}.items())
    return scraped.get((metric, labels))


def spend(scraped: Scraped, user: str | None, period: str) -> int | None:
    found = shown(scraped, "ai_budget_spend_usd", user, period)
    return None if found is None else round(found * 1e6)


def wait_for_spend(exporter: Running, expected: dict[tuple[str | None, str], int]) -> Scraped:
    """Scrape until each budget has its spend; fails with what is shown."""
    seen = exporter.scrape()

    def done() -> bool:
        nonlocal seen
        seen = exporter.scrape()
        return all(spend(seen, *key) == units for key, units in expected.items())

    wait_for(done, lambda: str({key: (spend(seen, *key), units) for key, units in expected.items()}))
    return seen


def test_every_period_shows_what_sql_sums_since_it_began(log: Log, tmp_path: Path) -> None:
    fill(log, 40)
    log.insert(1, user=USERS[0])
    in_nine_days = (now() + timedelta(days=9, hours=1)).replace(microsecond=0)
    an_hour_ago = (now() - timedelta(hours=1)).replace(microsecond=0)
    first = midnight().replace(day=1)
    next_month = (first + timedelta(days=32)).replace(day=1)
    limits(
        log,
        (ANN, 100, "30d", in_nine_days, 80),
        (BOB, 5, "7d", midnight(1), None),
        (CID, 1000, "30d", next_month, None),
        (DAN, 7, "week", None, None),
        (DAN, 9, "1mo", None, None),
        # has begun today, in the midst of the day
        (ANN, 3, "2d", an_hour_ago, None),
        # is to begin long after the present period has
        (BOB, 50, "10d", midnight(14), None),
    )
    monday = midnight() - timedelta(days=midnight().weekday())
    begun: dict[tuple[str | None, str], datetime] = {
        (ANN, "30d"): in_nine_days - timedelta(days=30),
        (BOB, "7d"): midnight(-6),
        (CID, "30d"): first,
        (DAN, "week"): monday,
        (DAN, "month"): first,
        (ANN, "2d"): an_hour_ago,
        (BOB, "10d"): midnight(-6),
    }
    with running(log.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        expected = {key: spent_since(log, start, key[0]) for key, start in begun.items()}
        seen = wait_for_spend(exporter, expected)
        assert shown(seen, "ai_budget_limit_usd", ANN, "30d") == 100
        assert shown(seen, "ai_budget_soft_limit_usd", ANN, "30d") == 80
        assert shown(seen, "ai_budget_soft_limit_usd", BOB, "7d") is None
        resets = {key: shown(seen, "ai_budget_reset_timestamp_seconds", *key) for key in begun}
        assert resets[ANN, "30d"] == in_nine_days.timestamp()
        assert resets[ANN, "2d"] == (an_hour_ago + timedelta(days=2)).timestamp()
        assert resets[BOB, "10d"] == midnight(4).timestamp()
        assert resets[CID, "30d"] == next_month.timestamp()
        assert not seen.has("ai_user_daily_limit_usd")
        # what comes now is in each of them at once
        log.insert(1, cost="0.5", user=USERS[0])
        after = exporter.scrape()
        for period in ("30d", "2d"):
            assert spend(after, ANN, period) == expected[ANN, period] + 500_000
        assert not exporter.exporter.status()[-1][0].startswith("Problem"), exporter.exporter.status()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_a_week_and_a_month_begin_in_the_zone_of_the_budgets(log: Log, tmp_path: Path, zone: str) -> None:
    fill(log, 35)
    limits(log, (ANN, 10, "week", None, None), (BOB, 10, "month", None, None))
    with running(log.url, tmp_path, budget_time_zone=zone, **SETTINGS) as exporter:
        exporter.wait_ready()
        begun = {}
        for key, unit in (((ANN, "week"), "week"), ((BOB, "month"), "month")):
            ((start,),) = log.execute("SELECT date_trunc(%s, now(), %s)", unit, zone)
            begun[key] = spent_since(log, start, key[0])
        wait_for_spend(exporter, begun)  # type: ignore[arg-type]


def test_a_day_stays_a_daily_limit_and_what_is_not_understood_is_none_at_all(log: Log, tmp_path: Path) -> None:
    log.insert(1, cost="2", user=USERS[0])
    limits(
        log,
        (ANN, 10, "1d", midnight(1), None),
        (BOB, 100, "12h", midnight(1), None),
        (CID, 100, None, midnight(1), None),
        (DAN, 100, "30d", None, None),
        ("eve", 100, "365d", midnight(1), None),
        ("fay", 100, "7d", datetime(9999, 1, 1, tzinfo=UTC), None),
        ("gus", None, None, None, None),
    )
    log.execute(f"UPDATE {TABLE} SET budget_reset_at = 'infinity' WHERE user_id = 'fay'")
    with running(log.url, tmp_path, **SETTINGS) as exporter:
        seen = exporter.wait_ready().wait_up()
        assert seen.having("ai_user_daily_limit_usd") == {
            ("ai_user_daily_limit_usd", frozenset({("user", ANN)})): 10,
        }
        assert seen.one("ai_budget_users", state="ok") == 1
        assert seen.total("ai_budget_users") == 1
        for reason, count in {"unknown": 1, "null": 1, "no_reset": 2, "too_long": 1, "too_many": 0}.items():
            assert seen.one("ai_rows_skipped_total", field="period", reason=reason) == count
        for name in ("limit_usd", "spend_usd", "reset_timestamp_seconds"):
            assert not seen.has(f"ai_budget_{name}")
    out = io.StringIO()
    run_check(config_for(log.url, tmp_path, SETTINGS), {}, out)
    for said in (
        "no period: " + CID,
        f"a period that is not understood: {BOB} ('12h')",
        "a period that is too long: eve ('365d')",
        f"a period without the time at which it ends: {DAN} ('30d'), fay ('7d')",
        "none is read as a daily one",
    ):
        assert said in out.getvalue()


def test_check_says_what_is_read_for_the_periods(log: Log, tmp_path: Path) -> None:
    log.insert(1)
    limits(
        log, (ANN, 10, "30d", midnight(3), None), (BOB, 10, "7d", midnight(3), None), (CID, 1, "7d", midnight(2), None)
    )
    out = io.StringIO()
    run_check(config_for(log.url, tmp_path, SETTINGS), {}, out)
    assert "with a period: 1 of 30d, 2 of 7d, for which up to 30 days of the log are read once" in out.getvalue()


def test_a_table_without_periods_has_daily_limits_as_ever(log: Log, tmp_path: Path) -> None:
    log.execute("INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, 10)", USERS[0])
    log.insert(1, user=USERS[0])
    with running(log.url, tmp_path) as exporter:
        seen = exporter.wait_ready().wait_up()
        assert seen.one("ai_user_daily_limit_usd", user=ANN) == 10
        assert not [key for key in seen if key[0].startswith("ai_budget_") and "period" in dict(key[1])]


def test_the_configuration_sets_limits_of_the_team_and_of_users(log: Log, tmp_path: Path) -> None:
    fill(log, 20)
    reset = (now() + timedelta(days=2, hours=5)).replace(microsecond=0)
    budgets = [
        {"limit_usd": 500, "period": "week"},
        {"limit_usd": 900, "soft_limit_usd": 700, "period": "14d", "reset_at": reset.isoformat()},
        {"user": ANN, "limit_usd": 1, "period": "7d", "reset_at": reset.isoformat()},
    ]
    with running(log.url, tmp_path, budgets=budgets, tables={"budgets": None}) as exporter:
        exporter.wait_ready()
        monday = midnight() - timedelta(days=midnight().weekday())
        seen = wait_for_spend(
            exporter,
            {
                (None, "week"): spent_since(log, monday, None),
                (None, "14d"): spent_since(log, reset - timedelta(days=14), None),
                (ANN, "7d"): spent_since(log, reset - timedelta(days=7), ANN),
            },
        )
        assert shown(seen, "ai_budget_soft_limit_usd", None, "14d") == 700
        assert seen.one("ai_budget_period_users", period="7d", state="exceeded") == 1


def test_one_period_can_be_that_of_all_rows(log: Log, tmp_path: Path) -> None:
    fill(log, 10)
    limits(log, (ANN, 10, "30d", None, None))
    columns = {"user": "user_id", "limit": "max_budget", "period": "='month'"}
    with running(log.url, tmp_path, tables={"budgets": TABLE}, columns={"budgets": columns}) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, {(ANN, "month"): spent_since(log, midnight().replace(day=1), ANN)})


def test_a_restart_goes_on_from_what_was_read(log: Log, tmp_path: Path) -> None:
    fill(log, 30)
    reset = midnight(2) + timedelta(hours=7, minutes=13)
    limits(log, (ANN, 100, "29d", reset, None))
    start = reset - timedelta(days=29)
    with running(log.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        expected = {(ANN, "29d"): spent_since(log, start, ANN)}
        wait_for_spend(exporter, expected)  # type: ignore[arg-type]
    # a retention that is shorter than the period
    log.execute("DELETE FROM ai_operation_log WHERE {time} < now() AT TIME ZONE 'UTC' - interval '5 days'")
    log.insert(1, cost="0.25", user=USERS[0])
    with running(log.url, tmp_path, after=exporter, **SETTINGS) as again:
        again.wait_ready()
        wait_for_spend(again, {(ANN, "29d"): expected[ANN, "29d"] + 250_000})
        # a budget that comes later has what the log still has
        add(log, BOB, 5, "3d", midnight(1))
        wait_for_spend(again, {(BOB, "3d"): spent_since(log, midnight(-2), BOB)})


@pytest.mark.parametrize("hours", [26, 40, 47])
def test_late_rows_of_the_last_days_are_in_it(
    log: Log, tmp_path: Path, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_once(monkeypatch)
    fill(log, 12)
    limits(log, (ANN, 100, "10d", midnight(1) + timedelta(hours=3), None))
    start = midnight(1) + timedelta(hours=3) - timedelta(days=10)
    with running(log.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, {(ANN, "10d"): spent_since(log, start, ANN)})
        log.insert(hours * 3600, cost="0.75", user=USERS[0])
        wait_for_spend(exporter, {(ANN, "10d"): spent_since(log, start, ANN)})
    with running(log.url, tmp_path, after=exporter, **SETTINGS) as again:
        again.wait_ready()
        # and rows that came while no process ran
        log.insert(hours * 3600, cost="0.5", user=USERS[0])
        wait_for_spend(again, {(ANN, "10d"): spent_since(log, start, ANN)})


def refund(log: Log, days: int, number: int, seed: int = 5) -> None:
    rng = Random(seed)
    for _ in range(number):
        log.insert(rng.uniform(0, days * 86_400), cost=f"-{rng.uniform(0, 4):.6f}", user=rng.choice([*USERS[:4], None]))


def test_refunds_are_taken_off_the_spend_of_every_period(log: Log, tmp_path: Path) -> None:
    fill(log, 12)
    refund(log, 12, 90)
    reset = midnight(1) + timedelta(hours=3)
    limits(log, (ANN, 1, "10d", reset, None), (BOB, 1, "2d", midnight(1), None))
    budgets = [
        {"limit_usd": 1, "period": "10d", "reset_at": reset.isoformat()},
        {"limit_usd": 1, "period": "1w", "reset_at": midnight(1).isoformat()},
    ]
    begun: dict[tuple[str | None, str], datetime] = {
        (None, "10d"): reset - timedelta(days=10),
        (None, "7d"): midnight(-6),
        (ANN, "10d"): reset - timedelta(days=10),
        (BOB, "2d"): midnight(-1),
    }
    settings = {**SETTINGS, "budgets": budgets}
    with running(log.url, tmp_path, **settings) as exporter:
        exporter.wait_ready()
        expected = {key: spent_since(log, start, key[0]) for key, start in begun.items()}
        assert expected[None, "10d"] < 0
        wait_for_spend(exporter, expected)
    told_spend = {
        (each["user"], each["period"]): round(each["spend_usd"] * 1e6)
        for each in told(config_for(log.url, tmp_path, settings))["budgets"]
    }
    assert told_spend == expected


@pytest.mark.parametrize(("hours", "cost"), [(26, "-0.75"), (40, "-0.75"), (47, "-3")])
def test_late_refunds_of_the_last_days_are_in_it(
    log: Log, tmp_path: Path, hours: int, cost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_once(monkeypatch)
    fill(log, 4)
    reset = midnight(1) + timedelta(hours=3)
    start = reset - timedelta(days=4)
    limits(log, (ANN, 100, "4d", reset, None))
    budgets = [{"limit_usd": 1, "period": "4d", "reset_at": reset.isoformat()}]
    with running(log.url, tmp_path, **SETTINGS, budgets=budgets) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, {(ANN, "4d"): spent_since(log, start, ANN)})
        log.insert(hours * 3600, cost=cost, user=USERS[0])
        wait_for_spend(exporter, {(user, "4d"): spent_since(log, start, user) for user in (ANN, None)})


def test_a_budget_that_ends_leaves_no_series_and_nothing_in_the_state(log: Log, tmp_path: Path) -> None:
    fill(log, 10)
    limits(log, (ANN, 100, "8d", midnight(1), None))
    with running(log.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, {(ANN, "8d"): spent_since(log, midnight(-7), ANN)})
        assert stretches(tmp_path) == 7
        log.execute(f"DELETE FROM {TABLE}")
        wait_for(lambda: not exporter.scrape().has("ai_budget_spend_usd"), lambda: "still shown")
        wait_for(lambda: stretches(tmp_path) == 0, lambda: f"{stretches(tmp_path)} stretches are still kept")


def stretches(folder: Path) -> int:
    with sqlite3.connect(folder / FILE_NAME) as db:
        (count,) = db.execute("SELECT count(*) FROM past_spend").fetchone()
    return int(count)


def test_a_state_of_format_4_is_carried_over(log: Log, tmp_path: Path) -> None:
    log.insert(1, cost="1", user=USERS[0])
    with running(log.url, tmp_path, history_weeks=0) as before:
        before.wait_ready().wait_up()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("DROP TABLE past_spend")
        db.execute("PRAGMA user_version = 4")
    fill(log, 10)
    limits(log, (ANN, 100, "8d", midnight(1), None))
    with running(log.url, tmp_path, after=before, **SETTINGS) as exporter:
        exporter.wait_ready()
        seen = wait_for_spend(exporter, {(ANN, "8d"): spent_since(log, midnight(-7), ANN)})
        assert seen.total("ai_operations_total") > 0


@pytest.mark.parametrize("mode", ["off", "hmac"])
def test_hidden_users_have_budgets_and_no_id_is_kept(log: Log, tmp_path: Path, mode: str) -> None:
    fill(log, 10)
    limits(log, (ANN, 0.01, "8d", midnight(1), None), (BOB, 10_000, "8d", midnight(1), None))
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    folder = tmp_path / "state"
    with running(log.url, folder, **SETTINGS) as open_one:
        open_one.wait_ready()
        wait_for_spend(open_one, {(ANN, "8d"): spent_since(log, midnight(-7), ANN)})
    users = {"mode": mode} if mode == "off" else {"mode": mode, "hmac_key_file": str(key)}
    with running(log.url, folder, after=open_one, users=users, **SETTINGS) as exporter:
        exporter.wait_ready()
        counts: dict[str, float] = {}

        def counted() -> bool:
            seen = exporter.scrape()
            counts.update(
                {dict(labels)["state"]: n for (_, labels), n in seen.having("ai_budget_period_users").items()}
            )
            return counts.get("exceeded") == 1 and counts.get("ok") == 1

        wait_for(counted, lambda: str(counts))
        seen = exporter.scrape()
        assert ANN not in seen.labels("ai_budget_spend_usd", "user") if mode == "hmac" else True
        assert seen.has("ai_budget_spend_usd") == (mode == "hmac")
    with sqlite3.connect(folder / FILE_NAME) as db:
        kept = " ".join(str(row) for row in db.execute("SELECT body FROM past_spend").fetchall())
    assert ANN not in kept


def test_the_command_tells_period_spend_limit_and_reset(log: Log, tmp_path: Path) -> None:
    fill(log, 20)
    reset = (now() + timedelta(days=3, hours=2)).replace(microsecond=0)
    limits(log, (ANN, 1, "14d", reset, 0.5), (BOB, 500, "month", None, None))
    config = config_for(log.url, tmp_path, {**SETTINGS, "budgets": [{"limit_usd": 10_000, "period": "week"}]})
    found = {(each["user"], each["period"]): each for each in told(config)["budgets"]}
    assert found.keys() == {(None, "week"), (ANN, "14d"), (BOB, "month")}
    ann = found[ANN, "14d"]
    spent = spent_since(log, reset - timedelta(days=14), ANN) / 1e6
    assert (ann["limit_usd"], ann["soft_limit_usd"], ann["state"]) == (1, 0.5, "exceeded")
    assert ann["spend_usd"] == pytest.approx(spent, abs=1e-9)
    assert ann["remaining_usd"] == pytest.approx(1 - spent, abs=1e-9)
    assert datetime.fromisoformat(ann["resets"]) == reset
    assert datetime.fromisoformat(ann["starts"]) == reset - timedelta(days=14)
    assert {key for key, each in found.items() if each["state"] == "exceeded"} == {(ANN, "14d")}
    assert [each["user"] for each in told(config, over=True)["budgets"]] == [ANN]
    assert [each["user"] for each in told(config, user=BOB)["budgets"]] == [BOB]
    out = io.StringIO()
    run_budget(config, {}, None, out, as_json=False)
    table = out.getvalue()
    assert "resets" in table
    assert reset.strftime("%Y-%m-%d %H:%M") in table
    assert "14d" in table


def told(config: Config, user: str | None = None, *, over: bool = False) -> dict[str, Any]:
    out = io.StringIO()
    assert run_budget(config, {}, user, out, as_json=True, over=over) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found
