"""`budget_used`: 50 and 80 % of the daily limit, of each user and of the team. At 100 % `budget_exceeded` follows."""

from collections.abc import Iterator

from exporter import catalog
from tests.alerts.cases.common import ZONE, group, spend, user, watched
from tests.alerts.cases.said import budget_used
from tests.support.scenario import DAY, HOUR, MINUTE, Replica, Scenario, steps

NAME = "budget_used"
RUNGS = (50, 80)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _user()
    yield _group()
    yield _team()
    yield _no_limit()
    yield _outage_and_midnight()
    yield _replicas_and_jobs()


def _user() -> Scenario:
    scenario = Scenario("climbs for a user rung by rung, from exactly each on, and stays on the last", 60 * MINUTE)
    replica = watched(scenario, Replica())
    changes = (0, 4.999999), (5, 5.0), (10, 7.999999), (15, 8.0), (20, 9.999999), (25, 10.0), (30, 25.0), (40, 4.0)
    user(scenario, replica, "alice", steps(*((minute * MINUTE, value) for minute, value in changes)), 10)
    user(scenario, replica, "bob", 1, 10)
    scenario.silent(NAME, 4 * MINUTE, 40 * MINUTE, 60 * MINUTE)
    for minute, value, rungs in (
        (5, "50%", 1), (10, "80%", 1), (15, "80%", 2), (20, "100%", 2), (25, "100%", 2), (30, "250%", 2),
        (39, "250%", 2),
    ):  # fmt: skip
        said = [budget_used(rung, value, DAY, user="alice") for rung in RUNGS[:rungs]]
        scenario.fires(minute * MINUTE, NAME, *said)
    return scenario


def _group() -> Scenario:
    scenario = Scenario("climbs for a group rung by rung, in each job by its own limit, over an outage", 60 * MINUTE)
    replica = watched(scenario, Replica(unread=[(30 * MINUTE, 35 * MINUTE)]))
    changes = (0, 4.999999), (5, 5.0), (10, 7.999999), (15, 8.0), (20, 25.0), (40, 4.0)
    group(scenario, replica, "red", steps(*((minute * MINUTE, value) for minute, value in changes)), 10)
    group(scenario, replica, "blue", 1, 10)
    group(scenario, replica, "nothing-allowed", 5, 0)
    other = watched(scenario, Replica(job="other"))
    group(scenario, other, "red", 2.5, 100)
    group(scenario, other, "small", steps((0, 0.4), (20 * MINUTE, 0.5), (40 * MINUTE, 0.4)), 1)
    scenario.silent(NAME, 4 * MINUTE, 40 * MINUTE, 60 * MINUTE)
    for minute, value, rungs in ((5, "50%", 1), (10, "80%", 1), (15, "80%", 2), (20, "250%", 2), (33, "250%", 2)):
        said = [budget_used(rung, value, DAY, group="red") for rung in RUNGS[:rungs]]
        if minute >= 20:
            said.append(budget_used(50, "50%", DAY, group="small", job="other"))
        scenario.fires(minute * MINUTE, NAME, *said)
    return scenario


def _team() -> Scenario:
    scenario = Scenario("climbs for the team rung by rung, from exactly each on, with the biggest three", 60 * MINUTE)
    replica = watched(scenario, Replica())
    changes = (
        (0, 49.999999),
        (5, 50.0),
        (10, 79.999999),
        (15, 80.0),
        (20, 99.999999),
        (25, 100.0),
        (30, 250.0),
        (40, 1.0),
    )
    spend(scenario, replica, steps(*((minute * MINUTE, value - 1) for minute, value in changes)))
    spend(scenario, replica, 1, "email")
    scenario.show(replica, catalog.DAILY_LIMIT, 100)
    scenario.silent(NAME, 4 * MINUTE, 40 * MINUTE, 60 * MINUTE)
    for minute, value, cause, rungs in (
        (5, "50%", "49.00", 1), (10, "80%", "79.00", 1), (15, "80%", "79.00", 2), (20, "100%", "99.00", 2),
        (25, "100%", "99.00", 2), (30, "250%", "249.00", 2),
    ):  # fmt: skip
        contributors = f"chat on m1: ${cause}", "email on m1: $1.00"
        said = [budget_used(rung, value, DAY, *contributors) for rung in RUNGS[:rungs]]
        scenario.fires(minute * MINUTE, NAME, *said)
    return scenario


