"""LiteLLM's spend log, as its own migrations make it: read by the shipped settings, exactly, whatever its rows hold."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.log_query import span_query
from exporter.database.one_session import one_session
from exporter.ledger.model import TimeRange
from tests.support import ROOT
from tests.support.harness import Running, running, wait_for
from tests.support.litellm import migrate, migrations, partition, partition_of, version_in_use
from tests.support.preflight import check
from tests.support.public_logs import PublicLog, shown
from tests.support.scraped import Scraped
from tests.support.servers import EmbeddedServer

SOURCE: dict[str, Any] = {"source": "litellm"}
LOG = '"LiteLLM_SpendLogs"'
PAGE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
Admin = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def migrated(embedded_postgres: EmbeddedServer) -> Iterator[str]:
    """A database after all migrations, to copy."""
    url = embedded_postgres.create_database()
    with psycopg.connect(url, autocommit=True) as admin:
        migrate(admin)
    yield url
    embedded_postgres.drop_database(url)


@pytest.fixture
def url(embedded_postgres: EmbeddedServer, migrated: str) -> Iterator[str]:
    copied = embedded_postgres.create_database(like=migrated)
    yield copied
    embedded_postgres.drop_database(copied)


@pytest.fixture
def admin(url: str) -> Iterator[Admin]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def described(admin: Admin) -> tuple[list[Any], list[Any]]:
    """The columns of the spend log, in whatever order, and its indexes."""
    columns = admin.execute(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)"
        " FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
        " WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname",
        (LOG,),
    ).fetchall()
    indexes = admin.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass ORDER BY 1", (LOG,)
    ).fetchall()
    return columns, indexes


def test_the_table_of_the_other_tests_is_what_the_migrations_make(admin: Admin, embedded_database: str) -> None:
    with psycopg.connect(embedded_database, autocommit=True) as other:
        PublicLog.of("litellm").create(other)
        assert described(other) == described(admin)


def test_the_page_says_which_version_was_tested() -> None:
    assert f"`litellm-proxy-extras` {version_in_use()}" in PAGE
    assert f"{len(migrations())} migrations" in PAGE


def test_check_accepts_it_and_the_counters_are_what_plain_sql_says(url: str, admin: Admin, tmp_path: Path) -> None:
    public = PublicLog.of("litellm")
    public.fill(admin, 3000, step=5)
    admin.execute("ANALYZE")
    report = check(url, tmp_path, **SOURCE)
    assert report.code == 0, report.text
    assert report.entries["outcomes"].mark == "ok", report.text
    assert '"LiteLLM_SpendLogs_startTime_idx' in f'"{report.entries["time index"].detail.rpartition(" ")[2]}', (
        report.text
    )
    with running(url, tmp_path, datetime.now(UTC) - timedelta(hours=6), **SOURCE) as exporter:
        exporter.wait_ready()
        assert shown(exporter.scrape()) == public.figures(admin)


def test_the_limits_of_users_and_teams_are_those_of_its_own_tables(url: str, admin: Admin, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "budgets.md").read_text(encoding="utf-8").partition("## LiteLLM")[2]
    settings = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    PublicLog.of("litellm").fill(admin, 3000, step=300)
    team = "team_id = (ARRAY['red', 'blue', NULL])[1 + floor(3 * random())::int]"
    admin.execute(f"UPDATE {LOG} SET spend = round(random()::numeric, 6), {team}".encode())
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2, hours=3)
    add = (
        'INSERT INTO "LiteLLM_TeamTable" (team_id, max_budget, soft_budget, budget_duration, budget_reset_at)'
        " VALUES (%s, %s, %s, %s, %s)"
    )
    naive = ends.replace(tzinfo=None)
    for row in (("red", 100, 80, "7d", naive), ("blue", 50, None, "30d", naive), ("good", 5, None, None, None)):
        admin.execute(add, row)
    begun = {("red", "7d"): naive - timedelta(days=7), ("blue", "30d"): naive - timedelta(days=30)}
    with running(url, tmp_path, **settings, history_weeks=0) as exporter:
        exporter.wait_ready()

        def spent() -> dict[tuple[str, str], int | None]:
            seen = exporter.scrape().having("ai_budget_spend_usd").items()
            return {(dict(of)["group"], dict(of)["period"]): round(1e6 * spend) for (_, of), spend in seen}

        def due() -> dict[tuple[str, str], int | None]:
            query = f'SELECT round(1000000 * sum(spend)) FROM {LOG} WHERE team_id = %s AND "startTime" >= %s'.encode()
            rows = {key: admin.execute(query, (key[0], start)).fetchone() or (0,) for key, start in begun.items()}
            return {key: int(units) for key, (units,) in rows.items()}

        wait_for(lambda: spent() == due(), lambda: f"{spent()} and not {due()}")
        scraped = exporter.scrape()
        assert scraped.one("ai_budget_soft_limit_usd", user="", group="red", period="7d") == 80
        assert scraped.labels("ai_budget_limit_usd", "group") == ["blue", "red"]
        assert not scraped.has("ai_group_daily_limit_usd")
    assert "no period: good" in check(url, tmp_path / "check", **settings).text


NAMES: tuple[tuple[str, str | None, str | None], ...] = (
    ("openai/gpt-4o", "gpt-4o", "user-1"),
    ("", "", ""),
    ("claude", None, None),
    ("", None, "ユーザー"),
)
OUTCOMES: tuple[tuple[str | None, Any], ...] = (
    ("success", {}),
    ("failure", {"error_information": {"error_class": "RateLimitError", "error_code": 429, "error_message": None}}),
    (None, None),
    (None, {"status": "failure", "error_information": "no object"}),
    (None, {"status": None}),
    (None, ["no", "object"]),
    (None, "failure"),
    (None, 5),
    ("", {"status": "success"}),
    ("Success", {}),
    ("cancelled", {}),
)
"""Status and metadata: those of today, those before there was a status, and some that are none."""

AMOUNTS = (
    "0",
    "-0",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e300",
    "5e-324",
    "0.30000000000000004",
    "-0.5",
    "1000000",
    "1000001",
)
TOKENS = (0, -5, 2_147_483_647, 1_000_000_000, 17)
ENDS = ("infinity", "-infinity", "2000-01-01", "294276-12-31 23:59:59.999", None)
CACHE_HITS = (None, "", "True", "true", "False", "None")


def insert_odd_rows(admin: Admin) -> int:
    """Rows of every outcome with every name, and all other odd values in turn; returns how many."""
    made = []
    for number, ((model, group, user), (status, metadata)) in enumerate(product(NAMES, OUTCOMES)):
        start = datetime.now(UTC).replace(microsecond=999_000, tzinfo=None) - timedelta(seconds=60 + 7 * number)
        end = ENDS[number % len(ENDS)]
        made.append(
            (
                f"id-{number}",
                "acompletion" if number % 3 else "",
                AMOUNTS[number % len(AMOUNTS)],
                TOKENS[number % len(TOKENS)],
                TOKENS[(number + 1) % len(TOKENS)],
                start,
                start + timedelta(milliseconds=1234) if end is None else end,
                (None, 1234, None, -1, 2_147_483_647)[number // 5 % 5],
                model,
                group,
                user,
                None if metadata is None else json.dumps(metadata),
                status,
                CACHE_HITS[number % len(CACHE_HITS)],
            )
        )
    with admin.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO {LOG} (request_id, call_type, spend, prompt_tokens, completion_tokens, "startTime",'
            ' "endTime", request_duration_ms, model, model_group, "user", metadata, status, cache_hit)'
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s)",
            made,
        )
    return len(made)


def skipped(scraped: Scraped, field: str) -> int:
    return int(scraped.total("ai_rows_skipped_total", field=field))


def test_odd_rows_are_counted_or_reported(url: str, admin: Admin, tmp_path: Path) -> None:
    with running(url, tmp_path, datetime.now(UTC) - timedelta(hours=1), **SOURCE) as exporter:
        exporter.wait_ready()
        rows = insert_odd_rows(admin)
        scraped = exporter.scrape()
        assert scraped.up == 1
        word = "coalesce(status, metadata ->> 'status', 'success')"
        usable = "spend BETWEEN -1000000 AND 1000000"
        passed = 'extract(epoch FROM "endTime" - "startTime") * 1000'
        took = f'coalesce(request_duration_ms, CASE WHEN isfinite("endTime") THEN {passed} END)'
        found = admin.execute(
            f"""
            SELECT count(*) FILTER (WHERE {word} IN ('success', 'failure')), count(*) FILTER (WHERE {word} = 'failure'),
                   sum(round(spend::numeric, 12)) FILTER (WHERE {usable}), count(*) FILTER (WHERE NOT {usable}),
                   sum(prompt_tokens) FILTER (WHERE prompt_tokens BETWEEN 0 AND 1000000000),
                   count(*) FILTER (WHERE NOT prompt_tokens BETWEEN 0 AND 1000000000),
                   count(*) FILTER (WHERE {word} IN ('success', 'failure') AND {took} BETWEEN 0 AND 86400000),
                   count(*) FILTER (WHERE {took} IS NULL OR NOT {took} BETWEEN 0 AND 86400000)
            FROM {LOG}
            """.encode()
        ).fetchone()
        assert found is not None
        calls, failures, cost, no_cost, tokens, no_tokens, timed, untimed = found
        assert scraped.total("ai_operations_total") == calls == rows - skipped(scraped, "status")
        assert scraped.total("ai_operation_failures_total") == failures > 0
        net = scraped.total("ai_operation_cost_usd_total") - scraped.total("ai_operation_refunds_usd_total")
        assert net == pytest.approx(float(cost), abs=1e-9)
        assert skipped(scraped, "cost") == no_cost > 0
        assert scraped.total("ai_operation_input_tokens_total") == tokens
        assert skipped(scraped, "input_tokens") == no_tokens > 0
        assert scraped.total("ai_operation_latency_seconds_count") == timed
        assert skipped(scraped, "latency") == untimed > 0
        assert scraped.total("ai_operation_failures_total", error_class="rate_limit") > 0
        assert scraped.labels("ai_operations_total", "model") == ["claude", "gpt-4o", "unknown"]
    report = check(url, tmp_path, **SOURCE)
    assert "'cancelled' (" in report.entries["outcomes"].detail
    assert report.entries["open window"].mark == "ok", report.text


def older_settings() -> dict[str, Any]:
    """What the page tells those with an older proxy to write."""
    (text,) = (
        block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if '"endTime" - "startTime"' in block
    )
    settings: dict[str, Any] = yaml.safe_load(text)
    return settings


@pytest.mark.parametrize("until", ["20250326162113", "20250508072103", "20260130000000"])
def test_an_older_spend_log_lacks_what_check_names_and_is_read_as_the_page_says(
    until: str, embedded_database: str, tmp_path: Path
) -> None:
    last = max(name for name in migrations() if name[:14] <= until)
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        migrate(admin, last)
        found = check(embedded_database, tmp_path, **SOURCE).entries["columns"]
        assert found.mark == "FAIL"
        assert "no column request_duration_ms" in found.detail
        assert ("no column status" in found.detail) == (until < "20250508")
        admin.execute(
            f'INSERT INTO {LOG} (request_id, call_type, "startTime", "endTime", spend, prompt_tokens, metadata)'
            " SELECT g::text, 'acompletion', at - interval '2 s', at, 0.25, 10,"
            ' CASE WHEN g % 5 = 0 THEN \'{"status": "failure"}\'::jsonb END'
            " FROM (SELECT g, now() AT TIME ZONE 'UTC' - g * interval '9 s' AS at FROM generate_series(1, 40) g) AS m"
        )
        settings = older_settings()
        if until >= "20250508":
            del settings["columns"]["log"]["status"]
        assert check(embedded_database, tmp_path, **settings).entries["columns"].mark == "ok"
        with running(embedded_database, tmp_path, datetime.now(UTC) - timedelta(hours=1), **settings) as exporter:
            exporter.wait_ready()
            assert shown(exporter.scrape()) == (40, 8, 10 * 10**9, 400, 0)
            assert exporter.scrape().total("ai_operation_latency_seconds_sum") == 80


def test_partitions_by_time_are_read_as_one_table_and_may_be_dropped(url: str, admin: Admin, tmp_path: Path) -> None:
    public = PublicLog.of("litellm")
    partition(admin, range(-2, 2))
    public.fill(admin, 2000, step=120)
    admin.execute("ANALYZE")
    report = check(url, tmp_path, **SOURCE)
    assert report.marked("FAIL") == set(), report.text
    assert report.entries["time index"].mark == "ok", report.text
    assert partitions_read(url) <= {partition_of(datetime.now(UTC).date() - timedelta(days=ago)) for ago in (0, 1)}
    since = datetime.now(UTC) - timedelta(days=3)
    with running(url, tmp_path, since, **SOURCE) as exporter:
        exporter.wait_ready()
        truth = public.figures(admin)
        assert shown(exporter.scrape()) == truth
        # retention drops the oldest whole, and writers go on
        (in_default,) = admin.execute('SELECT count(*) FROM "LiteLLM_SpendLogs_pdefault"').fetchone() or (0,)
        assert in_default > 0
        admin.execute(f'DROP TABLE "{partition_of(datetime.now(UTC).date() - timedelta(days=2))}"')
        assert shown(exporter.scrape()) == truth
        insert_one(admin, "late", 90)
        wait_for_calls(exporter, truth.calls + 1)
    with running(url, tmp_path, after=exporter, **SOURCE) as again:
        again.wait_ready()
        insert_one(admin, "later", 5)
        wait_for_calls(again, truth.calls + 2)


def partitions_read(url: str) -> set[str]:
    """The partitions that a scrape's query touches."""
    config = Config.model_validate({"database": {"url": url}, **SOURCE})
    rules = config.classification()
    with one_session(config, resolve_conninfo(config, {}), "tests", 60) as session:
        now = int(session.clock)
        query, parameters = span_query(session.log(rules), rules, TimeRange(now - 900, now), 60)
        (((plan,),),) = session.run(psycopg.sql.SQL("EXPLAIN (FORMAT JSON) ") + query, parameters)
    return set(
        re.findall(r"LiteLLM_SpendLogs_p\w+", json.dumps([node.get("Relation Name") for node in nodes(plan["Plan"])]))
    )


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def insert_one(admin: Admin, name: str, ago: int) -> None:
    admin.execute(
        f'INSERT INTO {LOG} (request_id, call_type, spend, "startTime", "endTime", status)'
        " SELECT %s, 'acompletion', 0.5, at - interval '1 s', at, 'success'"
        " FROM (SELECT now() AT TIME ZONE 'UTC' - %s * interval '1 s' AS at) AS made",
        (name, ago),
    )


def wait_for_calls(exporter: Running, calls: int) -> None:
    wait_for(lambda: shown(exporter.scrape()).calls == calls, lambda: str(shown(exporter.last)))
