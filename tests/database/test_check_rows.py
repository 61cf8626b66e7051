"""What `check` says of the rows: their times, operations, models, errors and limits."""

import io
from typing import Any

import psycopg
import pytest
import yaml

from exporter.catalog import USUAL_OPERATIONS
from exporter.config import Config
from exporter.config.names import RESERVED
from exporter.database.conninfo import resolve_conninfo
from exporter.database.transactions import Database
from exporter.preflight import run_check
from exporter.preflight.recent_activity import RecentActivity, look_back
from tests.support.preflight import (
    MODELS,
    Bench,
    Report,
    add_route,
    populate,
)


def test_rows_in_the_future_by_the_servers_zone_propose_it(bench: Bench) -> None:
    bench.run("DELETE FROM ai_operation_log", f"ALTER ROLE {bench.role} SET timezone = 'Etc/GMT-2'")
    populate(bench.admin, "success", "-2 hours")
    report = bench.check()
    assert report.code == 0
    found = report.entries["time zones"]
    assert found.mark == "warn"
    assert "27 rows are in the future, the newest by 2.0 h" in found.detail
    assert found.hint == ["log_time_zone: Etc/GMT-2"]
    assert bench.check(**yaml.safe_load(found.hint[0])).marked("warn") == set()


def test_rows_as_old_as_the_servers_zone_is_behind_propose_it(bench: Bench) -> None:
    bench.run("DELETE FROM ai_operation_log", f"ALTER ROLE {bench.role} SET timezone = 'Etc/GMT+5'")
    populate(bench.admin, "success", "5 hours")
    found = bench.check().entries["time zones"]
    assert (found.mark, found.hint) == ("warn", ["log_time_zone: Etc/GMT+5"])
    assert bench.check(**yaml.safe_load(found.hint[0])).entries["time zones"].mark == "ok"


def test_an_empty_log_passes_with_a_warning(bench: Bench) -> None:
    bench.run("DELETE FROM ai_operation_log")
    add_route(bench.admin, "deepseek")
    report = bench.check()
    assert report.code == 0
    assert report.entries["time zones"].detail.endswith("the log is empty")
    assert report.entries["registered operations"].detail == "no calls within 7 days"
    assert report.marked("warn") == {"registered operations"}


