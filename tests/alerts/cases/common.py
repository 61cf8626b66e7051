"""Windows and figures that several themes use."""

from exporter import catalog
from tests.support.scenario import DAY, HOUR, Replica, Scenario, Value, Window, steps

TODAY = Window(0, DAY)
MONTH = (Window(0, 31 * DAY),)
ZONE = (Window(-22 * HOUR, 2 * HOUR), Window(2 * HOUR, 26 * HOUR))
"""Two days in a zone whose midnight is at 02:00 UTC."""


def watched(scenario: Scenario, replica: Replica, *days: Window) -> Replica:
    """An exporter with the windows of today, or of the days given, and of the month."""
    return scenario.replica(replica, *(days or (TODAY,)), months=MONTH)


def spend(scenario: Scenario, replica: Replica, value: Value, operation: str = "chat", model: str = "m1") -> None:
    """Today's spend of one operation on one model."""
    scenario.show(replica, catalog.SPEND_TODAY, value, operation=operation, model=model)


def user(scenario: Scenario, replica: Replica, name: str, spent: Value, limit: Value | None = None) -> None:
    """Today's spend of a user, and the daily limit where there is one."""
    scenario.show(replica, catalog.USER_SPEND_TODAY, spent, user=name)
    if limit is not None:
        scenario.show(replica, catalog.USER_DAILY_LIMIT, limit, user=name)


def group(scenario: Scenario, replica: Replica, name: str, spent: Value, limit: Value | None = None) -> None:
    """As `user`, of a group."""
    scenario.show(replica, catalog.GROUP_SPEND_TODAY, spent, group=name)
    if limit is not None:
        scenario.show(replica, catalog.GROUP_DAILY_LIMIT, limit, group=name)


def called(scenario: Scenario, replica: Replica, name: str, of: str, since: int = 0) -> None:
    """What a user is called, from a second on."""
    scenario.show(replica, catalog.USER_INFO, steps((0, None), (since, 1)) if since else 1, user=name, name=of)


def users(scenario: Scenario, replica: Replica, **states: Value) -> None:
    """How many users are in which state."""
    for state in ("ok", "warning", "exceeded", "unlimited"):
        scenario.show(replica, catalog.BUDGET_USERS, states.get(state, 0), state=state)
