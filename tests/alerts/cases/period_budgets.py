"""`period_budget_used` and `soft_limit_reached`: budgets with other periods than a day."""

from collections.abc import Iterator

from exporter import catalog
from tests.alerts.cases.common import user, users, watched
from tests.alerts.cases.said import Expected, period_budget
from tests.support.scenario import DAY, JOB, MINUTE, Replica, Scenario, Value, steps

NAME, SOFT = "period_budget_used", "soft_limit_reached"
SHARES = (
    "job_user_group_period:ai_budget_period_utilization:ratio",
    "job_user_group_period:ai_budget_soft_limit_utilization:ratio",
)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _each_period_by_itself()
    yield _team()
    yield _begins_anew()
    yield _held()
    yield _replicas()
    yield _has_a_limit()
    yield _groups()
    yield _groups_held()
    yield _group_replicas()


def budget(
    scenario: Scenario,
    replica: Replica,
    name: str,
    period: str,
    spent: Value,
    limit: Value = 10,
    *,
    soft: Value | None = None,
    reset: Value = 30 * DAY,
    group: str = "",
) -> None:
    """A budget as an exporter shows it."""
    shown = {
        catalog.PERIOD_SPEND: spent,
        catalog.PERIOD_LIMIT: limit,
        catalog.PERIOD_SOFT_LIMIT: soft,
        catalog.PERIOD_RESET: reset,
    }
    for metric, value in shown.items():
        if value is not None:
            # as it is scraped, a label that is empty is none
            labels = {"user": name, "group": group, "period": period}
            scenario.show(replica, metric, value, **{label: text for label, text in labels.items() if text})


def used(value: str, name: str, period: str, rungs: int, job: str = JOB, group: str = "") -> list[Expected]:
    """The levels that fire, one or both."""
    levels = ((80, "warning"), (100, "critical"))[:rungs]
    return [
        period_budget(NAME, rung, value, name, period, group=group, severity=severity, job=job)
        for rung, severity in levels
    ]


def soft_limit(value: str, name: str, period: str, job: str = JOB, group: str = "") -> Expected:
    return period_budget(SOFT, 100, value, name, period, group=group, job=job)


def _each_period_by_itself() -> Scenario:
    scenario = Scenario("fires for each period of a user by itself, from exactly each share on", 40 * MINUTE)
    replica = watched(scenario, Replica())
    changes = (0, 7.999999), (5, 8.0), (10, 9.999999), (15, 10.0), (20, 25.0), (30, 1.0)
    climbing = steps(*((minute * MINUTE, value) for minute, value in changes))
    budget(scenario, replica, "alice", "30d", climbing, soft=10)
    budget(scenario, replica, "alice", "week", 7)
    budget(scenario, replica, "bob", "30d", 79, 100, soft=80)
    budget(scenario, replica, "cents", "30d", steps((0, 0), (5 * MINUTE, 0.5)), 0.5, soft=0.5)
    budget(scenario, replica, "nothing-allowed", "30d", 5, 0, soft=0)
    cents = used("100%", "cents", "30d", 2)
    scenario.silent(NAME, 4 * MINUTE)
    scenario.silent(SOFT, 4 * MINUTE)
    for minute, value, rungs in (
        (5, "80%", 1), (10, "100%", 1), (15, "100%", 2), (20, "250%", 2), (29, "250%", 2), (34, "250%", 2),
    ):  # fmt: skip
        scenario.fires(minute * MINUTE, NAME, *used(value, "alice", "30d", rungs), *cents)
    scenario.fires(35 * MINUTE, NAME, *cents)
    soft = soft_limit("100%", "cents", "30d")
    for minute, value in ((15, "100%"), (20, "250%"), (34, "250%")):
        scenario.fires(minute * MINUTE, SOFT, soft_limit(value, "alice", "30d"), soft)
    scenario.fires(10 * MINUTE, SOFT, soft)
    scenario.fires(35 * MINUTE, SOFT, soft)
    return scenario


def _team() -> Scenario:
    scenario = Scenario("fires for the team's budget, whose user is empty", 20 * MINUTE)
    replica = watched(scenario, Replica())
    budget(scenario, replica, "", "week", steps((0, 10), (5 * MINUTE, 95)), 100, soft=90)
    scenario.silent(NAME, 4 * MINUTE)
    scenario.fires(10 * MINUTE, NAME, *used("95%", "", "week", 1))
    scenario.fires(10 * MINUTE, SOFT, soft_limit("105.6%", "", "week"))
    return scenario


