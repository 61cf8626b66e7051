"""The end of the day that money is of: known while it lies ahead, also while nobody reads the log."""

from collections.abc import Iterator

from tests.alerts.cases.common import MONTH, ZONE, watched
from tests.alerts.scenario import DAY, HOUR, MINUTE, Replica, Scenario, Window

DAY_END = "job:ai_spend_window_end_timestamp_seconds:day"
CARRIED = f"{DAY_END}_carried"


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _live()
    yield _carried()


def _live() -> Scenario:
    scenario = Scenario(f"{DAY_END} is the latest end that lies ahead, by job", 150 * MINUTE)
    watched(scenario, Replica(job="dead", down=[(118 * MINUTE, DAY)], lingers=True), *ZONE)
    watched(scenario, Replica("a:9867", job="differ"), *ZONE)
    watched(scenario, Replica("b:9867", job="differ"), Window(-HOUR, 23 * HOUR))
    scenario.replica(Replica("c:9867", job="month-only"), months=MONTH)
    differ = f'{DAY_END}{{job="differ"}}'
    scenario.figure(119 * MINUTE, DAY_END, {f'{DAY_END}{{job="dead"}}': 2 * HOUR, differ: 23 * HOUR})
    scenario.figure(2 * HOUR, DAY_END, {differ: 26 * HOUR})
    return scenario


def _carried() -> Scenario:
    scenario = Scenario(f"{CARRIED} is kept while nobody reads the log, to the end", 150 * MINUTE)
    spans = [(30 * MINUTE, 140 * MINUTE)]
    watched(scenario, Replica("a:9867", job="unread", unread=spans), *ZONE)
    watched(scenario, Replica("b:9867", job="down", down=spans), *ZONE)
    # read, and without a window: at the address of one that is not read
    watched(scenario, Replica("a:9867", job="ends"), Window(0, 20 * MINUTE))
    ends = {f'{CARRIED}{{job="{job}"}}': float(2 * HOUR) for job in ("unread", "down")}
    scenario.figure(10 * MINUTE, CARRIED, {**ends, f'{CARRIED}{{job="ends"}}': 20 * MINUTE})
    # it ends in an outage of its own, or while it is read
    for minute in (25, 30, 60, 119):
        scenario.figure(minute * MINUTE, CARRIED, ends)
    for minute in (120, 139):
        scenario.figure(minute * MINUTE, CARRIED, {})
    scenario.figure(145 * MINUTE, CARRIED, {name: float(26 * HOUR) for name in ends})
    return scenario
