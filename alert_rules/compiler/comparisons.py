"""Build the alerting expressions of one comparison. Most need one rule; budgets and unavailable models need several."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from alert_rules.compiler.availability import HALF, availability, share_over_timeout
from alert_rules.compiler.certainty import AS_IT_IS, Threshold, certainly, in_words, judged, levels_in_words
from alert_rules.compiler.resolving import limit_split
from alert_rules.model.alerts import Bound, Reason, ResolvedComparison, Variant
from alert_rules.model.conventions import duration
from alert_rules.model.dimensions import Dimension, promql_number
from alert_rules.model.quantities import Contributors, Quantity, RecordedSeries, Recording, Split
from alert_rules.quantities import contributors
from alert_rules.quantities.definitions import (
    GROUP,
    MODEL,
    MODEL_TIMEOUTS,
    TOTAL,
    USER,
    budget_utilization,
    daily_limit,
    daily_spend,
)
from alert_rules.quantities.ratios import NO_SUCCESS_WINDOWS, without_success
from alert_rules.quantities.recordings import for_alert, unlisted_users
from exporter import catalog

_LIMITED: Mapping[Split, str] = {USER: "user", GROUP: "group", TOTAL: "team"}
"""Who has daily limits, as the label `scope` names them."""

CLEARLY = 0.2
"""The share of calls over their timeout that must certainly be exceeded: one of three is no outage yet."""


def variants(comparison: ResolvedComparison, firing: str) -> tuple[Variant, ...]:
    """The rules that the comparison takes; `firing` selects the alert's own `ALERTS` series."""
    names = comparison.quantity.name, comparison.limit.name if comparison.limit else ""
    if names == ("daily_spend", "daily_limit") and comparison.by in (None, *_LIMITED):
        return _over_daily_limit(comparison)
    if names == ("budget_utilization", "") and comparison.by is None:
        return tuple(_share_of_limit(comparison, firing, by, scope) for by, scope in _LIMITED.items())
    if comparison.is_unavailability:
        return (_unavailable(comparison, firing),)
    return (_plain(comparison, firing),)


def certainty_in_words(comparison: ResolvedComparison) -> str:
    """How it is decided that the comparison holds for certain; empty where nothing is uncertain."""
    params = comparison.params
    if comparison.quantity.min_operations is None:
        return ""
    if not comparison.certain:
        return AS_IT_IS
    if not comparison.is_unavailability:
        return in_words(comparison.quantity.series(params), comparison.relation, comparison.written)
    tallies = share_over_timeout(params).tallies
    return (
        f"{HALF:.0%} of the calls or more reached the timeout, and certainly more than {CLEARLY:.0%} of them did:"
        f" {levels_in_words(tallies)}. For calls without a success, {params.min_operations} of them in"
        f" {duration(NO_SUCCESS_WINDOWS * params.window)} decide."
    )


def _plain(comparison: ResolvedComparison, firing: str) -> Variant:
    series = comparison.quantity.series(comparison.params)
    more = series.recent_recordings if comparison.certain else ()
    if comparison.limit is None:
        expr, limit = _with_amount(comparison, series, firing)
    else:
        expr, limit, allowed = _with_limit(comparison, comparison.limit, series, firing)
        more = (*allowed, *more)
    return _variant(comparison, expr, comparison.params.by, limit, series, more)


def _variant(
    comparison: ResolvedComparison,
    expr: str,
    by: Split,
    limit: Bound,
    series: RecordedSeries,
    recordings: Iterable[Recording] = (),
    scope: str = "",
) -> Variant:
    quantity = comparison.quantity
    causes = None
    if quantity.contributors is not None:
        causes = quantity.contributors(replace(comparison.params, by=by), series)
    return Variant(
        expr=expr,
        by=by,
        subject=quantity.subject,
        dimension=quantity.dimension,
        relation=comparison.relation,
        limit=limit,
        recordings=(*series.recordings, *recordings, *_recordings(causes)),
        labels={"scope": scope} if scope else {},
        window_end=series.window_end,
        contributors=causes,
        counted=series if series.window else None,
        asides=quantity.asides(by) if quantity.asides else (),
    )


def _recordings(causes: Contributors | None) -> tuple[Recording, ...]:
    return () if causes is None else causes.recordings


def _with_amount(comparison: ResolvedComparison, series: RecordedSeries, firing: str) -> tuple[str, Bound]:
    assert comparison.amount is not None  # noqa: S101 - each level has one
    amount = comparison.amount
    number = promql_number(amount.value)
    value = _judged(comparison, series, Threshold(number, number=float(amount.value)), firing)
    return f"{value} {comparison.operator} {number}", Bound(amount.text)


def _judged(comparison: ResolvedComparison, series: RecordedSeries, bound: Threshold, firing: str) -> str:
    """What to compare: the figure where it is beyond the bound for certain."""
    return judged(series, comparison.operator, bound, firing) if comparison.certain else for_alert(series, firing)


