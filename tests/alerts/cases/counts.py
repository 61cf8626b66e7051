"""The counts behind a figure: of the window that it is taken over, and held with it over a gap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.alerts.cases import high_error_rate, model_unavailable, slow_operations
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind
from tests.alerts.scenario import HOUR, JOB, MINUTE, Replica, Scenario

FIVE = 5 * MINUTE

Causes = tuple[tuple[str, tuple[float, float]], ...]
"""Labels of a cause, and its value where five minutes have calls enough, and where only the hour has."""


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


CAUSES: tuple[tuple[Kind, str, Mapping[str, Causes]], ...] = (
    (
        high_error_rate.KIND,
        "job_instance_operation:ai_operations:leading",
        {
            "job_operation_error_class:ai_operation_failures_per_operation:ratio5m_min20_by_cause": (
                ('error_class="rate_limit"', (8, 10)),
                ('error_class="timeout"', (0, 0)),
            )
        },
    ),
    (
        slow_operations.KIND,
        "job_instance_operation:ai_operation_latency_seconds_count:leading",
        {
            "job_instance_operation_model:ai_operation_latency_seconds:mean5m_min20_calls_by_cause_of_operation": (
                ('instance="a:9867", model="m1"', (24, 72)),
            ),
            "job_instance_operation_model:ai_operation_latency_seconds:mean5m_min20_by_cause_of_operation": (
                ('instance="a:9867", model="m1"', (8, 10)),
            ),
        },
    ),
    (
        model_unavailable.KIND,
        "job_instance_model:ai_operations:leading",
        {
            "job_instance_operation_model:ai_operations_over_timeout_per_operation:ratio5m_min3_by_cause_of_model": (
                ('instance="a:9867", operation="chat"', (8, 10)),
            )
        },
    ),
)


def _causes(kind: Kind, leading: str, records: Mapping[str, Causes]) -> Scenario:
    """The causes of what has calls enough in five minutes, and of what has them in an hour; other jobs reversed."""
    scenario = Scenario(f"{kind.name} has causes of its own window and of the leading replica", 95 * MINUTE, STEP)
    before = [(10 * MINUTE, 100, 50), (40 * MINUTE, 40, 0), (70 * MINUTE, 30, 10)]
    at, five, hour = 90 * MINUTE, [*before, (86 * MINUTE, 24, 8)], [*before, (86 * MINUTE, 2, 0)]
    jobs = {JOB: ("one", "two"), "second": ("two", "one")}
    for job, (in_five, in_hour) in jobs.items():
        replica = watched(scenario, Replica(job=job))
        kind.add(scenario, replica, in_five, "", five)
        kind.add(scenario, replica, in_hour, "", hour)
    # more in half of each window and in twice as much, and more than is known: one that has not read throughout
    more = watched(scenario, Replica("b:9867"))
    unread = watched(scenario, Replica("c:9867", unread=[(80 * MINUTE, 81 * MINUTE), (87 * MINUTE, 88 * MINUTE)]))
    watched(scenario, Replica("c:9867", job="second"))
    ahead = [(10 * MINUTE, 1000, 0), (75 * MINUTE, 10, 0), (82 * MINUTE, 46, 0), (89 * MINUTE, 1, 0)]
    for key in jobs[JOB]:
        kind.add(scenario, more, key, "", ahead)
        kind.add(scenario, unread, key, "", [(75 * MINUTE, 500, 0), (86 * MINUTE, 500, 0)])
    for record, causes in records.items():
        expected = {
            f'{record}{{job="{job}", {kind.key}="{key}", {labels}}}': float(values[number])
            for job, keys in jobs.items()
            for number, key in enumerate(keys)
            for labels, values in causes
        }
        scenario.figure(at, record, expected)
    for span, calls in (("5m", (24.0, 2.0)), ("1h", (94.0, 72.0))):
        most = {
            f'{leading}{span}{{job="{job}", instance="a:9867", {kind.key}="{key}"}}': calls[number]
            for job, keys in jobs.items()
            for number, key in enumerate(keys)
        }
        scenario.figure(at, f"{leading}{span}", most)
    return scenario
