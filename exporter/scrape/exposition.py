"""Build Prometheus metric families from the ledger's state."""

import math
import platform
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import accumulate

from exporter import catalog
from exporter.anomaly.measures import CALLS, COST_PER_CALL, ERROR_RATE, LATENCY, SPEND, TOKENS_PER_CALL
from exporter.anomaly.operations import Judged
from exporter.catalog import ERROR_CLASSES, SECOND, USER_NAMES, Metric
from exporter.config import UPPER_BOUNDS, Config
from exporter.database.budgets import BUDGET_FIELDS, SEVERAL_BUDGETS, Budgets
from exporter.database.measures import CURRENCY, INVALID_REASONS
from exporter.database.period_budgets import PERIOD_SKIPS
from exporter.database.recommendations import Recommendations
from exporter.database.routes import Route
from exporter.database.rows import IN_PROGRESS
from exporter.figures import DURATIONS, SUMMED, Figure
from exporter.forecast.projection import BOUNDS, project
from exporter.ledger.aggregate import FAILURES, HISTOGRAMS, Aggregate, Buckets, money_units, usd
from exporter.ledger.exposed import Gauges, Snapshot
from exporter.ledger.model import Series, SkippedValue
from exporter.ledger.period_spend import (
    TEAM,
    SpendBefore,
    count_period_states,
    of_groups,
    of_users,
    standings,
)
from exporter.ledger.users import Budget, count_states, shown_spend
from exporter.scrape.collector import Scrape
from exporter.scrape.forecasting import NO_OUTLOOKS, Outlooks
from exporter.scrape.own_process import own_process
from exporter.state_change_log import StateChangeLog
from exporter.unchanged import kept_while_the_same
from exporter.web.families import SINGLE, Family, Part, Shape

DISTRIBUTION = "ai-operation-exporter"
_VERSION = version(DISTRIBUTION)  # looked up once: it is read from a file, which may not be possible later

_NEEDS: Mapping[Figure, frozenset[str]] = {
    **{figure: frozenset((role,)) for role, figure in SUMMED.items()},
    Figure.REFUNDS: frozenset(("cost",)),
    Figure.OVER_TIMEOUT: frozenset(("latency",)),
    Figure.UNPRICED: frozenset(("cost", "input_tokens", "output_tokens")),
    Figure.EXPECTED_COST: frozenset(("input_tokens", "output_tokens")),
    Figure.CHECKED_COST: frozenset(("cost", "input_tokens", "output_tokens")),
    Figure.CHECKED: frozenset(("input_tokens", "output_tokens")),
}
"""The roles without which a figure says nothing: where the log is said to lack one, it is absent."""

SKIPS = (
    *(SkippedValue(measure, reason) for measure in UPPER_BOUNDS for reason in INVALID_REASONS),
    SkippedValue("cost", CURRENCY),
    SkippedValue("status", "null"),
    SkippedValue("status", "unknown"),
    SkippedValue("time", "null"),
    SkippedValue("time", "infinite"),
    *(SkippedValue(field, reason) for field in BUDGET_FIELDS for reason in INVALID_REASONS),
    SEVERAL_BUDGETS,
    *PERIOD_SKIPS,
)
"""Every field and reason that `ai_rows_skipped_total` can have: all are at 0 from the start."""


def _scaled(scale: int) -> Shape:
    return SINGLE if scale == 1 else Shape([Part()], lambda units: (units / scale,))


_SCALED = {figure: _scaled(figure.scale) for figure in Figure}
"""Each figure in ledger units."""

_USD = Shape([Part()], lambda units: (usd(units),))
"""Money in ledger units."""

_FAILURES = Shape([Part(labels=(("error_class", name),)) for name in ERROR_CLASSES], lambda counts: counts)
"""The part of an aggregate that has the failures by class."""


def _histogram(edges: Sequence[float], buckets: Buckets) -> Shape:
    """A histogram in an aggregate: calls up to each edge, all of them, and their seconds."""

    def numbers(cell: Aggregate) -> list[float]:
        below = list(accumulate(cell[buckets.counts]))
        return [*below, below[-1], sum(cell[buckets.sums]) / SECOND]

    bounds = (*map(str, edges), "+Inf")
    return Shape([*(Part("_bucket", (("le", edge),)) for edge in bounds), Part("_count"), Part("_sum")], numbers)


