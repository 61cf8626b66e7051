"""From the rows of the aggregate query to the minutes that the ledger takes."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exporter.config import MOST
from exporter.database.log_query import BY_SERIES, BY_USER, FAULTS, FIRST_FAULT, LABEL_LENGTH
from exporter.ledger.aggregate import (
    BUCKET_COUNTS,
    BUCKET_SUMS,
    ERROR_CLASSES,
    FAILURES,
    WIDTH,
    Field,
    money_units,
)
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN, Minute, Series, Skip, Waiting

IN_PROGRESS = ("pending", "running")
"""Statuses of rows that will have another one."""

UNUSABLE_STATUSES = ("null", "unknown")
"""Classes of rows whose status says nothing."""


def clean_label(text: str | None, missing: str) -> str:
    """A label value: without control characters, 128 characters at most, `missing` where nothing is left."""
    if text is None:
        return missing
    # nearly all are: looking at each character takes longer than all else that is done with a row
    if text.isprintable():
        return text.strip()[:LABEL_LENGTH].rstrip() or missing
    cleaned = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return cleaned.strip()[:LABEL_LENGTH].rstrip() or missing


@dataclass
class _Minute:
    cells: dict[Series, list[int]] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    skipped: dict[Skip, int] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    operations: dict[str, float] = field(default_factory=dict)
    models: dict[str, float] = field(default_factory=dict)
    succeeded: dict[str, float] = field(default_factory=dict)

    def finish(self) -> Minute:
        return Minute(
            {series: tuple(cell) for series, cell in self.cells.items()},
            self.users,
            self.skipped,
            self.waiting,
            self.operations,
            self.models,
            self.succeeded,
        )


def read_minutes(rows: Iterable[tuple[Any, ...]], aliases: Mapping[str, str]) -> dict[int, Minute]:
    """Minutes by their start. Labels that differ only in what is cleaned away, or by an alias, are one series."""
    minutes: dict[int, _Minute] = {}
    for row in rows:
        minute = minutes.setdefault(row[1], _Minute())
        if row[0] == BY_SERIES:
            _add_series(minute, row, aliases)
        elif row[0] == BY_USER:
            user = clean_label(row[4], UNATTRIBUTED)
            minute.users[user] = minute.users.get(user, 0) + _money(row[8])
        else:
            _add_faults(minute, row)
    return {start: minute.finish() for start, minute in minutes.items()}


def _add_series(minute: _Minute, row: tuple[Any, ...], aliases: Mapping[str, str]) -> None:
    operation, model = clean_label(row[2], UNKNOWN), clean_label(aliases.get(row[3], row[3]), UNKNOWN)
    kind, bucket, rows = row[5], row[6], row[7]
    cell = minute.cells.setdefault(Series(operation, model), [0] * WIDTH)
    cell[Field.ROWS] += rows
    cell[Field.COST] += _money(row[8])
    cell[Field.INPUT_TOKENS] += int(row[9] or 0)
    cell[Field.OUTPUT_TOKENS] += int(row[10] or 0)
    minute.operations[operation] = max(row[14], minute.operations.get(operation, row[14]))
    minute.models[model] = max(row[14], minute.models.get(model, row[14]))
    if kind in IN_PROGRESS:
        known = minute.waiting.get(kind, Waiting(0, row[15]))
        minute.waiting[kind] = Waiting(known.rows + rows, min(known.oldest, row[15]))
        return
    if kind in UNUSABLE_STATUSES:
        skip = Skip("status", kind)
        minute.skipped[skip] = minute.skipped.get(skip, 0) + rows
        return
    cell[Field.CALLS] += rows
    cell[Field.OVER_TIMEOUT] += row[12]
    cell[Field.UNPRICED] += row[13]
    if bucket is not None:
        cell[BUCKET_COUNTS.start + bucket] += rows
        cell[BUCKET_SUMS.start + bucket] += int(row[11])
    if kind == "ok":
        minute.succeeded[model] = max(row[14], minute.succeeded.get(model, row[14]))
    else:
        cell[FAILURES.start + ERROR_CLASSES.index(kind)] += rows


def _add_faults(minute: _Minute, row: tuple[Any, ...]) -> None:
    counts = iter(row[FIRST_FAULT:])
    for measure in MOST:
        for fault in FAULTS:
            if count := next(counts):
                minute.skipped[Skip(measure, fault)] = count


def _money(usd: Decimal | None) -> int:
    return 0 if usd is None else money_units(usd)
