"""`budget_exceeded`: spend above the daily limit, of each user, of users without a series, and of the team."""

from collections.abc import Callable, Iterator

from exporter import catalog
from tests.alerts.cases.common import ZONE, called, group, spend, user, users, watched
from tests.alerts.cases.said import Expected, group_over_limit, team_over_limit, unlisted_over_limit, user_over_limit
from tests.support.scenario import DAY, HOUR, JOB, MINUTE, Replica, Scenario, Value, steps

NAME = "budget_exceeded"
ODD = 'we"ird\\ ünïcode {user}'
ODD_ESCAPED = "we%22ird%5C+%C3%BCn%C3%AFcode+%7Buser%7D"


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _users()
    yield _named_users()
    yield _resolves_at_midnight("users", "alice", user, user_over_limit)
    yield _small_amounts()
    yield _limit_removed_while_read()
    yield _limit_removed_in_an_outage()
    yield _limit_raised_in_an_outage()
    yield _what_went_stays_away()
    yield _budgets_fail_alone()
    yield _catching_up()
    yield _user_replicas()
    yield _groups()
    yield _resolves_at_midnight("groups", "red", group, group_over_limit)
    yield _group_limit_in_an_outage()
    yield _group_budgets_fail_alone()
    yield _group_replicas()
    yield _unlisted()
    yield _unlisted_in_an_outage()
    yield _unlisted_over_midnight()
    yield _unlisted_two_jobs()
    yield _unlisted_replicas()
    yield _team()
    yield _team_outage()
    yield _team_limits_differ()
    yield _two_jobs()


def team_limit(scenario: Scenario, replica: Replica, value: Value) -> None:
    """The team's own daily limit."""
    scenario.show(replica, catalog.DAILY_LIMIT, value)


def _users() -> Scenario:
    scenario = Scenario("fires for each user above the own limit, whatever the name, and for no other", 20 * MINUTE)
    replica = watched(scenario, Replica())
    user(scenario, replica, "alice", steps((0, 9), (5 * MINUTE, 12.5), (15 * MINUTE, 8)), 10)
    user(scenario, replica, "bob", steps((0, 19), (5 * MINUTE, 20), (8 * MINUTE, 20.000001)), 20)
    user(scenario, replica, ODD, steps((0, 0), (5 * MINUTE, 1234.5)), 1000)
    user(scenario, replica, "nolimit", 999)
    user(scenario, replica, "unattributed", 999)
    user(scenario, scenario.replica(Replica(job="no-window")), "alice", 50, 10)
    user(scenario, replica, "none-allowed", steps((0, 0), (10 * MINUTE, 0.01)), 0)
    users(
        scenario,
        replica,
        ok=2,
        exceeded=steps((0, 0), (5 * MINUTE, 2), (8 * MINUTE, 3), (10 * MINUTE, 4), (15 * MINUTE, 3)),
    )
    alice = user_over_limit("alice", "$12.50", "$10.00", DAY)
    bob = user_over_limit("bob", "$20.00", "$20.00", DAY)
    odd = user_over_limit(ODD, "$1234.50", "$1000.00", DAY, escaped=ODD_ESCAPED)
    nothing = user_over_limit("none-allowed", "$0.01", "$0.00", DAY)
    scenario.silent(NAME, 4 * MINUTE)
    scenario.fires(7 * MINUTE, NAME, alice, odd)
    scenario.fires(9 * MINUTE, NAME, alice, bob, odd)
    scenario.fires(10 * MINUTE, NAME, alice, bob, odd, nothing)
    scenario.fires(15 * MINUTE, NAME, bob, odd, nothing)
    return scenario


def _named_users() -> Scenario:
    scenario = Scenario("says what users are called, and which user it is", 20 * MINUTE)
    replica = watched(scenario, Replica())
    for name in ("alice", "bob", ODD):
        user(scenario, replica, name, steps((0, 0), (5 * MINUTE, 12.5)), 10)
    called(scenario, replica, "alice", 'Alice "A" {{ .Value }} %s', since=10 * MINUTE)
    called(scenario, replica, ODD, "Odd")
    called(scenario, replica, "elsewhere", "Bob")
    users(scenario, replica, exceeded=steps((0, 0), (5 * MINUTE, 3)))
    bob = user_over_limit("bob", "$12.50", "$10.00", DAY)
    odd = user_over_limit(ODD, "$12.50", "$10.00", DAY, escaped=ODD_ESCAPED, called="Odd")
    scenario.fires(7 * MINUTE, NAME, user_over_limit("alice", "$12.50", "$10.00", DAY), bob, odd)
    alice = user_over_limit("alice", "$12.50", "$10.00", DAY, called='Alice "A" {{ .Value }} %s')
    scenario.fires(12 * MINUTE, NAME, alice, bob, odd)
    return scenario


