"""`high_daily_spend`: the team's spend of the calendar day above $200."""

from collections.abc import Iterator

from tests.alerts.cases.common import ZONE, spend, watched
from tests.alerts.cases.said import high_daily_spend
from tests.support.scenario import DAY, HOUR, JOB, MINUTE, Replica, Scenario, Window, steps

NAME = "high_daily_spend"


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _fires_and_resolves()
    yield _threshold()
    yield _missing()
    yield _gap_of_five_minutes()
    yield _unread_for_an_hour()
    yield _down_for_an_hour()
    yield _midnight_in_a_zone()
    yield _outage_over_midnight()
    yield _several_jobs()
    yield _causes()
    yield _causes_of_today()
    yield _replicas_that_folded_differently()
    yield _dead_replica_at_midnight()
    yield _one_catches_up()
    yield _two_jobs()


def _fires_and_resolves() -> Scenario:
    scenario = Scenario("fires above $200 with the three biggest, resolves when rows are corrected", 20 * MINUTE)
    replica = watched(scenario, Replica())
    spend(scenario, replica, steps((0, 50), (5 * MINUTE, 120.5), (15 * MINUTE, 20)), "chat", "m1")
    spend(scenario, replica, 60, "chat", "m2")
    spend(scenario, replica, 70, "email", "m1")
    spend(scenario, replica, 0.25, "email", "m2")
    scenario.silent(NAME, 4 * MINUTE)
    fired = high_daily_spend("$250.75", DAY, "chat on m1: $120.50", "email on m1: $70.00", "chat on m2: $60.00")
    scenario.fires(5 * MINUTE, NAME, fired)
    scenario.fires(14 * MINUTE, NAME, fired)
    scenario.silent(NAME, 15 * MINUTE, 20 * MINUTE)
    return scenario


def _threshold() -> Scenario:
    scenario = Scenario("is silent at exactly $200, and fires a millionth above", 10 * MINUTE)
    replica = watched(scenario, Replica())
    spend(scenario, replica, 199.5)
    spend(scenario, replica, steps((0, 0.499999), (3 * MINUTE, 0.5), (6 * MINUTE, 0.500001)), "tiny")
    scenario.silent(NAME, 2 * MINUTE, 5 * MINUTE)
    contributors = "chat on m1: $199.50", "tiny on m1: $0.5"
    scenario.fires(6 * MINUTE, NAME, high_daily_spend("$200.00", DAY, *contributors, exact="$200.000001"))
    return scenario


def _missing() -> Scenario:
    scenario = Scenario("is silent where there is no spend, or no window that it is of", 10 * MINUTE)
    watched(scenario, Replica("b:9867"))
    other = scenario.replica(Replica("b:9867", job="without-window"))
    spend(scenario, other, 250)
    scenario.silent(NAME, 0, 5 * MINUTE, 10 * MINUTE)
    return scenario


def _gap_of_five_minutes() -> Scenario:
    scenario = Scenario("holds over five minutes that are not read, with the last figure", 20 * MINUTE)
    replica = watched(scenario, Replica(unread=[(5 * MINUTE, 10 * MINUTE)]))
    spend(scenario, replica, steps((0, 210), (4 * MINUTE, 220), (6 * MINUTE, 230)))
    scenario.fires(4 * MINUTE, NAME, high_daily_spend("$220.00", DAY, "chat on m1: $220.00"))
    scenario.fires(5 * MINUTE, NAME, high_daily_spend("$220.00", DAY))
    scenario.fires(9 * MINUTE, NAME, high_daily_spend("$220.00", DAY))
    scenario.fires(10 * MINUTE, NAME, high_daily_spend("$230.00", DAY, "chat on m1: $230.00"))
    return scenario


def _unread_for_an_hour() -> Scenario:
    scenario = Scenario("neither resolves nor fires in an hour that is not read, then follows the log", 90 * MINUTE)
    unread = [(10 * MINUTE, 70 * MINUTE)]
    over = watched(scenario, Replica("a:9867", unread=unread))
    spend(scenario, over, steps((0, 250), (30 * MINUTE, 150)))
    below = watched(scenario, Replica("b:9867", job="below", unread=unread))
    spend(scenario, below, steps((0, 190), (30 * MINUTE, 205)))
    for minute in (10, 40, 69):
        scenario.fires(minute * MINUTE, NAME, high_daily_spend("$250.00", DAY))
    scenario.fires(70 * MINUTE, NAME, high_daily_spend("$205.00", DAY, "chat on m1: $205.00", job="below"))
    return scenario


