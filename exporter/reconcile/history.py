"""What Prometheus has stored of the counters of costs and refunds: differences of its samples, never extrapolated."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from exporter import catalog
from exporter.catalog import Metric
from exporter.errors import UserError
from exporter.ledger.aggregate import money_units
from exporter.reconcile.comparison import Source
from exporter.reconcile.period import By, DayRange
from exporter.verify.prometheus import query_range
from exporter.verify.web import Part, UnansweredError

NAME = "prometheus"
"""The name of this source."""

STEP = 300
"""Seconds between the samples that are looked at: a counter that begins anew is noticed by its fall."""

_Labels = tuple[tuple[str, str], ...]


@dataclass
class _Rises:
    """How far each series has risen since `begun`, by the piece of the period."""

    begun: int
    last: dict[_Labels, Decimal] = field(default_factory=dict)
    risen: dict[tuple[str, _Labels], Decimal] = field(default_factory=dict)
    resets: int = 0

    def add(self, piece: str, labels: _Labels, values: Mapping[int, Decimal], lowest: Mapping[int, Decimal]) -> None:
        """Take the values of one series in a piece, by their time; `lowest` are the least just before each."""
        last = self.last.get(labels)
        for at, value in sorted(values.items()):
            if last is None:
                # a series that has just begun is shown at 0 first
                last = value if at == self.begun else lowest.get(at, value)
            if value < last:
                self.resets += 1
                last = Decimal(0)
            key = piece, labels
            self.risen[key] = self.risen.get(key, Decimal(0)) + value - last
            last = value
        if last is not None:
            self.last[labels] = last


def read_history(part: Part, job: str, by: By, period: DayRange) -> Source:
    """What the exporters of a job have counted in the period, by the replica that has counted most.

    Raises `UserError` where Prometheus does not answer.
    """
    if by in ("user", "group"):
        return Source(NAME, note=f"there is no counter by {by}")
    try:
        costs, refunds = (_rises(part, metric, job, period) for metric in (catalog.COST, catalog.REFUNDS))
    except UnansweredError as error:
        raise UserError(f"--prometheus: {error}") from None
    if not costs.last:
        return Source(NAME, note=f"no samples of {catalog.COST.name} by the job {job}: see --prometheus-job")
    spent = _highest(costs, by)
    for key, usd in _highest(refunds, by).items():
        spent[key] = spent.get(key, Decimal(0)) - usd
    amounts = {key: money_units(usd) for key, usd in spent.items() if usd}
    note = f"the counter began anew {costs.resets} times: what rose just before is missing" if costs.resets else ""
    return Source(NAME, amounts, note=note)


def _rises(part: Part, metric: Metric, job: str, period: DayRange) -> _Rises:
    """How far a counter has risen in the period."""
    rises = _Rises(period.lo)
    selector = f"{metric.name}{{job={json.dumps(job, ensure_ascii=False)}}}"
    for day, lo, hi in period.pieces():
        found = _range(part, selector, lo, hi)
        lowest = _range(part, f"min_over_time({selector}[{STEP}s])", lo, hi)
        for labels, values in found.items():
            rises.add(day, labels, values, lowest.get(labels, {}))
    return rises


def _highest(rises: _Rises, by: By) -> dict[str, Decimal]:
    """The sums by key of each replica, and of these the highest."""
    of_replica: dict[tuple[str, str], Decimal] = {}
    for (day, labels), usd in rises.risen.items():
        named = dict(labels)
        key = day if by == "day" else named.get(by, "")
        replica = named.get("instance", "")
        of_replica[key, replica] = of_replica.get((key, replica), Decimal(0)) + usd
    highest: dict[str, Decimal] = {}
    for (key, _), usd in of_replica.items():
        highest[key] = max(usd, highest.get(key, Decimal(0)))
    return highest


def _range(part: Part, query: str, lo: int, hi: int) -> dict[_Labels, dict[int, Decimal]]:
    """Values by time of each series, from `lo` to `hi`, both of which are looked at."""
    found: dict[_Labels, dict[int, Decimal]] = {}
    for start, end in _grids(lo, hi):
        for row in query_range(part, query, start, end, STEP):
            series = tuple(sorted((name, str(value)) for name, value in row["metric"].items() if name != "__name__"))
            values = found.setdefault(series, {})
            values.update((int(float(at)), Decimal(value)) for at, value in row["values"])
    return found


def _grids(lo: int, hi: int) -> Iterator[tuple[int, int]]:
    """Evenly spaced moments from `lo`, and `hi` itself."""
    last = hi - (hi - lo) % STEP
    yield lo, last
    if last != hi:
        yield hi, hi