def _resolves_at_midnight(
    owners: str, name: str, show: Callable[[Scenario, Replica, str, Value, Value], None], said: Callable[..., Expected]
) -> Scenario:
    scenario = Scenario(f"resolves for {owners} at midnight, read or not, dead replica or not", 170 * MINUTE)
    read = watched(scenario, Replica("a:9867"), *ZONE)
    dead = watched(scenario, Replica("b:9867", down=[(118 * MINUTE, DAY)], lingers=True), *ZONE)
    unread = watched(scenario, Replica("c:9867", job="unread", unread=[(100 * MINUTE, 150 * MINUTE)]), *ZONE)
    for replica in (read, dead, unread):
        show(scenario, replica, name, steps((0, 12.5), (2 * HOUR, 1), (160 * MINUTE, 11)), 10)
    # another job, whose day goes on
    watched(scenario, Replica("c:9867", job="later"))
    yesterday = [said(name, "$12.50", "$10.00", 2 * HOUR, job=job) for job in (JOB, "unread")]
    today = [said(name, "$11.00", "$10.00", 26 * HOUR, job=job) for job in (JOB, "unread")]
    scenario.fires(119 * MINUTE, NAME, *yesterday)
    scenario.silent(NAME, 2 * HOUR, 122 * MINUTE, 149 * MINUTE, 159 * MINUTE)
    scenario.fires(160 * MINUTE, NAME, *today)
    return scenario


def _small_amounts() -> Scenario:
    scenario = Scenario("shows money below a dollar with four digits, and never as nothing", 5 * MINUTE)
    replica = watched(scenario, Replica())
    user(scenario, replica, "a", 0.012344, 0.01)
    user(scenario, replica, "b", 0.00005, 0.000004)
    user(scenario, replica, "c", 0.999999, 0.5)
    said = ("a", "$0.01234", "$0.01"), ("b", "$0.0000500", "$0.0000040"), ("c", "$1", "$0.5")
    scenario.fires(2 * MINUTE, NAME, *(user_over_limit(name, value, limit, DAY) for name, value, limit in said))
    return scenario


def _limit_removed_while_read() -> Scenario:
    scenario = Scenario("resolves when the limit is removed while the log is read", 20 * MINUTE)
    replica = watched(scenario, Replica())
    user(scenario, replica, "alice", 12.5, steps((0, 10), (10 * MINUTE, None)))
    scenario.fires(9 * MINUTE, NAME, user_over_limit("alice", "$12.50", "$10.00", DAY))
    scenario.silent(NAME, 10 * MINUTE, 15 * MINUTE)
    return scenario


def _limit_removed_in_an_outage() -> Scenario:
    scenario = Scenario("holds the limit in an outage, and resolves where it is gone afterwards", 90 * MINUTE)
    replica = watched(scenario, Replica(unread=[(10 * MINUTE, 70 * MINUTE)]))
    user(scenario, replica, "alice", 12.5, steps((0, 10), (30 * MINUTE, None)))
    for minute in (9, 10, 69):
        scenario.fires(minute * MINUTE, NAME, user_over_limit("alice", "$12.50", "$10.00", DAY))
    scenario.silent(NAME, 70 * MINUTE, 90 * MINUTE)
    return scenario


def _limit_raised_in_an_outage() -> Scenario:
    scenario = Scenario("takes the new limit as soon as it is read again", 40 * MINUTE)
    replica = watched(scenario, Replica(down=[(10 * MINUTE, 20 * MINUTE)]))
    user(scenario, replica, "alice", 12.5, steps((0, 20), (15 * MINUTE, 11)))
    scenario.silent(NAME, 5 * MINUTE, 19 * MINUTE)
    scenario.fires(20 * MINUTE, NAME, user_over_limit("alice", "$12.50", "$11.00", DAY))
    return scenario


