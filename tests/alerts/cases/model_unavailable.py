"""`model_unavailable`: half a model's calls reach its timeout, or it is called and nothing succeeds."""

from collections.abc import Iterator, Sequence

from exporter import catalog
from tests.alerts.cases import ratios
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind, Seen, above_of, calls_of
from tests.alerts.cases.said import Expected, model_over_timeout, model_unavailable, model_without_success
from tests.support.scenario import HOUR, JOB, MINUTE, Replica, Scenario, Span, Value, steps

NAME = "model_unavailable"
KEPT = 5 * MINUTE


def add(scenario: Scenario, replica: Replica, key: str, part: str, batches: Sequence[Batch]) -> None:
    """Calls to a model that has just succeeded; some of them reached its timeout."""
    labels = {"operation": part or "chat", "model": key}
    scenario.show(replica, catalog.OPERATIONS, calls_of(batches), **labels)
    scenario.show(replica, catalog.OVER_TIMEOUT, above_of(batches), **labels)
    if part != "whole":
        scenario.show(replica, catalog.MODEL_TIMEOUT, 90, model=key)
        scenario.show(replica, catalog.MODEL_LAST_SUCCESS, float, model=key)


def said(key: str, calls: float, above: float, seen: Seen) -> Expected:
    """What is expected."""
    causes = [f"{part or 'chat'}: {over:.0f}" for part, (_, over) in seen.parts.items() if over]
    counts = f"{above:.0f} of {calls:.0f} calls{seen.hour}"
    return model_over_timeout(key, f"{100 * above / calls:.4g}%", counts, "1m 30s", *causes)


CALM: Batch = (5 * MINUTE, 1000, 0)

EDGES: Sequence[tuple[Sequence[Batch], bool]] = (
    # half of them or more, and within five minutes certainly more than a fifth, at 99.9 %
    ([CALM, (30 * MINUTE, 3, 3)], True),
    ([CALM, (30 * MINUTE, 3, 2)], False),
    ([CALM, (30 * MINUTE, 17, 9)], True),
    ([CALM, (30 * MINUTE, 18, 9)], True),
    ([CALM, (30 * MINUTE, 16, 8)], False),
    # within the hour, at 97.5 %
    ([(5 * MINUTE, 997, 223), (30 * MINUTE, 3, 2)], True),
    ([(5 * MINUTE, 997, 222), (30 * MINUTE, 3, 2)], False),
    # exactly as many as may be by chance
    ([(5 * MINUTE, 999_997, 200_782), (30 * MINUTE, 3, 2)], False),
)

KIND = Kind(
    NAME,
    "model",
    3,
    lambda calls: calls - calls // 4,
    lambda calls: calls * 0.5,
    True,
    add,
    said,
    EDGES,
    clear=lambda calls: calls,
)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield from ratios.ratio_scenarios(KIND)
    yield _timeout_is_no_edge()
    yield _half_of_few()
    yield _no_success()
    yield _no_success_again()
    yield _no_calls_any_more()
    yield _seen_late()
    yield _both_reasons()
    yield _signs_of_trouble()
    yield _newest_success()
    yield _one_call_in_time()
    yield _no_success_outage()
    yield _no_success_pending()
    yield _no_success_backlog()
    yield _no_success_replicas()
    yield _no_success_two_jobs()
    yield _no_success_causes()


def _half_of_few() -> Scenario:
    scenario = Scenario("is silent for two of four calls in an hour, also while there are no calls", 60 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    add(scenario, replica, "m1", "", [(5 * MINUTE, 2, 1), (10 * MINUTE, 2, 1)])
    scenario.silent(NAME, *(minute * MINUTE for minute in (6, 11, 12, 14, 17, 30, 59)))
    return scenario


def _timeout_is_no_edge() -> Scenario:
    scenario = Scenario("needs no histogram, and names the timeout and the operations", 30 * MINUTE, STEP)
    first, second = (watched(scenario, Replica(name)) for name in ("a:9867", "b:9867"))
    for replica, timeout in ((first, 45), (second, 60)):
        for number, operation in enumerate(("a", "b", "c", "d"), start=2):
            labels = {"operation": operation, "model": "m1"}
            scenario.show(replica, catalog.OPERATIONS, steps((0, 0), (10 * MINUTE, number)), **labels)
            scenario.show(replica, catalog.OVER_TIMEOUT, steps((0, 0), (10 * MINUTE, number - 1)), **labels)
            # one call has no latency
            for part, total in (("_count", number - (operation == "d")), ("_sum", 40 * number)):
                scenario.show(replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, total)), part, **labels)
        scenario.show(replica, catalog.MODEL_TIMEOUT, timeout, model="m1")
        scenario.show(replica, catalog.MODEL_LAST_SUCCESS, float, model="m1")
    said = "71.43%", "10 of 14 calls", "45s", "d: 4", "c: 3", "b: 2", "others: 1"
    scenario.fires(12 * MINUTE, NAME, model_over_timeout("m1", *said, took="43.08s"))
    return scenario


