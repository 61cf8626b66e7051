"""What the checks make of what they found, without a database."""

import io
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Config
from exporter.config.names import QualifiedName
from exporter.database.conninfo import ConnInfo
from exporter.database.names import quoted, table_sql
from exporter.database.replication import PRIMARY, UNKNOWN, Replication
from exporter.database.routes import Route
from exporter.findings import Finding, Level, fail, failed, ok, render, skipped, summary, warn
from exporter.humanize import listing, span_text
from exporter.preflight.clocks import LogTimes, evaluate_clock, evaluate_replication, evaluate_time_zones
from exporter.preflight.context import CheckContext, Server
from exporter.preflight.distance import evaluate_distance
from exporter.preflight.index import IndexedTable, evaluate_index
from exporter.preflight.log_table import evaluate_reading
from exporter.preflight.operations import evaluate_model_names, evaluate_operations
from exporter.preflight.plan import read_plan
from exporter.preflight.recent_activity import AGES, RecentActivity
from exporter.preflight.run import check_connection, run_check
from exporter.preflight.similar import candidates
from exporter.preflight.users import check_users

NOW = 1_772_000_000.0
# As labels come: without control characters.
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20)


def test_a_finding_is_printed_on_one_line_and_its_hint_below() -> None:
    finding = fail("grants", "may not read \x1b[31mcost\n_usd", "GRANT x;\nGRANT\ty;")
    assert render(finding).splitlines() == [
        "FAIL  grants                        may not read ?[31mcost?_usd",
        "        GRANT x;",
        "        GRANT?y;",
    ]


def test_only_a_failure_fails() -> None:
    fine = [ok("a", ""), warn("b", "", "m"), skipped("c", "a")]
    assert not failed(fine)
    assert failed([*fine, fail("d", "", "m")])
    assert summary([*fine, ok("e", "")]) == "2 passed, 1 to look at, 0 failed, 1 skipped"


@pytest.mark.parametrize(
    ("there", "level", "said"),
    [
        (NOW, Level.OK, "within 5 s"),
        (NOW + 5.5, Level.OK, "within 5 s"),
        (NOW + 7, Level.WARN, "6 s ahead of"),
        (NOW - 6, Level.WARN, "6 s behind"),
        (NOW - 60, Level.WARN, "60 s behind"),
        (NOW - 61, Level.FAIL, "61 s behind"),
        (NOW + 7202, Level.FAIL, "2.0 h ahead of"),
    ],
)
def test_a_skew_is_what_the_time_of_asking_cannot_explain(there: float, level: Level, said: str) -> None:
    finding = evaluate_clock(there, NOW, NOW + 1)
    assert finding.level is level
    assert said in finding.detail
    assert ("NTP" in finding.hint) is (level is not Level.OK)


@given(st.floats(0, 60), st.floats(0, 1))
def test_a_slow_answer_is_no_skew(seconds: float, at: float) -> None:
    assert evaluate_clock(NOW + at * seconds, NOW, NOW + seconds).level is Level.OK


def test_a_standby_passes_as_long_as_it_keeps_up() -> None:
    assert evaluate_replication(PRIMARY, 60).level is Level.OK
    keeps_up = evaluate_replication(Replication(True, 42), 60)
    assert keeps_up.level is Level.OK
    assert "42 s behind" in keeps_up.detail
    behind = evaluate_replication(Replication(True, 240, NOW - 240, "paused"), 60)
    assert behind.level is Level.FAIL
    assert "more than 60 s behind its primary: its replay is paused; now 4 min" in behind.detail
    assert "pg_wal_replay_resume" in behind.hint
    assert evaluate_replication(Replication(True, math.inf), 60).level is Level.FAIL
    assert evaluate_replication(UNKNOWN, 60).level is Level.WARN


@pytest.mark.parametrize(
    ("lead", "zones", "hint"),
    [
        (7200.0, ("UTC", "UTC"), "the writer's time zone, which is now +2:00 from UTC"),
        (7130.0, ("UTC", "Etc/GMT-2"), "log_time_zone: Etc/GMT-2"),
        (5400.0, ("Etc/GMT+1", "UTC"), "which is now +0:30 from UTC"),
        (3600.0, ("Etc/GMT+5", "UTC"), "which is now -4:00 from UTC"),
        (3600.0, ("Etc/GMT+1", "UTC"), "log_time_zone: UTC"),
        (400.0, ("UTC", "UTC"), "synchronize the writer's clock"),
        (90_000.0, ("UTC", "UTC"), "synchronize the writer's clock"),
    ],
)
def test_rows_in_the_future_propose_the_zone_that_explains_them(lead: float, zones: tuple[str, str], hint: str) -> None:
    finding = evaluate_time_zones(LogTimes(lead, 3, False), NOW, zones[0], "UTC", zones[1])
    assert finding.level is Level.WARN
    assert hint in finding.hint


