"""PromQL, built from the metric catalog.

Replicas read the same log, so figures are summed within an instance, then the highest instance is taken, and `job` is
kept until the end.
"""

from typing import Any, Literal

from grafanalib.core import Target

from exporter import catalog
from exporter.catalog import Metric

OF_THE_JOBS = 'job=~"$job"'
RATE = "[$__rate_interval]"
HOUR = "[1h]"


def select(metric: Metric | str, *matchers: str) -> str:
    """A selector: of the chosen jobs, and of the chosen operations and models where the metric has these labels."""
    labels = metric.labels if isinstance(metric, Metric) else ()
    chosen = [f'{label}=~"${label}"' for label in ("operation", "model", "user") if label in labels]
    return whole(metric, *chosen, *matchers)


def whole(metric: Metric | str, *matchers: str) -> str:
    """A selector that only the choice of jobs narrows."""
    name = metric.name if isinstance(metric, Metric) else metric
    joined = ", ".join((OF_THE_JOBS, *matchers))
    return f"{name}{{{joined}}}"


UP = f"{whole(catalog.LOG_UP)} == 1"
"""The replicas that read the log: without one, counters stand still and would look like a calm."""


def gauge(selector: str, by: str = "") -> str:
    """A gauge's present figure by labels."""
    return f"{_sum(by)} (max by (job{_and(by)}) (sum by (job, instance{_and(by)}) ({selector})))"


def while_read(selector: str) -> str:
    """A gauge that is also shown while the log is not read, for only as long as it is: to be put into `gauge`."""
    return f"{selector} and on (job, instance) {UP}"


def newest(selector: str, by: str = "") -> str:
    """The highest of all replicas: for times, states and settings, which are not summed."""
    return f"max by ({by}) ({selector})" if by else f"max({selector})"


def rate(selector: str, by: str = "", over: str = RATE) -> str:
    """A counter's rise per second by labels; a gap while the log is not read."""
    return _counted(f"rate({selector}{over})", by)


def rise(selector: str, by: str = "") -> str:
    """How many there were in a step of the chart, by labels; a gap while the log is not read."""
    return _counted(f"increase({selector}{RATE})", by)


def hourly(selector: str, by: str = "") -> str:
    """How many there were in the hour before, by labels; a gap while the log is not read."""
    return _counted(f"increase({selector}{HOUR})", by)


def _counted(rise: str, by: str) -> str:
    return (
        f"{_sum(by)} (max by (job{_and(by)}) (sum by (job, instance{_and(by)}) ({rise}) and on (job, instance) {UP}))"
    )


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def _and(by: str) -> str:
    return f", {by}" if by else ""


def ratio(above: str, below: str) -> str:
    """One figure per another; nothing where that is 0."""
    return f"{above} / ({below} > 0)"


def or_not_set(figure: str, where: str) -> str:
    """The figure, or -1 where there is none although `where` answers."""
    return f"({figure}) or (0 * {where} - 1)"


def age(timestamp: str) -> str:
    """Seconds since a time."""
    return f"time() - {timestamp}"


def quantile(q: float, by: str = "") -> str:
    """A quantile of the calls' durations, in seconds."""
    buckets = rate(latency("bucket"), f"le, {by}" if by else "le")
    return f"histogram_quantile({q}, {buckets})"


def latency(part: Literal["bucket", "sum", "count"]) -> str:
    """A part of the histogram of the chosen calls' durations."""
    return select(Metric(f"{catalog.LATENCY.name}_{part}", "histogram", catalog.LATENCY.labels, ""))


def average_latency(by: str = "") -> str:
    """The calls' average duration, in seconds: the sum over the count, never an average of averages."""
    parts = (
        Metric(f"{catalog.LATENCY.name}_{end}", "histogram", catalog.LATENCY.labels, "") for end in ("sum", "count")
    )
    return ratio(*(rate(select(part), by) for part in parts))


def failed_share(by: str = "") -> str:
    """The part of the calls that failed."""
    return ratio(rate(select(catalog.FAILURES), by), rate(select(catalog.OPERATIONS), by))


PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def prom(expr: str, legend: str = "", *, instant: bool = False, table: bool = False, heatmap: bool = False) -> Any:
    """A target of the Prometheus data source."""
    form = "table" if table else "heatmap" if heatmap else "time_series"
    return Target(expr=expr, legendFormat=legend or "__auto", instant=instant or table, format=form)
