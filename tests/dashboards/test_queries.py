"""Every query of every panel, variable and annotation, on real servers: it returns data, and in an outage never a 0."""

import contextlib
import json
import math
import re
import signal
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dashboards import sql as sql_of_calls
from dashboards.calls import DATABASE_DOWN, EXPORTER_DOWN
from dashboards.command import rendered
from dashboards.sql import CALL
from exporter.demo.profiles import BUSIEST_USER
from exporter.demo.schema import LAYOUTS, Layout
from tests.support.dashboard_stack import ODD_NAME, Stack, run_stack
from tests.support.grafana import SETTINGS, View, promql, sql, targets
from tests.support.programs import eventually, fetch, wait_for

# one process brings its servers up, and not each of several
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboards")]

Json = dict[str, Any]
Key = tuple[str, str]
OPERATION = CALL.index(sql_of_calls.OPERATION)

NO_HISTORY = "anomalies need two weeks of history"
ANOMALIES = {
    ("Spend beyond the usual", "A"): NO_HISTORY,
    ("Usual spend per hour", "A"): NO_HISTORY,
    **{("Why the spend is odd", letter): NO_HISTORY for letter in "ABCD"},
    **{("What else is odd", letter): NO_HISTORY for letter in "ABCDE"},
}
FIRST_TOKENS = {
    ("Time to first token", "A"): "the demo's log has no time to the first token",
    ("p95 time to first token by model", "A"): "the demo's log has no time to the first token",
}
EMPTY_BY_DESIGN: dict[Layout, dict[Key, str]] = {
    "success": {
        ("Queue depth", "A"): "this layout has only calls that ended",
        ("Oldest waiting", "A"): "this layout has only calls that ended",
        **ANOMALIES,
        **FIRST_TOKENS,
    },
    "status": {
        ("Recommendations", "A"): "this layout has no such table",
        ("Open recommendations", "A"): "this layout has no such table",
        ("Open savings by type", "A"): "this layout has no such table",
        **ANOMALIES,
        **FIRST_TOKENS,
    },
}

STATES = {
    "Alert history": "0 is the answer: all is quiet",
    "Figures": "0 is the answer: the log is not read",
    "Probe history": "0 is the answer: the exporter's page, which is probed here, is late",
    "Parts of the scrape": "0 is the answer: failed",
    "Database reached": "0 is the answer: not reached",
    "Alerts firing": "0 is the answer of the rules, and they are there",
    "Alerts": "likewise",
    "Freshness": "seconds since, which begin at 0",
}
"""Panels that may show 0 in an outage, since 0 says so."""


