"""Build Prometheus metric families from the ledger's state."""

import math
import platform
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from exporter import catalog
from exporter.catalog import Metric
from exporter.config import UPPER_BOUNDS, Config
from exporter.database.log_query import INVALID_REASONS
from exporter.database.rows import IN_PROGRESS
from exporter.database.tables import BUDGET_FIELDS, SEVERAL_BUDGETS
from exporter.ledger import exposed
from exporter.ledger.aggregate import (
    ERROR_CLASSES,
    FAILURES,
    LATENCY_COUNTS,
    LATENCY_EDGES,
    LATENCY_SUMS,
    SECOND,
    Aggregate,
    Field,
    usd,
)
from exporter.ledger.calendar import day_window, month_window
from exporter.ledger.model import LedgerSettings, Phase, Series, SkippedValue, State
from exporter.ledger.users import count_states, shown_spend
from exporter.scrape.collector import Scrape
from exporter.state_change_log import StateChangeLog

DISTRIBUTION = "ai-operation-exporter"
_VERSION = version(DISTRIBUTION)  # looked up once: it is read from a file, which may not be possible later

SKIPS = (
    *(SkippedValue(measure, fault) for measure in UPPER_BOUNDS for fault in INVALID_REASONS),
    SkippedValue("status", "null"),
    SkippedValue("status", "unknown"),
    SkippedValue("time", "null"),
    SkippedValue("time", "infinite"),
    *(SkippedValue(field, fault) for field in BUDGET_FIELDS for fault in INVALID_REASONS),
    SEVERAL_BUDGETS,
)
"""Every field and reason that `ai_rows_skipped_total` can have: all are at 0 from the start."""

Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class Figures:
    """What is shown at one moment.

    `durable` is the state as committed, for counters; `present` the newest one, for gauges. `drift` is in money units,
    `clock_offset` and `replication_lag` in seconds.
    """

    config: Config
    durable: State | None
    present: State | None
    settings: LedgerSettings
    scrape: Scrape
    commit_failures: int
    progress: float
    last_success: float
    drift: int | None
    logins_refused: Mapping[str, int]
    clock_offset: float | None = None
    replication_lag: float | None = 0.0

    @property
    def fresh(self) -> State | None:
        """The state that gauges from the database are shown of; None where it was not read just now."""
        return self.present if self.scrape.current else None


@dataclass(frozen=True)
class Group:
    """Families that are shown together or, after an internal error in any of them, not at all.

    `collector` is the one whose success says so; None for what only tells how the exporter itself fares.
    """

    name: str
    collector: str | None
    make: Callable[[Figures], Iterator[Family]]


def families(figures: Figures, change_log: StateChangeLog) -> list[Family]:
    """All families that have samples now. Never raises: a group that cannot be made is absent, and said to be."""
    made: list[Family] = []
    failed: set[str | None] = set()
    for group in GROUPS:
        try:
            whole = list(group.make(figures))
        except Exception as error:
            failed.add(group.collector)
            change_log.broke(f"figures of the {group.name}", error)
        else:
            made += whole
            change_log.works(f"figures of the {group.name}")
    made += _verdicts(figures.scrape, failed)
    return [family for family in made if family.samples]


