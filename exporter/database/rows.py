"""Turn the rows of the aggregate query into buckets for the ledger."""

from collections import namedtuple
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, Protocol, Self

from exporter.catalog import ERROR_CLASSES
from exporter.config import Classification
from exporter.database.labels import Names, timeout_steps, user_name
from exporter.database.log_query import BY_GROUP, BY_SERIES, BY_USER, EACH
from exporter.database.measures import invalid_values
from exporter.database.outcomes import Outcome
from exporter.figures import SUMMED, Figure
from exporter.ledger.aggregate import (
    FAILURES,
    HISTOGRAMS,
    LATENCY_COUNTS,
    LATENCY_SUMS,
    WIDTH,
    money_units,
    units_of,
)
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR
from exporter.ledger.model import Bucket, Series, SkippedValue, Waiting
from exporter.ledger.spenders import group_key
from exporter.prices.book import Prices
from exporter.prices.model import Price, Tokens

IN_PROGRESS = (Outcome.PENDING, Outcome.RUNNING)
"""Outcomes of calls that will have another one."""

UNUSABLE_OUTCOMES = (Outcome.NULL, Outcome.UNKNOWN)
"""Outcomes of rows that do not say whether the call has ended."""

_sums = attrgetter(*SUMMED)
_FIRST_TOKEN_COUNTS, _FIRST_TOKEN_SUMS = HISTOGRAMS["time_to_first_token"]

COUNTING = (EACH, BY_SERIES)
"""What rows of the result stand for that count rows of the log; all others only say whose those are."""

MOST_NAMES = 10_000
"""Names of users, of groups, and of operations with their models, that are known from one read to the next."""


class SpanRow(Protocol):
    """A row of `log_query.span_query`, with a sum of each of `SUMMED`, and bucket and sum of each of `DURATIONS`.

    What a row is not grouped by is None. `groupname` is there only if the log has groups.
    """

    grouped_by: int
    slice: int
    operation: str | None
    operation_type: str | None
    model: str | None
    username: str | None
    groupname: str | None
    ended: str
    invalid: int
    latency_bucket: int | None
    time_to_first_token_bucket: int | None
    timeouts_reached: int | None
    price_tier: int | None
    rows: int
    cost: Decimal | None
    input_tokens: Decimal | None
    output_tokens: Decimal | None
    cached_tokens: Decimal | None
    latency_microseconds: Decimal
    time_to_first_token_microseconds: Decimal
    unpriced: int
    newest: float
    oldest: float


def named_rows(names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> Iterable[Any]:
    """Rows of a result as `SpanRow`, by the names of its columns."""
    return map(_row_type(names)._make, rows)


@lru_cache(maxsize=2)
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)


_EMPTY = Bucket()
_NOTHING = (0,) * WIDTH


@dataclass
class _Bucket:
    """A bucket in the making: what was known `before`, and the cells to which something has been added."""

    before: Bucket = _EMPTY
    cells: dict[Series, list[int]] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    skipped: dict[SkippedValue, int] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    succeeded: dict[str, float] = field(default_factory=dict)

    @classmethod
    def after(cls, before: Bucket) -> Self:
        return cls(
            before=before,
            users=dict(before.users),
            skipped=dict(before.skipped),
            waiting=dict(before.waiting),
            operations=dict(before.seen_operations),
            models=dict(before.seen_models),
            succeeded=dict(before.succeeded_models),
        )

    def cell(self, series: Series) -> list[int]:
        cell = self.cells.get(series)
        if cell is None:
            cell = self.cells[series] = list(self.before.cells.get(series, _NOTHING))
        return cell

    def finish(self) -> Bucket:
        return Bucket(
            cells={**self.before.cells, **{series: tuple(cell) for series, cell in self.cells.items()}},
            users=self.users,
            skipped=self.skipped,
            waiting=self.waiting,
            seen_operations=self.operations,
            seen_models=self.models,
            succeeded_models=self.succeeded,
        )


