"""Check Prometheus: it scrapes every part, its rules are healthy, and it has all operations."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from exporter import catalog
from exporter.findings import Finding, fail, ok, warn
from exporter.humanize import listing, span_text
from exporter.verify.web import Part, UnansweredError, first_line, tell

PROMETHEUS, RULES, OPERATIONS, SENDS_TO = "prometheus", "rules", "operations", "sends alerts to"
API, SERVER_METRICS = "API", "server metrics"

_POLL_SECONDS = 1.0

EXPORTER_JOB = "ai-operation-exporter"
JOBS = (EXPORTER_JOB, "postgres", "blackbox", "blackbox-exporter", "prometheus", "alertmanager", "grafana")
"""The jobs in deploy/prometheus/prometheus.yml; targets of other jobs are not checked."""

EXPECTED = (EXPORTER_JOB, "postgres", "prometheus", "alertmanager")
"""The jobs that rules and dashboards rely on. That nothing is probed is said with the API."""


def check_prometheus(part: Part) -> Finding:
    """Check that it is ready."""
    try:
        part.text("/-/ready")
        version = part.json("/api/v1/status/buildinfo")["data"]["version"]
    except (UnansweredError, KeyError, TypeError) as error:
        return fail(PROMETHEUS, str(error), "start it, or set its address: --prometheus-url")
    return ok(PROMETHEUS, f"{part.url} is ready, version {version}")


def settle(part: Part, seconds: float) -> None:
    """Wait, at most so many seconds, until a Prometheus that has just started has scraped and evaluated once."""
    until = time.monotonic() + seconds
    while is_settling(targets(part), groups(part)) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)


def is_settling(targets: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of our targets, or a rule, has not had its first turn."""
    ours = [target["health"] for target in targets if target["labels"].get("job") in JOBS]
    rules = [rule["health"] for group in groups for rule in group["rules"]]
    return "unknown" in (*ours, *rules)


def targets(part: Part) -> Sequence[Mapping[str, Any]]:
    """The active targets, as /api/v1/targets lists them. Raises `UnansweredError`."""
    found: Sequence[Mapping[str, Any]] = part.json("/api/v1/targets", {"state": "active"})["data"]["activeTargets"]
    return found


def groups(part: Part) -> Sequence[Mapping[str, Any]]:
    """The groups of rules, as /api/v1/rules lists them. Raises `UnansweredError`."""
    found: Sequence[Mapping[str, Any]] = part.json("/api/v1/rules")["data"]["groups"]
    return found


def query(part: Part, expression: str) -> list[tuple[Mapping[str, str], float]]:
    """The samples of an instant query, as labels and value. Raises `UnansweredError`."""
    answer = part.json("/api/v1/query", {"query": expression})
    return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]


def query_range(part: Part, query: str, start: int, end: int, step: int) -> Any:
    """The series of a range query, in seconds since the epoch. Raises `UnansweredError`."""
    asked = {"query": query, "start": str(start), "end": str(end), "step": str(step)}
    try:
        return part.json("/api/v1/query_range", asked)["data"]["result"]
    except (KeyError, TypeError):
        raise UnansweredError("Prometheus does not answer with the result of a query") from None