def test_a_zone_that_only_the_server_knows_is_no_reason_to_fail() -> None:
    finding = evaluate_time_zones(LogTimes(-10.0, 0, False), NOW, "UTC", "Europe/Berlin", "<+03>-03")
    assert finding.level is Level.OK
    assert "days start at midnight in Europe/Berlin; the server's time zone is <+03>-03" in finding.detail


def test_very_many_rows_in_the_future_are_not_counted_to_the_end() -> None:
    finding = evaluate_time_zones(LogTimes(99.0, 1000, True), NOW, "UTC", "UTC", "UTC")
    assert finding.detail.startswith("1000 rows or more are in the future")


def test_a_read_that_takes_half_of_the_scrapes_time_is_a_warning() -> None:
    assert evaluate_reading(5, 180, 4.9, 10).level is Level.OK
    finding = evaluate_reading(5, 180, 5.1, 10)
    assert (finding.level, "scrape.timeout" in finding.hint) == (Level.WARN, True)


def test_a_log_that_is_too_slow_for_its_last_hour_points_at_the_index() -> None:
    (finding,) = evaluate_operations(RecentActivity({}, {}, 0), ["a"])
    assert finding.level is Level.WARN
    assert "could not be read in time" in finding.detail
    assert "time index" in (finding.hint or "")


def test_a_look_back_that_was_cut_short_says_so() -> None:
    seen = RecentActivity({"a": 1.0}, {}, AGES[1])
    (finding,) = evaluate_operations(seen, ["a", "b"])
    assert finding.detail == "not called within 24.0 h (reading older rows takes too long): b"
    assert not seen.complete


@pytest.mark.parametrize(
    ("loose", "name"),
    [
        ("deepseek", "deepseek-v3.2"),
        ("gemini_flash", "gemini-2.0-flash"),
        ("claude_opus", "claude-opus-4.5"),
        ("Claude Opus 4.5", "claude-opus-4.5"),
        ("anthropic/claude-opus-4.5", "claude-opus-4.5"),
        ("deepsek", "deepseek-v3.2"),
        ("gpt-5", None),
        ("deepseek-v4.7", None),
        ("漢字", None),
    ],
)
def test_a_loose_name_finds_the_name_of_the_log(loose: str, name: str | None) -> None:
    known = {"deepseek-v3.2": 1.0, "gemini-2.0-flash": 2.0, "claude-opus-4.5": 3.0, "gpt-4": 4.0}
    found = candidates(loose, known)
    assert (found[0] if found else None) == name


def test_of_a_foreign_table_it_cannot_be_told_whether_an_index_serves() -> None:
    far = {"Node Type": "Foreign Scan", "Schema": "far", "Relation Name": "log"}
    scans = read_plan({"Node Type": "Append", "Plans": [far, {"Node Type": "Foreign Scan"}]}, "at")
    table = IndexedTable(QualifiedName("far", "log"), "f", -1, 0, None, False)
    finding = evaluate_index(table, {table.name: table}, scans, 1, "at")
    assert finding.level is Level.WARN
    assert finding.detail.startswith("far.log is a foreign table")


def test_an_index_by_which_another_column_is_sought_is_none_on_the_time() -> None:
    node = {"Node Type": "Index Scan", "Schema": "public", "Relation Name": "log", "Index Name": "by_user"}
    for condition in ({}, {"Index Cond": "(log.created_at_day = 1)"}):
        assert read_plan({**node, **condition}, "created_at").indexes == ()
    assert read_plan({**node, "Index Cond": "(log.created_at >= 1)"}, "created_at").indexes == ("by_user",)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("((calls.at >= '2026-03-01 00:00:00'::timestamp) AND (calls.at < '2026-03-02 00:00:00'::timestamp))", True),
        ("((at >= $1) AND (kind = 2) AND (at < $2))", True),
        ('((log."startTime" >= $1) AND (log."startTime" < $2) AND (api_key <> \'\'::text))', True),
        ("((to_timestamp((at)::double precision) >= $1) AND (to_timestamp((at)::double precision) < $2))", True),
        ("", False),
        ("(at >= $1)", False),
        ("((cost >= 0) AND (at < $1))", False),
        ("((person.id = calls.user_id) OR (calls.user_id IS NULL))", False),
    ],
)
def test_a_table_in_which_the_window_is_sought_is_told_from_one_that_is_joined(condition: str, expected: bool) -> None:
    scans = read_plan({"Node Type": "Seq Scan", "Schema": "s", "Relation Name": "t", "Filter": condition}, "at")
    assert scans.sifted == ((QualifiedName("s", "t"),) if expected else ())


@pytest.mark.parametrize(
    ("name", "printed"),
    [("time", '"time"'), ("At %", '"At %"'), ('a"b', '"a""b"'), ("a.b", '"a.b"'), ("größe", '"größe"'), ("x", "x")],
)
def test_a_column_is_found_in_a_plan_however_it_is_printed(name: str, printed: str) -> None:
    node = {"Node Type": "Index Scan", "Index Name": "it"}
    assert read_plan({**node, "Index Cond": f"({printed} >= 1)"}, name).indexes == ("it",)
    assert read_plan({**node, "Index Cond": f"(log.{printed} >= 1)"}, name).indexes == ("it",)
    assert read_plan({**node, "Index Cond": f'("{name} of it" >= 1)'}, name).indexes == ()