def model(
    scenario: Scenario, replica: Replica, name: str, calls: Value, succeeded: Value, operation: str = "chat"
) -> None:
    """Calls to a model that come back before its timeout, and the time of its last success."""
    labels = {"operation": operation, "model": name}
    scenario.show(replica, catalog.OPERATIONS, calls, **labels)
    scenario.show(replica, catalog.OVER_TIMEOUT, 0, **labels)
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, succeeded, model=name)


def _no_success() -> Scenario:
    scenario = Scenario(
        "fires for three calls and no success in a quarter of an hour, and not for two", 90 * MINUTE, STEP
    )
    replica = watched(scenario, Replica())
    at = 20 * MINUTE
    model(scenario, replica, "three", steps((0, 0), (at, 3)), 60)
    model(scenario, replica, "two", steps((0, 0), (at, 2)), 60)
    # a success within the quarter of an hour, also one before the calls
    model(scenario, replica, "well", steps((0, 0), (at, 9)), at - 60)
    model(scenario, replica, "spread", steps((0, 0), (at, 1), (at + 8 * MINUTE, 2), (at + 11 * MINUTE, 3)), 60)
    # a success is taken for none from the second on at which it is a quarter of an hour old
    model(scenario, replica, "edge", steps((0, 0), (at + 5 * MINUTE, 3)), at)
    model(scenario, replica, "never", steps((0, 0), (at, 4)), lambda _: None)
    three = model_without_success("three", 3, "chat: 3")
    never = model_without_success("never", 4, "chat: 4")
    scenario.silent(NAME, 19 * MINUTE, 20 * MINUTE)
    scenario.fires(22 * MINUTE, NAME, three, never)
    scenario.fires(32 * MINUTE, NAME, three, never)
    # the calls leave the window after a quarter of an hour: nobody calls, and nobody knows
    last = 34 * MINUTE + HOUR + KEPT
    three, never, spread = (
        model_without_success(name, calls, unknown_from=last)
        for name, calls in (("three", 3), ("never", 4), ("spread", 3))
    )
    edge = model_without_success("edge", 3, "chat: 3")
    scenario.fires(35 * MINUTE, NAME, three, never, spread)
    scenario.fires(36 * MINUTE, NAME, three, never, spread, edge)
    scenario.fires(39 * MINUTE, NAME, three, never, spread, edge)
    edge = model_without_success("edge", 3, unknown_from=39 * MINUTE + HOUR + KEPT)
    scenario.fires(46 * MINUTE, NAME, three, never, spread, edge)
    return scenario


def _no_calls_any_more() -> Scenario:
    scenario = Scenario(
        "waits an hour for a success where nobody calls any more, and tells that it is not known then",
        150 * MINUTE,
        STEP,
    )
    replica = watched(scenario, Replica())
    at = 20 * MINUTE
    model(scenario, replica, "quiet", steps((0, 0), (at, 3)), 60)
    model(
        scenario, replica, "well-again", steps((0, 0), (at, 3), (70 * MINUTE, 4)), steps((0, 60), (70 * MINUTE, 4200))
    )
    # one that fails at once after its timeouts, and too seldom to tell: it has not recovered
    model(scenario, replica, "fails", steps((0, 0), (at, 3), (37 * MINUTE, 5)), 60)
    # half of the calls to it time out, then nobody calls; the hour before is well, and no success comes after
    timed_out = {"operation": "chat", "model": "late"}
    scenario.show(replica, catalog.OPERATIONS, steps((0, 0), (10 * MINUTE, 50), (at, 60)), **timed_out)
    scenario.show(replica, catalog.OVER_TIMEOUT, steps((0, 0), (at, 10)), **timed_out)
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, at + 30, model="late")
    scenario.show(replica, catalog.MODEL_TIMEOUT, 90, model="late")
    quiet, fails, late = 34 * MINUTE + HOUR + KEPT, 34 * MINUTE + HOUR + KEPT, 24 * MINUTE + HOUR + KEPT
    again = model_without_success("well-again", 3, unknown_from=quiet)
    for minute in (44, 69):
        scenario.fires(
            minute * MINUTE,
            NAME,
            model_without_success("quiet", 3, unknown_from=quiet),
            again,
            model_without_success("fails", 3, unknown_from=fails),
            model_over_timeout("late", "100%", "", "1m 30s", "chat: 10", unknown_from=late),
        )
    return scenario


