"""What `check` says of tables, columns, grants and row-level security, and that what it says fixes them."""

import re

import pytest

from tests.support.preflight import Bench


def test_the_bench_passes(bench: Bench) -> None:
    report = bench.check()
    assert report.code == 0
    assert report.marked("ok") == set(report.entries)


def test_the_line_of_the_open_window_says_whether_only_changes_are_read(bench: Bench) -> None:
    def said() -> str:
        report = bench.check()
        assert report.entries["open window"].mark == "ok"
        return report.entries["open window"].detail.partition("; ")[2]

    assert said() == (
        "a scrape reads all of them (the role has no SELECT (xmin) on it, which its file grants: run that again)"
    )
    bench.run(f"GRANT SELECT (xmin) ON ai_operation_log TO {bench.role}")
    assert said() == "a scrape reads only those that have changed"
    bench.run(f"CREATE POLICY all_rows ON ai_operation_log FOR SELECT TO {bench.role} USING (true)")
    assert said() == "a scrape reads only those that have changed"
    bench.run("CREATE TABLE child () INHERITS (ai_operation_log)")
    assert said() == "a scrape reads all of them (it is not a plain table)"


def test_hidden_rows_fail_and_bypassrls_fixes_them(bench: Bench) -> None:
    bench.run(f"ALTER ROLE {bench.role} NOBYPASSRLS")
    report = bench.check()
    assert report.code == 1
    assert report.entries["rows visible"].mark == "FAIL"
    assert report.entries["time index"].detail == "skipped: needs rows visible"
    assert {"routes", "budgets", "rows visible"} <= report.marked("FAIL")
    assert bench.hint("rows visible").code == 0


@pytest.mark.parametrize("policy", [None, "USING (user_id IS NULL)", "AS RESTRICTIVE USING (cost_usd > 1)"])
def test_a_policy_that_shows_every_row_fixes_hidden_rows(bench: Bench, policy: str | None) -> None:
    bench.run(f"ALTER ROLE {bench.role} NOBYPASSRLS")
    if policy is not None:
        bench.run(f"CREATE POLICY some_rows ON ai_operation_log {policy}")
    for finding in ("rows visible", "budgets", "routes", "recommendations"):
        found = bench.check().entries[finding]
        assert found.mark == "FAIL"
        statement = re.search(r"CREATE POLICY [^;]+;", " ".join(found.hint))
        assert statement is not None
        bench.run(statement[0])
    report = bench.check()
    if policy is not None and "RESTRICTIVE" in policy:
        assert report.entries["rows visible"].mark == "FAIL"
        bench.run("DROP POLICY some_rows ON ai_operation_log")
        report = bench.check()
    assert report.entries["rows visible"].detail == "every row: a policy shows all rows"
    assert report.code == 0


def test_a_missing_grant_on_a_column_is_named_and_fixed(bench: Bench) -> None:
    bench.run(f"REVOKE SELECT (cost_usd, error_message) ON ai_operation_log FROM {bench.role}")
    report = bench.check()
    assert report.code == 1
    grants = report.entries["grants"]
    assert report.entries["least privilege"].detail == "skipped: needs grants"
    assert "cannot read columns cost_usd, error_message of public.ai_operation_log" in grants.detail
    assert grants.hint == [f"GRANT SELECT (cost_usd, error_message) ON public.ai_operation_log TO {bench.role};"]
    assert bench.hint("grants").code == 0


def test_a_closed_schema_with_names_that_need_quotes_is_fixed(bench: Bench) -> None:
    bench.run(
        'CREATE SCHEMA "Our App"',
        'ALTER TABLE ai_operation_log SET SCHEMA "Our App"',
        'ALTER TABLE "Our App".ai_operation_log RENAME TO "select"',
        'ALTER TABLE "Our App"."select" RENAME cost_usd TO "Cost ""USD"""',
        f'REVOKE SELECT ON "Our App"."select" FROM {bench.role}',
    )
    settings = {
        "tables": {"log": '"Our App"."select"'},
        "columns": {"log": {"cost": '"Cost ""USD"""'}},
    }
    report = bench.check(**settings)
    assert report.entries["grants"].mark == "FAIL"
    assert report.entries["grants"].hint[0] == f'GRANT USAGE ON SCHEMA "Our App" TO {bench.role};'
    assert bench.hint("grants", **settings).code == 0
    bench.run(f'REVOKE USAGE ON SCHEMA "Our App" FROM {bench.role}')
    assert "anything in its schema" in bench.check(**settings).entries["grants"].detail
    assert bench.hint("grants", **settings).code == 0


