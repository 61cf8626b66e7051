"""From the rows of the aggregate query to the minutes that the ledger takes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exporter.config import UPPER_BOUNDS, Classification
from exporter.database.labels import Names, timeout_steps
from exporter.database.log_query import BY_SERIES, BY_USER, FIRST_FAULT, INVALID_REASONS
from exporter.ledger.aggregate import (
    ERROR_CLASSES,
    FAILURES,
    LATENCY_COUNTS,
    LATENCY_SUMS,
    WIDTH,
    Field,
    money_units,
)
from exporter.ledger.model import Bucket, Series, SkippedValue, Waiting

IN_PROGRESS = ("pending", "running")
"""Statuses of rows that will have another one."""

TIMEOUT = "timeout"
"""The class of calls that reached their timeout, however long they took."""

UNUSABLE_STATUSES = ("null", "unknown")
"""Classes of rows whose status says nothing."""


@dataclass
class _Bucket:
    cells: dict[Series, list[int]] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    skipped: dict[SkippedValue, int] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    succeeded: dict[str, float] = field(default_factory=dict)

    def finish(self) -> Bucket:
        return Bucket(
            {series: tuple(cell) for series, cell in self.cells.items()},
            self.users,
            self.skipped,
            self.waiting,
            self.operations,
            self.models,
            self.succeeded,
        )


@dataclass(frozen=True)
class _Model:
    """A model by one of its spellings. `timeout` is how many of `timeout_steps` a call that reaches it reaches."""

    label: str
    timeout: int
    is_free: bool


class BucketReader:
    """Minutes in the making, out of the rows of any number of statements that were composed with `classification`.

    `rows` counts those that were added. Labels that differ only in what is cleaned away, or by an alias, are one
    series.
    """

    def __init__(self, classification: Classification) -> None:
        self._names = Names(classification)
        self._steps = timeout_steps(classification)
        self._buckets: dict[int, _Bucket] = {}
        # labels and users repeat: each is cleaned once, and is one string in memory however often it is found
        self._users: dict[str | None, str] = {}
        self._operations: dict[tuple[str | None, str | None], str] = {}
        self._models: dict[str | None, _Model] = {}
        self.rows = 0

    def add(self, rows: Iterable[tuple[Any, ...]], *, by_user: bool = True) -> None:
        """Take the rows of a statement, those of users only if `by_user`."""
        for row in rows:
            self.rows += 1
            found = self._buckets.setdefault(row[1], _Bucket())
            if row[0] == BY_USER:
                if not by_user:
                    continue
                user = self._user(row[5])
                found.users[user] = found.users.get(user, 0) + _money(row[10])
            elif row[0] == BY_SERIES:
                _add_series(found, row, self._operation(row[2], row[3]), self._model(row[4]))
            else:
                _add_faults(found, row)

    def buckets(self) -> dict[int, Bucket]:
        """What was read, by the start of each stretch."""
        return {start: found.finish() for start, found in self._buckets.items()}

    def _user(self, text: str | None) -> str:
        if text not in self._users:
            self._users[text] = self._names.user(text)
        return self._users[text]

    def _operation(self, operation_id: str | None, operation_type: str | None) -> str:
        names = operation_id, operation_type
        if names not in self._operations:
            self._operations[names] = self._names.operation(*names)
        return self._operations[names]

    def _model(self, text: str | None) -> _Model:
        if text not in self._models:
            reached = self._steps.index(self._names.timeout(text)) + 1
            self._models[text] = _Model(self._names.model(text), reached, self._names.is_free(text))
        return self._models[text]


def _add_series(found: _Bucket, row: tuple[Any, ...], operation: str, called: _Model) -> None:
    model = called.label
    kind, latency_bucket, reached, rows, newest = row[6], row[7], row[8], row[9], row[15]
    cell = found.cells.setdefault(Series(operation, model), [0] * WIDTH)
    cell[Field.ROWS] += rows
    cell[Field.COST] += _money(row[10])
    cell[Field.INPUT_TOKENS] += int(row[11] or 0)
    cell[Field.OUTPUT_TOKENS] += int(row[12] or 0)
    found.operations[operation] = max(newest, found.operations.get(operation, newest))
    found.models[model] = max(newest, found.models.get(model, newest))
    if kind in IN_PROGRESS:
        known = found.waiting.get(kind, Waiting(0, row[16]))
        found.waiting[kind] = Waiting(known.rows + rows, min(known.oldest, row[16]))
        return
    if kind in UNUSABLE_STATUSES:
        skip = SkippedValue("status", kind)
        found.skipped[skip] = found.skipped.get(skip, 0) + rows
        return
    cell[Field.CALLS] += rows
    if kind == TIMEOUT or (reached is not None and reached >= called.timeout):
        cell[Field.OVER_TIMEOUT] += rows
    if not called.is_free:
        cell[Field.UNPRICED] += row[14]
    if latency_bucket is not None:
        cell[LATENCY_COUNTS.start + latency_bucket] += rows
        cell[LATENCY_SUMS.start + latency_bucket] += int(row[13])
    if kind == "ok":
        found.succeeded[model] = max(newest, found.succeeded.get(model, newest))
    else:
        cell[FAILURES.start + ERROR_CLASSES.index(kind)] += rows


def _add_faults(found: _Bucket, row: tuple[Any, ...]) -> None:
    counts = iter(row[FIRST_FAULT:])
    for measure in UPPER_BOUNDS:
        for fault in INVALID_REASONS:
            if count := next(counts):
                skip = SkippedValue(measure, fault)
                found.skipped[skip] = found.skipped.get(skip, 0) + count


def _money(usd: Decimal | None) -> int:
    return 0 if usd is None else money_units(usd)
