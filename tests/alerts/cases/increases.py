"""What counters rise by in windows that were read throughout: the records that every ratio is made of."""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter import catalog
from exporter.catalog import Metric
from tests.alerts.cases.common import watched
from tests.support.scenario import HOUR, JOB, MINUTE, Replica, Scenario, steps

STEP = 25
FIVE, TEN, QUARTER = 5 * MINUTE, 10 * MINUTE, 15 * MINUTE
SPELLED = {FIVE: "5m", TEN: "10m", QUARTER: "15m", HOUR: "1h"}


@dataclass(frozen=True)
class Increase:
    """A record of the increase of a metric, or of a histogram's part, by a label."""

    metric: Metric
    by: str
    window: int
    part: str = ""

    @property
    def record(self) -> str:
        """Its name."""
        stem = self.metric.name.removesuffix("_total") + self.part
        return f"job_{self.by}:{stem}:increase{SPELLED[self.window]}"


INCREASES = (
    *(Increase(catalog.FAILURES, "operation", window) for window in (FIVE, TEN, HOUR)),
    *(Increase(catalog.OPERATIONS, "operation", window) for window in (FIVE, TEN, HOUR)),
    *(
        Increase(catalog.LATENCY, "operation", window, part)
        for window in (FIVE, TEN, HOUR)
        for part in ("_sum", "_count")
    ),
    *(Increase(catalog.OVER_TIMEOUT, "model", window) for window in (FIVE, HOUR)),
    *(Increase(catalog.OPERATIONS, "model", window) for window in (FIVE, QUARTER, HOUR)),
)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    for increase in INCREASES:
        yield _counted_once(increase)
    for window in (FIVE, TEN, QUARTER, HOUR):
        yield _read_throughout(window)


def _counted_once(increase: Increase) -> Scenario:
    window, at = increase.window, increase.window + 200
    scenario = Scenario(
        f"{increase.record} has each call once, for {SPELLED[window]}, and no window with a gap",
        at + window + 180,
        STEP,
    )
    gap = [(at - 100, at + 100)]
    replicas = (
        # two that have folded different series, and are not equally far; one whose backlog lands after a gap
        (Replica("a:9867"), {"s1": 3, "s2": 2}),
        (Replica("b:9867"), {"s1": 3, "other": 1}),
        (Replica("c:9867", unread=gap), {"s1": 9, "s2": 9}),
        # another job at the same addresses
        (Replica("a:9867", job="second"), {"s1": 4}),
        (Replica("c:9867", job="second"), {"s1": 4}),
    )
    for replica, risen in replicas:
        watched(scenario, replica)
        for folded, more in risen.items():
            labels = {increase.by: "k", "model" if increase.by == "operation" else "operation": folded}
            if increase.metric is catalog.FAILURES:
                labels["error_class"] = "timeout"
            scenario.show(replica, increase.metric, steps((0, 100), (at, 100 + more)), increase.part, **labels)
    for second, first, other in (
        (at - 60, 0, 0), (at + 60, 5, 4), (at + window // 2 + 90, 5, 4), (at + window - 60, 5, 4),
        (at + window + 120, 0, 0),
    ):  # fmt: skip
        series = {JOB: first, "second": other}
        expected = {f'{increase.record}{{job="{job}", {increase.by}="k"}}': value for job, value in series.items()}
        scenario.figure(_minute(second), increase.record, expected)
    return scenario


def _minute(second: int) -> int:
    """The evaluation at or before a second: records are looked at where they are made."""
    return second - second % MINUTE


def _read_throughout(window: int) -> Scenario:
    record = f"job_instance:ai_operation_log_up:min{SPELLED[window]}"
    at = window + 2 * MINUTE
    length = at + window + 10 * MINUTE
    scenario = Scenario(f"{record} is there for replicas that read the log for {SPELLED[window]} on end", length)
    gap = [(at, at + 2 * MINUTE)]
    # one is reached and cannot read, another is not reached at all
    for instance, unread, down in (("a:9867", gap, []), ("b:9867", [], gap), ("c:9867", [], [])):
        watched(scenario, Replica(instance, unread=unread, down=down))
    # one reads, and cannot write its state: its counters stand still, and then rise at once
    frozen = watched(scenario, Replica("d:9867"))
    scenario.show(frozen, catalog.STATE_COMMIT_FAILURES, steps((0, 7), (at, 8), (at + MINUTE, 9)))
    # one had failures long ago, and one is no target any more
    scenario.show(watched(scenario, Replica("a:9867", job="second")), catalog.STATE_COMMIT_FAILURES, 7)
    for name in ("up", catalog.LOG_UP.name):
        scenario.raw(name, {"job": "gone", "instance": "a:9867"}, steps((0, 1), (at, None)))
    scenario.raw("up", {"job": "no-exporter", "instance": "a:9867"}, 1)
    always = {f'{record}{{instance="{i}", job="{job}"}}': 1.0 for i, job in (("c:9867", JOB), ("a:9867", "second"))}
    every = {**always, **{f'{record}{{instance="{i}", job="{JOB}"}}': 1.0 for i in ("a:9867", "b:9867", "d:9867")}}
    scenario.figure(at - MINUTE, record, {**every, f'{record}{{instance="a:9867", job="gone"}}': 1.0})
    for second in (at, at + window // 2 + 2 * MINUTE, at + window - MINUTE):
        scenario.figure(second, record, always)
    for second in (at + window + 3 * MINUTE, length - MINUTE):
        scenario.figure(second, record, every)
    return scenario
