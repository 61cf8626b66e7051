"""The first row of Health: whether figures can be trusted, what fires, and what failed last."""

from dashboards import promql as q
from dashboards import style
from dashboards.calls import success_rate
from dashboards.grid import Row, line
from dashboards.health.database import CONNECTIONS, MAX_CONNECTIONS
from dashboards.health.recent import calls_table
from dashboards.panels import Panel, column, link, only, stat, state_timeline, table
from dashboards.promql import PROBLEMS, PROJECT_ALERTS, prom
from dashboards.settings import Settings
from dashboards.style import SHARE
from exporter import catalog


def row(settings: Settings) -> Row:
    """The row."""
    success = success_rate(
        "Success of calls",
        "The error log below shows the messages; Performance shows the operation and the class of error.",
        settings.alerts.error_rate,
    )
    numbers = _log_is_read(), _alerts_firing(), _api_availability(), success, _connections_used(), _in_progress()
    return Row(
        "",
        (
            line(4, *numbers),
            line(8, _alerts_now(settings), _alert_history(), widths=(15, 9)),
            line(9, _error_log()),
        ),
    )


def _log_is_read() -> Panel:
    return stat(
        "The log is read",
        "Whether the exporter read the log in its last scrape, saw every row and has caught up. If not, figures of"
        " today are missing on all dashboards, and charts have a gap.",
        "Run `ai-operation-exporter check`: it names the problem and the SQL or the setting that fixes it.",
        prom(q.max_of(q.for_job(catalog.LOG_UP)), instant=True),
        unit=style.PLAIN,
        mappings=style.YES_NO,
        steps=(style.Step(style.BAD), style.Step(style.GOOD, 1)),
        absent=style.BAD,
    )


def _alerts_firing() -> Panel:
    firing = f'count(ALERTS{{alertstate="firing", {PROBLEMS}}})'
    return stat(
        "Alerts firing",
        "The number of alerts that fire now. No data means that Prometheus has not loaded the rules, so that no"
        " alert can fire.",
        "The table below lists them with their runbooks.",
        prom(f'{firing} or 0 * count(ALERTS{{{PROJECT_ALERTS}, severity="none"}})', instant=True),
        unit=style.PLAIN,
        decimals=0,
        steps=style.worse_above(1),
    )


def _api_availability() -> Panel:
    return stat(
        "API availability",
        "The share of probes in the past hour that succeeded, over all targets of blackbox_exporter. No data where"
        " that is not set up.",
        "Probe history, below, shows which target fails: see its provider's status page.",
        prom("avg(avg_over_time(probe_success[1h]))", instant=True),
        unit=SHARE,
        decimals=1,
        steps=style.worse_below(0.95, 0.999),
    )


def _connections_used() -> Panel:
    return stat(
        "Database connections",
        "Open connections as a share of `max_connections`, on the server where it is highest. From postgres_exporter.",
        "Near 100%, the server refuses new connections, the exporter's too: look for a leak, or use a pooler.",
        prom(f"max({CONNECTIONS} / on (job, instance) {MAX_CONNECTIONS})", instant=True),
        unit=SHARE,
        decimals=0,
        steps=style.worse_above(0.8, 0.95),
    )


def _in_progress() -> Panel:
    return stat(
        "Calls in progress",
        "Calls that have begun and not ended, pending or running. A log that is written only when calls end has none.",
        "If the number grows and Oldest waiting, under Queues, grows too, calls are stuck.",
        prom(
            q.or_sentinel(q.gauge(q.for_job(catalog.IN_PROGRESS)), q.max_of(q.for_job(catalog.LOG_NEWEST_ROW))),
            instant=True,
        ),
        unit=style.COUNT,
        decimals=0,
        mappings=style.not_set("Not in this log"),
    )


def _alerts_now(settings: Settings) -> Panel:
    labels = ("severity", "operation", "model", "user", "rung", "reason", "runbook")
    names = {"alertname": "Alert", "alertstate": "State"} | {label: label.capitalize() for label in labels}
    states = {"firing": ("firing", style.BAD), "pending": ("pending", style.WARN)}
    runbook = [link("Runbook", settings.runbook("${__value.raw}"))] if settings.runbooks else []
    return table(
        "Alerts now",
        "Alerts that are pending or firing, and what they are about. Empty when all is well.",
        "Open the runbook named beside the alert: it covers meaning, impact, diagnosis and mitigation.",
        prom(f'label_replace(ALERTS{{{PROBLEMS}}}, "runbook", "docs/runbooks/$1.md", "alertname", "(.*)")', table=True),
        transformations=only(names),
        columns=[
            column("Alert", links=runbook),
            column("State", colored=True, mappings=style.value_mappings(states), width=110),
            column("Severity", width=80),
            column("Operation", width=120),
            column("User", width=120),
            column("Rung", width=60),
        ],
    )


def _alert_history() -> Panel:
    firing, pending = (f'ALERTS{{alertstate="{state}", {PROBLEMS}}}' for state in ("firing", "pending"))
    return state_timeline(
        "Alert history",
        "When each alert was pending or firing in the time range. Empty when all was well.",
        "Alerts at the same hours each day point to load. One that began with a release points to the release.",
        prom(f"max by (alertname) (2 * {firing} or {pending})", "{{alertname}}"),
        mappings=style.value_mappings({1: ("pending", style.WARN), 2: ("firing", style.BAD)}),
    )


def _error_log() -> Panel:
    return calls_table(
        "Error log",
        "The newest failed calls of the time range, from the log, without prompts and answers.",
        "The same message many times is one cause: search for it in the provider's documentation and status page.",
        "outcome IN ('failed', 'timeout')",
    )