def test_of_two_that_fit_alike_the_one_used_last_comes_first() -> None:
    routes = [Route("a", "deepseek", "", True)]
    seen = RecentActivity({}, {"deepseek-v3.1": 5.0, "deepseek-v3.2": 9.0}, AGES[-1])
    finding = evaluate_model_names(seen, routes, {})
    assert "deepseek: deepseek-v3.2" in finding.hint
    assert finding.hint.splitlines()[-1] == "# deepseek: could also be deepseek-v3.1"


@given(st.dictionaries(NAMES, st.floats(0, 9), min_size=1, max_size=5), st.lists(NAMES, max_size=5))
def test_the_proposed_setting_is_yaml_that_names_only_what_the_log_has(
    models: dict[str, float], named: list[str]
) -> None:
    routes = [Route(str(n), name, "", True) for n, name in enumerate(named)]
    finding = evaluate_model_names(RecentActivity({}, models, AGES[-1]), routes, {})
    if set(named) <= models.keys():
        assert finding.level is Level.OK
        return
    assert finding.level is Level.WARN
    settings: Any = yaml.safe_load("\n".join(line for line in finding.hint.splitlines() if not line.startswith("#")))
    aliases = {} if settings is None else settings["models"]["aliases"]
    assert set(aliases) <= set(named) - models.keys()
    assert set(aliases.values()) <= models.keys()


@given(NAMES)
def test_a_quoted_name_is_one_identifier(name: str) -> None:
    text = quoted(name)
    assert text == name or text[1:-1].replace('""', '"') == name
    if text == name:
        assert name.isascii()
        assert name == name.lower()


def test_lists_and_times_are_short() -> None:
    assert listing([f"n{n}" for n in range(10)], most=2) == "n0, n1 and 8 more"
    assert [span_text(s) for s in (1, 119, 300, 7200, 604_800)] == ["1 s", "119 s", "5 min", "2.0 h", "7 days"]


def test_users_and_their_key(tmp_path: Path) -> None:
    def finding(**users: Any) -> Finding:
        return check_users(Config.model_validate({"users": users}))

    key = tmp_path / "hmac.key"
    assert finding().level is Level.OK
    assert "not shown" in finding(mode="off").detail
    absent = finding(mode="hmac", hmac_key_file=str(key))
    assert absent.level is Level.FAIL
    assert "users.hmac_key_file: name a file that can be read" in absent.hint
    key.write_bytes(b"short secret")
    short = finding(mode="hmac", hmac_key_file=str(key))
    assert "at least 16 random bytes" in short.hint
    assert "secret" not in render(short)
    key.write_bytes(b"a secret key that is long enough")
    assert finding(mode="hmac", hmac_key_file=str(key)).detail == "hashed with a key of 32 bytes"


@pytest.mark.parametrize(("number", "level"), [(130_011, Level.WARN), (140_000, Level.OK), (180_004, Level.OK)])
def test_an_old_server_is_a_warning(number: int, level: Level) -> None:
    class Known(CheckContext):
        server = Server("x.y", number, "UTC", "u", False)

        def __init__(self) -> None:
            self.info = ConnInfo({"host": "h", "dbname": "d", "user": "u"})

    (finding,) = check_connection(Known())
    assert finding.level is level
    assert finding.detail == "PostgreSQL x.y at h:5432/d as u"


def test_where_every_expected_operation_is_missing_under_another_name_only_that_is_said() -> None:
    (found, other) = evaluate_operations(RecentActivity({"email_compose": 1.0}, {}, AGES[-1]), ["email-compose"])
    assert found.hint == "expected_operations: write email_compose for email-compose"
    assert other.level is Level.OK


def test_an_output_that_knows_only_ascii_gets_ascii(tmp_path: Path) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    config = Config.model_validate({"state_dir": str(tmp_path / "stäte"), "database": {"url": "postgresql://@@@/"}})
    assert run_check(config, {}, out) == 1
    out.flush()
    assert b"st?te in " in raw.getvalue()


def test_a_table_is_named_as_sql() -> None:
    assert table_sql(QualifiedName("My App", "user")) == '"My App"."user"'
    assert table_sql(QualifiedName("public", "log")) == "public.log"


def test_the_distance_is_told_with_what_it_costs_a_scrape() -> None:
    near = evaluate_distance(0.0004, is_pipelined=True)
    assert near.level is Level.OK
    assert near.detail == "0.4 ms a round trip; a scrape waits for 3"
    without = evaluate_distance(0.06, is_pipelined=False)
    assert without.level is Level.WARN
    assert "60.0 ms a round trip" in without.detail
    assert "libpq 14" in without.hint
