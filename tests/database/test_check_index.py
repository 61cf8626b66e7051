"""What `check` says of the index that keeps a scrape's cost flat."""

import pytest

from tests.support.preflight import FOLDER, USED, Bench, populate


def test_a_missing_index_fails_on_a_small_table_too(bench: Bench) -> None:
    bench.run("DROP INDEX ai_operation_log_created_at_idx")
    report = bench.check()
    assert report.code == 1
    assert report.marked("FAIL") == {"time index"}
    assert report.entries["time index"].hint == [
        "CREATE INDEX CONCURRENTLY ON public.ai_operation_log (created_at DESC);"
    ]
    assert bench.hint("time index").code == 0


def test_a_missing_index_fails_on_a_large_table(bench: Bench) -> None:
    bench.run("DROP INDEX ai_operation_log_created_at_idx")
    _enlarge(bench)
    assert bench.check().marked("FAIL") == {"time index"}
    report = bench.hint("time index")
    assert report.entries["time index"].detail == "the scrape's query uses ai_operation_log_created_at_idx"
    assert report.code == 0


def test_an_index_on_other_columns_or_on_some_rows_does_not_serve(bench: Bench) -> None:
    bench.run(
        "DROP INDEX ai_operation_log_created_at_idx",
        "CREATE INDEX ON ai_operation_log (user_id, created_at)",
        "CREATE INDEX ON ai_operation_log (created_at) WHERE success",
        "CREATE INDEX ON ai_operation_log (lower(model_used), created_at)",
        "CREATE INDEX ON ai_operation_log USING hash (created_at)",
    )
    assert bench.check().entries["time index"].mark == "FAIL"


def test_an_index_that_was_not_built_to_its_end_is_built_again(bench: Bench) -> None:
    bench.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ai_operation_log_created_at_idx'::regclass")
    report = bench.check()
    assert "is invalid: its build did not finish" in report.entries["time index"].detail
    assert report.entries["time index"].hint == ["REINDEX INDEX CONCURRENTLY public.ai_operation_log_created_at_idx;"]
    assert bench.hint("time index").code == 0


def test_an_index_that_the_planner_does_not_take_asks_for_statistics(bench: Bench) -> None:
    _enlarge(bench)
    bench.run(
        f"ALTER ROLE {bench.role} SET enable_indexscan = off", f"ALTER ROLE {bench.role} SET enable_bitmapscan = off"
    )
    report = bench.check()
    assert report.code == 1
    assert report.entries["time index"].hint == ["ANALYZE public.ai_operation_log;"]


def test_a_window_that_holds_much_of_the_table_may_be_read_whole(bench: Bench) -> None:
    for _ in range(60):
        populate(bench.admin, "success")
    bench.run("ANALYZE ai_operation_log")
    report = bench.check()
    assert report.code == 0
    assert "the open window holds much of" in report.entries["time index"].detail


def test_a_partitioned_log_is_indexed_as_a_whole(bench: Bench) -> None:
    bench.run(
        "ALTER TABLE ai_operation_log RENAME TO old_log",
        "CREATE TABLE ai_operation_log (LIKE old_log INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)",
        f"GRANT SELECT ({USED}) ON ai_operation_log TO {bench.role}",
    )
    # no partition yet, and then one for all times
    assert bench.check().entries["time index"].mark == "FAIL"
    bench.run("CREATE TABLE ai_operation_log_all PARTITION OF ai_operation_log DEFAULT")
    populate(bench.admin, "success")
    assert bench.check().code == 1
    bench.run("CREATE INDEX by_time ON ai_operation_log (created_at DESC)")
    assert bench.check().code == 0
    bench.run("DROP TABLE ai_operation_log_all")
    report = bench.check()
    assert report.entries["time index"].mark == "ok"
    bench.run("DROP INDEX by_time")
    hint = bench.check().entries["time index"].hint[0]
    assert hint.startswith("CREATE INDEX ON public.ai_operation_log (created_at DESC); -- blocks writers")
    assert bench.hint("time index").entries["time index"].mark == "ok"


