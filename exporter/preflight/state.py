"""Check the state folder, without creating or changing anything in it."""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from exporter.database.session import Identity
from exporter.findings import Finding, fail, ok, warn
from exporter.state.codec import layout_problem
from exporter.state.migrations import FORMAT, LAYOUT_NAME
from exporter.state.private import readable_by_others, writable_by_others
from exporter.state.provenance import IDENTITY, in_words
from exporter.state.store import FILE_NAME, LOCK_NAME, NAMES, read_only

STATE = "state folder"
PRIVACY = "state access"
_NAME_ANOTHER = "choose another one with --state-dir or state_dir"


def check_state(folder: Path, identity: Identity | None) -> Finding:
    """Check that the exporter can keep its state there, and that an existing state belongs to this database.

    `identity` is None if the log could not be read.
    """
    try:
        return _check_folder(folder, identity)
    except OSError as error:
        return fail(STATE, f"{folder}: {error.strerror}", f"make it readable and writable, or {_NAME_ANOTHER}")


def _check_folder(folder: Path, identity: Identity | None) -> Finding:
    if not folder.exists():
        return _check_absent(folder)
    if not folder.is_dir():
        return fail(STATE, f"{folder} is not a folder", _NAME_ANOTHER)
    if not _is_writable(folder):
        return fail(STATE, f"this user cannot write {folder}", f"make this user its owner, or {_NAME_ANOTHER}")
    file = folder / FILE_NAME
    used = _is_locked(folder / LOCK_NAME)
    if not file.exists():
        return ok(STATE, f"{folder} is writable, and holds no state yet{_by(used)}")
    if not os.access(file, os.R_OK | os.W_OK):
        return fail(STATE, f"this user cannot write {file}", f"make this user its owner, or {_NAME_ANOTHER}")
    return _check_file(file, identity, used=used)


def check_privacy(folder: Path) -> Finding:
    """Check that only its owner can read or replace the state."""
    try:
        if not folder.is_dir():
            return ok(PRIVACY, "the exporter will close it to other users")
        if writable_by_others(folder):
            hint = f"chmod o-w {folder}, or make the exporter's user its owner, and the exporter closes it"
            return warn(PRIVACY, f"every user of this machine can write {folder}", hint)
        if readable := readable_by_others(folder, NAMES):
            names = " ".join(map(str, readable))
            return warn(
                PRIVACY, f"users other than the owner can read {names}", f"start the exporter, or: chmod 600 {names}"
            )
    except OSError as error:
        return warn(PRIVACY, f"{folder}: {error.strerror}", "make the folder readable for this user")
    return ok(PRIVACY, "closed to other users")


def _check_absent(folder: Path) -> Finding:
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if parent.is_dir() and _is_writable(parent):
        return ok(STATE, f"the exporter will create {folder} in {parent}")
    hint = f"create it for this user (install -d -o USER {folder}), or {_NAME_ANOTHER}"
    return fail(STATE, f"{folder} does not exist, and this user cannot create it in {parent}", hint)


def _check_file(file: Path, identity: Identity | None, *, used: bool) -> Finding:
    try:
        found = _read(file)
    except (sqlite3.Error, ValueError, TypeError):
        return fail(
            STATE,
            f"{file} is damaged, or is not a state file",
            "restore it from a backup; otherwise the exporter sets it aside, and all counters restart at zero",
        )
    if not 0 <= found.format <= FORMAT:
        return fail(
            STATE,
            f"{file} has format {found.format}, and this version reads {FORMAT}",
            f"use the version of the exporter that wrote it, or {_NAME_ANOTHER}",
        )
    if found.problem is not None:
        return fail(
            STATE, f"{file} {found.problem}", f"use the version of the exporter that wrote it, or {_NAME_ANOTHER}"
        )
    if found.closed_until > time.time():
        closed = datetime.fromtimestamp(found.closed_until, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return fail(
            STATE,
            f"{file.parent} was closed by a clock that was ahead: rows dated before {closed} are not counted",
            "stop the exporter, and run: ai-operation-exporter state rewind",
        )
    return evaluate_identity(file.parent, found.identity, identity, used=used)


def evaluate_identity(folder: Path, known: Identity | None, found: Identity | None, *, used: bool) -> Finding:
    """Evaluate whether the state belongs to the table that was found."""
    if known is None:
        return ok(STATE, f"{folder} is writable, and holds no state yet{_by(used)}")
    if found is None:
        return warn(
            STATE,
            f"{folder} holds a state{_by(used)}; not compared with the database, which could not be read",
            "fix what failed above, then check again",
        )
    if known.is_same(found):
        return ok(STATE, f"{folder} holds the state of this table{_by(used)}")
    return fail(
        STATE,
        f"{folder} belongs to {in_words(known)}, and this is {in_words(found)}",
        f"connect to the former, {_NAME_ANOTHER}, or adopt it: ai-operation-exporter state adopt",
    )


class _StateFile(NamedTuple):
    """What a state file says of itself.

    `problem` is why its figures cannot be read; None where they can. Rows dated before `closed_until`, in seconds since
    the epoch, are not counted any more.
    """

    format: int
    identity: Identity | None = None
    problem: str | None = None
    closed_until: int = 0


def _read(file: Path) -> _StateFile:
    with contextlib.closing(read_only(file)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if not 0 < version <= FORMAT:
            return _StateFile(version)
        meta: dict[str, Any] = {name: json.loads(value) for name, value in db.execute("SELECT name, value FROM meta")}
    known, layout = meta.get(IDENTITY), meta.get(LAYOUT_NAME)
    problem = None if layout is None else layout_problem(layout)
    closed_until = int(meta.get("progress", {}).get("folded", 0))
    return _StateFile(version, None if known is None else Identity(**known), problem, closed_until)


def _is_locked(lock: Path) -> bool:
    """Whether a running exporter holds the folder."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A shared one, given back at once.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _by(used: bool) -> str:
    return "; in use by a running exporter" if used else ""
