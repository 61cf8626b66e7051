"""Panels on calls that stand on more than one dashboard, each with the advice that fits there."""

from dashboards import promql as q
from dashboards.alerts import AlertLine
from dashboards.panels import Panel, stat, timeseries
from dashboards.promql import prom
from dashboards.style import SECONDS, SHARE, USD

ALERT_WINDOW = "5m"
"""The least step of ratios and quantiles: the alerts' window, and enough calls to say something."""


def success_rate(title: str, act: str, error_rate: AlertLine) -> Panel:
    """The share of the past hour's calls that succeeded."""
    succeeding = error_rate.complement
    note = succeeding.note("Red below {value}, where {alert} fires.")
    return stat(
        title,
        f"The share of calls in the past hour that succeeded.{note}",
        act,
        prom(f"1 - {q.hourly_ratio(q.FAILED, q.CALLS)}", instant=True),
        unit=SHARE,
        decimals=1,
        steps=succeeding.below(),
    )


def success_rate_by(by: str, title: str, act: str, error_rate: AlertLine) -> Panel:
    """The share of calls that succeeded over time, by a label."""
    succeeding = error_rate.complement
    note = succeeding.note("The line is at {value}, where {alert} fires.")
    return timeseries(
        title,
        f"The share of calls that succeeded, by {by}.{note}",
        act,
        prom(f"1 - {q.error_rate(by)}", q.legend(by)),
        unit=SHARE,
        low=None,
        high=1,
        soft={} if error_rate.value is None else {"axisSoftMin": max(0, 1 - 2 * error_rate.value)},
        steps=succeeding.below(),
        interval=ALERT_WINDOW,
    )


def average_latency_by_operation(title: str, act: str, latency: AlertLine) -> Panel:
    """The average latency over time, by operation: what `slow_operations` watches."""
    note = latency.note("The line is at {value}, where {alert} fires.")
    return timeseries(
        title,
        f"The average duration of calls, by operation.{note}",
        act,
        prom(q.average_latency("operation"), "{{operation}}"),
        unit=SECONDS,
        steps=latency.above(),
        interval=ALERT_WINDOW,
    )


def cost_per_call_by_operation(title: str, act: str) -> Panel:
    """The average cost of a call over time, by operation."""
    return timeseries(
        title,
        "The average cost of a call in the past hour, by operation.",
        act,
        prom(q.hourly_ratio(q.COST, q.CALLS, "operation"), "{{operation}}"),
        unit=USD,
    )
