"""The hourly history: which hours are known, what they held, and which stretch of the log is to be read next.

An hour begins a whole number of hours after midnight in the budget's time zone, so that days are made of whole hours in
every zone: a day of 23.5 hours ends with half an hour. What the ledger still has slices of is taken from those, late
rows included; only older hours are read from the log. Times are in seconds since the epoch.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import islice
from typing import Self
from zoneinfo import ZoneInfo

from exporter.figures import Figure
from exporter.ledger.aggregate import FAILURES, LATENCY_COUNTS, LATENCY_SUMS, ZERO, Aggregate, add, net
from exporter.ledger.calendar import HOUR, QUARTER_HOUR, day_of, day_start, first_user_day, floor_to
from exporter.ledger.model import OTHER, Bucket, Hour, HourFigures, Progress, Series, Slice, TimeRange, UserSpend
from exporter.ledger.packed import from_bytes, to_bytes

NOTHING = HourFigures()
"""What a series without calls had."""

MOST_USERS = 200
"""Users whose spend is kept of an hour, at most."""


@dataclass(frozen=True)
class Known:
    """All hours from `lo` to `hi` are known. Before `oldest` there is nothing to know; None: nobody has asked yet."""

    lo: int
    hi: int
    oldest: int | None = None


@dataclass(frozen=True)
class HourSources:
    """Where hours can come from now: those from `slices` on out of the ledger, those from `users` on with their users.

    Everything before `until` is finished; `back_to` is where the history begins.
    """

    slices: int
    users: int
    until: int
    back_to: int


@dataclass(frozen=True, slots=True, eq=False)
class HourTotal:
    """What all series had in an hour, and what users spent: packed, since there are many hours with different users."""

    figures: HourFigures
    packed_users: bytes

    def __eq__(self, other: object) -> bool:
        # the same users may be packed in another order
        return isinstance(other, HourTotal) and (self.figures, self.users()) == (other.figures, other.users())

    @classmethod
    def of(cls, hour: Hour) -> Self:
        """The total of an hour."""
        users = hour.users
        return cls(total(hour.cells.values()), to_bytes((dict(users.units), users.complete, users.groups)))

    def users(self) -> UserSpend:
        """What users spent: unpacked anew each time."""
        return UserSpend(*from_bytes(self.packed_users))


def hour_start(instant: int, zone: ZoneInfo) -> int:
    """The start of the hour that holds the instant."""
    midnight = day_start(day_of(instant, zone), zone)
    return midnight + floor_to(instant - midnight, HOUR)


def hour_end(start: int, zone: ZoneInfo) -> int:
    """The end of the hour that begins at `start`: the last one of a day may be shorter."""
    return min(start + HOUR, day_start(day_of(start, zone) + 1, zone))


def hours_between(lo: int, hi: int, zone: ZoneInfo) -> Iterator[int]:
    """The starts of all hours from the one that begins at `lo` to those that end by `hi`."""
    while lo < hi and (end := hour_end(lo, zone)) <= hi:
        yield lo
        lo = end


def day_hours(day: int, zone: ZoneInfo) -> list[int]:
    """The starts of the hours of a day (`datetime.date.toordinal`): 23 to 25 of them."""
    return list(hours_between(day_start(day, zone), day_start(day + 1, zone), zone))


def sources(progress: Progress, safe_now: int, zone: ZoneInfo, weeks: int) -> HourSources:
    """Where hours can come from, by how far the ledger has read and a clock that is ahead of no other."""
    slices = hour_start(max(progress.compacted, progress.began), zone)
    if slices < max(progress.compacted, progress.began):
        slices = hour_end(slices, zone)
    until = hour_start(min(progress.merged, progress.now), zone)
    users = max(slices, day_start(first_user_day(safe_now, zone), zone))
    back_to = day_start(day_of(safe_now, zone) - 7 * weeks, zone)
    return HourSources(min(slices, until), min(users, until), until, back_to)


def begin(found: HourSources) -> Known:
    """What is known of a history that begins now: nothing."""
    return Known(found.users, found.users)


def carried_on(known: Known | None, found: HourSources) -> Known:
    """What is known of what was known before: nothing where all of that is too old by now."""
    if known is None or known.hi < found.back_to:
        return begin(found)
    return replace(known, lo=max(known.lo, found.back_to))


def with_oldest(known: Known, first_row: float | None, busy_since: int, zone: ZoneInfo) -> Known:
    """What is known once the log was asked for its first row before `known.lo`; None: it has none there.

    What a log has not is not known to be 0: it may have been deleted, in the midst of an hour even. `busy_since` is the
    first hour of those that are known which has calls (the end of them: none has), for a log that begins in these.
    """
    if first_row is not None:
        oldest = min(hour_end(hour_start(int(first_row), zone), zone), known.lo)
        return replace(known, oldest=oldest)
    begins = busy_since if busy_since in (known.lo, known.hi) else hour_end(busy_since, zone)
    return replace(known, lo=begins, oldest=begins)


def next_span(known: Known, found: HourSources, length: int, zone: ZoneInfo) -> TimeRange | None:
    """The next stretch to read from the log, an hour at least and about `length` seconds of one day; None: nothing.

    A gap after what is known comes first, then what is before it, the newest day first.
    """
    length = max(HOUR, floor_to(length, HOUR))
    if known.hi < found.users:
        midnight = day_start(day_of(known.hi, zone) + 1, zone)
        return TimeRange(known.hi, min(known.hi + length, found.users, midnight))
    lo = found.back_to if known.oldest is None else max(found.back_to, known.oldest)
    if known.lo <= lo:
        return None
    midnight = day_start(day_of(known.lo - 1, zone), zone)
    return TimeRange(max(hour_start(max(known.lo - length, midnight), zone), lo), known.lo)


def hour_of_slices(start: int, end: int, slices: Mapping[int, Slice]) -> dict[Series, HourFigures]:
    """What the ledger's quarter-hours from `start` to `end` hold by series."""
    quarters = [slices[quarter] for quarter in range(start, end, QUARTER_HOUR) if quarter in slices]
    return _by_series((series, cell.current) for item in quarters for series, cell in item.cells.items())


