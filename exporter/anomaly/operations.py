"""What is odd of each operation now: the verdict on each measure, and the cause where it is the spend."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from exporter.anomaly.baseline import Baselines, History
from exporter.anomaly.cause import Cause, Usual, cause
from exporter.anomaly.judging import Verdict, judge, since
from exporter.anomaly.measures import CALLS, MEASURES, NOTHING, SPEND, Measure, Sums, added

Hours = Mapping[int, Sums]
"""Hours by their start in seconds since the epoch."""


@dataclass(frozen=True)
class OddSpend:
    """An operation that spends oddly much: since the start of which hour, in seconds since the epoch, and why."""

    since: int
    cause: Cause | None


@dataclass(frozen=True)
class Judged:
    """The verdicts on one operation, by the name of the measure; those of which nothing can be said are missing."""

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    odd_spend: OddSpend | None = None


class Watched:
    """All operations by their history; it stays the same until there is a newer history, so that work is done once."""

    def __init__(self, histories: Mapping[str, Mapping[str, History]], began: int, until: int, zone: ZoneInfo) -> None:
        """By operation and model, each complete from `began` to `until`, in seconds since the epoch."""
        self._empty = History(began, until)
        self._zone = zone
        self._by_model = histories
        self._whole = {operation: _joined(self._empty, models.values()) for operation, models in histories.items()}
        self._baselines: dict[tuple[str, str | None], Baselines] = {}

    def judge(self, present: int, hours: Mapping[str, Mapping[str, Hours]]) -> dict[str, Judged]:
        """The verdicts on the hour that has begun at `present` and the one before it, by operation.

        `hours` are the newest ones by operation and model, the present one as far as it has come. They need not be
        in the history yet.
        """
        operations = sorted(self._whole.keys() | hours.keys())
        return {operation: self._judged(operation, present, hours.get(operation, {})) for operation in operations}

    def _judged(self, operation: str, present: int, by_model: Mapping[str, Hours]) -> Judged:
        newest = {
            hour: added(hours.get(hour, NOTHING) for hours in by_model.values())
            for hour in {hour for hours in by_model.values() for hour in hours}
        }
        known = {**self._whole.get(operation, self._empty).hours, **newest}
        baselines = self._of(operation)
        verdicts = {measure.name: judge(measure, present, known, baselines.of) for measure in MEASURES}
        found = {name: verdict for name, verdict in verdicts.items() if verdict is not None}
        spend = found.get(SPEND.name)
        if spend is None or not spend.excess:
            return Judged(found)
        begun = since(SPEND, spend, known, baselines.of)
        now = {model: hours.get(spend.hour, NOTHING) for model, hours in by_model.items()}
        usual = {model: self._usual(operation, model, spend.hour, begun) for model in now}
        return Judged(found, OddSpend(begun, cause(now, usual)))

    def _usual(self, operation: str, model: str, hour: int, before: int) -> Usual:
        history = self._by_model.get(operation, {}).get(model, self._empty)
        baselines = self._of(operation, model)

        def usually(measure: Measure) -> float:
            baseline = baselines.of(measure, hour)
            return baseline.usual if baseline else 0.0

        typical = added(sums for start, sums in history.hours.items() if start < before)
        return Usual(usually(SPEND), usually(CALLS), typical)

    def _of(self, operation: str, model: str | None = None) -> Baselines:
        key = operation, model
        if key not in self._baselines:
            models = self._by_model.get(operation, {})
            history = self._whole.get(operation, self._empty) if model is None else models.get(model, self._empty)
            self._baselines[key] = Baselines(history, self._zone)
        return self._baselines[key]


def _joined(empty: History, parts: Iterable[History]) -> History:
    hours: dict[int, Sums] = {}
    for part in parts:
        for start, sums in part.hours.items():
            hours[start] = added([hours[start], sums]) if start in hours else sums
    return replace(empty, hours=hours)