@pytest.fixture(scope="module", params=LAYOUTS)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(request.param, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def dashboards(stack: Stack) -> dict[str, Json]:
    return rendered(replace(SETTINGS, zone=stack.zone))


def now_view(stack: Stack, **chosen: list[str]) -> View:
    now = time.time()
    return View(now - 1800, now, stack.zone, chosen)


def ask(stack: Stack, path: str, **words: str) -> Any:
    status, text = fetch(f"{stack.prometheus.url}/api/v1/{path}?{urllib.parse.urlencode(words)}")
    assert status == 200, text
    answer = json.loads(text)
    # what Prometheus warns of is shown in the panel's corner
    assert not answer.get("warnings"), answer
    return answer["data"]


def values(stack: Stack, target: Json, view: View) -> list[float]:
    """The numbers that a query of Prometheus answers; NaN, which is drawn as nothing, left out."""
    expr = promql(target["expr"], view)
    if target["instant"]:
        result = ask(stack, "query", query=expr)["result"]
        found = [series["value"][1] for series in result]
    else:
        span = {"start": f"{view.until - 120:.3f}", "end": f"{view.until:.3f}", "step": "5"}
        result = ask(stack, "query_range", query=expr, **span)["result"]
        found = [value for series in result for _, value in series["values"]]
    return [number for number in map(float, found) if math.isfinite(number)]


def present(stack: Stack, target: Json) -> list[float]:
    """What a query of Prometheus answers for this very moment."""
    return values(stack, {**target, "instant": True}, now_view(stack))


def statements(dashboards: dict[str, Json]) -> list[tuple[Json, Json]]:
    return [each for made in dashboards.values() for each in targets(made) if "rawSql" in each[1]]


def expressions(dashboards: dict[str, Json]) -> list[tuple[Json, Json]]:
    return [each for made in dashboards.values() for each in targets(made) if "expr" in each[1]]


def test_every_panel_has_data(stack: Stack, dashboards: dict[str, Json]) -> None:
    empty = expressions(dashboards)

    def only_these_are_empty() -> None:
        view = now_view(stack)
        # what has had data is not asked again: hundreds of queries each time would keep the data from coming
        empty[:] = [each for each in empty if not values(stack, each[1], view)]
        assert {(panel["title"], target["refId"]) for panel, target in empty} == set(EMPTY_BY_DESIGN[stack.layout])

    # the drift is sampled a minute after the start, and a scrape that takes too long on a busy machine is a gap
    eventually(only_these_are_empty, 120)


def test_every_table_and_chart_of_the_log_has_data(stack: Stack, dashboards: dict[str, Json]) -> None:
    with psycopg.connect(stack.grafana_url) as connection:
        for panel, target in statements(dashboards):
            for chosen in ({}, {"operation": ["email-classify", "email-compose"], "model": ["gemini-2.0-flash"]}):
                cursor = connection.execute(sql(target["rawSql"], now_view(stack, **chosen)).encode())
                rows = cursor.fetchall()
                assert rows, (panel["title"], chosen)
                assert all(any(cell is not None for cell in row) for row in rows)
                if target["format"] == "time_series":
                    names = [column.name for column in cursor.description or ()]
                    assert names[0] == "time"
                    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_a_choice_narrows_what_is_shown(stack: Stack, dashboards: dict[str, Json]) -> None:
    (recent,) = [target for panel, target in statements(dashboards) if panel["title"] == "Recent operations"]
    (calls,) = [target for panel, target in expressions(dashboards) if panel["title"] == "Calls per hour by model"]
    view = now_view(stack, operation=["email-classify"])
    with psycopg.connect(stack.grafana_url) as connection:
        rows = connection.execute(sql(recent["rawSql"], view).encode()).fetchall()
    assert {row[OPERATION] for row in rows} == {"email-classify"}

    def part_of_the_whole() -> None:
        views = now_view(stack), now_view(stack, operation=["email-classify"])
        whole, part = (sum(values(stack, {**calls, "instant": True}, each)) for each in views)
        assert 0 < part < whole

    eventually(part_of_the_whole)


@pytest.mark.parametrize("variable", ["operation", "model", "user"])
def test_other_is_never_shown_as_an_amount(stack: Stack, dashboards: dict[str, Json], variable: str) -> None:
    """The exporter's `other` stands for many names, of which the log has none: that is not $0."""
    with psycopg.connect(stack.grafana_url) as connection:
        for panel, target in statements(dashboards):
            if f"${{{variable}:" in target["rawSql"]:
                rows = connection.execute(
                    sql(target["rawSql"], now_view(stack, **{variable: ["other"]})).encode()
                ).fetchall()
                assert rows == [], panel["title"]
                assert panel["fieldConfig"]["defaults"]["noValue"].startswith(("No call", "`other` is not in the log"))


def test_today_is_told_by_every_choice_and_adds_up(stack: Stack, dashboards: dict[str, Json]) -> None:
    (drivers,) = [target for panel, target in statements(dashboards) if panel["title"] == "Today by operation"]
    with psycopg.connect(stack.grafana_url) as connection:
        for chosen in ({}, {"operation": ["email-classify"]}, {"user": [str(BUSIEST_USER)]}):
            rows = connection.execute(sql(drivers["rawSql"], now_view(stack, **chosen)).encode()).fetchall()
            for kind in ("operation", "model", "user"):
                shares = [row[3] for row in rows if row[0] == kind and row[3] is not None]
                assert sum(shares) == pytest.approx(1)
            totals = [sum(row[2] for row in rows if row[0] == kind) for kind in ("operation", "model", "user")]
            assert totals == pytest.approx([totals[0]] * 3)
            if "operation" in chosen:
                assert {row[1] for row in rows if row[0] == "operation"} == {"email-classify"}


def test_an_operation_may_have_any_name(stack: Stack, dashboards: dict[str, Json]) -> None:
    """Quotes, backslashes and what regular expressions take for themselves, alone and among others."""
    tables = [target for panel, target in statements(dashboards) if panel["title"] == "Recent operations"]
    (costs,) = [target for panel, target in expressions(dashboards) if panel["title"] == "Operations per hour"]
    with psycopg.connect(stack.grafana_url) as connection:
        for others in ([], ["email-compose"]):
            view = now_view(stack, operation=[ODD_NAME, *others])
            rows = connection.execute(sql(tables[0]["rawSql"], view).encode()).fetchall()
            assert {row[OPERATION] for row in rows} == {ODD_NAME, *others}
            eventually(partial(_shows, stack, costs, [ODD_NAME, *others]))


def _shows(stack: Stack, target: Json, operations: list[str]) -> None:
    view = now_view(stack, operation=operations)
    assert len(values(stack, {**target, "instant": True}, view)) == len(operations)


def test_every_variable_offers_something(stack: Stack, dashboards: dict[str, Json]) -> None:
    for made in dashboards.values():
        for each in made["templating"]["list"]:
            if each["type"] != "query":
                continue
            if each["name"] == "user":
                (expr,) = re.findall(r"query_result\((.+)\)", each["query"]["query"])
                assert ask(stack, "query", query=promql(expr, now_view(stack)))["result"]
                continue
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]["query"])
            assert found
            words = {"match[]": promql(found[1], now_view(stack)), "start": f"{time.time() - 600:.0f}"}
            assert ask(stack, f"label/{found[2]}/values", **words), each["name"]


