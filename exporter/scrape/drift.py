"""Whether past days still agree with the log, or rows changed after a day was last read."""

from zoneinfo import ZoneInfo

from exporter.database.log_table import LogTable
from exporter.database.reader import read_spend
from exporter.database.session import Session
from exporter.ledger.calendar import day_of, day_start
from exporter.ledger.model import State, TimeRange
from exporter.scrape.ledger_service import LedgerService


class DriftSampler:
    """Compares one past day at a time, in turn; `drift` is the log's sum minus the ledger's, in money units."""

    def __init__(self, ledger: LedgerService) -> None:
        self._ledger = ledger
        self._rules = ledger.classification
        self._day = 0
        self._read_until = 0
        self._logged = 0
        self.drift: int | None = None

    def read(self, session: Session, table: LogTable, state: State, piece: int) -> bool:
        """Sum the day's rows in the database, `piece` seconds per statement; returns whether the day is complete.

        If the session's time runs short, the next call goes on from there.
        """
        zone = self._ledger.settings.zone
        # a sum by settings that have changed since is of no use
        if self._rules is not self._ledger.classification or not self.under_way:
            self._begin(state, zone)
        if not self.under_way:
            return False
        end = day_start(self._day + 1, zone)
        enough = session.left / 2
        while self._read_until < end:
            span = TimeRange(self._read_until, min(self._read_until + piece, end))
            self._logged += read_spend(session, table, self._rules, span)
            self._read_until = span.hi
            if session.left < enough:
                break
        return self._read_until >= end

    def forget(self) -> None:
        """Begin the day again: what was read of it may lack rows."""
        if self.under_way:
            self._day, self._read_until = self._day - 1, 0

    def compare(self, state: State) -> None:
        """Compare what was read with what the ledger holds for the day."""
        with self._ledger.reading():
            known = sum(state.days.on(self._day).values())
        self.drift = self._logged - known
        self._read_until = 0

    @property
    def under_way(self) -> bool:
        """Whether a day has been read in part."""
        return self._read_until > 0

    def _begin(self, state: State, zone: ZoneInfo) -> None:
        self._rules, self._read_until, self._logged = self._ledger.classification, 0, 0
        with self._ledger.reading():
            days = _whole_days(state, zone)
        if days:
            self._day = next((day for day in days if day > self._day), days[0])
            self._read_until = day_start(self._day, zone)


def _whole_days(state: State, zone: ZoneInfo) -> list[int]:
    """The past days of which the ledger holds the complete sum."""
    progress = state.progress
    today = day_of(progress.now, zone)
    return [
        day
        for day in sorted(state.days.all_days)
        if day < today and day_start(day, zone) >= progress.began and day_start(day + 1, zone) <= progress.merged
    ]
