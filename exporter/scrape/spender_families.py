"""The metric families of users, groups and budgets, and of what is forecast."""

from collections.abc import Iterable, Iterator, Mapping

from exporter import catalog
from exporter.catalog import Metric
from exporter.config import Config
from exporter.database.budgets import Budgets
from exporter.forecast.projection import BOUNDS, project
from exporter.ledger.aggregate import money_units
from exporter.ledger.exposed import Gauges
from exporter.ledger.period_spend import (
    TEAM,
    count_period_states,
    of_groups,
    of_users,
    standings,
)
from exporter.ledger.users import Budget, count_states, shown_spend
from exporter.scrape.exposure import USD, Exposure, made_of
from exporter.web.families import Family


@made_of(lambda exposure: (exposure.fresh, exposure.scrape.budgets, exposure.config, exposure.lacking))
def user_gauges(gauges: Gauges, budgets: Budgets | None, config: Config, lacking: frozenset[str]) -> Iterator[Family]:
    """What users have spent today, and their limits."""
    if {"user", "cost"} & lacking:
        return
    by_user = {} if budgets is None else budgets.by_user
    if config.users.mode != "off":
        yield _shown_spend(catalog.USER_SPEND_TODAY, gauges.user_spend, gauges.shown_users)
        yield _shown_limits(catalog.USER_DAILY_LIMIT, by_user, gauges.shown_users)
    if budgets is not None:
        states = count_states(gauges.user_spend, by_user, budgets.idle)
        yield Family(catalog.BUDGET_USERS, {(name,): count for name, count in states.items()})
        if budgets.recorded_today is not None:
            yield Family(catalog.RECORDED_SPEND_TODAY, {(): budgets.recorded_today}, USD)


@made_of(lambda exposure: (exposure.scrape.user_names, exposure.fresh))
def user_names(names: Mapping[str, str], gauges: Gauges | None) -> Iterator[Family]:
    """The names of the users who are shown."""
    shown = frozenset[str]() if gauges is None else gauges.shown_users
    yield Family(catalog.USER_INFO, {(user, names[user]): 1 for user in sorted(shown & names.keys())})


@made_of(lambda exposure: (exposure.fresh, exposure.scrape.group_budgets, exposure.lacking))
def group_gauges(gauges: Gauges, budgets: Budgets | None, lacking: frozenset[str]) -> Iterator[Family]:
    """As `user_gauges`, for groups."""
    if gauges.group_spend is None or "cost" in lacking:
        return
    yield _shown_spend(catalog.GROUP_SPEND_TODAY, gauges.group_spend, gauges.shown_groups)
    if budgets is not None and budgets.by_user:
        yield _shown_limits(catalog.GROUP_DAILY_LIMIT, budgets.by_user, gauges.shown_groups)
        states = count_states(gauges.group_spend, budgets.by_user, budgets.idle)
        yield Family(catalog.BUDGET_GROUPS, {(name,): count for name, count in states.items()})


def _shown_spend(metric: Metric, spend: Mapping[str, int], shown: Iterable[str]) -> Family:
    """Today's spend of users or groups, the rest of them as `other`."""
    return Family(metric, {(name,): units for name, units in shown_spend(spend, shown).items()}, USD)


def _shown_limits(metric: Metric, budgets: Mapping[str, Budget], shown: Iterable[str]) -> Family:
    """The daily limits of users or groups that are shown."""
    limits = {name: budgets[name].daily_limit for name in sorted(shown) if name in budgets}
    return Family(metric, {(name,): limit for name, limit in limits.items() if limit is not None}, USD)


def period_budgets(exposure: Exposure) -> Iterator[Family]:
    """The budgets with a period, and what was spent in it."""
    gauges, config = exposure.fresh, exposure.config
    if gauges is None or "cost" in exposure.lacking or not exposure.scrape.period_budgets:
        return
    found = standings(exposure.scrape.period_budgets, exposure.before, gauges.recent, exposure.ledger.now)
    users = {} if "user" in exposure.lacking else of_users(found)
    shown_users = gauges.shown_users if config.users.mode != "off" else frozenset()
    shown = {
        **{("", "", key.period): each for key, each in found.items() if key.spender == TEAM},
        **{(user, "", period): each for (user, period), each in users.items() if user in shown_users},
        **{
            ("", group, period): each
            for (group, period), each in of_groups(found).items()
            if group in gauges.shown_groups
        },
    }
    limits = {key: each.budget.budget.daily_limit for key, each in shown.items()}
    amounts = {
        catalog.PERIOD_LIMIT: limits,
        catalog.PERIOD_SOFT_LIMIT: {key: each.budget.soft for key, each in shown.items()},
        catalog.PERIOD_SPEND: {key: each.spend for key, each in shown.items()},
    }
    for metric, units in amounts.items():
        yield Family(metric, {key: amount for key, amount in units.items() if amount is not None}, USD)
    yield Family(catalog.PERIOD_RESET, {key: each.window.end for key, each in shown.items()})
    yield Family(catalog.PERIOD_USERS, count_period_states(users))


def forecast(exposure: Exposure) -> Iterator[Family]:
    """Where the day and the month will end."""
    gauges, outlooks = exposure.fresh, exposure.outlooks
    today = 0 if gauges is None else sum(gauges.spend_today.values())
    projection = None if gauges is None else project(outlooks.team, today, exposure.ledger.now)
    if gauges is None or projection is None:
        return
    limits = {"day": exposure.config.daily_limit_usd, "month": exposure.config.monthly_limit_usd}
    spent = {"day": today}
    ends = {"day": projection.day}
    if gauges.spend_month is not None:
        spent["month"] = sum(gauges.spend_month.values())
        ends["month"] = projection.month(spent["month"])
    yield Family(
        catalog.SPEND_FORECAST,
        {(window, bound): getattr(end, bound) for window, end in ends.items() for bound in BOUNDS},
        USD,
    )
    reached = {
        (window,): projection.reaches(money_units(limit), spent[window], month=window == "month")
        for window, limit in limits.items()
        if limit is not None and window in spent
    }
    yield Family(catalog.LIMIT_REACHED, {key: at for key, at in reached.items() if at is not None})


def user_forecast(exposure: Exposure) -> Iterator[Family]:
    """Where the day of each user who is shown will end."""
    gauges, users = exposure.fresh, exposure.outlooks.users
    if gauges is None or exposure.config.users.mode == "off":
        return
    budgets = {} if exposure.scrape.budgets is None else exposure.scrape.budgets.by_user
    ends: dict[tuple[str], float] = {}
    reached: dict[tuple[str], float] = {}
    for user in sorted(gauges.shown_users & users.keys()):
        spent = gauges.user_spend.get(user, 0)
        if (projection := project(users[user], spent, exposure.ledger.now)) is None:
            continue
        ends[(user,)] = projection.day.expected
        limit = budgets[user].daily_limit if user in budgets else None
        if limit is not None and (at := projection.reaches(limit, spent)) is not None:
            reached[(user,)] = at
    yield Family(catalog.USER_SPEND_FORECAST, ends, USD)
    yield Family(catalog.USER_LIMIT_REACHED, reached)
