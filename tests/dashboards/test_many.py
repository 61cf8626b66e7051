"""Sixty operations, twelve models, two thousand users: charts stay readable, lists name the largest and the rest."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from dashboards.command import rendered
from dashboards.panels import where
from dashboards.render import each_panel
from exporter import catalog
from exporter.catalog import Metric
from exporter.demo.schema import load_schema
from tests.database.test_sql_files import drop_role
from tests.support import ROOT
from tests.support.dashboard_stack import zone_at_day
from tests.support.grafana import SETTINGS, View, promql, sql
from tests.support.harness import fixed_layout
from tests.support.panel_queries import Series, evaluated

Json = dict[str, Any]
Connection = psycopg.Connection[Any]

layout = fixed_layout("success")

DASHBOARDS = rendered(SETTINGS)
OPERATIONS, MODELS, USERS = 60, 12, 2_000
VIEW = View(0, 5400, rate_interval="5m", interval="1m")
OWN = 'job="ai", instance="a:1"'
ZONE = zone_at_day(datetime.now(UTC))


def series_of(metric: Metric) -> Iterator[tuple[str, str]]:
    """Series of a metric for each operation, the later ones with more of it."""
    others = {"error_class": "other", "factor": "calls", "primary_model": "m", "fallback_model": ""}
    for number in range(OPERATIONS):
        known = {"operation": f"operation-{number:02d}", "model": f"model-{number % MODELS:02d}", **others}
        labels = ", ".join([OWN, *(f'{name}="{known[name]}"' for name in metric.labels)])
        values = f"{number + 1}x90" if metric.kind == "gauge" else f"0+{10 * number + 10}x90"
        if metric.kind == "histogram":
            for edge in ("1", "+Inf"):
                yield f'{metric.name}_bucket{{{labels}, le="{edge}"}}', values
            yield f"{metric.name}_sum{{{labels}}}", values
            yield f"{metric.name}_count{{{labels}}}", values
        else:
            yield f"{metric.name}{{{labels}}}", values


MANY: Series = [
    (f"ai_operation_log_up{{{OWN}}}", "1x90"),
    *(one for metric in catalog.ALL.values() if "operation" in metric.labels for one in series_of(metric)),
]


def charts() -> list[Any]:
    return [
        pytest.param(target["expr"], id=f"{uid}: {panel['title']}")
        for uid, made in DASHBOARDS.items()
        for panel in each_panel(made)
        if panel["type"] == "timeseries"
        for target in panel["targets"]
        if "{{operation}}" in target.get("legendFormat", "")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("expr", charts())
def test_a_chart_of_operations_has_ten_lines_and_one_for_the_rest(expr: str) -> None:
    lines = f"count({promql(expr, VIEW)})"
    evaluated(MANY, "80m", [(f"({lines} >= bool 10) * ({lines} <= bool 11)", {"{}": 1.0})])


@pytest.fixture(scope="module")
def many(embedded_postgres: Any) -> Iterator[Connection]:
    """Calls of the zone's present day: of each user a few, all of an operation cost the same."""
    with psycopg.connect(embedded_postgres.create_database(), autocommit=True) as connection:
        load_schema(connection, "success")
        connection.execute(
            f"""
            INSERT INTO ai_operation_log (id, operation_type, operation_id, model_used, user_id, input_tokens,
                                          output_tokens, cost_usd, latency_ms, success, created_at)
            SELECT gen_random_uuid(), 'chat', 'an-operation-with-a-long-name-' || call % {OPERATIONS},
                   'provider/model-with-a-long-name-' || call % {MODELS}, lpad(call % {USERS} || '', 32, '0')::uuid,
                   100, 10, 0.001 * (1 + call % {OPERATIONS}), 100, call % 50 > 0,
                   (now() AT TIME ZONE 'UTC') - call * interval '0.8 seconds'
            FROM generate_series(1, 12000) AS calls (call)
            """.encode()
        )
        connection.execute((ROOT / "deploy" / "sql" / "dashboards.sql").read_bytes())
        yield connection
        drop_role(connection)


def rows_of(connection: Connection, uid: str, title: str, **chosen: list[str]) -> list[dict[str, Any]]:
    (panel,) = [each for each in each_panel(DASHBOARDS[uid]) if each["title"] == title]
    (target,) = panel["targets"]
    shown = panel
    if "panelId" in target:
        (shown,) = [each for each in each_panel(DASHBOARDS[uid]) if each["id"] == target["panelId"]]
    now = datetime.now(UTC)
    view = View((now - timedelta(days=1)).timestamp(), now.timestamp(), ZONE, chosen)
    cursor = connection.execute(sql(shown["targets"][0]["rawSql"], view).encode())
    columns = [column.name for column in cursor.description or ()]
    found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    for each in panel.get("transformations", ()):
        for by in ("operation", "model", "user"):
            if each == where("Kind", by):
                found = [row for row in found if row["Kind"] == by]
    return found


@pytest.mark.parametrize("by", ["operation", "model", "user"])
def test_today_names_the_ten_largest_and_the_rest_adds_up(many: Connection, by: str) -> None:
    column = {"operation": "operation_id", "model": "model_used", "user": "user_id"}[by]
    spent = dict(
        many.execute(
            f"SELECT {column}::text, sum(cost_usd)::float8 FROM ai_operation_log GROUP BY 1".encode()
        ).fetchall()
    )
    rows = rows_of(many, "ai-cost", f"Today by {by}")
    assert len(rows) == min(11, len(spent))
    *named, rest = rows
    assert sum(row["Share"] for row in rows) == pytest.approx(1)
    assert [row["Spent"] for row in named] == sorted((row["Spent"] for row in named), reverse=True)
    assert [row["Spent"] for row in named] == pytest.approx(sorted(spent.values(), reverse=True)[:10])
    assert (rest["Name"], rest["Chosen"]) == ("all others", "$__all")
    assert sum(row["Spent"] for row in rows) == pytest.approx(sum(spent.values()))
    for row in named:
        # what a click chooses is the whole name
        assert spent[row["Chosen"]] == pytest.approx(row["Spent"])
        # the beginnings of these ids are alike
        assert row["Name"] == row["Chosen"]


@pytest.mark.parametrize("by", ["operation", "model", "user"])
def test_past_days_have_ten_names_and_the_rest_and_lose_nothing(many: Connection, by: str) -> None:
    rows = rows_of(many, "ai-cost", f"Daily spend by {by}")
    ((total,),) = many.execute("SELECT sum(cost_usd)::float8 FROM ai_operation_log").fetchall()
    assert sum(row["value"] for row in rows) == pytest.approx(total)
    names = {row["metric"] for row in rows}
    assert "all others" in names
    assert len(names) == 11


def test_every_list_of_the_log_is_bounded(many: Connection) -> None:
    for uid, made in DASHBOARDS.items():
        for panel in each_panel(made):
            if any("rawSql" in target for target in panel["targets"]):
                rows = rows_of(many, uid, panel["title"])
                most = 33 if "Today" in panel["title"] else 11 * 2 if "Daily" in panel["title"] else 100
                assert 0 < len(rows) <= most, panel["title"]


def test_a_panel_that_groups_by_operation_says_how_many_it_shows() -> None:
    for made in DASHBOARDS.values():
        for panel in each_panel(made):
            by_operation = any("{{operation}}" in target.get("legendFormat", "") for target in panel["targets"])
            if by_operation and panel["type"] == "timeseries":
                assert re.search(r"\bten\b", panel["description"]), panel["title"]
