"""What was spent of budgets with a period before yesterday: taken from the ledger day by day, or read from the log."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import filterfalse

from exporter.config import Config
from exporter.database.log_table import LogTable
from exporter.database.reader import SpanRows, read_rows
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.ledger.aggregate import net
from exporter.ledger.calendar import QUARTER_HOUR, day_of, day_start
from exporter.ledger.model import TimeRange, UserSpend
from exporter.ledger.period_spend import (
    BudgetKey,
    PastSpend,
    PeriodBudget,
    SpendBefore,
    chosen,
    is_outdated,
    knows,
    needed,
    quarter_costs,
    recent_days,
    sum_before,
    windows,
    with_groups,
    without_groups,
)
from exporter.ledger.spenders import is_group, users_of
from exporter.scrape.ledger_service import LedgerService
from exporter.scrape.log_reader import LogReader
from exporter.state_change_log import StateChangeLog

_LOOK = 10.0
"""Seconds after which it is looked again whether the ledger has found other rows, where nothing else asks for it."""

_REREAD = 60.0
"""Seconds after which a stretch may be read again: rows come late one by one."""


@dataclass(frozen=True)
class FollowedBudgets:
    """The budgets whose spend is followed; `whole` says that none is missing since a table was not read yet."""

    budgets: Mapping[BudgetKey, PeriodBudget] = field(default_factory=dict)
    whole: bool = False


class PeriodBoard:
    """What the reader of the tables and the background reader tell each other. Any thread may look."""

    def __init__(self, configured: Mapping[BudgetKey, PeriodBudget] | None = None) -> None:
        self.followed = FollowedBudgets(configured or {})
        self.before: tuple[SpendBefore, ...] = ()


@dataclass
class _Reading:
    """A stretch that has been read up to `position`; `quarters` are as the ledger had them before.

    `by` is the settings by which it is read.
    """

    stretch: TimeRange
    by: tuple[str, str]
    quarters: Mapping[int, int]
    position: int
    spenders: Counter[str] = field(default_factory=Counter)
    total: int = 0

    def add(self, rows: SpanRows, spenders: Callable[[Mapping[str, int]], Mapping[str, int]]) -> None:
        for bucket in rows.buckets.values():
            for spender, units in spenders(bucket.users).items():
                self.spenders[spender] += units
            self.total += sum(map(net, bucket.cells.values()))


@dataclass(frozen=True)
class _Missing:
    """A stretch to read, for these users and groups; `known` is the spend of users where only groups are missing."""

    stretch: TimeRange
    users: frozenset[str]
    quarters: Mapping[int, int]
    known: UserSpend | None = None


class PastSpendReader(LogReader):
    """Keeps the past spend of the budgets on a board, and says there what it is. For the background reader's thread."""

    def __init__(
        self,
        config: Config,
        ledger: LedgerService,
        database: Database,
        change_log: StateChangeLog,
        board: PeriodBoard,
    ) -> None:
        super().__init__(config, ledger, database, change_log, "spend of budgets with a period", ["users"])
        self._board = board
        stored = ledger.stored_past
        self._key = stored.key
        self._past = {stretch: PastSpend(spent) for stretch, spent in stored.spent.items()}
        self._seen: FollowedBudgets | None = None
        self._next_look = 0.0
        self._missing: _Missing | None = None
        self._reading: _Reading | None = None
        self._read_at: dict[TimeRange, float] = {}

    @property
    def due(self) -> bool:
        """Whether there is something to do now, as far as can be told without asking the database."""
        if self._rests:
            return False
        followed = self._board.followed
        if not followed.budgets and not self._past and not self._board.before:
            return False
        if followed is self._seen and self._missing is None and time.monotonic() < self._next_look:
            return False
        with self._ledger.reading():
            return self._current_state() is not None

    def _step(self) -> None:
        self._look()
        if self._missing is not None:
            self._read(self._missing)

    def _look(self) -> None:
        """Take what the ledger has, drop what is not wanted any more, and choose what is to be read from the log."""
        followed = self._board.followed
        with self._ledger.reading():
            current = self._current_state()
            if current is None:
                return
            state, settings = current[0], self._ledger.settings
            recent, slices = recent_days(state, settings), list(state.slices.values())
        zone, progress = settings.zone, state.progress
        today = day_of(progress.now, zone)
        kept = windows(followed.budgets, progress.now, zone)
        starts = {(key.spender, window.start) for key, window in kept.items()}
        wanted = needed(starts, today, zone)
        groups = self._groups
        changed: dict[TimeRange, PastSpend | None] = {}
        if self._key != self._present_key:
            changed.update(dict.fromkeys(self._past))
        missing: list[_Missing] = []
        for stretch, users in wanted.items():
            quarters = quarter_costs(slices, stretch) if stretch.hi > progress.compacted else {}
            known = None if stretch in changed else self._past.get(stretch)
            if known is not None and groups and known.spent.groups not in ("", groups):
                # of groups by another column, it says nothing
                known = self._past[stretch] = without_groups(known)
            outdated = known is not None and is_outdated(known, quarters)
            if known is not None and knows(known, users, groups) and not outdated:
                continue
            day = day_of(stretch.lo, zone)
            if day in recent.totals and stretch.hi == day_start(day + 1, zone):
                spent = recent.spenders(day, groups=bool(groups))
                changed[stretch] = PastSpend(chosen(spent, recent.totals[day], users, groups), quarters)
            elif known is None or not knows(known, users, groups) or self._may_read_again(stretch):
                lacks_groups = known is not None and not outdated and knows(known, set(filterfalse(is_group, users)))
                missing.append(_Missing(stretch, users, quarters, known.spent if known and lacks_groups else None))
        if followed.whole:
            changed.update({stretch: None for stretch in self._past if stretch not in wanted})
        self._keep(changed)
        self._missing = missing[-1] if missing else None
        self._seen, self._next_look = followed, time.monotonic() + _LOOK
        days = [today - 1, today] if today - 1 in recent.totals else [today]
        self._board.before = tuple(sum_before(starts, self._past, day, zone) for day in days) if starts else ()

    def _may_read_again(self, stretch: TimeRange) -> bool:
        return time.monotonic() >= self._read_at.get(stretch, 0.0) + _REREAD

    def _read(self, missing: _Missing) -> None:
        """Read on in a stretch, and keep it when it has been read whole."""
        reading, chunk, by = self._reading, self._chunk, (self._present_key, self._groups)
        if reading is None or (reading.stretch, reading.by) != (missing.stretch, by):
            reading = _Reading(missing.stretch, by, missing.quarters, missing.stretch.lo)
        span = TimeRange(reading.position, min(reading.position + chunk.length, missing.stretch.hi))
        rows = self._read_log(lambda session, table, _: self._read_span(session, table, span))
        if rows is None:
            return
        reading.add(rows, self._spenders)
        reading.position = span.hi
        self._reading = reading
        if span.hi == missing.stretch.hi:
            self._reading = None
            self._read_at[missing.stretch] = time.monotonic()
            spent = chosen(reading.spenders, reading.total, missing.users, self._groups)
            if missing.known is not None:
                spent = with_groups(missing.known, spent, missing.users)
            self._keep({missing.stretch: PastSpend(spent, reading.quarters)})
            self._look()

    @property
    def _groups(self) -> str:
        """How the log tells groups, where they may have budgets; else empty."""
        if not self._config.has_period_budgets_of_groups:
            return ""
        return str(self._ledger.classification.log_columns.group or "")

    def _spenders(self, read: Mapping[str, int]) -> Mapping[str, int]:
        """Those that are kept, under the names by which they are."""
        return self._ledger.pseudonyms.sums(read if self._groups else users_of(read))

    def _read_span(self, session: Session, table: LogTable, span: TimeRange) -> SpanRows | None:
        chunk, begun = self._chunk, time.monotonic()
        rows = read_rows(
            session,
            table,
            self._ledger.classification.without_error_classes(),
            span,
            width=max(QUARTER_HOUR, span.hi - span.lo),
            piece=chunk.split,
            most=chunk.most_rows,
        )
        if rows is None:
            chunk.too_many()
            return None
        chunk.took(time.monotonic() - begun, rows.rows, span.hi - span.lo)
        return rows

    def _keep(self, changed: Mapping[TimeRange, PastSpend | None]) -> None:
        """Commit stretches, and take them over."""
        if not changed and self._key == self._present_key:
            return
        spent: dict[TimeRange, UserSpend | None] = {
            stretch: None if past is None else past.spent for stretch, past in changed.items()
        }
        self._ledger.keep_past(spent, self._present_key)
        self._key = self._present_key
        for stretch, past in changed.items():
            if past is None:
                self._past.pop(stretch, None)
                self._read_at.pop(stretch, None)
            else:
                self._past[stretch] = past