def _seen_late() -> Scenario:
    scenario = Scenario("takes a success that is seen three minutes late, and no older one", 80 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for name, seen in (("in-time", 30 * MINUTE), ("too-old", 30 * MINUTE + 25)):
        calls = steps((0, 0), (20 * MINUTE, 3), (seen, 4))
        # dated at 26:25: the last sign is that of 29:00, as the calls of the evaluation after it are seen
        model(scenario, replica, name, calls, steps((0, 60), (seen, 26 * MINUTE + 25 if name == "in-time" else 1559)))
    said = "It is not known yet whether too-old has recovered."
    old = model_unavailable("too-old", said, "not known", "0", [], 30 * MINUTE + HOUR + KEPT)
    scenario.fires(34 * MINUTE, NAME, model_without_success("in-time", 3, "chat: 3"), old)
    scenario.fires(36 * MINUTE, NAME, old)
    return scenario


def _both_reasons() -> Scenario:
    scenario = Scenario("is one alert, with both reasons said, and goes on while either holds", 90 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    at = 20 * MINUTE
    labels = {"operation": "chat", "model": "m1"}
    # calls time out, and then fail at once
    scenario.show(replica, catalog.OPERATIONS, steps((0, 0), (at, 6), (27 * MINUTE, 12), (32 * MINUTE, 22)), **labels)
    scenario.show(replica, catalog.OVER_TIMEOUT, steps((0, 0), (at, 4)), **labels)
    scenario.show(replica, catalog.MODEL_LAST_SUCCESS, 60, model="m1")
    scenario.show(replica, catalog.MODEL_TIMEOUT, 90, model="m1")
    late, none = (
        "66.67% of the calls to m1 (4 of 6 calls) reached their timeout of 1m 30s.",
        "6 calls to m1 ended, and none of them succeeded.",
    )
    short = "66.67% over the timeout", "6 calls without a success"
    scenario.silent(NAME, 20 * MINUTE)
    both = model_unavailable("m1", f"{late} {none}", ", ".join(short), "6", ["chat: 4"])
    scenario.fires(22 * MINUTE, NAME, both)
    scenario.fires(33 * MINUTE, NAME, model_without_success("m1", 22, "chat: 22"))
    return scenario


def _signs_of_trouble() -> Scenario:
    record = "job_model:ai_model_unavailable:unknown_from5m_min3"
    scenario = Scenario(f"{record} is an hour after the last sign of trouble, and gone then", 90 * MINUTE, STEP)
    jobs = {"read": Replica(job="read"), "unread": Replica(job="unread", unread=[(73 * MINUTE + 30, 80 * MINUTE)])}
    batches = {
        # exactly half of them, and one alone of five minutes that makes it more than half of an hour's
        "half": [(10 * MINUTE, 4, 2)],
        "one": [(5 * MINUTE, 2, 1), (30 * MINUTE, 1, 1)],
        "fewer": [(10 * MINUTE, 5, 2)],
    }
    for replica in jobs.values():
        watched(scenario, replica)
        for name, calls in batches.items():
            labels = {"operation": "chat", "model": name}
            scenario.show(replica, catalog.OPERATIONS, calls_of(calls), **labels)
            scenario.show(replica, catalog.OVER_TIMEOUT, above_of(calls), **labels)
            scenario.show(replica, catalog.MODEL_LAST_SUCCESS, 11 * MINUTE, model=name)
    halves, ones = ([f'{record}{{job="{job}", model="{name}"}}' for job in jobs] for name in ("half", "one"))
    last = 14 * MINUTE + HOUR
    scenario.figure(11 * MINUTE, record, dict.fromkeys(halves, 11 * MINUTE + HOUR))
    scenario.figure(20 * MINUTE, record, dict.fromkeys(halves, last))
    later = dict.fromkeys(ones, 34 * MINUTE + HOUR)
    scenario.figure(31 * MINUTE, record, dict.fromkeys(halves, last) | dict.fromkeys(ones, 31 * MINUTE + HOUR))
    scenario.figure(73 * MINUTE, record, dict.fromkeys(halves, last) | later)
    # gone at the very second, also where the log is not read from then on
    scenario.figure(74 * MINUTE, record, {ones[0]: 34 * MINUTE + HOUR, ones[1]: 74 * MINUTE + HOUR})
    # while the log is not read, the hour begins anew at each evaluation
    scenario.figure(76 * MINUTE, record, {ones[0]: 34 * MINUTE + HOUR, ones[1]: 76 * MINUTE + HOUR})
    return scenario


def _newest_success() -> Scenario:
    unknown_from = "job_model:ai_model_unavailable:unknown_from5m_min3"
    unanswered = "job_model:ai_model_unavailable:unanswered5m_min3"
    scenario = Scenario(f"{unanswered} takes the newest success that any replica knows", 60 * MINUTE, STEP)
    at = 20 * MINUTE
    # too few for a reason of their own from 36:00 on, but signs of trouble; the last one is that of 56:00
    calls: list[Batch] = [(at, 3, 3), *((at + later * MINUTE, 1, 1) for later in (8, 16, 24, 32))]
    first = 60
    # what two replicas know of at 57:00, when a success counts if it is of less than a quarter of an hour ago
    known: dict[str, tuple[int, int]] = {
        "none": (first, first),
        "old": (28 * MINUTE, 28 * MINUTE),
        "edge": (42 * MINUTE, 42 * MINUTE),
        "one": (42 * MINUTE + 30, first),
        "other": (first, 42 * MINUTE + 30),
        # three minutes before the last sign, and later: it has recovered
        "sign": (53 * MINUTE, 53 * MINUTE),
        "well": (53 * MINUTE + 1, first),
    }
    for number, instance in enumerate(("a:9867", "b:9867")):
        replica = watched(scenario, Replica(instance))
        for name, successes in known.items():
            labels = {"operation": "chat", "model": name}
            scenario.show(replica, catalog.OPERATIONS, calls_of(calls), **labels)
            scenario.show(replica, catalog.OVER_TIMEOUT, above_of(calls), **labels)
            newest = steps((0, first), (56 * MINUTE + 30, successes[number]))
            scenario.show(replica, catalog.MODEL_LAST_SUCCESS, newest, model=name)

    def of(record: str, value: float, *names: str) -> dict[str, float]:
        return {f'{record}{{job="{JOB}", model="{name}"}}': value for name in names}

    scenario.figure(56 * MINUTE, unanswered, of(unanswered, 4, *known))
    scenario.figure(57 * MINUTE, unanswered, of(unanswered, 4, "none", "old", "edge"))
    signs = of(unknown_from, 56 * MINUTE + HOUR, *(name for name in known if name != "well"))
    scenario.figure(57 * MINUTE, unknown_from, signs)
    return scenario


def _one_call_in_time() -> Scenario:
    record = "job_model:ai_model_unavailable:timeouts5m_min3"
    scenario = Scenario(f"{record} ends with one call in time where that makes it few of an hour's", 60 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    batches: dict[str, list[Batch]] = {"nobody": [], "one": [(30 * MINUTE, 1, 0)]}
    for name, later in batches.items():
        calls: list[Batch] = [(5 * MINUTE, 10, 0), (20 * MINUTE, 4, 3), *later]
        labels = {"operation": "chat", "model": name}
        scenario.show(replica, catalog.OPERATIONS, calls_of(calls), **labels)
        scenario.show(replica, catalog.OVER_TIMEOUT, above_of(calls), **labels)
        scenario.show(replica, catalog.MODEL_LAST_SUCCESS, 60, model=name)
    nobody, one = (f'{record}{{job="{JOB}", model="{name}"}}' for name in batches)
    scenario.figure(29 * MINUTE, record, {nobody: 0.75, one: 0.75})
    scenario.figure(31 * MINUTE, record, {nobody: 0.75})
    return scenario


def _no_success_again() -> Scenario:
    scenario = Scenario("resolves five minutes after a success", 60 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    calls = steps(*((second, float(second // 60)) for second in range(0, 60 * MINUTE, 60)))
    model(scenario, replica, "m1", calls, steps((0, 0), (30 * MINUTE, 30 * MINUTE)))
    scenario.silent(NAME, 14 * MINUTE)
    scenario.fires(29 * MINUTE, NAME, model_without_success("m1", 14, "chat: 14"))
    scenario.fires(34 * MINUTE, NAME, model_without_success("m1", 14, "chat: 14"))
    scenario.silent(NAME, 35 * MINUTE, 44 * MINUTE)
    scenario.fires(47 * MINUTE, NAME, model_without_success("m1", 14, "chat: 14"))
    return scenario


def _outage(what: str, unread: Sequence[Span] = (), down: Sequence[Span] = ()) -> Replica:
    return Replica(job=what, unread=unread, down=down)


def _no_success_outage() -> Scenario:
    scenario = Scenario(
        "holds a model without a success over an outage of the log, of five minutes and of an hour", 150 * MINUTE, STEP
    )
    hour, five = [(30 * MINUTE, 90 * MINUTE)], [(30 * MINUTE, 35 * MINUTE)]
    for replica in (_outage("unread", hour), _outage("down", down=hour), _outage("gap", five)):
        watched(scenario, replica)
        model(scenario, replica, "m1", steps((0, 0), (25 * MINUTE, 6)), 60)
        # what succeeds is no one's alert, during an outage neither
        model(scenario, replica, "well", steps((0, 0), (25 * MINUTE, 6)), float)
    jobs = ("unread", "down", "gap")
    scenario.fires(29 * MINUTE, NAME, *(model_without_success("m1", 6, "chat: 6", job=job) for job in jobs))
    held = [model_without_success("m1", 6, job=job) for job in jobs]
    # nobody calls after the outage either, and the hour of which that is known begins with its end
    for minute in (30, 36, 48, 80):
        scenario.fires(minute * MINUTE, NAME, *held)
    for minute in (104, 150):
        unknown = None if minute < 110 else 149 * MINUTE + HOUR + KEPT
        last = [model_without_success("m1", 6, job=job, unknown_from=unknown) for job in jobs[:2]]
        gap = model_without_success("m1", 6, job="gap", unknown_from=94 * MINUTE + HOUR + KEPT)
        scenario.fires(minute * MINUTE, NAME, *last, gap)
    return scenario


def _no_success_pending() -> Scenario:
    scenario = Scenario("does not begin to fire in an outage for a model without a success", 80 * MINUTE, STEP)
    replica = watched(scenario, Replica(unread=[(30 * MINUTE + 25, 70 * MINUTE)]))
    model(scenario, replica, "one", steps((0, 0), (30 * MINUTE, 6)), 60)
    # not for what fires beside it, of the same job, of another one, for another reason or of another name
    model(scenario, replica, "beside", steps((0, 0), (25 * MINUTE, 6)), 60)
    model(scenario, watched(scenario, Replica(job="other")), "one", steps((0, 0), (25 * MINUTE, 6)), 60)
    fired = model_without_success("beside", 6, "chat: 6")
    labels = {**fired["labels"], "alertstate": "firing", "model": "one"}
    scenario.raw("ALERTS", {"alertname": "another_alert", **labels}, 1)
    other = model_without_success("one", 6, "chat: 6", job="other")
    scenario.silent(NAME, 25 * MINUTE)
    scenario.fires(30 * MINUTE, NAME, fired, other)
    held = model_without_success("beside", 6)
    for minute in (31, 32, 39):
        scenario.fires(minute * MINUTE, NAME, held, other)
    # of the other job it is known that nobody calls
    other = model_without_success("one", 6, unknown_from=39 * MINUTE + HOUR + KEPT, job="other")
    scenario.fires(60 * MINUTE, NAME, held, other)
    return scenario


def _no_success_backlog() -> Scenario:
    scenario = Scenario("does not fire for an outage's calls that land after it", 150 * MINUTE, STEP)
    spans = [(20 * MINUTE, 80 * MINUTE)]
    for replica in (_outage("unread", spans), _outage("down", down=spans)):
        watched(scenario, replica)
        model(scenario, replica, "m1", steps((0, 0), (50 * MINUTE, 30)), 60)
        model(scenario, replica, "m2", steps((0, 0), (50 * MINUTE, 30)), lambda _: None)
    scenario.silent(NAME, *(minute * MINUTE for minute in (20, 79, 81, 90, 95, 96, 110, 150)))
    return scenario


def _no_success_replicas() -> Scenario:
    scenario = Scenario("counts calls once, and takes the newest success that any replica knows", 60 * MINUTE, STEP)
    for instance, folded in (("a:9867", "email"), ("b:9867", "other")):
        replica = watched(scenario, Replica(instance))
        model(scenario, replica, "two", steps((0, 0), (20 * MINUTE, 1)), 60)
        labels = {"operation": folded, "model": "two"}
        scenario.show(replica, catalog.OPERATIONS, steps((0, 0), (20 * MINUTE, 1)), **labels)
        model(scenario, replica, "well", steps((0, 0), (20 * MINUTE, 5)), float if folded == "other" else 60)
        model(scenario, replica, "bad", steps((0, 0), (20 * MINUTE, 2)), 60)
        more = steps((0, 0), (20 * MINUTE, 1 if folded == "email" else 0))
        scenario.show(replica, catalog.OPERATIONS, more, operation=folded, model="bad")
    bad = model_without_success("bad", 3, "chat: 2", "email: 1")
    scenario.fires(25 * MINUTE, NAME, bad)
    return scenario


def _no_success_two_jobs() -> Scenario:
    scenario = Scenario("keeps jobs apart: the success of one is none of the other's", 80 * MINUTE, STEP)
    first = watched(scenario, Replica("a:9867", unread=[(30 * MINUTE, 60 * MINUTE)]))
    second = watched(scenario, Replica("a:9867", job="second"))
    model(scenario, first, "m1", steps((0, 0), (20 * MINUTE, 6)), 60)
    model(scenario, second, "m1", steps((0, 0), (20 * MINUTE, 6)), float)
    scenario.fires(25 * MINUTE, NAME, model_without_success("m1", 6, "chat: 6"))
    for minute in (31, 55):
        scenario.fires(minute * MINUTE, NAME, model_without_success("m1", 6))
    return scenario


def _no_success_causes() -> Scenario:
    record = "job_instance_operation_model:ai_operations_without_success:increase15m_min3_by_cause_of_model"
    leading = "job_instance_model:ai_operations:leading15m"
    scenario = Scenario(f"{record}: of the leading replica, apart by job, by replica and by model", 95 * MINUTE, STEP)
    a, b, unread = "a:9867", "b:9867", [(80 * MINUTE, 81 * MINUTE)]
    # more in half of the window and in twice as much, and more than is known: one that has not read throughout
    ahead = steps((0, 0), (10 * MINUTE, 900), (65 * MINUTE, 990), (86 * MINUTE, 991))
    leads = {(JOB, "m1"): a, (JOB, "m2"): b, (JOB, "m3"): a, ("second", "m1"): b, ("second", "m2"): a}
    leads["second", "m3"] = a
    for job in (JOB, "second"):
        replicas = {name: watched(scenario, Replica(name, job=job)) for name in (a, b)}
        # there are no calls that the second one knows of
        other = watched(scenario, Replica("c:9867", job=job, unread=unread if job == JOB else []))
        for name in ("m1", "m2", "m3"):
            # the last of them has succeeded in one job
            succeeded = float if (job, name) == (JOB, "m3") else 60
            for instance, replica in replicas.items():
                if instance == leads[job, name]:
                    for operation, calls in (("chat", 10), ("email", 8)):
                        risen = steps((0, 0), (10 * MINUTE, 50), (80 * MINUTE, 50 + calls))
                        model(scenario, replica, name, risen, succeeded, operation)
                else:
                    model(scenario, replica, name, ahead, succeeded)
            if job == JOB:
                model(scenario, other, name, steps((0, 0), (80 * MINUTE, 500)), succeeded)
    most = {f'{leading}{{job="{job}", instance="{at}", model="{name}"}}': 18.0 for (job, name), at in leads.items()}
    scenario.figure(90 * MINUTE, leading, most)
    told = {
        f'{record}{{job="{job}", instance="{at}", operation="{operation}", model="{name}"}}': calls
        for (job, name), at in leads.items()
        for operation, calls in (("chat", 10.0), ("email", 8.0))
        if (job, name) != (JOB, "m3")
    }
    scenario.figure(90 * MINUTE, record, told)
    return scenario
