"""Values that cannot be used: reported by field and reason, while the rest of the row, and every other row, counts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.demo.profiles import USERS
from tests.support.harness import Log, running, wait_for
from tests.support.scraped import Scraped, counted

SERIES = ("email-compose", "deepseek-v3.2")
LABELS = {"operation": SERIES[0], "model": SERIES[1]}
GOOD = {"cost_usd": "0.5", "input_tokens": "100", "output_tokens": "10", "latency_ms": "1200"}
FIELDS = {"cost_usd": "cost", "input_tokens": "input_tokens", "output_tokens": "output_tokens", "latency_ms": "latency"}


@pytest.fixture
def success_log(embedded_database: str) -> Iterator[Log]:
    with Log(embedded_database, "success") as log:
        yield log


def skips(scraped: Scraped) -> dict[tuple[str, str], float]:
    """Values that could not be used, by field and reason, zeros left out."""
    return {
        (dict(labels)["field"], dict(labels)["reason"]): value
        for (_, labels), value in scraped.having("ai_rows_skipped_total").items()
        if value
    }


def bad_row(log: Log, column: str, value: str) -> None:
    row = log.insert(1, cost="0.5")
    log.execute(f"UPDATE ai_operation_log SET {column} = {value} WHERE id = %s", row)


@pytest.mark.parametrize(
    ("column", "kind"),
    [*((column, "numeric") for column in FIELDS), ("cost_usd", "double precision"), ("latency_ms", "real")],
)
def test_numbers_that_are_none(success_log: Log, tmp_path: Path, kind: str, column: str) -> None:
    log = success_log
    log.execute(f"ALTER TABLE ai_operation_log ALTER {column} TYPE {kind}")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        good = exporter.scrape()
        assert skips(good) == {}
        for value in ("'NaN'", "'Infinity'", "'-Infinity'", "-1", "1e30", "-0.000001", "-1e30"):
            bad_row(log, column, value)
        bad_row(log, column, "NULL")
        scraped = exporter.scrape()
        field = FIELDS[column]
        # a cost below 0 is a refund
        below, beyond = {"cost_usd": (0, 4)}.get(column, (4, 2))
        expected = {(field, "nan"): 1, (field, "negative"): below, (field, "too_large"): beyond}
        assert skips(scraped) == {skip: count for skip, count in expected.items() if count}
        refunded = 1_000_001 if column == "cost_usd" else 0
        assert scraped.micro("ai_operation_refunds_usd_total") == refunded
        figures = counted(scraped)[SERIES]
        assert figures.calls == 9
        assert figures.cost == 500_000 * (1 if column == "cost_usd" else 9)
        assert figures.input_tokens == 100 * (1 if column == "input_tokens" else 9)
        assert figures.output_tokens == 10 * (1 if column == "output_tokens" else 9)
        assert scraped.one("ai_operation_latency_seconds_count", **LABELS) == (1 if column == "latency_ms" else 9)
        assert scraped.micro("ai_spend_today_usd") == figures.cost - refunded
        log.insert(0, cost="0.25")
        assert exporter.scrape().money == figures.cost - refunded + 250_000


def test_the_largest_and_smallest_values_that_count(success_log: Log, tmp_path: Path) -> None:
    log = success_log
    log.execute("ALTER TABLE ai_operation_log ALTER cost_usd TYPE numeric")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="999999.999999", latency_ms=0)
        log.insert(1, cost="0.000000000001", input_tokens=0, output_tokens=2_147_483_647 // 3)
        log.insert(1, cost="0", input_tokens=0, output_tokens=0)
        scraped = exporter.scrape()
        assert skips(scraped) == {}
        assert scraped.one("ai_operation_cost_usd_total", **LABELS) == 999999.999999000001
        assert scraped.one("ai_operation_latency_seconds_bucket", le="0.05", **LABELS) == 1


def test_rows_without_a_usable_time_are_found(log: Log, tmp_path: Path) -> None:
    for value in ("NULL", "'infinity'", "'-infinity'", "'infinity'"):
        row = log.insert(1)
        log.execute(f"UPDATE ai_operation_log SET {{time}} = {value} WHERE id = %s", row)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        expected = {("time", "null"): 1.0, ("time", "infinite"): 3.0}
        wait_for(lambda: skips(exporter.scrape()) == expected, lambda: str(skips(exporter.last)))
        log.insert(1)
        scraped = exporter.scrape()
        assert counted(scraped)[SERIES].calls == 1
        assert scraped.one("ai_operation_log_newest_row_timestamp_seconds") < datetime.now(UTC).timestamp() + 60


FAR_AWAY = ("0001-01-01", "0044-03-15 BC", "1969-12-31 23:59:59.999999", "9999-12-31", "294276-12-31")


def test_times_far_away_disturb_nothing(log: Log, tmp_path: Path) -> None:
    for at in FAR_AWAY:
        row = log.insert(1, cost="7")
        log.execute("UPDATE ai_operation_log SET {time} = %s::timestamp WHERE id = %s", at, row)
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, cost="0.5")
        scraped = exporter.scrape()
        assert scraped.up == 1
        assert scraped.money == 500_000
        assert scraped.micro("ai_spend_month_usd") == 500_000
        assert abs(scraped.one("ai_operation_log_newest_row_timestamp_seconds") - datetime.now(UTC).timestamp()) < 30


def test_a_backfill_from_long_ago_is_quick_about_nothing(success_log: Log, tmp_path: Path) -> None:
    success_log.insert(at=datetime.now(UTC) - timedelta(days=90), cost="0.125")
    since = datetime.now(UTC) - timedelta(days=100)
    with running(success_log.url, tmp_path, since) as exporter:
        assert exporter.wait_ready().scrape().money == 125_000


def test_outcomes_that_say_nothing(log: Log, tmp_path: Path) -> None:
    column, constraint = ("success", "ALTER success DROP NOT NULL")
    values = ["NULL"]
    if log.layout == "status":
        column, constraint = ("status", "DROP CONSTRAINT ai_operation_log_status_check")
        values = ["NULL", "'cancelled'", "''", "'SUCCESS'"]
    log.execute(f"ALTER TABLE ai_operation_log {constraint}")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for value in values:
            bad_row(log, column, value)
        log.insert(1, cost="0.5")
        scraped = exporter.scrape()
        # their cost and tokens count, they are neither final nor in progress
        figures = counted(scraped)[SERIES]
        assert figures == (1, 0, 500_000 * (len(values) + 1), 100 * (len(values) + 1), 10 * (len(values) + 1))
        expected = {("status", "null"): 1.0} | ({("status", "unknown"): 3.0} if log.layout == "status" else {})
        assert skips(scraped) == expected
        assert scraped.total("ai_operations_in_progress") == 0
        assert scraped.one("ai_operation_latency_seconds_count", **LABELS) == 1


def test_a_row_with_nothing_in_it(success_log: Log, tmp_path: Path) -> None:
    log = success_log
    for column in ("operation_type", "model_used", "success"):
        log.execute(f"ALTER TABLE ai_operation_log ALTER {column} DROP NOT NULL")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.execute("INSERT INTO ai_operation_log (success, cost_usd) VALUES (true, 0.5)")
        log.execute("INSERT INTO ai_operation_log (cost_usd, created_at) VALUES (0.25, now())")
        log.execute("INSERT INTO ai_operation_log DEFAULT VALUES")
        scraped = exporter.scrape()
        assert counted(scraped) == {("unknown", "unknown"): (1, 0, 750_000, 0, 0)}
        assert scraped.one("ai_user_spend_today_usd", user="unattributed") == 0.75


LABEL_TEXTS = (
    "plain",
    "two\nlines",
    "tab\there",
    "bell\x07",
    "delete\x7f",
    "c1\x85control",
    'quo"te',
    "back\\slash",
    "new\\nline",
    "comma,brace{}",
    "ユーザー",
    "😀" * 200,
    "a" * 1000,
    "a" * 128,
    " padded ",
    "   ",
    "",
    "\u2028separator",
    "\u202eoverride",
    "e\u0301",
    "%s {x} %(y)s",
)


def test_any_text_is_a_label_and_none_stands_twice(success_log: Log, tmp_path: Path) -> None:
    log = success_log
    with running(log.url, tmp_path, users={"max_series": 1000, "top": 1000}) as exporter:
        exporter.wait_ready()
        log.execute("ALTER TABLE ai_operation_log ALTER user_id TYPE text")
        for text in LABEL_TEXTS:
            for operation, model in ((text, "m"), ("o", text)):
                row = log.insert(1, operation="x", cost="0.000001")
                log.execute(
                    "UPDATE ai_operation_log SET operation_id = %s, operation_type = %s, model_used = %s, user_id = %s"
                    " WHERE id = %s",
                    operation,
                    operation,
                    model,
                    text,
                    row,
                )
        scraped = exporter.scrape()
        assert scraped.up == 1
        assert scraped.money == 2 * len(LABEL_TEXTS)
        assert scraped.micro("ai_spend_today_usd") == 2 * len(LABEL_TEXTS)
        assert scraped.micro("ai_user_spend_today_usd") == 2 * len(LABEL_TEXTS)
        for name, label in (("ai_operations_total", "operation"), ("ai_operations_total", "model")):
            values = scraped.labels(name, label)
            assert {"plain", "unknown", "padded", "two lines", "a" * 128, "😀" * 128} <= set(values)
            for value in values:
                assert 0 < len(value) <= 128
                assert value.isprintable() or "\u202e" in value
        assert scraped.micro("ai_operation_cost_usd_total", operation="a" * 128) == 2
        assert scraped.micro("ai_operation_cost_usd_total", operation="unknown") == 2


def test_a_client_of_another_encoding_does_not_matter(success_log: Log, tmp_path: Path) -> None:
    log = success_log
    log.execute(f"ALTER DATABASE {log.connection.info.dbname} SET client_encoding = 'LATIN1'")
    log.execute(f"ALTER DATABASE {log.connection.info.dbname} SET DateStyle = 'German, DMY'")
    log.execute(f"ALTER DATABASE {log.connection.info.dbname} SET TimeZone = 'Asia/Tokyo'")
    log.execute(f"ALTER DATABASE {log.connection.info.dbname} SET extra_float_digits = 0")
    log.execute(f"ALTER DATABASE {log.connection.info.dbname} SET bytea_output = 'escape'")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, operation="ユーザー", cost="0.5")
        assert exporter.scrape().micro("ai_operation_cost_usd_total", operation="ユーザー") == 500_000


def test_error_messages_of_any_kind_find_a_class(success_log: Log, tmp_path: Path) -> None:
    with running(success_log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for message in (None, "", "x" * 1_000_000, "\n\n", "((((", "ユーザー 429 😀"):
            success_log.insert(1, outcome="failed", message=message)
        scraped = exporter.scrape()
        assert scraped.total("ai_operation_failures_total") == 6
        assert scraped.one("ai_operations_total", **LABELS) == 6


BEYOND = {("limit", "too_large"): 1.0}
LIMITS = {
    "'NaN'": {("limit", "nan"): 1.0},
    "-5": {("limit", "negative"): 1.0},
    "-1e320": {("limit", "negative"): 1.0},
    "NULL": {},
    "'Infinity'": {},
    "'-Infinity'": {("limit", "negative"): 1.0},
    "1e40": BEYOND,
    "1e320": BEYOND,
    "1e131071": BEYOND,
    "1000000000001": BEYOND,
}
"""Limits that are none, and what is reported of them. An infinite one is a way to say that there is none."""


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_that_are_none(success_log: Log, tmp_path: Path, limit: str) -> None:
    log = success_log
    log.execute("ALTER TABLE cost_budgets ALTER daily_limit_usd TYPE numeric")
    log.execute(
        f"INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, {limit}), (%s, 10)", USERS[0], USERS[1]
    )
    log.execute("UPDATE cost_budgets SET current_spend_today = NULL WHERE user_id = %s", USERS[1])
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        for user in USERS[:2]:
            log.insert(1, user=user, cost="1")
        exporter.scrape()
        scraped = exporter.scrape()
        assert scraped.collectors["budgets"] == 1
        assert scraped.one("ai_user_daily_limit_usd", user=str(USERS[1])) == 10
        assert not scraped.having("ai_user_daily_limit_usd", user=str(USERS[0]))
        assert scraped.one("ai_budget_users", state="unlimited") == 1
        assert scraped.one("ai_budget_users", state="ok") == 1
        assert skips(scraped) == LIMITS[limit]


@pytest.mark.parametrize(("limit", "shown"), [("0", 0), ("1e-320", 0), ("1e-12", 1e-12), ("1000000000000", 1e12)])
def test_the_smallest_and_largest_limits_that_count(success_log: Log, tmp_path: Path, limit: str, shown: float) -> None:
    log = success_log
    log.execute("ALTER TABLE cost_budgets ALTER daily_limit_usd TYPE numeric")
    log.execute(f"INSERT INTO cost_budgets (user_id, daily_limit_usd) VALUES (%s, {limit})", USERS[0])
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, user=USERS[0], cost="1")
        exporter.scrape()
        scraped = exporter.scrape()
        assert scraped.one("ai_user_daily_limit_usd", user=str(USERS[0])) == shown
        assert scraped.one("ai_budget_users", state="exceeded") == (shown < 1)
        assert skips(scraped) == {}


@pytest.mark.parametrize(
    ("column", "kind"), [("warning_threshold_usd", "numeric"), ("warning_threshold_percentage", "double precision")]
)
@pytest.mark.parametrize("threshold", ["'NaN'", "-1", "1e30", "'Infinity'", "1e-30", "NULL"])
def test_thresholds_of_any_size_leave_the_limits(
    success_log: Log, tmp_path: Path, column: str, kind: str, threshold: str
) -> None:
    log = success_log
    log.execute(f"ALTER TABLE cost_budgets DROP warning_threshold_usd, ADD {column} {kind}")
    log.execute(f"INSERT INTO cost_budgets (user_id, daily_limit_usd, {column}) VALUES (%s, 10, {threshold})", USERS[0])
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, user=USERS[0], cost="7")
        scraped = exporter.scrape()
        assert scraped.one("ai_user_daily_limit_usd", user=str(USERS[0])) == 10
        # where a threshold cannot be used it is four fifths of the limit
        assert scraped.one("ai_budget_users", state="warning" if threshold == "1e-30" else "ok") == 1
        assert skips(scraped) == (BEYOND if threshold == "1e30" else {})


def test_recorded_spend_that_is_none_is_not_summed(success_log: Log, tmp_path: Path) -> None:
    log = success_log
    log.execute("ALTER TABLE cost_budgets ALTER current_spend_today TYPE numeric")
    for value in ("'NaN'", "-1", "-1e320", "1e320", "1e131071", "'Infinity'", "'-Infinity'", "NULL", "2.5", "1e-320"):
        log.execute(f"INSERT INTO cost_budgets (user_id, current_spend_today) VALUES (gen_random_uuid(), {value})")
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1, user=USERS[0], cost="1")
        scraped = exporter.scrape()
        assert scraped.collectors["budgets"] == 1
        assert scraped.one("ai_budget_recorded_spend_today_usd") == 2.5
        assert scraped.one("ai_user_spend_today_usd", user=str(USERS[0])) == 1
        field = "recorded_spend"
        assert skips(scraped) == {(field, "nan"): 1, (field, "negative"): 3, (field, "too_large"): 3}


def test_the_largest_recorded_spends_add_up(success_log: Log, tmp_path: Path) -> None:
    log = success_log
    log.execute("ALTER TABLE cost_budgets ALTER current_spend_today TYPE numeric")
    log.execute(
        "INSERT INTO cost_budgets (user_id, current_spend_today)"
        " SELECT gen_random_uuid(), 1e12 FROM generate_series(1, 1000)"
    )
    with running(log.url, tmp_path) as exporter:
        exporter.wait_ready()
        log.insert(1)
        assert exporter.scrape().one("ai_budget_recorded_spend_today_usd") == 1e15
