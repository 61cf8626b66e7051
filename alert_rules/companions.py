"""Alerts that every set of rules has: on the exporter, on the notifications, and on the rules themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from alert_rules.annotations import Annotations, dashboard_url, job_of_several, runbook_url, second
from alert_rules.conventions import COMPANIONS_GROUP, JOB, NO_SEVERITY
from alert_rules.dimensions import Dimension, shown
from alert_rules.figures import spend_without_limit
from alert_rules.promql import promql
from alert_rules.rules import Group, Rule
from alert_rules.spec import Links
from exporter import catalog
from exporter.alerting import TEST_ALERT, TEST_RECEIVER

MINUTE = 60

_USERS = spend_without_limit()

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


@dataclass(frozen=True)
class _Companion:
    """A companion: it fires when `expr` has held for `wait` seconds, with the `labels` besides its severity.

    `value` is the template of its figure, and `ends` that of the second at which the budget day ends; empty for none.
    """

    name: str
    expr: str
    severity: str
    wait: int
    summary: str
    description: str
    value: str = ""
    ends: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


_COMPANIONS = (
    _Companion(
        "exporter_down",
        f'absent(up{{job="{JOB}"}} == 1)',
        "critical",
        2 * MINUTE,
        "No exporter can be scraped.",
        f"Prometheus reaches no target of the job {JOB}: spend, errors and latency are not watched.",
        labels={"job": JOB},
    ),
    _Companion(
        "exporter_down",
        f'up{{job="{JOB}"}} == 0',
        "warning",
        5 * MINUTE,
        "An exporter cannot be scraped.",
        "Prometheus does not reach {{ $labels.instance }}.",
    ),
    _Companion(
        "log_unreadable",
        f"""
        max by (job) (max_over_time($COLLECTOR_SUCCESS{{collector="log"}}[2m])) == 0
          or (
            group by (job) (up and on (job) {_firing("log_unreadable")})
              unless on (job) $COLLECTOR_SUCCESS
          )
        """,
        "critical",
        5 * MINUTE,
        "The log of operations cannot be read.",
        "No exporter of {{ $labels.job }} can read the log of operations: alerts are using their last known values.",
    ),
    _Companion(
        "table_unreadable",
        # a replica that cannot read the log cannot read the rest for the same reason
        f"""
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
        "warning",
        15 * MINUTE,
        "A part of the figures cannot be read.",
        "The figures from {{ $labels.collector }} are missing or old" + _UNREAD_BY + ".",
    ),
    _Companion(
        "figures_stale",
        f"""
        max by (job) (max_over_time($LOG_UP[2m])) == 0
          and on (job) max_over_time($COLLECTOR_SUCCESS{{collector="log"}}[2m]) == 1
          or (
            group by (job) (up and on (job) {_firing("figures_stale", "catching_up")})
              unless on (job) $LOG_UP == 1
          )
        """,
        "warning",
        15 * MINUTE,
        "Figures are not current.",
        "The exporters of {{ $labels.job }} are still catching up with the log of operations.",
        labels={"reason": "catching_up"},
    ),
    _Companion(
        "figures_stale",
        f"""
        increase($STATE_COMMIT_FAILURES[10m]) > 0
          or (
            up and on (job, instance) {_firing("figures_stale", "state_not_written")}
              unless (min_over_time(up[10m]) == 1 and min_over_time($LOG_UP[10m]) == 1)
          )
        """,
        "critical",
        5 * MINUTE,
        "Figures are not current.",
        "{{ $labels.instance }} cannot write its state, so that its counters stand still.",
        labels={"reason": "state_not_written"},
    ),
    _Companion(
        "user_without_limit",
        _USERS.value,
        "info",
        15 * MINUTE,
        "A user spends without a daily limit.",
        f"User {{{{ $labels.user }}}} has spent {shown(Dimension.MONEY)} today and has no daily limit.",
        shown(Dimension.MONEY),
        second(f"{_USERS.ends}{{$of}}", ()),
    ),
    _Companion(
        "notifications_failing",
        # a refused message is sent again with the group's next turn, within five minutes
        f"""
        {_messages("increase", f'failed_total{{receiver_name!~"{TEST_RECEIVER}.*"}}')} > 0
          unless
            {_messages("delta", "total")} - {_messages("delta", "failed_total")} > 0.5
        """,
        "critical",
        6 * MINUTE,
        "Notifications do not arrive.",
        "Alertmanager could not deliver by {{ $labels.integration }}{{ with $labels.receiver_name }} to {{ . }}"
        "{{ end }}, and nothing has been delivered since.",
    ),
    _Companion(
        "rules_failing",
        "sum by (job, rule_group) (increase(prometheus_rule_evaluation_failures_total[15m])) > 0",
        "critical",
        0,
        "Rules cannot be evaluated.",
        "Rules of {{ $labels.rule_group }} failed within the last quarter of an hour: their alerts are silent.",
    ),
    _Companion(
        "watchdog",
        "vector(1)",
        NO_SEVERITY,
        0,
        "Alerting works.",
        "This alert always fires. Whoever expects it knows by its absence that alerting does not work.",
    ),
)


def is_built_in(name: str) -> bool:
    """Whether a companion or the test alert has this name, in any case.

    Some file systems would hold one runbook for both, and the routing would send the alert as a test.
    """
    return name.casefold() in {TEST_ALERT, *(companion.name for companion in _COMPANIONS)}


def companions_group(channels: Iterable[str], links: Links) -> Group:
    """The companions; they go to all channels that any alert names."""
    to = ",".join(sorted(set(channels)))
    recordings = (Rule(recording.name, recording.expr, is_alert=False) for recording in _USERS.recordings)
    return Group(COMPANIONS_GROUP, (*recordings, *(_rule(companion, to, links) for companion in _COMPANIONS)))


def _rule(companion: _Companion, to: str, links: Links) -> Rule:
    annotations = Annotations(
        companion.summary,
        companion.description,
        companion.value,
        budget_day_ends=companion.ends,
        runbook_url=runbook_url(companion.name, links),
        dashboard_url=dashboard_url("ai-health", (), links),
        # without a value, the description already names the job
        job=job_of_several() if companion.value else "",
    )
    texts = {key: text for key, text in asdict(annotations).items() if text}
    labels = {"severity": companion.severity, "channel": to, **companion.labels}
    return Rule(companion.name, promql(companion.expr), True, companion.wait, 0, labels, texts)
