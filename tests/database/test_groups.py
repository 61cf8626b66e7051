"""Spend, limits and states by group, against plain SQL on the log."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from exporter.catalog import USD
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.one_session import one_session
from exporter.demo.profiles import USERS
from exporter.errors import UserError
from exporter.findings import Level
from exporter.preflight.run import run
from exporter.reconcile.log import logged
from exporter.reconcile.period import DayRange
from exporter.reconcile.run import Wanted, run_reconcile
from exporter.reports.budgets import run_budget
from exporter.sql_files.render import render
from tests.support.clock import Clock
from tests.support.harness import (
    Log,
    Running,
    assert_spend_is_what_sql_says,
    config_for,
    fixed_layout,
    running,
    wait_for,
)
from tests.support.programs import Program
from tests.support.programs import running as processes
from tests.support.public_logs import PublicLog
from tests.support.scraped import Scraped

layout = fixed_layout("success")
COLUMN = {"log": {"group": "team"}}
TEAMS = (None, "", "red", "blue", "other", 'we"ird\\ {team}', " red ")
READ = "ai_exporter_collector_success"
SPEND, LIMIT, STATES = "ai_group_spend_today_usd", "ai_group_daily_limit_usd", "ai_budget_groups"


@pytest.fixture
def teams(log: Log) -> Log:
    log.execute("ALTER TABLE ai_operation_log ADD COLUMN team text")
    return log


def midday_zone() -> str:
    """A zone in which it is between 12:00 and 13:00: what hours ago was is of the same day."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


def insert(log: Log, team: str | None, cost: str, ago: float = 1, **values: Any) -> UUID:
    row = log.insert(ago, cost=cost, **values)
    log.execute("UPDATE ai_operation_log SET team = %s WHERE id = %s", team, row)
    return row


def label(team: str | None) -> str:
    name = (team or "").strip()
    return {"": "unattributed", "other": '"other"'}.get(name, name)


def by_sql(log: Log, scraped: Scraped) -> dict[str, int]:
    """Micro-dollars by the label of each group, in the day of the scrape."""
    start, end = (scraped.one(f"ai_spend_window_{edge}_timestamp_seconds", window="day") for edge in ("start", "end"))
    rows = log.execute(
        "SELECT team, sum(cost_usd) * 1000000 FROM ai_operation_log WHERE ({time} AT TIME ZONE 'UTC') >="
        " to_timestamp(%s) AND ({time} AT TIME ZONE 'UTC') < to_timestamp(%s) GROUP BY 1",
        start,
        end,
    )
    found: dict[str, int] = {}
    for team, micro in rows:
        found[label(team)] = found.get(label(team), 0) + int(micro)
    return {name: micro for name, micro in found.items() if micro}


def shown(scraped: Scraped) -> dict[str, int]:
    values = {dict(labels)["group"]: round(1e6 * value) for (_, labels), value in scraped.having(SPEND).items()}
    return {name: micro for name, micro in values.items() if micro}


def assert_groups(exporter: Running, log: Log) -> Scraped:
    """Wait until whom to show is chosen, and late rows are found: spend by group is what SQL says, as all spend is."""
    exporter.wait_up()

    def is_so() -> bool:
        scraped = exporter.scrape()
        return shown(scraped) == by_sql(log, scraped)

    wait_for(is_so, lambda: f"{shown(exporter.scrape())} and not {by_sql(log, exporter.scrape())}")
    scraped = exporter.scrape()
    assert_spend_is_what_sql_says(scraped, log)
    return scraped


def test_without_the_column_there_is_no_metric_by_group(log: Log, tmp_path: Path) -> None:
    log.insert(1)
    with running(log.url, tmp_path) as exporter:
        scraped = exporter.wait_ready().scrape()
    assert scraped.up == 1
    assert not {key for key in scraped if "group" in str(key)}


def test_limits_of_groups_without_the_column_are_refused_by_name() -> None:
    for columns in ({}, {"log": {"group": "=NULL"}}):
        with pytest.raises(ValueError, match=r"columns\.log\.group"):
            Config.model_validate({"columns": columns, "groups": {"daily_limits": {"red": 1}}})


