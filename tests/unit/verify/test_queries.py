"""`verify` asks every panel's queries through Grafana, and tells an error from no data."""

import http.server
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from exporter.findings import Level
from exporter.verify.grafana import UIDS, check_grafana
from exporter.verify.panels import PanelRequest, panels
from exporter.verify.queries import PanelAnswer, check_queries, evaluate_answers, evaluate_page
from exporter.verify.web import Page, Part
from tests.support import ROOT
from tests.support.programs import free_port

Json = dict[str, Any]
GENERATED = ROOT / "dashboards" / "generated"
FRAME = {
    "schema": {"refId": "A", "fields": [{"name": "Time", "type": "time"}, {"name": "Value", "type": "number"}]},
    "data": {"values": [[1795516427268], [1]]},
}
# Prometheus answers nothing with a frame without fields, PostgreSQL with no frame.
HOLLOW = {"prometheus": [{"schema": {"refId": "A", "fields": []}, "data": {"values": []}}], "postgres": []}


@dataclass
class Grafana:
    """A server that answers as Grafana 9.5 did, with the dashboards that are built."""

    dashboards: dict[str, Json] = field(
        default_factory=lambda: {uid: json.loads((GENERATED / f"{uid}.json").read_text()) for uid in UIDS}
    )
    sources: tuple[str, ...] = ("prometheus", "alertmanager", "postgres")
    errors: dict[str, str] = field(default_factory=dict)
    """By a part of a query's text, what its source says of it."""
    without_data: tuple[str, ...] = ()
    asked: list[Json] = field(default_factory=list)
    refused: int = 0
    """How often a login was refused, which happens without `lets_in`."""
    lets_in: bool = True
    url: str = ""

    def get(self, path: str) -> tuple[int, Any]:
        """What is at a path."""
        if path == "/api/health":
            return 200, {"database": "ok", "version": "9.5.0"}
        if not self.lets_in:
            self.refused += 1
            return 401, {"message": "Invalid username or password"}
        if path.startswith("/api/search"):
            return 200, [{"uid": uid} for uid in self.dashboards]
        if path.startswith("/api/datasources/"):
            known = any(f"/uid/{uid}/" in path for uid in self.sources)
            return (200, {}) if known else (502, {"message": "Bad Gateway"})
        dashboard = self.dashboards.get(path.removeprefix("/api/dashboards/uid/"))
        return (200, {"dashboard": dashboard}) if dashboard else (404, {"message": "Dashboard not found"})

    def query(self, request: Json) -> tuple[int, Any]:
        """The answer to a panel."""
        self.asked.append(request)
        results = {}
        for query in request["queries"]:
            source, text = query["datasource"]["uid"], query.get("expr") or query["rawSql"]
            if source not in self.sources:
                return 404, {"message": "Data source not found", "traceID": ""}
            error = next((said for part, said in self.errors.items() if part in text), None)
            if error:
                results[query["refId"]] = {"error": error, "status": 500, "frames": HOLLOW["prometheus"]}
            else:
                hollow = any(part in text for part in self.without_data)
                results[query["refId"]] = {"status": 200, "frames": HOLLOW[source] if hollow else [FRAME]}
        return (400 if any("error" in each for each in results.values()) else 200), {"results": results}


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    """The server, reachable."""
    served = Grafana()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*served.get(self.path))

        def do_POST(self) -> None:
            self._answer(*served.query(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _answer(self, status: int, body: Any) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        served.url = f"http://127.0.0.1:{server.server_port}"
        yield served
        server.shutdown()


def targets(dashboard: Json) -> list[Json]:
    """Every query in a dashboard's JSON, wherever it is."""
    found: list[Json] = []
    stack: list[Any] = [dashboard]
    while stack:
        each = stack.pop()
        if isinstance(each, Mapping):
            found += each.get("targets") or []
            stack += each.values()
        elif isinstance(each, list):
            stack += each
    return found


def texts(queries: list[Json]) -> list[str]:
    """What the queries ask, as written."""
    # a panel that shows what another one has asked asks nothing
    return sorted(query.get("expr") or query["rawSql"] for query in queries if "panelId" not in query)


@pytest.mark.parametrize("uid", UIDS)
def test_every_query_of_a_dashboard_is_asked_once_with_all_chosen(grafana: Grafana, uid: str) -> None:
    finding = check_queries(Part(grafana.url), uid, ())
    assert finding.level is Level.OK, finding
    assert finding.detail == f"all {len(grafana.asked)} panels answer"
    asked = [query for request in grafana.asked for query in request["queries"]]
    expected = [
        text.replace('"$job"', '".+"')
        .replace('"$operation"', '".+"')
        .replace('"$model"', '".+"')
        .replace('"$user"', '".+"')
        .replace("${zone}", "UTC")
        .replace("${operation:regex}", ".+")
        .replace("${model:regex}", ".+")
        .replace("${user:regex}", ".+")
        for text in texts(targets(grafana.dashboards[uid]))
    ]
    assert texts(asked) == sorted(expected)
    assert {query["datasource"]["uid"] for query in asked} == {"prometheus", "postgres"}


def test_grafanas_macros_and_other_dollars_are_left_to_it() -> None:
    text = 'label_replace(rate(a{job=~"$job", b="$jobs"}[$__rate_interval]), "x", "$1", "y", "(.*)") and $__timeFrom()'
    (panel,) = panels(dashboard_of({"refId": "A", "expr": text}))
    assert panel.request["queries"][0]["expr"] == text.replace('"$job"', '".+"')


def dashboard_of(target: Json, **more: Any) -> Json:
    panel = {"title": "one", "datasource": {"uid": "${datasource}"}, "targets": [target], **more}
    row = {"type": "row", "collapsed": True, "panels": [panel]}
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}},
        {"name": "job", "type": "query", "includeAll": True, "allValue": ".+", "current": {"value": ["$__all"]}},
    ]
    text = {"type": "text", "title": "says something, asks nothing"}
    return {
        "panels": [text, row],
        "templating": {"list": variables},
        "time": {"from": "now-6h", "to": "now"},
    }


