"""Groups' budgets with a period: each shows the plain SQL sum since it began, and none is read as daily."""

import io
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exporter.config import Config
from exporter.demo.profiles import USERS
from exporter.ledger.spenders import group_key
from exporter.preflight import run_check
from exporter.reports.budgets import run_budget
from exporter.state.store import FILE_NAME
from tests.support.harness import Log, Running, config_for, fixed_layout, look_at_once, running, wait_for
from tests.support.scraped import Scraped

layout = fixed_layout("success")

USER = str(USERS[0])
RED, BLUE = "red", "blue"
TABLE = "teams"
COLUMNS = {
    "group": "team_id",
    "limit": "max_budget",
    "soft_limit": "soft_budget",
    "period": "budget_duration",
    "reset_at": "budget_reset_at",
}
SETTINGS: dict[str, Any] = {
    "tables": {"budgets": None, "group_budgets": TABLE},
    "columns": {"log": {"group": "team"}, "group_budgets": COLUMNS},
    "history_weeks": 0,
}
Whose = tuple[str, str]
"""A user or a group, as the log has them: one of the two is empty, of the team both are."""


def now() -> datetime:
    return datetime.now(UTC)


def midnight(days: int = 0) -> datetime:
    return now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


@pytest.fixture
def teams(log: Log) -> Log:
    """A log with a group of each call, and a table of limits as LiteLLM has it."""
    log.execute("ALTER TABLE ai_operation_log ADD COLUMN team text")
    log.execute(
        f"CREATE TABLE {TABLE} (team_id text, max_budget float8, soft_budget float8, budget_duration text,"
        " budget_reset_at timestamp(3))"
    )
    return log


def insert(log: Log, group: str | None, cost: str, ago: float = 1, user: Any = None) -> None:
    row = log.insert(ago, cost=cost, user=user)
    log.execute("UPDATE ai_operation_log SET team = %s WHERE id = %s", group, row)


def fill(log: Log, days: int, per_day: int = 12, seed: int = 1) -> None:
    rng = Random(seed)
    for _ in range(days * per_day):
        log.insert(rng.uniform(0, days * 86_400), cost=f"{rng.uniform(0, 1):.6f}", user=rng.choice([*USERS[:3], None]))
    # a user has the name of a group
    log.execute("UPDATE ai_operation_log SET team = (ARRAY['red', 'blue', NULL])[1 + floor(3 * random())::int]")
    log.execute("UPDATE ai_operation_log SET team = user_id::text WHERE random() < 0.2")


def limit(
    log: Log, group: str, most: float | None, period: str | None, reset: datetime | None, soft: float | None = None
) -> None:
    at = None if reset is None else reset.astimezone(UTC).replace(tzinfo=None)
    log.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s, %s)", group, most, soft, period, at)


def spent_since(log: Log, start: datetime, whose: Whose) -> int:
    """Micro-dollars since a moment."""
    user, group = whose
    ((units,),) = log.execute(
        "SELECT round(coalesce(sum(cost_usd), 0) * 1000000) FROM ai_operation_log WHERE {time} >= %s"
        " AND (%s = '' OR user_id::text = %s) AND (%s = '' OR team = %s)",
        start.astimezone(UTC).replace(tzinfo=None),
        *(user, user, group, group),
    )
    return int(units)


def shown(scraped: Scraped, metric: str, whose: Whose, period: str) -> float | None:
    user, group = whose
    return scraped.get((metric, frozenset({"user": user, "group": group, "period": period}.items())))


def wait_for_spend(exporter: Running, log: Log, begun: Mapping[tuple[Whose, str], datetime]) -> Scraped:
    """Scrape until each budget shows what SQL sums since its period began."""
    expected = {key: spent_since(log, start, key[0]) for key, start in begun.items()}
    return wait_for_units(exporter, expected)


def wait_for_units(exporter: Running, expected: Mapping[tuple[Whose, str], int]) -> Scraped:
    seen = exporter.scrape()

    def found() -> dict[tuple[Whose, str], int | None]:
        spends = {key: shown(seen, "ai_budget_spend_usd", *key) for key in expected}
        return {key: None if spend is None else round(1e6 * spend) for key, spend in spends.items()}

    def done() -> bool:
        nonlocal seen
        seen = exporter.scrape()
        return found() == expected

    wait_for(done, lambda: f"{found()} and not {expected}")
    return seen


