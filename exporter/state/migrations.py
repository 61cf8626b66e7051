"""The format of the state's file, and how an older file is migrated: in one transaction, or not at all."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from exporter.state import hourly, past_spend
from exporter.state.codec import FIRST_LAYOUT, LAYOUT, Sparse, carry_over, dumps
from exporter.state.shadow import empty, make_tables

LAYOUT_NAME = "layout"
"""The name in `meta` of what the figures in the file mean."""


NEXT_NAME = "next"
"""The name in `meta` of how far changed settings have been applied."""


def _tables(db: sqlite3.Connection) -> None:
    """Format 1, of version 0.1."""
    db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    db.execute("CREATE TABLE slices (start INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    db.execute("CREATE TABLE slice_users (start INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    db.execute("CREATE TABLE parts (part TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (part, key)) WITHOUT ROWID")


def _hidden_users(_: sqlite3.Connection) -> None:
    """Format 2: users may be kept under keyed hashes, which version 0.1 would take for ids."""


def _groups_and_past_spend(db: sqlite3.Connection) -> None:
    """Format 5: groups may be kept among users, for whom earlier versions would take them; and the past spend."""
    past_spend.make_table(db)


STEPS: Sequence[Callable[[sqlite3.Connection], None]] = (
    _tables,
    _hidden_users,
    make_tables,
    hourly.make_table,
    _groups_and_past_spend,
)
"""Step n migrates a file from format n to n + 1. Add new steps at the end, and never change a released one."""

FORMAT = len(STEPS)
"""The version of the file's tables. A newer file is refused."""


def migrate(db: sqlite3.Connection, found: int) -> None:
    """Migrate a file of format `found` (0: a new file) and of an older layout, within a transaction.

    Check the file's layout first (`layout_problem`).
    """
    # do not write to a file that is up to date: the exporter must also start on a full disk
    if found < FORMAT:
        for step in STEPS[found:]:
            step(db)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    if found and (kept := kept_layout(db)) != LAYOUT:
        _carry_over(db, carry_over(kept))
    if _named_layout(db) != LAYOUT:
        db.execute("REPLACE INTO meta VALUES (?, ?)", (LAYOUT_NAME, dumps(LAYOUT)))


def kept_layout(db: sqlite3.Connection) -> Any:
    """What the figures in the file mean. The first files of format 1 do not say, and have the first layout."""
    named = _named_layout(db)
    return FIRST_LAYOUT if named is None else named


def _named_layout(db: sqlite3.Connection) -> Any:
    row = db.execute("SELECT value FROM meta WHERE name = ?", (LAYOUT_NAME,)).fetchone()
    return None if row is None else json.loads(row[0])


def _carry_over(db: sqlite3.Connection, moved: Callable[[Sparse], Sparse]) -> None:
    """Move the figures of every aggregate in the file to where this version has them.

    What changed settings make of the rows so far is forgotten: they are applied from the beginning.
    """
    empty(db)
    db.execute("DELETE FROM meta WHERE name = ?", (NEXT_NAME,))
    for start, body in db.execute("SELECT start, body FROM slices").fetchall():
        item = json.loads(body)
        item["cells"] = [
            [operation, model, moved(current), moved(high_water)]
            for operation, model, current, high_water in item["cells"]
        ]
        db.execute("UPDATE slices SET body = ? WHERE start = ?", (dumps(item), start))
    for key, value in db.execute("SELECT key, value FROM parts WHERE part = 'totals'").fetchall():
        db.execute(
            "UPDATE parts SET value = ? WHERE part = 'totals' AND key = ?", (dumps(moved(json.loads(value))), key)
        )
