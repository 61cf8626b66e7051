"""Change a state folder that no exporter uses: adopt it for another table, end series, reopen what was closed."""

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TextIO
from zoneinfo import ZoneInfo

from exporter.catalog import USD
from exporter.config import Config
from exporter.database.conninfo import resolve_conninfo
from exporter.database.errors import SchemaProblem
from exporter.database.one_session import one_session
from exporter.database.reader import read_span
from exporter.database.session import Identity
from exporter.figures import Figure
from exporter.humanize import money
from exporter.ledger.admission import count_admitted
from exporter.ledger.advance import restart
from exporter.ledger.aggregate import ZERO
from exporter.ledger.calendar import QUARTER_HOUR, floor_to
from exporter.ledger.forget import forget
from exporter.ledger.hourly import hour_start, moved_to_other
from exporter.ledger.model import OTHER, Changes, LedgerSettings, SpanRead, State, TimeRange
from exporter.ledger.rewind import rewind
from exporter.moments import as_utc, named_moment
from exporter.scrape.ledger_settings import settings_for
from exporter.state.hourly import HOURLY, cut_off, each_hour
from exporter.state.migrations import NEXT_NAME
from exporter.state.prices import PRICES, price_book
from exporter.state.provenance import CLASSIFICATION, IDENTITY, STALE_SUMS, check_identity, named, restored
from exporter.state.shadow import ShadowWork
from exporter.state.store import StateError, Store, assert_exists
from exporter.state.users import pseudonyms_for


def adopt(config: Config, environ: Mapping[str, str], out: TextIO) -> int:
    """Continue the state on the configured database: what is missing there becomes corrections, and is not lost."""
    with _existing(config) as store:
        known = store.meta(IDENTITY)
        if known is None:
            raise StateError(f"state folder {config.state_dir} holds nothing yet: there is nothing to adopt")
        info = resolve_conninfo(config, environ)
        with one_session(config, info, "adopt", config.scrape.timeout) as session:
            found = session.identity(session.log(config.classification()))
        _commit_anew(store, store.load(), Changes(), {IDENTITY: asdict(found)})
        print(f"was kept for  {named(Identity(**known))}\nis kept for   {named(found)}", file=out)
    return 0


def forget_series(config: Config, operation: str, model: str | None, out: TextIO) -> int:
    """End the series of an operation, or only the one with a model, and free their places.

    Raises `StateError` if there is no such series, or an exporter is using the folder.
    """
    with _existing(config) as store:
        state = store.load()
        admitted = [] if state is None else sorted(state.admitted.keys() - {OTHER})
        chosen = [s for s in admitted if s.operation == operation and model in (None, s.model)]
        if state is None or not chosen:
            of_model = "" if model is None else f" and model {model!r}"
            raise StateError(f"state folder {config.state_dir} has no series of operation {operation!r}{of_model}")
        changes = forget(state, chosen)
        moved = (moved_to_other(hour, set(chosen)) for hour in store.read(each_hour))
        changes.hours = {hour.start: hour for hour in moved if hour is not None}
        _commit_anew(store, state, changes, {})
        for series in chosen:
            total = state.totals.get(series, ZERO)
            counted = f"{total[Figure.CALLS]:,} calls, {money(total[Figure.COST] / USD)}"
            print(f"ended  {series.operation}  {series.model}  ({counted})", file=out)
        print(f"series {count_admitted(state) - len(chosen)} of {config.max_series}", file=out)
    return 0


