"""The built-in alerts: on the exporter, on the notifications, and on the rules themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alert_rules.model.conventions import JOB, NO_SEVERITY
from alert_rules.model.dimensions import Dimension
from alert_rules.quantities.bill import EXPECTED, LOGGED, cost_difference
from alert_rules.quantities.contributors import user_name
from alert_rules.quantities.recordings import spend_without_limit
from exporter import catalog
from exporter.alerting import TEST_ALERT, TEST_RECEIVER

MINUTE = 60

USERS_WITHOUT_LIMIT = spend_without_limit()
COST_DIFFERENCE = cost_difference()

_UNREAD_BY = (
    f"{{{{ with query (printf `max_over_time({catalog.COLLECTOR_SUCCESS.name}{{job=%q,collector=%q}}[2m]) == 0`"
    " $labels.job $labels.collector) }}, not read by"
    "{{ range . | sortByLabel `instance` }} {{ .Labels.instance }}{{ end }}{{ end }}"
)
"""Which replicas cannot read a table, where that is known."""


def _firing(name: str, reason: str = "") -> str:
    """The selector of an alert's own series, so that a firing alert ends by a recovery and not by missing data."""
    label = f',reason="{reason}"' if reason else ""
    return f'ALERTS{{alertname="{name}",alertstate="firing"{label}}}'


def _messages(function: str, counter: str) -> str:
    """Messages of the last six minutes by receiver, where Alertmanager counts by it: one channel may fail alone.

    Only `delta` extrapolates a counter that began at 0 like one that did not. By `increase`, a message would seem
    accepted for six minutes after the first refusal ever.
    """
    return f"sum by (job, integration, receiver_name) ({function}(alertmanager_notifications_{counter}[6m]))"


@dataclass(frozen=True, kw_only=True)
class BuiltinAlert:
    """An alert that fires when `expr` has held for `for_` seconds, with the `labels` besides its severity.

    `expr` is PromQL with the catalog's names put in. `description` is a Prometheus template. Where the alert has a
    figure, `dimension` says what it measures, and `{value}` in the description stands for it; so do the names of
    `figures` for what their recordings say of the alert's labels `by`. `window_end` is an expression for the second at
    which the day of that figure ends. `dashboard` is the uid of the one that shows more.
    """

    name: str
    expr: str
    severity: str
    summary: str
    description: str
    for_: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    dimension: Dimension | None = None
    window_end: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    dashboard: str = "ai-health"


