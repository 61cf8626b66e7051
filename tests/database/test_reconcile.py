"""`reconcile`: the log against the state, to the micro-dollar, and what else disagrees with it."""

import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.config import Config
from exporter.demo.profiles import USERS
from exporter.errors import UserError
from exporter.reconcile.run import Wanted, run_reconcile
from tests.support.clock import START, Clock
from tests.support.harness import Log, config_for, fixed_layout, running

layout = fixed_layout("status")

MODELS = ("deepseek-v3.2", "gemini-2.0-flash", "loose")
OPERATIONS = ("email-compose", "email-classify")


def reconciled(config: Config, **wanted: Any) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    code = run_reconcile(config, {}, Wanted(**wanted), out, as_json=True)
    found: dict[str, Any] = json.loads(out.getvalue())
    return code, found


def table(config: Config, **wanted: Any) -> str:
    out = io.StringIO()
    run_reconcile(config, {}, Wanted(**wanted), out, as_json=False)
    return out.getvalue()


def fill(log: Log, begin: datetime, end: datetime, rows: int) -> list[tuple[datetime, str, str, Decimal]]:
    """Calls at random moments, many of them around midnights of UTC and of the zones in these tests."""
    rng = Random(15)
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(12, 6)")
    found = []
    for _ in range(rows):
        at = begin + rng.random() * (end - begin)
        if rng.random() < 0.5:
            at = at.replace(minute=0, second=0, microsecond=0) + timedelta(microseconds=rng.choice([-1, 0, 1]))
        cost = Decimal(rng.randrange(10**9)) / 10**6
        found.append((at, rng.choice(OPERATIONS), rng.choice(MODELS), cost))
    with log.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ai_operation_log (executed_at, operation_id, model_used, cost_usd, status, input_tokens,"
            " output_tokens) VALUES (%s, %s, %s, %s, 'success', 10, 10)",
            [(at.replace(tzinfo=None), *rest) for at, *rest in found],
        )
    return found


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland"])
def test_a_month_with_a_moved_clock_is_exact(log: Log, clock: Clock, tmp_path: Path, zone: str) -> None:
    # on March 8 and 29 clocks are put forward; it is the last day of March in all of the zones
    begin, end = datetime(2026, 2, 26, tzinfo=UTC), datetime(2026, 3, 31, 9, tzinfo=UTC)
    rows = fill(log, begin, end, 3000)
    clock.set(end)
    settings: dict[str, Any] = {"budget_time_zone": zone, "models": {"aliases": {"loose": "deepseek-v3.2"}}}
    with running(log.url, tmp_path, host=clock.host, **settings) as exporter:
        exporter.wait_ready()
        config = exporter.config
        here = ZoneInfo(zone)
        keys: dict[str, Callable[[datetime, str, str], str]] = {
            "day": lambda at, *_: at.astimezone(here).date().isoformat(),
            "model": lambda _, __, model: "deepseek-v3.2" if model == "loose" else model,
            "operation": lambda _, operation, __: operation,
        }
        for by, key in keys.items():
            wanted: Counter[str] = Counter()
            for at, operation, model, cost in rows:
                if at.astimezone(here).date().replace(day=1) == date(2026, 3, 1):
                    wanted[key(at, operation, model)] += cost  # type: ignore[assignment]
            code, found = reconciled(config, since="2026-03-01", until="2026-04-01", by=by)
            logged = {line[by]: Decimal(line["log_usd"]) for line in found["lines"]}
            recorded = {line[by]: Decimal(line["recorded"]["usd"]) for line in found["lines"]}
            assert logged == wanted
            assert recorded == wanted
            assert Decimal(found["total"]["log_usd"]) == sum(wanted.values())
            assert code == 0


def test_a_log_that_was_changed_after_the_horizon_differs(log: Log, clock: Clock, tmp_path: Path) -> None:
    end = datetime(2026, 4, 20, 9, tzinfo=UTC)
    fill(log, datetime(2026, 4, 1, tzinfo=UTC), end, 300)
    clock.set(end)
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        since, until = "2026-04-01", "2026-04-20"
        assert reconciled(exporter.config, since=since, until=until)[0] == 0
        log.execute(
            "UPDATE ai_operation_log SET cost_usd = cost_usd * 2"
            " WHERE executed_at < '2026-04-10' AND model_used = 'loose'"
        )
        code, found = reconciled(exporter.config, since=since, until=until)
        assert code == 1
        assert {line["model"]: line["recorded"]["differs"] for line in found["lines"]} == {
            "deepseek-v3.2": False,
            "gemini-2.0-flash": False,
            "loose": True,
        }
        text = table(exporter.config, since=since, until=until)
        assert "differs" in text
        assert "past 1 %" in text
        assert reconciled(exporter.config, since=since, until=until, tolerance=Decimal(1))[0] == 0
        assert "all within 100 %" in table(exporter.config, since=since, until=until, tolerance=Decimal(1))


