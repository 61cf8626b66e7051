"""A log of calls in memory, and how a reader would see it: the brute-force side of every comparison."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from exporter.catalog import ERROR_CLASSES, SECOND
from exporter.figures import DURATIONS, Figure
from exporter.ledger import aggregate as figures
from exporter.ledger.aggregate import ZERO, Aggregate, add
from exporter.ledger.model import UNATTRIBUTED, Bucket, Series, SkippedValue, SpanRead, TimeRange, Waiting
from exporter.ledger.spenders import group_key

FINAL = ("success", "failed", "timeout")
WAITING = ("pending", "running")
DAY = 86400

ODD = "odd"
"""A status nobody knows: the row is neither final nor in progress."""

UNLISTED = "m3"
"""A model whose prices are not known."""

NEGATIVE = SkippedValue("cost_usd", "negative")


@dataclass(frozen=True)
class Row:
    """One call as logged; `at` in seconds, `cost` and `refund` in money units, durations in microseconds."""

    id: int
    at: int
    operation: str = "chat"
    model: str = "m1"
    user: str | None = None
    status: str = "success"
    cost: int | None = 0
    tokens: int = 0
    latency: int | None = None
    first_token: int | None = None
    refund: int = 0
    error: str = "other"
    group: str | None = None


@dataclass(frozen=True)
class Classes:
    """What the configuration makes of rows: models renamed, models that are free, and the timeout in seconds.

    `shift` is by how many seconds it dates rows later than they say, as another time zone of the log does. `groups`
    renames groups; None: the log tells none.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    timeout: int = 60
    shift: int = 0
    groups: Mapping[str, str] | None = field(default_factory=dict)

    def at(self, row: Row) -> int:
        """When the call was made."""
        return row.at + self.shift

    def series(self, row: Row) -> Series:
        """The labels of a row."""
        return Series(row.operation, self.names.get(row.model, row.model))

    def group(self, row: Row) -> str | None:
        """The group of a row, if it is told."""
        return None if self.groups is None or row.group is None else self.groups.get(row.group, row.group)

    def cost(self, row: Row) -> int:
        """The money that counts: none where the column holds nothing usable."""
        return max(row.cost or 0, 0)

    def spend(self, row: Row) -> int:
        """What gauges show of it: the money that counts, less what was refunded."""
        return self.cost(row) - row.refund

    def aggregate(self, row: Row) -> Aggregate:
        """The figures of one row, but for fallbacks, which the ledger finds."""
        values = list(ZERO)
        values[Figure.ROWS] = 1
        values[Figure.COST] = self.cost(row)
        values[Figure.REFUNDS] = row.refund
        values[Figure.INPUT_TOKENS] = row.tokens
        values[Figure.OUTPUT_TOKENS] = row.tokens * 2
        if row.status not in FINAL:
            return tuple(values)
        values[Figure.CALLS] = 1
        values[Figure.UNPRICED] = int(row.tokens > 0 and not self.cost(row) and row.model not in self.free)
        if row.status == "success" and row.model == UNLISTED:
            values[Figure.PRICE_UNKNOWN] = 1
        elif row.status == "success":
            values[Figure.CHECKED] = 1
            values[Figure.EXPECTED_COST] = 7 * row.tokens
            values[Figure.CHECKED_COST] = self.cost(row)
        slow = row.latency is not None and row.latency >= self.timeout * SECOND
        values[Figure.OVER_TIMEOUT] = int(slow or row.status == "timeout")
        if row.status != "success":
            error = "timeout" if row.status == "timeout" else row.error
            values[figures.FAILURES.start + ERROR_CLASSES.index(error)] = 1
        for role, duration in (("latency", row.latency), ("time_to_first_token", row.first_token)):
            if duration is not None:
                bucket = sum(duration > edge * SECOND for edge in DURATIONS[role].edges)
                values[figures.HISTOGRAMS[role].counts.start + bucket] = 1
                values[figures.HISTOGRAMS[role].sums.start + bucket] = duration
        return tuple(values)


