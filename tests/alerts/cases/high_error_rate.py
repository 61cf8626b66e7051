"""`high_error_rate`: more than 5 % of an operation's calls failed."""

from collections.abc import Iterator, Sequence

from exporter import catalog
from tests.alerts.cases import ratios
from tests.alerts.cases.common import watched
from tests.alerts.cases.ratios import STEP, Batch, Kind, Seen, above_of, calls_of
from tests.alerts.cases.said import Expected, high_error_rate
from tests.support.scenario import MINUTE, Replica, Scenario, steps

NAME = "high_error_rate"


def add(scenario: Scenario, replica: Replica, key: str, part: str, batches: Sequence[Batch]) -> None:
    """Calls of an operation; all failures are of class rate_limit, and the other class is at 0."""
    labels = {"operation": key, "model": part or "m1"}
    scenario.show(replica, catalog.OPERATIONS, calls_of(batches), **labels)
    scenario.show(replica, catalog.FAILURES, above_of(batches), **labels, error_class="rate_limit")
    scenario.show(replica, catalog.FAILURES, 0, **labels, error_class="timeout")


def said(key: str, calls: float, above: float, seen: Seen) -> Expected:
    """What is expected."""
    causes = [f"rate_limit: {above:.0f}"] if seen.parts else []
    return high_error_rate(
        key,
        f"{100 * above / calls:.4g}%",
        f"{above:.0f} of {calls:.0f} calls{seen.hour}",
        *causes,
        unknown_from=seen.unknown_from,
    )


CALM: Batch = (5 * MINUTE, 1000, 0)
"""An hour that is certainly not over."""

EDGES: Sequence[tuple[Sequence[Batch], bool]] = (
    # within five minutes, at 99.9 %
    ([CALM, (30 * MINUTE, 20, 5)], True),
    ([CALM, (30 * MINUTE, 20, 4)], False),
    ([CALM, (30 * MINUTE, 100, 12)], True),
    ([CALM, (30 * MINUTE, 100, 11)], False),
    ([CALM, (30 * MINUTE, 1000, 72)], True),
    ([CALM, (30 * MINUTE, 1000, 71)], False),
    # within the hour, at 97.5 %
    ([(5 * MINUTE, 80, 7), (30 * MINUTE, 20, 3)], True),
    ([(5 * MINUTE, 80, 7), (30 * MINUTE, 20, 2)], False),
    ([(5 * MINUTE, 900, 56), (30 * MINUTE, 100, 8)], True),
    ([(5 * MINUTE, 900, 56), (30 * MINUTE, 100, 7)], False),
    # exactly as many as may be by chance
    ([(30 * MINUTE, 1_000_000, 50_427)], False),
)

RECOVERY: Sequence[tuple[Batch, float, float, bool]] = (
    # the last ten minutes are just calm, or just not
    ((MINUTE, 10_000_000, 1_000_000), 250_000, 12_554.5, False),
    ((MINUTE, 10_000_000, 1_000_000), 250_000, 12_554.75, True),
    # they are calm, and just differ from the hour, or just do not
    ((MINUTE, 1_000_000_000, 50_490_000), 250_000, 12_525, False),
    ((MINUTE, 1_000_000_000, 50_450_000), 250_000, 12_525, True),
)

KIND = Kind(
    NAME,
    "operation",
    20,
    lambda calls: calls // 4,
    lambda calls: calls * 0.05,
    False,
    add,
    said,
    EDGES,
    clear=lambda calls: calls // 4,
    keep=10 * MINUTE,
    recovery=RECOVERY,
)


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield from ratios.ratio_scenarios(KIND)
    yield _all_failed()
    yield _classes()
    yield _zero_first()
    yield _certain_once()
    yield _certain_no_more()


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
    scenario.silent(NAME, 10 * MINUTE)
    scenario.fires(12 * MINUTE, NAME, high_error_rate("five", "100%", "5 of 5 calls", "rate_limit: 5"))
    wide = "5 of 5 calls in the last hour", "rate_limit: 5"
    five, hour = (high_error_rate(key, "100%", *wide) for key in ("five", "five-in-an-hour"))
    four = high_error_rate("lately-four", "6.122%", "6 of 98 calls in the last hour", "rate_limit: 6")
    lately = high_error_rate("lately", "100%", "5 of 5 calls", "rate_limit: 5")
    scenario.fires(32 * MINUTE, NAME, five, four, lately)
    lately = high_error_rate("lately", "6%", "6 of 100 calls in the last hour", "rate_limit: 6")
    scenario.fires(47 * MINUTE, NAME, five, hour, four, lately)
    scenario.fires(63 * MINUTE, NAME, five, hour, four, lately)
    scenario.silent(NAME, 109 * MINUTE)
    return scenario


def _classes() -> Scenario:
    scenario = Scenario(
        "adds up classes and models, and names the three biggest classes and the rest", 30 * MINUTE, STEP
    )
    replica = watched(scenario, Replica())
    for model, calls in (("m1", 30), ("m2", 20)):
        counted = steps((0, 0), (10 * MINUTE, calls))
        scenario.show(replica, catalog.OPERATIONS, counted, operation="chat", model=model)
        for number, name in enumerate(("timeout", "rate_limit", "auth", "network", "other")):
            failed = steps((0, 0), (10 * MINUTE, number))
            scenario.show(replica, catalog.FAILURES, failed, operation="chat", model=model, error_class=name)
    said = high_error_rate("chat", "40%", "20 of 50 calls", "other: 8", "network: 6", "auth: 4", "others: 2")
    scenario.fires(12 * MINUTE, NAME, said)
    return scenario


def _zero_first() -> Scenario:
    scenario = Scenario("sees the first calls of a new series, which is shown at 0 for a minute", 40 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    for metric, classes in ((catalog.OPERATIONS, {}), (catalog.FAILURES, {"error_class": "provider"})):
        first = steps((10 * MINUTE, 0), (11 * MINUTE, 6))
        scenario.show(replica, metric, first, operation="new", model="m1", **classes)
    scenario.silent(NAME, 11 * MINUTE)
    scenario.fires(13 * MINUTE, NAME, high_error_rate("new", "100%", "6 of 6 calls", "provider: 6"))
    return scenario


def _certain_once() -> Scenario:
    scenario = Scenario("is silent where it was certain for a moment only", 60 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    add(scenario, replica, "one", "", [CALM, (30 * MINUTE, 20, 5), (30 * MINUTE + 30, 20, 1)])
    scenario.silent(NAME, *(minute * MINUTE for minute in range(29, 45)))
    return scenario


def _certain_no_more() -> Scenario:
    scenario = Scenario("fires on while the rate is over, however uncertain it has become", 60 * MINUTE, STEP)
    replica = watched(scenario, Replica())
    add(scenario, replica, "one", "", [CALM, (30 * MINUTE, 20, 5), (33 * MINUTE, 60, 2)])
    scenario.fires(32 * MINUTE, NAME, high_error_rate("one", "25%", "5 of 20 calls", "rate_limit: 5"))
    for minute in (34, 44):
        scenario.fires(minute * MINUTE, NAME, high_error_rate("one", "8.75%", "7 of 80 calls", "rate_limit: 7"))
    scenario.silent(NAME, 46 * MINUTE, 60 * MINUTE)
    return scenario
