"""Midnight in UTC for everything that is of a day. The other themes have midnights of their own zones."""

from collections.abc import Iterator

from exporter import catalog
from tests.alerts.cases.common import TODAY, spend, user
from tests.alerts.cases.said import (
    budget_used,
    budget_will_not_last,
    high_daily_spend,
    team_over_limit,
    user_over_limit,
)
from tests.support.scenario import DAY, HOUR, MINUTE, Replica, Scenario, Window, steps


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _month_ends()


def _month_ends() -> Scenario:
    scenario = Scenario("ends all that is of the day at midnight in UTC, on a month's last day too", DAY + 20 * MINUTE)
    tomorrow = Window(DAY, 2 * DAY)
    months = Window(-30 * DAY, DAY), Window(DAY, 32 * DAY)
    # promtool has little to do on the hours before, of which nothing is asked
    replica = scenario.replica(Replica(down=[(0, DAY - 2 * HOUR)]), TODAY, tomorrow, months=months)
    spend(scenario, replica, steps((0, 250), (DAY, 0), (DAY + 10 * MINUTE, 201)))
    user(scenario, replica, "alice", steps((0, 12), (DAY, 0), (DAY + 10 * MINUTE, 6)), 10)
    scenario.show(replica, catalog.DAILY_LIMIT, 240)
    contributors = "chat on m1: $250.00"
    last = DAY - MINUTE
    scenario.fires(last, "high_daily_spend", high_daily_spend("$250.00", DAY, contributors))
    user_over, team_over = (
        user_over_limit("alice", "$12.00", "$10.00", DAY),
        team_over_limit("$250.00", "$240.00", DAY, contributors),
    )
    scenario.fires(last, "budget_exceeded", user_over, team_over)
    users = [budget_used(rung, "120%", DAY, user="alice") for rung in (50, 80)]
    team = [budget_used(rung, "104.2%", DAY, contributors) for rung in (50, 80)]
    scenario.fires(last, "budget_used", *users, *team)
    scenario.fires(last, "budget_will_not_last", budget_will_not_last("$250.17", "$240.00", DAY, contributors))
    for name in ("high_daily_spend", "budget_exceeded", "budget_used", "budget_will_not_last"):
        scenario.silent(name, DAY, DAY + 9 * MINUTE)
    today = "chat on m1: $201.00"
    later = DAY + 10 * MINUTE
    scenario.fires(later, "high_daily_spend", high_daily_spend("$201.00", 2 * DAY, today))
    scenario.silent("budget_exceeded", later)
    scenario.fires(
        later,
        "budget_used",
        budget_used(50, "60%", 2 * DAY, user="alice"),
        *(budget_used(rung, "83.75%", 2 * DAY, today) for rung in (50, 80)),
    )
    scenario.silent("budget_will_not_last", later)
    return scenario
