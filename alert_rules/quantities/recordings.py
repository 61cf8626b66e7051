"""Recording rules for spend, limits, gauges and increases, and what stands in while no replica reads the log."""

from collections.abc import Sequence

from alert_rules.model.conventions import WIDE_WINDOW, duration
from alert_rules.model.quantities import JOB_LABEL, RecordedSeries, Recording
from alert_rules.quantities.promql import day_projected, highest_replica, promql
from exporter import catalog


def for_alert(series: RecordedSeries, firing: str) -> str:
    """The expression to compare; `firing` selects the alert's own `ALERTS` series."""
    if not series.while_unreadable:
        return series.value
    names = gap_names(series, firing)
    if not series.window:
        return promql("($value or ($while_unreadable and on ($labels) $firing))", **names)
    return promql("($value or ($while_unreadable and on ($labels) $firing) or $unknown)", **names)


def gap_names(series: RecordedSeries, firing: str) -> dict[str, str]:
    """What templates need to carry a firing alert over a gap.

    `unknown` has an answer for one evaluation when there are too few calls for a figure any more, and then with the
    last value. Annotations change only while the expression has an answer: this lets them say how the alert ends.
    """
    names = {"value": series.value, "labels": series.labels, "firing": firing}
    names["while_unreadable"] = series.while_unreadable
    unknown = "(last_over_time($value[90s]) and on ($labels) $firing unless $while_unreadable)"
    return {**names, "unknown": promql(unknown, **names)}


def level(by: Sequence[str]) -> str:
    """The first part of a record's name: `level(("user",)) == "job_user"`."""
    return "_".join((JOB_LABEL, *by))


LOG_IS_READ = promql("$LOG_UP == 1")
"""The replicas that read the log now."""

BUDGETS_ARE_READ = promql('($COLLECTOR_SUCCESS{collector="budgets"} == 1 and on (job, instance) $LOG_UP == 1)')
"""The replicas that show limits now; none does while it catches up, though it reads them."""

GROUP_LIMITS_ARE_SHOWN = promql(
    '($LOG_UP == 1 unless on (job, instance) $COLLECTOR_SUCCESS{collector="group_budgets"} == 0)'
)
"""The replicas that show limits of groups now: those of the configuration, and of the table where there is one."""


def spend(metric: str, by: tuple[str, ...], window: str) -> RecordedSeries:
    """Money of the present calendar `window` (day or month), summed within a replica, the highest of all replicas.

    While no replica reads the log, the last figure stands until the end of the window that it is of.
    """
    present = promql(
        '$metric and on (job, instance) $WINDOW_END{window="$window"} > time()', metric=metric, window=window
    )
    if set(by) != set(catalog.ALL[metric].labels):
        present = promql("sum by (job, instance$by) ($present)", by, present=present)
    read = promql("max by (job$by) ($present)", by, present=present)
    return _last_known(Recording(f"{level(by)}:{metric}:sum", read), by, window_end(window))


def projection(metric: str, by: tuple[str, ...], forecast: str) -> RecordedSeries:
    """The day's spend at its end: as the exporter forecasts it, `forecast` selecting that, where it does.

    Else, and for what it forecasts nothing (empty), the day's spend goes on at the day's average pace; none in the
    day's first two hours. The windows of day and month are paired by their label until one condition keeps the day.
    """
    read = promql(
        """
        max by (job$by) (
          sum by (job, instance$by) ($metric) * on (job, instance) $many
            (
              $projected
              and $WINDOW_END{window="day"} > time()
            )
        )
        """,
        by,
        metric=metric,
        many="group_left ()" if by else "",
        projected=day_projected(catalog.WINDOW_START.name, catalog.WINDOW_END.name),
    )
    if forecast:
        known = promql("max by (job$by) ($forecast)", by, forecast=_of_window(forecast, "day"))
        read = promql("$known or $straight", known=known, straight=read)
    return _last_known(Recording(f"{level(by)}:{metric}:projected", read), by, window_end("day"))


def forecast(selector: str, by: tuple[str, ...], window: str) -> RecordedSeries:
    """What the exporter forecasts for the end of the `window`; nothing where it does not."""
    read = promql("max by (job$by) ($forecast)", by, forecast=_of_window(selector, window))
    name = f"{level(by)}:{catalog.SPEND_FORECAST.name}:{window}"
    return _last_known(Recording(name, read), by, window_end(window))


def seconds_left(selector: str, by: tuple[str, ...], window: str) -> RecordedSeries:
    """How many seconds are left until a moment within the `window`, 0 once it has come; the earliest of replicas."""
    read = promql("min by (job$by) ($moment)", by, moment=_of_window(selector, window))
    moment = _last_known(Recording(f"{level(by)}:{catalog.LIMIT_REACHED.name}:{window}", read), by, window_end(window))
    left = Recording(
        f"{level(by)}:ai_spend_limit_reached_seconds:{window}",
        promql("clamp_min($moment - time(), 0)", moment=moment.value),
    )
    return RecordedSeries(left.name, by, (*moment.recordings, left), window_end=moment.window_end)


