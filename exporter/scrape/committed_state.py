"""The ledger's state as committed and as known: changes are made durable first, and shown then."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping

from exporter.ledger.admission import count_admitted
from exporter.ledger.exposed import Snapshot, take_snapshot
from exporter.ledger.model import Changes, LedgerSettings, State
from exporter.prices.book import PriceBook
from exporter.state.journal import Journal
from exporter.state.prices import PRICES
from exporter.state.shadow import ShadowWork
from exporter.state.store import Store

log = logging.getLogger(__name__)

FEW_LEFT = 0.8
"""Share of `max_series` from which on it is logged that series run out."""


class CommittedState:
    """The state in memory, and the journal through which it reaches the disk.

    `durable` is what has been committed, from which counters are shown. `present` is what is known: the same object,
    unless commits fail or hang. It then runs ahead in memory, so that gauges stay fresh, until all of it is committed.
    One thread at a time may change it; a lock guards what is shown, only while values in memory are looked at or
    replaced.
    """

    def __init__(self, store: Store, state: State | None, settings: LedgerSettings, prices: PriceBook) -> None:
        """`state` is what was loaded from the store. What `prices` were used is committed with what they count."""
        self.journal = Journal(store)
        self._prices = prices
        self.settings = settings
        self.durable = self.present = state
        self._written = None if state is None else state.progress  # as last handed to the disk
        self._showing = threading.RLock()
        self._few_left = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the states, and the settings that go with them, still while they are looked at; for moments only."""
        with self._showing:
            yield

    def snapshot(self, today: State | None = None) -> Snapshot:
        """What is to be shown now; `today` is the ledger of the current day while the first reading goes on."""
        with self._showing:
            return take_snapshot(self.durable, self.present, self.settings, today)

    def pack_days(self) -> None:
        """Pack what each user spent on days that are over."""
        with self._showing:
            for state in filter(None, (self.durable, self.present)):
                state.pack_days(self.settings.zone)

    def reload(self, store: Store) -> None:
        """Read the state again, once the file was changed under it; nothing may be on its way to the disk."""
        self.durable = self.present = state = store.load()
        self._written = None if state is None else state.progress

    def begin(self, state: State) -> None:
        """Start with a state that is not committed yet."""
        self.present = state

    def known(self) -> State:
        """The present state; there must be one."""
        if self.present is None:
            raise RuntimeError("open() comes first")
        return self.present

    def commit(
        self,
        changes: Changes,
        meta: Mapping[str, object] | None = None,
        settings: LedgerSettings | None = None,
        shadow: ShadowWork | None = None,
    ) -> bool:
        """Hand the changes to the disk, and show them once they are durable; gauges need not wait for that.

        `settings` are those by which the state is to be looked at from then on. False where nothing but time has
        passed: that reaches the disk with the next changes, or in a minute.
        """
        if (book := self._prices.changes()) is not None:
            meta = {**(meta or {}), PRICES: book}
        if not (meta or settings or shadow) and self._moves_time_alone(changes):
            with self._showing:
                self.known().apply(changes)
            return False
        self._written = changes.progress or self._written
        landed = self.journal.commit(changes, meta, shadow)
        with self._showing:
            self.settings = settings or self.settings
            if not self.journal.durable:
                if self.present is self.durable:
                    self.present = self.known().ahead(Changes())
                self.known().apply(changes)
            self._land(landed)
            if changes.admitted:
                self.warn_of_few_left()
        return True

    def _moves_time_alone(self, changes: Changes) -> bool:
        # while the disk is behind, each read tries whether it takes what came before
        return self.journal.durable and self._written is not None and changes.moves_time_alone(self._written)

    def retry(self) -> None:
        """Commit what failed before."""
        self._land(self.journal.retry())

    def warn_of_few_left(self) -> None:
        """Log once that series run out."""
        taken, most = count_admitted(self.known()), self.settings.max_series
        if not self._few_left and taken >= FEW_LEFT * most:
            self._few_left = True
            log.warning(
                "%d of %d places for series are taken: what comes beyond is counted as other; raise max_series, or see "
                "whether operations or models bear names that do not come again (state forget ends their series)",
                taken,
                most,
            )

    def _land(self, landed: list[Changes]) -> None:
        """Show what has become durable, in the counters too."""
        if not landed:
            return
        with self._showing:
            if self.durable is None:
                self.durable = State(self.known().progress)
            for changes in landed:
                self.durable.apply(changes)
            if self.journal.durable:
                self.present = self.durable
