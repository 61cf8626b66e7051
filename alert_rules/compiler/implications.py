"""Find alerts that other alerts imply, so that Alertmanager can inhibit them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from alert_rules.model.alerts import Alert, SeverityLevel, Variant
from alert_rules.model.conventions import SEVERITIES


@dataclass(frozen=True)
class Implication:
    """An alert that cannot be over before another one is: both are sets of labels; the job, the user and the group are
    the same.

    `rungs` are the labels of the implied alert's levels, none where it has only one.
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
        fitting = [level for level in weaker.levels if _is_below_limit(stronger, weaker, level)]
    elif _compares(weaker, "projected_daily_spend", ">", ">=") and weaker.threshold is None:
        fitting = list(weaker.levels)
    else:
        return
    # what is urgent is not to be hushed by what is less so
    own = SEVERITIES.index(stronger.levels[0].severity)
    rungs = [level for level in fitting if own <= SEVERITIES.index(level.severity)]
    if not rungs:
        return
    for variant, implied in product(stronger.levels[0].variants, rungs[0].variants):
        if _of_the_same(variant, implied):
            yield Implication(
                {"alertname": stronger.name, **variant.labels},
                {"alertname": weaker.name, **_scope(implied)},
                tuple(level.label for level in rungs if level.label),
            )


def _is_below_limit(stronger: Alert, weaker: Alert, level: SeverityLevel) -> bool:
    if level.amount is None:
        return False
    strictly = weaker.operator == ">" and stronger.operator == ">="
    return level.amount < 1 if strictly else level.amount <= 1


def _of_the_same(stronger: Variant, weaker: Variant) -> bool:
    # no other alert knows the users without a series of their own
    return stronger.by == weaker.by and stronger.labels.get("scope") != "unlisted"


def _scope(variant: Variant) -> dict[str, str]:
    return {name: value for name, value in variant.labels.items() if name == "scope"}