def _of_window(selector: str, window: str) -> str:
    """A gauge of each replica, while its window goes on."""
    template = '($selector and on (job, instance) $WINDOW_END{window="$window"} > time())'
    return promql(template, selector=selector, window=window)


def unlisted_users(spent: RecordedSeries, allowed: RecordedSeries) -> RecordedSeries:
    """How many users are over their daily limit without a series of their own; `spent` and `allowed` are by user."""
    listed = Recording(
        "job:ai_budget_users:listed",
        promql(
            "count by (job) ($spent > $allowed)",
            spent=spent.live,
            allowed=allowed.live,
        ),
    )
    exceeded = Recording(
        "job:ai_budget_users:exceeded",
        promql(
            """
            max by (job) (
              $BUDGET_USERS{state="exceeded"} and on (job, instance) $WINDOW_END{window="day"} > time()
            )
            """
        ),
    )
    unlisted = Recording(
        "job:ai_budget_users:unlisted",
        promql("($exceeded - $listed) or $exceeded", exceeded=exceeded.name, listed=listed.name),
    )
    # an end of their own: the table of budgets may fail over a midnight at which the log is read
    day = window_end("day")
    end = _kept(
        Recording(f"{unlisted.name}_window_end", promql("$day and $unlisted", day=day[0].name, unlisted=unlisted.name)),
        " > time()",
        BUDGETS_ARE_READ,
    )
    last_known = f"{unlisted.name}_carried"
    # the end goes by the same table: where it is kept, so is the count
    kept = promql("$live or ($last_known and $end)", live=unlisted.name, last_known=last_known, end=end[-1].name)
    needed = (*spent.recordings, *allowed.recordings, listed, exceeded, day[0], unlisted, *end)
    return RecordedSeries(
        last_known, (), (*needed, Recording(last_known, kept)), window_end=end[-1].name, live=unlisted.name
    )


def spend_without_limit() -> RecordedSeries:
    """Today's spend of each user who has no daily limit, where others have one; of those that are users at all.

    It asks replicas that know the budgets. While none does, what was known stands until the end of its day.
    """
    live = Recording(
        "job_user:ai_user_spend_without_limit_usd:max",
        promql(
            """
            max by (job, user) (
              $USER_SPEND_TODAY{user!~"other|unattributed"}
                and on (job, instance) $COLLECTOR_SUCCESS{collector="budgets"} == 1
                and on (job, instance) $WINDOW_END{window="day"} > time()
            ) > 0
              unless on (job, user) $USER_DAILY_LIMIT
              unless on (job, user) $PERIOD_LIMIT
              and on (job) $BUDGET_USERS{state!="unlimited"} > 0
            """
        ),
    )
    # an end of their own: the table of budgets may fail over a midnight at which the log is read
    end = _kept(
        Recording(
            "job:ai_user_spend_without_limit_usd:window_end",
            promql('max by (job) ($WINDOW_END{window="day"}) and on (job) $live', live=live.name),
        ),
        " > time()",
        BUDGETS_ARE_READ,
    )
    last_known = f"{live.name}_carried"
    kept = promql(
        "$live or ($last_known and on (job) $end unless on (job) $known)",
        live=live.name,
        last_known=last_known,
        end=end[-1].name,
        known=BUDGETS_ARE_READ,
    )
    return RecordedSeries(last_known, ("user",), (live, *end, Recording(last_known, kept)), window_end=end[-1].name)


BUDGET = ("user", "group", "period")
"""What tells budgets with a period apart; a user's have no group, a group's no user, and the team's neither."""


def period_share(allowed: str, name: str) -> RecordedSeries:
    """What part of a limit, the metric `allowed`, is spent in the present period of each budget.

    A replica that died in the last period does not tell of this one. While none knows the budgets, the last share
    stands: the table of the groups' budgets may fail while that of the users' is read, and the other way round.
    """
    known = (
        Recording("job:ai_budget_periods:known", promql("group by (job) ($read)", read=BUDGETS_ARE_READ)),
        Recording("job:ai_group_budget_periods:known", promql("group by (job) ($read)", read=GROUP_LIMITS_ARE_SHOWN)),
    )
    part = Recording(
        f"{level(BUDGET)}:{name}:ratio",
        promql(
            "max by (job$by) ($PERIOD_SPEND and $PERIOD_RESET > time()) / (min by (job$by) ($allowed) > 0)",
            BUDGET,
            allowed=allowed,
        ),
    )
    kept = Recording(
        f"{part.name}_carried",
        promql(
            """
            $live or ($name{group=""} unless on (job) $known)
              or ($name{group!=""} unless on (job) $groups_known)
            """,
            live=part.name,
            name=f"{part.name}_carried",
            known=known[0].name,
            groups_known=known[1].name,
        ),
    )
    return RecordedSeries(kept.name, BUDGET, (*known, part, kept), live=part.name)


