"""How rules read a figure: what is recorded at each evaluation, and what stands in while nobody reads the log."""

from collections.abc import Sequence
from dataclasses import dataclass

from alert_rules.conventions import WIDE_WINDOW, duration
from alert_rules.promql import promql

JOB_LABEL = "job"


@dataclass(frozen=True)
class Recording:
    """A recording rule. Names are `level:metric:operation`, the level being the labels that are left."""

    name: str
    expr: str


@dataclass(frozen=True)
class Figure:
    """A quantity as rules read it.

    `value` is a record's name or an expression with the labels `job` and `by`. `recordings` are in the order of their
    evaluation. Where a gap leaves no value, `held` records the last one through it, and the alert goes by that for what
    is firing. `ends` is the record with the end of the day or month that money is of.
    """

    value: str
    by: tuple[str, ...]
    recordings: tuple[Recording, ...] = ()
    held: str = ""
    ends: str = ""

    @property
    def labels(self) -> str:
        """The labels of the value, as a matching clause takes them."""
        return ", ".join((JOB_LABEL, *self.by))

    def for_alert(self, firing: str) -> str:
        """The expression to compare; `firing` selects the alert's own `ALERTS` series."""
        if not self.held:
            return self.value
        return promql(
            "($value or ($held and on ($labels) $firing))",
            value=self.value,
            held=self.held,
            labels=self.labels,
            firing=firing,
        )


def level(by: Sequence[str]) -> str:
    """The first part of a record's name: `level(("user",)) == "job_user"`."""
    return "_".join((JOB_LABEL, *by))


LOG_IS_READ = promql("$LOG_UP == 1")
"""The replicas that read the log now."""

BUDGETS_ARE_READ = promql('($COLLECTOR_SUCCESS{collector="budgets"} == 1 and on (job, instance) $LOG_UP == 1)')
"""The replicas that show limits now; none does while it catches up, though it reads them."""


def spend(metric: str, by: tuple[str, ...], window: str) -> Figure:
    """Money of the present calendar `window` (day or month), summed within a replica, the highest of all replicas.

    While no replica reads the log, the last figure stands until the end of the window that it is of.
    """
    read = promql(
        """
        max by (job$by) (
          sum by (job, instance$by) ($metric and on (job, instance) $WINDOW_END{window="$window"} > time())
        )
        """,
        by,
        metric=metric,
        window=window,
    )
    return _carried(f"{level(by)}:{metric}", "sum", read, _ends_with(metric, by, window), by)


def projection(metric: str, by: tuple[str, ...]) -> Figure:
    """The day's spend at its end if it goes on at the day's average pace; none in the day's first two hours."""
    read = promql(
        """
        max by (job$by) (
          sum by (job, instance$by) ($metric) * on (job, instance) group_left ()
            (
              ($WINDOW_END{window="day"} - $WINDOW_START{window="day"}) / (time() - $WINDOW_START{window="day"} >= 7200)
              and $WINDOW_END{window="day"} > time()
            )
        )
        """,
        by,
        metric=metric,
    )
    stem, operation = f"{level(by)}:{metric}", "projected"
    ends = promql("($ends) and $stem:$operation", ends=_ends_with(metric, by, "day"), stem=stem, operation=operation)
    return _carried(stem, operation, read, ends, by)


