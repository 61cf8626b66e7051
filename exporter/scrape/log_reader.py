"""What reads on in the log for something else than the ledger: in chunks, at leisure, and by the settings in force."""

import hashlib
import json
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from exporter.config import Classification, Config
from exporter.database.errors import DatabaseError, QueryTimeout
from exporter.database.log_table import LogTable
from exporter.database.session import Session
from exporter.database.transactions import Database
from exporter.ledger import schedule
from exporter.ledger.model import Phase, State
from exporter.scrape.adaptive_chunk import AdaptiveChunk
from exporter.scrape.ledger_service import LedgerService
from exporter.state_change_log import StateChangeLog

T = TypeVar("T")

_COUNTED_BY = {"log_table", "log_columns", "log_time_zone", "budget_time_zone", "bounds", "names", "refunds"}
"""The settings of a classification that decide what the rows of a stretch add up to, whoever reads it."""

_NOT_COUNTED_BY = {"log_columns": {"group"}}
"""What decides nothing of what any of these readers keeps: it holds no groups."""


class LogReader:
    """The pace, the transactions and the failures of such a reader. For the thread of the background reader.

    `subject` is what log lines call it, and `also_counted_by` are settings of a classification that decide what this
    one keeps, but not what others keep.
    """

    def __init__(
        self,
        config: Config,
        ledger: LedgerService,
        database: Database,
        change_log: StateChangeLog,
        subject: str,
        also_counted_by: Collection[str],
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._database = database
        self._change_log = change_log
        self._subject = subject
        self._counted_by = _COUNTED_BY.union(also_counted_by)
        self._chunk = AdaptiveChunk(config.worker.statement_budget)
        self._rests_until = 0.0
        self._keyed: tuple[Classification, str] | None = None

    def step(self) -> None:
        """Do the next piece of work. A failure is logged, and costs a rest."""
        try:
            self._step()
        except QueryTimeout as error:
            self._chunk.timed_out()
            self._rest()
            self._change_log.failed(self._subject, f"{error}; reading less at once")
        except DatabaseError as error:
            self._chunk.failures += 1
            self._rest()
            # that the state cannot be written has been said
            if not self._ledger.commits_fail:
                self._change_log.failed(self._subject, str(error))
        except Exception as error:
            self._chunk.failures += 1
            self._rest()
            self._change_log.broke(self._subject, error)
        else:
            self._change_log.works(self._subject)

    def _step(self) -> None:
        raise NotImplementedError

    def _rest(self) -> None:
        self._rests_until = time.monotonic() + self._chunk.backoff

    @property
    def _rests(self) -> bool:
        return time.monotonic() < self._rests_until

    def _current_state(self) -> tuple[State, int] | None:
        """The state and the time, where the ledger is up to date: for who holds it still."""
        ledger = self._ledger
        state, now = ledger.present, ledger.expected_now
        if state is None or now is None or ledger.must_reclassify or ledger.time_problem is not None:
            return None
        if state.progress.phase != Phase.RUNNING or not schedule.is_current(state.progress, now):
            return None
        return state, now

    @property
    def _present_key(self) -> str:
        """Tells what is counted by the settings in force from what is counted by others."""
        by = self._ledger.classification
        if self._keyed is None or self._keyed[0] is not by:
            fields = by.model_dump(mode="json", include=self._counted_by, exclude=_NOT_COUNTED_BY)
            self._keyed = by, hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        return self._keyed[1]

    def _read_log(self, read: Callable[[Session, LogTable, State], T]) -> T | None:
        """What `read` makes of the log in one transaction; None, and a rest, where a standby is too far behind."""
        ledger, chunk = self._ledger, self._chunk
        seconds = chunk.transaction_seconds(self._config.scrape.timeout)
        longest = min(chunk.statement_seconds, 0.8 * seconds)
        tables = [(ledger.wanted.log_table, None)]
        with self._database.session(seconds, statement_seconds=longest, tables=tables) as session:
            table = session.log(ledger.classification)
            state = ledger.open(session.identity(table), ledger.believe(session.clock, session.replication).now)
            if session.replication.problem(self._config.database.max_replica_lag) is not None:
                self._rest()
                return None
            return read(session, table, state)
