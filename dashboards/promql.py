"""PromQL for panels, built from the metric catalog, with Grafana's variables."""

from typing import Any, Literal

from grafanalib.core import Target

from alert_rules.promql import highest_replica
from exporter import catalog
from exporter.catalog import Metric

PROJECT_ALERTS = 'channel!=""'
"""Alerts of this project's rules, all of which name their channel: Prometheus may have other rules too."""

PROBLEMS = f'{PROJECT_ALERTS}, severity!="none"'
"""Those that report a problem. The watchdog, which always fires, has the severity none."""

RATE = "[$__rate_interval]"


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


def or_sentinel(figure: str, where: str) -> str:
    """The figure, or -1 (`style.NOT_SET`) where there is none although `where` has a value."""
    return f"({figure}) or (0 * {where} - 1)"


def age(timestamp: str) -> str:
    """Seconds since a time."""
    return f"time() - {timestamp}"


def latency(part: Literal["bucket", "sum", "count"]) -> str:
    """A selector for a part of the latency histogram of the chosen calls."""
    return filtered(Metric(f"{catalog.LATENCY.name}_{part}", "histogram", catalog.LATENCY.labels, ""))


CALLS, FAILED, COST = filtered(catalog.OPERATIONS), filtered(catalog.FAILURES), filtered(catalog.COST)
"""Selectors for the chosen calls, those that failed, and what they cost."""


def quantile(q: float, *by: str) -> str:
    """A quantile of the calls' latency, in seconds."""
    return f"histogram_quantile({q}, {rate(latency('bucket'), 'le', *by)})"


def average_latency(*by: str) -> str:
    """The calls' average latency, in seconds: the sum over the count, never an average of averages."""
    return ratio(rate(latency("sum"), *by), rate(latency("count"), *by))


def error_rate(*by: str) -> str:
    """The share of calls that failed."""
    return ratio(rate(FAILED, *by), rate(CALLS, *by))


def legend(label: str) -> str:
    """A series' name in the legend: the value of a label."""
    return "{{" + label + "}}"


PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}


def prom(expr: str, name: str = "", *, instant: bool = False, table: bool = False, heatmap: bool = False) -> Any:
    """A target of the Prometheus data source; `name` is the series' name in the legend."""
    form = "table" if table else "heatmap" if heatmap else "time_series"
    return Target(expr=expr, legendFormat=name or "__auto", instant=instant or table, format=form)
