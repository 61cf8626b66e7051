"""What must be seen of the alerts in `fixtures/alerts.yaml`: each fires, and each is silent."""

import re
from collections.abc import Iterator, Sequence

from exporter import catalog
from exporter.catalog import Metric
from tests.alerts.cases.common import MONTH, TODAY, spend, user, users, watched
from tests.alerts.cases.said import UNLISTED, Expected, expected, lines, links, rank
from tests.support.scenario import DAY, HOUR, JOB, MINUTE, Replica, Scenario, Value, Window, steps

STEP = 25


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _month()
    yield _month_by_model()
    yield _month_over_limit()
    yield _day_by_operation()
    yield _users_over_limit()
    yield _little_spent()
    yield _slow_tail()
    yield _dear_calls()
    yield _busy()
    yield _idle()
    yield _queue()
    yield _errors_of_pairs()
    yield _all_errors()
    yield _slow_and_failing()
    yield _near_timeout()
    yield _slow_median()
    yield _pace()
    yield _pace_of_users()
    yield _month_will_not_last()
    yield _soon()
    yield _soon_of_users()
    yield _team_share()
    yield _odd_in_all()
    yield _odd_operations()


def _said(
    name: str,
    what: str,
    relation: str,
    value: str,
    dashboard: str,
    *contributors: str,
    severity: str = "warning",
    bound: str = "",
    of: str = "",
    ends: str = "",
    counts: str = "",
    ranked: str = "",
    **labels: str,
) -> Expected:
    """`what` is `relation`; `bound` is what stands for the relation's end where the limit is looked up.

    `counts` is like `3 of 42 calls`; `ranked` is the rank where it is not told by the value and the limit.
    """
    limit = bound.rpartition(" of ")[2] if " of " in bound else ""
    subject = what if of or not ends else f"The team's {what[0].lower()}{what[1:]}"
    value_of = f"{value} ({counts})" if counts else value
    more = {"budget_day_ends": ends} if ends else {}
    if what in ("Spend this month", "Projected spend of this month"):
        more["budget_period"] = "month"
    if counts:
        more |= {"unknown_from": "", "unknown_because": ""}
    return expected(
        {"severity": severity, "job": JOB, **labels},
        summary=f"{what} is {relation}.",
        description=f"{subject}{of} is {value_of}, {bound or relation}.",
        value=value,
        rank=ranked or rank(value, of=limit),
        contributors=lines(contributors),
        **more,
        **links(name, dashboard),
    )


def _not_known(fired: Expected, since: int) -> Expected:
    """What is said from the second on at which there are too few calls any more: no counts and no causes."""
    annotations = {
        **fired["annotations"],
        "description": re.sub(r" \([^)]*calls[^)]*\)", "", fired["annotations"]["description"]),
        "contributors": "",
        "unknown_from": str(since),
        "unknown_because": "too few calls any more",
    }
    return {**fired, "annotations": annotations}


def month_spend(scenario: Scenario, replica: Replica, value: Value, operation: str = "chat", model: str = "m1") -> None:
    """This month's spend of one operation on one model."""
    scenario.show(replica, catalog.SPEND_MONTH, value, operation=operation, model=model)


def _month() -> Scenario:
    name = "month"
    scenario = Scenario("month: fires above $5,000, holds over an outage, and ends with the month", 3 * HOUR)
    months = Window(-29 * DAY, 2 * HOUR), Window(2 * HOUR, 30 * DAY)
    replica = scenario.replica(Replica(unread=[(40 * MINUTE, 70 * MINUTE)]), TODAY, months=months)
    month_spend(scenario, replica, steps((0, 3000), (20 * MINUTE, 3000.01), (2 * HOUR, 2)))
    month_spend(scenario, replica, steps((0, 2000), (2 * HOUR, 0)), "email")
    said = "chat on m1: $3000.01", "email on m1: $2000.00"
    fired = [
        _said(name, "Spend this month", "above $5,000", "$5000.01", "ai-cost", *c, ends="7200") for c in (said, ())
    ]
    scenario.silent(name, 19 * MINUTE, 2 * HOUR, 3 * HOUR)
    scenario.fires(20 * MINUTE, name, fired[0])
    scenario.fires(50 * MINUTE, name, fired[1])
    scenario.fires(119 * MINUTE, name, fired[0])
    return scenario


