"""Users, or groups, and their budgets: who is over, and who is shown with a series. Money in ledger units."""

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from exporter.ledger.model import UNATTRIBUTED

OTHER_USERS = "other"
"""The label under which all users without a series of their own are summed."""

DEFAULT_WARNING = Decimal("0.8")
"""Share of a limit that is a warning, if the budget has no warning of its own."""

STATES = ("ok", "warning", "exceeded", "unlimited")

_WORST_FIRST = ("exceeded", "warning", "ok", "unlimited")


@dataclass(frozen=True)
class Budget:
    """One user's limits; None where none is set. Money above `warning` is a warning, above the limit exceeds it."""

    daily_limit: int | None = None
    warning: int | None = None


def stricter(one: Budget, other: Budget) -> Budget:
    """Of two budgets of a user the one with the smaller limit, then the smaller warning; None is the widest."""
    return min(
        one,
        other,
        key=lambda budget: [(amount is None, amount or 0) for amount in (budget.daily_limit, budget.warning)],
    )


def budget_state(spend: int, budget: Budget | None) -> str:
    """Where a user's spend of the day stands."""
    if budget is None or budget.daily_limit is None:
        return "unlimited"
    if spend > budget.daily_limit:
        return "exceeded"
    if budget.warning is not None and spend >= budget.warning:
        return "warning"
    return "ok"


def count_idle_states(budgets: Mapping[str, Budget]) -> Counter[str]:
    """How many users with a budget are in each state as long as nobody has spent anything."""
    return Counter(budget_state(0, budget) for user, budget in budgets.items() if user != UNATTRIBUTED)


def count_states(
    spend: Mapping[str, int], budgets: Mapping[str, Budget], idle: Counter[str] | None = None
) -> dict[str, int]:
    """How many users are in each state: all who spent today or have a budget, but for rows that name no user.

    With `idle`, what `count_idle_states` says of the budgets, only those who spent are looked at.
    """
    counts = Counter(count_idle_states(budgets) if idle is None else idle)
    with_budget = _with_budget(spend, budgets)
    counts["unlimited"] += len(spend) - len(with_budget) - (UNATTRIBUTED in spend)
    for user in with_budget:
        counts[budget_state(spend[user], budgets[user])] += 1
        counts[budget_state(0, budgets[user])] -= 1
    return {state: counts[state] for state in STATES}


def _with_budget(spend: Mapping[str, int], budgets: Mapping[str, Budget]) -> set[str]:
    """The users who spent and have a budget. There may be a hundred thousand who have none: they cost no step each."""
    return (spend.keys() & budgets.keys()) - {UNATTRIBUTED}


def choose_users(
    spend: Mapping[str, int],
    budgets: Mapping[str, Budget],
    shown: Mapping[str, int],
    day: int,
    *,
    top: int,
    most: int,
    others: Mapping[str, str] | None = None,
    also: Iterable[str] = (),
) -> dict[str, int]:
    """The users to show, each with the last day on which they qualified.

    Those past their limit come first, then those past their warning threshold, then the `top` spenders, up to `most`
    in all. Who was shown yesterday or today stays, so that no series ends in the middle of a day. `others` are the
    states of users' other budgets: the worse of two counts. `also` are users to show after all these.
    """

    def ranked(users: Iterable[str]) -> list[str]:
        return sorted(users, key=lambda user: (-spend.get(user, 0), user))

    states = {user: budget_state(spend[user], budgets[user]) for user in _with_budget(spend, budgets)}
    for user, state in (others or {}).items():
        states[user] = min(states.get(user, state), state, key=_WORST_FIRST.index)
    qualified = ranked(user for user, state in states.items() if state == "exceeded")
    qualified += ranked(user for user, state in states.items() if state == "warning")
    most_spent = ranked(_top_spenders(spend, shown, top))[:top]
    qualified += [user for user in most_spent if states.get(user, "ok") in ("ok", "unlimited") and spend[user] > 0]
    qualified += also
    # a series that ends within its day looks like spend that is gone
    chosen = {user: last for user, last in shown.items() if last >= day - 1}
    for user in qualified:
        if user in chosen or len(chosen) < most:
            chosen[user] = day
    return chosen


def _top_spenders(spend: Mapping[str, int], shown: Iterable[str], top: int) -> list[str]:
    """At least the `top` users by spend, those with equal spend all: without an order, which takes longer."""
    # whoever belongs to the top spent as much as so many others: mostly those that are shown already
    largest = heapq.nlargest(top, (spend[user] for user in shown if user in spend and user != UNATTRIBUTED))
    if len(largest) < max(top, 1):
        largest = heapq.nlargest(top + 1, spend.values())  # one more, since one of them may name no user
    least = largest[-1] if largest else 0
    return [user for user, units in spend.items() if units >= least and user != UNATTRIBUTED]


def shown_spend(spend: Mapping[str, int], shown: Iterable[str]) -> dict[str, int]:
    """Spend by label: every shown user (0 where there is none), the rows without a user, and the sum of the rest."""
    result = {user: spend.get(user, 0) for user in sorted(shown)}
    if UNATTRIBUTED in spend:
        result[UNATTRIBUTED] = spend[UNATTRIBUTED]
    rest = sum(spend.values()) - sum(result.values())
    result[OTHER_USERS] = result.get(OTHER_USERS, 0) + rest
    return result