def test_of_a_view_it_cannot_be_told_whether_an_index_serves(bench: Bench) -> None:
    bench.run(
        "ALTER TABLE ai_operation_log RENAME TO calls",
        "CREATE VIEW ai_operation_log AS SELECT * FROM calls",
        f"GRANT SELECT ({USED}) ON ai_operation_log TO {bench.role}",
        "ANALYZE calls",
    )
    report = bench.check()
    assert report.code == 0
    assert report.entries["time index"].mark == "warn"
    assert "a view" in report.entries["time index"].detail
    _enlarge(bench, "calls")
    bench.run("CREATE TABLE people (id uuid)")
    bench.run(
        "CREATE OR REPLACE VIEW ai_operation_log AS SELECT calls.* FROM calls LEFT JOIN people ON people.id = user_id"
    )
    found = bench.check().entries["time index"]
    assert (found.mark, found.detail) == ("ok", "the scrape's query uses ai_operation_log_created_at_idx")


LOOKUPS = (("user", "user_id"), ("model", "model_used"))


def test_the_indexes_for_users_and_models_are_found_and_used(bench: Bench) -> None:
    _diversify(bench)
    before = bench.check()
    for role, column in LOOKUPS:
        entry = before.entries[f"{role} index"]
        assert entry.mark == "ok"
        assert entry.detail == (
            f"public.ai_operation_log has no index that starts with {column}, and needs none while it is small"
        )
    bench.admin.execute((FOLDER / "indexes.sql").read_bytes())
    after = bench.check()
    for role, _ in LOOKUPS:
        detail = f"the calls of one {role} are found by ai_operation_log_{role}_time_idx"
        assert (after.entries[f"{role} index"].mark, after.entries[f"{role} index"].detail) == ("ok", detail)


