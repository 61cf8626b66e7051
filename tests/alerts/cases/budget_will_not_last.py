"""`budget_will_not_last`: at the day's pace its spend will end above the team's limit."""

from collections.abc import Iterator

from exporter import catalog
from tests.alerts.cases.common import spend, watched
from tests.alerts.cases.said import budget_will_not_last
from tests.support.scenario import DAY, HOUR, JOB, MINUTE, Replica, Scenario, Value, Window, steps

NAME = "budget_will_not_last"


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _not_in_the_first_two_hours()
    yield _length_of_the_day()
    yield _threshold()
    yield _zone()
    yield _missing()
    yield _outage()
    yield _outage_over_midnight()
    yield _replicas()
    yield _two_jobs()
    yield _forecast()
    yield _forecast_over_midnight()


def team(scenario: Scenario, replica: Replica, spent: Value, limit: Value | None = 100) -> None:
    """The team's spend and limit."""
    spend(scenario, replica, spent)
    if limit is not None:
        scenario.show(replica, catalog.DAILY_LIMIT, limit)


def _at_pace(dollars: float, day: int = DAY, start: int = 0) -> Value:
    return lambda second: round(dollars * (second - start) / day, 6)


def _not_in_the_first_two_hours() -> Scenario:
    scenario = Scenario(
        "says nothing in the day's first two hours, and then waits for a quarter of an hour", 150 * MINUTE
    )
    replica = watched(scenario, Replica())
    team(scenario, replica, 20)
    scenario.silent(NAME, HOUR, 119 * MINUTE, 2 * HOUR, 134 * MINUTE)
    scenario.fires(135 * MINUTE, NAME, budget_will_not_last("$213.33", "$100.00", DAY, "chat on m1: $20.00"))
    return scenario


def _length_of_the_day() -> Scenario:
    scenario = Scenario("knows days of 23 and of 25 hours", 4 * HOUR)
    for hours in (23, 24, 25):
        replica = watched(scenario, Replica(job=f"{hours}h"), Window(0, hours * HOUR))
        team(scenario, replica, _at_pace(101, 24 * HOUR))
    # also in the last hour of the longer day
    replica = watched(scenario, Replica(job="late"), Window(-21 * HOUR, 4 * HOUR))
    team(scenario, replica, _at_pace(101, 25 * HOUR, -21 * HOUR))
    day = budget_will_not_last("$101.00", "$100.00", DAY, "chat on m1: $12.62", job="24h")
    longer = budget_will_not_last("$105.21", "$100.00", 25 * HOUR, "chat on m1: $12.62", job="25h")
    for hour, known, others in ((2, "$92.92", ()), (3, "$96.96", (day, longer))):
        late = budget_will_not_last("$101.00", "$100.00", 4 * HOUR, f"chat on m1: {known}", job="late")
        scenario.fires(hour * HOUR, NAME, *others, late)
    return scenario


def _threshold() -> Scenario:
    scenario = Scenario("is silent at the limit and below it, and fires above", 4 * HOUR)
    at = watched(scenario, Replica(job="nothing-spent"))
    team(scenario, at, 0, 0)
    below = watched(scenario, Replica(job="below"))
    team(scenario, below, _at_pace(99.9))
    above = watched(scenario, Replica(job="above"))
    team(scenario, above, _at_pace(100.1))
    scenario.fires(3 * HOUR, NAME, budget_will_not_last("$100.10", "$100.00", DAY, "chat on m1: $12.51", job="above"))
    return scenario


def _zone() -> Scenario:
    scenario = Scenario("resolves at the midnight of its own zone, and waits two hours of the new day", 6 * HOUR)
    days = Window(-20 * HOUR, 2 * HOUR), Window(2 * HOUR, 26 * HOUR)
    replica = watched(scenario, Replica(), *days)
    team(scenario, replica, steps((0, 150), (2 * HOUR, 30)))
    scenario.fires(HOUR, NAME, budget_will_not_last("$157.14", "$100.00", 2 * HOUR, "chat on m1: $150.00"))
    scenario.silent(NAME, 2 * HOUR, 4 * HOUR, 254 * MINUTE)
    # 30 * 24 h / 2 h 15 min, and 30 * 24 h / 2.5 h
    scenario.fires(255 * MINUTE, NAME, budget_will_not_last("$320.00", "$100.00", 26 * HOUR, "chat on m1: $30.00"))
    scenario.fires(270 * MINUTE, NAME, budget_will_not_last("$288.00", "$100.00", 26 * HOUR, "chat on m1: $30.00"))
    return scenario