def _what_went_stays_away() -> Scenario:
    scenario = Scenario("does not bring back in an outage what had gone before it", 60 * MINUTE)
    replica = watched(scenario, Replica(unread=[(20 * MINUTE, 50 * MINUTE)]))
    user(scenario, replica, "no-limit-any-more", 12.5, steps((0, 10), (10 * MINUTE, None)))
    user(scenario, replica, "deleted", steps((0, 12.5), (10 * MINUTE, None)), 10)
    gone = [user_over_limit(name, "$12.50", "$10.00", DAY) for name in ("no-limit-any-more", "deleted")]
    scenario.fires(9 * MINUTE, NAME, *gone)
    scenario.silent(NAME, 10 * MINUTE, 19 * MINUTE, 20 * MINUTE, 35 * MINUTE, 50 * MINUTE)
    return scenario


def _budgets_fail_alone() -> Scenario:
    scenario = Scenario("holds limits and counts of users while only the table of budgets fails", 40 * MINUTE)
    replica = watched(scenario, Replica(no_budgets=[(10 * MINUTE, 30 * MINUTE)]))
    user(scenario, replica, "alice", steps((0, 12.5), (20 * MINUTE, 13)), 10)
    user(scenario, replica, "bob", steps((0, 5), (15 * MINUTE, 11)), 10)
    users(scenario, replica, exceeded=steps((0, 4), (30 * MINUTE, 2)))
    unlisted = unlisted_over_limit(3, DAY)
    scenario.fires(9 * MINUTE, NAME, user_over_limit("alice", "$12.50", "$10.00", DAY), unlisted)
    scenario.fires(10 * MINUTE, NAME, user_over_limit("alice", "$12.50", "$10.00", DAY), unlisted)
    both = user_over_limit("alice", "$13.00", "$10.00", DAY), user_over_limit("bob", "$11.00", "$10.00", DAY)
    scenario.fires(29 * MINUTE, NAME, *both, unlisted)
    scenario.fires(31 * MINUTE, NAME, *both)
    return scenario


def _catching_up() -> Scenario:
    scenario = Scenario("holds while the exporter catches up, which reads budgets but does not show them", 60 * MINUTE)
    replica = Replica(down=[(10 * MINUTE, 20 * MINUTE)], catching_up=[(20 * MINUTE, 40 * MINUTE)])
    watched(scenario, replica)
    user(scenario, replica, "alice", 12.5, 10)
    users(scenario, replica, exceeded=4)
    for minute in (9, 15, 20, 30, 39, 41):
        expected = user_over_limit("alice", "$12.50", "$10.00", DAY), unlisted_over_limit(3, DAY)
        scenario.fires(minute * MINUTE, NAME, *expected)
    return scenario


def _user_replicas() -> Scenario:
    scenario = Scenario("compares the highest spend with the lowest limit of all replicas, once", 20 * MINUTE)
    first, second = (watched(scenario, Replica(name)) for name in ("a:9867", "b:9867"))
    user(scenario, first, "alice", steps((0, 7), (10 * MINUTE, 9)), 20)
    user(scenario, second, "alice", steps((0, 6), (10 * MINUTE, 8)), 8.5)
    scenario.silent(NAME, 9 * MINUTE)
    scenario.fires(10 * MINUTE, NAME, user_over_limit("alice", "$9.00", "$8.50", DAY))
    return scenario


def _groups() -> Scenario:
    scenario = Scenario("fires for each group above its own limit, beside users of the same name", 20 * MINUTE)
    replica = watched(scenario, Replica())
    group(scenario, replica, "alice", steps((0, 9), (5 * MINUTE, 12.5), (15 * MINUTE, 8)), 10)
    group(scenario, replica, "red", steps((0, 19), (5 * MINUTE, 20), (8 * MINUTE, 20.000001)), 20)
    group(scenario, replica, "nolimit", 999)
    group(scenario, replica, "unattributed", 999)
    group(scenario, scenario.replica(Replica(job="no-window")), "red", 50, 10)
    user(scenario, replica, "alice", 30, 100)
    alice = group_over_limit("alice", "$12.50", "$10.00", DAY)
    red = group_over_limit("red", "$20.00", "$20.00", DAY)
    scenario.silent(NAME, 4 * MINUTE)
    scenario.fires(7 * MINUTE, NAME, alice)
    scenario.fires(9 * MINUTE, NAME, alice, red)
    scenario.fires(15 * MINUTE, NAME, red)
    return scenario


