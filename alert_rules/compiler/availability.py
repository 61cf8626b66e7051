"""Decide when a model is unavailable, for which reason, and when it has recovered."""

from dataclasses import dataclass
from typing import Any

from alert_rules.model.conventions import UNKNOWN_AFTER, duration
from alert_rules.model.quantities import QuantityParams, RecordedSeries, Recording
from alert_rules.quantities.definitions import MODEL
from alert_rules.quantities.promql import promql
from alert_rules.quantities.ratios import NO_SUCCESS_WINDOWS, ratio
from alert_rules.quantities.recordings import increase, read_throughout, wider
from exporter import catalog

HALF = 0.5
"""The share of calls over their timeout from which a model counts as unavailable."""

SEEN_WITHIN = 180
"""Seconds within which a call that has ended is expected to be seen. A success may be older than the sign by as much:
a call over its timeout is a sign for the whole window."""

_LEVEL = "job_model:ai_model_unavailable"


_TIMEOUTS = "$over >= $half or ($name and $until unless ($over and $calls > 0))"
_UNANSWERED = """
$silent or (
  $name and $until unless max by (job, model) ($MODEL_LAST_SUCCESS) > time() - $span
)
"""
"""Each reason for as long as it lasts, or is the last that is known."""


@dataclass(frozen=True, kw_only=True)
class Availability:
    """The records behind one alert on unavailable models, all by job and model, and its expression.

    `timeouts` is the share of calls over their timeout, `unanswered` the number of calls without a success; each is
    there as long as it is a reason. `unknown_from` is the second at which the alert gives up waiting for a success,
    and is gone from then on.
    """

    expr: str
    timeouts: str
    unanswered: str
    unknown_from: str
    recordings: tuple[Recording, ...]


def share_over_timeout(params: QuantityParams) -> RecordedSeries:
    """Which share of a model's calls reached its timeout."""
    record = "ai_operations_over_timeout_per_operation:ratio"
    return ratio(catalog.OVER_TIMEOUT.name, catalog.OPERATIONS.name, params, record, share=True)


def availability(
    over: RecordedSeries, silent: RecordedSeries, params: QuantityParams, certain: str, firing: str
) -> Availability:
    """Both reasons in one expression; `firing` selects the alert's own `ALERTS` series.

    The share `over` the timeout begins to count where it is `certain`, if that is given. What has begun ends by a
    success after the last sign of trouble. Where nobody calls the model any more there is none: then it ends an hour
    after that sign. Time in which the log was not read is no time without trouble.
    """
    timed_out, calls = (
        increase(name, MODEL, params.window)[-1].name for name in (catalog.OVER_TIMEOUT.name, catalog.OPERATIONS.name)
    )
    suffix = f"{duration(params.window)}_min{params.min_operations}"
    names: dict[str, Any] = {
        "over": over.value,
        "silent": silent.value,
        "half": HALF,
        "calls": calls,
        "timed_out": timed_out,
    }
    trouble = Recording(f"{_LEVEL}:trouble{suffix}", promql("($over >= $half and $timed_out > 0) or $silent", **names))
    unknown_from = _unknown_from(f"{_LEVEL}:unknown_from{suffix}", trouble, over.value, params.window)
    names |= {"until": unknown_from.name, "firing": firing, "span": NO_SUCCESS_WINDOWS * params.window}
    timeouts = _last_known(f"{_LEVEL}:timeouts{suffix}", _TIMEOUTS, names)
    unanswered = _last_known(f"{_LEVEL}:unanswered{suffix}", _UNANSWERED, names)
    names |= {"timeouts": timeouts.name, "unanswered": unanswered.name}
    late = promql(f"$over and ({certain})", **names) if certain else over.value
    expr = promql(
        f"""
        $silent or ({late}) >= $half or ($timeouts and on (job, model) $firing)
          or (($unanswered or $until * 0) and on (job, model) $firing)
        """,
        **names,
    )
    # the figures' own way over a gap is not needed: what is carried here holds longer
    needed = [
        r
        for r in (*over.recordings, *silent.recordings)
        if r.name not in (over.while_unreadable, silent.while_unreadable)
    ]
    return Availability(
        expr=expr,
        timeouts=timeouts.name,
        unanswered=unanswered.name,
        unknown_from=unknown_from.name,
        recordings=(*needed, trouble, unknown_from, timeouts, unanswered),
    )


def _unknown_from(name: str, trouble: Recording, over: str, window: int) -> Recording:
    """An hour after the last sign of trouble, or after the last second of which nothing is known, until a success."""
    template = """
        $trouble * 0 + time() + $after
          or ($name > time() unless $over unless on (job) $known) * 0 + time() + $after
          or ($name > time() unless max by (job, model) ($MODEL_LAST_SUCCESS) > $name - $before)
    """
    known = read_throughout(wider(window)[-1]).name
    names: dict[str, Any] = {"trouble": trouble.name, "name": name, "over": over, "known": known}
    return Recording(name, promql(template, after=UNKNOWN_AFTER, before=UNKNOWN_AFTER + SEEN_WITHIN, **names))


def _last_known(name: str, template: str, names: dict[str, Any]) -> Recording:
    return Recording(name, promql(template, name=name, **names))