_DURATIONS = {role: _histogram(metric.edges, HISTOGRAMS[role]) for role, metric in DURATIONS.items()}
"""The durations in an aggregate, by role."""


@dataclass(frozen=True)
class Exposure:
    """All that is shown at one moment.

    `drift` is in money units, `clock_offset` and `replication_lag` in seconds; `last_success` is in seconds since the
    epoch, 0 where there was none. `judged` are the verdicts on each operation, and `before` is
    what budgets with a period had spent before the last days.
    """

    config: Config
    ledger: Snapshot
    scrape: Scrape
    commit_failures: int
    progress: float
    last_success: float
    drift: int | None
    logins_refused: Mapping[str, int]
    clock_offset: float | None = None
    replication_lag: float | None = 0.0
    outlooks: Outlooks = NO_OUTLOOKS
    judged: Mapping[str, Judged] = field(default_factory=dict)
    before: Sequence[SpendBefore] = ()

    @property
    def lacking(self) -> frozenset[str]:
        """The roles for which the log has no values, by the configuration."""
        return _lacking(self.config)

    @property
    def fresh(self) -> Gauges | None:
        """The gauges from the database; None where it was not read just now."""
        return self.ledger.gauges if self.scrape.current or self.scrape.today else None


@kept_while_the_same
def _lacking(config: Config) -> frozenset[str]:
    return config.columns.log.lacking


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


def _kept(make: Callable[..., Iterable[Family]]) -> Callable[..., Iterable[Family]]:
    """Have a function return the same families again as long as what they are made of is the same.

    Most of a page is as it was on the one before: a family that is the same object has its text already.
    """
    return kept_while_the_same(lambda *parts: tuple(make(*parts)))


def _counters(exposure: Exposure) -> Iterable[Family]:
    shown = exposure.ledger.counters
    if shown is None:
        return ()
    # the log has such times: few logs do, and a histogram is many samples
    has_first_tokens = "time_to_first_token" in exposure.scrape.roles
    progress = shown.progress
    return (
        *_of_series(shown.series, shown.corrections, exposure.lacking, has_first_tokens),
        *_of_rows(shown.skipped, progress.rows_read, progress.late_rows, progress.rows_overflowed),
    )


@_kept
def _of_series(
    counters: Mapping[Series, Aggregate],
    corrections: Mapping[Series, int],
    lacking: frozenset[str],
    has_first_tokens: bool,
) -> Iterator[Family]:
    by_figure, failures, had_first_tokens = _by_figure(counters)
    for figure, values in by_figure.items():
        if figure.metric is not None and not _NEEDS.get(figure, frozenset()) & lacking:
            yield Family(figure.metric, values, _SCALED[figure])
    yield Family(catalog.FAILURES, failures, _FAILURES)
    if "latency" not in lacking:
        yield Family(catalog.LATENCY, counters, _DURATIONS["latency"])
    if has_first_tokens or had_first_tokens:
        yield Family(catalog.TIME_TO_FIRST_TOKEN, counters, _DURATIONS["time_to_first_token"])
    if "cost" not in lacking:
        yield Family(catalog.COST_CORRECTIONS, {series: corrections.get(series, 0) for series in counters}, _USD)


@kept_while_the_same
def _by_figure(
    counters: Mapping[Series, Aggregate],
) -> tuple[Mapping[Figure, Mapping[Series, int]], Mapping[Series, Aggregate], bool]:
    """The counters by figure, the failures, and whether there are times to the first token.

    Nearly all of the page is made of these, so they are the same objects again where nothing has been counted.
    """
    figures = {
        figure: {series: cell[figure] for series, cell in counters.items()} for figure in Figure if figure.metric
    }
    # the rest of the aggregate changes with each call, and most calls do not fail
    failures = {series: cell[FAILURES] for series, cell in counters.items()}
    first_tokens = HISTOGRAMS["time_to_first_token"].counts
    return figures, failures, any(any(cell[first_tokens]) for cell in counters.values())


