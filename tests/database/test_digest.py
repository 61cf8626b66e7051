"""`digest`: what it says of a day and a month is what the log says, to the micro-dollar, and it reaches the channel."""

import json
import secrets
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from deploy.discord_receiver import Answer
from exporter.cli import main
from exporter.database.errors import NotVisible
from exporter.demo.profiles import USERS
from exporter.digest.message import embed
from exporter.digest.model import DigestForecast, LeftOut, UsersPast
from exporter.digest.run import Wanted, read_digest
from exporter.errors import UserError
from tests.support.clock import START, Clock
from tests.support.digests import units
from tests.support.discord_server import DiscordServer, discord_server
from tests.support.harness import Log, config_for
from tests.support.servers import EmbeddedServer

YESTERDAY = START.date() - timedelta(days=1)
HOSTILE = "@everyone <@1> [x](https://evil.example) _a_ `b` \u202e\x07"


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with discord_server() as running:
        yield running


def digest_of(log: Log, folder: Path, wanted: Wanted | None = None, **settings: Any) -> Any:
    return read_digest(config_for(log.url, folder, settings), {}, wanted or Wanted())


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_days_and_month_are_exact_where_a_clock_is_moved(log: Log, clock: Clock, tmp_path: Path, zone: str) -> None:
    # in the month of the digest the clocks of three of the zones are moved, of two of them between 00:00 and 04:00
    here, rng = ZoneInfo(zone), Random(15)
    begin, end = datetime(2026, 10, 10, tzinfo=UTC), datetime(2026, 11, 3, 9, tzinfo=UTC)
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric(12, 6)")
    spend: dict[date, Decimal] = defaultdict(Decimal)
    series: dict[date, dict[tuple[str, str], Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    calls: dict[date, list[int]] = defaultdict(lambda: [0, 0])
    for _ in range(1500):
        at = begin + rng.random() * (end - begin)
        if rng.random() < 0.5:
            at = at.replace(minute=rng.choice([0, 30, 45]), second=0, microsecond=0)
            at += timedelta(microseconds=rng.choice([-1, 0, 1]))
        operation, model = rng.choice(["email-compose", "email-classify"]), rng.choice(["m1", "m2"])
        cost, failed = Decimal(rng.randrange(10**8)) / 10**6, rng.random() < 0.1
        log.insert(at=at, operation=operation, model=model, cost=str(cost), outcome="failed" if failed else "success")
        day = at.astimezone(here).date()
        spend[day] += cost
        series[day][operation, model] += cost
        calls[day][0] += 1
        calls[day][1] += failed
    clock.set(end)
    for day in (date(2026, 10, 25), date(2026, 11, 1), end.astimezone(here).date() - timedelta(days=1)):
        found = digest_of(log, tmp_path, Wanted(day.toordinal()), budget_time_zone=zone)
        before = [day - timedelta(days=each) for each in range(1, 8)]
        assert found.zone == zone
        assert {each: units_of(spend[date.fromordinal(each)]) for each in found.spend} == found.spend
        assert found.day.cost == units_of(spend[day])
        assert [found.day.calls, found.day.failed] == calls[day]
        assert found.day.usual == round(Fraction(sum(units_of(spend[each]) for each in before), 7))
        month = [each for each in spend if (each.year, each.month) == (day.year, day.month) and each <= day]
        assert found.month_cost == sum(units_of(spend[each]) for each in month)
        for mover in found.day.movers:
            key = mover.operation, mover.model
            assert mover.cost == units_of(series[day][key])
            assert mover.usual == round(Fraction(sum(units_of(series[each][key]) for each in before), 7))


def units_of(usd: Decimal) -> int:
    return int(usd * 10**12)


def test_movers_are_those_that_changed_most(log: Log, clock: Clock, tmp_path: Path) -> None:
    for back in range(1, 9):
        for operation, model, cost in (
            ("steady", "m1", "5"),
            ("up", "m1", "1" if back > 1 else "9"),
            ("gone", "m2", "4"),
        ):
            if (operation, back) != ("gone", 1):
                log.insert(at=clock.ago(back * 86_400), operation=operation, model=model, cost=cost)
    found = digest_of(log, tmp_path)
    assert found.date == YESTERDAY
    assert [(each.operation, each.change) for each in found.day.movers] == [("up", units(8)), ("gone", -units(4))]
    assert (found.day.usual, found.day.usual_days) == (units(10), 7)


@pytest.mark.parametrize(("days", "usual", "over"), [(0, None, 0), (1, 2, 1), (3, 2, 3), (9, 2, 7)])
def test_a_young_log_is_compared_with_the_days_it_has(
    log: Log, clock: Clock, tmp_path: Path, days: int, usual: int | None, over: int
) -> None:
    for back in range(1, days + 2):
        log.insert(at=clock.ago(back * 86_400), cost="2")
    found = digest_of(log, tmp_path)
    assert found.day.usual == (None if usual is None else units(usual))
    assert found.day.usual_days == over
    assert found.day.cost == units(2)


def test_an_empty_log_has_a_digest(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(START)
    found = digest_of(log, tmp_path)
    assert (found.day.cost, found.day.calls, found.month_cost, found.day.movers) == (0, 0, 0, ())
    assert found.spend == {YESTERDAY.toordinal(): 0}


def test_a_day_that_is_not_over_by_the_databases_clock_has_none(log: Log, clock: Clock, tmp_path: Path) -> None:
    clock.set(datetime(2026, 6, 9, 23, 59, 59, tzinfo=UTC))
    for wanted in (YESTERDAY, START.date()):
        with pytest.raises(UserError, match=f"{wanted.isoformat()} has not ended"):
            digest_of(log, tmp_path, Wanted(wanted.toordinal()))
    assert digest_of(log, tmp_path).date == YESTERDAY - timedelta(days=1)


def test_users_past_their_limits(log: Log, clock: Clock, tmp_path: Path) -> None:
    for user, limit, cost in zip(USERS[:5], (1, 10, 10, 10, None), ("2", "10.5", "8.5", "1", "50"), strict=True):
        if log.layout == "status":
            log.execute("INSERT INTO users VALUES (%s, %s)", user, str(user)[:6])
        if limit is not None:
            column, warned = (
                ("warning_threshold_usd", 8) if log.layout == "success" else ("warning_threshold_percentage", 80)
            )
            log.execute(
                f"INSERT INTO cost_budgets (user_id, daily_limit_usd, {column}) VALUES (%s, %s, %s)",
                user,
                limit,
                warned,
            )
        log.insert(at=clock.ago(86_400), user=user, cost=cost)
    log.insert(at=clock.ago(60), user=USERS[3], cost="99")
    assert digest_of(log, tmp_path).users == UsersPast(2, 1, (str(USERS[1]), str(USERS[0])))
    assert digest_of(log, tmp_path, users={"mode": "off"}).users == UsersPast(2, 1)


def test_a_table_of_budgets_that_cannot_be_read_costs_only_itself(log: Log, clock: Clock, tmp_path: Path) -> None:
    log.insert(at=clock.ago(86_400), cost="3")
    log.execute("ALTER TABLE cost_budgets RENAME user_id TO owner_id")
    found = digest_of(log, tmp_path)
    assert found.day.cost == units(3)
    assert isinstance(found.users, LeftOut)
    assert "columns" in found.users.reason
    log.execute("DROP TABLE cost_budgets")
    assert digest_of(log, tmp_path).users == LeftOut("users' limits (there is no table of budgets)")


def test_hidden_rows_are_no_digest(log: Log, clock: Clock, tmp_path: Path, embedded_postgres: EmbeddedServer) -> None:
    log.insert(at=clock.ago(86_400))
    name, password = f"reader_{secrets.token_hex(4)}", "for this test"
    log.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    try:
        log.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        log.execute(f"GRANT USAGE ON SCHEMA clock TO {name}")
        log.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA clock TO {name}")
        log.execute("ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY")
        url = embedded_postgres.url(log.connection.info.dbname, name, password)
        with pytest.raises(NotVisible, match="hides rows"):
            read_digest(config_for(url, tmp_path, {}), {}, Wanted())
        log.execute(f"CREATE POLICY all_rows ON ai_operation_log FOR SELECT TO {name} USING (true)")
        assert read_digest(config_for(url, tmp_path, {}), {}, Wanted()).day.calls == 1
    finally:
        log.execute(f"DROP OWNED BY {name}")
        log.execute(f"DROP ROLE {name}")


def fill_hours(log: Log, clock: Clock, days: int) -> None:
    """A dollar an hour for so many days, up to now; yesterday it is eight times as much from 14:00 to 16:00."""
    begin = datetime.combine(START.date() - timedelta(days=days), datetime.min.time(), UTC)
    with log.together():
        for number in range(24 * days + 10):
            at = begin + timedelta(hours=number, minutes=2)
            loop = at.date() == YESTERDAY and at.hour in (14, 15)
            for _ in range(8 if loop else 1):
                log.insert(at=at, cost="1", input_tokens=100, output_tokens=10)
    clock.set(START)


def test_forecast_anomalies_and_recommendations_are_of_the_log(log: Log, clock: Clock, tmp_path: Path) -> None:
    fill_hours(log, clock, 64)
    found = digest_of(log, tmp_path, monthly_limit_usd=500)
    assert found.day.cost == units(38)
    assert isinstance(found.forecast, DigestForecast)
    # ten hours of today are there, of which the last one has begun
    assert found.forecast.today.expected == pytest.approx(units(24), rel=0.1)
    assert found.forecast.month.expected == pytest.approx(units(30 * 24 + 14), rel=0.05)
    assert isinstance(found.forecast.monthly_limit_at, int)
    assert datetime.fromtimestamp(found.forecast.monthly_limit_at, UTC).month == 6
    (anomaly,) = found.anomalies
    assert anomaly.what == "$16 instead of about $2 from 14:00 to 16:00"
    assert anomaly.cause == "8 times the calls"
    assert any("email-compose" in each.text for each in found.recommendations)
    assert found.left_out == ("alerts (no --prometheus)",)
    # of a day that is long over nothing is foretold
    before = digest_of(log, tmp_path, Wanted(YESTERDAY.toordinal() - 1))
    assert before.forecast == LeftOut("forecast (it is of today)")
    assert before.anomalies == ()


def test_a_young_log_has_neither_forecast_nor_anomalies(log: Log, clock: Clock, tmp_path: Path) -> None:
    fill_hours(log, clock, 2)
    found = digest_of(log, tmp_path)
    assert found.day.cost == units(38)
    assert [reason.partition(" (")[0] for reason in found.left_out] == ["forecast", "anomalies", "alerts"]


@pytest.fixture
def config_file(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DISCORD_WEBHOOK_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL", log.url)
    path = tmp_path / "config.yaml"
    path.write_text("daily_limit_usd: 10\n")
    return path


def test_a_message_with_a_picture_arrives_and_says_nothing_to_discord(
    log: Log, clock: Clock, config_file: Path, server: DiscordServer, capsys: pytest.CaptureFixture[str]
) -> None:
    log.insert(at=clock.ago(86_400), operation=HOSTILE, model="$x^2$", cost="3")
    log.insert(at=clock.ago(3 * 86_400), operation=HOSTILE, model="$x^2$", cost="1")
    webhook = config_file.with_name("url")
    webhook.write_text(server.url("s3cr3t"))
    words = ["digest", f"--config={config_file}", f"--webhook-url-file={webhook}", "--prometheus=http://127.0.0.1:1"]
    assert main(words) == 0
    ((_, message),) = server.receiver.accepted
    (files,) = server.receiver.files
    assert files["digest.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert message["embeds"][0]["title"] == "Tuesday, 9 June: $3.00 of $10 (30%)"
    assert message["allowed_mentions"] == {"parse": []}
    text = json.dumps(message, ensure_ascii=False)
    assert "evil.example" in text
    assert "https://evil" not in text
    assert "@everyone" not in text
    assert "alerts (http://127.0.0.1:1 does not answer" in message["embeds"][0]["footer"]["text"]
    said = capsys.readouterr()
    assert "s3cr3t" not in said.out + said.err
    assert main([*words, "--no-picture"]) == 0
    assert server.receiver.files[1] == {}
    assert "image" not in server.receiver.accepted[1][1]["embeds"][0]


def test_a_refused_message_ends_with_what_discord_says(
    log: Log, clock: Clock, config_file: Path, server: DiscordServer, capsys: pytest.CaptureFixture[str]
) -> None:
    log.insert(at=clock.ago(86_400))
    webhook = config_file.with_name("url")
    webhook.write_text(server.url("s3cr3t"))
    server.receiver.fail(Answer(404, {"message": "Unknown Webhook", "code": 10015}))
    assert main(["digest", f"--config={config_file}", f"--webhook-url-file={webhook}"]) == 1
    said = capsys.readouterr()
    assert "Unknown Webhook" in said.err
    assert "s3cr3t" not in said.out + said.err


def test_a_dry_run_writes_message_and_picture_and_sends_nothing(
    log: Log, clock: Clock, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.insert(at=clock.ago(2 * 86_400), cost="3")
    folder = config_file.with_name("deep") / "out"
    assert main(["digest", f"--config={config_file}", f"--dry-run={folder}", "--day=2026-06-08"]) == 0
    text = (folder / "digest.md").read_text()
    assert text.startswith("# Monday, 8 June: $3.00 of $10 (30%)\n")
    assert "![Spend by day" in text
    assert (folder / "digest.png").read_bytes().startswith(b"\x89PNG")
    assert text in capsys.readouterr().out
    assert main(["digest", f"--config={config_file}", f"--dry-run={folder}"]) == 0
    assert (folder / "digest.md").read_text().startswith("# Tuesday, 9 June: $0.00 of $10 (0%)\n")


@pytest.mark.parametrize("has_cost", [True, False])
def test_a_log_without_costs_is_not_said_to_cost_nothing(log: Log, tmp_path: Path, *, has_cost: bool) -> None:
    log.insert(at=datetime.now(UTC) - timedelta(days=1), cost="0.5")
    settings: dict[str, Any] = {} if has_cost else {"columns": {"log": {"cost": "=NULL"}}}
    shown = embed(digest_of(log, tmp_path, **settings), picture=False)
    assert ("The log has no costs" in shown["footer"]["text"]) is not has_cost
