"""`spend_anomaly`: an operation costs more than it usually does."""

from collections.abc import Iterator, Mapping
from typing import Any

from exporter import catalog
from tests.alerts.cases.common import called, user, watched
from tests.alerts.cases.said import Expected, expected, lines, links, rank
from tests.support.scenario import HOUR, JOB, MINUTE, Replica, Scenario, Value, steps

NAME = "spend_anomaly"


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _loop()
    yield _replicas()
    yield _in_a_gap()
    yield _not_judged_any_more()
    yield _without_history()


def odd(
    value: str, *causes: str, usual: str = "", since: str = "", operation: str = "chat", job: str = JOB
) -> Expected:
    """`usual` and `since` are left out where they are not known."""
    said = f"Spend beyond the usual of operation {operation} is {value}, above $5."
    said += f" Usually this hour costs {usual}." if usual else ""
    said += f" It has been odd since {since} UTC." if since else ""
    said += " Most of it is on m1." if any("times the usual" in cause for cause in causes) else ""
    return expected(
        {"severity": "warning", "job": job, "operation": operation},
        summary="An operation costs more than it usually does.",
        description=said,
        value=value,
        rank=rank(value),
        contributors=lines(causes),
        **links(NAME, f"ai-cost?var-operation={operation}"),
    )


def anomaly(
    scenario: Scenario,
    replica: Replica,
    excess: Value,
    operation: str = "chat",
    usual: float = 3.1,
    since: Value = 0,
    factors: Mapping[str, float] | None = None,
) -> None:
    """What an exporter shows of an operation; of one that is not odd, neither a beginning nor factors."""
    excess_at = excess if callable(excess) else (lambda _: excess)
    since_at = since if callable(since) else (lambda _: since)

    def while_odd(value: Value) -> Value:
        at = value if callable(value) else (lambda _: value)
        return lambda second: at(second) if excess_at(second) else None

    scenario.show(replica, catalog.SPEND_ANOMALY, excess_at, operation=operation)
    scenario.show(replica, catalog.SPEND_USUAL, usual, operation=operation)
    scenario.show(replica, catalog.SPEND_ANOMALY_START, while_odd(since_at), operation=operation)
    for factor, times in (factors or {}).items():
        of = {"operation": operation, "model": "m1", "factor": factor}
        scenario.show(replica, catalog.SPEND_ANOMALY_FACTOR, while_odd(times), **of)


LOOP = {"calls": 13.04, "tokens_per_call": 1.12, "price_per_token": 0.97}
CAUSES = (
    "calls: 13 times the usual",
    "tokens per call: 1.1 times the usual",
    "price per token: 1.0 times the usual",
)


def _loop() -> Scenario:
    scenario = Scenario(
        "names the operation that costs oddly much, why, and since when, above the floor alone", 4 * HOUR
    )
    replica = watched(scenario, Replica())
    risen = steps((0, 0), (61 * MINUTE, 5), (70 * MINUTE, 5.01), (100 * MINUTE, 38.1), (3 * HOUR, 0))
    anomaly(scenario, replica, risen, since=HOUR, factors=LOOP)
    # odd, and not worth a message
    anomaly(scenario, replica, 4.9, "email", 0.2, 0, {"calls": 40.0})
    # dear as usual
    anomaly(scenario, replica, 0, "report", 90)
    # who spends now, and not who has spent the most today
    user(scenario, replica, "alice", 200)
    user(scenario, replica, "bob", steps((0, 2), (70 * MINUTE, 6), (100 * MINUTE, 39.5)))
    user(scenario, replica, "carol", steps((0, 1), (70 * MINUTE, 2)))
    told: dict[str, Any] = {"usual": "$3.10", "since": "1 Jan 01:00"}
    scenario.silent(NAME, 60 * MINUTE, 70 * MINUTE)
    scenario.fires(71 * MINUTE, NAME, odd("$5.01", *CAUSES, "most in the past hour by user bob: $4.00", **told))
    called(scenario, replica, "bob", "Bob B.", since=80 * MINUTE)
    scenario.fires(2 * HOUR, NAME, odd("$38.10", *CAUSES, "most in the past hour by user Bob B.: $37.50", **told))
    # it fires on for five minutes, by what was known last
    scenario.fires(184 * MINUTE, NAME, odd("$38.10", *CAUSES, **told))
    scenario.silent(NAME, 185 * MINUTE, 4 * HOUR)
    return scenario