def window_end(window: str) -> tuple[Recording, Recording]:
    """The end of the present day or month, and the same while nobody reads the log."""
    name = f"job:{catalog.WINDOW_END.name}:{window}"
    read = promql('max by (job) ($WINDOW_END{window="$window"} > time())', window=window)
    return _kept(Recording(name, read), " > time()", LOG_IS_READ)


def _kept(live: Recording, condition: str, known: str) -> tuple[Recording, Recording]:
    """A record, and one that keeps what it was at the evaluation before where `known` does not answer.

    Never a look back for the last sample: it would bring back what had gone while the log was still being read.
    """
    name = f"{live.name}_carried"
    template = f"$live or ($name{condition} unless on (job) $known)"
    return live, Recording(name, promql(template, live=live.name, name=name, known=known))


def _last_known(live: Recording, by: tuple[str, ...], end: tuple[Recording, Recording]) -> RecordedSeries:
    """Money of a window: carried until it ends."""
    window_end = end[-1].name
    matching = "on (job) " if by else ""
    kept = _kept(live, f" and {matching}{window_end}", LOG_IS_READ)
    return RecordedSeries(kept[-1].name, by, (*end, *kept), window_end=window_end, live=live.name)


def limit(metric: str, by: tuple[str, ...], known: str = LOG_IS_READ) -> RecordedSeries:
    """A limit or a timeout: the lowest that a replica knows, the last one while `known` does not answer."""
    live = Recording(f"{level(by)}:{metric}:min", promql("min by (job$by) ($metric)", by, metric=metric))
    kept = _kept(live, "", known)
    return RecordedSeries(kept[-1].name, by, kept, live=live.name)


def share(spent: RecordedSeries, allowed: RecordedSeries, name: str) -> RecordedSeries:
    """What part of a limit is spent, for the same labels; nothing where the limit is 0."""
    expr = promql("$spent / ($allowed > 0)", spent=spent.value, allowed=allowed.value)
    part = Recording(f"{level(spent.by)}:{name}:ratio", expr)
    return RecordedSeries(
        part.name, spent.by, (*spent.recordings, *allowed.recordings, part), window_end=spent.window_end
    )


def gauge(metric: str, by: tuple[str, ...]) -> RecordedSeries:
    """A gauge of the present moment, summed within a replica, the highest of all replicas."""
    whole = set(by) == set(catalog.ALL[metric].labels)
    read = promql("max by (job$by) ($metric)", by, metric=metric) if whole else highest_replica(metric, by)
    live = Recording(f"{level(by)}:{metric}:sum", read)
    return while_unreadable(live, by, (), LOG_IS_READ)


def while_unreadable(
    value: Recording, by: tuple[str, ...], needed: tuple[Recording, ...], known: str
) -> RecordedSeries:
    """A figure whose last value is held, for what is firing, until `known` answers for the job."""
    name = f"{value.name}_held"
    kept = promql("$value or ($name unless on (job) $known)", value=value.name, name=name, known=known)
    return RecordedSeries(value.name, by, (*needed, value, Recording(name, kept)), while_unreadable=name)


def known_jobs() -> Recording:
    """The jobs whose exporters Prometheus has seen, each as 1, whether or not they can be reached now."""
    name = f"job:{catalog.LOG_UP.name}:known"
    return Recording(name, promql("group by (job) ($LOG_UP) or $name", name=name))


def read_throughout(window: int) -> Recording:
    """The replicas that have read the log in every scrape of the window, and written their state each time.

    An outage's backlog lands in one window, and frozen counters say nothing: neither may make a ratio.
    """
    span = duration(window)
    expr = promql(
        """
        min_over_time(up[$span]) == 1 and min_over_time($LOG_UP[$span]) == 1 and $LOG_UP
          unless changes($STATE_COMMIT_FAILURES[$span]) > 0
        """,
        span=span,
    )
    return Recording(f"job_instance:ai_operation_log_up:min{span}", expr)


def increase(metric: str, by: tuple[str, ...], window: int) -> tuple[Recording, ...]:
    """What a counter rose by in a window that was read throughout. The last recording is the increase.

    PromQL's own `increase()` extrapolates: with a scrape a minute it makes twenty calls of sixteen. Where a counter
    begins anew, with a new state, this is what it rose by since.
    """
    readable = read_throughout(window)
    rise = promql("$metric - min_over_time($metric[$span])", metric=metric, span=duration(window))
    expr = highest_replica(rise, by, when=readable.name)
    stem = metric.removesuffix("_total")
    return readable, Recording(f"{level(by)}:{stem}:increase{duration(window)}", expr)


def wider(window: int) -> tuple[int, ...]:
    """The windows that a ratio is tried over, in turn."""
    return (window, WIDE_WINDOW) if window < WIDE_WINDOW else (window,)