def hour_of_bucket(bucket: Bucket, admitted: Collection[Series]) -> dict[Series, HourFigures]:
    """What a bucket that was read holds by series; pairs without a series of their own are `OTHER`."""
    return _by_series((series if series in admitted else OTHER, found) for series, found in bucket.cells.items())


def total(cells: Iterable[HourFigures]) -> HourFigures:
    """Sum of what several series had."""
    return HourFigures(*map(sum, zip(NOTHING, *cells, strict=True)))


def moved_to_other(hour: Hour, gone: Collection[Series]) -> Hour | None:
    """The hour with these series under `OTHER`, where their spend goes when they end; None where it has none."""
    if not any(series in gone for series in hour.cells):
        return None
    cells = {series: figures for series, figures in hour.cells.items() if series not in gone}
    moved = [figures for series, figures in hour.cells.items() if series in gone]
    return replace(hour, cells={**cells, OTHER: total([*moved, cells.get(OTHER, NOTHING)])})


def chosen_users(spent: Mapping[str, int], preferred: Iterable[str]) -> UserSpend:
    """Who is kept of those who spent: all if they are `MOST_USERS` at most, else the preferred, then who spent most.

    All are users, by their labels: of groups the history knows nothing.
    """
    if len(spent) <= MOST_USERS:
        return UserSpend(dict(spent), complete=True)
    chosen = list(islice(dict.fromkeys(preferred), MOST_USERS))
    most = nlargest(MOST_USERS, spent, key=lambda user: spent[user])
    names = islice(dict.fromkeys([*chosen, *most]), MOST_USERS)
    return UserSpend({name: spent.get(name, 0) for name in names})


def figures_of(aggregate: Aggregate) -> HourFigures:
    """What the history keeps of an aggregate."""
    return HourFigures(
        calls=aggregate[Figure.CALLS],
        failed=sum(aggregate[FAILURES]),
        cost=net(aggregate),
        input_tokens=aggregate[Figure.INPUT_TOKENS],
        output_tokens=aggregate[Figure.OUTPUT_TOKENS],
        latency=sum(aggregate[LATENCY_SUMS]),
        timed=sum(aggregate[LATENCY_COUNTS]),
    )


def _by_series(found: Iterable[tuple[Series, Aggregate]]) -> dict[Series, HourFigures]:
    """What each series had, without those that had nothing."""
    sums: dict[Series, Aggregate] = {}
    for series, aggregate in found:
        sums[series] = add(sums.get(series, ZERO), aggregate)
    return {series: figures for series, each in sums.items() if any(figures := figures_of(each))}
