"""Durable state: what the ledger knows, committed before it is exposed."""

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from exporter.errors import UserError
from exporter.ledger.model import Changes, Phase, Progress, State
from exporter.pseudonyms import Pseudonyms
from exporter.state import hourly, past_spend
from exporter.state.codec import (
    SliceEncoder,
    decode_progress,
    decode_slice,
    dumps,
    encode_progress,
    layout_problem,
)
from exporter.state.hourly import NO_HOURS, KnownHours, StoredHours
from exporter.state.migrations import FORMAT, kept_layout, migrate
from exporter.state.parts import PARTS, fill_parts, write_parts
from exporter.state.past_spend import StoredPast
from exporter.state.private import make_file, make_folder, tighten
from exporter.state.shadow import ShadowWork, write_shadow

log = logging.getLogger(__name__)

T = TypeVar("T")

FILE_NAME = "ledger.sqlite"
LOCK_NAME = "lock"
NAMES = (FILE_NAME, LOCK_NAME)
"""How the names of all files of the state begin."""

JOURNAL_PAGES = 64
"""Pages of 4 KiB in SQLite's journal after which it is merged into the file and cut back.

SQLite's default of 1000 would fill a small volume with a journal of 4 MB next to a state of 256 KB.
"""

_PAGE = 4096
_NO_SPACE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


_USER_PARTS = ("user_days", "shown_users")
_NOWHERE = Progress(phase=Phase.STARTING, now=0, compacted=0, merged=0, closed=0, position=0, count_from=0, began=0)


class StateError(UserError):
    """The state folder cannot be used; the message says why and what to do."""