def test_every_period_of_a_group_shows_what_sql_sums_since_it_began(teams: Log, tmp_path: Path) -> None:
    fill(teams, 40)
    # who has spent nothing is not shown
    insert(teams, USER, "0.25")
    in_nine_days = (now() + timedelta(days=9, hours=1)).replace(microsecond=0)
    an_hour_ago = (now() - timedelta(hours=1)).replace(microsecond=0)
    limit(teams, RED, 100, "30d", in_nine_days, 80)
    limit(teams, RED, 9, "1mo", None)
    limit(teams, BLUE, 5, "7d", midnight(1))
    # has begun today, in the midst of the day
    limit(teams, BLUE, None, "2d", an_hour_ago, 3)
    # a group of the name of a user
    limit(teams, USER, 7, "week", None)
    limit(teams, "nobody-yet", 7, "week", None)
    monday = midnight() - timedelta(days=midnight().weekday())
    begun: dict[tuple[Whose, str], datetime] = {
        (("", RED), "30d"): in_nine_days - timedelta(days=30),
        (("", RED), "month"): midnight().replace(day=1),
        (("", BLUE), "7d"): midnight(-6),
        (("", BLUE), "2d"): an_hour_ago,
        (("", USER), "week"): monday,
    }
    with running(teams.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        seen = wait_for_spend(exporter, teams, begun)
        assert shown(seen, "ai_budget_limit_usd", ("", RED), "30d") == 100
        assert shown(seen, "ai_budget_soft_limit_usd", ("", RED), "30d") == 80
        assert shown(seen, "ai_budget_limit_usd", ("", BLUE), "2d") is None
        assert shown(seen, "ai_budget_soft_limit_usd", ("", BLUE), "2d") == 3
        resets = {period: shown(seen, "ai_budget_reset_timestamp_seconds", ("", RED), period) for period in ("30d",)}
        assert resets == {"30d": in_nine_days.timestamp()}
        # none of them is a daily limit, and users have none
        assert not seen.has("ai_group_daily_limit_usd")
        assert not seen.has("ai_budget_groups")
        assert not seen.has("ai_budget_period_users")
        assert seen.labels("ai_budget_spend_usd", "user") == [""]
        # what comes now is in each of them at once
        before = {period: spent_since(teams, begun[("", BLUE), period], ("", BLUE)) for period in ("7d", "2d")}
        insert(teams, BLUE, "0.5")
        after = exporter.scrape()
        for period, units in before.items():
            spend = shown(after, "ai_budget_spend_usd", ("", BLUE), period)
            assert spend is not None
            assert round(1e6 * spend) == units + 500_000
        assert not exporter.exporter.status()[-1][0].startswith("Problem"), exporter.exporter.status()


def test_a_day_stays_a_daily_limit_and_what_is_not_understood_is_none_at_all(teams: Log, tmp_path: Path) -> None:
    for group in (RED, BLUE):
        insert(teams, group, "2")
    limit(teams, RED, 10, "1d", midnight(1))
    limit(teams, BLUE, 100, "30d", None)
    limit(teams, "hours", 100, "12h", midnight(1))
    limit(teams, "for-good", 100, None, midnight(1))
    limit(teams, "year", 100, "365d", midnight(1))
    limit(teams, "none", None, None, None)
    with running(teams.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        wait_for(lambda: exporter.scrape().has("ai_group_daily_limit_usd"), lambda: "no daily limit")
        seen = exporter.scrape()
        assert seen.having("ai_group_daily_limit_usd") == {
            ("ai_group_daily_limit_usd", frozenset({("group", RED)})): 10,
        }
        for reason, count in {"unknown": 1, "null": 1, "no_reset": 1, "too_long": 1, "too_many": 0}.items():
            assert seen.one("ai_rows_skipped_total", field="period", reason=reason) == count
        for name in ("limit_usd", "spend_usd", "reset_timestamp_seconds"):
            assert not seen.has(f"ai_budget_{name}")
    out = io.StringIO()
    run_check(config_for(teams.url, tmp_path, SETTINGS), {}, out)
    for said in (
        "no period: for-good",
        "a period that is not understood: hours ('12h')",
        "a period that is too long: year ('365d')",
        "a period without the time at which it ends: blue ('30d')",
        "until then these groups have no limit of a period, and none is read as a daily one",
    ):
        assert said in out.getvalue()


def test_the_configuration_sets_limits_of_groups_beside_those_of_others(teams: Log, tmp_path: Path) -> None:
    fill(teams, 20)
    reset = (now() + timedelta(days=2, hours=5)).replace(microsecond=0)
    budgets = [
        {"limit_usd": 500, "period": "14d", "reset_at": reset.isoformat()},
        {"user": USER, "limit_usd": 1, "period": "14d", "reset_at": reset.isoformat()},
        {"group": USER, "limit_usd": 2, "period": "14d", "reset_at": reset.isoformat()},
        {"group": RED, "limit_usd": 50, "soft_limit_usd": 40, "period": "month"},
    ]
    # of a group's two limits for a period the smaller counts
    limit(teams, RED, 30, "month", None)
    start = reset - timedelta(days=14)
    with running(teams.url, tmp_path, budgets=budgets, **SETTINGS) as exporter:
        exporter.wait_ready()
        seen = wait_for_spend(
            exporter,
            teams,
            {
                (("", ""), "14d"): start,
                ((USER, ""), "14d"): start,
                (("", USER), "14d"): start,
                (("", RED), "month"): midnight().replace(day=1),
            },
        )
        limits = {key: shown(seen, "ai_budget_limit_usd", *key) for key in ((("", USER), "14d"), (("", RED), "month"))}
        assert list(limits.values()) == [2, 30]
        assert seen.total("ai_budget_period_users") == 1


def test_a_restart_goes_on_from_what_was_read(teams: Log, tmp_path: Path) -> None:
    fill(teams, 30)
    reset = midnight(2) + timedelta(hours=7, minutes=13)
    limit(teams, RED, 100, "29d", reset)
    start = reset - timedelta(days=29)
    with running(teams.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        expected = spent_since(teams, start, ("", RED))
        wait_for_units(exporter, {(("", RED), "29d"): expected})
    # a retention that is shorter than the period
    teams.execute("DELETE FROM ai_operation_log WHERE {time} < now() AT TIME ZONE 'UTC' - interval '5 days'")
    insert(teams, RED, "0.25")
    with running(teams.url, tmp_path, after=exporter, **SETTINGS) as again:
        again.wait_ready()
        wait_for_units(again, {(("", RED), "29d"): expected + 250_000})
        # a budget that comes later has what the log still has
        limit(teams, BLUE, 5, "3d", midnight(1))
        wait_for_spend(again, teams, {(("", BLUE), "3d"): midnight(-2)})


def test_past_spend_that_was_kept_without_groups_says_nothing_of_them(teams: Log, tmp_path: Path) -> None:
    fill(teams, 12)
    reset = midnight(1) + timedelta(hours=5)
    begun = reset - timedelta(days=10)
    of_user = {"user": USER, "limit_usd": 50, "period": "10d", "reset_at": reset.isoformat()}
    of_group = {"group": RED, "limit_usd": 50, "period": "10d", "reset_at": reset.isoformat()}
    plain: dict[str, Any] = {"tables": {"budgets": None}, "history_weeks": 0}
    with running(teams.url, tmp_path, budgets=[of_user], **plain) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, teams, {((USER, ""), "10d"): begun})
    # first the column alone, then a budget, then the same by another column
    named = {**plain, "columns": {"log": {"group": "team"}}}
    with running(teams.url, tmp_path, after=exporter, budgets=[of_user], **named) as with_column:
        with_column.wait_ready()
        wait_for_spend(with_column, teams, {((USER, ""), "10d"): begun})
        assert not groups_kept(tmp_path)
    both = {((USER, ""), "10d"): begun, (("", RED), "10d"): begun}
    with running(teams.url, tmp_path, after=with_column, budgets=[of_user, of_group], **named) as with_budget:
        with_budget.wait_ready()
        wait_for_spend(with_budget, teams, both)
        assert groups_kept(tmp_path)
    # what the log has lost since is not lost: another column tells groups, and users stay as they are
    whole = spent_since(teams, begun, (USER, ""))
    teams.execute("DELETE FROM ai_operation_log WHERE {time} < now() AT TIME ZONE 'UTC' - interval '5 days'")
    teams.execute("ALTER TABLE ai_operation_log ADD COLUMN project text")
    teams.execute("UPDATE ai_operation_log SET project = team, team = NULL WHERE team = 'red'")
    teams.execute("UPDATE ai_operation_log SET team = 'red', project = 'blue' WHERE team = 'blue'")
    other = {**plain, "columns": {"log": {"group": "project"}}}
    with running(teams.url, tmp_path, after=with_budget, budgets=[of_user, of_group], **other) as by_project:
        by_project.wait_ready()
        ((units,),) = teams.execute(
            "SELECT round(sum(cost_usd) * 1000000) FROM ai_operation_log WHERE {time} >= %s AND project = 'red'",
            begun.replace(tzinfo=None),
        )
        wait_for_units(by_project, {((USER, ""), "10d"): whole, (("", RED), "10d"): int(units)})


def groups_kept(folder: Path) -> bool:
    """Whether the state has past spend of the group."""
    with sqlite3.connect(folder / FILE_NAME) as db:
        bodies = [json.loads(body) for (body,) in db.execute("SELECT body FROM past_spend").fetchall()]
    return any(group_key(RED) in units for _, units, *_ in bodies)


@pytest.mark.parametrize("hours", [26, 47])
def test_late_rows_of_the_last_days_are_in_it(
    teams: Log, tmp_path: Path, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_once(monkeypatch)
    fill(teams, 12)
    reset = midnight(1) + timedelta(hours=3)
    limit(teams, RED, 100, "10d", reset)
    begun = {(("", RED), "10d"): reset - timedelta(days=10)}
    with running(teams.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, teams, begun)
        insert(teams, RED, "0.75", hours * 3600)
        wait_for_spend(exporter, teams, begun)
    # and rows that come while no process runs
    insert(teams, RED, "0.5", hours * 3600)
    with running(teams.url, tmp_path, after=exporter, **SETTINGS) as again:
        again.wait_ready()
        wait_for_spend(again, teams, begun)


def test_a_budget_ends_at_its_reset_and_begins_anew(teams: Log, tmp_path: Path) -> None:
    fill(teams, 12)
    limit(teams, RED, 100, "10d", midnight(1))
    with running(teams.url, tmp_path, **SETTINGS) as exporter:
        exporter.wait_ready()
        wait_for_spend(exporter, teams, {(("", RED), "10d"): midnight(-9)})
        # the period is another from now on
        teams.execute(f"UPDATE {TABLE} SET budget_reset_at = %s", (midnight(3)).replace(tzinfo=None))
        wait_for_spend(exporter, teams, {(("", RED), "10d"): midnight(-7)})
        teams.execute(f"DELETE FROM {TABLE}")
        wait_for(lambda: not exporter.scrape().has("ai_budget_spend_usd"), lambda: "still shown")


@pytest.mark.parametrize("mode", ["off", "hmac"])
def test_groups_are_shown_by_their_names_where_users_are_hidden(teams: Log, tmp_path: Path, mode: str) -> None:
    fill(teams, 10)
    limit(teams, RED, 1, "8d", midnight(1))
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    users = {"mode": mode} if mode == "off" else {"mode": mode, "hmac_key_file": str(key)}
    budgets = [{"group": BLUE, "limit_usd": 3, "period": "month"}]
    with running(teams.url, tmp_path / "state", users=users, budgets=budgets, **SETTINGS) as exporter:
        exporter.wait_ready()
        begun = {(("", RED), "8d"): midnight(-7), (("", BLUE), "month"): midnight().replace(day=1)}
        wait_for_spend(exporter, teams, begun)


def test_groups_past_a_limit_of_a_period_have_series_first(teams: Log, tmp_path: Path) -> None:
    fill(teams, 5)
    # has spent nothing today
    for ago in (1, 2, 3):
        insert(teams, "quiet", "2", ago * 86_400)
    limit(teams, "quiet", 5, "5d", midnight(1))
    limit(teams, "within", 500, "5d", midnight(1))
    limit(teams, RED, 500, "5d", midnight(1))
    settings = {**SETTINGS, "groups": {"top": 0, "max_series": 1}}
    with running(teams.url, tmp_path, **settings) as exporter:
        exporter.wait_ready()
        wait_for(lambda: exporter.scrape().has("ai_budget_spend_usd"), lambda: "no budget is shown")
        assert exporter.scrape().labels("ai_budget_spend_usd", "group") == ["quiet"]


def test_the_command_tells_period_spend_limit_and_reset_of_groups(teams: Log, tmp_path: Path) -> None:
    fill(teams, 20)
    reset = (now() + timedelta(days=3, hours=2)).replace(microsecond=0)
    limit(teams, RED, 1, "14d", reset, 0.5)
    budgets = [
        {"limit_usd": 10_000, "period": "week"},
        {"user": USER, "limit_usd": 7, "period": "week"},
        {"group": BLUE, "limit_usd": 500, "period": "month"},
    ]
    config = config_for(teams.url, tmp_path, {**SETTINGS, "budgets": budgets})
    found = {(each["group"], each["period"]): each for each in told(config, "group")["budgets"]}
    assert found.keys() == {(None, "week"), (RED, "14d"), (BLUE, "month")}
    red = found[RED, "14d"]
    spent = spent_since(teams, reset - timedelta(days=14), ("", RED)) / 1e6
    assert (red["limit_usd"], red["soft_limit_usd"], red["state"]) == (1, 0.5, "exceeded")
    assert red["spend_usd"] == pytest.approx(spent, abs=1e-9)
    assert datetime.fromisoformat(red["resets"]) == reset
    assert {key for key, each in found.items() if each["state"] == "exceeded"} == {(RED, "14d")}
    assert [each["group"] for each in told(config, "group", over=True)["budgets"]] == [RED]
    assert [each["user"] for each in told(config, "user")["budgets"]] == [None, USER]
    out = io.StringIO()
    run_budget(config, {}, None, out, as_json=False, by="group")
    assert reset.strftime("%Y-%m-%d %H:%M") in out.getvalue()


def told(config: Config, by: str, *, over: bool = False) -> dict[str, Any]:
    out = io.StringIO()
    assert run_budget(config, {}, None, out, as_json=True, over=over, by=by) == 0
    found: dict[str, Any] = json.loads(out.getvalue())
    return found