def test_grafana_s_view_has_the_group_by_its_label(teams: Log) -> None:
    for team in TEAMS:
        insert(teams, team, "1")
    file = render(Config.model_validate({"columns": COLUMN}))["dashboards.sql"]
    try:
        teams.connection.execute(file.encode())
        rows = teams.execute('SELECT "group", sum(cost_usd) FROM ai_dashboards.operations GROUP BY 1')
        assert dict(rows) == {label(team): [label(each) for each in TEAMS].count(label(team)) for team in TEAMS}
    finally:
        teams.execute("DROP OWNED BY ai_grafana")
        teams.execute("DROP ROLE ai_grafana")


@pytest.mark.parametrize("expression", ["team", "=upper(team)", "=(ARRAY[1, 2])[1 + length(team) % 2]", "=NULL"])
def test_a_column_or_an_expression_tells_the_group(teams: Log, tmp_path: Path, expression: str) -> None:
    insert(teams, "red", "0.5")
    insert(teams, "blue", "0.25")
    insert(teams, None, "0.125")
    found = {
        "team": {"red": 500_000, "blue": 250_000, "unattributed": 125_000},
        "=upper(team)": {"RED": 500_000, "BLUE": 250_000, "unattributed": 125_000},
        "=NULL": {},
    }.get(expression, {"2": 500_000, "1": 250_000, "unattributed": 125_000})
    with running(teams.url, tmp_path, columns={"log": {"group": expression}}) as exporter:
        exporter.wait_ready()
        wait_for(lambda: shown(exporter.scrape()) == found, lambda: str(shown(exporter.scrape())))
        assert exporter.scrape().has(SPEND) == (expression != "=NULL")


def test_refunds_are_taken_off_what_a_group_has_spent(teams: Log, tmp_path: Path) -> None:
    for team, cost in (("red", "1.0"), ("red", "-0.25"), ("blue", "0.5"), ("blue", "-2")):
        insert(teams, team, cost)
    with running(teams.url, tmp_path, columns=COLUMN) as exporter:
        exporter.wait_ready()
        found = {"red": 750_000, "other": -1_500_000}
        wait_for(lambda: shown(exporter.scrape()) == found, lambda: str(shown(exporter.scrape())))
        assert exporter.scrape().micro(SPEND) == exporter.scrape().micro("ai_spend_today_usd")


def test_spend_is_that_of_sql_through_changes_late_rows_and_restarts(teams: Log, tmp_path: Path) -> None:
    rng, before = Random(3), None

    def some(ages: tuple[int, ...]) -> UUID:
        cost = f"0.{rng.randint(0, 999_999):06}"
        return insert(teams, rng.choice(TEAMS), cost, rng.choice(ages), user=rng.choice((None, *USERS[:3])))

    for _ in range(4):
        # late rows that come while nothing runs are looked for at once
        for _ in range(6):
            some((400, 4000, 20_000))
        with running(teams.url, tmp_path / "state", after=before, columns=COLUMN) as exporter:
            exporter.wait_ready()
            rows = [some((1, 30, 60)) for _ in range(6)]
            exporter.scrape()
            # what was seen in one group is in another
            teams.execute("UPDATE ai_operation_log SET team = %s WHERE id = %s", rng.choice(TEAMS), rows[0])
            assert_groups(exporter, teams)
        before = exporter


@pytest.mark.slow
def test_processes_that_are_killed_lose_no_spend(teams: Log, tmp_path: Path) -> None:
    rng = Random(5)
    written = "columns: {log: {group: team}}\nzero_hold: 0s\n"
    program = Program(teams.url, tmp_path / "state", config=written)
    for _ in range(4):
        program.start()
        try:
            for _ in range(8):
                insert(teams, rng.choice(TEAMS), f"0.{rng.randint(0, 999_999):06}", rng.choice((1, 30, 60)))
                program.text()
                if rng.random() < 0.15:
                    break
        finally:
            program.process.kill()
            program.process.communicate()
    with processes(program):
        wait_for(lambda: shown(Scraped(program.samples())) == by_sql(teams, Scraped(program.samples())), program.text)


