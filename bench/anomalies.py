"""`python -m bench.anomalies`: how many odd stretches of spend are found, and how many alarms are about one.

The detector is the exporter's own, asked every quarter of an hour with what it would know then. Beside it, with the
same floor in dollars: more than twice the average hour of the past seven days, and static thresholds that are chosen in
hindsight, by what they find in the very histories that they are tried on. The detector's constants were chosen by other
seeds, "tuning 1" to "tuning 5". Every run is the same.

`--write docs/anomalies.md` puts the tables into their places there.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from bench.labelled import BEGAN, END, FLOOR, HISTORIES, HOUR, JUDGED, QUARTER, ZONE, Incident, labelled
from bench.report import Cell, Table, markdown, put
from exporter.anomaly.baseline import Baselines, OperationHistory
from exporter.anomaly.judging import judge
from exporter.anomaly.measures import SPEND
from exporter.ledger.hourly import NOTHING, total
from exporter.ledger.model import HourFigures

SEEDS = ("fresh 1", "fresh 2", "fresh 3", "fresh 4", "fresh 5")
"""Not those by which the constants of the detector were chosen."""

WEEK = 7 * 24
GRACE = 2 * HOUR
"""Seconds after an incident in which an alarm is still one of it: the hour that it ended in, and the one after."""

Excess = Callable[[int, Mapping[int, HourFigures]], float]
"""By how many USD an operation is above what a detector takes for usual, at a moment; 0 where that is not odd."""

Detector = Callable[[OperationHistory], Excess]
"""What takes for usual what a history of an operation holds."""


def found(history: OperationHistory) -> Excess:
    """The exporter's own detector."""
    baselines = Baselines(history, ZONE)

    def excess(present: int, hours: Mapping[int, HourFigures]) -> float:
        verdict = judge(SPEND, (present, present - HOUR), hours, baselines.of)
        return verdict.excess if verdict else 0.0

    return excess


def twice_the_average(history: OperationHistory) -> Excess:
    """More than twice the average hour of the seven days before."""

    @cache
    def average(hour: int) -> float:
        return sum(SPEND.of(history.hours.get(hour - ago * HOUR, NOTHING)) for ago in range(1, WEEK + 1)) / WEEK

    def excess(present: int, hours: Mapping[int, HourFigures]) -> float:
        pairs = [(SPEND.of(hours.get(hour, NOTHING)), average(hour)) for hour in (present, present - HOUR)]
        return max(cost - usual if cost > 2 * usual else 0.0 for cost, usual in pairs)

    return excess


def above(threshold: float) -> Detector:
    """More than so many USD in an hour."""

    def excess(present: int, hours: Mapping[int, HourFigures]) -> float:
        cost = max(SPEND.of(hours.get(hour, NOTHING)) for hour in (present, present - HOUR))
        return FLOOR + cost if cost > threshold else 0.0

    return lambda _: excess


@dataclass(frozen=True)
class Score:
    """How a detector did: the incidents, those found, the alarms, those of an incident; minutes to each one found."""

    incidents: int = 0
    found: int = 0
    alarms: int = 0
    true: int = 0
    minutes: tuple[int, ...] = ()

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.incidents + other.incidents,
            self.found + other.found,
            self.alarms + other.alarms,
            self.true + other.true,
            (*self.minutes, *other.minutes),
        )

    @property
    def precision(self) -> float:
        """The share of alarms that are of an incident."""
        return self.true / self.alarms if self.alarms else 1.0

    @property
    def recall(self) -> float:
        """The share of incidents that are found."""
        return self.found / self.incidents if self.incidents else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True)
class Watched:
    """An operation of a history: its whole hours, and what is known of the newest two at the end of each quarter."""

    history: OperationHistory
    moments: Sequence[tuple[int, int, Mapping[int, HourFigures]]]
    incidents: Sequence[Incident]
    neutral: Sequence[tuple[int, int]]


@cache
def watched(name: str, seed: str) -> Sequence[Watched]:
    """The operations of a history."""
    made = labelled(name, seed)
    return [
        Watched(*_seen(quarters), [i for i in made.incidents if i.operation == operation], made.neutral)
        for operation, quarters in made.quarters.items()
    ]


