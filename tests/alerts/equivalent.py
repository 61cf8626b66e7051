"""Mutants that behave as the rules do, each with the reason why no test can tell them apart."""

_NOT_NEGATIVE = "of figures that are never negative, the sum is 0 exactly where the greatest is"
_ENOUGH = "a figure is made of its fewest calls or more, never of none"
_WHOLE = "messages are whole: none was accepted, or one at least"
_ROOTS = "seconds are never exactly as far from their hour as a root says"
_ALWAYS = "what always fires cannot fire longer"

_DIVIDED = {
    f"job_{by}:{figure}: {f'job_{by}:{figure}_calls'[-60 + shorter :]} {change}": _ENOUGH
    for by, figure in (
        ("operation", "ai_operation_failures_per_operation:ratio5m_min20"),
        ("operation", "ai_operation_latency_seconds:mean5m_min20"),
        ("model", "ai_operations_over_timeout_per_operation:ratio5m_min3"),
    )
    for shorter, change in ((0, "[> → >=]"), (0, "[> 0 → nothing]"), (2, "> [0 → 1]"), (2, "> [0 → -1]"))
}

EQUIVALENT: dict[str, str] = {
    "slow_operations [warning]: job_operation:ai_operation_latency_seconds_count:increase1h [> → >=]": _ROOTS,
    "log_unreadable [critical]: [max → sum]": _NOT_NEGATIVE,
    "figures_stale [catching_up warning]: [max → sum]": _NOT_NEGATIVE,
    "notifications_failing [critical]: [sum → max]": _NOT_NEGATIVE,
    "notifications_failing [critical]: ) (delta(alertmanager_notifications_failed_total[6m])) [> → >=]": _WHOLE,
    "notifications_failing [critical]: (delta(alertmanager_notifications_failed_total[6m])) > [0.5 → 0.55]": _WHOLE,
    "notifications_failing [critical]: (delta(alertmanager_notifications_failed_total[6m])) > [0.5 → 0.45]": _WHOLE,
    "rules_failing [critical]: [sum → max]": _NOT_NEGATIVE,
    "watchdog [none]: vector( [1 → 2]": "it fires whatever the value, which no message shows",
    "watchdog [none]: vector( [1 → 0]": "it fires whatever the value, which no message shows",
    "watchdog [none]: keep_firing_for: 2m": _ALWAYS,
    **_DIVIDED,
}
