"""Past days on Cost: one query that is fast with everything chosen, and says the same as sums of the view of calls."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import psycopg
import pytest

from dashboards.sql import daily_spend, hourly_spend
from exporter.config import Config
from exporter.demo.history import history
from exporter.demo.rows import TIME_COLUMN, fill
from exporter.demo.schema import Layout, load_schema
from exporter.sql_files.render import render
from tests.database.test_sql_files import drop_role
from tests.support import ROOT
from tests.support.grafana import View, sql
from tests.support.servers import EmbeddedServer

Connection = psycopg.Connection[Any]
FILTERS = ("operation", "model", "user")
# summer time begins in Los Angeles on 8 March, and ends on 1 November
SPRING, AUTUMN = datetime(2026, 3, 10, 9, tzinfo=UTC), datetime(2026, 11, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(embedded_postgres: EmbeddedServer) -> Iterator[Callable[[Layout, datetime], str]]:
    """Gives a database of a layout with some days of calls before a moment, to be copied; each is made once."""

    @cache
    def made(layout: Layout, present: datetime) -> str:
        url = embedded_postgres.create_database()
        with psycopg.connect(url, autocommit=True) as connection:
            load_schema(connection, layout)
            fill(connection, layout, history(layout, 4, present, Random(1), per_day=1_700))
            connection.execute("CREATE TABLE present AS SELECT %s AS at", (present,))
            _make_odd(connection, TIME_COLUMN[layout])
        databases.append(url)
        return url

    databases: list[str] = []
    yield made
    for url in databases:
        embedded_postgres.drop_database(url)


@pytest.fixture(params=[SPRING, AUTUMN], ids=["spring", "autumn"])
def admin(
    embedded_postgres: EmbeddedServer,
    filled: Callable[[Layout, datetime], str],
    layout: Layout,
    request: pytest.FixtureRequest,
) -> Iterator[Connection]:
    url = embedded_postgres.create_database(like=filled(layout, request.param))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((ROOT / "deploy" / "sql" / "dashboards.sql").read_bytes())
        yield connection
        drop_role(connection)
    embedded_postgres.drop_database(url)


def _make_odd(connection: Connection, time: str) -> None:
    """Names that need cleaning, two that are one once they are clean, and costs that are not counted."""
    changes = {
        "model_used": ["' gemini-2.0-flash '", "E'gemini-2.0\\u200b-flash'", "'Gemini-2.0-Flash'"],
        "cost_usd": ["-1", "'NaN'", "NULL"],
        "user_id": ["NULL"],
        "operation_id": ["E'a\\tb'", "'other'"],
    }
    for column, values in changes.items():
        for number, value in enumerate(values):
            connection.execute(
                f"UPDATE ai_operation_log SET {column} = {value} WHERE {time} IN"
                f" (SELECT {time} FROM ai_operation_log ORDER BY {column}, {time} LIMIT 5 OFFSET {7 * number})".encode()
            )


def shown(
    connection: Connection, by: str, zone: str, chosen: Mapping[str, Sequence[str]]
) -> dict[tuple[Any, str], float]:
    now = connection.execute("SELECT extract(epoch FROM at)::float8 FROM present").fetchone()
    assert now is not None
    view = View(now[0] - 5 * 86400, now[0], zone, chosen)
    found = connection.execute(sql(daily_spend(by, FILTERS, most=100)["rawSql"], view).encode()).fetchall()
    return {(time, name): usd for time, name, usd in found if usd is not None}


def summed(
    connection: Connection, by: str, zone: str, calls: str = "ai_dashboards.operations"
) -> dict[tuple[Any, str], float]:
    found: dict[tuple[Any, str], float] = defaultdict(float)
    name = 'ai_dashboards.user_name("user")' if by == "user" else f'"{by}"'
    statement = f"""
        SELECT date_trunc('day', operations.at, '{zone}'), {name}, cost_usd::float8
        FROM {calls} AS operations CROSS JOIN present
        WHERE operations.at >= date_trunc('day', present.at - interval '5 days', '{zone}')
          AND operations.at < present.at AND cost_usd IS NOT NULL
    """
    for time, name, usd in connection.execute(statement.encode()).fetchall():
        found[time, name] += usd
    return found


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Chatham"])
@pytest.mark.parametrize("by", FILTERS)
def test_each_day_is_what_the_calls_of_that_day_cost_by_either_half(admin: Connection, by: str, zone: str) -> None:
    wanted = summed(admin, by, zone)
    assert len(wanted) > 10
    assert shown(admin, by, zone, {}) == pytest.approx(wanted)
    # every name chosen, one by one: the same rows by the other half of the query
    assert shown(admin, by, zone, {name: names(admin, name) for name in FILTERS}) == pytest.approx(wanted)


def names(connection: Connection, by: str) -> list[str]:
    found = connection.execute(f'SELECT DISTINCT "{by}" FROM ai_dashboards.operations ORDER BY 1'.encode()).fetchall()
    return [name for (name,) in found]


def assert_narrowed(admin: Connection, by: str, variable: str, chosen: Sequence[str]) -> None:
    """The sums of the chosen names are those of the calls that the view calls so."""
    admin.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (name text)")
    admin.execute("TRUNCATE chosen")
    admin.cursor().executemany("INSERT INTO chosen VALUES (%s)", [(name,) for name in chosen])
    narrowed = f'(SELECT * FROM ai_dashboards.operations WHERE "{variable}" IN (SELECT name FROM chosen))'
    wanted = summed(admin, by, "UTC", narrowed)
    assert shown(admin, by, "UTC", {variable: chosen}) == pytest.approx(wanted), chosen


@pytest.mark.parametrize("by", FILTERS)
@pytest.mark.parametrize("variable", FILTERS)
def test_a_choice_narrows_each_day_to_the_calls_of_the_view(admin: Connection, by: str, variable: str) -> None:
    every = names(admin, variable)
    for chosen in ([every[0]], [every[-1]], every[:2], every[2:], [*every[1:3], "no such name"], ["no such name"]):
        assert_narrowed(admin, by, variable, chosen)


ODD = [
    *(
        " a ",
        "a",
        "a\tb",
        "a b",
        "a\nb c",
        "b",
        "100%",
        "1000",
        "a_b",
        "axb",
        "back\\slash",
        "(a|b)",
        "a|b",
        "[x]",
        "$re$x",
    ),
    *(
        "x" * 200,
        "x" * 300,
        "\u200ba",
        "",
        " ",
        "other",
        '"other"',
        "unattributed",
        "unknown",
        "hidden",
        "loose",
        "ä ö",
    ),
    *("loose name", "name", ".+", "it's", "Anna"),
]


@pytest.mark.parametrize("kind", ["text", "varchar(400)"])
def test_names_of_any_kind_can_be_chosen(embedded_database: str, kind: str) -> None:
    """Of operations, of models with aliases, and of users whose ids are text: each name alone, and all of two."""
    config = Config.model_validate({"models": {"aliases": {"loose": "a", "loose name": "x y", "name": "unknown"}}})
    with psycopg.connect(embedded_database, autocommit=True) as admin:
        load_schema(admin, "success")
        columns = "model_used", "operation_id", "operation_type", "user_id"
        for column in columns:
            admin.execute(f"ALTER TABLE ai_operation_log ALTER {column} TYPE {kind}".encode())
        admin.execute("CREATE TABLE present AS SELECT %s AS at", (SPRING,))
        for number, name in enumerate([*ODD, None]):
            values = (name or "", name, name or "", name)
            for place in range(4):
                row = [each if place in (at, 3) else "usual" for at, each in enumerate(values)]
                admin.execute(
                    f"INSERT INTO ai_operation_log ({', '.join(columns)}, cost_usd, success, created_at)"
                    " VALUES (%s, %s, %s, %s, %s, true, %s)".encode(),
                    (*row, 1 + number, SPRING.replace(tzinfo=None) - timedelta(hours=5 * (number % 7) + 1)),
                )
        admin.execute(render(config)["dashboards.sql"].encode())
        try:
            for variable in FILTERS:
                every = names(admin, variable)
                assert len(every) > 20
                for first, second in zip(every, [*every[1:], every[0]], strict=True):
                    assert_narrowed(admin, "model", variable, [first])
                    assert_narrowed(admin, variable, variable, [first, second])
        finally:
            drop_role(admin)


CHOICES: tuple[Mapping[str, Sequence[str]], ...] = (
    {},
    {"operation": ["email-classify"]},
    {"model": ["gemini-2.0-flash"]},
    {"user": ["unattributed"]},
    {"operation": ["email-classify"], "model": ["gemini-2.0-flash"], "user": ["unattributed"]},
)


@pytest.mark.parametrize("by", FILTERS)
def test_no_name_is_cleaned_row_by_row_whatever_is_chosen(admin: Connection, by: str) -> None:
    """The log is read once, and what is computed of each row is its day and its cost."""
    for chosen in CHOICES:
        view = View(AUTUMN.timestamp() - 86400, AUTUMN.timestamp(), chosen=chosen)
        text = sql(daily_spend(by, FILTERS)["rawSql"], view)
        plan = "\n".join(line for (line,) in admin.execute(f"EXPLAIN (VERBOSE) {text}".encode()).fetchall())
        parts = re.split(r"^ +CTE (\w+)$", plan, flags=re.MULTILINE)
        by_row, by_name = parts[parts.index("grouped") + 1], parts[parts.index("named") + 1]
        assert plan.count(" on public.ai_operation_log") == by_row.count(" on public.ai_operation_log") == 1
        assert f"{by}_label(" not in by_row
        assert f"{by}_label(" in by_name


def test_the_calls_of_a_chosen_user_are_found_by_the_index(admin: Connection) -> None:
    admin.execute((ROOT / "deploy" / "sql" / "indexes.sql").read_bytes())
    admin.execute("ANALYZE ai_operation_log")
    user = next(name for name in names(admin, "user") if name != "unattributed")
    now = admin.execute("SELECT extract(epoch FROM at)::float8 FROM present").fetchall()[0][0]
    for chosen in ([user], [user, "no uuid"]):
        view = View(now - 5 * 86400, now, chosen={"user": chosen})
        admin.execute("SET enable_seqscan = off")
        text = sql(daily_spend("model", FILTERS)["rawSql"], view)
        plan = "\n".join(line for (line,) in admin.execute(f"EXPLAIN {text}".encode()).fetchall())
        assert "ai_operation_log_user_time_idx" in plan, plan


@pytest.mark.parametrize("zone", ["UTC", "America/Bogota", "Asia/Kolkata"])
@pytest.mark.parametrize("minutes", [1, 20, 59])
def test_hours_of_another_day_are_whole_in_the_hour_that_is_not_over(
    admin: Connection, zone: str, minutes: int
) -> None:
    (present,) = admin.execute("SELECT extract(epoch FROM at)::float8 FROM present").fetchone() or (0.0,)
    until = datetime.fromtimestamp(present, UTC) - timedelta(hours=1) + timedelta(minutes=minutes)
    view = View(until.timestamp() - 86400, until.timestamp(), zone)
    rows = admin.execute(sql(hourly_spend(FILTERS)["rawSql"], view).encode()).fetchall()

    def cost(since: datetime, before: datetime) -> float:
        found = admin.execute(
            "SELECT coalesce(sum(cost_usd), 0)::float8 FROM ai_dashboards.operations WHERE at >= %s AND at < %s",
            (since, before),
        ).fetchone()
        assert found is not None
        return float(found[0])

    assert len(rows) == 25
    for hour, now, yesterday, week in rows:
        day_before = hour - timedelta(days=1)
        assert yesterday == pytest.approx(cost(day_before, day_before + timedelta(hours=1)))
        assert now == pytest.approx(cost(hour, min(hour + timedelta(hours=1), until)))
        assert week == 0
    # of a refund, less than 0
    assert rows[-1][2] != 0