def _replicas() -> Scenario:
    scenario = Scenario("takes the operation of all replicas once, and each job for itself", HOUR)
    for instance, excess in (("a:9867", 4.0), ("b:9867", 6.0)):
        anomaly(scenario, watched(scenario, Replica(instance)), excess, factors={"calls": 3.0})
    # a history that is not long enough yet
    watched(scenario, Replica("c:9867"))
    anomaly(scenario, watched(scenario, Replica("a:9867", job="below")), 4.0)
    anomaly(scenario, watched(scenario, Replica("b:9867", job="below")), 4.0)
    told = odd("$6.00", "calls: 3.0 times the usual", usual="$3.10", since="1 Jan 00:00")
    scenario.fires(20 * MINUTE, NAME, told)
    return scenario


def _in_a_gap() -> Scenario:
    scenario = Scenario("holds over a gap what cost oddly much, and follows what is read then", 2 * HOUR)
    spans: dict[str, dict[str, Any]] = {
        "unread": {"unread": [(30 * MINUTE, 60 * MINUTE)]},
        "down": {"down": [(30 * MINUTE, 60 * MINUTE)]},
        "behind": {"catching_up": [(30 * MINUTE, 60 * MINUTE)]},
    }
    for job, gap in spans.items():
        replica = watched(scenario, Replica("a:9867", job=job, **gap))
        anomaly(scenario, replica, steps((0, 9.0), (70 * MINUTE, 0)))
        anomaly(scenario, replica, steps((0, 9.0), (20 * MINUTE, 0)), "over")
        # not for long enough before the gap, while other operations of the job fire, and other alerts on this one
        anomaly(scenario, replica, steps((0, 0), (29 * MINUTE, 9.0), (60 * MINUTE, 0)), "late")
        of = {"alertname": "other", "alertstate": "firing", "job": job, "operation": "late"}
        scenario.raw("ALERTS", of, 1)
    # another job reads on, and the operations of the same names fire there
    others = watched(scenario, Replica("a:9867", job="well"))
    for operation in ("chat", "late"):
        anomaly(scenario, others, 9.0, operation)
    well = [odd("$9.00", usual="$3.10", since="1 Jan 00:00", job="well", operation=name) for name in ("chat", "late")]
    for minute in (29, 65):
        told = (odd("$9.00", usual="$3.10", since="1 Jan 00:00", job=job) for job in spans)
        scenario.fires(minute * MINUTE, NAME, *told, *well)
    for minute in (31, 59):
        scenario.fires(minute * MINUTE, NAME, *(odd("$9.00", job=job) for job in spans), *well)
    for minute in (76, 120):
        scenario.fires(minute * MINUTE, NAME, *well)
    return scenario


def _not_judged_any_more() -> Scenario:
    scenario = Scenario("ends where the log is read, and the operation is not judged any more", HOUR)
    anomaly(scenario, watched(scenario, Replica()), steps((0, 9.0), (20 * MINUTE, None)))
    scenario.fires(19 * MINUTE, NAME, odd("$9.00", usual="$3.10", since="1 Jan 00:00"))
    scenario.silent(NAME, 25 * MINUTE, HOUR)
    return scenario


def _without_history() -> Scenario:
    scenario = Scenario("says nothing of what cannot be judged yet", HOUR)
    replica = watched(scenario, Replica())
    scenario.show(replica, catalog.SPEND_TODAY, 500, operation="chat", model="m1")
    scenario.silent(NAME, 0, 30 * MINUTE, HOUR)
    return scenario
