"""All that is shown at one moment, of which metric families are made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.anomaly.operations import Judged
from exporter.config import Config
from exporter.ledger.aggregate import usd
from exporter.ledger.exposed import Gauges, Snapshot
from exporter.ledger.period_spend import SpendBefore
from exporter.scrape.collector import Scrape
from exporter.scrape.forecasting import NO_OUTLOOKS, Outlooks
from exporter.unchanged import kept_while_the_same
from exporter.web.families import Family, Part, Shape

USD = Shape([Part()], lambda units: (usd(units),))
"""Money in ledger units."""


@dataclass(frozen=True)
class Exposure:
    """All that is shown at one moment.

    `drift` is in money units, `clock_offset` and `replication_lag` in seconds; `last_success` is in seconds since the
    epoch, 0 where there was none. `judged` are the verdicts on each operation, and `before` is what budgets with a
    period had spent before the last days.
    """

    config: Config
    ledger: Snapshot
    scrape: Scrape
    commit_failures: int
    progress: float
    last_success: float
    drift: int | None
    logins_refused: Mapping[str, int]
    clock_offset: float | None = None
    replication_lag: float | None = 0.0
    outlooks: Outlooks = NO_OUTLOOKS
    judged: Mapping[str, Judged] = field(default_factory=dict)
    before: Sequence[SpendBefore] = ()

    @property
    def lacking(self) -> frozenset[str]:
        """The roles for which the log has no values, by the configuration."""
        return _lacking(self.config)

    @property
    def fresh(self) -> Gauges | None:
        """The gauges from the database; None where it was not read just now."""
        return self.ledger.gauges if self.scrape.current or self.scrape.today else None


@kept_while_the_same
def _lacking(config: Config) -> frozenset[str]:
    return config.columns.log.lacking


Make = Callable[..., Iterable[Family]]
"""Makes families of some parts of what is shown."""


def made_of(parts: Callable[[Exposure], tuple[Any, ...]]) -> Callable[[Make], Callable[[Exposure], Iterable[Family]]]:
    """Have a function make families of some `parts` of what is shown, and none where the first of these is None.

    They are the same families again while the parts are the same: pass all that the function looks at. Most of a page
    is as it was on the one before, and a family that is the same object has its text already.
    """

    def decorate(make: Make) -> Callable[[Exposure], Iterable[Family]]:
        made = kept_while_the_same(lambda *found: () if found[0] is None else tuple(make(*found)))
        return lambda exposure: made(*parts(exposure))

    return decorate