def test_a_panel_has_its_own_time_range_or_the_dashboards() -> None:
    (plain,) = panels(dashboard_of({"refId": "A", "expr": "up"}))
    (own,) = panels(dashboard_of({"refId": "A", "expr": "up"}, timeFrom="30d"))
    assert (plain.request["from"], own.request["from"]) == ("now-6h", "now-30d")
    assert plain.sources == {"prometheus"}


def test_a_query_that_is_hidden_is_not_asked() -> None:
    dashboard = dashboard_of({"refId": "A", "expr": "up"})
    dashboard["panels"][1]["panels"][0]["targets"].append({"refId": "B", "expr": "down", "hide": True})
    assert [query["refId"] for query in panels(dashboard)[0].request["queries"]] == ["A"]


def test_no_data_is_an_answer(grafana: Grafana) -> None:
    grafana.without_data = ("ai_spend_month_usd", "outcome IN ('failed', 'timeout')), 0)")
    finding = check_queries(Part(grafana.url), "ai-cost", ())
    assert finding.level is Level.OK
    assert finding.detail.endswith(f"{len(grafana.asked)} panels answer, 2 of them without data")


def test_panels_with_errors_are_named_with_each_sources_reason_and_what_to_do(grafana: Grafana) -> None:
    grafana.errors = {
        "ai_dashboards.": "db query error: pq: permission denied for view operations",
        "ai_monthly_limit_usd": 'bad_data: invalid parameter "query": 1:22: parse error: unclosed left parenthesis',
    }
    finding = check_queries(Part(grafana.url), "ai-cost", ())
    assert finding.level is Level.FAIL
    every = len(panels(grafana.dashboards["ai-cost"]))
    assert re.match(rf"errors in \d+ of {every} panels: Daily spend by model, ", finding.detail)
    assert re.search(r" and \d+ more: bad_data: ", finding.detail)
    assert finding.detail.endswith("; db query error: pq: permission denied for view operations")
    assert "deploy/sql/dashboards.sql" in finding.hint
    assert "dashboards/generated/" in finding.hint


def test_one_query_of_many_in_error_makes_its_panel_fail(grafana: Grafana) -> None:
    (limits,) = [p for p in panels(grafana.dashboards["ai-cost"]) if p.title == "Budget utilization by user"]
    assert len(limits.request["queries"]) > 1
    grafana.errors = {"ai_user_daily_limit_usd": "query timed out"}
    finding = check_queries(Part(grafana.url), "ai-cost", ())
    assert "Budget utilization by user" in finding.detail