def _no_limit() -> Scenario:
    scenario = Scenario("is silent without a limit and with one of nothing, and knows one of a dollar", 20 * MINUTE)
    replica = watched(scenario, Replica())
    user(scenario, replica, "unlimited", 100)
    user(scenario, replica, "nothing-spent", 0, 0)
    user(scenario, replica, "nothing-allowed", 5, 0)
    spend(scenario, replica, 1000)
    nothing = watched(scenario, Replica("b:9867", job="nothing-allowed"))
    spend(scenario, nothing, 5)
    scenario.show(nothing, catalog.DAILY_LIMIT, 0)
    little = watched(scenario, Replica("c:9867", job="little"))
    spend(scenario, little, 0.5)
    scenario.show(little, catalog.DAILY_LIMIT, 1)
    user(scenario, little, "alice", steps((0, 0.4), (10 * MINUTE, 0.5)), 1)
    team = budget_used(50, "50%", DAY, "chat on m1: $0.5", job="little")
    scenario.fires(5 * MINUTE, NAME, team)
    scenario.fires(20 * MINUTE, NAME, team, budget_used(50, "50%", DAY, user="alice", job="little"))
    return scenario


def _outage_and_midnight() -> Scenario:
    scenario = Scenario("holds its rung over an outage, and begins anew with the day", 170 * MINUTE)
    for job, down in (("gap", (30, 35)), ("hour", (30, 90)), ("midnight", (90, 150))):
        spans = [(down[0] * MINUTE, down[1] * MINUTE)]
        replica = watched(scenario, Replica(job=job, down=spans), *ZONE)
        user(scenario, replica, "alice", steps((0, 8.5), (2 * HOUR, 1), (160 * MINUTE, 6)), 10)
        spend(scenario, replica, steps((0, 55), (2 * HOUR, 1)))
        scenario.show(replica, catalog.DAILY_LIMIT, 100)
    users = [
        budget_used(r, "85%", 2 * HOUR, user="alice", job=job) for job in ("gap", "hour", "midnight") for r in (50, 80)
    ]
    for minute, unknown in (
        (29, ()),
        (30, ("gap", "hour")),
        (34, ("gap", "hour")),
        (60, ("hour",)),
        (119, ("midnight",)),
    ):
        team = [
            budget_used(50, "55%", 2 * HOUR, *(() if job in unknown else ("chat on m1: $55.00",)), job=job)
            for job in ("gap", "hour", "midnight")
        ]
        scenario.fires(minute * MINUTE, NAME, *users, *team)
    scenario.silent(NAME, 2 * HOUR, 149 * MINUTE, 159 * MINUTE)
    today = [budget_used(50, "60%", 26 * HOUR, user="alice", job=job) for job in ("gap", "hour", "midnight")]
    scenario.fires(160 * MINUTE, NAME, *today)
    return scenario


def _replicas_and_jobs() -> Scenario:
    scenario = Scenario("keeps jobs apart, and counts money once in each", 20 * MINUTE)
    for job, limit in (("first", 100), ("second", 40)):
        for instance, folded, value in (("a:9867", "m2", 20), ("b:9867", "other", 19.5)):
            replica = watched(scenario, Replica(instance, job=job))
            spend(scenario, replica, 10)
            spend(scenario, replica, value, model=folded)
            user(scenario, replica, "alice", 10 if folded == "m2" else 9, 100 if job == "first" else 18)
            scenario.show(replica, catalog.DAILY_LIMIT, limit)
    contributors = "chat on m2: $20.00", "chat on m1: $10.00"
    team = budget_used(50, "75%", DAY, *contributors, job="second")
    scenario.fires(5 * MINUTE, NAME, team, budget_used(50, "55.56%", DAY, user="alice", job="second"))
    return scenario