def _month_by_model() -> Scenario:
    name = "month_by_model"
    scenario = Scenario("month_by_model: fires for the model above $2,000", 20 * MINUTE)
    replica = watched(scenario, Replica())
    month_spend(scenario, replica, 1500)
    month_spend(scenario, replica, steps((0, 500), (10 * MINUTE, 501)), "email")
    month_spend(scenario, replica, 1999, model="m2")
    said = "chat on m1: $1500.00", "email on m1: $501.00"
    what = "Spend this month", "above $2,000", "$2001.00", "ai-cost?var-model=m1"
    scenario.silent(name, 9 * MINUTE)
    scenario.fires(11 * MINUTE, name, _said(name, *what, *said, of=" of model m1", ends=str(31 * DAY), model="m1"))
    return scenario


def _month_over_limit() -> Scenario:
    name = "month_over_limit"
    scenario = Scenario("month_over_limit: fires above the team's monthly limit, and not at it", 20 * MINUTE)
    replica = watched(scenario, Replica())
    month_spend(scenario, replica, steps((0, 900), (10 * MINUTE, 900.5)))
    scenario.show(replica, catalog.MONTHLY_LIMIT, 900)
    month_spend(scenario, watched(scenario, Replica(job="without")), 9000)
    limits = "above the monthly limit", "$900.50", "ai-cost", "chat on m1: $900.50"
    bound = "above the monthly limit of $900.00"
    scenario.silent(name, 9 * MINUTE)
    said = _said(name, "Spend this month", *limits, severity="critical", bound=bound, ends=str(31 * DAY))
    scenario.fires(11 * MINUTE, name, said)
    return scenario


def _day_by_operation() -> Scenario:
    name = "day_by_operation"
    scenario = Scenario("day_by_operation: fires for the operation at $50", 20 * MINUTE)
    replica = watched(scenario, Replica())
    spend(scenario, replica, 30)
    spend(scenario, replica, steps((0, 19.99), (10 * MINUTE, 20)), model="m2")
    spend(scenario, replica, 49, "email")
    said = "chat on m1: $30.00", "chat on m2: $20.00"
    what = "Spend today", "at or above $50", "$50.00", "ai-cost?var-operation=chat"
    scenario.silent(name, 9 * MINUTE)
    fired = _said(name, *what, *said, of=" of operation chat", ends=str(DAY), operation="chat")
    scenario.fires(11 * MINUTE, name, fired)
    return scenario


def _users_over_limit() -> Scenario:
    name = "users_over_limit"
    scenario = Scenario("users_over_limit: fires for users, shown or not, and never for the team", 20 * MINUTE)
    replica = watched(scenario, Replica())
    user(scenario, replica, "alice", steps((0, 9), (10 * MINUTE, 11)), 10)
    users(scenario, replica, exceeded=steps((0, 0), (10 * MINUTE, 3)))
    spend(scenario, replica, 500)
    scenario.show(replica, catalog.DAILY_LIMIT, 100)
    summary, ends = "Spend today is above the daily limit.", {"budget_day_ends": str(DAY)}
    alice = expected(
        {"severity": "warning", "job": JOB, "scope": "user", "user": "alice"},
        summary=summary,
        description="Spend today of user alice is $11.00, above the daily limit of $10.00.",
        value="$11.00",
        rank=rank("$11.00", of="$10.00"),
        **ends,
        **links(name, "ai-cost?var-user=alice"),
        user="alice",
    )
    more = expected(
        {"severity": "warning", "job": JOB, "scope": "unlisted"},
        summary=summary,
        description="Users over their daily limit beyond those listed: 2.",
        value="2",
        rank=rank("2", tier=UNLISTED),
        **ends,
        **links(name, "ai-cost"),
    )
    scenario.silent(name, 9 * MINUTE)
    scenario.fires(11 * MINUTE, name, alice, more)
    return scenario


def _little_spent() -> Scenario:
    name = "little_spent"
    scenario = Scenario("little_spent: fires below $1, and not for figures that are not there", 20 * MINUTE)
    replica = watched(scenario, Replica())
    spend(scenario, replica, steps((0, 1), (10 * MINUTE, 0.5)))
    watched(scenario, Replica(job="nothing-known"))
    what = "Spend today", "below $1", "$0.5", "ai-cost", "chat on m1: $0.5"
    scenario.silent(name, 9 * MINUTE)
    scenario.fires(11 * MINUTE, name, _said(name, *what, severity="info", ends=str(DAY), ranked=rank("$2")))
    return scenario