def _begins_anew() -> Scenario:
    scenario = Scenario("ends with the period, dead replica or not", 60 * MINUTE)
    reset = steps((0, 20 * MINUTE), (20 * MINUTE, 7 * DAY))
    replica = watched(scenario, Replica("a:9867"))
    budget(scenario, replica, "alice", "7d", steps((0, 9), (20 * MINUTE, 1)), soft=10, reset=reset)
    dead = watched(scenario, Replica("b:9867", down=[(19 * MINUTE, DAY)], lingers=True))
    budget(scenario, dead, "alice", "7d", 9.5, soft=10, reset=reset)
    scenario.fires(19 * MINUTE, NAME, *used("95%", "alice", "7d", 1))
    scenario.fires(24 * MINUTE, NAME, *used("95%", "alice", "7d", 1))
    scenario.silent(NAME, 25 * MINUTE, 30 * MINUTE)
    of = f'{{job="{JOB}", period="7d", user="alice"}}'
    for record in SHARES:
        scenario.figure(19 * MINUTE, record, {f"{record}{of}": 0.95})
        scenario.figure(20 * MINUTE, record, {f"{record}{of}": 0.1})
    return scenario


def _held() -> Scenario:
    scenario = Scenario("holds what fires of a budget while no replica knows both the log and the budgets", 70 * MINUTE)
    gap = [(10 * MINUTE, 40 * MINUTE)]
    removed = steps((0, 10), (50 * MINUTE, None))
    jobs = {
        "down": [Replica(job="down", down=gap)],
        "unread": [Replica(job="unread", unread=gap)],
        "catching-up": [Replica(job="catching-up", catching_up=gap)],
        "no-budgets": [Replica(job="no-budgets", no_budgets=gap)],
        "each-one": [
            Replica("a:9867", job="each-one", catching_up=gap),
            Replica("b:9867", job="each-one", no_budgets=gap),
        ],
    }
    for replicas in jobs.values():
        for replica in replicas:
            watched(scenario, replica)
            budget(scenario, replica, "alice", "7d", 9, removed, soft=steps((0, 9), (50 * MINUTE, None)))
            # what had gone before the gap stays away, and nothing begins within it
            budget(scenario, replica, "gone", "7d", steps((0, 9), (3 * MINUTE, None)), soft=9)
    # another job is read all the time, on instances of the same names
    for instance in ("a:9867", "b:9867"):
        budget(scenario, watched(scenario, Replica(instance, job="read")), "bob", "7d", 1, soft=10)
    firing = [alert for job in jobs for alert in used("90%", "alice", "7d", 1, job=job)]
    soft = [period_budget(SOFT, 100, "100%", "alice", "7d", job=job) for job in jobs]
    for minute in (9, 10, 39, 45, 54):
        scenario.fires(minute * MINUTE, NAME, *firing)
        scenario.fires(minute * MINUTE, SOFT, *soft)
    scenario.silent(NAME, 55 * MINUTE)
    scenario.silent(SOFT, 55 * MINUTE)
    return scenario


def _replicas() -> Scenario:
    scenario = Scenario("compares the highest spend of a period with the lowest limit, in each job", 20 * MINUTE)
    for job, limit in (("first", 100), ("second", 10)):
        for instance, spent, more in (("a:9867", 9, 1), ("b:9867", 7, 0)):
            replica = watched(scenario, Replica(instance, job=job))
            budget(scenario, replica, "alice", "7d", spent, limit + more, soft=limit + more)
    scenario.fires(5 * MINUTE, NAME, *used("90%", "alice", "7d", 1, job="second"))
    for record in SHARES:
        shares = {"first": 0.09, "second": 0.9}
        found = {f'{record}{{job="{job}", period="7d", user="alice"}}': share for job, share in shares.items()}
        scenario.figure(5 * MINUTE, record, found)
    return scenario


def _has_a_limit() -> Scenario:
    scenario = Scenario("does not report a user whose limit has another period than a day", 30 * MINUTE)
    record = "job_user:ai_user_spend_without_limit_usd:max"
    for job in (JOB, "other"):
        replica = watched(scenario, Replica(job=job))
        user(scenario, replica, "alice", 5)
        user(scenario, replica, "bob", 5, 10)
        user(scenario, replica, "cid", 6)
        users(scenario, replica, ok=1, unlimited=2)
        if job == JOB:
            budget(scenario, replica, "alice", "30d", 1)
    found = {(JOB, "cid"): 6.0, ("other", "alice"): 5.0, ("other", "cid"): 6.0}
    samples = {f'{record}{{job="{job}", user="{name}"}}': spent for (job, name), spent in found.items()}
    scenario.figure(20 * MINUTE, record, samples)
    return scenario


