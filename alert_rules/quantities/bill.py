"""How far what the log says of costs is from the price list."""

from alert_rules.model.conventions import duration
from alert_rules.model.quantities import RecordedSeries, Recording
from alert_rules.quantities.promql import highest_replica, promql
from alert_rules.quantities.recordings import LOG_IS_READ, level, while_unreadable
from exporter import catalog

TOLERANCE = 0.01
"""The share of the expected cost by which the logged one may differ."""

ROUNDING = "0.0000005"
"""USD by which the logged cost of one call may differ: half of the last digit that both layouts of the log have."""

FEWEST_CALLS = 20
"""Calls to a model below which nothing is said of its costs."""

WINDOW = 3600
"""Seconds that costs are compared over."""

_BY = ("model",)


def _risen(metric: catalog.Metric) -> Recording:
    """What a counter of checked calls rose by.

    All three rise in one commit: a window that was not read throughout leaves out the same calls of each.
    """
    rise = promql("$metric - min_over_time($metric[$span])", metric=metric.name, span=duration(WINDOW))
    name = f"{level(_BY)}:{metric.name.removesuffix('_total')}:increase{duration(WINDOW)}"
    return Recording(name, highest_replica(rise, _BY))


LOGGED, EXPECTED, CHECKED = (
    _risen(metric) for metric in (catalog.CHECKED_COST, catalog.EXPECTED_COST, catalog.CHECKED)
)


def cost_difference() -> RecordedSeries:
    """USD by which a model's costs differ from the price list, where that is more than the tolerance."""
    value = Recording(
        f"{level(_BY)}:ai_operation_cost_difference_usd:{duration(WINDOW)}",
        promql(
            """
            abs($logged - $expected) > $tolerance * $expected + $rounding * $calls
              and $calls >= $fewest
            """,
            logged=LOGGED.name,
            expected=EXPECTED.name,
            calls=CHECKED.name,
            tolerance=TOLERANCE,
            rounding=ROUNDING,
            fewest=FEWEST_CALLS,
        ),
    )
    return while_unreadable(value, _BY, (LOGGED, EXPECTED, CHECKED), LOG_IS_READ)