@_kept
def _of_rows(skipped: Mapping[SkippedValue, int], read: int, late: int, folded: int) -> Iterator[Family]:
    yield Family(catalog.ROWS_SKIPPED, {skip: skipped.get(skip, 0) for skip in SKIPS})
    yield Family(catalog.ROWS_READ, {(): read})
    yield Family(catalog.LATE_ROWS, {(): late})
    yield Family(catalog.SERIES_FOLDED, {("operation_model",): folded})


def _log_gauges(exposure: Exposure) -> Iterable[Family]:
    return () if exposure.fresh is None else _of_gauges(exposure.fresh, exposure.lacking)


@_kept
def _of_gauges(gauges: Gauges, lacking: frozenset[str]) -> Iterator[Family]:
    has_cost = "cost" not in lacking
    if has_cost:
        yield Family(catalog.SPEND_TODAY, gauges.spend_today, _USD)
    if has_cost and gauges.spend_month is not None:
        yield Family(catalog.SPEND_MONTH, gauges.spend_month, _USD)
    yield Family(catalog.WINDOW_START, {(name,): window.start for name, window in gauges.windows.items()})
    yield Family(catalog.WINDOW_END, {(name,): window.end for name, window in gauges.windows.items()})
    if gauges.newest:
        yield Family(catalog.LOG_NEWEST_ROW, {(): gauges.newest})
    yield Family(catalog.OPERATION_LAST_SEEN, {(name,): at for name, at in sorted(gauges.seen_operations.items())})
    yield Family(catalog.MODEL_LAST_SUCCESS, {(name,): at for name, at in sorted(gauges.succeeded_models.items())})


_ANOMALIES = {
    catalog.SPEND_ANOMALY: SPEND,
    catalog.CALLS_ANOMALY: CALLS,
    catalog.LATENCY_ANOMALY: LATENCY,
    catalog.ERROR_RATE_ANOMALY: ERROR_RATE,
    catalog.COST_PER_CALL_ANOMALY: COST_PER_CALL,
    catalog.TOKENS_PER_CALL_ANOMALY: TOKENS_PER_CALL,
}


def _anomalies(exposure: Exposure) -> Iterable[Family]:
    return () if exposure.fresh is None else _by_verdict(exposure.judged)


@_kept
def _by_verdict(by_operation: Mapping[str, Judged]) -> Iterator[Family]:
    judged = by_operation.items()
    for metric, measure in _ANOMALIES.items():
        verdicts = ((name, each.verdicts.get(measure.name)) for name, each in judged)
        yield Family(metric, {(name,): verdict.excess for name, verdict in verdicts if verdict is not None})
    spends = ((name, each.verdicts.get(SPEND.name)) for name, each in judged)
    yield Family(catalog.SPEND_USUAL, {(name,): each.usual for name, each in spends if each is not None})
    odd = [(name, each.odd_spend) for name, each in judged if each.odd_spend is not None]
    yield Family(catalog.SPEND_ANOMALY_START, {(name,): spend.since for name, spend in odd})
    causes = ((name, spend.cause) for name, spend in odd if spend.cause is not None)
    factors = {(name, cause.model, factor): times for name, cause in causes for factor, times in cause.factors.items()}
    yield Family(catalog.SPEND_ANOMALY_FACTOR, factors)


def _queue(exposure: Exposure) -> Iterator[Family]:
    gauges = exposure.fresh
    waiting = None if gauges is None else gauges.in_progress
    if waiting is None or "status" not in exposure.scrape.roles:
        return
    rows = {status: waiting[status].rows if status in waiting else 0 for status in IN_PROGRESS}
    yield Family(catalog.IN_PROGRESS, {(status,): count for status, count in rows.items()})
    yield Family(catalog.OLDEST_IN_PROGRESS, {(status,): found.oldest for status, found in sorted(waiting.items())})


def _user_gauges(exposure: Exposure) -> Iterable[Family]:
    if exposure.fresh is None or {"user", "cost"} & exposure.lacking:
        return ()
    return _of_users(exposure.fresh, exposure.scrape.budgets, exposure.config)


