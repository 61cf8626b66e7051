"""The anomalies of a digest: hours of its day in which an operation spent oddly much. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from exporter.anomaly.baseline import Baselines, OperationHistory
from exporter.anomaly.cause import CALLS as BY_CALLS
from exporter.anomaly.cause import COST_PER_CALL, PRICE_PER_TOKEN, TOKENS_PER_CALL, Cause, Usual, cause
from exporter.anomaly.judging import Verdict, verdict
from exporter.anomaly.measures import CALLS, SPEND
from exporter.anomaly.operations import by_operation
from exporter.catalog import USD
from exporter.digest.hours import Hours
from exporter.digest.model import Anomaly, LeftOut
from exporter.digest.words import amount
from exporter.ledger.hourly import NOTHING, day_hours, hour_end, total
from exporter.ledger.model import HourFigures, Series

LEAST_USD = 0.1
"""What an operation must have spent too much in a row of hours, in dollars, to be worth a line."""

LEAST_SHARE = 0.02
"""The same as a share of the day's cost."""

_TELLING = 1.3
"""Times the usual from which on a factor of the spend is named."""

_FACTORS = {
    BY_CALLS: "calls",
    TOKENS_PER_CALL: "tokens a call",
    PRICE_PER_TOKEN: "price per token",
    COST_PER_CALL: "cost of a call",
}


def find_anomalies(hours: Hours, day: int, zone: ZoneInfo) -> tuple[Anomaly, ...] | LeftOut:
    """What was odd in the hours of a day, compared with the weeks before: the largest amount comes first."""
    starts = day_hours(day, zone)
    began = min(hours, default=starts[0])
    operations = _hours_by_operation(hours)
    least = max(
        LEAST_USD, LEAST_SHARE * sum(SPEND.of(of.get(at, NOTHING)) for of in operations.values() for at in starts)
    )
    found: list[tuple[float, Anomaly]] = []
    judged = False
    for operation, figures in sorted(operations.items()):
        history = {at: each for at, each in figures.items() if at < starts[0]}
        baselines = Baselines(OperationHistory(began, starts[0], history), zone)
        judged = judged or baselines.of(SPEND, starts[0]) is not None
        for run in _runs(baselines, starts, figures):
            excess = sum(each.excess for each in run)
            if excess >= least:
                why = _cause(hours, began, starts[0], operation, max(run, key=lambda each: each.excess).hour, zone)
                found.append((excess, _anomaly(operation, run, why, zone)))
    if not judged:
        return LeftOut("anomalies (fewer than two weeks are known)")
    return tuple(each for _, each in sorted(found, key=lambda pair: -pair[0]))


def _hours_by_operation(hours: Hours) -> dict[str, dict[int, HourFigures]]:
    found: dict[str, dict[int, HourFigures]] = {}
    for at, cells in hours.items():
        for operation, figures in by_operation(cells).items():
            found.setdefault(operation, {})[at] = figures
    return found


def _runs(baselines: Baselines, starts: Sequence[int], figures: Mapping[int, HourFigures]) -> Iterator[list[Verdict]]:
    """The odd hours that follow each other."""
    verdicts = (verdict(SPEND, at, figures.get(at, NOTHING), baselines.of) for at in starts)
    for is_odd, run in groupby(verdicts, lambda found: found is not None and found.excess > 0):
        if is_odd:
            yield [each for each in run if each is not None]


def _cause(hours: Hours, began: int, until: int, operation: str, hour: int, zone: ZoneInfo) -> Cause | None:
    """What made one hour of an operation odd."""
    now = {series.model: each for series, each in hours.get(hour, {}).items() if series.operation == operation}
    usual = {}
    for model in now:
        series = Series(operation, model)
        history = {at: cells[series] for at, cells in hours.items() if at < until and series in cells}
        own = Baselines(OperationHistory(began, until, history), zone)
        usual[model] = Usual(own.usual(SPEND, hour), own.usual(CALLS, hour), total(history.values()))
    return cause(now, usual)


def _anomaly(operation: str, run: Sequence[Verdict], why: Cause | None, zone: ZoneInfo) -> Anomaly:
    begin, end = _clock(run[0].hour, zone), _clock(hour_end(run[-1].hour, zone), zone)
    spent, usual = (round(sum(each) * USD) for each in ([v.value for v in run], [v.usual for v in run]))
    what = f"{amount(spent)} instead of about {amount(usual)} from {begin} to {end}"
    if why is None:
        return Anomaly(operation, what)
    factors = [
        f"{_times(factor)} times the {_FACTORS[name]}" for name, factor in why.factors.items() if factor >= _TELLING
    ]
    return Anomaly(f"{operation}, {why.model}", what, ", ".join(factors))


def _times(factor: float) -> str:
    return f"{round(factor, 1):g}" if factor < 10 else f"{factor:,.0f}"


def _clock(at: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at, zone):%H:%M}"
