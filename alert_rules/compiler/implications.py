"""Which alerts are implied by others: where one fires, the other says nothing that is new."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from alert_rules.model.alerts import Alert, SeverityLevel, Variant
from alert_rules.model.conventions import SEVERITIES


@dataclass(frozen=True)
class Implication:
    """An alert that cannot be over before another one is: both are sets of labels, the job and the user are the same.

    `rungs` are the rungs of the implied alert, none where it has no ladder.
    """

    stronger: Mapping[str, str]
    weaker: Mapping[str, str]
    rungs: tuple[str, ...] = ()


def implications(alerts: Iterable[Alert]) -> tuple[Implication, ...]:
    """All of them. Spend above a daily limit implies each share of it up to 100%, and that it will not last the day."""
    every = tuple(alerts)
    return tuple(
        found
        for stronger, weaker in product(filter(_over_the_limit, every), every)
        for found in _implied(stronger, weaker)
    )


def _over_the_limit(alert: Alert) -> bool:
    return _compares(alert, "daily_spend", ">", ">=") and alert.threshold is None


def _compares(alert: Alert, quantity: str, *operators: str) -> bool:
    # one that requires something else as well may be over before
    return alert.quantities == (quantity,) and alert.operator in operators


def _implied(stronger: Alert, weaker: Alert) -> Iterator[Implication]:
    if _compares(weaker, "budget_utilization", ">", ">="):
        fitting = [rung for rung in weaker.levels if _is_below_limit(stronger, weaker, rung)]
    elif _compares(weaker, "projected_daily_spend", ">", ">=") and weaker.threshold is None:
        fitting = list(weaker.levels)
    else:
        return
    # what is urgent is not to be hushed by what is less so
    own = SEVERITIES.index(stronger.levels[0].severity)
    rungs = [rung for rung in fitting if own <= SEVERITIES.index(rung.severity)]
    if not rungs:
        return
    for variant, implied in product(stronger.levels[0].variants, rungs[0].variants):
        if _of_the_same(variant, implied):
            yield Implication(
                {"alertname": stronger.name, **variant.labels},
                {"alertname": weaker.name, **_scope(implied)},
                tuple(rung.label for rung in rungs if rung.label),
            )


def _is_below_limit(stronger: Alert, weaker: Alert, rung: SeverityLevel) -> bool:
    if rung.amount is None:
        return False
    strictly = weaker.operator == ">" and stronger.operator == ">="
    return rung.amount < 1 if strictly else rung.amount <= 1


def _of_the_same(stronger: Variant, weaker: Variant) -> bool:
    # no other alert knows the users without a series of their own
    return stronger.by == weaker.by and stronger.labels.get("scope") != "unlisted"


def _scope(variant: Variant) -> dict[str, str]:
    return {name: value for name, value in variant.labels.items() if name == "scope"}