def test_a_time_column_that_knows_its_zone_is_understood(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_operation_log ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC'")
    report = bench.check(log_time_zone="Asia/Tokyo")
    assert report.code == 0
    assert report.entries["time zones"].detail.startswith("the column has a time zone")
    populate(bench.admin, "success", "-3 hours")
    bench.run("UPDATE ai_operation_log SET created_at = now() + interval '3 hours'")
    found = bench.check(log_time_zone="Asia/Tokyo").entries["time zones"]
    assert "27 rows" not in found.detail
    assert "synchronize the writer's clock" in found.hint[0]


def test_rows_without_a_usable_time_are_a_warning(bench: Bench) -> None:
    bench.run(
        "UPDATE ai_operation_log SET created_at = NULL WHERE model_used = 'claude-opus-4.5'",
        "UPDATE ai_operation_log SET created_at = 'infinity' WHERE operation_id = 'email-compose'",
    )
    report = bench.check()
    assert report.code == 0
    assert report.entries["undated rows"].mark == "warn"
    assert report.entries["undated rows"].detail.startswith("11 rows")


def test_operations_that_are_missing_renamed_or_not_expected_are_told(bench: Bench) -> None:
    bench.run("UPDATE ai_operation_log SET operation_id = 'email_compose' WHERE operation_id = 'email-compose'")
    bench.run("UPDATE ai_operation_log SET operation_id = 'quite-new' WHERE operation_id = 'calendar-prep'")
    report = bench.check()
    assert report.code == 0
    found = report.entries["registered operations"]
    assert (found.mark, found.detail) == ("warn", "not called within 7 days: calendar-prep, email-compose")
    assert found.hint[0] == "expected_operations: write email_compose for email-compose"
    assert found.hint[1].startswith("call each once")
    assert report.entries["other operations"].detail.endswith("not in expected_operations: email_compose, quite-new")
    known = [*(set(USUAL_OPERATIONS) - {"email-compose", "calendar-prep"}), "email_compose", "quite-new"]
    assert bench.check(expected_operations=known).marked("warn") == set()


def test_an_operation_older_than_a_week_is_missing(bench: Bench) -> None:
    bench.run("UPDATE ai_operation_log SET created_at = created_at - interval '6 days'")
    assert bench.check().marked("warn") == set()
    bench.run("UPDATE ai_operation_log SET created_at = created_at - interval '2 days' WHERE operation_id LIKE 'task%'")
    found = bench.check().entries["registered operations"]
    assert found.detail == "not called within 7 days: task-breakdown, task-prioritize"


def test_loose_model_names_come_with_the_aliases_that_fixes_them(bench: Bench) -> None:
    add_route(bench.admin, "deepseek", "gemini_flash")
    add_route(bench.admin, MODELS[2], "nothing-like-it")
    aliases = {"old": "deepseek"}
    report = bench.check(models={"aliases": aliases})
    assert report.code == 0
    found = report.entries["model names"]
    assert found.mark == "warn"
    assert found.detail.endswith("deepseek, gemini_flash, nothing-like-it")
    assert "# no name in the log resembles nothing-like-it; the log has" in found.hint[-1]
    settings = yaml.safe_load("\n".join(found.hint))
    assert settings["models"]["aliases"] == {
        "old": "deepseek-v3.2",
        "deepseek": "deepseek-v3.2",
        "gemini_flash": "gemini-2.0-flash",
    }
    again = bench.check(**settings).entries["model names"]
    assert again.detail.endswith(": nothing-like-it")
    bench.run("UPDATE ai_model_routes SET fallback_model = NULL WHERE fallback_model = 'nothing-like-it'")
    assert bench.check(**settings).entries["model names"].mark == "ok"


def test_several_routes_for_an_operation_come_with_sql_that_shows_them(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_model_routes DROP CONSTRAINT ai_model_routes_operation_id_key")
    bench.run(
        "INSERT INTO ai_model_routes (operation_id, operation_name, primary_model)"
        " VALUES ('chat', 'x', 'a'), ('chat', 'x', 'b')"
    )
    (found,) = [entry for name, entry in bench.check().findings if name == "routes" and entry.mark == "warn"]
    assert "such as chat" in found.detail
    assert bench.admin.execute(found.hint[0].encode()).fetchall() == [("chat", 2)]


def test_a_pattern_that_postgresql_refuses_names_its_class(bench: Bench) -> None:
    classes = [
        {"class": "auth", "patterns": ["denied"]},
        {"class": "timeout", "patterns": ["timed out", "(unclosed", "(?i)late"]},
    ]
    report = bench.check(error_classes=classes)
    assert report.code == 1
    assert report.text.count("FAIL  error patterns") == 2
    assert "error_classes[1].patterns[1] (class timeout) is not a valid regular expression" in report.text
    assert "error_classes[1].patterns[2] (class timeout)" in report.text
    assert report.entries["open window"].detail == "skipped: needs error patterns"
    assert report.entries["registered operations"].mark == "ok"


def test_a_pattern_that_matches_every_message_is_a_warning(bench: Bench) -> None:
    report = bench.check(error_classes=[{"class": "network", "patterns": ["dns", "(socket)*"]}])
    assert report.code == 0
    assert report.marked("warn") == {"error patterns"}
    assert "error_classes[0].patterns[1] (class network) matches every message" in report.text


def test_no_classes_at_all_are_fine(bench: Bench) -> None:
    assert bench.check(error_classes=[]).entries["error patterns"].detail == "0 patterns in 0 classes"


def test_limits_that_are_no_money_are_shown_by_the_query_for_them(bench: Bench) -> None:
    bench.run(
        "INSERT INTO cost_budgets (user_id, daily_limit_usd)"
        " SELECT gen_random_uuid(), x FROM unnest('{5, 10, NaN, -1, NULL}'::numeric[]) AS x"
    )
    report = bench.check()
    assert report.code == 0
    assert "5 users, 2 with a daily limit" in report.entries["budgets"].detail
    lines = report.text.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("warn  budgets"))
    assert "1 nan, 1 negative" in lines[at]
    found = bench.admin.execute(lines[at + 1].strip().encode()).fetchall()
    assert {str(limit) for _, limit, _ in found} == {"NaN", "-1.00"}


def test_limits_beyond_all_reason_are_shown_by_the_query_for_them(bench: Bench) -> None:
    bench.run(
        "ALTER TABLE cost_budgets ALTER daily_limit_usd TYPE numeric, ALTER warning_threshold_usd TYPE numeric,"
        " ALTER current_spend_today TYPE numeric",
        "INSERT INTO cost_budgets (user_id, daily_limit_usd, warning_threshold_usd, current_spend_today)"
        " VALUES (gen_random_uuid(), 1e320, 1, 1), (gen_random_uuid(), 7, 2e320, 1), (gen_random_uuid(), 8, 1, 3e320)",
    )
    report = bench.check()
    assert report.code == 0
    found = [entry for name, entry in report.findings if name == "budgets" and entry.mark == "warn"]
    assert ["2 too_large" in entry.detail for entry in found] == [True, False]
    assert "recorded spends" in found[1].detail
    rows = [bench.admin.execute(entry.hint[0].encode()).fetchall() for entry in found]
    assert [len(each) for each in rows] == [2, 1]


def spoil(bench: Bench, value: str, count: int) -> None:
    bench.run(
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, created_at)"
        f" SELECT 'chat', 'email-compose', '{MODELS[0]}', {value}, now() AT TIME ZONE 'UTC' - interval '30 minutes'"
        f" FROM generate_series(1, {count})"
    )


