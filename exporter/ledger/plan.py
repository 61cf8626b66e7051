"""Changes in the making: running figures over a state that stays as it is."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from exporter.figures import Figure
from exporter.ledger.admission import SeriesLimiter
from exporter.ledger.aggregate import ZERO, Aggregate, add, net, with_figure
from exporter.ledger.calendar import QUARTER_HOUR, day_of, first_user_day, month_start_day
from exporter.ledger.day_sums import DaySums
from exporter.ledger.model import (
    OTHER,
    UNKNOWN,
    Bucket,
    Cell,
    Changes,
    LedgerSettings,
    Progress,
    Series,
    SkippedValue,
    Slice,
    SpanRead,
    State,
    Tally,
)
from exporter.ledger.packed import pack
from exporter.ledger.slices import latest, taken_back
from exporter.ledger.spenders import group_label, is_group

K = TypeVar("K", bound=Hashable)


def first_day(today: int) -> int:
    """The first day whose spend is kept: that of the month, or of the last one while a clock may be set back to it."""
    return month_start_day(today - 2)


@dataclass
class Plan:
    """What one plan has found so far. Every method adds to `changes`.

    Sums of days are dropped by `irrevocable`, the safe clock, and only once no day of their month can be shown again,
    not even by a clock that is set back by up to two days. Series that it admits are exposed since `first_exposed_at`,
    see `Admission`. `known_models` are those that the log names.
    """

    state: State
    settings: LedgerSettings
    irrevocable: int
    first_exposed_at: int | None = None
    known_models: frozenset[str] = frozenset()
    changes: Changes = field(default_factory=Changes)
    rows_overflowed: int = 0

    def __post_init__(self) -> None:
        self.limiter = SeriesLimiter(self.state, self.settings, self.first_exposed_at)
        self.first_day = first_day(day_of(self.irrevocable, self.settings.zone))
        self.first_user_day = first_user_day(self.irrevocable, self.settings.zone)

    def admit(self, routes: Mapping[str, str], buckets: Mapping[int, Bucket]) -> None:
        """Admit the series of a read: those of routes, then by first appearance, then by name."""
        # series of routes come first, so that they show a zero before their first call
        self.limiter.admit_all(Series(*route) for route in sorted(routes.items()))
        for start in sorted(buckets):
            cells = buckets[start].cells
            for series in sorted(filter(self.limiter.is_new, cells)):
                self.limiter.admit(series, start, cells[series][Figure.ROWS])

    def overflow_labels(self, start: int, bucket: Bucket, routes: Mapping[str, str]) -> dict[Series, Aggregate]:
        """The aggregates of a slice that begins at `start`, under the labels they are kept by.

        Calls that another model than the route's primary has served are marked as fallbacks. None is claimed where the
        log knows no model by the primary's name: the route may spell it otherwise.
        """
        result: dict[Series, Aggregate] = {}
        for series, aggregate in bucket.cells.items():
            primary = routes.get(series.operation, series.model)
            if series.model not in (primary, UNKNOWN) and primary in self.known_models:
                aggregate = with_figure(aggregate, Figure.FALLBACKS, aggregate[Figure.CALLS])
            label = self.limiter.label(series, start)
            known = result.get(label)
            result[label] = aggregate if known is None else add(known, aggregate)
        return result

    def count(self, series: Series, rise: Aggregate) -> None:
        """Let a series' counters rise."""
        if any(rise):
            # several slices of one read may raise the same counter
            before = self.changes.totals.get(series) or self.state.totals.get(series, ZERO)
            self.changes.totals[series] = add(before, rise)
            # nothing else tells how much has overflowed
            if series == OTHER:
                self.rows_overflowed += rise[Figure.ROWS]

    def count_skips(self, skip: SkippedValue, rise: int) -> None:
        """Let the counter of unusable values rise."""
        bump(self.changes.skipped, self.state.skipped, skip, rise)

    def take_back(self, series: Series, units: int) -> None:
        """Add money that the counter has and the rows have not."""
        bump(self.changes.corrections, self.state.corrections, series, units)

    def replace_cell(self, start: int, series: Series, old: Cell, new: Cell) -> None:
        """Carry the difference of two cells into the corrections and into the day's spend."""
        self.take_back(series, taken_back(new) - taken_back(old))
        self.spend(start, series, net(new.current) - net(old.current))

    def spend(self, start: int, series: Series, units: int) -> None:
        """Add money to the day that holds `start`."""
        self.spend_day(day_of(start, self.settings.zone), series, units)

    def spend_day(self, day: int, series: Series, units: int) -> None:
        """Add money to a day, if it is one that is kept."""
        if day >= self.first_day:
            bump(self.changes.days, self.state.days, (day, series), units)

    def keep_users(self, start: int, users: Mapping[str, int]) -> Mapping[str, int]:
        """The users of a slice: none where no gauge shows them any more."""
        return users if day_of(start, self.settings.zone) >= self.first_user_day else {}

    def replace_users(self, start: int, old: Mapping[str, int], new: Mapping[str, int]) -> None:
        """Carry the difference of a slice's users and groups, old and new, into the day that holds `start`."""
        day = day_of(start, self.settings.zone)
        if day >= self.first_user_day and old != new:
            for name in {**new, **old}:
                units = new.get(name, 0) - old.get(name, 0)
                if is_group(name):
                    bump(self.changes.group_days, self.state.group_days, (day, group_label(name)), units)
                else:
                    bump(self.changes.user_days, self.state.user_days, (day, name), units)

    def replace_slice(self, parts: Iterable[Slice], new: Slice) -> None:
        """Put one slice in the place of those it covers; the users of a quarter go to the store alone."""
        for part in parts:
            self.compact(part.start)
        self.changes.slices[new.start] = kept_in_memory(new)
        self.changes.slice_users[new.start] = new.users or None

    def compact(self, start: int) -> None:
        """Drop a slice: what it held lives on in the sums."""
        self.changes.slices[start] = None
        self.changes.slice_users[start] = None
        # a slice that is gone cannot be newer than a read
        self.changes.found.pop(start, None)

    def tally(
        self, old: Mapping[SkippedValue, Tally], current: Mapping[SkippedValue, int], *, counted: bool
    ) -> dict[SkippedValue, Tally]:
        """The tallies after a read; those that rise are counted if `counted`."""
        result: dict[SkippedValue, Tally] = {}
        for skip in sorted({*old, *current}):
            before, now = old.get(skip, Tally()), current.get(skip, 0)
            if counted:
                # as with rows: a count that flickers is counted once
                result[skip] = Tally(now, max(before.high_water, now))
                self.count_skips(skip, result[skip].high_water - before.high_water)
            else:
                result[skip] = Tally(now, now + max(0, before.high_water - before.current))
        return result

    def see(self, buckets: Collection[Bucket], routes: Mapping[str, str]) -> None:
        """Note when operations and models were seen last.

        A route's primary model is noted by its name even if it has no series of its own: fallbacks depend on it.
        """
        primaries = set(routes.values())
        labels: Mapping[str, Callable[[str], str]] = {
            "seen_operations": self.limiter.operation,
            "seen_models": lambda name: name if name in primaries else self.limiter.model(name),
            "succeeded_models": self.limiter.model,
        }
        for part, label in labels.items():
            times = latest(getattr(bucket, part) for bucket in buckets)
            self.note_times(part, ((label(name), at) for name, at in times.items()))

    def note_times(self, part: str, times: Iterable[tuple[str, float]]) -> None:
        """Note the times in one of `SEEN` that are later than those known."""
        changed, known = getattr(self.changes, part), getattr(self.state, part)
        for name, at in times:
            if at > max(known.get(name, 0.0), changed.get(name, 0.0)):
                changed[name] = at

    def finish(self, read: SpanRead, buckets: Collection[Bucket]) -> Progress:
        """Note what was seen in the buckets and which series are new, and drop sums of days that no gauge shows.

        Returns the progress, but for how far the log has been read.
        """
        self.see(buckets, read.routes)
        # the safe clock decides: a clock that is ahead would drop sums that are still shown
        self.changes.days.update(_before(self.first_day, self.state.days))
        self.changes.user_days.update(_before(self.first_user_day, self.state.user_days))
        self.changes.group_days.update(_before(self.first_user_day, self.state.group_days))
        self.changes.admitted.update(self.limiter.added)
        self.changes.candidates.update(self.limiter.candidates())
        before = self.state.progress
        return replace(
            before,
            now=max(before.now, read.now),
            rows_overflowed=before.rows_overflowed + self.rows_overflowed,
            rows_read=before.rows_read + read.rows,
            newest=max([before.newest, *(at for bucket in buckets for at in bucket.seen_operations.values())]),
            skew=before.skew if read.skew is None else read.skew,
        )


def known_models(state: State, read: SpanRead) -> frozenset[str]:
    """The models that the log has been seen to name."""
    return frozenset(state.seen_models).union(*(minute.seen_models for minute in read.buckets.values()))


def _before(first: int, sums: DaySums[K]) -> dict[tuple[int, K], None]:
    """What drops the sums of all days before the first one that is kept."""
    return {(day, name): None for day in sums.all_days if day < first for name in sums.on(day)}


def kept_in_memory(item: Slice) -> Slice:
    """A slice as memory has it: the users of quarters are in the store alone, and their cells are packed."""
    return replace(item, users={}, cells=pack(item.cells)) if item.width == QUARTER_HOUR else item


def bump(changed: dict[K, int] | dict[K, int | None], known: Mapping[K, int], key: K, by: int) -> None:
    """Add to what is known or has changed already."""
    if by:
        before = changed.get(key)
        changed[key] = (known.get(key, 0) if before is None else before) + by