def _counters(figures: Figures) -> Iterator[Family]:
    state = figures.durable
    if state is None or state.progress.phase != Phase.RUNNING:
        return
    counters = exposed.counters(state)

    def of(field: Field) -> Samples:
        return ((series, cell[field]) for series, cell in counters.items())

    yield _family(catalog.OPERATIONS, of(Field.CALLS))
    yield _family(
        catalog.FAILURES,
        (
            ((*series, name), count)
            for series, cell in counters.items()
            for name, count in zip(ERROR_CLASSES, cell[FAILURES], strict=True)
        ),
    )
    yield _family(catalog.COST, ((series, usd(cell[Field.COST])) for series, cell in counters.items()))
    yield _family(catalog.INPUT_TOKENS, of(Field.INPUT_TOKENS))
    yield _family(catalog.OUTPUT_TOKENS, of(Field.OUTPUT_TOKENS))
    yield _latency(counters)
    yield _family(catalog.OVER_TIMEOUT, of(Field.OVER_TIMEOUT))
    yield _family(catalog.FALLBACKS, of(Field.FALLBACKS))
    yield _family(catalog.UNPRICED, of(Field.UNPRICED))
    yield _family(catalog.ROWS_SKIPPED, ((skip, state.skipped.get(skip, 0)) for skip in SKIPS))
    yield _family(catalog.ROWS_READ, [((), state.progress.rows_read)])
    yield _family(catalog.LATE_ROWS, [((), state.progress.late_rows)])
    yield _family(catalog.SERIES_FOLDED, [(("operation_model",), state.progress.rows_overflowed)])
    corrections = ((series, usd(state.corrections.get(series, 0))) for series in counters)
    yield _family(catalog.COST_CORRECTIONS, corrections)


def _latency(counters: Mapping[Series, Aggregate]) -> Family:
    family = HistogramMetricFamily(
        catalog.LATENCY.name, catalog.LATENCY.help, labels=catalog.LATENCY.labels, unit=catalog.LATENCY.unit
    )
    edges = [*map(str, LATENCY_EDGES), "+Inf"]
    for series, cell in counters.items():
        below = 0
        buckets: list[tuple[str, float]] = []
        for edge, count in zip(edges, cell[LATENCY_COUNTS], strict=True):
            below += count
            buckets.append((edge, below))
        family.add_metric(list(series), buckets, sum(cell[LATENCY_SUMS]) / SECOND)
    return family


def _log_gauges(figures: Figures) -> Iterator[Family]:
    state, settings = figures.fresh, figures.settings
    if state is None:
        return
    now = state.progress.now
    yield _family(catalog.SPEND_TODAY, ((s, usd(units)) for s, units in exposed.spend_today(state, settings).items()))
    yield _family(catalog.SPEND_MONTH, ((s, usd(units)) for s, units in exposed.spend_month(state, settings).items()))
    windows = {"day": day_window(now, settings.zone), "month": month_window(now, settings.zone)}
    yield _family(catalog.WINDOW_START, (((name,), window.start) for name, window in windows.items()))
    yield _family(catalog.WINDOW_END, (((name,), window.end) for name, window in windows.items()))
    if state.progress.newest:
        yield _family(catalog.LOG_NEWEST_ROW, [((), state.progress.newest)])
    yield _family(catalog.OPERATION_LAST_SEEN, (((name,), at) for name, at in sorted(state.seen_operations.items())))
    yield _family(catalog.MODEL_LAST_SUCCESS, (((name,), at) for name, at in sorted(state.succeeded_models.items())))


def _queue(figures: Figures) -> Iterator[Family]:
    state = figures.fresh
    if state is None or not figures.scrape.has_status:
        return
    waiting = exposed.in_progress(state)
    rows = {status: waiting[status].rows if status in waiting else 0 for status in IN_PROGRESS}
    yield _family(catalog.IN_PROGRESS, (((status,), count) for status, count in rows.items()))
    yield _family(catalog.OLDEST_IN_PROGRESS, (((status,), found.oldest) for status, found in sorted(waiting.items())))


def _user_gauges(figures: Figures) -> Iterator[Family]:
    state = figures.fresh
    if state is None:
        return
    spend = exposed.user_spend_today(state, figures.settings)
    budgets = figures.scrape.budgets
    by_user = {} if budgets is None else budgets.by_user
    if figures.config.users.mode != "off":
        shown = shown_spend(spend, state.shown_users)
        yield _family(catalog.USER_SPEND_TODAY, (((user,), usd(units)) for user, units in shown.items()))
        limits = {user: by_user[user].daily_limit for user in sorted(state.shown_users) if user in by_user}
        yield _family(
            catalog.USER_DAILY_LIMIT,
            (((user,), usd(limit)) for user, limit in limits.items() if limit is not None),
        )
    if budgets is not None:
        states = count_states(spend, by_user, budgets.idle)
        yield _family(catalog.BUDGET_USERS, (((name,), count) for name, count in states.items()))
        if budgets.recorded_today is not None:
            yield _family(catalog.RECORDED_SPEND_TODAY, [((), usd(budgets.recorded_today))])