def test_calls_without_an_outcome_are_warned_of_and_fail_above_one_in_a_hundred(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_operation_log ALTER success DROP NOT NULL")
    assert bench.check().entries["outcomes"].mark == "ok"
    spoil(bench, "true", 300)
    spoil(bench, "NULL", 3)
    report = bench.check()
    assert report.code == 0
    found = report.entries["outcomes"]
    assert found.mark == "warn"
    assert "3 of 330 calls" in found.detail
    assert "NULL (3)" in found.detail
    spoil(bench, "NULL", 1)
    report = bench.check()
    assert report.code == 1
    assert report.entries["outcomes"].mark == "FAIL"
    assert "4 of 331 calls of the last 24.0 h (1.2%)" in report.entries["outcomes"].detail


@pytest.mark.parametrize("kind", ["text", "varchar(30)", "enum"])
def test_unknown_words_of_a_status_are_named_with_their_counts(bench: Bench, kind: str) -> None:
    words = ["success", "failed", "timeout", "pending", "running", "cancelled", "SUCCESS", "", "it's %s {}"]
    bench.run(
        "CREATE TYPE outcome AS ENUM (" + ", ".join("'" + word.replace("'", "''") + "'" for word in words) + ")",
        "ALTER TABLE ai_operation_log ADD status " + ("outcome" if kind == "enum" else kind) + " DEFAULT 'success'",
        f"GRANT SELECT (status) ON ai_operation_log TO {bench.role}",
    )
    columns = {"log": {"status": "status"}}
    assert bench.check(columns=columns).entries["outcomes"].mark == "ok"
    for word in words:
        bench.admin.execute(
            "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, status, created_at)"
            " SELECT 'chat', 'email-compose', 'm', true, %s, now() AT TIME ZONE 'UTC' FROM generate_series(1, 2)",
            (word,),
        )
    bench.run("UPDATE ai_operation_log SET status = NULL WHERE ctid = (SELECT min(ctid) FROM ai_operation_log)")
    report = bench.check(columns=columns)
    assert report.code == 1
    found = report.entries["outcomes"]
    assert found.mark == "FAIL"
    assert "9 of 45 calls" in found.detail
    for named in ("'cancelled' (2)", "'SUCCESS' (2)", "'' (2)", '"it\'s %s {}" (2)', "NULL (1)"):
        assert named in found.detail
    assert "success, failed, timeout, pending or running" in found.hint[0]


def test_very_many_unknown_words_are_not_all_named(bench: Bench) -> None:
    bench.run(
        "ALTER TABLE ai_operation_log ADD status text",
        f"GRANT SELECT (status) ON ai_operation_log TO {bench.role}",
        "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, status, created_at)"
        " SELECT 'chat', 'email-compose', 'm', true, repeat('w', 500) || n, now() AT TIME ZONE 'UTC'"
        " FROM generate_series(1, 500) AS n",
    )
    found = bench.check(columns={"log": {"status": "status"}}).entries["outcomes"]
    assert (found.mark, "527 of 527" in found.detail) == ("FAIL", True)
    assert len(found.detail) < 1000


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Europe/London", "Asia/Kolkata", "<+03>-03"])
def test_an_empty_log_in_another_zone_is_warned_of(bench: Bench, zone: str) -> None:
    name = bench.admin.info.dbname
    bench.run("DELETE FROM ai_operation_log", f"ALTER DATABASE {name} SET timezone = '{zone}'")
    report = bench.check()
    assert report.code == 0
    found = report.entries["time zones"]
    assert found.mark == "warn"
    assert f"now() writes local time in {zone}" in found.detail
    assert "now() AT TIME ZONE 'UTC'" in found.hint[0]
    bench.run("ALTER TABLE ai_operation_log ALTER created_at SET DEFAULT (now() AT TIME ZONE 'UTC')")
    assert bench.check().entries["time zones"].mark == "ok"
    bench.run("ALTER TABLE ai_operation_log ALTER created_at SET DEFAULT now()")
    if "/" in zone:
        assert bench.check(log_time_zone=zone).entries["time zones"].mark == "ok"
    bench.run("ALTER TABLE ai_operation_log ALTER created_at TYPE timestamptz")
    assert bench.check().entries["time zones"].mark == "ok"


@pytest.mark.parametrize("table", ["cost_budgets", "helix_recommendations"])
def test_a_locked_optional_table_is_told_as_one(bench: Bench, table: str) -> None:
    with psycopg.connect(bench.admin.info.dsn, password=bench.admin.info.password) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        report = bench.check(scrape={"timeout": "1s"})
    name = "budgets" if table == "cost_budgets" else "recommendations"
    assert report.marked("FAIL") == {name}
    assert "a table is locked" in report.entries[name].detail
    assert "pg_locks" in report.entries[name].hint[0]


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "GMT", "Atlantic/Reykjavik"])
def test_an_empty_log_in_a_zone_that_is_utc_passes(bench: Bench, zone: str) -> None:
    bench.run("DELETE FROM ai_operation_log", f"ALTER DATABASE {bench.admin.info.dbname} SET timezone = '{zone}'")
    assert bench.check().entries["time zones"].mark == "ok"


