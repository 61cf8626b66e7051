"""The counts behind a figure: of the window that it is taken over, and held with it over a gap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.alerts.cases import high_error_rate, model_unavailable, slow_operations
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind
from tests.alerts.scenario import HOUR, JOB, MINUTE, Replica, Scenario

FIVE = 5 * MINUTE


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