def test_what_the_state_does_not_hold_is_said(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(START)
    with running(log.url, tmp_path, host=clock.host) as exporter:
        exporter.wait_ready()
        config = exporter.config

        def note(**wanted: Any) -> str:
            code, found = reconciled(config, **wanted)
            assert code == 0
            text: str = found["sources"][0]["note"]
            return text

        assert note() == ""
        assert note(since="2026-05-01") == "recorded are the days since 2026-06-01: use a later --from"
        assert note(since="2026-06-08", by="user") == "recorded are the days since 2026-06-09: use a later --from"
        assert "whole days" in note(since="2026-06-08T12:00")
        assert note(time_zone="Asia/Tokyo") == "days are recorded in the time zone UTC"
        elsewhere = config.model_copy(update={"state_dir": tmp_path / "other"})
        _, found = reconciled(elsewhere)
        assert "--state-dir" in found["sources"][0]["note"]
        with pytest.raises(UserError, match="no column for groups"):
            reconciled(config, by="group")
        with pytest.raises(UserError, match="--from must come before --to"):
            reconciled(config, since="2026-06-02", until="2026-06-02")


def test_the_spend_of_users_and_a_providers_export(log: Log, clock: Clock, tmp_path: Path) -> None:
    log.execute("INSERT INTO users VALUES (%s, 'a'), (%s, 'b')", USERS[0], USERS[1])
    clock.set(START)
    for ago, user, model in ((60, USERS[0], "m1"), (120, USERS[0], "m2"), (90_000, USERS[1], "m1")):
        log.insert(at=clock.ago(ago), user=user, cost="1.5", model=model)
    export = tmp_path / "costs.csv"
    export.write_text("usage_date_utc,model,cost_usd\n2026-06-09,m1,1.5\n2026-06-10,m1,1.5\n2026-06-10,Model Two,2\n")
    settings: dict[str, Any] = {"models": {"aliases": {"Model Two": "m2"}}}
    with running(log.url, tmp_path / "state", host=clock.host, **settings) as exporter:
        exporter.wait_ready()
        _, found = reconciled(exporter.config, since="2026-06-09", by="user")
        assert {line["user"]: line["recorded"]["usd"] for line in found["lines"]} == {
            str(USERS[0]): "3",
            str(USERS[1]): "1.5",
        }
        code, found = reconciled(exporter.config, since="2026-06-09", provider_csv=export)
        assert code == 1
        assert {line["model"]: (line["provider"]["usd"], line["provider"]["differs"]) for line in found["lines"]} == {
            "m1": ("3", False),
            "m2": ("2", True),
        }
        code, found = reconciled(exporter.config, since="2026-06-09", provider_csv=export, by="operation")
        assert (code, found["total"]["provider"]["difference_usd"]) == (1, "0.5")


def test_the_sql_for_budgets_corrects_them(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(START)
    log.execute("INSERT INTO users VALUES (%s, 'a'), (%s, 'b'), (%s, 'c')", *USERS[:3])
    for user, today, month in ((USERS[0], 5, 9), (USERS[1], "1.5", 3), (USERS[2], 0, 0)):
        log.execute(
            "INSERT INTO cost_budgets (user_id, daily_limit_usd, current_spend_today, current_spend_month)"
            " VALUES (%s, 10, %s, %s)",
            user,
            today,
            month,
        )
    for ago, user, cost in ((60, USERS[0], "4.123457"), (90_000, USERS[1], "1.5"), (60, USERS[1], "1.5")):
        log.insert(at=clock.ago(ago), user=user, cost=cost)
    config = config_for(log.url, tmp_path, {})
    _, found = reconciled(config)
    assert {(each["user"], each["window"]): each["log_usd"] for each in found["budgets"]} == {
        (str(USERS[0]), "day"): "4.123457",
        (str(USERS[0]), "month"): "4.123457",
    }
    text = table(config)
    assert "Budget rows that disagree with the log: 2" in text
    for statement in (line for line in text.splitlines() if line.startswith("UPDATE")):
        log.execute(statement)
    assert reconciled(config)[1]["budgets"] == []
    assert "Budget rows" not in table(config)
    # who must not be named is not named in SQL either
    log.execute("UPDATE cost_budgets SET current_spend_today = 7")
    assert str(USERS[0]) not in table(config_for(log.url, tmp_path, {"users": {"mode": "off"}}))


def test_budgets_of_users_who_got_back_more_than_they_spent(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(START)
    log.execute("INSERT INTO users VALUES (%s, 'a'), (%s, 'b'), (%s, 'c')", *USERS[:3])
    for user, today in ((USERS[0], "-2"), (USERS[1], "0"), (USERS[2], "-1.995")):
        log.execute(
            "INSERT INTO cost_budgets (user_id, daily_limit_usd, current_spend_today, current_spend_month)"
            " VALUES (%s, 10, %s, -2)",
            user,
            today,
        )
        log.insert(at=clock.ago(60), user=user, cost="1")
        log.insert(at=clock.ago(50), user=user, cost="-3")
    _, found = reconciled(config_for(log.url, tmp_path, {}))
    # what is within the tolerance of half a per cent agrees, also below 0
    assert {(each["user"], each["recorded_usd"], each["log_usd"]) for each in found["budgets"]} == {
        (str(USERS[1]), "0", "-2"),
    }
    for statement in (line for line in table(config_for(log.url, tmp_path, {})).splitlines() if "UPDATE" in line):
        log.execute(statement)
    assert reconciled(config_for(log.url, tmp_path, {}))[1]["budgets"] == []


def test_operations_that_depart_from_their_routes_estimate(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(START)
    for operation, estimate in (("right", "0.01"), ("dear", "0.01"), ("unknown", None)):
        log.execute(
            "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model, estimated_cost_usd)"
            " VALUES (%s, 'x', 'm1', %s)",
            operation,
            estimate,
        )
    for operation, cost in (("right", "0.01"), ("dear", "0.03"), ("unknown", "0.5")):
        for _ in range(4):
            log.insert(at=clock.ago(60), operation=operation, cost=cost)
    _, found = reconciled(config_for(log.url, tmp_path, {}))
    assert found["estimates"] == [{"operation": "dear", "calls": 4, "usd_a_call": "0.03", "estimated_usd": "0.01"}]
    assert "+200.00" in table(config_for(log.url, tmp_path, {}))
