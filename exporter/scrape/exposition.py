"""The page: all groups of metric families, in order, and those of the optional tables and of the exporter itself."""

import math
import platform
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from exporter import catalog
from exporter.catalog import USER_NAMES
from exporter.config import Config
from exporter.database.recommendations import Recommendations
from exporter.database.routes import Route
from exporter.scrape.collector import Scrape
from exporter.scrape.exposure import USD, Exposure, made_of
from exporter.scrape.log_families import anomalies, counters, log_gauges, queue
from exporter.scrape.own_process import own_process
from exporter.scrape.spender_families import (
    forecast,
    group_gauges,
    period_budgets,
    user_forecast,
    user_gauges,
    user_names,
)
from exporter.state_change_log import StateChangeLog
from exporter.web.families import Family

DISTRIBUTION = "ai-operation-exporter"
_VERSION = version(DISTRIBUTION)  # looked up once: it is read from a file, which may not be possible later


@dataclass(frozen=True)
class Group:
    """Families that are shown together or, after an internal error in any of them, not at all.

    `collector` is the one whose success says so; None for what only tells how the exporter itself fares.
    """

    name: str
    collector: str | None
    make: Callable[[Exposure], Iterable[Family]]


def families(exposure: Exposure, change_log: StateChangeLog) -> list[Family]:
    """All families that have samples now. Never raises: a group that cannot be made is absent, and said to be."""
    made: list[Family] = []
    failed: set[str | None] = set()
    for group in GROUPS:
        try:
            whole = list(group.make(exposure))
        except Exception as error:
            failed.add(group.collector)
            change_log.broke(f"figures of the {group.name}", error)
        else:
            made += whole
            change_log.works(f"figures of the {group.name}")
    made += _verdicts(exposure.scrape, failed)
    return [family for family in made if family.values]


def _approvals(exposure: Exposure) -> Iterator[Family]:
    if exposure.scrape.approvals is not None:
        yield Family(catalog.APPROVALS_PENDING, {(): exposure.scrape.approvals})


@made_of(lambda exposure: (exposure.scrape.recommendations,))
def _recommendations(found: Recommendations) -> Iterator[Family]:
    yield Family(catalog.RECOMMENDATIONS, dict(sorted(found.counts.items())))
    if found.savings is not None:
        savings = {(kind,): units for kind, units in sorted(found.savings.items())}
        yield Family(catalog.RECOMMENDATION_SAVINGS, savings, USD)


@made_of(lambda exposure: (exposure.scrape.routes,))
def _routes(routes: Sequence[Route]) -> Iterator[Family]:
    yield Family(catalog.ROUTE_INFO, {(r.operation, r.primary_model, r.fallback_model): 1 for r in routes})
    yield Family(catalog.ROUTE_ENABLED, {(r.operation,): r.enabled for r in routes})


@made_of(lambda exposure: (exposure.config, exposure.ledger.models))
def _configured(config: Config, known: frozenset[str]) -> Iterator[Family]:
    timeouts, default = config.models.timeouts, config.models.default_timeout
    models = known | timeouts.keys()
    yield Family(catalog.MODEL_TIMEOUT, {(model,): timeouts.get(model, default) for model in sorted(models)})
    if config.daily_limit_usd is not None:
        yield Family(catalog.DAILY_LIMIT, {(): float(config.daily_limit_usd)})
    if config.monthly_limit_usd is not None:
        yield Family(catalog.MONTHLY_LIMIT, {(): float(config.monthly_limit_usd)})


def _exporter(exposure: Exposure) -> Iterator[Family]:
    if exposure.last_success:
        yield Family(catalog.LAST_SUCCESS, {(): exposure.last_success})
    yield Family(catalog.BACKFILL_PROGRESS, {(): exposure.progress})
    if exposure.drift is not None:
        yield Family(catalog.LEDGER_DRIFT, {(): exposure.drift}, USD)
    if exposure.clock_offset is not None:
        yield Family(catalog.CLOCK_OFFSET, {(): exposure.clock_offset})
    if exposure.replication_lag is not None and math.isfinite(exposure.replication_lag):
        yield Family(catalog.REPLICATION_LAG, {(): exposure.replication_lag})
    yield Family(catalog.STATE_COMMIT_FAILURES, {(): exposure.commit_failures})
    yield Family(catalog.LOGINS_REFUSED, {(reason,): count for reason, count in exposure.logins_refused.items()})
    yield Family(catalog.BUILD_INFO, {(_VERSION, platform.python_version()): 1})


def _process(_: Exposure) -> Iterator[Family]:
    for metric, values in own_process():
        yield Family(metric, values)


def _verdicts(scrape: Scrape, failed: Container[str | None]) -> Iterator[Family]:
    """How the scrape went; `failed` are the collectors whose figures could not be made.

    Where a figure of the log is absent by an internal error, the log does not count as read: rules take the absence of
    a figure for the truth as long as it does.
    """
    runs = scrape.runs.items()
    yield Family(catalog.LOG_UP, {(): scrape.current and "log" not in failed})
    yield Family(catalog.COLLECTOR_SUCCESS, {(name,): run.success and name not in failed for name, run in runs})
    yield Family(catalog.COLLECTOR_DURATION, {(name,): run.seconds for name, run in runs})


GROUPS = (
    Group("counters", "log", counters),
    Group("spend", "log", log_gauges),
    # of no collector: without them, the log is read as before
    Group("anomalies", None, anomalies),
    Group("queue", "log", queue),
    Group("users", "budgets", user_gauges),
    Group("users' names", USER_NAMES, user_names),
    Group("groups", "log", group_gauges),
    Group("budgets with a period", "budgets", period_budgets),
    Group("forecast", None, forecast),
    Group("users' forecast", None, user_forecast),
    Group("approvals", "approvals", _approvals),
    Group("recommendations", "recommendations", _recommendations),
    Group("routes", "routes", _routes),
    Group("limits", "log", _configured),
    Group("exporter", None, _exporter),
    Group("process", None, _process),
)
"""All groups, in the order in which they are shown."""
