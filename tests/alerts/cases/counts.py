"""The counts behind a figure: of the window that it is taken over, and held with it over a gap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from exporter import catalog
from tests.alerts.cases import high_error_rate, model_unavailable, slow_operations
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind, above_of, calls_of
from tests.support.scenario import HOUR, JOB, MINUTE, Replica, Scenario

FIVE = 5 * MINUTE

Causes = tuple[tuple[str, tuple[float, float]], ...]
"""Labels of a cause of an instance, and its value where five minutes have calls enough, and where only the hour has."""


@dataclass(frozen=True)
class Counted:
    """The records of a figure: `record` is the value's name, `kind` adds the counters and knows the fewest calls.

    With `all_failed`, five calls that all failed are enough.
    """

    kind: Kind
    record: str
    all_failed: bool = False


COUNTED = (
    Counted(high_error_rate.KIND, "job_operation:ai_operation_failures_per_operation:ratio5m_min20", True),
    Counted(slow_operations.KIND, "job_operation:ai_operation_latency_seconds:mean5m_min20"),
    Counted(model_unavailable.KIND, "job_model:ai_operations_over_timeout_per_operation:ratio5m_min3"),
)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for counted in COUNTED:
        yield _held(counted)
    for kind, leading, records in CAUSES:
        yield _causes(kind, leading, records)
        yield _causes_apart(kind, records)


def _held(counted: Counted) -> Scenario:
    scenario = Scenario(f"{counted.record} has the counts of its window, held over a gap", 100 * MINUTE, STEP)
    gap = [(20 * MINUTE, 80 * MINUTE)]
    kind, least = counted.kind, counted.kind.least
    for job, unread in ((JOB, gap), ("read", [])):
        replica = watched(scenario, Replica(job=job, unread=unread))
        # enough calls within five minutes, and enough only within the hour
        batches: dict[str, Sequence[Batch]] = {
            "five": [(5 * MINUTE, 7, 1), (18 * MINUTE, least, 1)],
            "hour": [(5 * MINUTE, least - 1, 1), (18 * MINUTE, 1, 1)],
            "few": [(18 * MINUTE, least - 1, 0)],
            **({"failed": [(5 * MINUTE, 2, 2), (18 * MINUTE, 3, 3)]} if counted.all_failed else {}),
        }
        for key, of in batches.items():
            kind.add(scenario, replica, key, "", of)
    before = {"five": (FIVE, least, 1), "hour": (HOUR, least, 2)}
    before |= {"failed": (HOUR, 5, 5)} if counted.all_failed else {}
    later = {**before, "five": (HOUR, least + 7, 2)}
    after = {"five": (HOUR, least, 1)}
    for minute, jobs in (
        (19, {JOB: before, "read": before}),
        (21, {JOB: before, "read": before}),
        (60, {JOB: before, "read": later}),
        (77, {JOB: before, "read": after}),
        (90, {JOB: before}),
    ):
        for number, name in enumerate(("window", "calls", "numerator")):
            record = f"{counted.record}_{name}_held"
            expected = {
                f'{record}{{job="{job}", {kind.key}="{key}"}}': float(values[number])
                for job, keys in jobs.items()
                for key, values in keys.items()
            }
            scenario.figure(minute * MINUTE, record, expected)
    return scenario


def _failing(scenario: Scenario, replica: Replica, key: str, part: str, batches: Sequence[Batch]) -> None:
    """Calls of an operation, half of them on each of two models; the part is the class of all failures."""
    half = [(at, calls / 2, above / 2) for at, calls, above in batches]
    for name in ("m1", "m2"):
        labels = {"operation": key, "model": name}
        scenario.show(replica, catalog.OPERATIONS, calls_of(half), **labels)
        scenario.show(replica, catalog.FAILURES, above_of(half), **labels, error_class=part or "rate_limit")
        scenario.show(replica, catalog.FAILURES, 0, **labels, error_class="timeout")


def _timed(scenario: Scenario, replica: Replica, key: str, part: str, batches: Sequence[Batch]) -> None:
    """Calls to a model, all of them with a latency: the upper part is their seconds."""
    labels = {"operation": part or "chat", "model": key}
    scenario.show(replica, catalog.OPERATIONS, calls_of(batches), **labels)
    scenario.show(replica, catalog.LATENCY, calls_of(batches), "_count", **labels)
    scenario.show(replica, catalog.LATENCY, above_of(batches), "_sum", **labels)


_LATENCY = "job_instance_operation_model:ai_operation_latency_seconds:mean5m_min20"
_TIMEOUT = "job_instance_operation_model:ai_operations_over_timeout_per_operation:ratio5m_min3"

CAUSES: tuple[tuple[Kind, str, Mapping[str, Causes]], ...] = (
    (
        replace(high_error_rate.KIND, add=_failing),
        "job_instance_operation:ai_operations:leading",
        {
            "job_operation_error_class:ai_operation_failures_per_operation:ratio5m_min20_by_cause": (
                ('error_class="rate_limit"', (8, 13)),
                ('error_class="timeout"', (0, 0)),
            )
        },
    ),
    (
        slow_operations.KIND,
        "job_instance_operation:ai_operation_latency_seconds_count:leading",
        {
            f"{_LATENCY}_calls_by_cause_of_operation": (('instance="{instance}", model="m1"', (24, 74)),),
            f"{_LATENCY}_by_cause_of_operation": (('instance="{instance}", model="m1"', (8, 13)),),
        },
    ),
    (
        model_unavailable.KIND,
        "job_instance_model:ai_operations:leading",
        {f"{_TIMEOUT}_by_cause_of_model": (('instance="{instance}", operation="chat"', (8, 13)),)},
    ),
    (
        replace(model_unavailable.KIND, add=_timed),
        "job_instance_model:ai_operations:leading",
        {
            f"{_TIMEOUT}_timed_of_model": (('instance="{instance}", operation="chat"', (24, 74)),),
            f"{_TIMEOUT}_seconds_of_model": (('instance="{instance}", operation="chat"', (8, 13)),),
        },
    ),
)

_BEFORE: Sequence[Batch] = ((10 * MINUTE, 100, 50), (40 * MINUTE, 40, 2), (70 * MINUTE, 30, 10), (82 * MINUTE, 2, 1))
IN_FIVE: Sequence[Batch] = (*_BEFORE, (86 * MINUTE, 24, 8))
"""Calls enough in the five minutes before the ninetieth."""
IN_HOUR: Sequence[Batch] = (*_BEFORE, (86 * MINUTE, 2, 0))
"""Calls enough in the hour before it."""


@dataclass(frozen=True)
class Told:
    """A key whose causes are told: of five minutes or of an hour, and by which replica."""

    job: str
    key: str
    wide: bool
    instance: str = "a:9867"

    def of(self, record: str, causes: Causes, key: str) -> dict[str, float]:
        """The samples of a record whose label is `key`."""
        stem = f'{record}{{job="{self.job}", {key}="{self.key}"'
        return {f"{stem}, {labels.format(instance=self.instance)}}}": float(of[self.wide]) for labels, of in causes}


def _look(scenario: Scenario, kind: Kind, records: Mapping[str, Causes], told: Sequence[Told]) -> None:
    for record, causes in records.items():
        expected = {text: value for one in told for text, value in one.of(record, causes, kind.key).items()}
        scenario.figure(90 * MINUTE, record, expected)


def _causes(kind: Kind, leading: str, records: Mapping[str, Causes]) -> Scenario:
    """The causes of what has calls enough in five minutes, and of what has them in an hour; other jobs reversed."""
    which = " and ".join(records)
    scenario = Scenario(f"{which}: of the figure's window and of the leading replica", 95 * MINUTE, STEP)
    jobs = {JOB: ("one", "two"), "second": ("two", "one")}
    for job, (in_five, in_hour) in jobs.items():
        replica = watched(scenario, Replica(job=job))
        kind.add(scenario, replica, in_five, "", IN_FIVE)
        kind.add(scenario, replica, in_hour, "", IN_HOUR)
    # more in half of each window and in twice as much, and more than is known: one that has not read throughout
    more = watched(scenario, Replica("b:9867"))
    unread = watched(scenario, Replica("c:9867", unread=[(80 * MINUTE, 81 * MINUTE), (87 * MINUTE, 88 * MINUTE)]))
    watched(scenario, Replica("c:9867", job="second"))
    ahead = [(10 * MINUTE, 1000, 0), (75 * MINUTE, 10, 0), (82 * MINUTE, 46, 0), (89 * MINUTE, 1, 0)]
    for key in jobs[JOB]:
        kind.add(scenario, more, key, "", ahead)
        kind.add(scenario, unread, key, "", [(75 * MINUTE, 500, 0), (86 * MINUTE, 500, 0)])
    told = [Told(job, key, wide) for job, keys in jobs.items() for wide, key in zip((False, True), keys, strict=True)]
    _look(scenario, kind, records, told)
    for span, calls in (("5m", (24.0, 2.0)), ("1h", (96.0, 74.0))):
        most = {
            f'{leading}{span}{{job="{one.job}", instance="a:9867", {kind.key}="{one.key}"}}': calls[one.wide]
            for one in told
        }
        scenario.figure(90 * MINUTE, f"{leading}{span}", most)
    return scenario


def _causes_apart(kind: Kind, records: Mapping[str, Causes]) -> Scenario:
    """Windows and leading replicas by job and key; what has too few calls is in neither window."""
    which = " and ".join(records)
    scenario = Scenario(f"{which}: apart by job, by replica and by {kind.key}", 95 * MINUTE, STEP)
    a, b, second = "a:9867", "b:9867", "second"
    told = (
        Told(JOB, "one", False, a), Told(second, "one", True, b),
        Told(JOB, "two", True, a), Told(second, "two", False, b),
        Told(JOB, "three", False, b), Told(second, "three", True, a),
        Told(JOB, "four", True, b), Told(second, "four", False, a),
        # its hour is another one's, which has a cause of its own
        Told(JOB, "led", False, a), Told(second, "few", True, a),
    )  # fmt: skip
    replicas = {(job, name): watched(scenario, Replica(name, job=job)) for job in (JOB, second) for name in (a, b)}
    for one in told:
        kind.add(scenario, replicas[one.job, one.instance], one.key, "", IN_HOUR if one.wide else IN_FIVE)
        if one.key not in ("led", "few"):
            behind = replicas[one.job, b if one.instance == a else a]
            kind.add(scenario, behind, one.key, "", [(70 * MINUTE, 4, 3), (86 * MINUTE, 1, 1)])
    kind.add(scenario, replicas[JOB, b], "led", "own", [(10 * MINUTE, 0, 0), (70 * MINUTE, 500, 5)])
    kind.add(scenario, replicas[JOB, a], "few", "", [(86 * MINUTE, 1, 1)])
    _look(scenario, kind, records, told)
    return scenario