def rewind_state(config: Config, environ: Mapping[str, str], to: str | None, out: TextIO) -> int:
    """Reopen what a clock that was ahead has closed, so that rows dated after `to` still count.

    `to` is an ISO 8601 time, in the budget's time zone if it has no offset: the last moment whose rows have been
    counted. None: the time of the newest row that was counted. Raises `StateError` if there is nothing to reopen.
    """
    with _existing(config) as store:
        state, known, kept = store.load(), store.meta(IDENTITY), store.meta(CLASSIFICATION)
        if state is None or known is None or kept is None:
            raise StateError(f"state folder {config.state_dir} holds nothing yet: there is nothing to rewind")
        classification = restored(kept) or config.classification()
        info = resolve_conninfo(config, environ)
        with one_session(config, info, "rewind", config.scrape.timeout) as session:
            try:
                log = session.log(classification)
            except SchemaProblem:
                # the settings have followed the table since then
                classification = config.classification()
                log = session.log(classification)
            check_identity(Identity(**known), session.identity(log))
            clock, settings = int(session.clock), settings_for(config, classification)
            span = _rewound(state, to, clock, settings, ZoneInfo(config.budget_time_zone))
            prices = price_book(config, store, state)
            found = (
                {} if span is None else read_span(session, log, classification, span, width=QUARTER_HOUR, prices=prices)
            )
        if span is None:
            changes = restart(state, clock, settings)
        else:
            read = SpanRead(span=span, now=state.progress.now, buckets=found, width=QUARTER_HOUR)
            changes = rewind(state, pseudonyms_for(config, store).read(read), settings)
        book = prices.changes()
        # what a wrong clock has made of the hours since is read again
        reopened = 0 if span is None else hour_start(span.lo, settings.zone)
        changes.hours, kept_hours = cut_off(store.hours(), reopened)
        meta = {STALE_SUMS: True, HOURLY: kept_hours, **({} if book is None else {PRICES: book})}
        _commit_anew(store, state, changes, meta)
        progress = changes.progress or state.progress
        print(
            f"was closed before  {as_utc(state.progress.compacted)}\nis closed before   {as_utc(progress.compacted)}",
            file=out,
        )
    return 0


def _rewound(state: State, to: str | None, clock: int, settings: LedgerSettings, zone: ZoneInfo) -> TimeRange | None:
    """The time range whose rows are counted, from the quarter-hour in which counting resumes.

    None if a clock that was ahead timed the first reading itself, which then starts again.
    """
    if to is None and state.progress.began > clock:
        return None
    newest = state.progress.newest
    moment = newest if to is None else _moment(to, zone)
    if moment > clock:
        raise StateError(
            f"the newest counted row is dated {as_utc(int(newest))}, which is ahead of the database's clock "
            f"({as_utc(clock)}): use --to to say when the clock was last right"
            if to is None
            else f"--to {to!r} is ahead of the database's clock ({as_utc(clock)})"
        )
    lo = floor_to(int(moment), QUARTER_HOUR)
    if lo < state.progress.began:
        raise StateError(
            "no row has been read yet: use --to to say when the clock was last right"
            if to is None
            else f"--to {to!r} is before the first reading of the log, {as_utc(state.progress.began)}"
        )
    if lo >= state.progress.compacted:
        closed = as_utc(state.progress.compacted)
        raise StateError(f"nothing after {as_utc(int(moment))} is closed (only what is before {closed}): nothing to do")
    # the open window has to be open too, where it reaches back into the quarter-hour before
    lo = max(min(lo, floor_to(clock - settings.window, QUARTER_HOUR)), floor_to(state.progress.began, QUARTER_HOUR))
    counted = newest if newest <= clock else moment
    return TimeRange(lo, int(max(counted, moment)) + 1)


def _moment(text: str, zone: ZoneInfo) -> float:
    try:
        return named_moment(text, zone).timestamp()
    except (ValueError, OverflowError):
        raise StateError(f"--to {text!r}: write an ISO 8601 time such as 2026-01-31T14:30") from None


def _commit_anew(store: Store, state: State | None, changes: Changes, meta: Mapping[str, object]) -> None:
    """Commit changes, and restart a reclassification in progress, which does not know of them.

    Raises `StateError` if they cannot be written; nothing has changed then.
    """
    if state is not None:
        changes.progress = replace(changes.progress or state.progress, converted=0)
    try:
        store.commit(changes, {**meta, NEXT_NAME: None}, ShadowWork(reset=True))
    except (sqlite3.Error, OSError) as error:
        raise StateError(
            f"state file {store.path}: {error}; nothing was changed: free space, or make the folder writable, "
            "and try again"
        ) from None


def _existing(config: Config) -> Store:
    assert_exists(config.state_dir)
    return Store(config.state_dir)