class Log:
    """The table: rows by id, and the routes beside it."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.routes: dict[str, str] = {}
        self._next = 0
        # by day, so that a long story reads as fast at its end as at its beginning
        self._days: dict[int, dict[int, Row]] = {}

    def insert(self, at: int, **columns: object) -> Row:
        """A new row."""
        self._next += 1
        return self.put(Row(self._next, at, **columns))  # type: ignore[arg-type]

    def put(self, row: Row) -> Row:
        """A row that comes back, or one that is written anew."""
        if row.id in self.rows:
            self.delete(row)
        self.rows[row.id] = row
        self._days.setdefault(row.at // DAY, {})[row.id] = row
        return row

    def update(self, row: Row, **columns: object) -> Row:
        """The row with other values."""
        return self.put(replace(self.rows[row.id], **columns))  # type: ignore[arg-type]

    def delete(self, row: Row) -> Row:
        """Remove a row."""
        gone = self.rows.pop(row.id)
        del self._days[gone.at // DAY][gone.id]
        return gone

    def within(self, span: TimeRange, classes: Classes | None = None) -> list[Row]:
        """The rows of a span, oldest first."""
        at = (classes or Classes()).at
        # no shift of times is longer than a day
        first, last = span.lo // DAY - 1, span.hi // DAY + 1
        days = self._days.keys() if last - first > len(self._days) else range(first, last + 1)
        rows = (row for day in days if first <= day <= last for row in self._days.get(day, {}).values())
        return sorted((row for row in rows if span.lo <= at(row) < span.hi), key=lambda row: (row.at, row.id))

    def read(self, span: TimeRange, now: int, classes: Classes, sequence: int = 0, *, width: int = 60) -> SpanRead:
        """What a reader brings of a span, in stretches of `width` seconds; one where that is more than 900."""
        if width > 900:
            rows = self.within(span, classes)
            return SpanRead(
                span, now, {span.lo: bucket_of(rows, classes)} if rows else {}, dict(self.routes), sequence, width
            )
        quarters_to = 0 if width == 60 else span.hi
        return self.read_rows(self.within(span, classes), span, now, classes, sequence, quarters_to=quarters_to)

    def read_rows(
        self,
        rows: Iterable[Row],
        span: TimeRange,
        now: int,
        classes: Classes,
        sequence: int = 0,
        *,
        quarters_to: int = 0,
    ) -> SpanRead:
        """What a reader brings of some rows: by quarters before `quarters_to`, and by minutes."""
        parts: dict[int, list[Row]] = {}
        for row in rows:
            at = classes.at(row)
            parts.setdefault(at - at % (900 if at < quarters_to else 60), []).append(row)
        buckets = {start: bucket_of(found, classes) for start, found in parts.items()}
        return SpanRead(span, now, buckets, dict(self.routes), sequence, 900 if quarters_to >= span.hi else 60)


def bucket_of(rows: Iterable[Row], classes: Classes) -> Bucket:
    """What a reader makes of the rows of one stretch."""
    cells: dict[Series, Aggregate] = {}
    users: dict[str, int] = {}
    skipped: dict[SkippedValue, int] = {}
    waiting: dict[str, Waiting] = {}
    operations: dict[str, float] = {}
    models: dict[str, float] = {}
    succeeded: dict[str, float] = {}
    for row in rows:
        series, at = classes.series(row), float(classes.at(row))
        cells[series] = add(cells.get(series, ZERO), classes.aggregate(row))
        if spend := classes.spend(row):
            group = classes.group(row)
            for name in (row.user or UNATTRIBUTED, *(() if group is None else (group_key(group),))):
                users[name] = users.get(name, 0) + spend
        if row.cost is not None and row.cost < 0:
            skipped[NEGATIVE] = skipped.get(NEGATIVE, 0) + 1
        if row.status in WAITING:
            known = waiting.get(row.status, Waiting(0, at))
            waiting[row.status] = Waiting(known.rows + 1, min(known.oldest, at))
        operations[series.operation] = max(at, operations.get(series.operation, 0.0))
        models[series.model] = max(at, models.get(series.model, 0.0))
        if row.status == "success":
            succeeded[series.model] = max(at, succeeded.get(series.model, 0.0))
    return Bucket(cells, users, skipped, waiting, operations, models, succeeded)


def sum_rows(rows: Iterable[Row], classes: Classes) -> dict[Series, Aggregate]:
    """Brute force: the figures of rows by series."""
    result: dict[Series, Aggregate] = {}
    for row in rows:
        series = classes.series(row)
        result[series] = add(result.get(series, ZERO), classes.aggregate(row))
    return result
