"""The shadow on disk: what changed settings make of the rows so far, in tables of its own beside the state's."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.ledger.model import Slice
from exporter.ledger.shadow import Shadow
from exporter.state.codec import decode_slice, dumps, encode_slice
from exporter.state.parts import fill_parts, write_parts

TABLES = ("next_slices", "next_slice_users", "next_parts")

_PARTS = ("days", "admitted", "candidates", "seen_operations", "seen_models", "succeeded_models")


@dataclass
class ShadowWork:
    """What a commit does to the shadow: empty it if `reset`, put changed parts in their place, and then, at the switch,
    let the users of its slices from `taken_over_since` on be the state's, and empty it.
    """

    changed: Shadow = field(default_factory=Shadow)
    reset: bool = False
    taken_over_since: int | None = None

    def follow(self, later: "ShadowWork") -> None:
        """Add what is to be done after it."""
        if later.reset:
            self.changed, self.reset, self.taken_over_since = Shadow(), True, None
        self.changed.update(later.changed)
        self.taken_over_since = later.taken_over_since


def write_shadow(db: sqlite3.Connection, work: ShadowWork) -> None:
    """Do the work on the tables, before the state's own changes are written."""
    if work.reset:
        empty(db)
    slices = ((start, encode_slice(item)) for start, item in work.changed.slices.items())
    users = ((start, dumps(units)) for start, units in work.changed.users.items())
    db.executemany("REPLACE INTO next_slices VALUES (?, ?)", slices)
    db.executemany("REPLACE INTO next_slice_users VALUES (?, ?)", users)
    write_parts(db, "next_parts", work.changed, _PARTS)
    if work.taken_over_since is not None:
        db.execute("DELETE FROM slice_users")
        db.execute(
            "INSERT INTO slice_users SELECT start, body FROM next_slice_users WHERE start >= ?",
            (work.taken_over_since,),
        )
        empty(db)


def make_tables(db: sqlite3.Connection) -> None:
    """The tables, empty."""
    db.execute("CREATE TABLE IF NOT EXISTS next_slices (start INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    db.execute("CREATE TABLE IF NOT EXISTS next_slice_users (start INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    db.execute(
        "CREATE TABLE IF NOT EXISTS next_parts"
        " (part TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (part, key)) WITHOUT ROWID"
    )


def empty(db: sqlite3.Connection) -> None:
    """Forget the shadow."""
    for table in TABLES:
        db.execute(f"DELETE FROM {table}")  # noqa: S608 -- one of three constants


def load_parts(db: sqlite3.Connection) -> Shadow:
    """All of the shadow but for its slices and their users."""
    shadow = Shadow()
    fill_parts(db, "next_parts", shadow, _PARTS)
    return shadow


def starts_of(db: sqlite3.Connection, table: str) -> list[int]:
    """Where the slices, or the users, of the shadow begin."""
    return [start for (start,) in db.execute(f"SELECT start FROM {table} ORDER BY start")]  # noqa: S608


def load_slices(db: sqlite3.Connection, starts: Iterable[int]) -> dict[int, Slice]:
    """The slices that begin at these times, without users."""
    found = _rows(db, "SELECT start, body FROM next_slices WHERE start = ?", starts)
    return {start: decode_slice(start, body, {}) for start, body in found}


def load_users(db: sqlite3.Connection, starts: Iterable[int]) -> dict[int, Mapping[str, int]]:
    """Money units by user at these starts."""
    found = _rows(db, "SELECT start, body FROM next_slice_users WHERE start = ?", starts)
    return {start: json.loads(body) for start, body in found}


def _rows(db: sqlite3.Connection, query: str, starts: Iterable[int]) -> Iterator[tuple[int, str]]:
    for start in starts:
        yield from db.execute(query, (start,))