def test_a_log_that_is_locked_is_told_as_one_and_the_rest_is_checked(bench: Bench) -> None:
    with psycopg.connect(bench.admin.info.dsn, password=bench.admin.info.password) as other:
        other.execute("LOCK TABLE ai_operation_log IN ACCESS EXCLUSIVE MODE")
        report = bench.check(scrape={"timeout": "1s"})
    assert report.code == 1
    assert {"open window", "time index"} <= report.marked("FAIL")
    for name in ("open window", "outcomes", "registered operations"):
        assert "a table is locked" in report.entries[name].detail
        assert "pg_locks" in report.entries[name].hint[0]
    assert report.entries["recommendations"].mark == "ok"
    assert bench.check().code == 0


def test_a_look_back_ends_when_its_time_is_up(bench: Bench) -> None:
    config = Config()
    database = Database(resolve_conninfo(config, {"DATABASE_URL": bench.url}), 5, "tests")
    with database.session(10) as session:
        log = session.log(config.classification())
        assert look_back(session, log, config.classification(), seconds=0) == RecentActivity({}, {}, 0)
        assert look_back(session, log, config.classification()).models.keys() == set(MODELS)
    database.close()


def test_a_connection_that_is_lost_on_the_way_skips_what_follows(bench: Bench) -> None:
    class Ending(io.StringIO):
        """Ends the checked connection as soon as the columns were reported."""

        def write(self, text: str) -> int:
            if "columns   " in text:
                bench.run(
                    f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{bench.role}'"
                )
            return super().write(text)

    out = Ending()
    code = run_check(Config(state_dir=bench.state), {"DATABASE_URL": bench.url}, out)
    report = Report(code, out.getvalue())
    assert report.code == 1
    assert "the server closed the connection" in report.entries["grants"].detail
    (name,) = report.marked("-")
    assert name.endswith(" other checks")
    assert report.entries[name].detail == "skipped: needs connection"
    assert report.entries["state folder"].mark == "ok"


def test_every_reserved_word_of_the_server_is_quoted(embedded_database: str) -> None:
    with psycopg.connect(embedded_database) as connection:
        words = connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')").fetchall()
    assert {word for (word,) in words} <= RESERVED