def _down_for_an_hour() -> Scenario:
    scenario = Scenario("holds while the exporter is down for an hour and then catches up", 100 * MINUTE)
    down, catching_up = [(10 * MINUTE, 70 * MINUTE)], [(70 * MINUTE, 80 * MINUTE)]
    replica = watched(scenario, Replica(down=down, catching_up=catching_up))
    spend(scenario, replica, steps((0, 250), (30 * MINUTE, 260)))
    for minute in (10, 40, 70, 79):
        scenario.fires(minute * MINUTE, NAME, high_daily_spend("$250.00", DAY))
    scenario.fires(80 * MINUTE, NAME, high_daily_spend("$260.00", DAY, "chat on m1: $260.00"))
    return scenario


def _midnight_in_a_zone() -> Scenario:
    scenario = Scenario("resolves at the midnight of the budget's own zone", 150 * MINUTE)
    replica = watched(scenario, Replica(), *ZONE)
    spend(scenario, replica, steps((0, 250), (2 * HOUR, 1)))
    scenario.fires(119 * MINUTE, NAME, high_daily_spend("$250.00", 2 * HOUR, "chat on m1: $250.00"))
    scenario.silent(NAME, 2 * HOUR, 150 * MINUTE)
    return scenario


def _outage_over_midnight() -> Scenario:
    scenario = Scenario("ends with the day also where the log is not read over midnight", 4 * HOUR)
    replica = watched(scenario, Replica(unread=[(90 * MINUTE, 150 * MINUTE)]), *ZONE)
    spend(scenario, replica, steps((0, 250), (2 * HOUR, 40), (3 * HOUR, 201)))
    scenario.fires(119 * MINUTE, NAME, high_daily_spend("$250.00", 2 * HOUR))
    scenario.silent(NAME, 2 * HOUR, 149 * MINUTE, 150 * MINUTE, 179 * MINUTE)
    scenario.fires(3 * HOUR, NAME, high_daily_spend("$201.00", 26 * HOUR, "chat on m1: $201.00"))
    return scenario


def _several_jobs() -> Scenario:
    scenario = Scenario("names the job where there are several, also while the other's exporter is down", 20 * MINUTE)
    for job, spent, down in ((JOB, 250, []), ("second", 10, [(8 * MINUTE, 20 * MINUTE)])):
        spend(scenario, watched(scenario, Replica(job=job, down=down)), spent)
    for minute in (5, 12, 19):
        scenario.fires(minute * MINUTE, NAME, high_daily_spend("$250.00", DAY, "chat on m1: $250.00"))
    return scenario


def _causes() -> Scenario:
    scenario = Scenario("names the three biggest parts of the spend, and the others where they matter", 20 * MINUTE)
    replica = watched(scenario, Replica("b:9867"))
    for number, spent in enumerate((100.0, 90.0, 80.0, 5.0), start=1):
        spend(scenario, replica, spent, model=f"m{number}")
    spend(scenario, replica, 0, "idle")
    # of another replica, which has read less, nothing is named
    spend(scenario, watched(scenario, Replica()), 150, "other")
    small = watched(scenario, Replica(job="small"))
    for number, spent in enumerate((200.0, 90.0, 7.0, 3.0), start=1):
        spend(scenario, small, spent, model=f"m{number}")
    tiny = watched(scenario, Replica(job="tiny"))
    for number, spent in enumerate((200.0, 90.0, 8.0, 2.9), start=1):
        spend(scenario, tiny, spent, model=f"m{number}")
    causes = "chat on m1: $100.00", "chat on m2: $90.00", "chat on m3: $80.00", "others: $5.00"
    some = "chat on m1: $200.00", "chat on m2: $90.00", "chat on m3: $7.00", "others: $3.00"
    few = "chat on m1: $200.00", "chat on m2: $90.00", "chat on m3: $8.00"
    scenario.fires(
        5 * MINUTE,
        NAME,
        high_daily_spend("$275.00", DAY, *causes),
        high_daily_spend("$300.00", DAY, *some, job="small"),
        high_daily_spend("$300.90", DAY, *few, job="tiny"),
    )
    return scenario