def _group_limit_in_an_outage() -> Scenario:
    scenario = Scenario(
        "holds a group's limit in an outage, and resolves where it is gone before or after", 90 * MINUTE
    )
    replica = watched(scenario, Replica(unread=[(20 * MINUTE, 70 * MINUTE)]))
    group(scenario, replica, "red", 12.5, steps((0, 10), (30 * MINUTE, None)))
    group(scenario, replica, "no-limit-any-more", 12.5, steps((0, 10), (10 * MINUTE, None)))
    group(scenario, replica, "deleted", steps((0, 12.5), (10 * MINUTE, None)), 10)
    group(scenario, replica, "raised", 12.5, steps((0, 20), (40 * MINUTE, 11)))
    red = group_over_limit("red", "$12.50", "$10.00", DAY)
    gone = [group_over_limit(name, "$12.50", "$10.00", DAY) for name in ("no-limit-any-more", "deleted")]
    scenario.fires(9 * MINUTE, NAME, red, *gone)
    for minute in (10, 19, 20, 69):
        scenario.fires(minute * MINUTE, NAME, red)
    for minute in (70, 90):
        scenario.fires(minute * MINUTE, NAME, group_over_limit("raised", "$12.50", "$11.00", DAY))
    return scenario


def _group_budgets_fail_alone() -> Scenario:
    scenario = Scenario("holds limits of groups while only their table fails, of one job and no other", 40 * MINUTE)
    failing = [(10 * MINUTE, 30 * MINUTE)]
    replica = watched(scenario, Replica("a:9867", no_group_budgets=failing))
    # this replica reads the limits and is not current: it shows none
    watched(scenario, Replica("b:9867", catching_up=failing))
    # of another job, at the same address, one is current
    watched(scenario, Replica("b:9867", job="third"))
    # of two replicas, one goes on reading the table
    for instance, spans in (("c:9867", failing), ("d:9867", [])):
        both = watched(scenario, Replica(instance, job="both", no_group_budgets=spans))
        group(scenario, both, "red", 12.5, steps((0, 10), (15 * MINUTE, None)))
    group(scenario, replica, "red", steps((0, 12.5), (20 * MINUTE, 13)), steps((0, 10), (30 * MINUTE, None)))
    group(scenario, replica, "blue", steps((0, 5), (15 * MINUTE, 11)), 10)
    other = watched(scenario, Replica("a:9867", job="other", no_budgets=failing))
    group(scenario, other, "red", 12.5, steps((0, 10), (15 * MINUTE, None)))
    red, blue = (
        group_over_limit(name, value, "$10.00", DAY) for name, value in (("red", "$12.50"), ("blue", "$11.00"))
    )
    more = group_over_limit("red", "$13.00", "$10.00", DAY)
    own = [group_over_limit("red", "$12.50", "$10.00", DAY, job=job) for job in ("other", "both")]
    scenario.fires(9 * MINUTE, NAME, red, *own)
    scenario.fires(14 * MINUTE, NAME, red, *own)
    scenario.fires(16 * MINUTE, NAME, red, blue)
    scenario.fires(29 * MINUTE, NAME, more, blue)
    scenario.fires(31 * MINUTE, NAME, blue)
    return scenario


def _group_replicas() -> Scenario:
    scenario = Scenario(
        "compares the highest spend of a group with the lowest limit of all replicas, once", 20 * MINUTE
    )
    first, second = (watched(scenario, Replica(name)) for name in ("a:9867", "b:9867"))
    group(scenario, first, "red", steps((0, 7), (10 * MINUTE, 9)), 20)
    group(scenario, second, "red", steps((0, 6), (10 * MINUTE, 8)), 8.5)
    # of another job, at the same address, another limit is known
    group(scenario, watched(scenario, Replica("a:9867", job="other")), "red", 7, 8)
    scenario.silent(NAME, 9 * MINUTE)
    scenario.fires(10 * MINUTE, NAME, group_over_limit("red", "$9.00", "$8.50", DAY))
    return scenario