@_kept
def _of_users(gauges: Gauges, budgets: Budgets | None, config: Config) -> Iterator[Family]:
    by_user = {} if budgets is None else budgets.by_user
    if config.users.mode != "off":
        yield _shown_spend(catalog.USER_SPEND_TODAY, gauges.user_spend, gauges.shown_users)
        yield _shown_limits(catalog.USER_DAILY_LIMIT, by_user, gauges.shown_users)
    if budgets is not None:
        states = count_states(gauges.user_spend, by_user, budgets.idle)
        yield Family(catalog.BUDGET_USERS, {(name,): count for name, count in states.items()})
        if budgets.recorded_today is not None:
            yield Family(catalog.RECORDED_SPEND_TODAY, {(): budgets.recorded_today}, _USD)


def _user_names(exposure: Exposure) -> Iterable[Family]:
    gauges, names = exposure.fresh, exposure.scrape.user_names
    return () if gauges is None or names is None else _names_of(gauges.shown_users, names)


@_kept
def _names_of(shown: frozenset[str], names: Mapping[str, str]) -> Iterator[Family]:
    yield Family(catalog.USER_INFO, {(user, names[user]): 1 for user in sorted(shown & names.keys())})


def _group_gauges(exposure: Exposure) -> Iterable[Family]:
    if exposure.fresh is None or "cost" in exposure.lacking:
        return ()
    return _of_groups(exposure.fresh, exposure.scrape.group_budgets)


@_kept
def _of_groups(gauges: Gauges, budgets: Budgets | None) -> Iterator[Family]:
    if gauges.group_spend is None:
        return
    yield _shown_spend(catalog.GROUP_SPEND_TODAY, gauges.group_spend, gauges.shown_groups)
    if budgets is not None and budgets.by_user:
        yield _shown_limits(catalog.GROUP_DAILY_LIMIT, budgets.by_user, gauges.shown_groups)
        states = count_states(gauges.group_spend, budgets.by_user, budgets.idle)
        yield Family(catalog.BUDGET_GROUPS, {(name,): count for name, count in states.items()})


def _shown_spend(metric: Metric, spend: Mapping[str, int], shown: Iterable[str]) -> Family:
    """Today's spend of users or groups, the rest of them as `other`."""
    return Family(metric, {(name,): units for name, units in shown_spend(spend, shown).items()}, _USD)


def _shown_limits(metric: Metric, budgets: Mapping[str, Budget], shown: Iterable[str]) -> Family:
    """The daily limits of users or groups that are shown."""
    limits = {name: budgets[name].daily_limit for name in sorted(shown) if name in budgets}
    return Family(metric, {(name,): limit for name, limit in limits.items() if limit is not None}, _USD)


def _period_budgets(exposure: Exposure) -> Iterator[Family]:
    gauges, config = exposure.fresh, exposure.config
    if gauges is None or "cost" in exposure.lacking or not exposure.scrape.period_budgets:
        return
    found = standings(exposure.scrape.period_budgets, exposure.before, gauges.recent, exposure.ledger.now)
    users = {} if "user" in exposure.lacking else of_users(found)
    shown_users = gauges.shown_users if config.users.mode != "off" else frozenset()
    shown = {
        **{("", "", key.period): each for key, each in found.items() if key.spender == TEAM},
        **{(user, "", period): each for (user, period), each in users.items() if user in shown_users},
        **{
            ("", group, period): each
            for (group, period), each in of_groups(found).items()
            if group in gauges.shown_groups
        },
    }
    limits = {key: each.budget.budget.daily_limit for key, each in shown.items()}
    amounts = {
        catalog.PERIOD_LIMIT: limits,
        catalog.PERIOD_SOFT_LIMIT: {key: each.budget.soft for key, each in shown.items()},
        catalog.PERIOD_SPEND: {key: each.spend for key, each in shown.items()},
    }
    for metric, units in amounts.items():
        yield Family(metric, {key: amount for key, amount in units.items() if amount is not None}, _USD)
    yield Family(catalog.PERIOD_RESET, {key: each.window.end for key, each in shown.items()})
    yield Family(catalog.PERIOD_USERS, count_period_states(users))


