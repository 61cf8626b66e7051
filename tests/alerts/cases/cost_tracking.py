"""`cost_tracking_inaccurate`: costs in the log that are not those of the price list."""

from collections.abc import Iterator
from typing import Any

from exporter import catalog
from tests.alerts.cases.common import watched
from tests.alerts.cases.said import Expected, expected, links
from tests.support.scenario import HOUR, JOB, MINUTE, Replica, Scenario, steps

NAME = "cost_tracking_inaccurate"
MERGED = 10 * MINUTE
"""When the quarter-hour is counted."""


def scenarios() -> Iterator[Scenario]:
    """All of them."""
    yield _wrong_tables()
    yield _thresholds()
    yield _replicas()
    yield _in_a_gap()


def inaccurate(model: str, value: str, beside: str = "", job: str = JOB) -> Expected:
    said = f"The past hour's calls to {model} differ by {value} from what they cost by the price list{beside}."
    of = links(NAME, f"ai-cost?var-model={model}")
    summary = "Costs in the log differ from the price list."
    labels = {"severity": "warning", "job": job, "model": model}
    return expected(labels, summary=summary, description=said, value=value, **of)


def costs(
    scenario: Scenario, replica: Replica, model: str, logged: float, wanted: float, calls: int, operation: str = "chat"
) -> None:
    """What the calls of a quarter-hour cost by the log, and by the price list."""
    of = {"operation": operation, "model": model}
    for metric, figure in (
        (catalog.CHECKED_COST, logged),
        (catalog.EXPECTED_COST, wanted),
        (catalog.CHECKED, calls),
    ):
        # on top of what was counted before
        scenario.show(replica, metric, steps((0, 7), (MERGED, 7 + figure)), **of)


def _wrong_tables() -> Scenario:
    scenario = Scenario("names the models whose costs are by a wrong table, as soon as they are counted", 80 * MINUTE)
    replica = watched(scenario, Replica())
    costs(scenario, replica, "cheap", 1.16, 112.2, 374)
    # at another model's price, and with cached tokens at the full one
    costs(scenario, replica, "swapped", 0.748, 1.7952, 374)
    costs(scenario, replica, "cached", 1.7952, 1.36, 374)
    costs(scenario, replica, "right", 40, 40, 374)
    costs(scenario, replica, "a_bit_less", 39.61, 40, 374)
    # too few calls in each hour
    of = {"operation": "chat", "model": "seldom"}
    for metric, figure in ((catalog.CHECKED_COST, 1), (catalog.EXPECTED_COST, 9), (catalog.CHECKED, 15)):
        scenario.show(replica, metric, steps((0, 0), (MERGED, figure), (75 * MINUTE, 2 * figure)), **of)
    found = [
        inaccurate("cheap", "$111.04", ": $1.16 logged, $112.20 expected"),
        inaccurate("swapped", "$1.05", ": $0.748 logged, $1.80 expected"),
        inaccurate("cached", "$0.4352", ": $1.80 logged, $1.36 expected"),
    ]
    scenario.silent(NAME, 9 * MINUTE)
    scenario.fires(10 * MINUTE, NAME, *found)
    # for as long as the hour that is looked at has them
    scenario.fires(68 * MINUTE, NAME, *found)
    scenario.silent(NAME, 70 * MINUTE, 76 * MINUTE)
    return scenario


def _thresholds() -> Scenario:
    scenario = Scenario("allows one per cent and half a millionth of a dollar a call, and needs twenty calls", HOUR)
    replica = watched(scenario, Replica())
    # one dollar of a hundred, and one dollar of rounding
    costs(scenario, replica, "at", 102, 100, 2_000_000)
    costs(scenario, replica, "above", 102.01, 100, 2_000_000)
    costs(scenario, replica, "below", 97.99, 100, 2_000_000)
    costs(scenario, replica, "not_below", 98, 100, 2_000_000)
    costs(scenario, replica, "few", 5, 100, 19)
    costs(scenario, replica, "enough", 5, 100, 20)
    # a model that is free by the list
    costs(scenario, replica, "free", 3, 0, 20)
    scenario.fires(
        20 * MINUTE,
        NAME,
        inaccurate("above", "$2.01", ": $102.01 logged, $100.00 expected"),
        inaccurate("below", "$2.01", ": $97.99 logged, $100.00 expected"),
        inaccurate("enough", "$95.00", ": $5.00 logged, $100.00 expected"),
        inaccurate("free", "$3.00", ": $3.00 logged, $0.00 expected"),
    )
    return scenario


def _replicas() -> Scenario:
    scenario = Scenario("adds the operations of a replica, and takes the one that knows most", HOUR)
    # the second one has begun to count later; each operation alone has too few calls
    for instance, share in (("a:9867", 1.0), ("b:9867", 0.5)):
        replica = watched(scenario, Replica(instance))
        for operation in ("chat", "plan"):
            costs(scenario, replica, "m1", 20 * share, 40 * share, int(10 * share), operation)
        # what both have seen is the same calls
        costs(scenario, replica, "few", 20, 40, 12)
    # of another job
    costs(scenario, watched(scenario, Replica("c:9867", job="other")), "m1", 40, 40, 30)
    scenario.fires(20 * MINUTE, NAME, inaccurate("m1", "$40.00", ": $40.00 logged, $80.00 expected"))
    return scenario


def _in_a_gap() -> Scenario:
    scenario = Scenario("holds over a gap, and follows what is read then", 2 * HOUR)
    spans: dict[str, dict[str, Any]] = {
        "unread": {"unread": [(60 * MINUTE, 90 * MINUTE)]},
        "down": {"down": [(60 * MINUTE, 90 * MINUTE)]},
        "behind": {"catching_up": [(60 * MINUTE, 90 * MINUTE)]},
    }
    for job, gap in spans.items():
        costs(scenario, watched(scenario, Replica("a:9867", job=job, **gap)), "m1", 20, 40, 30)
    # one that has ended before the gap
    early = watched(scenario, Replica("a:9867", job="early", down=[(75 * MINUTE, 90 * MINUTE)]))
    costs(scenario, early, "m1", 20, 40, 30)
    beside = ": $20.00 logged, $40.00 expected"
    known = [inaccurate("m1", "$20.00", beside, job) for job in ("unread", "down", "behind")]
    scenario.fires(59 * MINUTE, NAME, *known, inaccurate("m1", "$20.00", beside, "early"))
    held = [inaccurate("m1", "$20.00", job="down")]
    standing = [inaccurate("m1", "$20.00", ": $0.00 logged, $0.00 expected", job) for job in ("unread", "behind")]
    scenario.fires(89 * MINUTE, NAME, *held, *standing)
    scenario.silent(NAME, 90 * MINUTE, 119 * MINUTE)
    return scenario