def test_a_missing_table_names_the_setting(bench: Bench) -> None:
    report = bench.check(tables={"log": "elsewhere.log"})
    assert report.code == 1
    assert "no table or view elsewhere.log" in report.entries["log table"].detail
    assert "tables.log" in report.entries["log table"].hint[0]
    assert report.entries["columns"].detail == "skipped: needs log table"
    assert report.entries["budgets"].mark == "ok"


def test_a_missing_column_names_the_setting_that_fixes_it(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_operation_log RENAME cost_usd TO price")
    report = bench.check()
    assert report.code == 1
    assert "no column cost_usd" in report.entries["columns"].detail
    assert report.entries["columns"].hint == ["name the column in the configuration: columns.log.cost (perhaps price)"]
    assert bench.check(columns={"log": {"cost": "price"}}).code == 0


def test_two_columns_that_could_be_the_time_need_the_setting(bench: Bench) -> None:
    bench.run("ALTER TABLE ai_operation_log ADD executed_at timestamp")
    report = bench.check()
    assert report.code == 1
    assert "created_at and executed_at could both be meant" in report.entries["columns"].detail
    assert report.entries["columns"].hint == ["name the column in the configuration: columns.log.time"]
    assert bench.check(columns={"log": {"time": "created_at"}}).code == 0


def test_an_optional_table_that_cannot_be_read_fails_with_its_hint(bench: Bench) -> None:
    bench.run(f"REVOKE SELECT ON cost_budgets, ai_model_routes FROM {bench.role}")
    report = bench.check()
    assert report.code == 1
    assert report.marked("FAIL") == {"budgets", "routes"}
    assert report.entries["budgets"].hint == [
        "GRANT SELECT (user_id, daily_limit_usd, warning_threshold_usd, current_spend_today) "
        f"ON public.cost_budgets TO {bench.role};"
    ]
    assert report.entries["model names"].detail == "skipped: needs routes"
    bench.hint("budgets")
    assert bench.hint("routes").code == 0


def test_an_optional_table_may_be_absent_or_switched_off_but_not_misspelt(bench: Bench) -> None:
    bench.run("DROP TABLE ai_model_routes")
    report = bench.check(tables={"budgets": None, "recommendations": "recommendation"})
    assert report.code == 0
    assert report.entries["budgets"].detail.startswith("switched off")
    assert report.entries["routes"].detail.startswith("no table ai_model_routes")
    assert report.entries["model names"].detail.startswith("there are no routes")
    assert report.marked("warn") == {"recommendations"}
    assert "tables.recommendations" in report.entries["recommendations"].hint[0]


def test_a_role_that_may_write_is_told_how_not_to(bench: Bench) -> None:
    bench.run(
        f"GRANT INSERT, DELETE ON ai_operation_log TO {bench.role}",
        f"GRANT UPDATE (cost_usd) ON ai_operation_log TO {bench.role}",
        f"GRANT TRUNCATE ON cost_budgets TO {bench.role}",
    )
    report = bench.check()
    assert report.code == 0
    found = report.entries["least privilege"]
    assert found.mark == "warn"
    assert "can INSERT, UPDATE, DELETE (public.ai_operation_log)" in found.detail
    assert "can TRUNCATE (public.cost_budgets)" in report.text
    assert bench.hint("least privilege").marked("warn") == set()


def test_a_role_that_may_read_prompts_and_answers_is_told_how_not_to(bench: Bench) -> None:
    bench.run(
        "ALTER TABLE ai_operation_log ADD prompt text, ADD result jsonb",
        f"GRANT SELECT ON ai_operation_log TO {bench.role}",
    )
    found = bench.check().entries["least privilege"]
    assert "can read prompt, result, which the exporter does not need" in found.detail
    report = bench.hint("least privilege")
    assert (report.code, report.marked("warn")) == (0, set())


def test_the_tables_owner_is_told_to_connect_as_another_role(bench: Bench) -> None:
    bench.run(f"ALTER TABLE ai_operation_log OWNER TO {bench.role}")
    report = bench.check()
    assert report.code == 0
    assert "owns public.ai_operation_log" in report.entries["least privilege"].detail
    assert "deploy/sql" in report.entries["least privilege"].hint[0]