def evaluate_targets(targets: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Evaluate whether every target of our jobs is up: a finding for each job."""
    findings = []
    for job in JOBS:
        mine = [target for target in targets if target["labels"].get("job") == job]
        down = [target for target in mine if target["health"] != "up"]
        name = f"target {job}"
        if down:
            said = first_line(down[0].get("lastError") or "not scraped yet")
            where = down[0]["labels"].get("instance", "?")
            detail = f"{len(down)} of {len(mine)} not up: {where}: {said}"
            findings.append(fail(name, detail, "start it, and wait for the next scrape"))
        elif mine:
            findings.append(ok(name, f"{len(mine)} up"))
        elif job in EXPECTED:
            findings.append(_absent(name, job))
    return findings


def _absent(name: str, job: str) -> Finding:
    hint = f"add the job {job} to prometheus.yml, see deploy/prometheus/"
    if job == EXPORTER_JOB:
        return fail(name, "is not scraped", hint)
    return warn(name, "is not scraped: its panels and rules have no data", hint)


def check_probe(part: Part) -> Finding:
    """Check that the API answers the blackbox exporter."""
    rows = query(part, 'probe_success{job="blackbox"}')
    if not rows:
        return warn(API, "there is no probe", "set API_HEALTH_URL, and start the blackbox exporter")
    lost = [labels.get("instance", "?") for labels, value in rows if value != 1]
    if lost:
        return fail(
            API, f"{listing(lost)} does not answer 2xx", "make sure that the API runs, or correct API_HEALTH_URL"
        )
    return ok(API, f"{listing([labels.get('instance', '?') for labels, _ in rows])} answers")


def check_server_metrics(part: Part) -> Finding:
    """Check that postgres_exporter reaches the database."""
    rows = query(part, 'pg_up{job="postgres"}')
    if not rows:
        return warn(SERVER_METRICS, "no pg_up", "start postgres_exporter, and make sure that Prometheus scrapes it")
    if any(value != 1 for _, value in rows):
        hint = "look at its log; deploy/sql/role_postgres_exporter.sql creates its role"
        return fail(SERVER_METRICS, "postgres_exporter does not reach the database", hint)
    return ok(SERVER_METRICS, "postgres_exporter reads the server's statistics")


def evaluate_rules(groups: Sequence[Mapping[str, Any]]) -> Finding:
    """Evaluate whether every rule is loaded and healthy."""
    rules = [rule for group in groups for rule in group["rules"]]
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    if not alerts:
        return fail(RULES, "no alert is loaded", "add alert_rules/generated/rules.yml to rule_files, and reload")
    sick = [rule for rule in rules if rule["health"] != "ok"]
    if sick:
        said = first_line(sick[0].get("lastError") or "not evaluated yet: try again in a minute")
        names = listing({rule["name"] for rule in sick})
        return fail(RULES, f"{len(sick)} of {len(rules)} not healthy: {names}: {said}", "fix it, and reload")
    firing = sorted({rule["name"] for rule in alerts if rule["state"] == "firing"})
    now = f"; firing: {listing(firing)}" if firing else "; none fires"
    return ok(RULES, f"{len(alerts)} alerts and {len(rules) - len(alerts)} recordings, all healthy{now}")


def check_alertmanagers(part: Part) -> Finding:
    """Check that Prometheus knows where to send alerts."""
    active = part.json("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    if not active:
        return fail(SENDS_TO, "no Alertmanager", "add it under alerting: in prometheus.yml")
    return ok(SENDS_TO, listing([str(each["url"]) for each in active]))


def check_operations(
    part: Part, expected: Sequence[str], called: Collection[str], seconds: float, say: Callable[[str], None] = tell
) -> Finding:
    """Check that Prometheus has every expected operation, of those that the exporter knows to have been called.

    Waits, at most so many seconds, for what it has read a moment ago to be scraped.
    """
    until = time.monotonic() + seconds
    while True:
        # looks back over a time when the log could not be read: that is another finding
        rows = query(part, f"time() - max by (operation) (last_over_time({catalog.OPERATION_LAST_SEEN.name}[1h]))")
        ages = {row["operation"]: age for row, age in rows if "operation" in row}
        late = set(expected).intersection(called) - ages.keys()
        if not late or time.monotonic() > until:
            return evaluate_operations(ages, expected, called)
        say(f"Prometheus has {len(late)} operations still to scrape")
        time.sleep(_POLL_SECONDS)


def evaluate_operations(ages: Mapping[str, float], expected: Sequence[str], called: Collection[str]) -> Finding:
    """Evaluate `ages`, the seconds since each operation's newest call; `called` are those that the exporter has seen.

    One that was never called is a warning, as in `check`.
    """
    missing = [name for name in expected if name not in ages]
    if lost := [name for name in missing if name in called]:
        detail = f"{len(lost)} of {len(expected)} that the exporter reports are not in Prometheus: {listing(lost)}"
        return fail(OPERATIONS, detail, f"see `target {EXPORTER_JOB}`, and wait for the next scrape")
    if missing:
        hint = "call each once, or remove from expected_operations those that no longer exist"
        return warn(OPERATIONS, f"{len(missing)} of {len(expected)} were not called: {listing(missing)}", hint)
    if not expected:
        return ok(OPERATIONS, f"none are expected, {len(ages)} report")
    quietest = max(expected, key=lambda name: ages[name])
    ago = span_text(max(0.0, ages[quietest]))
    return ok(OPERATIONS, f"all {len(expected)} report; the quietest, {quietest}, {ago} ago")
