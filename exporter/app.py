"""The running exporter: scrapes that share one read, the background reader, and how it fares."""

import concurrent.futures
import threading
from collections.abc import Iterable, Sequence

from prometheus_client.metrics_core import Metric as Family

from exporter.announcer import Announcer
from exporter.books import Books
from exporter.clock import HostClock
from exporter.collector import FAILED, Collector, Scrape
from exporter.config import Config, read_hmac_key
from exporter.database.conninfo import ConnInfo
from exporter.exposition import Figures, families
from exporter.ledger.model import RUNNING
from exporter.ledger.view import started_ratio
from exporter.pseudonyms import Pseudonyms
from exporter.state.store import Store
from exporter.web.app import Verdict
from exporter.web.refusals import Refusals
from exporter.worker import Worker


class Exporter:
    """Everything behind the web server. Owns the store: closes it at the end.

    `backfill_since` (seconds since the epoch) counts history from there, on a store that was never used. `host` is
    this machine's clock, which the database's is compared with.
    """

    def __init__(
        self,
        config: Config,
        info: ConnInfo,
        store: Store,
        backfill_since: int | None = None,
        host: HostClock | None = None,
    ) -> None:
        self._config = config
        self._info = info
        self._store = store
        self._announcer = Announcer()
        self._pseudonyms = Pseudonyms(read_hmac_key(config) if config.users.mode == "hmac" else None)
        self.books = Books(store, config, backfill_since, host)
        self.refusals = Refusals()
        self._collector = Collector(config, info, self.books, self._announcer)
        self._worker = Worker(config, info, self.books, self._announcer)
        self._reads = concurrent.futures.ThreadPoolExecutor(1, "scrape")
        self._lock = threading.Lock()
        self._flight: concurrent.futures.Future[Scrape] | None = None
        self._last_success = 0.0

    def start(self) -> None:
        """Begin to read in the background."""
        self._worker.start()

    def stop(self) -> None:
        """Stop reading. What was exposed is durable already, so nothing is waited for longer than a second."""
        self._worker.stop()
        self._reads.shutdown(wait=False, cancel_futures=True)
        self._collector.abort()
        self.books.close()

    def scrape(self, timeout: float) -> Iterable[Family]:
        """All metrics, within about `timeout` seconds.

        Callers that come while a read is under way share it. One that it keeps waiting too long gets what was
        committed last; the read goes on for those after it.
        """
        flight = self._join()
        try:
            scrape = flight.result(timeout)
        except concurrent.futures.TimeoutError:
            scrape = FAILED
            self._announcer.failed("scrape", "the database did not answer within the scrape's time")
        else:
            # one that ended in time because it failed says why by itself
            if any(outcome.success for outcome in scrape.outcomes.values()):
                self._announcer.works("scrape")
        return self._families(scrape)

    def health(self) -> Verdict:
        """Whether the process does what it is there for, whatever the database does."""
        if not self._worker.alive:
            return Verdict(False, "the background reader has ended")
        return Verdict(True, "healthy")

    def readiness(self) -> Verdict:
        """Whether the figures can be relied upon as soon as the database answers."""
        state = self.books.present
        if self.books.commits_fail:
            return Verdict(False, "the state cannot be written: counters are frozen")
        if state is None:
            return Verdict(False, "the log has not been read yet")
        if state.progress.phase != RUNNING:
            return Verdict(False, f"first reading: {100 * started_ratio(state):.0f} % done")
        if self._worker.catching_up_from is not None:
            return Verdict(False, f"catching up a gap: {100 * self._progress():.0f} % done")
        if (problem := self.books.clock_problem) is not None:
            return Verdict(False, problem)
        if self.books.must_rebase:
            return Verdict(False, "the log is being read by changed settings")
        return Verdict(True, "ready")

    def status(self) -> Sequence[tuple[str, str]]:
        """What the landing page shows."""
        state = self.books.present
        rows = [
            ("Database", self._info.display),
            ("Table", str(self._config.tables.log)),
            ("Ready", self.readiness().reason),
            ("State folder", str(self._store.folder)),
        ]
        if state is not None:
            rows.append(("Series", str(len(state.admitted))))
            rows.append(("Rows found late", str(state.progress.late_rows)))
        rows += [(f"Problem: {subject}", reason) for subject, reason in self._announcer.wrong().items()]
        return rows

    def _join(self) -> concurrent.futures.Future[Scrape]:
        with self._lock:
            if self._flight is None or self._flight.done():
                # no longer than a scraper with the default header waits for it
                scrape = self._config.scrape
                self._flight = self._reads.submit(self._collector.collect, scrape.timeout - scrape.timeout_offset)
            return self._flight

    def _families(self, scrape: Scrape) -> list[Family]:
        with self.books.reading():
            present = self.books.present
            if scrape.current and present is not None:
                self._last_success = float(present.progress.now)
            figures = Figures(
                self._config,
                self._pseudonyms,
                self.books.durable,
                present,
                self.books.rules,
                scrape,
                self.books.commit_failures,
                self._progress(),
                self._last_success,
                self._worker.drift,
                self.refusals.totals(),
                self.books.clock_offset,
            )
            return families(figures, self._announcer)

    def _progress(self) -> float:
        state, since = self.books.present, self._worker.catching_up_from
        if state is None:
            return 0.0
        if state.progress.phase != RUNNING or since is None:
            return started_ratio(state)
        return min(1.0, (state.progress.position - since) / max(1, self._worker.clock - since))
