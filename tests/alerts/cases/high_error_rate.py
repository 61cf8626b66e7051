"""`high_error_rate`: more than 5 % of an operation's calls failed."""

from collections.abc import Iterator, Sequence

from exporter import catalog
from tests.alerts.cases import ratios
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind, above_of, calls_of
from tests.alerts.cases.said import Expected, high_error_rate
from tests.alerts.scenario import MINUTE, Replica, Scenario, steps

NAME = "high_error_rate"


def add(scenario: Scenario, replica: Replica, key: str, part: str, batches: Sequence[Batch]) -> None:
    """Calls of an operation; all failures are of class rate_limit, and the other class is at 0."""
    labels = {"operation": key, "model": part or "m1"}
    scenario.show(replica, catalog.OPERATIONS, calls_of(batches), **labels)
    scenario.show(replica, catalog.FAILURES, above_of(batches), **labels, error_class="rate_limit")
    scenario.show(replica, catalog.FAILURES, 0, **labels, error_class="timeout")


def said(key: str, ratio: float, calls: float, above: float, part: str) -> Expected:
    """What is expected."""
    return high_error_rate(key, f"{100 * ratio:.4g}%", *([f"rate_limit: {above:.0f}"] if above else []))


KIND = Kind(NAME, "operation", 20, lambda calls: calls // 4, lambda calls: calls * 0.05, False, add, said)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield from ratios.ratio_scenarios(KIND)
    yield _all_failed()
    yield _classes()
    yield _zero_first()


def _all_failed() -> Scenario:
    scenario = Scenario(
        "fires for five calls that all failed, and not for four, or for four of five", 110 * MINUTE, STEP
    )
    replica = watched(scenario, Replica())
    add(scenario, replica, "five", "", [(10 * MINUTE, 5, 5)])
    add(scenario, replica, "four", "", [(10 * MINUTE, 4, 4)])
    add(scenario, replica, "four-of-five", "", [(10 * MINUTE, 5, 4)])
    add(scenario, replica, "five-in-an-hour", "", [(5 * MINUTE, 2, 2), (45 * MINUTE, 3, 3)])
    # all of the last five minutes failed, most of the hour did not
    add(scenario, replica, "lately", "", [(5 * MINUTE, 95, 1), (30 * MINUTE, 5, 5)])
    add(scenario, replica, "lately-four", "", [(5 * MINUTE, 94, 2), (30 * MINUTE, 4, 4)])
    five = high_error_rate("five", "100%", "rate_limit: 5")
    scenario.silent(NAME, 10 * MINUTE)
    scenario.fires(12 * MINUTE, NAME, five)
    four = high_error_rate("lately-four", "6.122%", "rate_limit: 6")
    scenario.fires(32 * MINUTE, NAME, five, four, high_error_rate("lately", "100%", "rate_limit: 6"))
    hour = high_error_rate("five-in-an-hour", "100%", "rate_limit: 5")
    scenario.fires(47 * MINUTE, NAME, five, hour, four, high_error_rate("lately", "6%", "rate_limit: 6"))
    scenario.fires(63 * MINUTE, NAME, five, hour, four, high_error_rate("lately", "6%", "rate_limit: 6"))
    scenario.silent(NAME, 109 * MINUTE)
    return scenario


def _classes() -> Scenario:
    scenario = Scenario("adds up classes and models, names the three biggest classes, and no others", 30 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for model, calls in (("m1", 30), ("m2", 20)):
        counted = steps((0, 0), (10 * MINUTE, calls))
        scenario.show(replica, catalog.OPERATIONS, counted, operation="chat", model=model)
        for number, name in enumerate(("timeout", "rate_limit", "auth", "network", "other")):
            failed = steps((0, 0), (10 * MINUTE, number))
            scenario.show(replica, catalog.FAILURES, failed, operation="chat", model=model, error_class=name)
    said = high_error_rate("chat", "40%", "other: 8", "network: 6", "auth: 4")
    scenario.fires(12 * MINUTE, NAME, said)
    return scenario


def _zero_first() -> Scenario:
    scenario = Scenario("sees the first calls of a new series, which is shown at 0 for a minute", 40 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for metric, classes in ((catalog.OPERATIONS, {}), (catalog.FAILURES, {"error_class": "provider"})):
        first = steps((10 * MINUTE, 0), (11 * MINUTE, 6))
        scenario.show(replica, metric, first, operation="new", model="m1", **classes)
    scenario.silent(NAME, 11 * MINUTE)
    scenario.fires(13 * MINUTE, NAME, high_error_rate("new", "100%", "provider: 6"))
    return scenario
