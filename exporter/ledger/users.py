"""Users and their budgets: who is over, and who is shown with a series of their own. Money in ledger units."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exporter.ledger.model import UNATTRIBUTED

OTHER_USERS = "other"
"""The label under which all users without a series of their own are summed."""

STATES = ("ok", "warning", "exceeded", "unlimited")


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
    for user, units in spend.items():
        if user == UNATTRIBUTED:
            continue
        budget = budgets.get(user)
        counts[budget_state(units, budget)] += 1
        if budget is not None:
            counts[budget_state(0, budget)] -= 1
    return {state: counts[state] for state in STATES}


def choose_users(
    spend: Mapping[str, int], budgets: Mapping[str, Budget], shown: Mapping[str, int], day: int, *, top: int, most: int
) -> dict[str, int]:
    """The users to show, each with the last day on which they qualified.

    Those past their limit come first, then those past their warning threshold, then the `top` spenders, up to `most`
    in all. Who was shown yesterday or today stays, so that no series ends in the middle of a day.
    """
    ranked = sorted((user for user in spend if user != UNATTRIBUTED), key=lambda user: (-spend[user], user))
    states = {user: budget_state(spend[user], budgets.get(user)) for user in ranked}
    qualified = [user for user in ranked if states[user] == "exceeded"]
    qualified += [user for user in ranked if states[user] == "warning"]
    qualified += [user for user in ranked[:top] if states[user] in ("ok", "unlimited") and spend[user] > 0]
    # a series that ends within its day looks like spend that is gone
    chosen = {user: last for user, last in shown.items() if last >= day - 1}
    for user in qualified:
        if user in chosen or len(chosen) < most:
            chosen[user] = day
    return chosen


def shown_spend(spend: Mapping[str, int], shown: Iterable[str]) -> dict[str, int]:
    """Spend by label: every shown user (0 where there is none), the rows without a user, and the sum of the rest."""
    result = {user: spend.get(user, 0) for user in sorted(shown)}
    if UNATTRIBUTED in spend:
        result[UNATTRIBUTED] = spend[UNATTRIBUTED]
    rest = sum(units for user, units in spend.items() if user not in result)
    result[OTHER_USERS] = result.get(OTHER_USERS, 0) + rest
    return result
