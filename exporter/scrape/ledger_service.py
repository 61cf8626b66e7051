"""The ledger's owner: plans each read, makes it durable, and only then lets it show."""

import contextlib
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from exporter.config import Classification, Config
from exporter.database.errors import IdentityMismatch, ReplicaBehind
from exporter.database.replication import NOT_ASKED, PRIMARY, Replication
from exporter.database.session import Identity
from exporter.ledger import reclassify
from exporter.ledger.admission import count_admitted
from exporter.ledger.advance import advance, begin, quarters_within, set_back
from exporter.ledger.exposed import restart_zero_hold
from exporter.ledger.model import Changes, LedgerSettings, Phase, SkippedValue, SpanRead, State
from exporter.ledger.reclassify import Reads, SettingsChange, Stretch
from exporter.ledger.schedule import hold_back, is_closed_ahead, steps_back
from exporter.ledger.shadow import Reclassification, begin_shadow
from exporter.scrape.clock import DatabaseClock, HostClock, Moment
from exporter.state.journal import Journal
from exporter.state.migrations import NEXT_NAME
from exporter.state.shadow import ShadowWork
from exporter.state.store import Store
from exporter.state.stored_shadow import StoredShadow
from exporter.state.users import Purge, forget_users, hide_users, pseudonyms_for

log = logging.getLogger(__name__)

IDENTITY = "identity"
CLASSIFICATION = "classification"
GOING = "going"
STALE_SUMS = "stale_sums"
"""Set where the sums of days and users must be made anew, as if the settings had changed."""

FEW_LEFT = 0.8
"""Share of `max_series` from which on it is logged that series run out."""

FEW_SERIES = 20
"""With a smaller `max_series` every pair is admitted as it comes: whoever sets so few knows all names."""


