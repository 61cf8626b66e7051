"""Expressions, conditions and units of time, as the database has them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.advisor.advise import recommend
from exporter.config.columns import MAY_LACK
from exporter.config.expressions import CONSTRUCTS, FUNCTIONS
from exporter.database.conninfo import resolve_conninfo
from exporter.database.one_session import one_session
from exporter.database.reader import read_span
from exporter.ledger.model import TimeRange
from tests.support.harness import Log, config_for, fixed_layout, running, wait_for
from tests.support.preflight import Bench, check
from tests.support.scraped import said

layout = fixed_layout("success")


def test_no_function_does_more_than_compute_one_value(log: Log) -> None:
    found = log.execute(
        "SELECT proname, bool_and(prokind = 'f' AND NOT proretset AND provolatile <> 'v') FROM pg_proc"
        " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY(%s) GROUP BY 1",
        list(FUNCTIONS),
    )
    assert {name for name, fit in found if fit} == FUNCTIONS - CONSTRUCTS


@pytest.mark.parametrize(
    ("role", "written", "says"),
    [
        ("latency", "=model_used", "=model_used is of type character varying, where a number is needed"),
        ("latency", "=now_is_not_there", "no column now_is_not_there"),
        ("cost", "=cost_usd || 'x'", "=cost_usd || 'x' is of type text, where a number is needed"),
        ("cost", "=model_used + 1", "PostgreSQL refuses '=model_used + 1': operator does not exist"),
        ("cost", "=lower(cost_usd)", "function lower(numeric) does not exist"),
        ("success", "=status_code < 400", "no column status_code"),
        ("success", "=latency_ms", "is of type integer, where boolean is needed"),
        ("model", "=latency_ms", "is of type integer, where text is needed"),
        ("input_tokens", "='x'::int", "PostgreSQL refuses"),
        ("where", "latency_ms", "columns.log.where is of type integer, where a condition is needed"),
        ("where", "nobody = 1", "no column nobody"),
    ],
)
def test_an_expression_that_does_not_fit_is_named_with_its_setting(
    bench: Bench, role: str, written: str, says: str
) -> None:
    found = bench.check(columns={"log": {role: written}}).entries["columns"]
    assert found.mark == "FAIL"
    assert says in found.detail, found
    assert f"columns.log.{role}" in " ".join([found.detail, *found.hint])


def test_a_value_that_an_expression_cannot_make_is_found(bench: Bench) -> None:
    bench.run(
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, error_message, created_at)"
        " VALUES ('chat', 'email-compose', 'm', true, '12x', now() AT TIME ZONE 'UTC')"
    )
    found = bench.check(columns={"log": {"latency": "=error_message::numeric"}}).entries["open window"]
    assert found.mark == "FAIL"
    assert found.detail.startswith("=error_message::numeric: ")
    assert "expression" in found.hint[0]


def test_an_expression_follows_a_change_of_the_table(log: Log, tmp_path: Path) -> None:
    columns = {"log": {"latency": "=latency_ms * 1", "model": "=COALESCE(model_used, 'größe 100%')"}}
    with running(log.url, tmp_path, columns=columns) as exporter:
        exporter.wait_ready()
        log.insert(1, latency_ms=1500)
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == 1, lambda: "no call")
        log.execute("ALTER TABLE ai_operation_log ALTER latency_ms TYPE numeric(12, 3)")
        log.insert(1, latency_ms=2500)
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == 2, lambda: str(exporter.exporter.status()))
        assert exporter.scrape().total("ai_operation_latency_seconds_sum") == 4.0


UNITS = {"s": 1, "ms": 1000, "us": 1_000_000}


@pytest.mark.parametrize("kind", ["bigint", "numeric", "double precision"])
@pytest.mark.parametrize("unit", UNITS)
def test_times_that_are_numbers_count_where_they_lie(log: Log, tmp_path: Path, unit: str, kind: str) -> None:
    log.execute(
        f"ALTER TABLE ai_operation_log ALTER created_at DROP DEFAULT, ALTER created_at DROP NOT NULL,"
        f" ALTER created_at TYPE {kind} USING extract(epoch FROM created_at) * {UNITS[unit]}"
    )
    calls = []
    for minutes in (0, 1, 3, 14, 15, 16, 59, 61, 240, 1439, 2000):
        at = datetime.now(UTC) - timedelta(minutes=minutes, seconds=1)
        value = int(at.timestamp() * UNITS[unit])
        insert(log, value)
        calls.append(at)
    # what cannot be meant: no time, and one in another unit
    insert(log, None)
    insert(log, int(datetime.now(UTC).timestamp()) * 10**9)
    since = datetime.now(UTC) - timedelta(days=3)
    # a zone means nothing here
    settings: dict[str, Any] = {"columns": {"log": {"time_unit": unit}}, "log_time_zone": "Asia/Kathmandu"}
    with running(log.url, tmp_path, since, **settings) as exporter:
        exporter.wait_ready()
        insert(log, int(datetime.now(UTC).timestamp() * UNITS[unit]))
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == len(calls) + 1, lambda: str(exporter.last))
        scraped = exporter.scrape()
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        assert scraped.micro("ai_spend_today_usd") == 1000 * (1 + sum(at >= midnight for at in calls))
        wait_for(
            lambda: exporter.scrape().one("ai_rows_skipped_total", field="time", reason="infinite") == 1,
            lambda: "the time in another unit is not reported",
        )
        assert exporter.scrape().one("ai_rows_skipped_total", field="time", reason="null") == 1
    report = check(log.url, tmp_path, **settings)
    assert report.entries["columns"].mark == "ok"
    assert report.entries["time zones"].mark == "ok", report.text
    assert report.entries["undated rows"].mark == "warn"


def insert(log: Log, at: int | None) -> None:
    log.execute(
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, cost_usd, success, created_at)"
        " VALUES ('chat', 'email-compose', 'm', 0.001, true, %s)",
        at,
    )


def test_a_time_that_is_a_number_needs_its_unit(bench: Bench) -> None:
    bench.run(
        "ALTER TABLE ai_operation_log ALTER created_at DROP DEFAULT,"
        " ALTER created_at TYPE bigint USING extract(epoch FROM created_at)"
    )
    found = bench.check().entries["columns"]
    assert "columns.log.time_unit: s, ms or us" in found.hint[0]
    assert bench.check(columns={"log": {"time_unit": "s"}}).code == 0
    bench.run("UPDATE ai_operation_log SET created_at = created_at * 1000")
    wrong = bench.check(columns={"log": {"time_unit": "s"}}).entries["undated rows"]
    assert (wrong.mark, "columns.log.time_unit" in wrong.hint[0]) == ("warn", True)
    assert bench.check(columns={"log": {"time_unit": "ms"}}).code == 0


@pytest.mark.parametrize("unit", UNITS)
def test_a_timestamp_has_no_unit(bench: Bench, unit: str) -> None:
    found = bench.check(columns={"log": {"time_unit": unit}}).entries["columns"]
    assert "created_at is of type timestamp without time zone, where a number is needed" in found.detail
    assert found.hint[0].endswith("leave columns.log.time_unit out: it is for times that are numbers")
    assert "CREATE VIEW" not in found.hint[0]


ABSENT = {
    "user": ("ai_user_spend_today_usd",),
    "latency": ("ai_operation_latency_seconds_count", "ai_operations_over_timeout_total"),
    "input_tokens": ("ai_operation_input_tokens_total", "ai_operations_unpriced_total"),
    "output_tokens": ("ai_operation_output_tokens_total",),
    "cost": ("ai_operation_cost_usd_total", "ai_spend_today_usd", "ai_user_spend_today_usd"),
    "error_message": (),
}


@pytest.mark.parametrize("role", ABSENT)
def test_what_a_log_lacks_is_absent_and_not_zero(log: Log, tmp_path: Path, role: str) -> None:
    column = {"user": "user_id", "cost": "cost_usd", "latency": "latency_ms"}.get(role, role)
    log.execute(f"ALTER TABLE ai_operation_log DROP COLUMN {column}")
    columns = {"log": {role: "=NULL"}}
    with running(log.url, tmp_path, columns=columns) as exporter:
        exporter.wait_ready()
        log.execute(
            "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, created_at)"
            " VALUES ('chat', 'a', 'm', false, now() AT TIME ZONE 'UTC'),"
            " ('chat', 'a', 'm', true, now() AT TIME ZONE 'UTC')"
        )
        wait_for(lambda: exporter.scrape().total("ai_operations_total") == 2, lambda: str(exporter.exporter.status()))
        scraped = exporter.scrape()
        assert scraped.total("ai_operation_failures_total") == 1
        assert not [name for name in ABSENT[role] if scraped.has(name)]
        others = {name for lacking, names in ABSENT.items() if lacking != role for name in names}
        kept = others - set(ABSENT[role]) - {"ai_operations_unpriced_total", "ai_user_spend_today_usd"}
        assert {name for name in kept if scraped.has(name)} == kept - (
            {"ai_operation_cost_usd_total"} if role == "cost" else set()
        )
    report = check(log.url, tmp_path, columns=columns)
    assert report.entries["columns"].mark == "ok", report.text
    assert report.entries["open window"].mark == "ok", report.text


def test_a_condition_leaves_out_what_is_no_call_everywhere(log: Log, tmp_path: Path) -> None:
    columns = {"log": {"where": "operation_type <> 'top-up' AND model_used NOT LIKE '50%'"}}
    for kind, model in (("chat", "m"), ("top-up", "m"), ("chat", "50% of it"), ("chat", "m")):
        log.execute(
            "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, cost_usd, success, created_at)"
            " VALUES (%s, 'a', %s, 0.5, true, now() AT TIME ZONE 'UTC' - interval '5 seconds')",
            kind,
            model,
        )
    log.execute(
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, created_at)"
        " VALUES ('top-up', 'a', 'm', true, 'infinity')"
    )
    since = datetime.now(UTC) - timedelta(hours=1)
    with running(log.url, tmp_path, since, columns=columns) as exporter:
        exporter.wait_ready()
        scraped = exporter.scrape()
        assert scraped.total("ai_operations_total") == 2
        assert scraped.money == 1_000_000
        assert scraped.one("ai_rows_skipped_total", field="time", reason="infinite") == 0


def test_other_settings_of_the_same_log_are_taken_over_and_no_counter_falls(log: Log, tmp_path: Path) -> None:
    since = datetime.now(UTC) - timedelta(hours=3)
    for minutes in (1, 20, 100):
        log.insert(60 * minutes, cost="0.01", latency_ms=1000)
    with running(log.url, tmp_path, since) as before:
        before.wait_ready()
        assert before.scrape().money == 30_000
    changed = {"log": {"model": "=upper(model_used)", "latency": "=latency_ms * 2", "where": "cost_usd > 0"}}
    with running(log.url, tmp_path, after=before, columns=changed) as after:
        after.wait_in_force()
        log.insert(1, cost="0.01", latency_ms=1000)
        wait_for(lambda: after.scrape().total("ai_operations_total") == 4, lambda: str(after.last))
        scraped = after.scrape()
        assert scraped.labels("ai_spend_today_usd", "model")[0] == "DEEPSEEK-V3.2"
        assert scraped.money == 40_000


def test_an_expression_is_refused_before_anything_is_read(log: Log, tmp_path: Path, caplog: Any) -> None:
    with running(log.url, tmp_path, columns={"log": {"cost": "=model_used"}}) as exporter:
        assert exporter.scrape().up == 0
        assert said(caplog, "log:", "=model_used is of type character varying", "columns.log.cost")


def test_another_type_s_name_is_written_as_the_catalog_has_it(log: Log, tmp_path: Path) -> None:
    log.execute('CREATE SCHEMA "Our App"')
    log.execute("CREATE TYPE \"Our App\".\"Mo.od\" AS ENUM ('good', 'bad')")
    log.execute('CREATE DOMAIN "Our App"."Mo.ney" AS numeric(12, 6) NOT NULL DEFAULT 0 CHECK (VALUE >= 0)')
    log.execute('ALTER TABLE ai_operation_log ADD mood "Our App"."Mo.od" DEFAULT \'good\'')
    log.execute('ALTER TABLE ai_operation_log ADD paid "Our App"."Mo.ney"')
    columns = {"log": {"model": "=mood::text || '!'", "cost": "=paid + 1"}}
    with running(log.url, tmp_path, columns=columns) as exporter:
        exporter.wait_ready()
        log.insert(1)
        wait_for(lambda: exporter.scrape().money == 1_000_000, lambda: str(exporter.exporter.status()))
        assert exporter.scrape().labels("ai_operations_total", "model") == ["good!"]


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_times_are_taken_over_in_another_column_and_unit(log: Log, tmp_path: Path, unit: str) -> None:
    log.execute("ALTER TABLE ai_operation_log ADD ts bigint; CREATE INDEX ON ai_operation_log (ts)")
    for minutes in (1, 20, 100):
        log.insert(60 * minutes, cost="0.01")
    # the new times lie some minutes before the old ones
    earlier = f"extract(epoch FROM created_at - interval '7 minutes') * {UNITS[unit]}"
    log.execute(f"UPDATE ai_operation_log SET ts = {earlier}")
    since = datetime.now(UTC) - timedelta(hours=3)
    made = {"model": "=upper(model_used)", "where": "cost_usd > 0"}
    with running(log.url, tmp_path, since, columns={"log": made}) as before:
        before.wait_ready()
        assert before.scrape().money == 30_000
    changed = {"log": {**made, "time": "ts", "time_unit": unit}}
    with running(log.url, tmp_path, after=before, columns=changed) as after:
        after.wait_in_force()
        log.insert(1, cost="0.01")
        log.execute(f"UPDATE ai_operation_log SET ts = extract(epoch FROM now()) * {UNITS[unit]} WHERE ts IS NULL")
        wait_for(lambda: after.scrape().money == 40_000, lambda: str(after.last.money))
        assert after.scrape().total("ai_operations_total") == 4


@pytest.mark.parametrize("free", ["=error_message = 'cached'", "=CASE error_message WHEN 'cached' THEN true END"])
def test_a_call_that_is_free_of_charge_is_none_without_a_price(log: Log, tmp_path: Path, free: str) -> None:
    since = datetime.now(UTC) - timedelta(hours=2)
    for message, cost in (("cached", "0"), ("cached", None), (None, "0"), (None, None), (None, "0.5"), ("x", "0")):
        log.insert(2000, cost=cost, message=message, model="gpt-4o")
    with running(log.url, tmp_path / "plain", since) as exporter:
        exporter.wait_ready()
        wait_for(lambda: exporter.scrape().total("ai_operations_unpriced_total") == 5, lambda: str(exporter.last))
        assert exporter.scrape().total("ai_operations_checked_total") == 6
    with running(log.url, tmp_path / "free", since, columns={"log": {"free": free}}) as exporter:
        exporter.wait_ready()
        wait_for(lambda: exporter.scrape().total("ai_operations_unpriced_total") == 3, lambda: str(exporter.last))
        scraped = exporter.scrape()
        assert scraped.total("ai_operations_checked_total") == 4
        assert scraped.total("ai_operations_total") == 6


SETTINGS = {
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-10",
    "bytea_output": "escape",
}


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ("=(created_at AT TIME ZONE 'UTC')::text", "2026-06-01 20:30:00+00"),
        ("=extract(hour FROM created_at AT TIME ZONE 'UTC')::text", "20"),
        ("=to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI TZ')", "2026-06-01 20:30 UTC"),
        ("=(created_at AT TIME ZONE 'UTC')::date::text", "2026-06-01"),
        (
            "=CASE WHEN '2026-02-03'::date = '03/02/2026'::date THEN 'day' ELSE 'month' END",
            "month",
        ),
        ("=CASE WHEN '12/31/2020'::date < '2021-01-01' THEN 'yes' ELSE 'no' END", "yes"),
        ("=make_interval(0, 0, 0, 0, 90)::text", "90:00:00"),
        ("=(1::float8 / 3)::text", "0.3333333333333333"),
        ("=raw::text", "\\x6162"),
    ],
)
def test_an_expression_gives_the_same_whatever_the_role_has_set(
    log: Log, tmp_path: Path, written: str, model: str
) -> None:
    log.execute("ALTER TABLE ai_operation_log ADD raw bytea DEFAULT 'ab'")
    at = datetime(2026, 6, 1, 20, 30, tzinfo=UTC)
    log.insert(1, at=at)
    settings: dict[str, Any] = {"columns": {"log": {"model": written}}}
    config = config_for(log.url, tmp_path, settings)
    span = TimeRange(int(at.timestamp()) // 60 * 60, int(at.timestamp()) // 60 * 60 + 60)
    rules = config.classification()
    for name, value in SETTINGS.items():
        log.execute(f"ALTER ROLE CURRENT_USER SET {name} = '{value}'")
    try:
        with one_session(config, resolve_conninfo(config, {}), "test", 60.0) as session:
            found = read_span(session, session.log(rules), rules, span, width=60)
        assert [series.model for bucket in found.values() for series in bucket.cells] == [model]
    finally:
        for name in SETTINGS:
            log.execute(f"ALTER ROLE CURRENT_USER RESET {name}")


def test_a_log_may_lack_all_that_it_can(bench: Bench) -> None:
    lacking = dict.fromkeys(sorted(MAY_LACK), "=NULL")
    report = bench.check(columns={"log": lacking})
    assert report.code == 0, report.text
    assert report.entries["open window"].mark == "ok"


def test_rows_that_are_no_calls_are_not_recommended_about(log: Log, tmp_path: Path) -> None:
    with log.together():
        for number in range(120):
            for operation, model in (("email-compose", "wanted 5%"), ("top-up", "no model")):
                log.insert(60 * number, operation=operation, model=model, outcome="failed" if number % 2 else "success")
    settings: dict[str, Any] = {
        "columns": {"log": {"where": "operation_id <> 'top-up'", "model": "=initcap(model_used) || ' %s {calls}'"}},
        "expected_operations": [],
    }
    config = config_for(log.url, tmp_path, settings)
    found = recommend(config, {})
    assert "email-compose" in {each.operation for each in found}
    assert "top-up" not in {each.operation for each in found}
    for each in found:
        assert log.execute(each.evidence.rpartition("pg_temp;\n")[2].replace("%", "%%")), each


@pytest.mark.parametrize(
    ("role", "written", "mark"),
    [
        ("cost", "=latency_ms / 100", "FAIL"),
        ("cost", "=(latency_ms / 100)::numeric", "FAIL"),
        ("cost", "=CASE WHEN success THEN COALESCE(latency_ms, 0) / 500000 * 1.08 ELSE 0.0 END", "FAIL"),
        ("cost", "=round(latency_ms / 100, 2)", "FAIL"),
        ("cost", "=latency_ms / length(model_used) / 2.0", "FAIL"),
        ("cost", "=('{\"a\": 150}'::json ->> 'a')::int / 100", "FAIL"),
        ("latency", "=latency_ms / 1000", "warn"),
        ("input_tokens", "=length(error_message) / 4", "warn"),
        ("cost", "=latency_ms / 100.0", "ok"),
        ("cost", "=latency_ms::numeric / 100", "ok"),
        ("cost", "=div(latency_ms, 100)", "ok"),
        ("cost", "=cost_usd / 2", "ok"),
        ("cost", "=cost_usd", "ok"),
        ("latency", "=extract(epoch FROM created_at - timestamp '2026-01-01') / 60", "ok"),
    ],
)
def test_a_division_that_drops_decimals_is_found(bench: Bench, role: str, written: str, mark: str) -> None:
    found = bench.check(columns={"log": {role: written}}).entries["division"]
    assert found.mark == mark, found
    assert mark == "ok" or f"columns.log.{role}" in found.detail


@pytest.mark.parametrize(
    ("where", "mark", "says"),
    [
        ("NOT is_test", "warn", "is NULL for 2 of 6 rows"),
        ("is_test = false", "warn", "is NULL for 2 of 6 rows"),
        ("error_message NOT IN ('x')", "warn", "is NULL for 6 of 6 rows"),
        ("model_used <> NULL", "warn", "is NULL for 6 of 6 rows"),
        ("false", "warn", "none of 6 rows"),
        ("is_test IS NOT TRUE", "ok", "4 of 6 rows"),
        ("COALESCE(is_test, false) = false", "ok", "4 of 6 rows"),
        ("model_used LIKE '%%' AND latency_ms % 2 = 0", "ok", "6 of 6 rows"),
    ],
)
def test_check_says_which_rows_a_condition_leaves_out(
    log: Log, tmp_path: Path, where: str, mark: str, says: str
) -> None:
    log.execute("ALTER TABLE ai_operation_log ADD is_test boolean")
    for number in range(6):
        log.insert(number)
    log.execute("UPDATE ai_operation_log SET is_test = true WHERE id IN (SELECT id FROM ai_operation_log LIMIT 2)")
    log.execute(
        "UPDATE ai_operation_log SET is_test = false"
        " WHERE id IN (SELECT id FROM ai_operation_log WHERE is_test IS NULL LIMIT 2)"
    )
    found = check(log.url, tmp_path, columns={"log": {"where": where}}).entries["calls"]
    assert (found.mark, says in found.detail) == (mark, True), found


@pytest.mark.parametrize("outcome", ["ok", "failed", "timeout", "running"])
def test_rows_without_a_word_may_be_all_that_is_known(log: Log, tmp_path: Path, outcome: str) -> None:
    outcomes = {"ok": ["success"], outcome: [None]} if outcome != "ok" else {"ok": [None]}
    columns = {"log": {"status": "=NULLIF(model_used, 'none')", "outcomes": outcomes}}
    for _ in range(3):
        log.insert(1, model="none", cost="0.5")
    report = check(log.url, tmp_path, columns=columns)
    assert (report.entries["open window"].mark, report.entries["outcomes"].mark) == ("ok", "ok"), report.text
    assert report.entries["outcomes"].detail.startswith("3 calls ")