def test_every_annotation_has_marked_something(stack: Stack, dashboards: dict[str, Json]) -> None:
    for made in dashboards.values():
        for each in made["annotations"]["list"]:
            if "expr" in each:
                wait_for(partial(_marks, stack, each))


def _marks(stack: Stack, annotation: Json) -> list[float]:
    return values(stack, {**annotation, "instant": False}, now_view(stack))


def test_figures_of_the_log_equal_those_of_the_exporter(stack: Stack, dashboards: dict[str, Json]) -> None:
    """Today's bar, from the log, and today's number, from the gauge, are the same money."""
    (daily,) = [target for panel, target in statements(dashboards) if panel["title"] == "Daily spend by operation"]
    today, _ = [target for panel, target in expressions(dashboards) if panel["title"] == "Team today"]
    with psycopg.connect(stack.grafana_url) as connection:
        rows = connection.execute(sql(daily["rawSql"], now_view(stack)).encode()).fetchall()
    newest = max(row[0] for row in rows)
    logged = sum(row[2] for row in rows if row[0] == newest and row[2] is not None)

    def equal() -> None:
        assert present(stack, today) == [pytest.approx(logged, abs=1e-5)]

    eventually(equal)


def test_grafanas_role_sees_no_table(stack: Stack) -> None:
    with psycopg.connect(stack.grafana_url, autocommit=True) as connection:
        for statement in (b"SELECT * FROM public.ai_operation_log", b"SELECT cost_usd FROM public.ai_operation_log"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


_MONEY = ("Team today", "Team by midnight", "Team this month", "Over limit")


def test_without_the_exporter_and_then_without_the_database_nothing_is_zero(
    stack: Stack, dashboards: dict[str, Json], tmp_path: Path
) -> None:
    """The last test of a stack: it takes it apart."""
    ours = [(panel, target) for panel, target in expressions(dashboards) if "ai_" in target["expr"]]
    figures = [target for panel, target in ours if panel["title"] == "Figures"]
    assert len(figures) == 3

    def said(state: float) -> bool:
        # and when the log was last read
        return all(state in present(stack, each) and len(present(stack, each)) == 2 for each in figures)

    stack.program.end(signal.SIGTERM)
    wait_for(lambda: stack.prometheus.query('up{job="ai-operation-exporter"} == 0'))

    left = list(ours)

    def nothing_is_left() -> None:
        # what has gone is not asked again until all has
        left[:] = [each for each in left if present(stack, each[1])]
        assert {panel["title"] for panel, _ in left} == {"Figures"}
        assert said(EXPORTER_DOWN)

    eventually(nothing_is_left)
    assert {panel["title"] for panel, target in ours if present(stack, target)} == {"Figures"}

    stack.program.start()
    wait_for(lambda: stack.prometheus.query("ai_operation_log_up == 1"))
    wait_for(lambda: stack.prometheus.query("sum(ai_operations_total)"))
    container = stack.postgres._container.get_wrapped_container()
    container.stop(timeout=5)
    wait_for(lambda: stack.prometheus.query("ai_operation_log_up == 0"), 60)
    wait_for(lambda: stack.prometheus.query("absent(pg_up == 1)"), 60)

    zero = {
        panel["title"]
        for panel, target in expressions(dashboards)
        if any(value == 0 for value in present(stack, target))
    }
    assert zero <= set(STATES), zero

    def only_states_are_shown() -> None:
        answers = {panel["title"]: present(stack, target) for panel, target in expressions(dashboards)}
        # where postgres_exporter, too, hangs on the database, only that the log is not read is known
        assert said(DATABASE_DOWN) or said(0)
        for title in _MONEY:
            assert answers[title] == []

    eventually(only_states_are_shown)
    with contextlib.suppress(psycopg.Error), psycopg.connect(stack.grafana_url, connect_timeout=2):
        raise AssertionError("the database was to be stopped")