def test_a_new_day_begins_at_nothing(teams: Log, clock: Clock, tmp_path: Path) -> None:
    midnight = datetime(2026, 7, 2, tzinfo=ZoneInfo("Asia/Kathmandu"))
    clock.set(midnight - timedelta(seconds=130))
    with running(teams.url, tmp_path, budget_time_zone="Asia/Kathmandu", host=clock.host, columns=COLUMN) as exporter:
        exporter.wait_ready()
        insert(teams, "red", "0.5", at=midnight - timedelta(seconds=140))
        assert shown(assert_groups(exporter, teams)) == {"red": 500_000}
        clock.set(midnight + timedelta(seconds=20))
        insert(teams, "red", "0.25", at=midnight - timedelta(microseconds=1))
        insert(teams, "blue", "0.125", at=midnight)
        scraped = assert_groups(exporter, teams)
        assert shown(scraped) == {"blue": 125_000}
        # a series does not end within its day
        assert scraped.one(SPEND, group="red") == 0


def test_groups_beyond_the_bound_are_other_and_those_over_their_limit_come_first(teams: Log, tmp_path: Path) -> None:
    for number in range(12):
        insert(teams, f"team {number:02}", f"{number}.5")
    limits = {"team 00": 0.4, "team 01": 1.6, "team 02": 100, "idle": 5, "unattributed": 1}
    groups = {"top": 2, "max_series": 4, "daily_limits": limits}
    with running(teams.url, tmp_path, columns=COLUMN, groups=groups) as exporter:
        exporter.wait_ready()
        expected = {"team 00": 500_000, "team 01": 1_500_000, "team 10": 10_500_000, "team 11": 11_500_000}
        rest = 1_000_000 * sum(range(12)) + 6_000_000 - sum(expected.values())
        wait_for(lambda: len(exporter.scrape().having(SPEND)) == 5, lambda: str(shown(exporter.scrape())))
        scraped = exporter.scrape()
        assert shown(scraped) == {**expected, "other": rest}
        assert scraped.having(LIMIT).keys() == {
            (LIMIT, frozenset({("group", "team 00")})),
            (LIMIT, frozenset({("group", "team 01")})),
        }
        states = {name: scraped.one(STATES, state=name) for name in ("ok", "warning", "exceeded", "unlimited")}
        assert states == {"ok": 3, "warning": 1, "exceeded": 1, "unlimited": 9}


TABLE = "CREATE TABLE team_limits (team_id text, daily_limit_usd numeric, warning_threshold_percentage int)"


def test_limits_come_from_a_table_and_of_two_the_smaller_counts(teams: Log, tmp_path: Path) -> None:
    teams.execute(TABLE)
    rows = "('red', 10, 40), ('blue', 10, NULL), (' blue ', 12, NULL), ('nan', 'NaN', NULL), ('green', NULL, NULL)"
    teams.execute(f"INSERT INTO team_limits VALUES {rows}")
    for team, cost in (("red", "4.5"), ("blue", "9"), ("nan", "1"), ("other", "3")):
        insert(teams, team, cost)
    settings: dict[str, Any] = {
        "columns": COLUMN,
        "tables": {"group_budgets": "team_limits"},
        "groups": {"daily_limits": {"blue": 8, "red": 11, "other": 2}},
    }
    with running(teams.url, tmp_path, **settings) as exporter:
        exporter.wait_ready()
        wait_for(lambda: len(exporter.scrape().having(LIMIT)) == 3, lambda: str(exporter.last.having(LIMIT)))
        scraped = exporter.scrape()
        assert scraped.one(READ, collector="group_budgets") == 1
        limits = {dict(labels)["group"]: value for (_, labels), value in scraped.having(LIMIT).items()}
        assert limits == {"red": 10, "blue": 8, '"other"': 2}
        states = {name: scraped.one(STATES, state=name) for name in ("ok", "warning", "exceeded", "unlimited")}
        assert states == {"ok": 0, "warning": 1, "exceeded": 2, "unlimited": 2}
        assert scraped.one("ai_rows_skipped_total", field="limit", reason="nan") == 1
        assert scraped.one("ai_rows_skipped_total", field="limit", reason="duplicate") == 1
        # users have none: nothing of one table is in the other
        assert scraped.one("ai_budget_users", state="exceeded") == 0
        # the table fails alone, and with it only what it says
        teams.execute("ALTER TABLE team_limits RENAME daily_limit_usd TO something")
        wait_for(lambda: not exporter.scrape().one(READ, collector="group_budgets"), lambda: "it is read")
        scraped = exporter.scrape()
        assert shown(scraped) == by_sql(teams, scraped)
        assert not scraped.has(LIMIT)
        assert not scraped.has(STATES)


