"""PromQL for panels, built from the metric catalog, with Grafana's variables."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from grafanalib.core import Target

from alert_rules.quantities.promql import highest_replica
from exporter import catalog
from exporter.catalog import Metric

PROJECT_ALERTS = 'channel!=""'
"""Alerts of this project's rules, all of which name their channel: Prometheus may have other rules too."""

PROBLEMS = f'{PROJECT_ALERTS}, severity!="none"'
"""Those that report a problem. The watchdog, which always fires, has the severity none."""

RATE = "[$__rate_interval]"

STEP = "[$__interval]"
"""The whole of a chart's step: what is looked at only at its end misses what was short."""


def for_job(metric: Metric, *matchers: str) -> str:
    """A selector that only the choice of jobs narrows."""
    chosen = ", ".join(('job=~"$job"', *matchers))
    return f"{metric.name}{{{chosen}}}"


def filtered(metric: Metric) -> str:
    """A selector for the chosen jobs, operations, models and users, as far as the metric has these labels."""
    return for_job(metric, *(f'{name}=~"${name}"' for name in ("operation", "model", "user") if name in metric.labels))


UP = f"{for_job(catalog.LOG_UP)} == 1"
"""The replicas that read the log. The counters of others stand still, which would look like no traffic."""


def gauge(selector: str, *by: str) -> str:
    """A gauge's present value by labels."""
    return _sum(highest_replica(selector, by), by)


def while_read(selector: str) -> str:
    """For `gauge`: values that an exporter also shows while it does not read the log, without those."""
    return f"{selector} and on (job, instance) {UP}"


def at_worst(metric: Metric) -> str:
    """The lowest that a gauge was in each step of a chart."""
    return f"min_over_time({for_job(metric)}{STEP})"


def max_of(selector: str, *by: str) -> str:
    """The highest of all replicas: for times, states and settings, which are not summed."""
    return f"max by ({', '.join(by)}) ({selector})" if by else f"max({selector})"


def rate(selector: str, *by: str) -> str:
    """A counter's increase per second by labels; a gap while the log is not read."""
    return _counted(f"rate({selector}{RATE})", by)


def increase(selector: str, *by: str) -> str:
    """A counter's increase in each step of the chart by labels; a gap while the log is not read."""
    return _counted(f"increase({selector}{RATE})", by)


def hourly(selector: str, *by: str) -> str:
    """A counter's increase in the past hour by labels; a gap while the log is not read."""
    return _counted(f"increase({selector}[1h])", by)


def _counted(increase: str, by: tuple[str, ...]) -> str:
    return _sum(highest_replica(increase, by, when=UP), by)


def _sum(by_job: str, by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)}) ({by_job})" if by else f"sum ({by_job})"


def ratio(above: str, below: str) -> str:
    """One figure per another; nothing where that is 0."""
    return f"{above} / ({below} > 0)"


def hourly_ratio(above: str, below: str, *by: str) -> str:
    """One counter per another over the past hour; nothing where that did not increase."""
    return ratio(hourly(above, *by), hourly(below, *by))


def or_zero(figure: str) -> str:
    """The figure, or 0 where there is none although the log is read: it holds nothing of that kind."""
    return f"({figure}) or 0 * max({UP})"


def or_sentinel(figure: str, where: str) -> str:
    """The figure, or -1 (`style.NOT_SET`) where there is none although `where` has a value."""
    return f"({figure}) or (0 * {where} - 1)"


def or_no_calls(figure: str) -> str:
    """A figure of the calls of an hour, or -1 (`style.NOT_SET`) where the log is read and has none."""
    return or_sentinel(figure, f"max({UP})")


def hours_into_day(hours: int) -> str:
    """A value where the budget's day is so old; nothing before."""
    start = for_job(catalog.WINDOW_START, 'window="day"')
    return f"(time() - max({start}) >= {3600 * hours})"


def age(timestamp: str) -> str:
    """Seconds since a time."""
    return f"time() - {timestamp}"


def latency(part: Literal["bucket", "sum", "count"], histogram: Metric = catalog.LATENCY) -> str:
    """A selector for a part of a histogram of the chosen calls, by default that of their latency."""
    return filtered(Metric(f"{histogram.name}_{part}", "histogram", histogram.labels, ""))


CALLS, FAILED, COST = filtered(catalog.OPERATIONS), filtered(catalog.FAILURES), filtered(catalog.COST)
"""Selectors for the chosen calls, those that failed, and what they cost."""


def quantile(q: float, *by: str, histogram: Metric = catalog.LATENCY) -> str:
    """A quantile of the calls' latency, or of another histogram, in seconds; nothing where there was no call."""
    return _known_quantile(q, rate(latency("bucket", histogram), "le", *by))


def hourly_quantile(q: float, *by: str) -> str:
    """A quantile of the latency of the past hour's calls, in seconds; nothing where there was no call."""
    return _known_quantile(q, hourly(latency("bucket"), "le", *by))


def _known_quantile(q: float, buckets: str) -> str:
    # of no call it is no number, which is not below 0 either
    return f"(histogram_quantile({q}, {buckets}) >= 0)"


def average_latency(*by: str) -> str:
    """The calls' average latency, in seconds: the sum over the count, never an average of averages."""
    return ratio(rate(latency("sum"), *by), rate(latency("count"), *by))


MOST = 10
"""So many lines of a chart can be told apart."""


