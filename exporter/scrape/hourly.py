"""The hourly history: taken from the ledger once an hour, and read from the log where that goes further back."""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from exporter.config import Config
from exporter.database.log_table import LogTable
from exporter.database.reader import read_first, read_rows
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.ledger import hourly
from exporter.ledger.calendar import HOUR, QUARTER_HOUR
from exporter.ledger.hourly import HourSources, HourTotal, Known
from exporter.ledger.model import Bucket, Hour, Slice, State, TimeRange, UserSpend
from exporter.ledger.spenders import users_of
from exporter.scrape.ledger_service import LedgerService
from exporter.scrape.log_reader import LogReader
from exporter.state.hourly import KnownHours
from exporter.state_change_log import StateChangeLog

_EMPTY = Bucket()


@dataclass(frozen=True)
class HourlyTotals:
    """The history without its series, at one moment: whoever has it may keep it. Every hour from `lo` to `hi` is there.

    `number` is another one whenever it has changed.
    """

    lo: int = 0
    hi: int = 0
    hours: Mapping[int, HourTotal] = field(default_factory=dict)
    number: int = 0


class HourlyHistory(LogReader):
    """Keeps the history. For the thread of the background reader, but for `totals`, which any thread may read.

    `limited` gives the users who have a limit: where more users spend than are kept, they are, after those that are
    shown.
    """

    def __init__(
        self,
        config: Config,
        ledger: LedgerService,
        database: Database,
        change_log: StateChangeLog,
        limited: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__(config, ledger, database, change_log, "hourly history", ["aliases"])
        self._limited = limited
        self._numbers = itertools.count(1)
        stored = ledger.stored_hours
        self._key, self._known = _restored(stored.known, config.history_weeks)
        self._totals = dict(stored.totals)
        # those that the ledger may still change
        self._recent = {start: hour for start, hour in stored.recent.items() if start >= self._recent_since()}
        self.totals = self._published()

    @property
    def due(self) -> bool:
        """Whether there is something to do now, as far as can be told without asking the database."""
        if self._rests:
            return False
        found = self._sources()
        if found is None:
            return self._config.history_weeks == 0 and self._known is not None
        return self._is_outdated(found) or self._must_take(found) or self._next_span(found) is not None

    def _step(self) -> None:
        """Take what the ledger has, else read a stretch of the log."""
        found = self._sources()
        if found is None:
            self._forget()
        elif self._is_outdated(found):
            self._begin(found)
        elif self._must_take(found):
            self._take(found)
        elif (span := self._next_span(found)) is not None:
            self._read(found, span)

    def _sources(self) -> HourSources | None:
        """Where hours can come from now; None where there are none to be had, or something else comes first."""
        ledger, weeks = self._ledger, self._config.history_weeks
        with ledger.reading():
            current = self._current_state()
            if weeks == 0 or current is None:
                return None
            progress, now, zone = current[0].progress, current[1], ledger.settings.zone
        return hourly.sources(progress, ledger.time.safe(now), zone, weeks)

    def _is_outdated(self, found: HourSources) -> bool:
        """Whether what is known was counted by other settings, or is all too old."""
        return self._known is None or self._key != self._present_key or self._known.hi < found.back_to

    def _begin(self, found: HourSources) -> None:
        gone: dict[int, Hour | None] = dict.fromkeys(self._totals)
        self._key, self._recent = self._present_key, {}
        self._keep(gone, hourly.begin(found))

    def _forget(self) -> None:
        """Remove the history, if it is switched off."""
        if self._config.history_weeks == 0 and self._known is not None:
            self._recent = {}
            self._keep(dict.fromkeys(self._totals), None)

    def _must_take(self, found: HourSources) -> bool:
        known = self._known
        return known is not None and found.users <= known.hi and (known.hi < found.until or known.lo < found.back_to)

    def _take(self, found: HourSources) -> None:
        """Take the hours that have ended since, and those that have changed in the ledger."""
        known, zone = self._known, self._ledger.settings.zone
        assert known is not None  # noqa: S101 -- by `_must_take`
        slices = self._slices()
        changed: dict[int, Hour | None] = {}
        for start in hourly.hours_between(max(found.slices, known.lo), found.until, zone):
            end = hourly.hour_end(start, zone)
            cells = hourly.hour_of_slices(start, end, slices)
            before = self._recent.get(start)
            if before is not None and before.cells == cells:
                continue
            changed[start] = Hour(start, cells, self._users(start, end, before, found))
        changed.update({start: None for start in self._totals if start < found.back_to})
        self._keep(changed, Known(max(known.lo, found.back_to), max(known.hi, found.until), known.oldest))

    def _users(self, start: int, end: int, before: Hour | None, found: HourSources) -> UserSpend:
        """What users have spent in an hour of the ledger, which keeps those of yesterday and today."""
        if start < found.users:
            return UserSpend() if before is None else before.users
        spent: dict[str, int] = {}
        for users in self._ledger.users_of_slices(range(start, end, QUARTER_HOUR)).values():
            for user, units in users.items():
                spent[user] = spent.get(user, 0) + units
        return self._chosen(users_of(spent))

    def _next_span(self, found: HourSources) -> TimeRange | None:
        return hourly.next_span(self._present(found), found, self._chunk.length, self._ledger.settings.zone)

    def _present(self, found: HourSources) -> Known:
        return hourly.carried_on(self._known, found)

    def _read(self, found: HourSources, span: TimeRange) -> None:
        """Read a stretch of the log in one transaction, and keep it once that has ended."""
        read = self._read_log(lambda session, table, state: self._read_hours(session, table, state, found, span))
        if read is not None:
            self._keep(*read)

    def _read_hours(
        self, session: Session, table: LogTable, state: State, found: HourSources, span: TimeRange
    ) -> tuple[Mapping[int, Hour | None], Known] | None:
        ledger, zone, by = self._ledger, self._ledger.settings.zone, self._ledger.classification
        known, chunk = self._present(found), self._chunk
        if known.oldest is None:
            first = read_first(session, table, by, TimeRange(0, known.lo))
            busy = (start for start in sorted(self._totals) if any(self._totals[start].figures))
            known = hourly.with_oldest(known, first, next(busy, known.hi), zone)
            gone = (start for start in self._totals if start < known.lo)
            return dict.fromkeys(gone), known
        begun, by_user = time.monotonic(), self._config.users.mode != "off"
        rows = read_rows(
            session,
            table,
            by,
            span,
            width=HOUR,
            piece=chunk.split,
            most=chunk.most_rows,
            users_since=0 if by_user else span.hi,
        )
        if rows is None:
            chunk.too_many()
            return None
        chunk.took(time.monotonic() - begun, rows.rows, span.hi - span.lo)
        hours: dict[int, Hour | None] = {}
        for start in hourly.hours_between(span.lo, span.hi, zone):
            bucket = rows.buckets.get(start, _EMPTY)
            users = self._chosen(ledger.pseudonyms.sums(users_of(bucket.users)))
            hours[start] = Hour(start, hourly.hour_of_bucket(bucket, state.admitted), users)
        return hours, Known(min(known.lo, span.lo), max(known.hi, span.hi), known.oldest)

    def _chosen(self, spent: Mapping[str, int]) -> UserSpend:
        """The users who are kept: all if they are few, else those who are shown, who have a limit, who spent most."""
        if self._config.users.mode == "off":
            return UserSpend()
        with self._ledger.reading():
            state = self._ledger.present
            shown = [] if state is None else sorted(state.shown_users)
        return hourly.chosen_users(spent, itertools.chain(shown, self._limited()))

    def _slices(self) -> Mapping[int, Slice]:
        with self._ledger.reading():
            state = self._ledger.present
            return {} if state is None else dict(state.slices)

    def _keep(self, hours: Mapping[int, Hour | None], known: Known | None) -> None:
        """Commit hours, and publish them."""
        kept = None if known is None else KnownHours(self._key, self._config.history_weeks, known)
        self._ledger.keep_hours(hours, kept)
        self._known = known
        for start, hour in hours.items():
            if hour is None:
                self._totals.pop(start, None)
                self._recent.pop(start, None)
            else:
                self._totals[start] = HourTotal.of(hour)
                self._recent[start] = hour
        since = self._recent_since()
        self._recent = {start: hour for start, hour in self._recent.items() if start >= since}
        self.totals = self._published()

    def _recent_since(self) -> int:
        """Before this the ledger has no slices any more."""
        return 0 if self._known is None else int(self._known.hi - self._config.horizon - 2 * HOUR)

    def _published(self) -> HourlyTotals:
        if self._known is None:
            return HourlyTotals(number=next(self._numbers))
        return HourlyTotals(self._known.lo, self._known.hi, MappingProxyType(dict(self._totals)), next(self._numbers))


def _restored(kept: KnownHours | None, weeks: int) -> tuple[str, Known | None]:
    """The key and what is known, as kept. If more weeks are wanted now, the log is asked again how far it goes back."""
    if kept is None:
        return "", None
    return kept.key, kept.known if kept.weeks >= weeks else replace(kept.known, oldest=None)
