"""Limit the number of series: which pairs are admitted, and which overflow into `OTHER`."""

import heapq
from collections.abc import Iterable, Mapping
from functools import cached_property

from exporter.ledger.calendar import QUARTER_HOUR, floor_to
from exporter.ledger.model import OTHER, Admission, Candidate, Cell, LedgerSettings, Series, Slice, State
from exporter.ledger.packed import once

STEADY = 3
"""Quarter-hours in which a pair must have been seen to be admitted once half of the series are taken."""


def count_admitted(state: State) -> int:
    """How many series are admitted; `OTHER` does not count against the limit."""
    return len(state.admitted) - (OTHER in state.admitted)


class SeriesLimiter:
    """The admitted series and those that a plan adds.

    At most `max_series` pairs are admitted, in the order in which they are requested, and for good. All
    other pairs share `OTHER`, which is admitted in addition when it is first needed. Once `ample` pairs are admitted,
    the others must have been seen in `STEADY` different quarter-hours, so a burst of names that never come again takes
    no series.

    A pair whose rows may be under `OTHER` in some slice stays there in all slices that were read before it was
    admitted, and in the rest of their last quarter-hour: read again under its own name, a row would count twice.
    """

    def __init__(self, state: State, settings: LedgerSettings, first_exposed_at: int | None) -> None:
        """Series that are added have this `Admission.first_exposed_at`."""
        self._admitted: Mapping[Series, Admission] = state.admitted
        self._candidates: Mapping[Series, Candidate] = state.candidates
        self._limit = settings.max_series
        self._ample = settings.max_series if settings.ample is None else min(settings.ample, settings.max_series)
        self._first_exposed_at = first_exposed_at
        self._slices: Mapping[int, Slice] = state.slices
        self._position = state.progress.position
        self._taken = count_admitted(state)
        self.added: dict[Series, Admission] = {}
        self._noted: dict[Series, Candidate] = {}

    # Most reads have no new names: what only these need is computed when the first one comes.

    @cached_property
    def _overflow(self) -> list[int]:
        """The slices that keep rows under `OTHER`."""
        return [start for start, item in self._slices.items() if _keeps_others(item)]

    @cached_property
    def _unread(self) -> int:
        # rows that changed settings have dated ahead lie past the position, and are counted
        return -floor_to(-max([self._position, *(start + 1 for start in self._overflow)]), QUARTER_HOUR)

    @cached_property
    def _operations(self) -> set[str]:
        # `ai_operation_last_seen_timestamp_seconds` must not have more names than there are series
        return {series.operation for series in (*self._admitted, *self.added)}

    @cached_property
    def _models(self) -> set[str]:
        return {series.model for series in (*self._admitted, *self.added)}

    @cached_property
    def _order(self) -> int:
        # that of the first series to be added
        return max((admission.order for admission in self._admitted.values()), default=-1) + 1

    def is_new(self, series: Series) -> bool:
        """Whether a pair has no series of its own yet."""
        return series not in self._admitted and series not in self.added

    def admit(self, series: Series, start: int, rows: int = 0) -> None:
        """Admit a pair if it is due; it has so many `rows` in the slice that begins at `start`."""
        if not self.is_new(series):
            return
        quarter = floor_to(start, QUARTER_HOUR)
        if series != OTHER and self._taken < self._ample:
            self._add(series, max(self._unread, quarter) if self._overflow else 0)
            return
        self._need_other()
        if series != OTHER and self._taken < self._limit and self._note(series, quarter, rows).quarters >= STEADY:
            self._add(series, max(self._unread, quarter + QUARTER_HOUR))

    def admit_all(self, wanted: Iterable[Series]) -> None:
        """Admit as many of these as the limit allows, whether or not they have been seen."""
        for series in wanted:
            if self._taken < self._limit and self.is_new(series):
                self._add(series, self._unread if self._overflow else 0)

    def label(self, series: Series, start: int) -> Series:
        """The labels under which rows of a slice that begins at `start` are kept."""
        admission = self._admitted.get(series) or self.added.get(series)
        if admission is not None and admission.since <= start:
            return series
        self._need_other()
        return OTHER

    def operation(self, name: str) -> str:
        """The label for an operation: its name where some series bears it."""
        return name if name in self._operations else OTHER.operation

    def model(self, name: str) -> str:
        """The label for a model: its name where some series bears it."""
        return name if name in self._models else OTHER.model

    def candidates(self) -> dict[Series, Candidate | None]:
        """What changes among the waiting pairs, of which at most `max_series` are kept: the steadiest."""
        waiting = {**self._candidates, **self._noted}
        for series in self.added:
            waiting.pop(series, None)
        # a flood of names must not fill memory or the state either
        if len(waiting) > self._limit:
            steadiest = heapq.nsmallest(self._limit, waiting.items(), key=_steadiest_first)
            waiting = dict(steadiest)
        known = self._candidates
        changed: dict[Series, Candidate | None] = {s: c for s, c in waiting.items() if known.get(s) != c}
        changed.update({series: None for series in known if series not in waiting})
        return changed

    def _note(self, series: Series, quarter: int, rows: int) -> Candidate:
        known = self._noted.get(series) or self._candidates.get(series) or Candidate(0, -1, 0)
        # once a quarter-hour: a burst within one of them does not make a name steady
        if quarter > known.last:
            known = Candidate(known.quarters + 1, quarter, known.rows)
        self._noted[series] = Candidate(known.quarters, known.last, max(known.rows, rows))
        return self._noted[series]

    def _need_other(self) -> None:
        if OTHER not in self._admitted and OTHER not in self.added:
            self._add(OTHER, 0)

    def _add(self, series: Series, since: int) -> None:
        self._taken += series != OTHER
        self.added[series] = Admission(self._order + len(self.added), self._first_exposed_at, since=since)
        self._operations.add(series.operation)
        self._models.add(series.model)


def _keeps_others(item: Slice) -> bool:
    return OTHER in item.cells and once(item.cells, _overflows)


def _overflows(cells: Mapping[Series, Cell]) -> bool:
    return any(cells[OTHER].high_water)


def _steadiest_first(item: tuple[Series, Candidate]) -> tuple[int, int, int, Series]:
    series, candidate = item
    return -candidate.quarters, -candidate.rows, -candidate.last, series