def _approvals(figures: Figures) -> Iterator[Family]:
    if figures.scrape.approvals is not None:
        yield _family(catalog.APPROVALS_PENDING, [((), figures.scrape.approvals)])


def _recommendations(figures: Figures) -> Iterator[Family]:
    if figures.scrape.recommendations is not None:
        yield _family(catalog.RECOMMENDATIONS, sorted(figures.scrape.recommendations.items()))


def _routes(figures: Figures) -> Iterator[Family]:
    if figures.scrape.routes is not None:
        routes = figures.scrape.routes
        yield _family(catalog.ROUTE_INFO, (((r.operation, r.primary_model, r.fallback_model), 1) for r in routes))
        yield _family(catalog.ROUTE_ENABLED, (((r.operation,), r.enabled) for r in routes))


def _configured(figures: Figures) -> Iterator[Family]:
    config, state = figures.config, figures.durable
    timeouts, default = config.models.timeouts, config.models.default_timeout
    models = {series.model for series in (() if state is None else state.admitted)} | set(timeouts)
    yield _family(catalog.MODEL_TIMEOUT, (((model,), timeouts.get(model, default)) for model in sorted(models)))
    if config.daily_limit_usd is not None:
        yield _family(catalog.DAILY_LIMIT, [((), float(config.daily_limit_usd))])
    if config.monthly_limit_usd is not None:
        yield _family(catalog.MONTHLY_LIMIT, [((), float(config.monthly_limit_usd))])


def _exporter(figures: Figures) -> Iterator[Family]:
    if figures.last_success:
        yield _family(catalog.LAST_SUCCESS, [((), figures.last_success)])
    yield _family(catalog.BACKFILL_PROGRESS, [((), figures.progress)])
    if figures.drift is not None:
        yield _family(catalog.LEDGER_DRIFT, [((), usd(figures.drift))])
    if figures.clock_offset is not None:
        yield _family(catalog.CLOCK_OFFSET, [((), figures.clock_offset)])
    if figures.replication_lag is not None and math.isfinite(figures.replication_lag):
        yield _family(catalog.REPLICATION_LAG, [((), figures.replication_lag)])
    yield _family(catalog.STATE_COMMIT_FAILURES, [((), figures.commit_failures)])
    yield _family(catalog.LOGINS_REFUSED, (((reason,), count) for reason, count in figures.logins_refused.items()))
    yield _family(catalog.BUILD_INFO, [((_VERSION, platform.python_version()), 1)])


def _verdicts(scrape: Scrape, failed: Container[str | None]) -> Iterator[Family]:
    """How the scrape went; `failed` are the collectors whose figures could not be made.

    Where a figure of the log is absent by an internal error, the log does not count as read: rules take the absence of
    a figure for the truth as long as it does.
    """
    outcomes = scrape.outcomes.items()
    yield _family(catalog.LOG_UP, [((), scrape.current and "log" not in failed)])
    yield _family(catalog.COLLECTOR_SUCCESS, (((name,), o.success and name not in failed) for name, o in outcomes))
    yield _family(catalog.COLLECTOR_DURATION, (((name,), o.seconds) for name, o in outcomes))


GROUPS = (
    Group("counters", "log", _counters),
    Group("spend", "log", _log_gauges),
    Group("queue", "log", _queue),
    Group("users", "budgets", _user_gauges),
    Group("approvals", "approvals", _approvals),
    Group("recommendations", "recommendations", _recommendations),
    Group("routes", "routes", _routes),
    Group("limits", "log", _configured),
    Group("exporter", None, _exporter),
)
"""All groups, in the order in which they are shown."""


def _family(metric: Metric, samples: Samples) -> Family:
    """A counter's or gauge's family. A counter's own family is named without its `_total`."""
    maker = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = maker(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
    for labels, value in samples:
        family.add_metric(list(labels), float(value))
    return family