def _groups() -> Scenario:
    scenario = Scenario("fires for each budget of a group, beside users of the same name", 30 * MINUTE)
    replica = watched(scenario, Replica())
    budget(scenario, replica, "", "30d", steps((0, 1), (5 * MINUTE, 8.5), (10 * MINUTE, 11)), soft=9, group="red")
    budget(scenario, replica, "red", "30d", 1, soft=9)
    budget(scenario, replica, "", "week", 7, soft=9, group="red")
    budget(scenario, replica, "", "30d", 4, soft=9)
    budget(scenario, replica, "", "month", 79, 100, soft=80, group="blue")
    scenario.silent(NAME, 4 * MINUTE)
    scenario.silent(SOFT, 9 * MINUTE)
    scenario.fires(6 * MINUTE, NAME, *used("85%", "", "30d", 1, group="red"))
    scenario.fires(11 * MINUTE, NAME, *used("110%", "", "30d", 2, group="red"))
    scenario.fires(11 * MINUTE, SOFT, soft_limit("122.2%", "", "30d", group="red"))
    return scenario


def _groups_held() -> Scenario:
    scenario = Scenario("holds budgets of groups while their table fails, and of users while theirs does", 70 * MINUTE)
    gap = [(10 * MINUTE, 40 * MINUTE)]
    jobs = {
        "groups": [Replica(job="groups", no_group_budgets=gap)],
        "users": [Replica(job="users", no_group_budgets=[], no_budgets=gap)],
        "neither": [Replica(job="neither", no_group_budgets=[], unread=gap)],
        # their budgets are in the configuration
        "no-table": [Replica(job="no-table", no_budgets=gap)],
        "unread": [Replica(job="unread", unread=gap)],
        # one of two goes on reading the table
        "one": [
            Replica("a:9867", job="one", no_group_budgets=gap),
            Replica("b:9867", job="one", no_group_budgets=[]),
        ],
    }
    ends = 20 * MINUTE
    for replica in (each for replicas in jobs.values() for each in replicas):
        watched(scenario, replica)
        limit, soft = steps((0, 10), (ends, None)), steps((0, 9), (ends, None))
        budget(scenario, replica, "alice", "7d", 9, limit, soft=soft)
        budget(scenario, replica, "", "7d", 9, limit, soft=soft, group="red")
    # what is read all the time, of another job
    budget(scenario, watched(scenario, Replica(job="read", no_group_budgets=[])), "", "7d", 1, soft=10, group="red")
    # what is read, and has ended, goes on for as long as every alert on a share does
    every, groups_held = tuple(jobs), ("groups", "neither", "unread")
    users_held = ("users", "neither", "no-table", "unread")
    for minute in (9, 19, 24, 25, 39, 44):
        of_users, of_groups = (every, every) if minute < 25 else (users_held, groups_held)
        firing = [alert for job in of_users for alert in used("90%", "alice", "7d", 1, job)]
        firing += [alert for job in of_groups for alert in used("90%", "", "7d", 1, job, group="red")]
        scenario.fires(minute * MINUTE, NAME, *firing)
        soft_ones = [soft_limit("100%", "alice", "7d", job) for job in of_users]
        soft_ones += [soft_limit("100%", "", "7d", job, group="red") for job in of_groups]
        scenario.fires(minute * MINUTE, SOFT, *soft_ones)
    scenario.silent(NAME, 45 * MINUTE)
    scenario.silent(SOFT, 45 * MINUTE)
    return scenario


def _group_replicas() -> Scenario:
    scenario = Scenario("compares the highest spend of a group with the lowest limit, in each job", 20 * MINUTE)
    for job, limit in (("first", 100), ("second", 10)):
        for instance, spent, more in (("a:9867", 9, 1), ("b:9867", 7, 0)):
            replica = watched(scenario, Replica(instance, job=job))
            budget(scenario, replica, "", "7d", spent, limit + more, soft=limit + more, group="red")
    scenario.fires(5 * MINUTE, NAME, *used("90%", "", "7d", 1, job="second", group="red"))
    for record in SHARES:
        shares = {"first": 0.09, "second": 0.9}
        found = {f'{record}{{group="red", job="{job}", period="7d"}}': share for job, share in shares.items()}
        scenario.figure(5 * MINUTE, record, found)
    return scenario