def test_a_large_log_without_them_is_warned_of_and_the_hints_help(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.preflight.lookup_index.MANY_ROWS", 10_000)
    _diversify(bench)
    report = bench.check()
    assert report.code == 0
    for role, column in LOOKUPS:
        entry = report.entries[f"{role} index"]
        assert (entry.mark, f"no index that starts with {column}" in entry.detail) == ("warn", True)
        assert entry.hint == [f"CREATE INDEX CONCURRENTLY ON public.ai_operation_log ({column}, created_at DESC);"]
        assert (
            bench.hint(f"{role} index").entries[f"{role} index"].detail.startswith(f"the calls of one {role} are found")
        )


@pytest.mark.parametrize(("role", "column"), LOOKUPS)
def test_an_index_for_lookups_that_was_not_built_to_its_end_is_built_again(
    bench: Bench, role: str, column: str
) -> None:
    bench.run(
        f"CREATE INDEX half ON ai_operation_log ({column})",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass",
    )
    entry = bench.check().entries[f"{role} index"]
    assert (entry.mark, entry.hint) == ("warn", ["REINDEX INDEX CONCURRENTLY public.half;"])
    assert bench.hint(f"{role} index").entries[f"{role} index"].mark == "ok"


def test_an_index_on_other_columns_or_on_some_rows_does_not_serve_a_lookup(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.preflight.lookup_index.MANY_ROWS", 10_000)
    _diversify(bench)
    bench.run(
        "CREATE INDEX ON ai_operation_log (created_at, user_id)",
        "CREATE INDEX ON ai_operation_log (user_id, created_at) WHERE success",
        "CREATE INDEX ON ai_operation_log (lower(model_used), created_at)",
    )
    assert {"user index", "model index"} <= bench.check().marked("warn")


def test_an_index_for_lookups_that_the_planner_does_not_take(bench: Bench) -> None:
    _diversify(bench)
    bench.admin.execute((FOLDER / "indexes.sql").read_bytes())
    bench.run(
        f"ALTER ROLE {bench.role} SET enable_indexscan = off",
        f"ALTER ROLE {bench.role} SET enable_indexonlyscan = off",
        f"ALTER ROLE {bench.role} SET enable_bitmapscan = off",
    )
    report = bench.check()
    for role, _ in LOOKUPS:
        assert report.entries[f"{role} index"].hint == ["ANALYZE public.ai_operation_log;"]
    bench.run(f"ALTER ROLE {bench.role} RESET ALL", "DROP INDEX ai_operation_log_user_time_idx")
    # one that does not have the order of the time
    bench.run("CREATE INDEX by_user ON ai_operation_log (user_id)", "ANALYZE ai_operation_log")
    assert "by_user" in bench.check().entries["user index"].detail


def test_an_index_that_a_cheaper_one_makes_superfluous(bench: Bench) -> None:
    # of one model: the newest calls are the newest of that model
    bench.run("DELETE FROM ai_operation_log")
    _enlarge(bench)
    bench.admin.execute((FOLDER / "indexes.sql").read_bytes())
    bench.run("DROP INDEX ai_operation_log_model_time_idx", "CREATE INDEX by_model ON ai_operation_log (model_used)")
    entry = bench.check().entries["model index"]
    assert (entry.mark, entry.detail) == ("ok", "by_model (not used: the index on created_at is cheaper)")


def test_lookups_in_a_partitioned_log_and_in_a_view(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.preflight.lookup_index.MANY_ROWS", 10_000)
    bench.run(
        "ALTER TABLE ai_operation_log RENAME TO calls",
        "CREATE VIEW ai_operation_log AS SELECT * FROM calls",
        f"GRANT SELECT ({USED}) ON ai_operation_log TO {bench.role}",
    )
    assert "is no table" in bench.check().entries["user index"].detail
    _diversify(bench, "calls")
    bench.run("CREATE INDEX by_user ON calls (user_id, created_at)", "ANALYZE calls")
    assert "by_user" in bench.check().entries["user index"].detail
    bench.run(
        "DROP VIEW ai_operation_log",
        "CREATE TABLE ai_operation_log (LIKE calls INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)",
        "CREATE TABLE part PARTITION OF ai_operation_log DEFAULT",
        "INSERT INTO ai_operation_log SELECT * FROM calls",
        "CREATE INDEX ON ai_operation_log (created_at)",
        "ANALYZE ai_operation_log",
        f"GRANT SELECT ({USED}) ON ai_operation_log TO {bench.role}",
    )
    hint = bench.check().entries["user index"].hint
    assert hint == ["CREATE INDEX ON public.ai_operation_log (user_id, created_at DESC);"]
    assert bench.hint("user index").entries["user index"].mark == "ok"


def test_large_optional_tables_are_to_be_served_by_an_index(bench: Bench) -> None:
    bench.run(
        "CREATE TABLE approval_gates (status text)",
        f"GRANT SELECT ON approval_gates TO {bench.role}",
        "INSERT INTO approval_gates SELECT CASE WHEN n % 999 = 0 THEN 'pending' ELSE 'approved' END"
        " FROM generate_series(1, 100000) AS n",
        "INSERT INTO helix_recommendations (operation_id, recommendation_type, reasoning)"
        " SELECT 'o', 'kind-' || n % 5, repeat('because ', 40) FROM generate_series(1, 100000) AS n",
        "VACUUM ANALYZE approval_gates",
        "VACUUM ANALYZE helix_recommendations",
    )
    report = bench.check()
    assert report.code == 0
    assert {"approvals index", "recommendations index"} <= report.marked("warn")
    assert "100000 rows" in report.entries["recommendations index"].detail
    hints = [report.entries[f"{name} index"].hint for name in ("approvals", "recommendations")]
    assert hints == [
        ["CREATE INDEX CONCURRENTLY ON public.approval_gates (status);"],
        [
            "CREATE INDEX CONCURRENTLY ON public.helix_recommendations"
            " (recommendation_type, approval_status, estimated_savings_usd);"
        ],
    ]
    # what deploy/sql makes serves, too
    bench.admin.execute((FOLDER / "indexes.sql").read_bytes())
    after = bench.check()
    for name in ("approvals", "recommendations"):
        assert after.entries[f"{name} index"].mark == "ok"
        assert after.entries[name].mark == "ok"
    assert after.entries["approvals index"].detail.endswith("is read by an index")
    assert "100 pending" in after.entries["approvals"].detail
    assert "100000 rows" in after.entries["recommendations"].detail


def test_an_index_that_is_not_used_calls_for_a_vacuum(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.preflight.table_index.MANY_BYTES", 1_000_000)
    bench.run(
        "INSERT INTO helix_recommendations (operation_id, recommendation_type)"
        " SELECT 'o', 'kind' FROM generate_series(1, 100000) AS n",
        "CREATE INDEX ON helix_recommendations (approval_status, recommendation_type, estimated_savings_usd)",
        "ANALYZE helix_recommendations",
        f"ALTER ROLE {bench.role} SET enable_indexonlyscan = off",
    )
    found = bench.check().entries["recommendations index"]
    assert (found.mark, found.hint) == ("warn", ["VACUUM ANALYZE public.helix_recommendations;"])


def test_an_optional_table_that_takes_too_long_fails_with_what_would_help(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.preflight.optional.PATIENT", 0.0)
    entry = bench.check().entries["recommendations"]
    assert entry.mark == "FAIL"
    assert "cannot be read within" in entry.detail
    bench.run("CREATE VIEW lazy AS SELECT h.* FROM helix_recommendations AS h, (SELECT pg_sleep(60)) AS nap")
    bench.run(f"GRANT SELECT ON lazy TO {bench.role}", "INSERT INTO helix_recommendations VALUES (DEFAULT, 'o', 'x')")
    report = bench.check(tables={"recommendations": "lazy"}, scrape={"timeout": "1s"})
    assert report.entries["recommendations"].mark == "FAIL"
    assert "tables.recommendations" in report.entries["recommendations"].hint[0]


def _enlarge(bench: Bench, table: str = "ai_operation_log", time: str = "created_at") -> None:
    bench.run(
        f"INSERT INTO {table} (operation_type, operation_id, model_used, success, {time})"
        " SELECT 'chat', 'email-compose', 'deepseek-v3.2', true, now() AT TIME ZONE 'UTC' - n * interval '1 minute'"
        " FROM generate_series(1, 5000) AS n",
        f"ANALYZE {table}",
    )


def _diversify(bench: Bench, table: str = "ai_operation_log") -> None:
    """Many calls of many users by many models."""
    bench.run(
        f"INSERT INTO {table} (operation_type, operation_id, model_used, success, user_id, created_at)"
        " SELECT 'chat', 'email-compose', 'model-' || n % 400, true, md5((n % 900)::text)::uuid,"
        " now() AT TIME ZONE 'UTC' - n * interval '1 minute' FROM generate_series(1, 20000) AS n",
        f"ANALYZE {table}",
    )


def _rebuilt(bench: Bench, *statements: str) -> None:
    """A large log that has no index but those that are made here."""
    bench.run(
        "DROP INDEX ai_operation_log_created_at_idx",
        "ALTER TABLE ai_operation_log DROP CONSTRAINT ai_operation_log_pkey",
        *statements,
    )
    _enlarge(bench)
    # so that the planner takes an index that it could leave alone
    bench.run(f"ALTER ROLE {bench.role} SET enable_seqscan = off", "VACUUM ANALYZE ai_operation_log")


@pytest.mark.parametrize(
    "index",
    [
        "(id, created_at)",
        "(model_used, created_at)",
        "(user_id, operation_id, created_at DESC)",
        "(lower(model_used), created_at)",
        "((created_at + interval '1 hour'), created_at)",
        "(success, created_at) INCLUDE (id)",
    ],
)
def test_an_index_with_the_time_behind_another_column_is_read_whole(bench: Bench, index: str) -> None:
    _rebuilt(bench, f"CREATE INDEX behind ON ai_operation_log {index}")
    found = bench.check().entries["time index"]
    assert found.mark == "FAIL"
    assert "behind" in found.detail
    assert found.hint == ["CREATE INDEX CONCURRENTLY ON public.ai_operation_log (created_at DESC);"]
    assert bench.hint("time index").entries["time index"].mark == "ok"


@pytest.mark.parametrize("index", ["(created_at, id)", "(created_at DESC, model_used)", "USING brin (created_at)"])
def test_an_index_that_begins_with_the_time_serves_whatever_follows(bench: Bench, index: str) -> None:
    on = index if index.startswith("USING") else f"USING btree {index}"
    _rebuilt(bench, f"CREATE INDEX first ON ai_operation_log {on}")
    found = bench.check().entries["time index"]
    assert (found.mark, found.detail) == ("ok", "the scrape's query uses first")


VIEW = (
    "DROP INDEX ai_operation_log_created_at_idx",
    "ALTER TABLE ai_operation_log RENAME TO calls",
    "ALTER TABLE calls RENAME created_at TO moment",
)


@pytest.mark.parametrize(
    ("index", "time", "mark"),
    [
        ("(moment)", "moment", "ok"),
        ("(moment, id)", "moment", "ok"),
        ("((moment + interval '1 hour'))", "moment + interval '1 hour'", "ok"),
        ("(moment)", "moment + interval '1 hour'", "FAIL"),
        ("(id, moment)", "moment", "FAIL"),
    ],
)
def test_behind_a_view_that_renames_the_time_it_is_told(bench: Bench, index: str, time: str, mark: str) -> None:
    bench.run(*VIEW, "ALTER TABLE calls DROP CONSTRAINT ai_operation_log_pkey", f"CREATE INDEX one ON calls {index}")
    others = USED.removesuffix(", created_at")
    bench.run(
        f"CREATE VIEW ai_operation_log AS SELECT {others}, {time} AS created_at FROM calls",
        f"GRANT SELECT ON ai_operation_log TO {bench.role}",
    )
    _enlarge(bench, "calls", "moment")
    found = bench.check().entries["time index"]
    assert found.mark == mark, found
    if mark == "ok":
        assert found.detail == "the scrape's query uses one"


OTHERS = USED.removesuffix(", created_at")
BIG = "CREATE TABLE {} AS SELECT * FROM calls"


def _behind_view(bench: Bench, query: str, *statements: str) -> None:
    """A view of a large table with an index on its time, and of whatever else is made."""
    bench.run(*VIEW, "ALTER TABLE calls DROP CONSTRAINT ai_operation_log_pkey", "CREATE INDEX one ON calls (moment)")
    _enlarge(bench, "calls", "moment")
    bench.run(*statements, f"CREATE VIEW ai_operation_log AS {query}", "ANALYZE")
    bench.run(f"GRANT SELECT ON ai_operation_log TO {bench.role}")


ALL_OF = f"SELECT {OTHERS}, moment AS created_at FROM"
READ_WHOLE = {
    "a second table without an index": (f"{ALL_OF} calls UNION ALL {ALL_OF} more", BIG.format("more")),
    "a second table with the time behind another key": (
        f"{ALL_OF} calls UNION ALL {ALL_OF} more",
        BIG.format("more"),
        "CREATE INDEX behind ON more (id, moment)",
    ),
    "a second table with an index on some rows": (
        f"{ALL_OF} calls UNION ALL {ALL_OF} more",
        BIG.format("more"),
        "CREATE INDEX ON more (moment) WHERE success",
    ),
    "a view over such a view": (
        "SELECT * FROM inner_calls",
        BIG.format("more"),
        f"CREATE VIEW inner_calls AS {ALL_OF} calls UNION ALL {ALL_OF} more",
    ),
    "one row of each id": (f"SELECT DISTINCT ON (id) {OTHERS}, moment AS created_at FROM calls",),
    "a window function": (f"SELECT {OTHERS}, max(moment) OVER (PARTITION BY id) AS created_at FROM calls",),
    "a limit": (f"{ALL_OF} calls ORDER BY id LIMIT 1000000",),
    "a common table expression that is kept": (f"WITH kept AS MATERIALIZED ({ALL_OF} calls) SELECT * FROM kept",),
    "a time that is computed": (f"SELECT {OTHERS}, to_timestamp(extract(epoch FROM moment)) AS created_at FROM calls",),
    "a materialized view without an index": (
        f"{ALL_OF} kept",
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM calls",
    ),
    "partitions of which one has no index": (
        f"{ALL_OF} parted",
        "CREATE TABLE parted (LIKE calls) PARTITION BY HASH (id)",
        "CREATE TABLE part_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE part_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "CREATE INDEX ON part_0 (moment)",
        "INSERT INTO parted SELECT * FROM calls",
    ),
}


@pytest.mark.parametrize("made", READ_WHOLE.values(), ids=READ_WHOLE)
def test_what_is_read_whole_behind_a_view_fails_whatever_serves_beside_it(bench: Bench, made: tuple[str, ...]) -> None:
    _behind_view(bench, *made)
    found = bench.check().entries["time index"]
    assert found.mark == "FAIL", found
    assert found.hint[0].startswith("create an index"), found


SERVED = {
    "both tables have an index": (
        f"{ALL_OF} calls UNION ALL {ALL_OF} more",
        BIG.format("more"),
        "CREATE INDEX two ON more (moment)",
    ),
    "a small table beside it": (
        f"{ALL_OF} calls UNION ALL {ALL_OF} more",
        "CREATE TABLE more AS SELECT * FROM calls LIMIT 5",
    ),
    "a large table that is joined": (
        f"{ALL_OF} calls LEFT JOIN people ON person = calls.user_id",
        "CREATE TABLE people AS SELECT md5(g::text)::uuid AS person FROM generate_series(1, 5000) AS g",
    ),
    "partitions that all have one": (
        f"{ALL_OF} parted",
        "CREATE TABLE parted (LIKE calls) PARTITION BY HASH (id)",
        "CREATE TABLE part_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE part_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "CREATE INDEX ON parted (moment)",
        "INSERT INTO parted SELECT * FROM calls",
    ),
    "distinct rows": (f"SELECT DISTINCT {OTHERS}, moment AS created_at FROM calls",),
    "an index on the time that is computed": (
        f"SELECT {OTHERS}, to_timestamp(extract(epoch FROM moment)) AS created_at FROM calls",
        "CREATE INDEX ON calls (to_timestamp(extract(epoch FROM moment)))",
    ),
}


@pytest.mark.parametrize("made", SERVED.values(), ids=SERVED)
def test_what_is_served_behind_a_view_passes(bench: Bench, made: tuple[str, ...]) -> None:
    _behind_view(bench, *made)
    found = bench.check().entries["time index"]
    assert (found.mark, "the scrape's query uses" in found.detail) == ("ok", True), found


def test_an_index_by_another_key_that_is_read_whole_behind_a_view_fails(bench: Bench) -> None:
    bench.run(
        *VIEW, "ALTER TABLE calls DROP CONSTRAINT ai_operation_log_pkey", "CREATE INDEX behind ON calls (id, moment)"
    )
    _enlarge(bench, "calls", "moment")
    bench.run(
        f"CREATE VIEW ai_operation_log AS {ALL_OF} calls",
        f"GRANT SELECT ON ai_operation_log TO {bench.role}",
        f"ALTER ROLE {bench.role} SET enable_seqscan = off",
        "VACUUM ANALYZE calls",
    )
    found = bench.check().entries["time index"]
    assert (found.mark, "behind" in found.detail) == ("FAIL", True), found