class KeptState:
    """A state file that is open, of this version's format. One thread at a time may use it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def meta(self, name: str) -> Any:
        """A value that is kept beside the state, or None."""
        # read to the end: a statement in progress would keep the file from being rebuilt
        rows = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchall()
        return json.loads(rows[0][0]) if rows else None

    def load(self) -> State | None:
        """The state as last committed; None where nothing was ever committed.

        Raises `sqlite3.DatabaseError`, `ValueError`, `TypeError`, `KeyError` or `IndexError` where the file is damaged.
        """
        text = self._db.execute("SELECT value FROM meta WHERE name = 'progress'").fetchone()
        if text is None:
            return None
        state = State(decode_progress(text[0]))
        for start, body in self._db.execute("SELECT start, body FROM slices"):
            users = self.slice_users([start]).get(start, {}) if start >= state.progress.merged else {}
            state.slices[start] = decode_slice(start, body, users)
        fill_parts(self._db, "parts", state, PARTS)
        return state

    def slice_users(self, starts: Iterable[int]) -> dict[int, dict[str, int]]:
        """Money units by user of the slices that begin at these times."""
        found: dict[int, dict[str, int]] = {}
        for start in starts:
            for (body,) in self._db.execute("SELECT body FROM slice_users WHERE start = ?", (start,)).fetchall():
                found[start] = json.loads(body)
        return found

    def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """What one of the functions that read the file brings."""
        return query(self._db, *arguments)


class Store(KeptState):
    """The state folder, open and locked. One thread at a time may use it.

    A damaged file is set aside beside the new one, which begins empty. Raises `StateError` where the folder cannot be
    made or written, belongs to a running process, or holds a file of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._closed = self._abandoned = False
        self._encoder = SliceEncoder()
        self.folder = folder
        self.path = folder / FILE_NAME
        self._lock = _lock(folder)
        # what cannot be listed is not ours
        with contextlib.suppress(OSError):
            tighten(folder, NAMES)
        try:
            super().__init__(self._open())
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def used_before(self) -> bool:
        """Whether an earlier state was set aside here, whose counters may have been exposed."""
        return any(self.set_aside)

    @property
    def set_aside(self) -> Iterator[Path]:
        """The damaged files in the folder."""
        return self.folder.glob(f"{FILE_NAME}.damaged-*")

    def close(self) -> None:
        """Release the file and the lock; a second time, or after `abandon`, does nothing."""
        if not self._abandoned:
            self.release()

    def abandon(self) -> None:
        """Leave closing to the thread that waits for the disk, or to the end of the process."""
        self._abandoned = True

    def release(self) -> None:
        """Close the file and release the lock, even after `abandon`; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        os.close(self._lock)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self) -> State | None:
        """The state as last committed; None where nothing was ever committed.

        A file whose values are not those of a state is damaged too: it is set aside, and None is returned.
        """
        try:
            return super().load()
        except (ValueError, TypeError, KeyError, IndexError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._db.close()
            self._set_aside(error)
            self._db = self._connect()
            return None

    def hours(self) -> StoredHours:
        """The hourly history. One that is damaged is dropped, and read from the log again: counters do not need it."""
        try:
            return self.read(hourly.load_totals, KnownHours.restored(self.meta(hourly.HOURLY)))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            log.warning("the hourly history in %s is damaged (%r): it is read again", self.path, error)
            with transaction(self._db) as db:
                hourly.empty(db)
            return NO_HOURS

    def past_spend(self) -> StoredPast:
        """What was spent in past stretches of budgets with a period; dropped, and read again, where it is damaged."""
        try:
            return StoredPast(str(self.meta(past_spend.PAST_SPEND) or ""), self.read(past_spend.load))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("the past spend of budgets in %s is damaged (%r): it is read again", self.path, error)
            with transaction(self._db) as db:
                past_spend.empty(db)
            return StoredPast()

    def commit(self, changes: Changes, meta: Mapping[str, Any] | None = None, shadow: ShadowWork | None = None) -> None:
        """Make the changes, values of `meta` and work on the shadow durable in one transaction.

        Raises `sqlite3.Error`.
        """
        try:
            self._write(changes, meta or {}, shadow)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NO_SPACE:
                raise
            # the journal may hold pages that still fit into the file: merging them frees its space
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._write(changes, meta or {}, shadow)

    def _write(self, changes: Changes, meta: Mapping[str, Any], shadow: ShadowWork | None) -> None:
        with transaction(self._db) as db:
            if shadow is not None:
                write_shadow(db, shadow)
            _write(db, changes, meta, self._encoder)

    def rename_users(self, pseudonyms: Pseudonyms, meta: Mapping[str, Any]) -> None:
        """Rename every user in the state, and commit values of `meta` with it, or raise `sqlite3.Error`."""
        with transaction(self._db) as db:
            for (start,) in db.execute("SELECT start FROM slice_users").fetchall():
                users = pseudonyms.sums(self.slice_users([start])[start])
                _put(db, "slice_users", start, dumps(users))
            hourly.rename_users(db, pseudonyms)
            past_spend.empty(db)
            state = State(_NOWHERE)
            fill_parts(db, "parts", state, _USER_PARTS)
            renamed = Changes(shown_users={pseudonyms.of(user): day for user, day in state.shown_users.items()})
            for (day, user), units in state.user_days.items():
                key = day, pseudonyms.of(user)
                renamed.user_days[key] = (renamed.user_days.get(key) or 0) + units
            db.execute("DELETE FROM parts WHERE part IN (?, ?)", _USER_PARTS)
            _write(db, renamed, meta, self._encoder)

    def purge(self) -> None:
        """Rebuild the file, so that nothing is left of what was deleted or replaced in it, or raise `sqlite3.Error`."""
        self._db.execute("VACUUM")
        busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError("another process reads it")

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StateError(f"state file {self.path}: {error}; make the folder writable, or free space") from None
            self._set_aside(error)
            return self._connect()

    def _set_aside(self, error: Exception) -> None:
        aside = self.path.with_name(f"{FILE_NAME}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        log.error(
            "state file %s is damaged (%s): set aside as %s; counters begin anew at zero", self.path, error, aside
        )
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        try:
            make_file(self.path)
        except OSError as error:
            raise sqlite3.OperationalError(f"{error.strerror}") from None
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=1.0)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit that was answered survives a power cut, not only a killed process
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA wal_autocheckpoint = {JOURNAL_PAGES}")
            db.execute(f"PRAGMA journal_size_limit = {JOURNAL_PAGES * _PAGE}")
            # overwrite what is deleted, so that user names leave no trace
            db.execute("PRAGMA secure_delete = ON")
            # rebuild the file without a temporary file elsewhere
            db.execute("PRAGMA temp_store = MEMORY")
            if (found := db.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
            found = _bring_up_to_date(db, self.path)
        except BaseException:
            db.close()
            raise
        if 0 < found < FORMAT:
            log.info("state file %s: migrated from format %d to %d", self.path, found, FORMAT)
        return db


def assert_exists(folder: Path) -> None:
    """Raise `StateError` where there is no such state folder."""
    if not folder.is_dir():
        raise StateError(f"no state folder {folder}: set it with --state-dir")


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[KeptState]:
    """The state of a folder as last committed, in memory; an exporter may be using the folder, which does not change.

    Raises `StateError` if the folder holds none that this version reads.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise StateError(f"state folder {folder} holds nothing yet: set it with --state-dir")
    try:
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            with contextlib.closing(read_only(path)) as kept:
                kept.backup(copy)
            _bring_up_to_date(copy, path)
            yield KeptState(copy)
    except (sqlite3.Error, ValueError, TypeError, KeyError, IndexError) as error:
        raise StateError(f"state file {path}: {error}; run this as the exporter's user, or see `check`") from None