def test_check_reads_the_table_of_limits(teams: Log, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"columns": COLUMN, "tables": {"group_budgets": "team_limits"}}

    def found() -> list[Any]:
        return [each for each in run(config(teams, tmp_path, **settings), {}) if each.name == "group_budgets"]

    (absent,) = found()
    assert absent.level is Level.WARN
    teams.execute(TABLE)
    teams.execute("INSERT INTO team_limits VALUES ('red', 10, NULL), ('red', 12, NULL), ('blue', -1, NULL)")
    first, wrong, repeated = (each for each in found() if "owns" not in each.detail and "superuser" not in each.detail)
    assert first.level is Level.OK
    assert "2 groups, 1 with a daily limit" in first.detail
    assert "1 negative" in wrong.detail
    assert "SELECT team_id, daily_limit_usd" in wrong.hint
    assert "rows of groups with several rows, such as red" in repeated.detail


def test_the_column_can_be_set_changed_and_left_out_again(teams: Log, tmp_path: Path) -> None:
    teams.execute("ALTER TABLE ai_operation_log ADD COLUMN project integer")
    for number in range(1, 40):
        insert(teams, "red" if number % 2 else None, "0.01", 600 * number)
    teams.execute("UPDATE ai_operation_log SET project = 7")
    zone = midday_zone()
    with running(teams.url, tmp_path, budget_time_zone=zone) as exporter:
        money = exporter.wait_ready().scrape().money
    for columns in (COLUMN, {"log": {"group": "project"}}, {}, COLUMN):
        with running(teams.url, tmp_path, after=exporter, columns=columns, budget_time_zone=zone) as exporter:
            scraped = exporter.wait_in_force()
            assert scraped.money == money
            if columns == COLUMN:
                assert_groups(exporter, teams)
            elif columns:
                wait_for(lambda: set(shown(exporter.scrape())) == {"7"}, lambda: str(shown(exporter.scrape())))
                assert sum(shown(exporter.scrape()).values()) == exporter.scrape().micro("ai_spend_today_usd")
            else:
                assert not scraped.has(SPEND)


VALUES = {"litellm": "'team ' || {0}", "new-api": "'vip ' || {0}", "bifrost": "'vk ' || {0}"}
UUIDS = "('00000000-0000-4000-8000-00000000000' || {0})::uuid"


@pytest.mark.parametrize("source", ["litellm", "new-api", "bifrost", "lunary"])
def test_settings_of_public_logs_tell_the_group(source: str, embedded_database: str, tmp_path: Path) -> None:
    public = PublicLog.of(source)
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        public.create(admin)
        public.fill(admin, 400, step=170)
        chosen: dict[str, Any] = {"source": source, "budget_time_zone": midday_zone()}
        settings = config_for(embedded_database, tmp_path, chosen)
        table, column = (sql.Identifier(*settings.tables.log.parts), str(settings.columns.log.group))
        value = VALUES.get(source, UUIDS).format("(abs(hashtext(ctid::text)) % 5)")
        change = "UPDATE {} SET {} = " + value + " WHERE abs(hashtext(ctid::text)) % 9 > 0"
        admin.execute(sql.SQL(change).format(table, sql.Identifier(column)))
        with running(embedded_database, tmp_path, **chosen) as exporter:
            exporter.wait_ready()
            wait_for(lambda: len(exporter.scrape().having(SPEND)) == 7, lambda: str(shown(exporter.scrape())))
            scraped = exporter.scrape()
        edges = [scraped.one(f"ai_spend_window_{edge}_timestamp_seconds", window="day") for edge in ("start", "end")]
    rules = settings.classification()
    with one_session(settings, resolve_conninfo(settings, {}), "tests", 60) as session:
        day = DayRange(int(edges[0]), int(edges[1]), ZoneInfo("UTC"))
        truth = logged(session, session.log(rules), rules, "group", day)
    values = {dict(labels)["group"]: value for (_, labels), value in scraped.having(SPEND).items() if value}
    assert values == pytest.approx({name: units / USD for name, (units, _) in truth.items() if units}, rel=1e-12)
    assert sum(values.values()) == pytest.approx(scraped.total("ai_spend_today_usd"), rel=1e-9)


