"""The end of the day that money is of: known while it lies ahead, also while nobody reads the log."""

from collections.abc import Iterator

from exporter import catalog
from tests.alerts.cases.common import MONTH, ZONE, spend, user, users, watched
from tests.support.scenario import DAY, HOUR, JOB, MINUTE, Replica, Scenario, Window, steps

DAY_END = "job:ai_spend_window_end_timestamp_seconds:day"
CARRIED = f"{DAY_END}_carried"


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _live()
    yield _carried()
    yield _projected()
    yield _of_users("job:ai_budget_users:unlisted_window_end_carried", 2.0 * HOUR)
    yield _of_users("job:ai_budget_users:unlisted_carried", 4.0)
    yield _of_users("job:ai_user_spend_without_limit_usd:window_end_carried", 2.0 * HOUR)
    yield _of_users("job_user:ai_user_spend_without_limit_usd:max_carried", 5.0, user="bob")
    yield _without_limit()


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
    # read, and without a window from some time on: at the address of one that is not read
    watched(scenario, Replica("a:9867", job="ends"), Window(0, 20 * MINUTE))
    gone = {"job": "gone", "instance": "a:9867"}
    scenario.replica(Replica(job="gone"))
    scenario.raw(catalog.WINDOW_END.name, {**gone, "window": "day"}, steps((0, 3 * HOUR), (20 * MINUTE, None)))
    ends = {f'{CARRIED}{{job="{job}"}}': float(2 * HOUR) for job in ("unread", "down")}
    scenario.figure(
        10 * MINUTE, CARRIED, {**ends, f'{CARRIED}{{job="ends"}}': 20 * MINUTE, f'{CARRIED}{{job="gone"}}': 3 * HOUR}
    )
    # it ends in an outage of its own, or while it is read
    for minute in (25, 30, 60, 119):
        scenario.figure(minute * MINUTE, CARRIED, ends)
    for minute in (120, 139):
        scenario.figure(minute * MINUTE, CARRIED, {})
    scenario.figure(145 * MINUTE, CARRIED, {name: float(26 * HOUR) for name in ends})
    return scenario


def _projected() -> Scenario:
    record = "job:ai_spend_today_usd:projected"
    scenario = Scenario(f"{record} is none of a day that has ended, also while its figures linger", 130 * MINUTE)
    replica = watched(scenario, Replica(down=[(118 * MINUTE, DAY)], lingers=True), Window(-2 * HOUR, 2 * HOUR))
    spend(scenario, replica, 10)
    scenario.figure(0, record, {f'{record}{{job="{JOB}"}}': 20.0})
    for minute in (120, 121):
        scenario.figure(minute * MINUTE, record, {})
    return scenario


def _of_users(record: str, value: float, **labels: str) -> Scenario:
    scenario = Scenario(f"{record} is kept while no replica shows budgets, and no longer", 130 * MINUTE)
    spans = [(20 * MINUTE, 60 * MINUTE)]
    jobs: dict[str, tuple[Replica, ...]] = {
        # one that reads budgets and is not current, beside one that is current and cannot read them
        "mixed": (Replica("a:9867", catching_up=spans), Replica("b:9867", no_budgets=spans)),
        "unread": (Replica("a:9867", unread=spans),),
        "down": (Replica("a:9867", down=spans),),
        "read": (Replica("a:9867"), Replica("b:9867")),
        "gone": (Replica("a:9867"),),
    }
    for job, replicas in jobs.items():
        for replica in replicas:
            replica.job = job
            watched(scenario, replica, *ZONE)
            later = None if job == "gone" else 4
            users(scenario, replica, exceeded=steps((0, 4), (15 * MINUTE, later)))
            user(scenario, replica, "bob", 5)

    def known(*names: str) -> dict[str, float]:
        more = "".join(f', {name}="{text}"' for name, text in labels.items())
        return {f'{record}{{job="{name}"{more}}}': value for name in names}

    scenario.figure(10 * MINUTE, record, known(*jobs))
    for minute in (16, 20, 40, 59, 70, 119):
        scenario.figure(minute * MINUTE, record, known(*(job for job in jobs if job != "gone")))
    return scenario


def _without_limit() -> Scenario:
    record = "job:ai_user_spend_without_limit_usd:window_end"
    scenario = Scenario(f"{record} is the latest end of a job in which users have no limit", 125 * MINUTE)
    # one dies before midnight, and the other one reads on
    dead = Replica("a:9867", job="bob", down=[(118 * MINUTE, DAY)], lingers=True)
    for replica in (dead, Replica("b:9867", job="bob"), Replica("a:9867", job="nobody")):
        watched(scenario, replica, *ZONE)
        user(scenario, replica, "bob", 5, 10 if replica.job == "nobody" else None)
        users(scenario, replica, ok=1)
    for minute, end in ((117, 2 * HOUR), (121, 26 * HOUR)):
        scenario.figure(minute * MINUTE, record, {f'{record}{{job="bob"}}': float(end)})
    return scenario