def read_only(path: Path) -> sqlite3.Connection:
    """Open a state's file without creating or changing anything next to it."""
    # Without a journal beside it the file is read as it is: SQLite would else make one.
    has_journal = path.with_name(f"{FILE_NAME}-wal").exists()
    uri = f"{path.absolute().as_uri()}?{'mode=ro' if has_journal else 'mode=ro&immutable=1'}"
    return sqlite3.connect(uri, uri=True, timeout=2.0)


@contextlib.contextmanager
def peek(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """A look at the state as of one commit, beside the exporter that uses the folder; None where it holds no state.

    Needs no lock, changes nothing, and migrates nothing. Raises `sqlite3.Error`.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        yield None
        return
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
        db.execute("BEGIN")
        yield db


def _bring_up_to_date(db: sqlite3.Connection, path: Path) -> int:
    """Migrate the file, and return the format that it had.

    One of a newer format, or with figures of other classes or buckets, is refused.
    """
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    problem = None
    if not 0 <= found <= FORMAT:
        problem = f"has format {found}, this version reads {FORMAT}"
    try:
        with transaction(db):
            if problem is None and found:
                problem = layout_problem(kept_layout(db))
            if problem is None:
                migrate(db, found)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise sqlite3.DatabaseError(f"{type(error).__name__} in format {found}") from None
    if problem is not None:
        raise StateError(
            f"state file {path} {problem}: use the version of the exporter that wrote it, or another --state-dir"
        )
    return found


def _lock(folder: Path) -> int:
    """The descriptor of the folder's lock, which is made if need be. Raises `StateError`."""
    try:
        make_folder(folder)
        make_file(folder / LOCK_NAME)
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(
            f"state folder {folder}: {error.strerror}; name a writable one with --state-dir or state_dir"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StateError(
            f"state folder {folder} is in use by another process: stop it, or name another --state-dir"
        ) from None
    return lock


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process from using the folder. Raises `StateError`."""
    lock = _lock(folder)
    try:
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit everything that is done within it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _write(db: sqlite3.Connection, changes: Changes, meta: Mapping[str, Any], encoder: SliceEncoder) -> None:
    if changes.progress is not None:
        db.execute("REPLACE INTO meta VALUES ('progress', ?)", (encode_progress(changes.progress),))
    for name, value in meta.items():
        db.execute("REPLACE INTO meta VALUES (?, ?)", (name, dumps(value)))
    for part, keys in changes.ended.items():
        db.executemany("DELETE FROM parts WHERE part = ? AND key = ?", [(part, dumps(key)) for key in keys])
    for start, text in encoder.encode(changes.slices).items():
        _put(db, "slices", start, text)
    for start, users in changes.slice_users.items():
        _put(db, "slice_users", start, None if users is None else dumps(users))
    hourly.write(db, changes.hours)
    past_spend.write(db, changes.past_spend)
    write_parts(db, "parts", changes, PARTS)


def _put(db: sqlite3.Connection, table: str, start: int, body: str | None) -> None:
    if body is None:
        db.execute(f"DELETE FROM {table} WHERE start = ?", (start,))  # noqa: S608 -- one of two constants
    else:
        db.execute(f"REPLACE INTO {table} VALUES (?, ?)", (start, body))  # noqa: S608
