"""The ledger's owner: plans each read, makes it durable, and only then lets it show."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from exporter.config import Classification, Config
from exporter.database.errors import IdentityMismatch, ReplicaBehind
from exporter.database.replication import PRIMARY, Replication
from exporter.database.session import Identity
from exporter.ledger import reclassify
from exporter.ledger.admission import count_admitted
from exporter.ledger.advance import begin, quarters_within, set_back
from exporter.ledger.exposed import Snapshot, group_spend_today, restart_zero_hold, user_spend_today
from exporter.ledger.history import fits, take
from exporter.ledger.model import (
    Changes,
    Hour,
    LedgerSettings,
    Phase,
    Progress,
    SkippedValue,
    SpanRead,
    State,
    TimeRange,
    UserSpend,
)
from exporter.ledger.period_spend import RecentDays, recent_days
from exporter.ledger.reclassify import Reads, SettingsChange, Stretch
from exporter.ledger.schedule import is_closed_ahead, steps_back
from exporter.ledger.shadow import Reclassification, begin_shadow
from exporter.ledger.today import begin_today, read_today, same_names, today_settings
from exporter.prices.out_of_process import published_out_of_process
from exporter.scrape.clock import HostClock, Moment
from exporter.scrape.committed_state import CommittedState
from exporter.scrape.database_time import DatabaseTime, Problem
from exporter.scrape.ledger_settings import settings_for
from exporter.state.hourly import HOURLY, NO_HOURS, KnownHours, hours_at
from exporter.state.migrations import NEXT_NAME
from exporter.state.past_spend import PAST_SPEND, StoredPast
from exporter.state.prices import price_book
from exporter.state.provenance import CLASSIFICATION, GOING, IDENTITY, STALE_SUMS, check_identity, restored
from exporter.state.shadow import ShadowWork
from exporter.state.store import Store
from exporter.state.stored_shadow import StoredShadow
from exporter.state.users import Purge, forget_users, hide_users, pseudonyms_for

log = logging.getLogger(__name__)

REWIND_HINT = "stop the exporter, and run `ai-operation-exporter state rewind`"
"""What to do about a state that a wrong clock has closed."""


@dataclass(frozen=True)
class LedgerStatus:
    """How the ledger fares at one moment.

    `progress` is None before the log was read at all. `series` is how many are admitted, `reclassified_ratio` how much
    of the wanted settings has been applied, 0 to 1. A problem comes with what to do about it.
    """

    progress: Progress | None
    series: int
    commits_fail: bool
    identity_problem: str | None
    replica_problem: Problem | None
    time_problem: Problem | None
    must_reclassify: bool
    serves_old: bool
    reclassified_ratio: float


class LedgerService:
    """State and store; every method may be called from any thread.

    One lock is for who changes the state, and is held while a commit is waited for, a moment at most.

    `classification` is the one that the ledger's rows were read by, until the `wanted` one has been applied, stretch
    by stretch; `knows_old` is false where that one cannot be used for reading, by this version or by the database.
    """

    def __init__(
        self, store: Store, config: Config, backfill_since: int | None = None, host: HostClock | None = None
    ) -> None:
        self._config = config
        self._changing = threading.RLock()
        self._backfill_since = backfill_since
        # a damaged file is set aside by this: what is kept beside a state is read after it, and all of that before the
        # disk's thread gets work, since one connection serves both
        state = store.load()
        known, stored = store.meta(IDENTITY), store.meta(CLASSIFICATION)
        self._stale_sums, going = bool(store.meta(STALE_SUMS)), store.meta(NEXT_NAME)
        self.stored_hours = store.hours()
        """The hourly history, as an earlier process has left it."""
        self.stored_past = store.past_spend()
        """What budgets with a period have spent before, likewise."""
        self._identity = None if known is None else Identity(**known)
        self.pseudonyms = pseudonyms_for(config, store)
        self.wanted = config.classification().model_copy(update={"users": self.pseudonyms.scheme})
        # a state that does not say by which names it keeps users keeps ids
        kept = self.wanted.model_copy(update={"users": ""}) if stored is None else restored(stored)
        self.prices = price_book(config, store, state, published_out_of_process)
        self._states = CommittedState(store, state, settings_for(config, kept or self.wanted), self.prices)
        kept = self.wanted if state is None else self._rename_users(store, state, kept)
        self._classify_by(kept or self.wanted, knows_old=kept is not None)
        if self.durable is not None and _nothing_read(self.durable):
            # settings that were fixed before the first read succeeded have nothing to be carried over from
            self._classify_by(self.wanted)
            self._states.commit(Changes(), {CLASSIFICATION: self.wanted.model_dump(mode="json")}, self.wanted_settings)
        self._switching_until = 0.0
        self._going = self._restore_going(going)
        self.time = DatabaseTime(host or HostClock(), config.horizon, config.database.max_replica_lag)
        self._closed_ahead = False
        self._identity_problem: str | None = None
        if self.durable is not None and (reborn := restart_zero_hold(self.durable, self.settings)):
            self._states.commit(Changes(admitted=dict(reborn)))
        if self.present is not None:
            self._states.warn_of_few_left()
        self._today: State | None = None
        self._names: dict[str, str] = {}
        self._purge = Purge(self.pseudonyms)
        self._states.journal.later(self._purge.attempt)

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
                self._states.reload(store)
                self.stored_hours, self.stored_past = store.hours(), store.past_spend()
                return renamed
        self._states.commit(forget_users(state, self.stored_hours.totals, self.stored_past.spent), {HOURLY: None})
        self.stored_hours, self.stored_past = NO_HOURS, StoredPast()
        return kept

    def _classify_by(self, classification: Classification, *, knows_old: bool = True) -> None:
        self.classification, self.knows_old = classification, knows_old
        self._has_changed = classification.fingerprint != self.wanted.fingerprint

    @property
    def durable(self) -> State | None:
        """The state as committed, see `CommittedState`."""
        return self._states.durable

    @property
    def present(self) -> State | None:
        """The state as known, see `CommittedState`."""
        return self._states.present

    @property
    def settings(self) -> LedgerSettings:
        """The settings by which the state is looked at."""
        return self._states.settings

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Hold the states, and the settings that go with them, still while they are looked at; for moments only."""
        return self._states.reading()

    def snapshot(self) -> Snapshot:
        """What is to be shown now: it stays as it is, whatever is recorded meanwhile."""
        return self._states.snapshot(self._whole_today)

    def status(self) -> LedgerStatus:
        """How the ledger fares now."""
        with self._states.reading():
            state = self.present
            return LedgerStatus(
                progress=None if state is None else state.progress,
                series=0 if state is None else count_admitted(state),
                commits_fail=self.commits_fail,
                identity_problem=self._identity_problem,
                replica_problem=self.time.replica_problem,
                time_problem=self.time_problem,
                must_reclassify=self.must_reclassify,
                serves_old=self.serves_old,
                reclassified_ratio=self.reclassified_ratio,
            )

    def close(self) -> None:
        """Close the store, once what is being committed is committed or its disk has not answered for a second."""
        with self._changing:
            self._states.journal.close()

    @property
    def must_reclassify(self) -> bool:
        """Whether rows are classified in another way now than when they were read."""
        return self._has_changed or not self.knows_old or self._stale_sums

    @property
    def sums_are_stale(self) -> bool:
        """Whether it is for the sums of days and users alone that the log is read anew."""
        return self._stale_sums and self.knows_old and not self._has_changed

    @property
    def serves_old(self) -> bool:
        """Whether figures by the old settings are right until the wanted ones are in force."""
        state = self.present
        running = state is not None and state.progress.phase == Phase.RUNNING
        whole = not self._stale_sums and self.classification.users == self.wanted.users
        return running and self.knows_old and whole

    def forget_old(self, reason: str) -> None:
        """Apply the wanted classification without a last read by the old one, which fails for this reason."""
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
        """What time it is by a reading of the database's clock that was just taken, see `DatabaseTime.believe`."""
        progress = None if self.present is None else self.present.progress
        return self.time.believe(clock, replication, progress, self.settings)

    @property
    def expected_now(self) -> int | None:
        """What time it should be, without asking the database; None where only a reading can tell."""
        return None if self._closed_ahead else self.time.expected()

    @property
    def time_problem(self) -> Problem | None:
        """Why what is recorded is not of the present, by the clocks; None where it is."""
        if self.time.clock_problem is not None or not self._closed_ahead or self.present is None:
            return self.time.clock_problem
        closed = _utc(self.present.progress.compacted)
        return (
            f"the state was closed by a clock that was ahead: rows dated before {closed} are not counted",
            REWIND_HINT,
        )

    def open(self, identity: Identity, clock: int) -> State:
        """The state, begun if there was none, and set back where the clock was.

        Raises `IdentityMismatch` where it was kept for another table, and `ReplicaBehind` where the first reading must
        wait: what a standby replays later would be counted, though it was written before.
        """
        with self._changing:
            self._wait_for_replica()
            if self.present is None:
                progress = begin(clock, self.settings, self._backfill_since, self.time.safe(clock))
                self._states.begin(State(progress))
                self._identity = identity
                classification = self.wanted.model_dump(mode="json")
                self._states.commit(
                    Changes(progress=progress), {IDENTITY: asdict(identity), CLASSIFICATION: classification}
                )
            elif self._identity is not None:
                self._check_identity(self._identity, identity)
            self._closed_ahead = is_closed_ahead(self._states.known().progress, clock, self.settings)
            if steps_back(self._states.known().progress, clock):
                log.warning("the database's clock was set back to %s: following it", _utc(clock))
                self._states.commit(set_back(self._states.known(), clock))
            return self._states.known()

    def _check_identity(self, known: Identity, found: Identity) -> None:
        try:
            check_identity(known, found)
        except IdentityMismatch as error:
            self._identity_problem = str(error)
            raise
        self._identity_problem = None

    def _wait_for_replica(self) -> None:
        problem, replication = self.time.replica_problem, self.time.replication
        starting = self.present is None or self.present.progress.phase == Phase.STARTING
        if problem is not None and (starting or replication.complete_until is None):
            raise ReplicaBehind(*problem)

    def record(self, read: SpanRead, by: Classification | None = None) -> bool:
        """Take a read of the log into the ledger; returns whether it has brought anything new.

        `by` is the classification that a scrape has read by. While that is being replaced, or where it has been, the
        background reader has just read the same: then there is nothing to do.
        """
        with self._changing:
            if by is not None and (by is not self.classification or time.monotonic() < self._switching_until):
                return True
            state, read = self._states.known(), self._prepared(read)
            news = self._states.commit(take(state, read, self.settings, self._quarter_users(read)))
            if not self._is_starting:
                self._today = None
            return news

    def fits(self, read: SpanRead) -> bool:
        """Whether a read of up to a day can be taken in as it is, see `history.fits`."""
        with self._changing:
            return fits(self._states.known(), read, self.settings)

    @property
    def _is_starting(self) -> bool:
        return self._states.known().progress.phase == Phase.STARTING

    def today(self, clock: int) -> State | None:
        """The ledger of the current day, which is read and shown first; None once the first reading is done.

        It is begun where there is none, or where the clock was set back.
        """
        with self._changing:
            if not self._is_starting:
                self._today = None
            elif self._today is None or steps_back(self._today.progress, clock):
                self._today = begin_today(clock, self.settings)
            return self._today

    @property
    def _whole_today(self) -> State | None:
        """The ledger of the current day, once that has been read up to the present."""
        today = self._today
        return today if today is not None and today.progress.phase == Phase.RUNNING else None

    def user_spend_today(self) -> Mapping[str, int]:
        """Money units of the current day by user, as far as they are known."""
        return self._of_today(user_spend_today)

    def group_spend_today(self) -> Mapping[str, int]:
        """As `user_spend_today`, by group."""
        return self._of_today(group_spend_today)

    def stamps_of_today(self, *parts: str) -> list[object]:
        """`State.stamp` of the state that speaks for the current day."""
        with self.reading():
            state = self._whole_today or self.present
            return [] if state is None else [state.stamp(part) for part in parts]

    def _of_today(self, spend: Callable[[State, LedgerSettings], Mapping[str, int]]) -> Mapping[str, int]:
        with self.reading():
            state = self._whole_today or self.present
            return {} if state is None else spend(state, self.settings)

    def recent_days(self) -> RecentDays:
        """What was spent on the newest days, as far as they are known whole."""
        with self.reading():
            today = self._whole_today
            state = today or self.present
            return RecentDays() if state is None else recent_days(state, self.settings, only_today=today is not None)

    def record_today(self, read: SpanRead, by: Classification) -> None:
        """Take a read into the ledger of the current day, if it is still needed; nothing of it is written."""
        with self._changing:
            if self._today is None or by is not self.classification:
                return
            if quarters_within(self._today, read.span):
                # a clock that was set back: the users of quarters are not kept, so the day is read anew
                self._today = None
                return
            self._today = read_today(self._today, self._prepared(read), today_settings(self.settings))

    def _prepared(self, read: SpanRead) -> SpanRead:
        """The read with users by their names, and with the times that the clocks allow."""
        read = self.pseudonyms.read(read)
        if self._today is not None:
            read = same_names(read, self._names)
        elif self._names:
            self._names = {}
        moment = self.time.moment
        return read if moment is None else replace(read, safe_now=moment.safe_now, skew=moment.skew)

    def _quarter_users(self, read: SpanRead) -> dict[int, Mapping[str, int]]:
        return self._states.journal.slice_users(quarters_within(self._states.known(), read.span))

    # -- changed settings

    @property
    def reclassification(self) -> Reclassification | None:
        """How far the wanted settings have been applied; None while they are not being applied."""
        return self._going

    @property
    def reclassified_ratio(self) -> float:
        """How much of the wanted settings has been applied, 0 to 1."""
        if self._going is None or self.present is None:
            return 0.0 if self.must_reclassify else 1.0
        return reclassify.ratio(self.present, self._going)

    def begin_anew(self, clock: int) -> None:
        """Begin the first reading again, by the wanted settings: nothing was shown yet."""
        with self._changing:
            changes = reclassify.begin_anew(self._states.known(), clock, self.wanted_settings, self.time.safe(clock))
            self._adopt(changes, None)

    def resume_reclassification(self, *, moved: bool) -> Reclassification | None:
        """How far it has come, begun if it was not; None while the disk has not taken what came before.

        What other circumstances have begun is dropped: `moved` says that the wanted settings date rows otherwise.
        """
        with self._changing:
            if not self._states.journal.durable:
                return None
            going = self._going
            if going is None or (going.by_old, going.moved) != (self.knows_old, moved):
                state = self._states.known()
                safe = self.time.safe(state.progress.now)
                going = reclassify.start_reclassification(
                    state, self.wanted_settings, safe, by_old=self.knows_old, moved=moved
                )
                progress = replace(state.progress, converted=0)
                self._keep(Changes(progress=progress), ShadowWork(begin_shadow(state), reset=True), going)
            return going if self._states.journal.durable else None

    def convert(self, going: Reclassification, stretch: Stretch, reads: Reads) -> None:
        """Take in a stretch as both settings have it. It is read again where it was overtaken meanwhile."""
        with self._changing:
            if self._is_outdated(going, reads):
                return
            both = self._both_prepared(reads)
            step = reclassify.convert(
                self._states.known(),
                going,
                stretch,
                both,
                SettingsChange(self.settings, self.wanted_settings),
                {} if both.old is None else self._quarter_users(both.old),
                StoredShadow(self._states.journal),
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
                self._states.known(),
                going,
                both,
                SettingsChange(self.settings, self.wanted_settings),
                {} if both is None or both.old is None else self._quarter_users(both.old),
                StoredShadow(self._states.journal),
                self.time.safe(self._states.known().progress.now),
            )
            self._switching_until = 0.0
            if step.going is not None:
                self._keep(step.changes, ShadowWork(step.shadow), step.going)
                return
            progress = step.changes.progress or self._states.known().progress
            self._adopt(step.changes, ShadowWork(step.shadow, taken_over_since=progress.compacted))
            log.info("the new settings are in force")

    def _both_prepared(self, reads: Reads) -> Reads:
        return Reads(None if reads.old is None else self._prepared(reads.old), self._prepared(reads.new))

    def _is_outdated(self, going: Reclassification, reads: Reads | None) -> bool:
        """Whether what was read goes with what is not so any more."""
        old = None if reads is None else reads.old
        overtaken = old is not None and reclassify.overtaken(self._states.known(), old)
        return overtaken or going != self._going or not self._states.journal.durable

    def _keep(self, changes: Changes, work: ShadowWork, going: Reclassification | None) -> None:
        """Commit a step, with how far it has come."""
        kept = going and {CLASSIFICATION: self.wanted.model_dump(mode="json"), GOING: asdict(going)}
        self._states.commit(changes, {NEXT_NAME: kept}, shadow=work)
        self._going = going

    def _adopt(self, changes: Changes, work: ShadowWork | None) -> None:
        """Commit the switch to the wanted settings."""
        meta = {CLASSIFICATION: self.wanted.model_dump(mode="json"), NEXT_NAME: None, STALE_SUMS: None}
        self._states.commit(changes, meta, self.wanted_settings, work)
        self._classify_by(self.wanted)
        self._going, self._stale_sums, self._today = None, False, None

    def _restore_going(self, kept: dict[str, Any] | None) -> Reclassification | None:
        """How far an earlier process has applied the same settings; what it has done for others is dropped."""
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

    def note_skips(self, counts: Mapping[SkippedValue, int]) -> None:
        """Count unusable values that a probe finds standing in the tables: the counter is the most ever found."""
        with self._changing:
            known = self._states.known().skipped
            if risen := {skip: count for skip, count in counts.items() if count > known.get(skip, 0)}:
                self._states.commit(Changes(skipped=risen))

    def show(self, users: Mapping[str, int], groups: Mapping[str, int]) -> None:
        """Remember which users and groups are shown, with the last day on which each qualified."""
        with self._changing:
            known = self._states.known()
            changes = Changes(
                shown_users=_changed(known.shown_users, users), shown_groups=_changed(known.shown_groups, groups)
            )
            if changes.shown_users or changes.shown_groups:
                self._states.commit(changes)

    def keep_hours(self, hours: Mapping[int, Hour | None], known: KnownHours | None) -> None:
        """Keep hours of the history, and what is known of it; None removes an hour."""
        with self._changing:
            self._states.commit(Changes(hours=dict(hours)), {HOURLY: None if known is None else known.as_kept()})

    def keep_past(self, spent: Mapping[TimeRange, UserSpend | None], key: str) -> None:
        """Keep what was spent in past stretches, counted by the settings that `key` tells; None removes one."""
        with self._changing:
            self._states.commit(Changes(past_spend=dict(spent)), {PAST_SPEND: key})

    def hours(self, starts: Iterable[int]) -> dict[int, Hour]:
        """The hours of the history that begin at these times, as far as they are kept. Raises `DiskSilent`."""
        with self._changing:
            return self._states.journal.read(hours_at, list(starts))

    def users_of_slices(self, starts: Iterable[int]) -> dict[int, Mapping[str, int]]:
        """Money units by user of the merged slices that begin at these times. Raises `DiskSilent`."""
        with self._changing:
            return self._states.journal.slice_users(starts)

    def pack_days(self) -> None:
        """Pack the days that are over; costs nothing where they are packed already."""
        with self._changing:
            self._states.pack_days()

    def retry(self) -> None:
        """Commit what failed before, so that a full disk that was freed is noticed without a new read.

        A purge of users' ids that failed is tried again, too.
        """
        with self._changing:
            self._states.retry()
            if self._purge.is_due():
                self._states.journal.later(self._purge.attempt)

    @property
    def must_retry(self) -> bool:
        """Whether there is something for `retry` to do, now or soon."""
        return self.commits_fail or self._purge.has_failed

    @property
    def commits_fail(self) -> bool:
        """Whether the last commit failed or has no answer, and counters are frozen."""
        return self._states.journal.behind

    @property
    def commit_failures(self) -> int:
        """How often a commit has failed, or had no answer in its time."""
        return self._states.journal.failures


def _changed(known: Mapping[str, int], chosen: Mapping[str, int]) -> dict[str, int | None]:
    gone: dict[str, int | None] = {name: None for name in known if name not in chosen}
    return gone | {name: day for name, day in chosen.items() if known.get(name) != day}


def _utc(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _nothing_read(state: State) -> bool:
    return state.progress.phase == Phase.STARTING and state.progress.position == state.progress.began
