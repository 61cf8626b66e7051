"""The running exporter: scrapes that share one read, the background reader, and how it fares."""

import concurrent.futures
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.config import Config
from exporter.database.conninfo import ConnInfo
from exporter.database.login import Login
from exporter.database.period_budgets import configured_budgets
from exporter.ledger.exposed import Snapshot, started_ratio
from exporter.ledger.model import Phase
from exporter.prices.out_of_process import abort_lookup
from exporter.scrape.anomalies import AnomalyWatch
from exporter.scrape.background import BackgroundReader
from exporter.scrape.clock import HostClock
from exporter.scrape.collector import Attempt, Collector, Scrape
from exporter.scrape.exposition import families
from exporter.scrape.exposure import Exposure
from exporter.scrape.hourly import HourlyHistory
from exporter.scrape.ledger_service import LedgerService
from exporter.scrape.periods import PeriodBoard
from exporter.state.store import Store
from exporter.state_change_log import StateChangeLog
from exporter.web.app import HealthStatus
from exporter.web.families import Family
from exporter.web.refusals import Refusals

_STOP_SECONDS = 0.5
_RENDERING = 0.2  # seconds of a scrape's time, a tenth at most, that are left for making its page


@dataclass(frozen=True)
class Flight:
    """A read of the log that callers share."""

    attempt: Attempt
    future: concurrent.futures.Future[None]