def _seen(
    quarters: Mapping[int, HourFigures],
) -> tuple[OperationHistory, Sequence[tuple[int, int, Mapping[int, HourFigures]]]]:
    hours: dict[int, HourFigures] = {}
    moments = []
    for start in range(BEGAN, END, QUARTER):
        hour = start - start % HOUR
        if start in quarters:
            hours[hour] = total([hours.get(hour, NOTHING), quarters[start]])
        if start >= JUDGED:
            newest = {each: hours.get(each, NOTHING) for each in (hour, hour - HOUR)}
            moments.append((start + QUARTER, hour, newest))
    return OperationHistory(BEGAN, END, hours), moments


def firing(excess: Excess, of: Watched) -> list[int]:
    """The ends of all quarters at which the alert would fire, `spend_anomaly > $5` by operation."""
    return [end for end, hour, newest in of.moments if excess(hour, newest) > FLOOR]


def score(moments: Sequence[int], incidents: Sequence[Incident], neutral: Sequence[tuple[int, int]]) -> Score:
    """What the moments at which an alert fires are worth.

    An incident is found where an alarm begins in it: one that fires already tells nobody anything.
    """
    begun = [run.start for run in _runs(moments)]
    counted = [at for at in begun if not any(begins <= at < ends for begins, ends in neutral)]
    found: dict[Incident, int] = {}
    true = 0
    for at in counted:
        if incident := next((i for i in incidents if i.begins < at <= i.ends + GRACE), None):
            found.setdefault(incident, (at - incident.begins) // 60)
            true += 1
    return Score(len(incidents), len(found), len(counted), true, tuple(found.values()))


def _runs(moments: Iterable[int]) -> list[range]:
    """Stretches in which an alert fires; a pause of an hour or less does not end one."""
    runs: list[range] = []
    for at in moments:
        if runs and at - runs[-1].stop <= HOUR:
            runs[-1] = range(runs[-1].start, at + 1)
        else:
            runs.append(range(at, at + 1))
    return runs


THRESHOLDS = (6, 8, 10, 12, 15, 18, 20, 25, 30, 35, 40, 50, 60)
"""USD in an hour."""

OWN, AVERAGE = "`spend_anomaly > $5`", "twice the seven-day average"
STATIC, STATIC_EACH = "static threshold, the best for all", "static threshold, the best for each history"

ByHistory = Mapping[str, Score]


def by_history(seeds: Sequence[str], detector: Detector) -> ByHistory:
    """How a detector does on each history, over all seeds."""
    return {
        name: sum(
            (
                score(firing(detector(of.history), of), of.incidents, of.neutral)
                for seed in seeds
                for of in watched(name, seed)
            ),
            Score(),
        )
        for name in HISTORIES
    }


def in_all(scores: ByHistory) -> Score:
    """Over all histories."""
    return sum(scores.values(), Score())


def compared(seeds: Sequence[str]) -> dict[str, ByHistory]:
    """The scores of every detector, by its name and by history."""
    static = [by_history(seeds, above(usd)) for usd in THRESHOLDS]
    return {
        OWN: by_history(seeds, found),
        AVERAGE: by_history(seeds, twice_the_average),
        STATIC: max(static, key=lambda scores: in_all(scores).f1),
        STATIC_EACH: {name: max((scores[name] for scores in static), key=lambda score: score.f1) for name in HISTORIES},
    }


def tables(scores: Mapping[str, ByHistory]) -> Iterator[Table]:
    """The two tables of docs/anomalies.md."""
    columns = ("Rule", "Precision", "Recall", "Alarms", "False ones", "Odd stretches", "Missed", "First alarm, median")
    rows = [(name, *_row(in_all(of)), f"{median(in_all(of).minutes):.0f} min") for name, of in scores.items()]
    yield Table("anomalies", columns, rows)
    each = [(history, *(_both(of[history]) for of in scores.values())) for history in HISTORIES]
    yield Table("anomalies by history", ("Precision and recall", *scores), each)


def _row(score: Score) -> tuple[Cell, ...]:
    counts = (score.alarms, score.alarms - score.true, score.incidents, score.incidents - score.found)
    return (_per_cent(score.precision), _per_cent(score.recall), *counts)


def _both(score: Score) -> str:
    return f"{_per_cent(score.precision)}, {_per_cent(score.recall)}"


def _per_cent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", default=SEEDS, metavar="SEED", help=f"(default: {', '.join(SEEDS)})")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a document with places for the tables")
    chosen = parser.parse_args(arguments)
    for table in tables(compared(chosen.seeds)):
        print(f"{markdown(table)}\n", flush=True)
        if chosen.write:
            text = f"`python -m bench.anomalies`:\n\n{markdown(table)}"
            put(chosen.write, table, text)


if __name__ == "__main__":
    main()
