"""Names and times on which rules, routing and dashboards agree."""

import uuid

JOB = "ai-operation-exporter"
"""The scrape job under which Prometheus is expected to know the exporter."""

RULES_GROUP = "ai-operations"
BUILTIN_GROUP = "ai-operations-monitoring"

SEVERITIES = ("critical", "warning", "info")
"""What an author may choose, the most urgent first. The watchdog alone has `NO_SEVERITY`."""

NO_SEVERITY = "none"

LONGEST_NAME = 100
"""Characters of an alert's name: with severity and counts it must fit into the title of a message."""

CHANNEL_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
"""What a channel may be called."""

DEFAULT_WINDOW = 300
"""Seconds that a rate, a ratio or a quantile is taken over where the author names no other."""

WIDE_WINDOW = 3600
"""Seconds that a ratio is taken over where the window holds fewer calls than `min_operations`."""

_NAMESPACE = uuid.UUID("6f2f9c52-7c0d-5a53-9d0e-3a1f0f6f7c14")

UNKNOWN_AFTER = 3600
"""Seconds without any call after which an alert ends although recovery is not known."""


def alert_id(name: str) -> str:
    """The id of an alert: the same for a name wherever it is added."""
    return str(uuid.uuid5(_NAMESPACE, name))


def duration(seconds: int) -> str:
    """Seconds as Prometheus writes them: `duration(5400) == "90m"`."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def quoted(text: str) -> str:
    """A text in double quotes, as PromQL and Alertmanager's matchers read it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