def busiest(*labels: str, of: str = CALLS) -> str:
    """The values of labels with most calls in the time range, the same ones at each step of a chart."""
    return f"topk({MOST}, sum by ({', '.join(labels)}) (increase({of}[$__range] @ end())))"


def of_busiest(figure: str, *labels: str, of: str = CALLS) -> str:
    """Of figures by labels those of the values with most calls, or with most `of` another counter."""
    return f"({figure}) and on ({', '.join(labels)}) {busiest(*labels, of=of)}"


def largest(figure: str, selector: str, label: str) -> str:
    """Of figures of a gauge by a label those of the values that are highest at some time of the range."""
    highest = max_of(f"max_over_time({selector}[$__range] @ end())", label)
    return f"({figure}) and on ({label}) topk({MOST}, {highest})"


def with_others(figure: str, label: str) -> str:
    """Figures by a label that may be added: those of the values with most calls, and the sum of `all others`."""
    others = f"sum ({figure} unless on ({label}) {busiest(label)})"
    return f'{of_busiest(figure, label)} or label_replace({others}, "{label}", "all others", "", "")'


FEW, ENOUGH = 5, 10
"""The fewest calls of the past hour, and of a few minutes, of which a share of failures is shown."""

DOUBT = 50
"""So many calls that have not failed are added where only one or two have: alone, these say little."""

SEVERAL, MANY = 3, 20
"""So many failures are no chance, of however few calls; and so many calls that a single failure is no large share."""


def error_rate(*by: str, window: str = RATE) -> str:
    """The share of calls that failed: in the window, or in a longer one where that has too few calls.

    Several failures that are most of the calls are enough: who has given up leaves few calls, all of which failed.
    Nothing where the hour has too few, too: one failure of two calls is no rate. One or two failures count as `DOUBT`
    calls more would make them: not as much as a few percent, and still more than none.
    """

    def failed_of(span: str, enough: Callable[[str, str], str]) -> str:
        failed, calls = (_counted(f"increase({each}{span})", by) for each in (FAILED, CALLS))
        doubt = f"{DOUBT} * ({failed} <= bool {SEVERAL - 0.5})"
        return f"{failed} / (({enough(failed, calls)}) + {doubt})"

    def most(failed: str, calls: str) -> str:
        return f"{calls} >= {ENOUGH} or {calls} <= 2 * {_several(failed)}"

    shorter = (failed_of(span, most) for span in (window, "[15m]"))
    return " or ".join((*shorter, failed_of("[1h]", lambda _, calls: f"{calls} >= {FEW}")))


def failed_share(*by: str) -> str:
    """The share of the past hour's calls that failed; -1 (`style.NOT_SET`) where few calls have one or two failures.

    Nothing where few calls have none.
    """
    failed, calls = hourly(FAILED, *by), hourly(CALLS, *by)
    share = f"{failed} / ({calls} >= {MANY}) or {_several(failed)} / ({calls} > 0)"
    # of what is extrapolated, a single failure may be a little less
    return f"{share} or (0 * ({failed} > 0.5) - 1)"


def _several(failed: str) -> str:
    # Prometheus extrapolates: of three failures, an increase may be a little less
    return f"({failed} > {SEVERAL - 0.5})"


def worst_model() -> str:
    """The model with the largest share of failed calls in five minutes, as `error_rate` counts.

    Without one, what stands for it has the highest value of its own: `None` has 0 where calls have not failed,
    `Few calls` -1 where there are too few of each model, and `No calls` -2.
    """
    failing = f"({error_rate('model', window='[5m]')}) > 0"
    known = {
        "None": f"0 * max({hourly(CALLS, 'model')} >= {FEW})",
        "Few calls": f"0 * ({hourly(CALLS)} > 0) - 1",
        "No calls": f"0 * max({UP}) - 2",
    }
    return f"topk(1, {failing} or {labelled('model', known)})"


def labelled(label: str, figures: Mapping[str, str]) -> str:
    """Several figures without labels in one query, told apart by a label.

    Of several queries without an answer, Grafana says that a number field is missing.
    """
    return " or ".join(f'label_replace({figure}, "{label}", "{name}", "", "")' for name, figure in figures.items())


_SHORT = "([0-9a-fA-F]{8})-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|(.+)"


def named(figure: str, source: str) -> str:
    """Figures by user with what each is called as the label `name`: a UUID without a name by its first characters.

    `source` is a selector of series that have all users of the figure. A user stays one, whatever replicas call them.
    """
    known = f"topk by (user) (1, {max_of(for_job(catalog.USER_INFO), 'user', 'name')})"
    # a name is no number: whatever the source's is, this is 1
    unknown = f'label_replace({max_of(source, "user")}, "name", "$1$2", "user", "{_SHORT}") ^ 0'
    return f"({figure}) * on (user) group_left (name) ({known} or on (user) {unknown})"


def legend(label: str) -> str:
    """A series' name in the legend: the value of a label."""
    return "{{" + label + "}}"


PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def prom(expr: str, name: str = "", *, instant: bool = False, table: bool = False, heatmap: bool = False) -> Any:
    """A target of the Prometheus data source; `name` is the series' name in the legend."""
    form = "table" if table else "heatmap" if heatmap else "time_series"
    return Target(expr=expr, legendFormat=name or "__auto", instant=instant or table, format=form)
