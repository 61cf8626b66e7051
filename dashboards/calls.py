"""Panels that stand on more than one dashboard, each with the advice that fits there."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from dashboards import promql as q
from dashboards import sql, style
from dashboards.alerts import FIRING, AlertLine
from dashboards.base import HEALTH, by_model, by_operation, by_user, to_dashboard
from dashboards.panels import Panel, absolute, column, link, of_query, stat, table, timeseries
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

WINDOWS = (
    f"Where five minutes, or a chart's longer step, have fewer than {q.ENOUGH} calls, and not three failures or more"
    f" that are most of them, the past 15 minutes count, or else the past hour, if it has {q.FEW} calls or more. One or"
    f" two failures are taken for those of {q.DOUBT} calls more: chance is not drawn as an outage."
)
"""How charts and tiles count a share of failed calls."""

CHECK_COSTS, CATCHING_UP, DATABASE_DOWN, EXPORTER_DOWN = 3, 2, -2, -1

SEVERITIES = {"critical": style.BAD, "warning": style.WARN, "info": style.CALM}
"""The severities of alerts, the worst first, with their colours."""

NO_RULES = "No rules loaded"

INACCURATE = f'alertname="cost_tracking_inaccurate", alertstate="firing", {q.PROJECT_ALERTS}'
"""The alert that costs are known not to be right."""


def figures(settings: Settings) -> Panel:
    """Whether what the page shows is of now, and if not, why."""
    up = q.for_job(catalog.LOG_UP)
    read = q.for_job(catalog.COLLECTOR_SUCCESS, 'collector="log"')
    postgres = f'max(pg_up{{job=~"{settings.postgres_job}"}}) == 0'
    states = (
        # what is known to be inaccurate is not called current
        f"0 * max(ALERTS{{{INACCURATE}}}) + {CHECK_COSTS} and on () {q.UP}",
        f"max({q.UP})",
        f"0 * max({read} == 1) + {CATCHING_UP}",
        f"(0 * max({up}) and on () {postgres}) - {-DATABASE_DOWN}",
        f"max({up})",
        # what Prometheus knew of the exporter within the last day
        f"0 * max(last_over_time({up}[1d])) - {-EXPORTER_DOWN}",
    )
    texts = {
        1: ("Current", style.GOOD),
        CHECK_COSTS: ("Check costs", style.WARN),
        CATCHING_UP: ("Catching up", style.WARN),
        0: ("Log not read", style.BAD),
        DATABASE_DOWN: ("Database down", style.BAD),
        EXPORTER_DOWN: ("Exporter down", style.BAD),
    }
    return stat(
        "Figures",
        "Whether the figures on this page are of now: whether the exporter read the log in its last scrape, saw every"
        " row and has caught up; and if not, what is down, and since when. Figures of today are missing then, and"
        " charts have a gap. “Check costs” means that `cost_tracking_inaccurate` fires.",
        "Run `ai-operation-exporter check`: it names the problem and the SQL or the setting that fixes it.",
        prom(f"{' or '.join(states)} or {_last_read(read)}", q.legend("line"), instant=True),
        unit=style.PLAIN,
        mappings=style.value_mappings(texts),
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1)),
        absent=style.BAD,
        empty="No exporter",
        overrides=[
            {
                "matcher": {"id": "byName", "options": "last read"},
                "properties": [
                    {"id": "unit", "value": style.SINCE},
                    {"id": "mappings", "value": []},
                    {"id": "thresholds", "value": absolute((style.Step(style.DIM),))},
                ],
            }
        ],
        links=[link("Health", to_dashboard(HEALTH))],
    )


def _last_read(read: str) -> str:
    """When the log was last read, in milliseconds, as a line of its own; nothing while it is read."""
    last = f"max(last_over_time({q.for_job(catalog.LAST_SUCCESS)}[1d]))"
    return f'label_replace(1000 * ({last} > 0), "line", "last read", "", "") unless on () ({q.UP} or {read} == 1)'


def alerts_firing(settings: Settings, title: str, act: str, severities: Sequence[str], page: str = "") -> Panel:
    """How many alerts fire by severity, and how many critical ones are about to; `page` is where they are listed."""
    loaded = f'count(ALERTS{{{q.PROJECT_ALERTS}, severity="none"}})'

    def number(state: str, severity: str) -> str:
        counted = settings.alerts.counted(state, f'severity="{severity}"')
        return f"count({counted}) or 0 * {loaded}"

    shown = {severity: (number(FIRING, severity), SEVERITIES[severity]) for severity in severities}
    shown["pending"] = number('alertstate="pending"', "critical"), style.WARN
    letters = ascii_uppercase[: len(shown)]
    return stat(
        title,
        "How many things are wrong now, by severity: an alert counts once, at the highest of its rungs, and not while a"
        " worse one says the same. Pending are critical ones that fire soon, unless what is wrong ends."
        f" “{NO_RULES}” means that no alert can fire.",
        act,
        *(prom(expr, name, instant=True) for name, (expr, _) in shown.items()),
        unit=style.PLAIN,
        decimals=0,
        named=True,
        sizes=(14, 30),
        absent=style.BAD,
        empty=NO_RULES,
        overrides=[
            of_query(
                letter,
                displayName=name,
                thresholds=absolute((style.Step(style.GOOD), style.Step(color, 1))),
            )
            for letter, (name, (_, color)) in zip(letters, shown.items(), strict=True)
        ],
        links=[link("Alerts on Health", to_dashboard(page))] if page else [],
    )


def worst_model(act: str, error_rate: AlertLine) -> Panel:
    """The model with the largest share of failed calls, by its name."""
    note = error_rate.note(
        "Orange from {value} on, the threshold of {alert}, which looks at operations; red from twice that."
    )
    return stat(
        "Worst model, calls failed",
        f"The model with the largest share of failed calls in the past five minutes. {WINDOWS} “None” means that no"
        f" call has failed.{note}",
        act,
        prom(q.worst_model(), q.legend("model"), instant=True),
        unit=SHARE,
        decimals=0,
        steps=error_rate.warning_above(),
        mappings=style.value_mappings(dict.fromkeys((style.NOT_SET, style.NOT_SET - 1), ("–", style.DIM))),
        named=True,
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
            column("Time", unit=style.TIME, width=154),
            column("Message", min_width=200),
            column("Operation", width=198, links=[by_operation()]),
            column("Model", width=135, links=[by_model()]),
            *user_columns(width=95),
            column("Outcome", width=80, colored=True, mappings=outcomes),
            column("Cost", unit=USD, decimals=6, width=100),
            column("Latency", unit=SECONDS, decimals=2, width=80),
        ],
    )
