"""Copies of the state: one is taken while an exporter runs, and put in place while none does."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from exporter.state.codec import layout_problem
from exporter.state.hourly import HOURLY, KnownHours, each_hour
from exporter.state.migrations import FORMAT, kept_layout, migrate
from exporter.state.private import write_file
from exporter.state.store import FILE_NAME, KeptState, StateError, locked, read_only, transaction

_JOURNALS = ("-wal", "-shm")


def backup(folder: Path) -> bytes:
    """The state's file as of the last commit; an exporter may be writing to it. Raises `StateError`."""
    path = folder / FILE_NAME
    if not path.is_file():
        raise StateError(f"state folder {folder} holds nothing yet: set it with --state-dir")
    journal = path.with_name(f"{FILE_NAME}-wal")
    try:
        while True:
            is_used = journal.exists()
            with contextlib.closing(read_only(path)) as found:
                copy = _copied(found)
            # whoever began to use the file meanwhile may have changed it under the copy
            if is_used or not journal.exists():
                return copy
    except sqlite3.Error as error:
        raise StateError(f"state file {path}: {error}; run this as the exporter's user") from None


def restore(folder: Path, copy: bytes, *, replace: bool = False) -> None:
    """Make a copy of a state the folder's state, all of it or nothing; no exporter may use the folder.

    Raises `StateError` for what is no copy that this version reads, and, unless `replace`, if the folder holds a state.
    """
    path, new = folder / FILE_NAME, folder / f"{FILE_NAME}.restored"
    with locked(folder):
        if path.exists() and not replace:
            raise StateError(f"state folder {folder} holds a state: back it up, then use --replace")
        try:
            write_file(new, copy)
            _check(new)
            _take_in_journal(path)
            # what is left of a journal belongs to the file that is replaced
            for suffix in _JOURNALS:
                path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
            new.replace(path)
            _sync(folder)
        except OSError as error:
            raise StateError(f"state folder {folder}: {error.strerror}; the state there is as before") from None
        finally:
            new.unlink(missing_ok=True)


def _take_in_journal(path: Path) -> None:
    """Write to a file what its journal holds: the journal has to go first, and the file may have to stay after all."""
    # a damaged state is one that people replace
    with contextlib.suppress(sqlite3.Error):
        if path.exists():
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copied(found: sqlite3.Connection) -> bytes:
    """A copy that needs no journal beside it."""
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        found.backup(memory)
        return memory.serialize()


def _check(path: Path) -> None:
    with _read(path) as db:
        number = db.execute("PRAGMA user_version").fetchone()[0]
        if not 0 < number <= FORMAT:
            raise StateError(
                f"the copy has format {number}, this version reads {FORMAT}: use the version that wrote it"
            )
        if problem := layout_problem(kept_layout(db)):
            raise StateError(f"the copy {problem}: use the version that wrote it")
        if not db.execute("SELECT 1 FROM meta WHERE name = 'progress'").fetchall():
            raise StateError("the copy holds nothing yet")
        _load_all(db, number)


def _load_all(db: sqlite3.Connection, number: int) -> None:
    """Load a file of a format as an exporter would, which leaves it as it is: its pages may be whole, its values not.

    Raises what `_read` knows.
    """
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        db.backup(memory)
        with transaction(memory):
            migrate(memory, number)
        kept = KeptState(memory)
        kept.load()
        for (name,) in memory.execute("SELECT name FROM meta").fetchall():
            kept.meta(name)
        kept.slice_users([start for (start,) in memory.execute("SELECT start FROM slice_users").fetchall()])
        KnownHours.restored(kept.meta(HOURLY))
        for _ in kept.read(each_hour):
            pass


@contextlib.contextmanager
def _read(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, which is whole. Raises `StateError` if it is not, or is no database."""
    try:
        # immutable: it makes no journal
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as db:
            if (found := db.execute("PRAGMA quick_check").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
            yield db
    except (sqlite3.Error, ValueError, TypeError, KeyError, IndexError) as error:
        raise StateError(f"the copy is damaged, or no copy of a state: {error}; choose another copy") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