def unlisted_users(spent: Figure, allowed: Figure) -> Figure:
    """How many users are over their daily limit without a series of their own; `spent` and `allowed` are by user."""
    listed = Recording(
        "job:ai_budget_users:listed",
        promql(
            "count by (job) ($spent > on (job, user) $allowed)",
            spent=spent.recordings[0].name,
            allowed=allowed.recordings[0].name,
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
    read = promql("$exceeded - ($listed or 0 * $exceeded)", exceeded=exceeded.name, listed=listed.name)
    ends = _ends_with(promql('$BUDGET_USERS{state="exceeded"}'), (), "day")
    figure = _carried("job:ai_budget_users", "unlisted", read, ends, (), BUDGETS_ARE_READ)
    needed = (*spent.recordings, *allowed.recordings, listed, exceeded)
    return Figure(figure.value, (), (*needed, *figure.recordings), ends=figure.ends)


def _ends_with(metric: str, by: tuple[str, ...], window: str) -> str:
    """The window's end under the labels of the figure: it exists exactly where the figure does."""
    return promql(
        """
        max by (job$by) (
          0 * sum by (job, instance$by) ($metric)
            + on (job, instance) group_left () ($WINDOW_END{window="$window"} > time())
        )
        """,
        by,
        metric=metric,
        window=window,
    )


def _carried(stem: str, operation: str, read: str, ends: str, by: tuple[str, ...], known: str = LOG_IS_READ) -> Figure:
    """The figure, and where `known` does not answer what it was at the evaluation before, until its window ends.

    Never a look back for the last sample: it would bring back what had gone while the log was still being read.
    """
    live = Recording(f"{stem}:{operation}", read)
    end = Recording(f"{stem}:{operation}_window_end", ends)
    carried_end = f"{end.name}_carried"
    carried = f"{live.name}_carried"
    return Figure(
        carried,
        by,
        (
            live,
            end,
            Recording(
                carried_end,
                promql(
                    "$end or ($carried_end > time() unless on (job) $known)",
                    end=end.name,
                    carried_end=carried_end,
                    known=known,
                ),
            ),
            Recording(
                carried,
                promql(
                    "$live or ($carried and $carried_end unless on (job) $known)",
                    live=live.name,
                    carried=carried,
                    carried_end=carried_end,
                    known=known,
                ),
            ),
        ),
        ends=carried_end,
    )


def limit(metric: str, by: tuple[str, ...], known: str = LOG_IS_READ) -> Figure:
    """A limit or a timeout: the lowest that a replica knows, the last one while `known` does not answer."""
    live = Recording(f"{level(by)}:{metric}:min", promql("min by (job$by) ($metric)", by, metric=metric))
    carried = f"{live.name}_carried"
    kept = promql("$live or ($carried unless on (job) $known)", live=live.name, carried=carried, known=known)
    return Figure(carried, by, (live, Recording(carried, kept)))


def share(spent: Figure, allowed: Figure, name: str) -> Figure:
    """What part of a limit is spent, for the same labels; nothing where the limit is 0."""
    expr = promql("$spent / on ($labels) ($allowed > 0)", spent=spent.value, allowed=allowed.value, labels=spent.labels)
    part = Recording(f"{level(spent.by)}:{name}:ratio", expr)
    return Figure(part.name, spent.by, (*spent.recordings, *allowed.recordings, part), ends=spent.ends)


def gauge(metric: str, by: tuple[str, ...]) -> Figure:
    """A gauge of the present moment, summed within a replica, the highest of all replicas."""
    expr = promql("max by (job$by) (sum by (job, instance$by) ($metric))", by, metric=metric)
    live = Recording(f"{level(by)}:{metric}:sum", expr)
    return held(live, by, (), LOG_IS_READ)


def held(value: Recording, by: tuple[str, ...], needed: tuple[Recording, ...], known: str) -> Figure:
    """A figure whose last value is held, for what is firing, until `known` answers for the job."""
    name = f"{value.name}_held"
    kept = promql("$value or ($name unless on (job) $known)", value=value.name, name=name, known=known)
    return Figure(value.name, by, (*needed, value, Recording(name, kept)), held=name)


def read_throughout(window: int) -> Recording:
    """The replicas that have read the log in every scrape of the window.

    An outage's backlog lands in one window, and frozen counters say nothing: neither may make a ratio.
    """
    span = duration(window)
    expr = promql("min_over_time(up[$span]) == 1 and min_over_time($LOG_UP[$span]) == 1", span=span)
    return Recording(f"job_instance:ai_operation_log_up:min{span}", expr)


def increase(metric: str, by: tuple[str, ...], window: int) -> tuple[Recording, ...]:
    """What a counter rose by in a window that was read throughout. The last recording is the increase.

    PromQL's own `increase()` extrapolates: with a scrape a minute it makes twenty calls of sixteen. Where a counter
    begins anew, with a new state, this is what it rose by since.
    """
    readable = read_throughout(window)
    expr = promql(
        """
        max by (job$by) (
          sum by (job, instance$by) ($metric - min_over_time($metric[$span])) and on (job, instance) $readable
        )
        """,
        by,
        metric=metric,
        span=duration(window),
        readable=readable.name,
    )
    stem = metric.removesuffix("_total")
    return readable, Recording(f"{level(by)}:{stem}:increase{duration(window)}", expr)


def wider(window: int) -> tuple[int, ...]:
    """The windows that a ratio is tried over, in turn."""
    return (window, WIDE_WINDOW) if window < WIDE_WINDOW else (window,)