def _histogram(scenario: Scenario, replica: Replica, calls: dict[str, int], total: float, **labels: str) -> None:
    """Calls that end at the tenth minute, cumulated by the upper edges of their buckets."""
    for edge, count in calls.items():
        scenario.show(replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, count)), "_bucket", **labels, le=edge)
    every = calls["+Inf"]
    scenario.show(replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, every)), "_count", **labels)
    scenario.show(replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, total)), "_sum", **labels)


def _slow_tail() -> Scenario:
    name = "slow_tail"
    scenario = Scenario("slow_tail: fires where the 95th percentile is above 10 s", 85 * MINUTE, STEP)
    for instance in ("a:9867", "b:9867"):
        replica = watched(scenario, Replica(instance))
        for model, total in (("m1", 100), ("m2", 80)):
            # together 38 of 40 within 20 s, 30 of 40 within 10 s: the 38th of 40 is at 20 s
            at = {"operation": "slow", "model": model}
            _histogram(scenario, replica, {"10": 15, "20": 19, "+Inf": 20}, total, **at)
        _histogram(scenario, replica, {"10": 20, "20": 20, "+Inf": 20}, 100, operation="quick", model="m1")
        _histogram(scenario, replica, {"10": 0, "20": 19, "+Inf": 19}, 285, operation="few", model="m1")
    what = "95th percentile of latency", "above 10s", "20s", "ai-performance?var-operation=slow"
    said = "m1: 5s over 20 calls", "m2: 4s over 20 calls"
    scenario.silent(name, 10 * MINUTE)
    fired = _said(name, *what, *said, of=" of operation slow", counts="over 40 calls", operation="slow")
    scenario.fires(12 * MINUTE, name, fired)
    for minute in (70, 74):
        scenario.fires(minute * MINUTE, name, _not_known(fired, 70 * MINUTE))
    scenario.silent(name, 82 * MINUTE)
    return scenario


def _calls(scenario: Scenario, replica: Replica, metric: Metric, count: float, at: int, **labels: str) -> None:
    scenario.show(replica, metric, steps((0, 0), (at, count)), **labels)


