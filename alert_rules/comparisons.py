"""From one comparison to the rules that it takes: most take one, budgets and unavailable models several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from alert_rules import contributors
from alert_rules.availability import HALF, availability, share_over_timeout
from alert_rules.certainty import Bound, certainly, judged, levels_in_words
from alert_rules.conditions import OPERATORS, Operator
from alert_rules.contributors import Contributors
from alert_rules.conventions import duration
from alert_rules.dimensions import Amount, Dimension, promql_number
from alert_rules.figures import Figure, Recording, unlisted_users
from alert_rules.model import Limit, Reason, Variant
from alert_rules.quantities import (
    MODEL,
    MODEL_TIMEOUTS,
    TOTAL,
    USER,
    Ask,
    Quantity,
    Split,
    budget_utilization,
    daily_limit,
    daily_spend,
)
from alert_rules.ratios import NO_SUCCESS_WINDOWS, without_success
from exporter import catalog

CLEARLY = 0.2
"""The share of calls over their timeout that must certainly be exceeded: one of three is no outage yet."""

Firing = Callable[[Mapping[str, str]], str]
"""Makes the selector of an alert's own `ALERTS` series, for the rule that has these labels more."""


@dataclass(frozen=True)
class Comparison:
    """A comparison that makes sense: of a quantity with an amount, or with another quantity, as `limit`.

    `by` is what the author wrote, None for the default; `ask` has the split that is in force. Unless `certain`, a
    figure is compared as it is, however few calls it is made of.
    """

    quantity: Quantity
    operator: Operator
    amount: Amount | None
    limit: Quantity | None
    by: Split | None
    ask: Ask
    firing: Firing
    certain: bool = True


def variants(comparison: Comparison) -> tuple[Variant, ...]:
    """The rules that the comparison takes."""
    names = comparison.quantity.name, comparison.limit.name if comparison.limit else ""
    if names == ("daily_spend", "daily_limit") and comparison.by in (None, USER, TOTAL):
        return _over_daily_limit(comparison)
    if names == ("budget_utilization", "") and comparison.by is None:
        return tuple(_share_of_limit(comparison, by, scope) for by, scope in ((USER, "user"), (TOTAL, "team")))
    if is_unavailability(comparison.quantity, comparison.limit):
        return (_unavailable(comparison),)
    return (_plain(comparison),)


def is_unavailability(quantity: Quantity, limit: Quantity | None) -> bool:
    """Whether the comparison asks for models that do not answer, and not for a figure."""
    return (quantity.name, limit.name if limit else "") == ("model_response_time", "timeout")


def unavailable_in_words(ask: Ask) -> str:
    """How it is decided that a model is unavailable."""
    tallies = share_over_timeout(ask.window, ask.min_operations).tallies
    return (
        f"{HALF:.0%} of the calls or more reached the timeout, and certainly more than {CLEARLY:.0%} of them did:"
        f" {levels_in_words(tallies)}. For calls without a success, {ask.min_operations} of them in"
        f" {duration(NO_SUCCESS_WINDOWS * ask.window)} decide."
    )


def limit_split(limit: Quantity, by: Split) -> Split | None:
    """By which labels a limit is known for a figure that is split so; None where it is known only by others."""
    fitting = [split for split in limit.splits if set(split) <= set(by)]
    return max(fitting, key=len) if fitting else None


def _plain(comparison: Comparison) -> Variant:
    quantity, ask = comparison.quantity, comparison.ask
    figure = quantity.figure(ask)
    if comparison.limit is None:
        expr, limit = _with_amount(comparison, figure)
        more: tuple[Recording, ...] = ()
    else:
        expr, limit, more = _with_limit(comparison, comparison.limit, figure)
    if comparison.certain:
        more = (*more, *figure.recent_recordings)
    causes = _contributors(quantity, ask, figure)
    return Variant(
        expr,
        ask.by,
        quantity.subject,
        quantity.dimension,
        OPERATORS[comparison.operator],
        limit,
        (*figure.recordings, *more, *_recordings(causes)),
        {},
        figure.ends,
        causes,
        counted=figure if figure.window else None,
    )


def _contributors(quantity: Quantity, ask: Ask, figure: Figure) -> Contributors | None:
    return None if quantity.contributors is None else quantity.contributors(ask, figure)


def _recordings(causes: Contributors | None) -> tuple[Recording, ...]:
    return () if causes is None else causes.recordings


def _with_amount(comparison: Comparison, figure: Figure) -> tuple[str, Limit]:
    assert comparison.amount is not None  # noqa: S101 - one of the two is there
    amount = comparison.amount
    number = promql_number(amount.value)
    value = _judged(comparison, figure, comparison.operator, Bound(number, number=float(amount.value)))
    return f"{value} {comparison.operator} {number}", Limit(amount.text)


def _judged(comparison: Comparison, figure: Figure, operator: Operator, bound: Bound) -> str:
    """What to compare: the figure where it is beyond the bound for certain."""
    firing = comparison.firing({})
    return judged(figure, operator, bound, firing) if comparison.certain else figure.for_alert(firing)


