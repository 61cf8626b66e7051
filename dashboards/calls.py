"""Panels that stand on more than one dashboard, each with the advice that fits there."""

from typing import Any

from dashboards import promql as q
from dashboards import sql, style
from dashboards.alerts import AlertLine
from dashboards.base import HEALTH, by_model, by_operation, by_user, to_dashboard
from dashboards.panels import Panel, column, link, stat, table, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import SCALED_SECONDS, SECONDS, SHARE, USD
from exporter import catalog

ALERT_WINDOW = "5m"
"""The least step of ratios and quantiles: the alerts' window, and enough calls to say something."""

DOUBTS = (
    " The alert also waits until so few calls leave no doubt, and looks at the past hour where five minutes have too"
    " few: a short rise above the line need not be an alert."
)
"""What the line at an alert's threshold does not say."""

CATCHING_UP, DATABASE_DOWN, EXPORTER_DOWN = 2, -2, -1


def figures(settings: Settings) -> Panel:
    """Whether what the page shows is of now, and if not, why."""
    up = q.for_job(catalog.LOG_UP)
    read = q.for_job(catalog.COLLECTOR_SUCCESS, 'collector="log"')
    postgres = f'max(pg_up{{job=~"{settings.postgres_job}"}}) == 0'
    states = (
        f"max({q.UP})",
        f"0 * max({read} == 1) + {CATCHING_UP}",
        f"(0 * max({up}) and on () {postgres}) - {-DATABASE_DOWN}",
        f"max({up})",
        # what Prometheus knew of the exporter within the last day
        f"0 * max(last_over_time({up}[1d])) - {-EXPORTER_DOWN}",
    )
    texts = {
        1: ("Current", style.GOOD),
        CATCHING_UP: ("Catching up", style.WARN),
        0: ("Log not read", style.BAD),
        DATABASE_DOWN: ("Database down", style.BAD),
        EXPORTER_DOWN: ("Exporter down", style.BAD),
    }
    return stat(
        "Figures",
        "Whether the figures on this page are of now: whether the exporter read the log in its last scrape, saw every"
        " row and has caught up; and if not, what is down. Figures of today are missing then, and charts have a gap.",
        "Run `ai-operation-exporter check`: it names the problem and the SQL or the setting that fixes it.",
        prom(" or ".join(states), instant=True),
        unit=style.PLAIN,
        mappings=style.value_mappings(texts),
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1)),
        absent=style.BAD,
        empty="No exporter",
        links=[link("Health", to_dashboard(HEALTH))],
    )


def worst_model(act: str) -> Panel:
    """The model with the largest share of failed calls, by its name."""
    return stat(
        "Worst model, 5 min",
        "The model with the largest share of failed calls in the past five minutes, or in the past hour where five"
        f" minutes have fewer than {q.ENOUGH} calls; models with fewer than {q.FEW} calls in the hour are left out. One"
        " or two failures count as none. Red from 20% on.",
        act,
        prom(q.worst_model(), q.legend("model"), instant=True),
        unit=SHARE,
        decimals=0,
        steps=style.worse_above(0.1, 0.2),
        mappings=style.not_set("–"),
        named=True,
    )


def success_rate(title: str, act: str, error_rate: AlertLine) -> Panel:
    """The share of the past hour's calls that succeeded."""
    succeeding = error_rate.complement
    note = succeeding.note("Red below {value}, the threshold of {alert}, which looks at five minutes of an operation.")
    return stat(
        title,
        f"The share of calls in the past hour that succeeded.{note}",
        act,
        prom(q.or_no_calls(f"1 - {q.hourly_ratio(q.FAILED, q.CALLS)}"), instant=True),
        mappings=style.not_set(style.NO_CALLS),
        unit=SHARE,
        decimals=1,
        steps=succeeding.below(),
    )


def success_rate_by(by: str, title: str, act: str, error_rate: AlertLine) -> Panel:
    """The share of calls that succeeded over time, by a label."""
    succeeding = error_rate.complement
    note = succeeding.note("The line is at {value}, the threshold of {alert} for an operation." + DOUBTS)
    return timeseries(
        title,
        f"The share of calls that succeeded, by {by}; in the past hour where five minutes have few calls.{note}",
        act,
        prom(f"1 - ({q.error_rate(by)})", q.legend(by)),
        unit=SHARE,
        low=None,
        high=1,
        soft={} if error_rate.value is None else {"axisSoftMin": max(0, 1 - 2 * error_rate.value)},
        steps=succeeding.below("transparent"),
        interval=ALERT_WINDOW,
    )


def average_latency_by_operation(title: str, act: str, latency: AlertLine) -> Panel:
    """The average latency over time, by operation: what `slow_operations` watches."""
    note = latency.note("The line is at {value}, the threshold of {alert}." + DOUBTS)
    return timeseries(
        title,
        f"The average duration of calls, by operation, of the ten with most calls. The axis is logarithmic.{note}",
        act,
        prom(q.of_busiest(q.average_latency("operation"), "operation"), "{{operation}}"),
        unit=SCALED_SECONDS,
        steps=latency.above(below="transparent"),
        interval=ALERT_WINDOW,
        log=True,
    )


def cost_per_call_by_operation(title: str, act: str) -> Panel:
    """The average cost of a thousand calls over time, by operation."""
    return timeseries(
        title,
        "The average cost of a thousand calls in the past hour, by operation, of the ten with most calls. The axis is"
        " logarithmic.",
        act,
        prom(q.of_busiest(f"1000 * {q.hourly_ratio(q.COST, q.CALLS, 'operation')}", "operation"), "{{operation}}"),
        unit=USD,
        log=True,
    )


def user_columns(width: int | None = None) -> tuple[dict[str, Any], ...]:
    """How a table shows users: by what they are called, with a link by the hidden column that has their id."""
    return column("User", width=width, links=[by_user("${__data.fields.Id}")]), column("Id", hidden=True)


def calls_table(title: str, shows: str, act: str, query: Any, empty: str = sql.NOT_IN_LOG) -> Panel:
    """A table of single calls, the newest first."""
    colors = {
        "ok": style.GOOD,
        "failed": style.BAD,
        "timeout": style.BAD,
        "running": style.CALM,
        "pending": style.DIM,
    }
    outcomes = style.value_mappings({name: (name, color) for name, color in colors.items()})
    return table(
        title,
        shows,
        act,
        query,
        empty=empty,
        columns=[
            column("Time", unit=style.TIME, width=160),
            column("Message", min_width=200),
            column("Operation", width=198, links=[by_operation()]),
            column("Model", width=135, links=[by_model()]),
            *user_columns(width=95),
            column("Outcome", width=80, colored=True, mappings=outcomes),
            column("Cost", unit=USD, decimals=6, width=100),
            column("Latency", unit=SECONDS, decimals=2, width=80),
        ],
    )