BUILTIN_ALERTS = (
    BuiltinAlert(
        name="exporter_down",
        expr=f'absent(up{{job="{JOB}"}} == 1)',
        severity="critical",
        for_=2 * MINUTE,
        summary="No exporter can be scraped.",
        description=f"Prometheus reaches no target of the job {JOB}: spend, errors and latency are not watched.",
        labels={"job": JOB},
    ),
    BuiltinAlert(
        name="exporter_down",
        expr=f'up{{job="{JOB}"}} == 0',
        severity="warning",
        for_=5 * MINUTE,
        summary="An exporter cannot be scraped.",
        description="Prometheus does not reach {{ $labels.instance }}.",
    ),
    BuiltinAlert(
        name="log_unreadable",
        expr=f"""
        max by (job) (max_over_time($COLLECTOR_SUCCESS{{collector="log"}}[2m])) == 0
          or (
            group by (job) (up and on (job) {_firing("log_unreadable")})
              unless on (job) $COLLECTOR_SUCCESS
          )
        """,
        severity="critical",
        for_=5 * MINUTE,
        summary="The log of operations cannot be read.",
        description="No exporter of {{ $labels.job }} can read the log of operations: alerts are using their last"
        " known values.",
    ),
    BuiltinAlert(
        name="table_unreadable",
        # a replica that cannot read the log cannot read the rest for the same reason
        expr=f"""
        group by (job, collector) (
          max_over_time($COLLECTOR_SUCCESS{{collector="log"}}[2m]) == 0
            or (
              max_over_time($COLLECTOR_SUCCESS[2m]) == 0
                unless on (job, instance) $COLLECTOR_SUCCESS{{collector="log"}} == 0
            )
        ) and on (job) $LOG_UP == 1
          or (
            group by (job, collector) ({_firing("table_unreadable")} and on (job) up)
              unless on (job) ($LOG_UP == 1 unless on (job) up == 0)
          )
        """,
        severity="warning",
        for_=15 * MINUTE,
        summary="A part of the figures cannot be read.",
        description="The figures from {{ $labels.collector }} are missing or old" + _UNREAD_BY + ".",
    ),
    BuiltinAlert(
        name="figures_stale",
        expr=f"""
        max by (job) (max_over_time($LOG_UP[2m])) == 0
          and on (job) max_over_time($COLLECTOR_SUCCESS{{collector="log"}}[2m]) == 1
          or (
            group by (job) (up and on (job) {_firing("figures_stale", "catching_up")})
              unless on (job) $LOG_UP == 1
          )
        """,
        severity="warning",
        for_=15 * MINUTE,
        summary="Figures are not current.",
        description="The exporters of {{ $labels.job }} are still catching up with the log of operations.",
        labels={"reason": "catching_up"},
    ),
    BuiltinAlert(
        name="figures_stale",
        expr=f"""
        increase($STATE_COMMIT_FAILURES[10m]) > 0
          or (
            up and on (job, instance) {_firing("figures_stale", "state_not_written")}
              unless (min_over_time(up[10m]) == 1 and min_over_time($LOG_UP[10m]) == 1)
          )
        """,
        severity="critical",
        for_=5 * MINUTE,
        summary="Figures are not current.",
        description="{{ $labels.instance }} cannot write its state, so that its counters stand still.",
        labels={"reason": "state_not_written"},
    ),
    BuiltinAlert(
        name="rows_unusable",
        expr="""
        group by (job, field) (
          100 * sum by (job, instance, field) (increase($ROWS_SKIPPED{field=~"cost|status"}[1h]))
            > on (job, instance) group_left ()
              sum by (job, instance) (increase($OPERATIONS[1h]))
        )
        """,
        severity="warning",
        for_=5 * MINUTE,
        summary="Rows of the log cannot be used.",
        description="More than 1% of the past hour's rows have a {{ $labels.field }} that cannot be used: calls,"
        " failures or spend are too low.",
    ),
    BuiltinAlert(
        name="user_without_limit",
        expr=USERS_WITHOUT_LIMIT.value,
        severity="info",
        for_=15 * MINUTE,
        summary="A user spends without a daily limit.",
        description=f"User {user_name('$labels.user')} has spent {{value}} today and has no daily limit.",
        dimension=Dimension.MONEY,
        window_end=USERS_WITHOUT_LIMIT.window_end,
    ),
    BuiltinAlert(
        name="cost_tracking_inaccurate",
        expr=COST_DIFFERENCE.while_unreadable,
        severity="warning",
        summary="Costs in the log differ from the price list.",
        description="The past hour's calls to {{ $labels.model }} differ by {value} from what they cost by the price"
        " list{logged}{expected}.",
        dimension=Dimension.MONEY,
        figures={"logged": LOGGED.name, "expected": EXPECTED.name},
        by=COST_DIFFERENCE.by,
        dashboard="ai-cost",
    ),
    BuiltinAlert(
        name="notifications_failing",
        # a refused message is sent again with the group's next turn, within five minutes
        expr=f"""
        {_messages("increase", f'failed_total{{receiver_name!~"{TEST_RECEIVER}.*"}}')} > 0
          unless
            {_messages("delta", "total")} - {_messages("delta", "failed_total")} > 0.5
        """,
        severity="critical",
        for_=6 * MINUTE,
        summary="Notifications do not arrive.",
        description="Alertmanager could not deliver by {{ $labels.integration }}"
        "{{ with $labels.receiver_name }} to {{ . }}{{ end }}, and nothing has been delivered since.",
    ),
    BuiltinAlert(
        name="rules_failing",
        expr="sum by (job, rule_group) (increase(prometheus_rule_evaluation_failures_total[15m])) > 0",
        severity="critical",
        summary="Rules cannot be evaluated.",
        description="Rules of {{ $labels.rule_group }} failed within the last quarter of an hour: their alerts are"
        " silent.",
    ),
    BuiltinAlert(
        name="watchdog",
        expr="vector(1)",
        severity=NO_SEVERITY,
        summary="Alerting works.",
        description="This alert always fires. Whoever expects it knows by its absence that alerting does not work.",
    ),
)


def is_built_in(name: str) -> bool:
    """Whether a built-in alert or the test alert has this name, in any case.

    Some file systems would hold one runbook for both, and the routing would send the alert as a test.
    """
    return name.casefold() in {TEST_ALERT, *(alert.name for alert in BUILTIN_ALERTS)}