class Exporter:
    """Everything behind the web server. Owns the store: closes it at the end.

    `backfill_since` (seconds since the epoch) counts history from there, on a store that was never used. `host` is
    this machine's clock, which the database's is compared with. `refusals` are those that the web server counts.
    """

    def __init__(
        self,
        config: Config,
        login: Login | ConnInfo,
        store: Store,
        backfill_since: int | None = None,
        host: HostClock | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._config = config
        self._login = login if isinstance(login, Login) else Login(login)
        self._store = store
        self._change_log = StateChangeLog()
        self.ledger = LedgerService(store, config, backfill_since, host)
        self.refusals = refusals or Refusals()
        names = self.ledger.pseudonyms
        self._board = PeriodBoard(
            {
                key._replace(spender=names.of_spender(key.spender)): each
                for key, each in configured_budgets(config).items()
            }
        )
        self._collector = Collector(config, self._login, self.ledger, self._change_log, self._board)
        self._background = BackgroundReader(
            config,
            self._login,
            self.ledger,
            self._change_log,
            self._collector.primaries,
            self._collector.limited_users,
            self._board,
        )
        self._collector.subscribe(self._background.wake)
        self._reads = concurrent.futures.ThreadPoolExecutor(1, "scrape")
        self._lock = threading.Lock()
        self._flight: Flight | None = None
        self._last_success = 0.0

    @property
    def hourly(self) -> HourlyHistory:
        """The hourly history."""
        return self._background.hourly

    @property
    def anomalies(self) -> AnomalyWatch:
        """What is odd of each operation."""
        return self._background.anomalies

    def start(self) -> None:
        """Begin to read in the background."""
        self._background.start()

    def stop(self) -> None:
        """Stop reading. What was exposed is durable already, so nothing is waited for longer than a second."""
        self._change_log.close()
        self._reads.shutdown(wait=False, cancel_futures=True)
        self._collector.abort()
        abort_lookup()
        self._background.stop(_STOP_SECONDS)
        with self._lock:
            flight = self._flight
        if flight is not None:
            # what it is recording is written before the store is closed
            concurrent.futures.wait([flight.future], _STOP_SECONDS)
        self.ledger.close()

    def scrape(self, timeout: float) -> Iterable[Family]:
        """All metrics, within about `timeout` seconds.

        Callers that come while a read is under way share it. One that the log keeps waiting too long gets what was
        committed last; the read goes on for those after it. What is left of a caller's time, once the log is read and
        recorded, is spent on the optional tables: those that take longer cost only themselves.
        """
        deadline = time.monotonic() + timeout
        flight = self._join()
        _, late = concurrent.futures.wait([flight.future], timeout)
        scrape = self._collector.scrape(flight.attempt, deadline - min(_RENDERING, timeout / 10))
        if late:
            self._change_log.failed("scrape", "the database did not answer within the scrape's time")
        # one that ended in time because it failed says why by itself
        elif any(run.success for run in scrape.runs.values()):
            self._change_log.works("scrape")
        return self._families(scrape)

    def health(self) -> HealthStatus:
        """Whether the process does what it is there for, whatever the database does."""
        if not self._background.alive:
            return HealthStatus(False, "the background reader has ended")
        return HealthStatus(True, "healthy")

    def readiness(self) -> HealthStatus:
        """Whether the figures can be relied upon as soon as the database answers."""
        ledger = self.ledger.status()
        if ledger.commits_fail:
            return HealthStatus(False, "the state cannot be written: counters are frozen")
        if (refusal := self._login.refusal) is not None:
            return HealthStatus(False, f"the database refuses the login: {refusal}")
        if ledger.identity_problem is not None:
            return HealthStatus(False, ledger.identity_problem)
        if ledger.replica_problem is not None:
            return HealthStatus(False, ledger.replica_problem[0])
        if ledger.progress is None:
            return HealthStatus(False, "the log has not been read yet")
        if ledger.progress.phase != Phase.RUNNING:
            return HealthStatus(False, f"first reading: {100 * started_ratio(ledger.progress):.0f} % done")
        if self._background.catching_up_from is not None:
            return HealthStatus(False, f"catching up a gap: {100 * self.read_ratio():.0f} % done")
        if ledger.time_problem is not None:
            return HealthStatus(False, ledger.time_problem[0])
        if ledger.must_reclassify:
            done = f"the log is being read by changed settings: {100 * ledger.reclassified_ratio:.0f} % done"
            if not ledger.serves_old:
                return HealthStatus(False, done)
            return HealthStatus(True, f"ready by the settings that were in force; {done}")
        return HealthStatus(True, "ready")

    def status(self) -> Sequence[tuple[str, str]]:
        """What the landing page shows."""
        ledger = self.ledger.status()
        rows = [
            ("Database", self._login.info.display),
            ("Table", str(self._config.tables.log)),
            ("Ready", self.readiness().reason),
            ("State folder", str(self._store.folder)),
        ]
        if ledger.progress is not None:
            rows.append(("Series", f"{ledger.series} of {self._config.max_series}"))
            rows.append(("Rows found late", str(ledger.progress.late_rows)))
        rows += [(f"Problem: {subject}", reason) for subject, reason in self._change_log.wrong().items()]
        return rows

    def _join(self) -> Flight:
        with self._lock:
            if self._flight is None or self._flight.future.done():
                attempt = self._collector.begin()
                # no longer than a scraper with the default header waits for it
                seconds = self._config.scrape.timeout - self._config.scrape.timeout_offset
                self._flight = Flight(attempt, self._reads.submit(self._read_log, attempt, seconds))
            return self._flight

    def _read_log(self, attempt: Attempt, seconds: float) -> None:
        self._collector.read_log(attempt, seconds)
        if attempt.news:
            self._background.look()

    def _families(self, scrape: Scrape) -> list[Family]:
        try:
            snapshot = self.ledger.snapshot()
            self._change_log.works("ledger")
        except Exception as error:
            # what the exporter can still say of itself is said
            self._change_log.broke("ledger", error)
            snapshot, scrape = Snapshot(), replace(scrape, current=False)
        if scrape.current and snapshot.gauges is not None:
            self._last_success = float(snapshot.now)
        exposure = Exposure(
            config=self._config,
            ledger=snapshot,
            scrape=scrape,
            commit_failures=self.ledger.commit_failures,
            progress=self.read_ratio(),
            last_success=self._last_success,
            drift=self._background.drift,
            logins_refused=self.refusals.totals(),
            clock_offset=self.ledger.time.offset,
            replication_lag=self.ledger.time.replication.lag,
            outlooks=self._background.forecaster.outlooks,
            judged=self.anomalies.judged,
            before=self._board.before,
        )
        return families(exposure, self._change_log)

    def read_ratio(self) -> float:
        """How much of the first reading, a gap or changed settings is done, 0 to 1."""
        ledger = self.ledger.status()
        progress, since = ledger.progress, self._background.catching_up_from
        if progress is None:
            return 0.0
        if progress.phase == Phase.RUNNING and since is None and ledger.must_reclassify:
            return ledger.reclassified_ratio
        if progress.phase != Phase.RUNNING or since is None:
            return started_ratio(progress)
        return min(1.0, (progress.position - since) / max(1, self._background.clock - since))
