"""`slow_operations`: an operation takes more than two seconds on average."""

from collections.abc import Iterator, Sequence

from exporter import catalog
from tests.alerts.cases import ratios
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind, Seen, above_of, calls_of
from tests.alerts.cases.said import Expected, slow_operations
from tests.support.scenario import MINUTE, Replica, Scenario, steps

NAME = "slow_operations"


def add(scenario: Scenario, replica: Replica, key: str, part: str, batches: Sequence[Batch]) -> None:
    """Calls of an operation with a latency, and more without one, which do not count."""
    labels = {"operation": key, "model": part or "m1"}
    scenario.show(replica, catalog.LATENCY, calls_of(batches), "_count", **labels)
    scenario.show(replica, catalog.LATENCY, above_of(batches), "_sum", **labels)
    more = calls_of([(at, 10 * calls, 0) for at, calls, _ in batches])
    scenario.show(replica, catalog.OPERATIONS, more, **labels)


def said(key: str, calls: float, above: float, seen: Seen) -> Expected:
    """What is expected."""
    causes = [
        f"{part or 'm1'}: {total / number:.4g}s over {number:.0f} calls" for part, (number, total) in seen.parts.items()
    ]
    return slow_operations(
        key, f"{above / calls:.4g}s", f"{calls:.0f} calls{seen.hour}", *causes, unknown_from=seen.unknown_from
    )


CALM: Batch = (5 * MINUTE, 1000, 0)

EDGES: Sequence[tuple[Sequence[Batch], bool]] = (
    # within five minutes, at 99.9 %
    ([CALM, (30 * MINUTE, 100, 262)], True),
    ([CALM, (30 * MINUTE, 100, 261.5)], False),
    # within the hour, at 97.5 %
    ([(5 * MINUTE, 900, 1900), (30 * MINUTE, 100, 224.5)], True),
    ([(5 * MINUTE, 900, 1900), (30 * MINUTE, 100, 223.5)], False),
    # exactly as slow as may be by chance
    ([(30 * MINUTE, 10_000, 20_392)], False),
)

RECOVERY: Sequence[tuple[Batch, float, float, bool]] = (
    # the last ten minutes are just calm, or just not
    ((MINUTE, 10_000_000, 30_000_000), 250_000, 500_500, False),
    ((MINUTE, 10_000_000, 30_000_000), 250_000, 500_500.25, True),
    # they are calm, and just differ from the hour, or just do not
    ((MINUTE, 1_000_000_000, 2_004_500_000), 250_000, 500_250, False),
    ((MINUTE, 1_000_000_000, 2_004_100_000), 250_000, 500_250, True),
)

KIND = Kind(
    NAME,
    "operation",
    20,
    lambda calls: calls * 3,
    lambda calls: calls * 2,
    False,
    add,
    said,
    EDGES,
    clear=lambda calls: calls * 4.5,
    keep=10 * MINUTE,
    recovery=RECOVERY,
)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield from ratios.ratio_scenarios(KIND)
    yield _models()


def _models() -> Scenario:
    scenario = Scenario(
        "is the sum of latencies by their count, and no mean of means; names the slowest", 30 * MINUTE, STEP
    )
    replica = watched(scenario, Replica())
    for model, calls, total in (("m1", 90, 90), ("m2", 10, 50), ("m3", 20, 200), ("m4", 30, 60)):
        labels = {"operation": "chat", "model": model}
        scenario.show(replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, calls)), "_count", **labels)
        scenario.show(replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, total)), "_sum", **labels)
        # the mean of means would be 3 s here too
        scenario.show(
            replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, calls)), "_count", operation="quick", model=model
        )
        quick = {"m1": 90, "m2": 50, "m3": 60, "m4": 90}[model]
        scenario.show(
            replica, catalog.LATENCY, steps((0, 0), (10 * MINUTE, quick)), "_sum", operation="quick", model=model
        )
    causes = "m3: 10s over 20 calls", "m2: 5s over 10 calls", "m4: 2s over 30 calls", "others: 1s over 90 calls"
    scenario.fires(12 * MINUTE, NAME, slow_operations("chat", "2.667s", "150 calls", *causes))
    return scenario