@dataclass(frozen=True)
class _Called:
    """A series by one of its spellings. `timeout` is how many of `timeout_steps` a call that reaches it reaches."""

    series: Series
    timeout: int
    is_free: bool


class BucketReader:
    """Buckets in the making, out of the rows of any number of statements that were composed with `classification`.

    `rows` counts those that were added. Labels that differ only in what is cleaned away, or by an alias, are one
    series. The cost of calls is checked by `prices`, in slices of `width` seconds at most; without them, no model has a
    known price.
    """

    def __init__(self, classification: Classification, prices: Prices | None = None, width: int = MINUTE) -> None:
        # the settings of an earlier version, while they are in force, count none of its figures
        self._check = CostCheck(prices, classification.cached_in_input, width) if classification.prices else None
        self._names = Names(classification)
        self._steps = timeout_steps(classification)
        self._buckets: dict[int, _Bucket] = {}
        # labels and users repeat: each is cleaned once, and is one string in memory however often it is found
        self._users: dict[str | None, str] = {}
        self._groups: dict[str | None, str] = {}
        self._has_groups = classification.log_columns.has_groups
        self._called: dict[tuple[str | None, str | None, str | None], _Called] = {}
        self.rows = 0

    def add(self, rows: Iterable[SpanRow], *, by_user: bool = True) -> None:
        """Take the rows of a statement, those of users and groups only if `by_user`."""
        by_group = by_user and self._has_groups
        for row in rows:
            self.rows += 1
            found = self._buckets.get(row.slice)
            if found is None:
                found = self._buckets[row.slice] = _Bucket()
            if row.grouped_by in COUNTING:
                _add_series(found, row, self._call(row.operation, row.operation_type, row.model), self._check)
            if by_user and row.grouped_by in (EACH, BY_USER):
                _spend(found, self._user(row.username), row)
            if by_group and row.grouped_by in (EACH, BY_GROUP):
                _spend(found, self._group(row.groupname), row)

    def buckets(self) -> dict[int, Bucket]:
        """What was read, by the start of each stretch."""
        return {start: found.finish() for start, found in self._buckets.items()}

    def extended(self, start: int, before: Bucket, rows: Iterable[SpanRow]) -> Bucket:
        """What a stretch holds by these rows and what was known `before`; names that are known are not cleaned again.

        Nothing that was added otherwise counts.
        """
        for known in (self._users, self._groups, self._called):
            if len(known) > MOST_NAMES:
                known.clear()
        self._buckets = {start: _Bucket.after(before)}
        self.add(rows)
        bucket, self._buckets = self._buckets[start].finish(), {}
        return bucket

    def _user(self, text: str | None) -> str:
        user = self._users.get(text)
        if user is None:
            user = self._users[text] = self._names.user(text)
        return user

    def _group(self, text: str | None) -> str:
        group = self._groups.get(text)
        if group is None:
            group = self._groups[text] = group_key(user_name(text))
        return group

    def _call(self, operation_id: str | None, operation_type: str | None, model: str | None) -> _Called:
        names = operation_id, operation_type, model
        called = self._called.get(names)
        if called is None:
            series = Series(self._names.operation(operation_id, operation_type), self._names.model(model))
            reached = self._steps.index(self._names.timeout(model)) + 1
            called = self._called[names] = _Called(series, reached, self._names.is_free(model))
        return called