def _with_limit(comparison: Comparison, quantity: Quantity, figure: Figure) -> tuple[str, Limit, tuple[Recording, ...]]:
    split = limit_split(quantity, comparison.ask.by) or TOTAL
    allowed = quantity.figure(Ask(split, comparison.ask.window, comparison.ask.min_operations))
    matching = f"on ({allowed.labels}) group_left () " if split != comparison.ask.by else ""
    value = _judged(comparison, figure, comparison.operator, Bound(allowed.value, matching))
    expr = f"{value} {comparison.operator} {matching}{allowed.value}"
    return expr, _limit(quantity, allowed), allowed.recordings


def _limit(quantity: Quantity, figure: Figure) -> Limit:
    return Limit(f"the {quantity.subject.lower()}", figure.value + "{$of}", figure.by)


def _over_daily_limit(comparison: Comparison) -> tuple[Variant, ...]:
    """Of each user, of the team, and how many users have no series; of one of them alone where the author says so."""
    found = []
    if comparison.by in (None, USER):
        found += [_spent_against_limit(comparison, USER, "user"), _unlisted()]
    if comparison.by in (None, TOTAL):
        found.append(_spent_against_limit(comparison, TOTAL, "team"))
    return tuple(found)


def _spent_against_limit(comparison: Comparison, by: Split, scope: str) -> Variant:
    spent, allowed = daily_spend(by), daily_limit(by)
    quantity = comparison.quantity
    assert comparison.limit is not None  # noqa: S101 - only such comparisons come here
    causes = _contributors(quantity, replace(comparison.ask, by=by), spent)
    return Variant(
        f"{spent.value} {comparison.operator} {allowed.value}",
        by,
        quantity.subject,
        quantity.dimension,
        OPERATORS[comparison.operator],
        _limit(comparison.limit, allowed),
        (*spent.recordings, *allowed.recordings, *_recordings(causes)),
        {"scope": scope},
        spent.ends,
        causes,
    )


def _unlisted() -> Variant:
    figure = unlisted_users(daily_spend(USER), daily_limit(USER))
    return Variant(
        f"{figure.value} > 0",
        TOTAL,
        "Users over their daily limit beyond those listed",
        Dimension.COUNT,
        "above",
        Limit("0"),
        figure.recordings,
        {"scope": "unlisted"},
        figure.ends,
        sentence="Users over their daily limit beyond those listed: {value}.",
    )


def _share_of_limit(comparison: Comparison, by: Split, scope: str) -> Variant:
    figure = budget_utilization(by)
    expr, limit = _with_amount(comparison, figure)
    quantity = comparison.quantity
    causes = _contributors(quantity, replace(comparison.ask, by=by), figure)
    return Variant(
        expr,
        by,
        quantity.subject,
        quantity.dimension,
        OPERATORS[comparison.operator],
        limit,
        (*figure.recordings, *_recordings(causes)),
        {"scope": scope},
        figure.ends,
        causes,
    )


def _unavailable(comparison: Comparison) -> Variant:
    """A model is unavailable when half its calls reach their timeout, or when it is called and nothing succeeds."""
    ask, calls = comparison.ask, catalog.OPERATIONS.name
    over = share_over_timeout(ask.window, ask.min_operations)
    silent = without_success(calls, "model", ask.window, ask.min_operations)
    certain = certainly(over, ">", Bound(str(CLEARLY), number=CLEARLY)) if comparison.certain else ""
    found = availability(over, silent, ask, certain, comparison.firing({}))
    timed_out = contributors.counts(over, MODEL, ask.window, "operation", catalog.OVER_TIMEOUT.name, calls)
    unanswered = contributors.counts(silent, MODEL, NO_SUCCESS_WINDOWS * ask.window, "operation", calls, calls)
    (*leading, timed) = contributors.by_cause(
        over, MODEL, ask.window, "operation", f"{catalog.LATENCY.name}_count", calls, "timed"
    )
    *_, took = contributors.by_cause(
        over, MODEL, ask.window, "operation", f"{catalog.LATENCY.name}_sum", calls, "seconds", beside=timed
    )
    causes = *_recordings(timed_out), *leading, timed, took, *_recordings(unanswered)
    return Variant(
        found.expr,
        MODEL,
        "Calls that reached their timeout",
        Dimension.RATIO,
        "at or above",
        Limit("50%"),
        (*found.recordings, *MODEL_TIMEOUTS.recordings, *causes),
        counted=over,
        took=f"sum({took.name}{{$of}}) / (sum({timed.name}{{$of}}) > 0)",
        reasons=(
            Reason(
                found.timeouts,
                Dimension.RATIO,
                "{value} of the calls to {{{{ $labels.model }}}}{counts} reached their timeout of {timeout}{took}",
                "{value} over the timeout",
                timed_out,
                f"{over.value}{{$of}} < {HALF}",
            ),
            Reason(
                found.unanswered,
                Dimension.COUNT,
                "{value} calls to {{{{ $labels.model }}}} ended, and none of them succeeded",
                "{value} calls without a success",
                unanswered,
            ),
        ),
        sentence="It is not known yet whether {{{{ $labels.model }}}} has recovered",
        unknown_from=found.unknown_from,
    )
