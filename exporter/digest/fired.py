"""What the alerts did, by what Prometheus has stored of them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from exporter.digest.model import FiredAlert
from exporter.ledger.calendar import HOUR
from exporter.verify.prometheus import query_range
from exporter.verify.web import Part, UnansweredError

SPAN = 24 * HOUR
STEP = 15
"""Seconds between the samples that are looked at: rules are evaluated as often."""

# those of this project that tell of a problem, however many series each of them has
_QUERY = 'max by (alertname, severity) (ALERTS{alertstate="firing", channel!="", severity!="none"})'
_WORST_FIRST = ("critical", "warning", "info")


def read_fired(part: Part, now: int) -> tuple[FiredAlert, ...]:
    """The alerts that fired in the last day, the worst first. Raises `UnansweredError`."""
    try:
        return fired(query_range(part, _QUERY, now - SPAN, now, STEP), now)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise UnansweredError("Prometheus does not answer with the result of a query") from None


def fired(rows: Sequence[Mapping[str, Any]], now: int) -> tuple[FiredAlert, ...]:
    """The alerts of a matrix, by name and severity: a gap of more than a step ends one time that it fired."""
    found = []
    for row in rows:
        moments = [int(float(at)) for at, _ in row["values"]]
        times = 1 + sum(later - earlier > STEP for earlier, later in pairwise(moments))
        labels = row["metric"]
        name, severity = str(labels.get("alertname", "")), str(labels.get("severity", ""))
        still = now - moments[-1] < STEP
        found.append(FiredAlert(name, severity, times, STEP * len(moments), still))
    rank = {severity: place for place, severity in enumerate(_WORST_FIRST)}
    return tuple(sorted(found, key=lambda each: (rank.get(each.severity, len(rank)), -each.seconds, each.name)))
