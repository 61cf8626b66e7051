"""What is odd now: baselines made once an hour of the history, and the present hour of the ledger judged by them."""

from collections.abc import Iterator, Mapping

from exporter.anomaly.hour_sums import HourSums
from exporter.anomaly.operations import Judged, Prepared, Preparing, hours_to_judge
from exporter.database.errors import DatabaseError
from exporter.ledger.calendar import MINUTE
from exporter.ledger.hourly import hour_start
from exporter.ledger.model import Hour
from exporter.scrape.hourly import HourlyHistory, HourlyTotals
from exporter.scrape.ledger_service import LedgerService
from exporter.state_change_log import StateChangeLog

_SUBJECT = "anomalies"

MOST_OPERATIONS = 100
"""Operations that are judged, at most: those of the highest spend."""

AT_ONCE = 25
"""Operations whose history is in memory at the same time, for a moment: the history is read once for each so many."""

HOURS_AT_ONCE = 24
"""Hours of the history that are asked of the disk at once."""


class AnomalyWatch:
    """Judges each operation once a minute. For the thread of the background reader, but for `judged`.

    `judged` are the verdicts by operation; none where nothing is known yet. Any thread may read it.
    """

    def __init__(self, ledger: LedgerService, history: HourlyHistory, change_log: StateChangeLog) -> None:
        self._ledger = ledger
        self._history = history
        self._change_log = change_log
        self._prepared: Prepared | None = None
        self._made_of: tuple[int, int] | None = None
        self._minute = 0
        self._sums = HourSums()
        self.judged: Mapping[str, Judged] = {}

    @property
    def is_current(self) -> bool:
        """Whether the verdicts are by the newest history."""
        return self._made_of == self._wanted() and (self._made_of is None or self._minute > 0)

    def step(self) -> None:
        """Make baselines if there is a new history or a new hour, and judge if there is a new minute.

        A failure is logged, and costs the verdicts.
        """
        try:
            self._step()
        except DatabaseError as error:
            self.judged = {}
            self._change_log.failed(_SUBJECT, str(error))
        except Exception as error:
            self.judged = {}
            self._change_log.broke(_SUBJECT, error)
        else:
            self._change_log.works(_SUBJECT)

    def _step(self) -> None:
        wanted = self._wanted()
        if wanted is None:
            self._prepared, self._made_of, self.judged = None, None, {}
            return
        if wanted != self._made_of:
            # once, whatever comes of it
            self._made_of, self._minute = wanted, 0
            self._prepared = self._made(wanted[1], self._history.totals)
        ledger = self._ledger
        with ledger.reading():
            state = ledger.present
            if state is None or self._prepared is None or state.progress.now // MINUTE == self._minute:
                return
            now, slices = state.progress.now, dict(state.slices)
        self._minute, zone = now // MINUTE, self._prepared.zone
        self.judged = self._prepared.judge(hour_start(now, zone), lambda hour: self._sums.of_hour(slices, hour, zone))

    def _wanted(self) -> tuple[int, int] | None:
        """Of which history, by its number, and for which present hour baselines are made; None while it is empty."""
        totals, ledger = self._history.totals, self._ledger
        with ledger.reading():
            state = ledger.present
            if state is None or totals.lo >= totals.hi:
                return None
            return totals.number, hour_start(state.progress.now, ledger.settings.zone)

    def _made(self, present: int, totals: HourlyTotals) -> Prepared:
        zone = self._ledger.settings.zone
        hours = hours_to_judge(present, zone)
        operations = self._operations()
        watched = operations[:MOST_OPERATIONS]
        by_operation, usual = {}, {}
        for first in range(0, len(watched), AT_ONCE):
            preparing = Preparing(watched[first : first + AT_ONCE], hours, zone)
            for some in self._batches(totals):
                preparing.take(some)
            by_operation.update(preparing.baselines(totals.lo, totals.hi))
            usual.update(preparing.usual(totals.lo, totals.hi))
        new = Preparing([""], hours, zone).baselines(totals.lo, totals.hi)[""]
        return Prepared(zone, new, by_operation, usual, frozenset(operations[MOST_OPERATIONS:]))

    def _operations(self) -> list[str]:
        """All operations that spend has been seen of, those of the highest spend first."""
        spent: dict[str, int] = {}
        with self._ledger.reading():
            state = self._ledger.present
            for (_, series), units in () if state is None else state.days.items():
                spent[series.operation] = spent.get(series.operation, 0) + units
        return sorted(spent, key=lambda operation: (-spent[operation], operation))

    def _batches(self, totals: HourlyTotals) -> Iterator[list[Hour]]:
        starts = sorted(totals.hours)
        for first in range(0, len(starts), HOURS_AT_ONCE):
            yield list(self._ledger.hours(starts[first : first + HOURS_AT_ONCE]).values())