def _missing() -> Scenario:
    scenario = Scenario("is silent without a limit, without spend, and without a window", 4 * HOUR)
    team(scenario, watched(scenario, Replica(job="no-limit")), 500, None)
    scenario.show(watched(scenario, Replica(job="no-spend")), catalog.DAILY_LIMIT, 100)
    team(scenario, scenario.replica(Replica(job="no-window")), 500)
    # all is known of the day but its end
    scenario.silent(NAME, HOUR, 3 * HOUR, 4 * HOUR)
    return scenario


def _outage() -> Scenario:
    scenario = Scenario("holds its last projection over an hour, and follows the spend afterwards", 5 * HOUR)
    unread = [(3 * HOUR, 4 * HOUR)]
    for job in ("over", "under"):
        replica = watched(scenario, Replica(job=job, unread=unread))
        team(scenario, replica, _at_pace(120) if job == "over" else _at_pace(90))
    # what was over before the outage began and is not any more stays away in it
    gone = watched(scenario, Replica(job="gone", down=unread))
    team(scenario, gone, steps((0, 50), (150 * MINUTE, None)))
    was_over = budget_will_not_last("$483.22", "$100.00", DAY, "chat on m1: $50.00", job="gone")
    over = "chat on m1: $12.42", "chat on m1: $14.92"
    own = [budget_will_not_last("$120.00", "$100.00", DAY, cause, job="over") for cause in over]
    scenario.fires(149 * MINUTE, NAME, own[0], was_over)
    scenario.fires(179 * MINUTE, NAME, own[1])
    for minute in (180, 200, 239):
        scenario.fires(minute * MINUTE, NAME, budget_will_not_last("$120.00", "$100.00", DAY, job="over"))
    scenario.fires(
        240 * MINUTE, NAME, budget_will_not_last("$120.00", "$100.00", DAY, "chat on m1: $20.00", job="over")
    )
    return scenario


def _outage_over_midnight() -> Scenario:
    scenario = Scenario("ends with the day also where the log is not read over midnight", 5 * HOUR)
    days = Window(-22 * HOUR, 2 * HOUR), Window(2 * HOUR, 26 * HOUR)
    replica = watched(scenario, Replica(down=[(90 * MINUTE, 150 * MINUTE)]), *days)
    team(scenario, replica, steps((0, 150), (2 * HOUR, 1)))
    # 150 * 24 h / 23 h 29 min
    scenario.fires(119 * MINUTE, NAME, budget_will_not_last("$153.30", "$100.00", 2 * HOUR))
    scenario.silent(NAME, 2 * HOUR, 149 * MINUTE, 151 * MINUTE, 5 * HOUR)
    return scenario


def _replicas() -> Scenario:
    scenario = Scenario("counts money once for all replicas, and none of yesterday's", 4 * HOUR)
    days = Window(-20 * HOUR, 130 * MINUTE), Window(130 * MINUTE, 26 * HOUR)
    for instance, folded, less in (("a:9867", "m2", 0), ("b:9867", "other", 1)):
        for job, value in (("over", 60), ("under", 45)):
            replica = Replica(instance, job=job, down=[(129 * MINUTE, DAY)] if less else [], lingers=bool(less))
            watched(scenario, replica, *days)
            team(scenario, replica, steps((0, 40), (130 * MINUTE, 1)))
            spend(scenario, replica, steps((0, value - less), (130 * MINUTE, 1)), model=folded)
    contributors = "chat on m2: $60.00", "chat on m1: $40.00"
    # 100 * 22 h 10 min / 21 h
    scenario.fires(HOUR, NAME, budget_will_not_last("$105.56", "$100.00", 7800, *contributors, job="over"))
    scenario.silent(NAME, 130 * MINUTE, 131 * MINUTE, 4 * HOUR)
    return scenario


