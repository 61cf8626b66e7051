"""Check Grafana: it runs, has the dashboards, and gets an answer for each data source and each panel."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any

from exporter.findings import Finding, Level, fail, ok, skipped
from exporter.humanize import listing
from exporter.verify.queries import DASHBOARDS, check_queries
from exporter.verify.web import Page, Part, UnansweredError, first_line

GRAFANA = "grafana"

UIDS = ("ai-cost", "ai-performance", "ai-health")
"""The provisioned dashboards."""

SOURCES: Mapping[str, str] = {
    # Alertmanager's plugin has no health check of its own, so Grafana's proxy asks it.
    "prometheus": "/api/datasources/proxy/uid/prometheus/api/v1/query?query=vector(1)",
    "alertmanager": "/api/datasources/proxy/uid/alertmanager/api/v2/status",
    "postgres": "/api/datasources/uid/postgres/health",
}
"""By uid of a data source, the path in Grafana that answers 200 if the source works."""


def check_grafana(part: Part) -> Iterator[Finding]:
    """The findings on Grafana, its data sources and its panels."""
    try:
        health = part.json("/api/health")
    except UnansweredError as error:
        hint = "start it, or set its address: --grafana-url, empty if there is none"
        yield fail(GRAFANA, str(error), hint)
        return
    yield ok(GRAFANA, f"{part.url} is healthy, version {health.get('version', '?')}")
    dashboards = _asked(part, DASHBOARDS, "/api/search?type=dash-db&limit=5000", evaluate_dashboards)
    yield dashboards
    if dashboards.hint == _LOGIN:
        # no more tries: after five wrong logins, Grafana refuses even the right password for five minutes
        for name in (*(f"source {uid}" for uid in SOURCES), *(f"queries {uid}" for uid in UIDS)):
            yield skipped(name, DASHBOARDS)
        return
    broken = set()
    for uid, path in SOURCES.items():
        finding = _asked(part, f"source {uid}", path, partial(evaluate_source, uid))
        if finding.level is Level.FAIL:
            broken.add(uid)
        yield finding
    for uid in UIDS:
        yield check_queries(part, uid, broken)


def _asked(part: Part, name: str, path: str, judge: Callable[[Page], Finding]) -> Finding:
    try:
        return judge(part.page(path))
    except UnansweredError as error:
        return fail(name, str(error), "look at Grafana's log")


def evaluate_dashboards(page: Page, wanted: Collection[str] = UIDS) -> Finding:
    """Evaluate whether the search lists every dashboard."""
    if page.status in (401, 403):
        return fail(DASHBOARDS, f"Grafana refuses the login ({page.status})", _LOGIN)
    found = {entry.get("uid") for entry in _list(page.text)}
    missing = [uid for uid in wanted if uid not in found]
    if missing:
        hint = "look at Grafana's log: two dashboards with the same title or uid stop it from reading the folder"
        return fail(DASHBOARDS, f"missing: {listing(missing)}", hint)
    return ok(DASHBOARDS, f"provisioned: {listing(wanted)}")


def evaluate_source(uid: str, page: Page) -> Finding:
    """Evaluate the answer of a data source."""
    name = f"source {uid}"
    if page.status == 200:
        return ok(name, "answers through Grafana")
    if page.status in (401, 403):
        return fail(name, f"Grafana refuses the login ({page.status})", _LOGIN)
    if "plugin" in page.text:
        return fail(name, f"Grafana does not know its type: {first_line(page.text)}", "use Grafana 10.4 or newer")
    hints = {
        "postgres": "check GRAFANA_DATABASE_… in .env, secrets/grafana_database_password, deploy/sql/dashboards.sql"
    }
    hint = hints.get(uid, "make sure that it runs, and check deploy/grafana/provisioning/datasources/")
    return fail(name, f"does not answer through Grafana ({page.status}): {first_line(page.text)}", hint)


_LOGIN = (
    "set $GRAFANA_USER and $GRAFANA_PASSWORD_FILE; "
    "Grafana keeps the password of its first start, and accepts none for five minutes after five wrong ones"
)


def _list(text: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text)
    except ValueError:
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