def _dear_calls() -> Scenario:
    name = "dear_calls"
    scenario = Scenario("dear_calls: fires for ten calls in ten minutes above $0.05 each", 85 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for model, calls, cost in (("dear", 10, 0.501), ("exact", 10, 0.5), ("few", 9, 9)):
        _calls(scenario, replica, catalog.OPERATIONS, calls, 10 * MINUTE, operation="chat", model=model)
        _calls(scenario, replica, catalog.COST, cost, 10 * MINUTE, operation="chat", model=model)
    # ten minutes apart, and dear only in the second
    cheap = steps((0, 0), (2 * MINUTE, 100), (10 * MINUTE, 110)), steps((0, 0), (2 * MINUTE, 0), (10 * MINUTE, 2))
    for metric, value in zip((catalog.OPERATIONS, catalog.COST), cheap, strict=True):
        scenario.show(replica, metric, value, operation="chat", model="lately")
    what = "Cost per operation", "above $0.05"
    dear = _said(
        name,
        *what,
        "$0.0501",
        "ai-performance?var-model=dear",
        "chat: $0.0501 over 10 calls",
        of=" of model dear",
        counts="over 10 calls",
        model="dear",
    )
    lately = _said(
        name,
        *what,
        "$0.2",
        "ai-performance?var-model=lately",
        "chat: $0.2 over 10 calls",
        of=" of model lately",
        counts="over 10 calls",
        model="lately",
    )
    scenario.silent(name, 10 * MINUTE)
    scenario.fires(12 * MINUTE, name, dear)
    scenario.fires(14 * MINUTE, name, dear, lately)
    for minute in (70, 74):
        scenario.fires(minute * MINUTE, name, *(_not_known(fired, 70 * MINUTE) for fired in (dear, lately)))
    scenario.silent(name, 82 * MINUTE)
    return scenario


def _busy() -> Scenario:
    name = "busy"
    scenario = Scenario("busy: fires above 1000 calls in an hour, all operations and one replica's", 90 * MINUTE, STEP)
    for instance in ("a:9867", "b:9867"):
        replica = watched(scenario, Replica(instance))
        for operation, calls in (("chat", 700), ("email", 301)):
            _calls(scenario, replica, catalog.OPERATIONS, calls, 10 * MINUTE, operation=operation, model="m1")
        exact = watched(scenario, Replica(instance, job="exactly"))
        _calls(scenario, exact, catalog.OPERATIONS, 1000, 10 * MINUTE, operation="chat", model="m1")
    what = "Operations in the last hour", "above 1000", "1001", "ai-cost", "chat: 700", "email: 301"
    scenario.silent(name, 10 * MINUTE, 59 * MINUTE, 77 * MINUTE)
    scenario.fires(62 * MINUTE, name, _said(name, *what))
    scenario.fires(69 * MINUTE, name, _said(name, *what))
    return scenario


def _idle() -> Scenario:
    name = "idle"
    scenario = Scenario("idle: fires below three calls in an hour, and not in an outage", 4 * HOUR, STEP)
    replica = watched(scenario, Replica(unread=[(180 * MINUTE, 200 * MINUTE)]))
    regular = steps(*((minute * MINUTE, float(minute // 10)) for minute in range(0, 240, 10)))
    scenario.show(replica, catalog.OPERATIONS, regular, operation="regular", model="m1")
    until = steps(*((minute * MINUTE, float(minute // 10)) for minute in range(0, 100, 10)))
    scenario.show(replica, catalog.OPERATIONS, until, operation="ends", model="m1")
    what = "Operations in the last hour", "below 3", "2", "ai-cost?var-operation=ends", "m1: 2"
    labels = {"of": " of operation ends", "severity": "info", "operation": "ends"}
    # the first hour is none, however few calls it has
    new = watched(scenario, Replica(job="new"))
    scenario.show(new, catalog.OPERATIONS, lambda second: float(second // 1200), operation="regular", model="m1")
    scenario.silent(name, 15 * MINUTE, 50 * MINUTE, 65 * MINUTE, 129 * MINUTE)
    scenario.fires(133 * MINUTE, name, _said(name, *what, ranked=rank("0.5"), **labels))
    nothing = _said(name, *what[:2], "0", what[3], ranked=rank("0", of="0"), **labels)
    scenario.fires(170 * MINUTE, name, nothing)
    scenario.fires(195 * MINUTE, name, nothing)
    return scenario


def _queue() -> Scenario:
    scenario = Scenario("queue: fires for all statuses, for one, and by rungs; holds in an outage", 90 * MINUTE)
    replica = watched(scenario, Replica(unread=[(40 * MINUTE, 70 * MINUTE)]))
    waiting = steps((0, 4), (10 * MINUTE, 15), (30 * MINUTE, 26), (75 * MINUTE, 0))
    scenario.show(replica, catalog.IN_PROGRESS, waiting, status="pending")
    scenario.show(replica, catalog.IN_PROGRESS, 6, status="running")
    second = watched(scenario, Replica("b:9867", down=[(40 * MINUTE, 70 * MINUTE)]))
    for status in ("pending", "running"):
        scenario.show(second, catalog.IN_PROGRESS, 1, status=status)
    what = "Operations in progress"
    cause = "pending: 15", "running: 6"
    later = "pending: 26", "running: 6"
    scenario.silent("queue", 9 * MINUTE, 14 * MINUTE, 81 * MINUTE)
    scenario.fires(15 * MINUTE, "queue", _said("queue", what, "above 20", "21", "ai-health", *cause))
    for minute, causes in ((39, later), (79, later)):
        scenario.fires(minute * MINUTE, "queue", _said("queue", what, "above 20", "32", "ai-health", *causes))
    scenario.silent("queue_by_status", 9 * MINUTE, 81 * MINUTE)
    pending = {"of": " of status pending", "status": "pending"}
    by_status = _said("queue_by_status", what, "at or above 15", "15", "ai-health", **pending)
    # split by what it is made of, it has no causes
    own = {key: text for key, text in by_status["annotations"].items() if key != "contributors"}
    scenario.fires(10 * MINUTE, "queue_by_status", {**by_status, "annotations": own})
    ladder = [
        _said(
            "queue_ladder", what, "above one of its steps", value, "ai-health", *causes,
            bound=f"above {rung}", severity=severity, rung=rung,
        )
        for value, causes, rung, severity in (
            ("21", cause, "10", "info"), ("32", later, "10", "info"), ("32", later, "30", "critical"),
        )
    ]  # fmt: skip
    scenario.silent("queue_ladder", 14 * MINUTE, 81 * MINUTE)
    scenario.fires(15 * MINUTE, "queue_ladder", ladder[0])
    scenario.fires(35 * MINUTE, "queue_ladder", *ladder[1:])
    return scenario


def _failing(scenario: Scenario, replica: Replica, calls: int, failed: int, at: int, **labels: str) -> None:
    _calls(scenario, replica, catalog.OPERATIONS, calls, at, **labels)
    _calls(scenario, replica, catalog.FAILURES, failed, at, **labels, error_class="auth")


def _errors_of_pairs() -> Scenario:
    name = "errors_of_pairs"
    scenario = Scenario("errors_of_pairs: fires at once for the pair, and is not kept", 90 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    _failing(scenario, replica, 8, 1, 20 * MINUTE, operation="chat", model="m1")
    _failing(scenario, replica, 100, 10, 20 * MINUTE, operation="chat", model="m2")
    _failing(scenario, replica, 7, 6, 20 * MINUTE, operation="email", model="m1")
    dashboard = "ai-performance?var-operation=chat&var-model=m1"
    of = " of operation chat of model m1"
    labels = {"operation": "chat", "model": "m1"}
    scenario.silent(name, 19 * MINUTE)
    fired = _said(
        name, "Error rate", "above 10%", "12.5%", dashboard, "auth: 1", of=of, counts="1 of 8 calls", **labels
    )
    scenario.fires(21 * MINUTE, name, fired)
    wide = "1 of 8 calls in the last hour"
    fired = _said(name, "Error rate", "above 10%", "12.5%", dashboard, "auth: 1", of=of, counts=wide, **labels)
    scenario.fires(79 * MINUTE, name, fired)
    scenario.fires(80 * MINUTE, name, _not_known(fired, 80 * MINUTE))
    scenario.silent(name, 81 * MINUTE)
    return scenario


def _all_errors() -> Scenario:
    name = "all_errors"
    scenario = Scenario("all_errors: fires where half of all calls fail, whatever the operation", 85 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    _failing(scenario, replica, 20, 15, 10 * MINUTE, operation="chat", model="m1")
    _failing(scenario, replica, 10, 0, 10 * MINUTE, operation="email", model="m1")
    below = watched(scenario, Replica(job="below"))
    _failing(scenario, below, 31, 15, 10 * MINUTE, operation="chat", model="m1")
    what = "Error rate", "at or above 50%", "50%", "ai-performance", "auth: 15"
    scenario.silent(name, 10 * MINUTE)
    fired = _said(name, *what, counts="15 of 30 calls", severity="critical")
    scenario.fires(12 * MINUTE, name, fired)
    for minute in (70, 74):
        scenario.fires(minute * MINUTE, name, _not_known(fired, 70 * MINUTE))
    scenario.silent(name, 82 * MINUTE)
    return scenario


def _timed(scenario: Scenario, replica: Replica, calls: int, total: float, at: int, **labels: str) -> None:
    scenario.show(replica, catalog.LATENCY, steps((0, 0), (at, calls)), "_count", **labels)
    scenario.show(replica, catalog.LATENCY, steps((0, 0), (at, total)), "_sum", **labels)


def _slow_and_failing() -> Scenario:
    name = "slow_and_failing"
    scenario = Scenario(
        "slow_and_failing: fires where both hold for one operation, and in an outage", 100 * MINUTE, STEP
    )
    unread = [(20 * MINUTE, 50 * MINUTE)]
    replica = watched(scenario, Replica(unread=unread))
    for operation, total, failed in (("both", 120, 10), ("slow", 120, 0), ("failing", 30, 10)):
        labels = {"operation": operation, "model": "m1"}
        _timed(scenario, replica, 30, total, 10 * MINUTE, **labels)
        _failing(scenario, replica, 30, failed, 10 * MINUTE, **labels)
    summary = "Average latency is above 3s while error rate is above 20%."
    scenario.silent(name, 10 * MINUTE)
    for minute, hour, causes in (
        (12, "", "m1: 4s over 30 calls\n"),
        (19, " in the last hour", "m1: 4s over 30 calls\n"),
        (30, " in the last hour", ""),
        (52, " in the last hour", ""),
    ):
        calls = f"over 30 calls{hour}"
        fired = expected(
            {"severity": "warning", "job": JOB, "operation": "both"},
            summary=summary,
            description=f"Average latency of operation both is 4s ({calls}), above 3s while error rate is above 20%.",
            value="4s",
            rank=rank("4s"),
            contributors=causes,
            unknown_from="",
            unknown_because="",
            **links(name, "ai-performance?var-operation=both"),
        )
        scenario.fires(minute * MINUTE, name, fired)
    return scenario


def _near_timeout() -> Scenario:
    name = "near_timeout"
    scenario = Scenario("near_timeout: fires for the model whose average is above its own timeout", 85 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for model, total, timeout in (("over", 200, 8), ("at", 200, 10), ("under", 200, 30)):
        _timed(scenario, replica, 20, total, 10 * MINUTE, operation="chat", model=model)
        scenario.show(replica, catalog.MODEL_TIMEOUT, timeout, model=model)
    what = "Average latency", "above the timeout", "10s", "ai-performance?var-model=over", "chat: 10s over 20 calls"
    bound = {"bound": "above the timeout of 8s", "of": " of model over"}
    scenario.silent(name, 10 * MINUTE)
    fired = _said(name, *what, **bound, counts="over 20 calls", model="over")
    scenario.fires(12 * MINUTE, name, fired)
    for minute in (70, 74):
        scenario.fires(minute * MINUTE, name, _not_known(fired, 70 * MINUTE))
    scenario.silent(name, 82 * MINUTE)
    return scenario


def _slow_median() -> Scenario:
    name = "slow_median"
    scenario = Scenario("slow_median: fires where the median is above 5 s, from three calls on", 85 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for model, within, calls in (("slow", 1, 4), ("quick", 3, 4), ("few", 0, 2)):
        labels = {"operation": "chat", "model": model}
        _histogram(scenario, replica, {"5": within, "10": calls, "+Inf": calls}, 9, **labels)
        _calls(scenario, replica, catalog.OPERATIONS, calls, 10 * MINUTE, **labels)
    # of four calls the second: a third of the way from 5 to 10 s
    what = "Median response time", "above 5s", "6.667s", "ai-performance?var-model=slow", "chat: 2.25s over 4 calls"
    scenario.silent(name, 10 * MINUTE)
    fired = _said(name, *what, of=" of model slow", counts="over 4 calls", model="slow")
    scenario.fires(12 * MINUTE, name, fired)
    for minute in (70, 74):
        scenario.fires(minute * MINUTE, name, _not_known(fired, 70 * MINUTE))
    scenario.silent(name, 82 * MINUTE)
    return scenario


def _pace() -> Scenario:
    name = "pace"
    scenario = Scenario("pace: fires for the operation that goes on to $300, after two hours of the day", 3 * HOUR)
    replica = watched(scenario, Replica())
    spend(scenario, replica, 40, "chat")
    spend(scenario, replica, 20, "email")
    what = "Projected spend of today", "above $300", "$480.00", "ai-cost?var-operation=chat", "chat on m1: $40.00"
    scenario.silent(name, 119 * MINUTE)
    fired = _said(name, *what, of=" of operation chat", ends=str(DAY), operation="chat")
    scenario.fires(2 * HOUR, name, fired)
    return scenario


def _pace_of_users() -> Scenario:
    name = "pace_of_users"
    scenario = Scenario("pace_of_users: goes by the forecast of a user who has one, else by the pace", 3 * HOUR)
    replica = watched(scenario, Replica())
    for each, spent, ends in (("alice", 1, 11), ("bob", 4, 9), ("carol", 1, None)):
        user(scenario, replica, each, spent, 10)
        if ends is not None:
            scenario.show(replica, catalog.USER_SPEND_FORECAST, steps((0, 5), (10 * MINUTE, ends)), user=each)
    fired = {
        each: expected(
            {"severity": "warning", "job": JOB, "user": each},
            summary="Projected spend of today is above the daily limit.",
            description=f"Projected spend of today of user {each} is {value}, above the daily limit of $10.00.",
            value=value,
            rank=rank(value, of="$10.00"),
            budget_day_ends=str(DAY),
            **links(name, f"ai-cost?var-user={each}"),
            user=each,
        )
        for each, value in (("alice", "$11.00"), ("carol", "$12.00"))
    }
    scenario.silent(name, 9 * MINUTE)
    scenario.fires(11 * MINUTE, name, fired["alice"])
    # carol has spent a dollar in two hours
    scenario.fires(2 * HOUR, name, *fired.values())
    return scenario


def _month_will_not_last() -> Scenario:
    name = "month_will_not_last"
    scenario = Scenario("month_will_not_last: fires while the month's forecast is above its limit", 40 * MINUTE)
    replica = watched(scenario, Replica(unread=[(20 * MINUTE, 30 * MINUTE)]))
    month_spend(scenario, replica, 300)
    scenario.show(replica, catalog.MONTHLY_LIMIT, 900)
    for window, bound, value in (("month", "lower", 2000), ("month", "upper", 2000), ("day", "expected", 2000)):
        scenario.show(replica, catalog.SPEND_FORECAST, value, window=window, bound=bound)
    month = steps((0, 900), (10 * MINUTE, 900.5), (35 * MINUTE, None))
    scenario.show(replica, catalog.SPEND_FORECAST, month, window="month", bound="expected")
    scenario.silent(name, 9 * MINUTE)
    what = "Projected spend of this month", "above the monthly limit", "$900.50", "ai-cost"
    bound = "above the monthly limit of $900.00"
    for minute, causes in ((11, ("chat on m1: $300.00",)), (25, ())):
        fired = _said(name, *what, *causes, bound=bound, ends=str(31 * DAY))
        scenario.fires(minute * MINUTE, name, fired)
    scenario.silent(name, 36 * MINUTE)
    return scenario


def _soon() -> Scenario:
    name = "soon"
    scenario = Scenario("soon: fires within three hours of the limit, and at it, and not after the day", 9 * HOUR)
    days = Window(-16 * HOUR, 8 * HOUR), Window(8 * HOUR, 32 * HOUR)
    replica = watched(scenario, Replica(unread=[(6 * HOUR, 7 * HOUR)]), *days)
    spend(scenario, replica, 10)
    scenario.show(replica, catalog.LIMIT_REACHED, steps((0, 5 * HOUR), (8 * HOUR, None)), window="day")
    scenario.show(replica, catalog.LIMIT_REACHED, HOUR, window="month")
    scenario.silent(name, HOUR, 2 * HOUR)
    what = "Time until the daily limit is reached", "below 3h"
    # the less time is left, the worse it is: by one in so many seconds
    ends, no_time = str(8 * HOUR), f"1{'9' * 14}"
    for second, value, worse in (
        (2 * HOUR + MINUTE, "2h 59m", rank("0")),
        (4 * HOUR, "1h", rank("0")),
        (330 * MINUTE, "0s", no_time),
    ):
        fired = _said(name, *what, value, "ai-cost", "chat on m1: $10.00", ends=ends, ranked=worse)
        scenario.fires(second, name, fired)
    scenario.fires(390 * MINUTE, name, _said(name, *what, "0s", "ai-cost", ends=ends, ranked=no_time))
    scenario.silent(name, 8 * HOUR + MINUTE)
    return scenario


def _soon_of_users() -> Scenario:
    name = "soon_of_users"
    scenario = Scenario("soon_of_users: fires for a user, and not for who stays below the limit", 2 * HOUR)
    replica = watched(scenario, Replica())
    for each, reached in (("alice", 2 * HOUR), ("bob", 4 * HOUR), ("carol", None)):
        user(scenario, replica, each, 1, 10)
        if reached is not None:
            scenario.show(replica, catalog.USER_LIMIT_REACHED, reached, user=each)
    scenario.silent(name, 29 * MINUTE)
    fired = expected(
        {"severity": "warning", "job": JOB, "user": "alice"},
        summary="Time until the daily limit is reached is at or below 90m.",
        description="Time until the daily limit is reached of user alice is 1h 30m, at or below 90m.",
        value="1h 30m",
        rank=rank("0"),
        budget_day_ends=str(DAY),
        **links(name, "ai-cost?var-user=alice"),
        user="alice",
    )
    scenario.fires(30 * MINUTE, name, fired)
    return scenario


def _team_share() -> Scenario:
    name = "team_share"
    scenario = Scenario("team_share: fires for the team above 90 %, and never for a user", 20 * MINUTE)
    replica = scenario.replica(Replica(), TODAY, months=MONTH)
    spend(scenario, replica, steps((0, 90), (10 * MINUTE, 91)))
    scenario.show(replica, catalog.DAILY_LIMIT, 100)
    user(scenario, replica, "alice", 10, 10)
    what = "Share of the daily limit spent", "above 90%", "91%", "ai-cost", "chat on m1: $91.00"
    scenario.silent(name, 9 * MINUTE)
    scenario.fires(11 * MINUTE, name, _said(name, *what, ends=str(DAY)))
    return scenario


def alerts_seen(scenario: Scenario) -> Sequence[dict[str, object]]:
    """What a scenario looks at."""
    looks: Sequence[dict[str, object]] = scenario.written()["alert_rule_test"]
    return looks


def _odd_in_all() -> Scenario:
    scenario = Scenario("odd_in_all: adds what the operations cost too much, and names them", 30 * MINUTE)
    replica = watched(scenario, Replica())
    for operation, excess in (("chat", 6.0), ("email", steps((0, 3.0), (10 * MINUTE, 4.5))), ("plan", 0)):
        scenario.show(replica, catalog.SPEND_ANOMALY, excess, operation=operation)
    for operation, excess in (("chat", 120), ("email", steps((0, 179), (10 * MINUTE, 180)))):
        scenario.show(replica, catalog.CALLS_ANOMALY, excess, operation=operation)
    scenario.silent("odd_in_all", 9 * MINUTE)
    scenario.silent("odd_calls_in_all", 9 * MINUTE)
    what = "Spend beyond the usual"
    said = _said("odd_in_all", what, "above $10", "$10.50", "ai-cost", "chat: $6.00", "email: $4.50")
    scenario.fires(11 * MINUTE, "odd_in_all", said)
    scenario.fires(
        11 * MINUTE, "odd_calls_in_all", _odd("odd_calls_in_all", "Calls", "at or above 300", "300", "ai-cost")
    )
    return scenario


def _odd(name: str, what: str, relation: str, value: str, dashboard: str, operation: str = "") -> Expected:
    """What has no causes."""
    of = {"of": f" of operation {operation}", "operation": operation} if operation else {}
    path = f"{dashboard}?var-operation={operation}" if operation else dashboard
    said = _said(name, f"{what} beyond the usual", relation, value, path, **of)
    return {**said, "annotations": {key: text for key, text in said["annotations"].items() if key != "contributors"}}


def _odd_operations() -> Scenario:
    scenario = Scenario("odd_calls and the like: fire for the operation that is above the amount", 30 * MINUTE)
    replica = watched(scenario, Replica())
    cases: tuple[tuple[Metric, str, str, str, str, float, str], ...] = (
        (catalog.CALLS_ANOMALY, "odd_calls", "Calls", "100", "ai-cost", 120, "120"),
        (catalog.LATENCY_ANOMALY, "odd_latency", "Average latency", "500ms", "ai-performance", 1.5, "1.5s"),
        (catalog.ERROR_RATE_ANOMALY, "odd_errors", "Error rate", "5%", "ai-performance", 0.25, "25%"),
        (catalog.COST_PER_CALL_ANOMALY, "odd_cost", "Cost per call", "$0.01", "ai-performance", 0.05, "$0.05"),
        (catalog.TOKENS_PER_CALL_ANOMALY, "odd_tokens", "Tokens per call", "500", "ai-performance", 900, "900"),
    )
    for metric, name, what, amount, dashboard, excess, value in cases:
        scenario.show(replica, metric, steps((0, 0), (10 * MINUTE, excess)), operation="chat")
        scenario.show(replica, metric, excess / 10, operation="email")
        scenario.silent(name, 9 * MINUTE)
        scenario.fires(11 * MINUTE, name, _odd(name, what, f"above {amount}", value, dashboard, "chat"))
    return scenario