def _unlisted() -> Scenario:
    scenario = Scenario(
        "says how many users are over their limit without a series, and not where all have one", 15 * MINUTE
    )
    replica = watched(scenario, Replica())
    user(scenario, replica, "alice", 12.5, 10)
    user(scenario, replica, "bob", steps((0, 1), (8 * MINUTE, 11)), 10)
    user(scenario, replica, "at-the-limit", 10, 10)
    counts = steps((0, 1), (3 * MINUTE, 2), (8 * MINUTE, 2), (10 * MINUTE, 7), (12 * MINUTE, 2))
    # other states count no one, however many are in them
    users(scenario, replica, ok=50, warning=60, exceeded=counts, unlimited=70)
    alone = watched(scenario, Replica("b:9867", job="no-series"))
    users(scenario, alone, exceeded=steps((0, 0), (10 * MINUTE, 4)))
    alice, bob = (user_over_limit(*said, "$10.00", DAY) for said in (("alice", "$12.50"), ("bob", "$11.00")))
    scenario.fires(2 * MINUTE, NAME, alice)
    scenario.fires(7 * MINUTE, NAME, alice, unlisted_over_limit(1, DAY))
    scenario.fires(9 * MINUTE, NAME, alice, bob)
    more = unlisted_over_limit(5, DAY), unlisted_over_limit(4, DAY, job="no-series")
    scenario.fires(11 * MINUTE, NAME, alice, bob, *more)
    scenario.fires(12 * MINUTE, NAME, alice, bob, more[1])
    return scenario


def _unlisted_in_an_outage() -> Scenario:
    scenario = Scenario("holds the count of users without a series in an outage, to the end of its day", 150 * MINUTE)
    replica = watched(scenario, Replica(unread=[(20 * MINUTE, 140 * MINUTE)]), *ZONE)
    users(scenario, replica, exceeded=steps((0, 0), (10 * MINUTE, 4), (2 * HOUR, 0)))
    # what is gone before the outage stays away in it
    other = watched(scenario, Replica("b:9867", job="gone", unread=[(20 * MINUTE, 140 * MINUTE)]), *ZONE)
    users(scenario, other, exceeded=steps((0, 3), (10 * MINUTE, 0)))
    scenario.fires(9 * MINUTE, NAME, unlisted_over_limit(3, 2 * HOUR, job="gone"))
    for minute in (19, 20, 70, 119):
        scenario.fires(minute * MINUTE, NAME, unlisted_over_limit(4, 2 * HOUR))
    scenario.silent(NAME, 2 * HOUR, 139 * MINUTE, 141 * MINUTE)
    return scenario


def _unlisted_over_midnight() -> Scenario:
    scenario = Scenario("ends with the day where only the table of budgets fails over midnight", 150 * MINUTE)
    replica = watched(scenario, Replica(no_budgets=[(100 * MINUTE, 140 * MINUTE)]), *ZONE)
    users(scenario, replica, exceeded=steps((0, 4), (2 * HOUR, 0)))
    for minute in (99, 100, 119):
        scenario.fires(minute * MINUTE, NAME, unlisted_over_limit(4, 2 * HOUR))
    scenario.silent(NAME, 2 * HOUR, 121 * MINUTE, 139 * MINUTE, 150 * MINUTE)
    return scenario


def _unlisted_two_jobs() -> Scenario:
    scenario = Scenario("holds limits and counts of one job, whatever replicas and other jobs know", 60 * MINUTE)
    catching, failing = [(10 * MINUTE, 30 * MINUTE)], [(10 * MINUTE, 30 * MINUTE)]
    # one replica reads budgets and is not current, the other is current and cannot read budgets
    first = watched(scenario, Replica("a:9867", catching_up=catching))
    second = watched(scenario, Replica("b:9867", no_budgets=failing))
    for replica in (first, second):
        users(scenario, replica, exceeded=steps((0, 4), (20 * MINUTE, 0)))
        user(scenario, replica, "alice", 12.5, steps((0, 10), (20 * MINUTE, None)))
    # of another job, at the same addresses, both are known
    for instance in ("a:9867", "b:9867"):
        other = watched(scenario, Replica(instance, job="other"))
        users(scenario, other, exceeded=0)
        user(scenario, other, "alice", 1, 10)
    # and of a third one the users go while they are read
    third = watched(scenario, Replica("c:9867", job="third"))
    users(scenario, third, exceeded=steps((0, 2), (15 * MINUTE, None)))
    own = user_over_limit("alice", "$12.50", "$10.00", DAY), unlisted_over_limit(3, DAY)
    scenario.fires(9 * MINUTE, NAME, *own, unlisted_over_limit(2, DAY, job="third"))
    for minute in (16, 29):
        scenario.fires(minute * MINUTE, NAME, *own)
    scenario.silent(NAME, 30 * MINUTE, 60 * MINUTE)
    return scenario


