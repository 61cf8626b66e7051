"""Check the parts in order, from the table to the message; skip what needs a part that failed."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from decimal import Decimal

from exporter.config import Config, ConfigError
from exporter.database.conninfo import ConnInfo, resolve_conninfo
from exporter.database.errors import DatabaseError
from exporter.findings import Finding, Level, fail, failed, skipped
from exporter.verify import alertmanager, database, delivery, exporter, grafana, prometheus
from exporter.verify.built import NO_FILES, ROUTING_AS_BUILT, RULES_AS_BUILT, Built, evaluate_rules
from exporter.verify.endpoints import Endpoints
from exporter.verify.web import Part, UnansweredError

SETTLE_SECONDS = 60.0
"""The longest wait for a Prometheus that has just started."""

TEST_ALERT_SECONDS = 60.0
"""The longest wait for a test alert; Alertmanager itself gives up after 30 s."""


def run(
    config: Config,
    environ: Mapping[str, str],
    endpoints: Endpoints,
    *,
    test_alert: bool,
    built: Built | Finding = NO_FILES,
) -> Iterator[Finding]:
    """All findings, in order; `built` is what the servers should have loaded, or the finding that nothing is built."""
    info, finding = _database(config, environ)
    yield finding
    called = yield from _exporter(config, info, endpoints.exporter)
    yield from _prometheus(config, endpoints.prometheus, built, called)
    yield from _alertmanager(endpoints.alertmanager, built, test_alert=test_alert)
    if endpoints.grafana:
        yield from grafana.check_grafana(Part(endpoints.grafana, endpoints.grafana_user, endpoints.grafana_password))
    else:
        left_out = "skipped: no address given (--grafana-url or $GRAFANA_URL)"
        yield Finding(grafana.GRAFANA, Level.SKIPPED, left_out)


def _database(config: Config, environ: Mapping[str, str]) -> tuple[ConnInfo | None, Finding]:
    """How to reach the database (None: it cannot be read), and the finding."""
    try:
        info = resolve_conninfo(config, environ)
    except ConfigError as error:
        problem, _, hint = str(error).partition(" — ")
        return None, fail(database.NAME, problem, hint)
    finding = database.check_database(config, info)
    return (info if finding.level is Level.OK else None), finding


def _exporter(config: Config, info: ConnInfo | None, url: str) -> Generator[Finding, None, frozenset[str] | None]:
    """The findings; returns the operations that have been called, None where the exporter cannot tell."""
    part = Part(url)
    findings, samples = exporter.check_exporter(part)
    yield from findings
    start = None if samples is None else exporter.window_start(samples)
    if samples is None:
        for name in (exporter.LOG_READ, exporter.OTHER_TABLES, exporter.COST):
            yield skipped(name, exporter.EXPORTER)
    elif info is None:
        yield skipped(exporter.COST, database.NAME)
    elif start is None:
        yield skipped(exporter.COST, exporter.LOG_READ)
    else:
        yield _cost(config, info, part, exporter.spend_today(samples), start)
    if samples is None or failed(each for each in findings if each.name == exporter.LOG_READ):
        return None
    return exporter.operations(samples)


def _cost(config: Config, info: ConnInfo, part: Part, before: Decimal, start: int) -> Finding:
    try:
        truth = database.spent_since(config, info, start)
        after = exporter.parse(part.text("/metrics"))
    except DatabaseError as error:
        return fail(exporter.COST, error.detail, error.hint)
    except (UnansweredError, ValueError) as error:
        return fail(exporter.COST, str(error), "try again")
    if exporter.window_start(after) != start:
        return fail(exporter.COST, "the day ended, or the log was lost, between two readings", "try again")
    return exporter.evaluate_cost(before, truth, exporter.spend_today(after))


def _prometheus(config: Config, url: str, built: Built | Finding, called: frozenset[str] | None) -> Iterator[Finding]:
    part = Part(url)

    def operations() -> list[Finding]:
        if called is None:
            return [skipped(prometheus.OPERATIONS, exporter.LOG_READ)]
        return [prometheus.check_operations(part, config.expected_operations, called, SETTLE_SECONDS)]

    first = prometheus.check_prometheus(part)
    yield first
    if first.level is not Level.FAIL:
        with contextlib.suppress(UnansweredError, KeyError, TypeError):
            prometheus.settle(part, SETTLE_SECONDS)
    looks: Mapping[str, Callable[[], list[Finding]]] = {
        "targets": lambda: prometheus.evaluate_targets(prometheus.targets(part)),
        prometheus.API: lambda: [prometheus.check_probe(part)],
        prometheus.SERVER_METRICS: lambda: [prometheus.check_server_metrics(part)],
        prometheus.OPERATIONS: operations,
        prometheus.RULES: lambda: [prometheus.evaluate_rules(prometheus.groups(part))],
        RULES_AS_BUILT: lambda: [
            built if isinstance(built, Finding) else evaluate_rules(built, prometheus.groups(part))
        ],
        prometheus.SENDS_TO: lambda: [prometheus.check_alertmanagers(part)],
    }
    for name, look in looks.items():
        if first.level is Level.FAIL:
            yield skipped(name, prometheus.PROMETHEUS)
            continue
        try:
            yield from look()
        except (UnansweredError, KeyError, TypeError) as error:
            yield fail(name, str(error), "set --prometheus-url to the address of Prometheus itself")


def _alertmanager(url: str, built: Built | Finding, *, test_alert: bool) -> Iterator[Finding]:
    part = Part(url)
    findings = alertmanager.check_alertmanager(part, built)
    yield from findings
    if findings[0].level is Level.FAIL:
        for name in (alertmanager.RECEIVERS, ROUTING_AS_BUILT, delivery.TEST):
            yield skipped(name, alertmanager.ALERTMANAGER)
    elif test_alert:
        yield from alertmanager.send_test_alert(part, TEST_ALERT_SECONDS)
    else:
        # people see a test alert, so it is sent only on request
        yield Finding(delivery.TEST, Level.SKIPPED, "not sent; --send-test-alert sends one")