def _with_limit(
    comparison: ResolvedComparison, quantity: Quantity, series: RecordedSeries, firing: str
) -> tuple[str, Bound, tuple[Recording, ...]]:
    split = limit_split(quantity, comparison.params.by) or TOTAL
    allowed = quantity.series(replace(comparison.params, by=split))
    matching = f"on ({allowed.labels}) group_left () " if split != comparison.params.by else ""
    value = _judged(comparison, series, Threshold(allowed.value, matching), firing)
    expr = f"{value} {comparison.operator} {matching}{allowed.value}"
    return expr, _limit(quantity, allowed), allowed.recordings


def _limit(quantity: Quantity, series: RecordedSeries) -> Bound:
    return Bound(f"the {quantity.subject.lower()}", series.value + "{$of}", series.by)


def _over_daily_limit(comparison: ResolvedComparison) -> tuple[Variant, ...]:
    """Of all that have limits, and how many users have no series; of one of them alone where the author says so."""
    found = []
    for by, scope in _LIMITED.items():
        if comparison.by in (None, by):
            found.append(_spent_against_limit(comparison, by, scope))
            found += [_unlisted()] if by == USER else []
    return tuple(found)


def _spent_against_limit(comparison: ResolvedComparison, by: Split, scope: str) -> Variant:
    spent, allowed = daily_spend(by), daily_limit(by)
    assert comparison.limit is not None  # noqa: S101 - only such comparisons come here
    expr, limit = f"{spent.value} {comparison.operator} {allowed.value}", _limit(comparison.limit, allowed)
    return _variant(comparison, expr, by, limit, spent, allowed.recordings, scope)


def _unlisted() -> Variant:
    series = unlisted_users(daily_spend(USER), daily_limit(USER))
    return Variant(
        expr=f"{series.value} > 0",
        by=TOTAL,
        subject="Users over their daily limit beyond those listed",
        dimension=Dimension.COUNT,
        relation="above",
        limit=Bound("0"),
        recordings=series.recordings,
        labels={"scope": "unlisted"},
        window_end=series.window_end,
        sentence="Users over their daily limit beyond those listed: {value}.",
    )


def _share_of_limit(comparison: ResolvedComparison, firing: str, by: Split, scope: str) -> Variant:
    series = budget_utilization(by)
    expr, limit = _with_amount(comparison, series, firing)
    return _variant(comparison, expr, by, limit, series, scope=scope)


def _unavailable(comparison: ResolvedComparison, firing: str) -> Variant:
    """A model is unavailable when half its calls reach their timeout, or when it is called and nothing succeeds."""
    params, calls = comparison.params, catalog.OPERATIONS.name
    over = share_over_timeout(params)
    silent = without_success(calls, "model", params.window, params.min_operations)
    certain = certainly(over, ">", Threshold(str(CLEARLY), number=CLEARLY)) if comparison.certain else ""
    found = availability(over, silent, params, certain, firing)
    timed_out = contributors.counts(over, MODEL, params.window, "operation", catalog.OVER_TIMEOUT.name, calls)
    unanswered = contributors.counts(silent, MODEL, NO_SUCCESS_WINDOWS * params.window, "operation", calls, calls)
    (*leading, timed) = contributors.by_cause(
        over, MODEL, params.window, "operation", f"{catalog.LATENCY.name}_count", calls, "timed"
    )
    *_, took = contributors.by_cause(
        over, MODEL, params.window, "operation", f"{catalog.LATENCY.name}_sum", calls, "seconds", beside=timed
    )
    causes = *_recordings(timed_out), *leading, timed, took, *_recordings(unanswered)
    return Variant(
        expr=found.expr,
        by=MODEL,
        subject="Calls that reached their timeout",
        dimension=Dimension.RATIO,
        relation="at or above",
        limit=Bound("50%"),
        recordings=(*found.recordings, *MODEL_TIMEOUTS.recordings, *causes),
        counted=over,
        took=f"sum({took.name}{{$of}}) / (sum({timed.name}{{$of}}) > 0)",
        reasons=(
            Reason(
                query=found.timeouts,
                dimension=Dimension.RATIO,
                sentence=(
                    "{value} of the calls to {{{{ $labels.model }}}}{counts} reached their timeout of {timeout}{took}"
                ),
                short="{value} over the timeout",
                contributors=timed_out,
                unless=f"{over.value}{{$of}} < {HALF}",
            ),
            Reason(
                query=found.unanswered,
                dimension=Dimension.COUNT,
                sentence="{value} calls to {{{{ $labels.model }}}} ended, and none of them succeeded",
                short="{value} calls without a success",
                contributors=unanswered,
            ),
        ),
        sentence="It is not known yet whether {{{{ $labels.model }}}} has recovered",
        unknown_from=found.unknown_from,
    )