def test_hidden_users_hide_no_group(teams: Log, tmp_path: Path) -> None:
    insert(teams, "red", "0.5", user=USERS[0])
    for mode in ("id", "off"):
        with running(teams.url, tmp_path, columns=COLUMN, users={"mode": mode}) as exporter:
            exporter.wait_ready()
            assert shown(assert_groups(exporter, teams)) == {"red": 500_000}
            assert exporter.scrape().has("ai_user_spend_today_usd") == (mode == "id")


def config(log: Log, tmp_path: Path, **settings: Any) -> Config:
    return config_for(log.url, tmp_path / "state", settings)


def test_budget_lists_groups_with_their_limits(teams: Log, tmp_path: Path) -> None:
    insert(teams, "red", "6")
    insert(teams, "blue", "1")
    insert(teams, None, "2", user=USERS[0])
    limits = {"daily_limits": {"red": 5, "idle": 3}}
    grouped = config(teams, tmp_path, columns=COLUMN, groups=limits)
    out = io.StringIO()
    assert run_budget(grouped, {}, None, out, as_json=True, by="group") == 0
    found = json.loads(out.getvalue())
    rows = {
        each["group"]: (each["spend_today_usd"], each["daily_limit_usd"], each["state"]) for each in found["groups"]
    }
    assert rows == {
        "red": (6, 5, "exceeded"),
        "blue": (1, None, "unlimited"),
        "unattributed": (2, None, "unlimited"),
        "idle": (0, 3, "ok"),
    }
    assert found["team"]["spend_today_usd"] == 9
    out = io.StringIO()
    run_budget(grouped, {}, None, out, as_json=False, by="group", over=True)
    table = out.getvalue()
    assert "red" in table
    assert "blue" not in table
    out = io.StringIO()
    run_budget(grouped, {}, None, out, as_json=True)
    # the users are those of before
    assert {each["user"] for each in json.loads(out.getvalue())["users"]} == {str(USERS[0]), "unattributed"}
    out = io.StringIO()
    run_budget(grouped, {}, None, out, as_json=True, by="group", month=True)
    assert {each["group"] for each in json.loads(out.getvalue())["groups"]} == {"red", "blue", "unattributed"}


def test_budget_by_group_needs_the_column_and_no_user(teams: Log, tmp_path: Path) -> None:
    for settings, user, said in (({}, None, "columns.log.group"), ({"columns": COLUMN}, "ann", "--user")):
        with pytest.raises(UserError, match=said):
            run_budget(config(teams, tmp_path, **settings), {}, user, io.StringIO(), as_json=False, by="group")


def test_reconcile_compares_groups_with_what_was_recorded(teams: Log, tmp_path: Path) -> None:
    insert(teams, "red", "6")
    insert(teams, None, "2")
    with running(teams.url, tmp_path / "state", columns=COLUMN) as exporter:
        exporter.wait_ready()
        assert_groups(exporter, teams)
    grouped = config(teams, tmp_path, columns=COLUMN)
    out = io.StringIO()
    assert run_reconcile(grouped, {}, Wanted(by="group"), out, as_json=True) == 0, out.getvalue()
    assert "red" in out.getvalue()
    assert "unattributed" in out.getvalue()