def settings_for(config: Config, classification: Classification) -> LedgerSettings:
    """What the ledger takes from the configuration, under a classification that may be an older one."""
    return LedgerSettings(
        window=math.ceil(config.open_window_seconds),
        horizon=int(config.horizon),
        max_series=classification.max_series,
        zero_hold=math.ceil(config.zero_hold),
        zone=ZoneInfo(classification.budget_time_zone),
        # the other half is for what comes again: a burst of names must not take all series for ever
        ample=-(-classification.max_series // 2) if classification.max_series >= FEW_SERIES else None,
    )


class LedgerService:
    """State and store; every method may be called from any thread.

    One lock is for who changes the state, and is held while a commit is waited for, a moment at most. Another one
    guards what is shown, and is held only while values in memory are looked at or replaced.

    `durable` is what has been committed, from which counters are shown. `present` is what is known: the same object,
    unless commits fail or hang. It then runs ahead in memory, so that gauges stay fresh, until all of it is committed.
    `classification` is the one that the ledger's rows were read by, until the `wanted` one has been taken up, stretch
    by stretch; `knows_old` is false where that one cannot be used for reading, by this version or by the database.
    """

    def __init__(
        self, store: Store, config: Config, backfill_since: int | None = None, host: HostClock | None = None
    ) -> None:
        self._config = config
        self._changing = threading.RLock()
        self._showing = threading.RLock()
        self._journal = Journal(store)
        self._backfill_since = backfill_since
        self._few_places = False
        self.durable = store.load()
        self.present = self.durable
        # all that is read of the store itself is read before the disk's thread gets work: one connection serves both
        known, stored = store.meta(IDENTITY), store.meta(CLASSIFICATION)
        self._stale_sums, going = bool(store.meta(STALE_SUMS)), store.meta(NEXT_NAME)
        self._identity = None if known is None else Identity(**known)
        self.pseudonyms = pseudonyms_for(config, store)
        self.wanted = config.classification().model_copy(update={"users": self.pseudonyms.scheme})
        # a state that does not say by which names it keeps users keeps ids
        kept = self.wanted.model_copy(update={"users": ""}) if stored is None else restored(stored)
        self.settings = settings_for(config, kept or self.wanted)
        kept = self.wanted if self.durable is None else self._rename_users(store, self.durable, kept)
        self.knows_old = kept is not None
        self.classification = kept or self.wanted
        if self.durable is not None and _nothing_read(self.durable):
            # settings that were fixed before the first read succeeded have nothing to be carried over from
            self.classification, self.knows_old = self.wanted, True
            self._commit(Changes(), {CLASSIFICATION: self.wanted.model_dump(mode="json")}, self.wanted_settings)
        self._switching_until = 0.0
        self._going = self._restore_going(going)
        self._clock = DatabaseClock(host or HostClock(), config.horizon)
        self._moment: Moment | None = None
        self.replication = NOT_ASKED
        self._closed_ahead = False
        if self.durable is not None and (reborn := restart_zero_hold(self.durable, self.settings)):
            self._commit(Changes(admitted=dict(reborn)))
        if self.present is not None:
            self._warn_of_few_places()
        self._purge = Purge(self.pseudonyms)
        self._journal.later(self._purge.attempt)

    def _rename_users(self, store: Store, state: State, kept: Classification | None) -> Classification | None:
        """Bring the users' names in the state into line with how they are to be kept; returns what is kept then.

        Ids are replaced by names where they are. Names cannot be turned back, or into those of another key: what is
        known of users is then read anew, as with any other setting that has changed.
        """
        if kept is not None and kept.users == self.wanted.users:
            return kept
        if kept is not None and not kept.users:
            renamed = kept.model_copy(update={"users": self.wanted.users})
            if hide_users(store, self.pseudonyms, {CLASSIFICATION: renamed.model_dump(mode="json")}):
                self.durable = self.present = store.load()
                return renamed
        self._commit(forget_users(state))
        return kept

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the states, and the settings that go with them, still while they are looked at; for moments only."""
        with self._showing:
            yield

    def close(self) -> None:
        """Close the store, once what is being committed is committed or its disk has not answered for a second."""
        with self._changing:
            self._journal.close()

    @property
    def must_reclassify(self) -> bool:
        """Whether rows are classified in another way now than when they were read."""
        changed = self.classification.fingerprint != self.wanted.fingerprint
        return changed or not self.knows_old or self._stale_sums

    @property
    def sums_are_stale(self) -> bool:
        """Whether it is for the sums of days and users alone that the log is read anew."""
        return self._stale_sums and self.knows_old and self.classification.fingerprint == self.wanted.fingerprint

    @property
    def serves_old(self) -> bool:
        """Whether figures by the old settings are right until the wanted ones are in force."""
        state = self.present
        running = state is not None and state.progress.phase == Phase.RUNNING
        whole = not self._stale_sums and self.classification.users == self.wanted.users
        return running and self.knows_old and whole

    def forget_old(self, reason: str) -> None:
        """Take up the wanted classification without a last read by the old one, which fails for this reason."""
        with self._changing:
            if not self.knows_old:
                return
            self.knows_old = False
            log.warning(
                "the log cannot be read by the settings that were in force (%s): rows dated before the last read "
                "and written after it are shown as spend and in no counter",
                reason,
            )

    @property
    def wanted_settings(self) -> LedgerSettings:
        """The settings that will be in force when rows are classified as wanted."""
        return settings_for(self._config, self.wanted)

    def believe(self, clock: float, replication: Replication = PRIMARY) -> Moment:
        """What time it is by a reading of the database's clock that was just taken.

        Where the server is a standby that is behind, that is no later than what it holds allows.
        """
        progress = None if self.present is None else self.present.progress
        known = (None, None) if progress is None else (progress.now, progress.skew)
        moment = self._clock.judge(clock, *known)
        complete = complete_until(replication)
        if complete is not None:
            now = hold_back(moment.now, known[0], complete, self.settings)
            moment = replace(moment, now=now, safe_now=min(moment.safe_now, complete))
        self._moment, self.replication = moment, replication
        return moment

    @property
    def expected_now(self) -> int | None:
        """What time it should be, without asking the database; None where only a reading can tell."""
        if self.replication.complete is not None or self.closed_ahead is not None:
            return None
        return self._clock.expected()

    @property
    def replica_problem(self) -> tuple[str, str] | None:
        """Why what was read last is not of the present, and what to do about it; None where it is."""
        return self.replication.problem(self._config.database.max_replica_lag)

    @property
    def clock_offset(self) -> float | None:
        """The database's clock as last read less the host's, in seconds; None before the first reading."""
        return self._clock.offset

    @property
    def clock_problem(self) -> str | None:
        """Why the database's clock, as last read, is not believed; None where it is."""
        return None if self._moment is None else self._moment.problem

    @property
    def closed_ahead(self) -> str | None:
        """What is wrong with a state that was closed by a clock that was ahead; None where it was not."""
        if not self._closed_ahead or self.present is None:
            return None
        closed = _utc(self.present.progress.compacted)
        return f"the state was closed by a clock that was ahead: rows dated before {closed} are not counted"

    @property
    def safe_now(self) -> int | None:
        """The time that what cannot be undone goes by, in seconds since the epoch; None before the first reading."""
        return None if self._moment is None else self._moment.safe_now

    def open(self, identity: Identity, clock: int) -> State:
        """The state, begun if there was none, and set back where the clock was.

        Raises `IdentityMismatch` where it was kept for another table, and `ReplicaBehind` where the first reading must
        wait: what a standby replays later would be counted, though it was written before.
        """
        with self._changing:
            self._wait_for_replica()
            if self.present is None:
                progress = begin(clock, self.settings, self._backfill_since, self.safe_now)
                self.present = State(progress)
                self._identity = identity
                classification = self.wanted.model_dump(mode="json")
                self._commit(Changes(progress=progress), {IDENTITY: asdict(identity), CLASSIFICATION: classification})
            elif self._identity is not None:
                check_identity(self._identity, identity)
            self._closed_ahead = is_closed_ahead(self._state().progress, clock, self.settings)
            if steps_back(self._state().progress, clock):
                log.warning("the database's clock was set back to %s: following it", _utc(clock))
                self._commit(set_back(self._state(), clock))
            return self._state()

    def _wait_for_replica(self) -> None:
        problem, replication = self.replica_problem, self.replication
        starting = self.present is None or self.present.progress.phase == Phase.STARTING
        if problem is not None and (starting or replication.complete is None or math.isinf(replication.complete)):
            raise ReplicaBehind(*problem)

    def record(self, read: SpanRead, by: Classification | None = None) -> None:
        """Take a read of the log into the ledger.

        `by` is the classification that a scrape has read by. While that is being replaced, or where it has been, the
        background reader has just read the same: then there is nothing to do.
        """
        with self._changing:
            if by is not None and (by is not self.classification or time.monotonic() < self._switching_until):
                return
            state, read = self._state(), self._prepared(read)
            self._commit(advance(state, read, self.settings, self._quarter_users(read)))

    def _prepared(self, read: SpanRead) -> SpanRead:
        """The read with users by their names, and with the times that the clocks allow."""
        read = self.pseudonyms.read(read)
        if self._moment is None:
            return read
        return replace(read, safe_now=self._moment.safe_now, skew=self._moment.skew)

    def _quarter_users(self, read: SpanRead) -> dict[int, Mapping[str, int]]:
        return self._slice_users(quarters_within(self._state(), read.span))

    # -- changed settings

    @property
    def reclassification(self) -> Reclassification | None:
        """How far the wanted settings have been taken up; None while they are not."""
        return self._going

    @property
    def reclassified_ratio(self) -> float:
        """How much of the wanted settings has been taken up, 0 to 1."""
        if self._going is None or self.present is None:
            return 0.0 if self.must_reclassify else 1.0
        return reclassify.ratio(self.present, self._going)

    def begin_anew(self, clock: int) -> None:
        """Begin the first reading again, by the wanted settings: nothing was shown yet."""
        with self._changing:
            changes = reclassify.begin_anew(self._state(), clock, self.wanted_settings, self._safe(clock))
            self._adopt(changes, None)

    def resume_reclassification(self, *, moved: bool) -> Reclassification | None:
        """How far it has come, begun if it was not; None while the disk has not taken what came before.

        What other circumstances have begun is dropped: `moved` says that the wanted settings date rows otherwise.
        """
        with self._changing:
            if not self._journal.durable:
                return None
            going = self._going
            if going is None or (going.by_old, going.moved) != (self.knows_old, moved):
                state = self._state()
                safe = self._safe(state.progress.now)
                going = reclassify.start_reclassification(
                    state, self.wanted_settings, safe, by_old=self.knows_old, moved=moved
                )
                progress = replace(state.progress, converted=0)
                self._keep(Changes(progress=progress), ShadowWork(begin_shadow(state), reset=True), going)
            return going if self._journal.durable else None

    def convert(self, going: Reclassification, stretch: Stretch, reads: Reads) -> None:
        """Take in a stretch as both settings have it. It is read again where it was overtaken meanwhile."""
        with self._changing:
            if self._is_outdated(going, reads):
                return
            both = self._both_prepared(reads)
            step = reclassify.convert(
                self._state(),
                going,
                stretch,
                both,
                SettingsChange(self.settings, self.wanted_settings),
                {} if both.old is None else self._quarter_users(both.old),
                StoredShadow(self._journal),
            )
            self._keep(step.changes, ShadowWork(step.shadow), step.going)

    def conclude(self, going: Reclassification, reads: Reads | None) -> None:
        """Put the wanted settings in force, once `reads` (None: nothing) are taken in, or try again later."""
        with self._changing:
            if self._is_outdated(going, reads):
                # until the next attempt has succeeded, scrapes show what it reads, and do not overtake it
                self._switching_until = time.monotonic() + 2 * self._config.scrape.timeout
                return
            both = None if reads is None else self._both_prepared(reads)
            step = reclassify.conclude(
                self._state(),
                going,
                both,
                SettingsChange(self.settings, self.wanted_settings),
                {} if both is None or both.old is None else self._quarter_users(both.old),
                StoredShadow(self._journal),
                self._safe(self._state().progress.now),
            )
            self._switching_until = 0.0
            if step.going is not None:
                self._keep(step.changes, ShadowWork(step.shadow), step.going)
                return
            progress = step.changes.progress or self._state().progress
            self._adopt(step.changes, ShadowWork(step.shadow, taken_over_since=progress.compacted))
            log.info("the new settings are in force; no counter has moved")

    def _both_prepared(self, reads: Reads) -> Reads:
        return Reads(None if reads.old is None else self._prepared(reads.old), self._prepared(reads.new))

    def _is_outdated(self, going: Reclassification, reads: Reads | None) -> bool:
        """Whether what was read goes with what is not so any more."""
        old = None if reads is None else reads.old
        overtaken = old is not None and reclassify.overtaken(self._state(), old)
        return overtaken or going != self._going or not self._journal.durable

    def _keep(self, changes: Changes, work: ShadowWork, going: Reclassification | None) -> None:
        """Commit a step, with how far it has come."""
        kept = going and {CLASSIFICATION: self.wanted.model_dump(mode="json"), GOING: asdict(going)}
        self._commit(changes, {NEXT_NAME: kept}, shadow=work)
        self._going = going

    def _adopt(self, changes: Changes, work: ShadowWork | None) -> None:
        """Commit the switch to the wanted settings."""
        meta = {CLASSIFICATION: self.wanted.model_dump(mode="json"), NEXT_NAME: None, STALE_SUMS: None}
        self._commit(changes, meta, self.wanted_settings, work)
        self.classification, self.knows_old, self._going, self._stale_sums = self.wanted, True, None, False

    def _restore_going(self, kept: dict[str, Any] | None) -> Reclassification | None:
        """How far an earlier process has come in taking up the same settings; otherwise that is dropped."""
        if self.durable is None:
            return None
        wanted = None if kept is None else restored(kept[CLASSIFICATION])
        if kept and wanted and self.must_reclassify and wanted.fingerprint == self.wanted.fingerprint:
            going = Reclassification(**kept[GOING])
            self.knows_old = self.knows_old and going.by_old
            return going
        if kept is not None or self.durable.progress.converted:
            progress = replace(self.durable.progress, converted=0)
            self._keep(Changes(progress=progress), ShadowWork(reset=True), None)
        return None

    def _safe(self, clock: int) -> int:
        return clock if self._moment is None else min(self._moment.safe_now, clock)

    def note_skips(self, counts: Mapping[SkippedValue, int]) -> None:
        """Count unusable values that a probe finds standing in the tables: the counter is the most ever found."""
        with self._changing:
            known = self._state().skipped
            if risen := {skip: count for skip, count in counts.items() if count > known.get(skip, 0)}:
                self._commit(Changes(skipped=risen))

    def show_users(self, chosen: Mapping[str, int]) -> None:
        """Remember which users are shown, with the last day on which each qualified."""
        with self._changing:
            known = self._state().shown_users
            changes = Changes(shown_users={user: None for user in known if user not in chosen})
            changes.shown_users.update({user: day for user, day in chosen.items() if known.get(user) != day})
            if changes.shown_users:
                self._commit(changes)

    def retry(self) -> None:
        """Commit what failed before, so that a full disk that was freed is noticed without a new read.

        A purge of users' ids that failed is tried again, too.
        """
        with self._changing:
            self._land(self._journal.retry())
            if self._purge.is_due():
                self._journal.later(self._purge.attempt)

    @property
    def commits_fail(self) -> bool:
        """Whether the last commit failed or has no answer, and counters are frozen."""
        return self._journal.behind

    @property
    def commit_failures(self) -> int:
        """How often a commit has failed, or had no answer in its time."""
        return self._journal.failures

    def _state(self) -> State:
        if self.present is None:
            raise RuntimeError("open() comes first")
        return self.present

    def _slice_users(self, starts: list[int]) -> dict[int, Mapping[str, int]]:
        return self._journal.slice_users(starts)

    def _commit(
        self,
        changes: Changes,
        meta: Mapping[str, object] | None = None,
        settings: LedgerSettings | None = None,
        shadow: ShadowWork | None = None,
    ) -> None:
        """Hand the changes to the disk, and show them once they are durable; gauges need not wait for that.

        `settings` are those by which the state is to be looked at from then on.
        """
        landed = self._journal.commit(changes, meta, shadow)
        with self._showing:
            self.settings = settings or self.settings
            if not self._journal.durable:
                if self.present is self.durable:
                    self.present = self._state().ahead(Changes())
                self._state().apply(changes)
            self._land(landed)
            if changes.admitted:
                self._warn_of_few_places()

    def _warn_of_few_places(self) -> None:
        """Log once that series run out."""
        taken, most = count_admitted(self._state()), self.settings.max_series
        if not self._few_places and taken >= FEW_LEFT * most:
            self._few_places = True
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
                self.durable = State(self._state().progress)
            for changes in landed:
                self.durable.apply(changes)
            if self._journal.durable:
                self.present = self.durable


def complete_until(replication: Replication) -> int | None:
    """Up to when a standby is known to be complete, as `SpanRead.complete` has it."""
    complete = replication.complete
    return None if complete is None or math.isinf(complete) else int(complete)


def _utc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _nothing_read(state: State) -> bool:
    return state.progress.phase == Phase.STARTING and state.progress.position == state.progress.began


def restored(stored: object) -> Classification | None:
    """The classification that a state was kept by; None, which is logged, where this version cannot use it."""
    try:
        classification = Classification.model_validate(stored)
        for zone in (classification.log_time_zone, classification.budget_time_zone):
            ZoneInfo(zone)
        return classification
    except (ValueError, ZoneInfoNotFoundError):
        log.warning("the state was kept with settings that this version cannot read: rows are read anew as known")
        return None


def check_identity(known: Identity, found: Identity) -> None:
    """Raise `IdentityMismatch` where a state was kept for another table than the one found."""
    if known.is_same(found):
        return
    raise IdentityMismatch(
        f"the state was kept for {_named(known)}, and this is {_named(found)}",
        "connect to the former, name another --state-dir, or take this one on with `ai-operation-exporter state adopt`",
    )


def _named(identity: Identity) -> str:
    system = f" (system {identity.system})" if identity.system else ""
    return f"table {identity.table} in database {identity.database}{system}"
