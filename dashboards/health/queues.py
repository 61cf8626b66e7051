"""The row of Health with what waits: calls, approvals, recommendations."""

from dashboards import promql as q
from dashboards import style
from dashboards.grid import Row, line
from dashboards.panels import Panel, bar_gauge, stat, timeseries
from dashboards.promql import prom
from dashboards.settings import Settings
from exporter import catalog


def row(_: Settings) -> Row:
    """The row."""
    panels = _in_progress(), _queue_depth(), _oldest_waiting(), _approvals_pending(), _recommendations()
    return Row("Queues (calls in progress)", (line(7, *panels, widths=(5, 5, 5, 4, 5)),), collapsed=True)


def _in_progress() -> Panel:
    return stat(
        "In progress",
        "Calls that have begun and not ended, pending or running. A log that is written only when calls end has none.",
        "If the number grows and Oldest waiting grows too, calls are stuck.",
        prom(
            q.or_sentinel(q.gauge(q.for_job(catalog.IN_PROGRESS)), q.max_of(q.for_job(catalog.LOG_NEWEST_ROW))),
            instant=True,
        ),
        unit=style.COUNT,
        decimals=0,
        mappings=style.not_set("Not in this log"),
    )


def _queue_depth() -> Panel:
    return timeseries(
        "Queue depth",
        "Calls that have not ended, by status. Only in a log that is written when calls begin.",
        "If pending grows and running does not, there are too few workers, or all of them are stuck.",
        prom(q.gauge(q.for_job(catalog.IN_PROGRESS), "status"), "{{status}}"),
        unit=style.COUNT,
        empty="Not in this log, or not read",
    )


def _oldest_waiting() -> Panel:
    oldest = f"min by (status) ({q.for_job(catalog.OLDEST_IN_PROGRESS)})"
    return timeseries(
        "Oldest waiting",
        "The age of the oldest call that has not ended, by status.",
        "The worker of a call older than every timeout is gone: set the call's end in the log.",
        prom(q.age(oldest), "{{status}}"),
        unit=style.SECONDS,
        empty="Not in this log, or not read",
    )


def _approvals_pending() -> Panel:
    pending = q.max_of(q.for_job(catalog.APPROVALS_PENDING))
    return stat(
        "Approvals",
        "Approval gates that wait for a person. Only where the database has that table.",
        "Approve or reject them in the application: they hold up operations.",
        prom(q.or_sentinel(pending, q.max_of(q.for_job(catalog.LOG_NEWEST_ROW))), instant=True),
        unit=style.PLAIN,
        decimals=0,
        mappings=style.not_set("No such table"),
    )


def _recommendations() -> Panel:
    return bar_gauge(
        "Recommendations",
        "Recommendations by type and status. Only where the database has that table.",
        "Decide on the pending ones: they are savings.",
        prom(q.max_of(q.for_job(catalog.RECOMMENDATIONS), "type", "status"), "{{type}} {{status}}", instant=True),
        unit=style.PLAIN,
        empty="No such table",
    )