def _causes_of_today() -> Scenario:
    scenario = Scenario("names no part of yesterday's spend, which a replica that is gone seems to show", 3 * HOUR)
    days = Window(0, 2 * HOUR), Window(2 * HOUR, 26 * HOUR)
    gone = Replica(down=[(119 * MINUTE, DAY)], lingers=True)
    for replica in (gone, Replica("b:9867")):
        watched(scenario, replica, *days)
        spend(scenario, replica, steps((0, 300), (2 * HOUR, 0)), "yesterday")
        spend(scenario, replica, steps((0, 0), (2 * HOUR, 201)), "today")
    # the day of another job goes on at the same address
    spend(scenario, watched(scenario, Replica(job="goes-on")), 1)
    for minute in (0, 2):
        said = high_daily_spend("$201.00", 26 * HOUR, "today on m1: $201.00")
        scenario.fires(2 * HOUR + minute * MINUTE, NAME, said)
    return scenario


def _replicas_that_folded_differently() -> Scenario:
    scenario = Scenario("counts money once where two replicas have folded different series", 20 * MINUTE)
    for instance, folded, later in (("a:9867", "m2", 151), ("b:9867", "other", 150.5)):
        replica = watched(scenario, Replica(instance))
        spend(scenario, replica, 50, "chat", "m1")
        spend(scenario, replica, steps((0, 90), (10 * MINUTE, later)), "chat", folded)
    # the higher of two replicas counts, also while another is still behind
    behind = watched(scenario, Replica("c:9867"))
    spend(scenario, behind, 10, "chat", "m1")
    scenario.silent(NAME, 5 * MINUTE)
    contributors = "chat on m2: $151.00", "chat on m1: $50.00"
    scenario.fires(10 * MINUTE, NAME, high_daily_spend("$201.00", DAY, *contributors))
    return scenario


def _dead_replica_at_midnight() -> Scenario:
    scenario = Scenario("does not take a replica that died before midnight for today's", 150 * MINUTE)
    alive = watched(scenario, Replica("a:9867"), *ZONE)
    dead = watched(scenario, Replica("b:9867", down=[(118 * MINUTE, DAY)], lingers=True), *ZONE)
    for replica in (alive, dead):
        spend(scenario, replica, steps((0, 250), (2 * HOUR, 3)))
    scenario.fires(119 * MINUTE, NAME, high_daily_spend("$250.00", 2 * HOUR, "chat on m1: $250.00"))
    scenario.silent(NAME, 2 * HOUR, 121 * MINUTE, 122 * MINUTE)
    return scenario


def _one_catches_up() -> Scenario:
    scenario = Scenario("follows the replica that reads while another catches up or fails", 60 * MINUTE)
    first = Replica("a:9867", catching_up=[(10 * MINUTE, 30 * MINUTE)], unread=[(30 * MINUTE, 50 * MINUTE)])
    for replica in (first, Replica("b:9867")):
        watched(scenario, replica)
        spend(scenario, replica, steps((0, 250), (20 * MINUTE, 150), (40 * MINUTE, 220)))
    scenario.fires(19 * MINUTE, NAME, high_daily_spend("$250.00", DAY, "chat on m1: $250.00"))
    scenario.silent(NAME, 20 * MINUTE, 39 * MINUTE)
    scenario.fires(40 * MINUTE, NAME, high_daily_spend("$220.00", DAY, "chat on m1: $220.00"))
    return scenario


def _two_jobs() -> Scenario:
    scenario = Scenario("keeps two jobs apart: one that is read says nothing of one that is not", 60 * MINUTE)
    unread = watched(scenario, Replica("a:9867", unread=[(10 * MINUTE, 40 * MINUTE)]))
    spend(scenario, unread, 250)
    # the same address, and figures that go while the log is read: these must not be carried
    read = watched(scenario, Replica("a:9867", job="other"))
    spend(scenario, read, steps((0, 300), (20 * MINUTE, None)))
    own = high_daily_spend("$250.00", DAY, job=JOB)
    scenario.fires(19 * MINUTE, NAME, own, high_daily_spend("$300.00", DAY, "chat on m1: $300.00", job="other"))
    scenario.fires(21 * MINUTE, NAME, own)
    return scenario