def test_panels_of_a_source_that_failed_before_are_not_asked(grafana: Grafana) -> None:
    grafana.sources = ("prometheus", "alertmanager")
    findings = {finding.name: finding for finding in check_grafana(Part(grafana.url))}
    assert findings["source postgres"].level is Level.FAIL
    for uid in UIDS:
        assert findings[f"queries {uid}"].level is Level.SKIPPED
        assert findings[f"queries {uid}"].detail.endswith("panels answer, the rest needs source postgres")
    assert {query["datasource"]["uid"] for request in grafana.asked for query in request["queries"]} == {"prometheus"}


def test_a_dashboard_that_is_missing_is_said_once_and_the_others_are_asked(grafana: Grafana) -> None:
    grafana.dashboards.pop("ai-health")
    findings = {finding.name: finding for finding in check_grafana(Part(grafana.url))}
    assert {name for name, finding in findings.items() if finding.level is Level.FAIL} == {"dashboards"}
    assert findings["queries ai-health"].detail == "skipped: needs dashboards"
    assert findings["queries ai-cost"].level is Level.OK


def test_a_refused_login_is_tried_once(grafana: Grafana) -> None:
    grafana.lets_in = False
    findings = list(check_grafana(Part(grafana.url, "admin", "wrong")))
    assert [finding.name for finding in findings if finding.level is Level.FAIL] == ["dashboards"]
    assert {finding.name for finding in findings if finding.level is Level.SKIPPED} == {
        *(f"source {uid}" for uid in ("prometheus", "alertmanager", "postgres")),
        *(f"queries {uid}" for uid in UIDS),
    }
    assert grafana.refused == 1
    assert grafana.asked == []


def test_when_time_is_up_the_rest_is_left_out_and_said(grafana: Grafana) -> None:
    finding = check_queries(Part(grafana.url), "ai-cost", (), seconds=0)
    every = len(panels(grafana.dashboards["ai-cost"]))
    assert (finding.level, finding.detail) == (Level.WARN, f"0 of {every} panels answer, then time was up")
    assert grafana.asked == []


@pytest.mark.parametrize(
    "broken", [{}, {"panels": [], "time": {}}, {"panels": [], "templating": {"list": []}, "time": {}}]
)
def test_a_dashboard_of_another_shape_is_a_failure(grafana: Grafana, broken: Json) -> None:
    grafana.dashboards["ai-cost"] = broken or {"panels": None}
    finding = check_queries(Part(grafana.url), "ai-cost", ())
    assert finding.level is Level.FAIL
    assert "ai-cost has " in finding.detail


def test_an_error_does_not_hide_that_time_was_up() -> None:
    finding = evaluate_answers("ai-cost", [PANEL] * 3, [PanelAnswer(PANEL, "no answer within 10 s")], ())
    assert finding.level is Level.FAIL
    assert finding.detail == "errors in 1 of 3 panels: one: no answer within 10 s; 2 more were left out: time was up"


PANEL = PanelRequest("one", frozenset({"prometheus"}), {"queries": [{"refId": "A"}, {"refId": "B"}]})


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (404, '{"message":"Data source not found","traceID":""}', "Grafana answers 404: {"),
        (403, '{"message":"You\'ll need additional permissions"}', "Grafana answers 403: {"),
        (502, "<html>", "Grafana answers 502: <html>"),
        (200, '{"results": {"A": {"status": 200, "frames": []}}}', "Grafana answers 200: {"),
        (500, '{"results": {"A": {"frames": []}, "B": {"frames": []}}}', "Grafana answers 500"),
        (207, '{"results": {"A": {"frames": []}, "B": {"error": "late\\nmore", "frames": null}}}', "late"),
        (200, '{"results": {"A": {"frames": []}, "B": {"frames": [{"data": null}]}}}', ""),
    ],
)
def test_only_an_answer_to_each_query_is_one(status: int, text: str, error: str) -> None:
    answer = evaluate_page(PANEL, Page(status, text))
    assert answer.error.startswith(error)
    assert bool(answer.error) is bool(error)


def test_a_grafana_that_goes_away_is_said() -> None:
    finding = check_queries(Part(f"http://127.0.0.1:{free_port()}"), "ai-cost", ())
    assert finding.level is Level.FAIL
    assert "Connection refused" in finding.detail