def _unlisted_replicas() -> Scenario:
    scenario = Scenario("counts users once for all replicas, and none of yesterday's", 130 * MINUTE)
    first = watched(scenario, Replica("a:9867"), *ZONE)
    second = watched(scenario, Replica("b:9867", down=[(118 * MINUTE, DAY)], lingers=True), *ZONE)
    users(scenario, first, exceeded=steps((0, 2), (2 * HOUR, 0)))
    users(scenario, second, exceeded=3)
    # another job at the address of the dead one has a day that goes on
    watched(scenario, Replica("b:9867", job="second"))
    scenario.fires(119 * MINUTE, NAME, unlisted_over_limit(3, 2 * HOUR))
    scenario.silent(NAME, 2 * HOUR, 122 * MINUTE)
    return scenario


def _team() -> Scenario:
    scenario = Scenario("fires for the team above its limit, is silent at it, and without one", 20 * MINUTE)
    replica = watched(scenario, Replica())
    spend(scenario, replica, steps((0, 60), (5 * MINUTE, 70), (10 * MINUTE, 70.000001), (15 * MINUTE, 30)))
    spend(scenario, replica, 30, "email")
    team_limit(scenario, replica, 100)
    without = watched(scenario, Replica("b:9867", job="without-limit"))
    spend(scenario, without, 500)
    scenario.silent(NAME, 4 * MINUTE, 9 * MINUTE, 15 * MINUTE)
    said = team_over_limit("$100.00", "$100.00", DAY, "chat on m1: $70.00", "email on m1: $30.00")
    scenario.fires(10 * MINUTE, NAME, said)
    return scenario


def _team_outage() -> Scenario:
    scenario = Scenario(
        "holds for the team while the exporter is down, and takes a removed limit for removed", 90 * MINUTE
    )
    replica = watched(scenario, Replica(down=[(10 * MINUTE, 70 * MINUTE)]))
    spend(scenario, replica, steps((0, 120), (30 * MINUTE, 130)))
    team_limit(scenario, replica, 100)
    removed = watched(scenario, Replica("b:9867", job="removed", down=[(20 * MINUTE, 70 * MINUTE)]))
    spend(scenario, removed, 120)
    team_limit(scenario, removed, steps((0, 100), (10 * MINUTE, None)))
    own = team_over_limit("$120.00", "$100.00", DAY, "chat on m1: $120.00")
    scenario.fires(
        9 * MINUTE, NAME, own, team_over_limit("$120.00", "$100.00", DAY, "chat on m1: $120.00", job="removed")
    )
    for minute in (10, 20, 40, 69):
        scenario.fires(minute * MINUTE, NAME, team_over_limit("$120.00", "$100.00", DAY))
    scenario.fires(70 * MINUTE, NAME, team_over_limit("$130.00", "$100.00", DAY, "chat on m1: $130.00"))
    return scenario


def _team_limits_differ() -> Scenario:
    scenario = Scenario("takes the lowest limit of the team where replicas are configured differently", 20 * MINUTE)
    for name, limit in (("a:9867", 150), ("b:9867", 100)):
        replica = watched(scenario, Replica(name))
        spend(scenario, replica, steps((0, 90), (10 * MINUTE, 110)))
        team_limit(scenario, replica, limit)
    scenario.silent(NAME, 9 * MINUTE)
    scenario.fires(10 * MINUTE, NAME, team_over_limit("$110.00", "$100.00", DAY, "chat on m1: $110.00"))
    return scenario


def _two_jobs() -> Scenario:
    scenario = Scenario("keeps jobs apart: limits, spend, and what is read of them", 40 * MINUTE)
    first = watched(scenario, Replica("a:9867", unread=[(10 * MINUTE, 30 * MINUTE)]))
    second = watched(scenario, Replica("a:9867", job="second"))
    for replica, limit in ((first, 10), (second, 30)):
        user(scenario, replica, "alice", 20, limit)
        spend(scenario, replica, 20)
        team_limit(scenario, replica, limit)
        users(scenario, replica, exceeded=3 if replica is first else 0)
    for minute in (9, 20, 31):
        contributors = [] if minute == 20 else ["chat on m1: $20.00"]
        own = user_over_limit("alice", "$20.00", "$10.00", DAY), unlisted_over_limit(2, DAY)
        scenario.fires(minute * MINUTE, NAME, *own, team_over_limit("$20.00", "$10.00", DAY, *contributors))
    return scenario