def _two_jobs() -> Scenario:
    scenario = Scenario("keeps jobs apart: limits, and what is read of them", 4 * HOUR)
    for job, limit, unread in ((JOB, 50, [(3 * HOUR, 4 * HOUR)]), ("second", 120, [])):
        replica = watched(scenario, Replica("a:9867", job=job, unread=unread))
        team(scenario, replica, _at_pace(110), limit)
    scenario.fires(170 * MINUTE, NAME, budget_will_not_last("$110.00", "$50.00", DAY, "chat on m1: $12.99"))
    scenario.fires(200 * MINUTE, NAME, budget_will_not_last("$110.00", "$50.00", DAY))
    return scenario


def forecast(scenario: Scenario, replica: Replica, expected: Value) -> None:
    """Where the exporter says that the day will end, and what it says of others."""
    scenario.show(replica, catalog.SPEND_FORECAST, expected, window="day", bound="expected")
    for window, bound in (("day", "lower"), ("day", "upper"), ("month", "expected")):
        scenario.show(replica, catalog.SPEND_FORECAST, 500, window=window, bound=bound)


def _forecast() -> Scenario:
    scenario = Scenario("goes by the exporter's forecast, in the day's first hours too", 4 * HOUR)
    for job, spent, ends in (("early", 1, 130), ("evenly", 90, 99), ("stops", 50, steps((0, 101), (HOUR, None)))):
        replica = watched(scenario, Replica(job=job, unread=[(200 * MINUTE, 220 * MINUTE)]))
        team(scenario, replica, spent)
        forecast(scenario, replica, ends)
    # the highest forecast of all replicas: the pace of one without a history does not count beside it
    for instance, said in (("a:9867", 120), ("b:9867", 110), ("c:9867", None)):
        replica = watched(scenario, Replica(instance, job="several"))
        team(scenario, replica, 20)
        if said is not None:
            forecast(scenario, replica, said)
    early = budget_will_not_last("$130.00", "$100.00", DAY, "chat on m1: $1.00", job="early")
    several = budget_will_not_last("$120.00", "$100.00", DAY, "chat on m1: $20.00", job="several")
    stops = budget_will_not_last("$101.00", "$100.00", DAY, "chat on m1: $50.00", job="stops")
    scenario.silent(NAME, 14 * MINUTE)
    scenario.fires(16 * MINUTE, NAME, early, several, stops)
    scenario.fires(61 * MINUTE, NAME, early, several)
    # without a forecast the straight line says it: 50 * 24 h / 3 h
    scenario.fires(
        3 * HOUR,
        NAME,
        early,
        several,
        budget_will_not_last("$400.00", "$100.00", DAY, "chat on m1: $50.00", job="stops"),
    )
    return scenario


def _forecast_over_midnight() -> Scenario:
    scenario = Scenario("forgets the forecast of a day that has ended, also while its figures linger", 4 * HOUR)
    days = Window(-22 * HOUR, 2 * HOUR), Window(2 * HOUR, 26 * HOUR)
    for job in ("one", "two"):
        for instance in ("a:9867", "b:9867"):
            # the other replica of this job, and its namesake of the other job, are in the new day
            is_gone = (job, instance) == ("one", "b:9867")
            replica = Replica(instance, job=job, down=[(118 * MINUTE, DAY)] if is_gone else [], lingers=is_gone)
            team(scenario, watched(scenario, replica, *days), 10)
            forecast(scenario, replica, 150 if is_gone else steps((0, 150), (2 * HOUR, 50)))
    said = "$150.00", "$100.00", 2 * HOUR, "chat on m1: $10.00"
    scenario.fires(HOUR, NAME, *(budget_will_not_last(*said, job=job) for job in ("one", "two")))
    scenario.silent(NAME, 2 * HOUR, 121 * MINUTE, 140 * MINUTE)
    return scenario