class CostCheck:
    """The figures of what calls should have cost, by the prices at their time, in slices of `width` seconds at most."""

    def __init__(self, prices: Prices | None, cached_in_input: bool, width: int) -> None:
        self._prices = prices
        self._cached_in_input = cached_in_input
        self._width = width
        self._known: dict[tuple[str, int], Price | None] = {}

    def add(self, cell: list[int], row: SpanRow, tier: int, model: str) -> None:
        """Add calls of one tier to a cell: as checked, or as of an unknown price."""
        price = self._price(model, row.slice)
        if price is None:
            cell[Figure.PRICE_UNKNOWN] += row.rows
            return
        cached = int(row.cached_tokens or 0)
        usage = Tokens(
            calls=row.rows,
            tier=tier,
            input_tokens=int(row.input_tokens or 0) + (0 if self._cached_in_input else cached),
            output_tokens=int(row.output_tokens or 0),
            cached_tokens=cached,
        )
        cell[Figure.CHECKED] += row.rows
        cell[Figure.EXPECTED_COST] += price.cost(usage)
        if row.cost is not None:
            cell[Figure.CHECKED_COST] += money_units(row.cost)

    def _price(self, model: str, at: int) -> Price | None:
        """The price throughout a slice; None where it is not known, or another one in a part of a day."""
        if self._prices is None:
            return None
        key = model, at
        if key not in self._known:
            if len(self._known) > MOST_NAMES:
                self._known.clear()
            moments = range(at, at + self._width, QUARTER_HOUR)
            prices = {self._prices.price(model, moment) for moment in moments}
            self._known[key] = prices.pop() if len(prices) == 1 else None
        return self._known[key]


def _add_series(found: _Bucket, row: SpanRow, called: _Called, check: CostCheck | None) -> None:
    (operation, model), rows, kind = called.series, row.rows, row.ended
    cell = found.cell(called.series)
    cell[Figure.ROWS] += rows
    for figure, value in zip(SUMMED.values(), _sums(row), strict=True):
        if value is not None:
            cell[figure] += units_of(figure, value)
    for measure, reason in invalid_values(row.invalid) if row.invalid else ():
        if row.cost is not None and row.cost < 0 and measure == "cost":
            refund = money_units(row.cost)
            cell[Figure.COST] -= refund
            cell[Figure.REFUNDS] -= refund
        else:
            _skip(found, SkippedValue(measure, reason), rows)
    found.operations[operation] = max(row.newest, found.operations.get(operation, row.newest))
    found.models[model] = max(row.newest, found.models.get(model, row.newest))
    if kind in IN_PROGRESS:
        known = found.waiting.get(kind, Waiting(0, row.oldest))
        found.waiting[kind] = Waiting(known.rows + rows, min(known.oldest, row.oldest))
        return
    if kind in UNUSABLE_OUTCOMES:
        _skip(found, SkippedValue("status", kind), rows)
        return
    if kind == Outcome.REFUND:
        return
    cell[Figure.CALLS] += rows
    if kind == Outcome.TIMEOUT or (row.timeouts_reached is not None and row.timeouts_reached >= called.timeout):
        cell[Figure.OVER_TIMEOUT] += rows
    if check is not None and row.price_tier is not None:
        check.add(cell, row, row.price_tier, model)
    if not called.is_free:
        cell[Figure.UNPRICED] += row.unpriced
    if row.latency_bucket is not None:
        cell[LATENCY_COUNTS.start + row.latency_bucket] += rows
        cell[LATENCY_SUMS.start + row.latency_bucket] += int(row.latency_microseconds)
    if row.time_to_first_token_bucket is not None:
        cell[_FIRST_TOKEN_COUNTS.start + row.time_to_first_token_bucket] += rows
        cell[_FIRST_TOKEN_SUMS.start + row.time_to_first_token_bucket] += int(row.time_to_first_token_microseconds)
    if kind == Outcome.OK:
        found.succeeded[model] = max(row.newest, found.succeeded.get(model, row.newest))
    else:
        cell[FAILURES.start + ERROR_CLASSES.index(kind)] += rows


def _spend(found: _Bucket, name: str, row: SpanRow) -> None:
    found.users[name] = found.users.get(name, 0) + (0 if row.cost is None else money_units(row.cost))


def _skip(found: _Bucket, value: SkippedValue, count: int) -> None:
    if count:
        found.skipped[value] = found.skipped.get(value, 0) + count