@pytest.mark.parametrize(
    ("kind", "values", "outcomes"),
    [
        ("text", ["'success'", "'failure'", "NULL"], {"ok": ["success"], "failed": ["failure"], "running": [None]}),
        ("int", ["2", "5", "7"], {"ok": [2], "failed": [5], "timeout": [7]}),
        ("smallint", ["200", "500", "NULL"], {"ok": [200], "failed": [500], "pending": [None]}),
        ("boolean", ["true", "false", "NULL"], {"ok": [True], "failed": [False], "running": [None]}),
        ("varchar(20)", ["'OK'", "''", "'it''s %s 100%'"], {"ok": ["OK"], "failed": ["", "it's %s 100%"]}),
        ("char(8)", ["'ok'", "'bad'", "'bad'"], {"ok": ["ok"], "failed": ["bad"]}),
    ],
)
def test_words_of_any_kind_mean_what_outcomes_says(
    bench: Bench, kind: str, values: list[str], outcomes: dict[str, list[object]]
) -> None:
    # in place of the boolean: without outcomes, each of these is unknown or no text
    bench.run(
        f"ALTER TABLE ai_operation_log ADD state {kind}",
        f"GRANT SELECT (state) ON ai_operation_log TO {bench.role}",
        "DELETE FROM ai_operation_log",
        *(
            "INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, state, created_at)"
            f" SELECT 'chat', 'email-compose', '{MODELS[0]}', true, {value}, now() AT TIME ZONE 'UTC'"
            " FROM generate_series(1, 5)"
            for value in values
        ),
    )
    columns: dict[str, object] = {"status": "state"}
    assert bench.check(columns={"log": columns}).marked("FAIL") & {"outcomes", "columns"}
    known = bench.check(columns={"log": columns | {"outcomes": outcomes}}).entries["outcomes"]
    assert (known.mark, known.detail) == ("ok", "15 calls of the last 24.0 h, each with a known state")
    # a word less is found by its name and count
    less = {outcome: words for outcome, words in outcomes.items() if outcome == "ok"}
    found = bench.check(columns={"log": columns | {"outcomes": less}}).entries["outcomes"]
    assert found.mark == "FAIL"
    assert "10 of 15 calls" in found.detail
    assert "columns.log.outcomes" in found.hint[0]


@pytest.mark.parametrize(
    ("values", "mark", "named"),
    [
        (["USD", "usd ", None], "ok", ""),
        (["USD", "RMB", "RMB"], "FAIL", "RMB (10)"),
        (["€"], "FAIL", "€ (5)"),
        (["eur", "CNY", "CNY"], "FAIL", "CNY (10), eur (5)"),
        ([None], "ok", ""),
    ],
)
@pytest.mark.parametrize("column", ["currency", "cost_currency"])
def test_costs_in_another_currency_are_not_added_as_dollars(
    bench: Bench, column: str, values: list[str | None], mark: str, named: str
) -> None:
    bench.run(
        "DELETE FROM ai_operation_log",
        f"ALTER TABLE ai_operation_log ADD {column} varchar(10)",
    )
    assert bench.check().entries["currency"].mark == "warn"
    bench.hint("currency")
    for value in values:
        bench.admin.execute(
            f"INSERT INTO ai_operation_log (operation_type, operation_id, model_used, success, cost_usd, {column},"
            " created_at) SELECT 'chat', 'email-compose', 'm', true, 1, %s, now() AT TIME ZONE 'UTC'"
            " FROM generate_series(1, 5)",
            (value,),
        )
    found = bench.check().entries["currency"]
    assert (found.mark, named in found.detail) == (mark, True)
    if mark == "FAIL":
        # what the hint says to write is enough
        named = yaml.safe_load(found.hint[0].partition("columns.log.currency: ")[2].partition(";")[0])
        settings: dict[str, Any] = {"columns": {"log": {"currency": named}}}
        unknown = bench.check(**settings).entries["currency"]
        assert (unknown.mark, "are not used" in unknown.detail) == ("warn", True)
        codes = yaml.safe_load(unknown.hint[0].partition("columns.log.currencies: ")[2])
        settings["columns"]["log"]["currencies"] = dict.fromkeys(codes, 0.5)
        assert bench.check(**settings).entries["currency"].mark == "ok"
        assert bench.check(**settings).entries["open window"].mark == "ok"