def _forecast(exposure: Exposure) -> Iterator[Family]:
    gauges, outlooks = exposure.fresh, exposure.outlooks
    today = 0 if gauges is None else sum(gauges.spend_today.values())
    projection = None if gauges is None else project(outlooks.team, today, exposure.ledger.now)
    if gauges is None or projection is None:
        return
    limits = {"day": exposure.config.daily_limit_usd, "month": exposure.config.monthly_limit_usd}
    spent = {"day": today}
    ends = {"day": projection.day}
    if gauges.spend_month is not None:
        spent["month"] = sum(gauges.spend_month.values())
        ends["month"] = projection.month(spent["month"])
    yield Family(
        catalog.SPEND_FORECAST,
        {(window, bound): getattr(end, bound) for window, end in ends.items() for bound in BOUNDS},
        _USD,
    )
    reached = {
        (window,): projection.reaches(money_units(limit), spent[window], month=window == "month")
        for window, limit in limits.items()
        if limit is not None and window in spent
    }
    yield Family(catalog.LIMIT_REACHED, {key: at for key, at in reached.items() if at is not None})


def _user_forecast(exposure: Exposure) -> Iterator[Family]:
    gauges, users = exposure.fresh, exposure.outlooks.users
    if gauges is None or exposure.config.users.mode == "off":
        return
    budgets = {} if exposure.scrape.budgets is None else exposure.scrape.budgets.by_user
    ends: dict[tuple[str], float] = {}
    reached: dict[tuple[str], float] = {}
    for user in sorted(gauges.shown_users & users.keys()):
        spent = gauges.user_spend.get(user, 0)
        if (projection := project(users[user], spent, exposure.ledger.now)) is None:
            continue
        ends[(user,)] = projection.day.expected
        limit = budgets[user].daily_limit if user in budgets else None
        if limit is not None and (at := projection.reaches(limit, spent)) is not None:
            reached[(user,)] = at
    yield Family(catalog.USER_SPEND_FORECAST, ends, _USD)
    yield Family(catalog.USER_LIMIT_REACHED, reached)


def _approvals(exposure: Exposure) -> Iterator[Family]:
    if exposure.scrape.approvals is not None:
        yield Family(catalog.APPROVALS_PENDING, {(): exposure.scrape.approvals})


def _recommendations(exposure: Exposure) -> Iterable[Family]:
    found = exposure.scrape.recommendations
    return () if found is None else _of_recommendations(found)


@_kept
def _of_recommendations(found: Recommendations) -> Iterator[Family]:
    yield Family(catalog.RECOMMENDATIONS, dict(sorted(found.counts.items())))
    if found.savings is not None:
        savings = {(kind,): units for kind, units in sorted(found.savings.items())}
        yield Family(catalog.RECOMMENDATION_SAVINGS, savings, _USD)


def _routes(exposure: Exposure) -> Iterable[Family]:
    return () if exposure.scrape.routes is None else _of_routes(exposure.scrape.routes)


@_kept
def _of_routes(routes: Sequence[Route]) -> Iterator[Family]:
    yield Family(catalog.ROUTE_INFO, {(r.operation, r.primary_model, r.fallback_model): 1 for r in routes})
    yield Family(catalog.ROUTE_ENABLED, {(r.operation,): r.enabled for r in routes})


def _configured(exposure: Exposure) -> Iterable[Family]:
    return _limits(exposure.config, exposure.ledger.models)


@_kept
def _limits(config: Config, known: frozenset[str]) -> Iterator[Family]:
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
        yield Family(catalog.LEDGER_DRIFT, {(): exposure.drift}, _USD)
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
    Group("counters", "log", _counters),
    Group("spend", "log", _log_gauges),
    # of no collector: without them, the log is read as before
    Group("anomalies", None, _anomalies),
    Group("queue", "log", _queue),
    Group("users", "budgets", _user_gauges),
    Group("users' names", USER_NAMES, _user_names),
    Group("groups", "log", _group_gauges),
    Group("budgets with a period", "budgets", _period_budgets),
    Group("forecast", None, _forecast),
    Group("users' forecast", None, _user_forecast),
    Group("approvals", "approvals", _approvals),
    Group("recommendations", "recommendations", _recommendations),
    Group("routes", "routes", _routes),
    Group("limits", "log", _configured),
    Group("exporter", None, _exporter),
    Group("process", None, _process),
)
"""All groups, in the order in which they are shown."""
