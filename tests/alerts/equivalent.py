"""Mutants that behave as the rules do, each with the reason why no test can tell them apart."""

_NOT_NEGATIVE = "of figures that are never negative, the sum is 0 exactly where the greatest is"
_ALWAYS = "what always fires cannot fire longer"

EQUIVALENT: dict[str, str] = {
    "log_unreadable [critical]: [max → sum]": _NOT_NEGATIVE,
    "figures_stale [catching_up warning]: [max → sum]": _NOT_NEGATIVE,
    "notifications_failing [critical]: [sum → max]": _NOT_NEGATIVE,
    "rules_failing [critical]: [sum → max]": _NOT_NEGATIVE,
    "watchdog [none]: vector( [1 → 2]": "it fires whatever the value, which no message shows",
    "watchdog [none]: vector( [1 → 0]": "it fires whatever the value, which no message shows",
    "watchdog [none]: keep_firing_for: 2m": _ALWAYS,
}
