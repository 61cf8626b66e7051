"""The row of Health with what answers: providers, models, operations."""

from dashboards import promql as q
from dashboards import style
from dashboards.alerts import AlertLine
from dashboards.base import by_model, by_operation
from dashboards.calls import ALERT_WINDOW, DOUBTS, WINDOWS
from dashboards.grid import Row, line
from dashboards.health.overview import probes
from dashboards.panels import Panel, column, joined, state_timeline, table, timeseries, values
from dashboards.promql import prom
from dashboards.settings import Settings
from dashboards.style import AGE, SECONDS, SHARE
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    success = _success_by_model(settings.alerts.error_rate)
    return Row(
        "Is each part there?",
        (
            line(7, success, _probe_history(settings), widths=(16, 8)),
            line(8, _registered_operations(), _last_success(), widths=(15, 9)),
        ),
    )


def _success_by_model(error_rate: AlertLine) -> Panel:
    succeeding = error_rate.complement
    note = succeeding.note("The line is at {value}, the threshold of {alert} for an operation." + DOUBTS)
    return timeseries(
        "Success of calls by model",
        f"The share of calls that succeeded, by model. {WINDOWS}{note}",
        "If a model fails while its probe succeeds, the provider refuses the calls: see Failures by class on"
        " Performance.",
        prom(f"1 - ({q.error_rate('model')})", "{{model}}"),
        unit=SHARE,
        low=None,
        high=1,
        soft={} if error_rate.value is None else {"axisSoftMin": max(0, 1 - 2 * error_rate.value)},
        steps=succeeding.below("transparent"),
        interval=ALERT_WINDOW,
    )


def _probe_history(settings: Settings) -> Panel:
    return state_timeline(
        "Probe history",
        "Whether your API answered blackbox_exporter's probes, over time: not even one silent probe is left out.",
        "Check the status page of the target's provider before your own network.",
        prom(f"min by (instance) (min_over_time({probes(settings)}{q.STEP}))", "{{instance}}"),
        mappings=style.value_mappings({1: ("answers", style.GOOD), 0: ("does not answer", style.BAD)}),
        empty=style.NOT_THERE,
    )


def _registered_operations() -> Panel:
    info = q.max_of(q.filtered(catalog.ROUTE_INFO), "operation", "primary_model", "fallback_model")
    enabled = q.max_of(q.filtered(catalog.ROUTE_ENABLED), "operation")
    last_seen = q.max_of(q.filtered(catalog.OPERATION_LAST_SEEN), "operation")
    never_seen = f"(0 * {enabled} unless on (operation) {last_seen})"
    names = {
        "operation": "Operation",
        "Value #A": "Last call",
        "Value #B": "Enabled",
        "primary_model": "Primary model",
        "fallback_model": "Fallback",
    }
    return table(
        "Registered operations",
        "Each operation of the routes table or the log: the time since its last call, whether its route is enabled,"
        " and its models.",
        "An operation that was never seen is not instrumented or not used. One that fell silent may be broken.",
        prom(f"({q.age(last_seen)}) or ({never_seen} - 1)", table=True),
        prom(enabled, table=True),
        prom(info, table=True),
        transformations=joined("operation", names),
        sort="Last call",
        empty=style.NOT_READ,
        columns=[
            column("Operation", links=[by_operation()]),
            column("Primary model", links=[by_model()]),
            column("Fallback", links=[by_model()]),
            column(
                "Last call",
                unit=AGE,
                decimals=0,
                width=110,
                colored=True,
                steps=style.worse_above(3600, 86400),
                mappings=style.value_mappings({style.NOT_SET: ("never", style.BAD)}),
            ),
            column("Enabled", width=80, colored=True, mappings=style.YES_NO),
        ],
    )


def _last_success() -> Panel:
    last_success = q.max_of(q.filtered(catalog.MODEL_LAST_SUCCESS), "model")
    timeout = q.max_of(q.filtered(catalog.MODEL_TIMEOUT), "model")
    return table(
        "Models: last success, and timeout",
        "The time since each model's last successful call, and the timeout of its calls.",
        "`model_unavailable` fires after 15 minutes with calls but no success: use the fallback meanwhile.",
        prom(q.age(last_success), table=True),
        prom(timeout, table=True),
        transformations=joined("model", {"model": "Model", **values(("Last success", "Timeout"))}),
        sort="Last success",
        empty=style.NOT_READ,
        columns=[
            column("Model", links=[by_model()]),
            column("Last success", unit=AGE, decimals=0, colored=True, steps=style.worse_above(900)),
            column("Timeout", unit=SECONDS, decimals=0),
        ],
    )
