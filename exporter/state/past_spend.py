"""What users and groups spent in past stretches of budgets with a period, on disk: a row for each stretch."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.ledger.model import TimeRange, UserSpend
from exporter.state.codec import dumps

PAST_SPEND = "past_spend"
"""The name in `meta` of what tells by which settings the stretches were counted."""


@dataclass(frozen=True)
class StoredPast:
    """What the file has of past spend: by which settings it was counted, and the stretches."""

    key: str = ""
    spent: Mapping[TimeRange, UserSpend] = field(default_factory=dict)


def make_table(db: sqlite3.Connection) -> None:
    """The table, empty."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS past_spend (lo INTEGER, hi INTEGER, body TEXT NOT NULL, PRIMARY KEY (lo, hi))"
    )


def empty(db: sqlite3.Connection) -> None:
    """Forget all stretches: they are read from the log again."""
    db.execute("DELETE FROM past_spend")


def write(db: sqlite3.Connection, past: Mapping[TimeRange, UserSpend | None]) -> None:
    """Put stretches in the place of the same ones; None removes one."""
    for stretch, spent in past.items():
        if spent is None:
            db.execute("DELETE FROM past_spend WHERE lo = ? AND hi = ?", (stretch.lo, stretch.hi))
        else:
            body = dumps([spent.complete, spent.units, spent.groups])
            db.execute("REPLACE INTO past_spend VALUES (?, ?, ?)", (stretch.lo, stretch.hi, body))


def load(db: sqlite3.Connection) -> dict[TimeRange, UserSpend]:
    """All stretches. Raises as `KeptState.load` does where one is damaged."""
    found = {}
    for lo, hi, body in db.execute("SELECT lo, hi, body FROM past_spend ORDER BY lo, hi").fetchall():
        # the first versions of this table had no groups
        complete, units, *groups = json.loads(body)
        known = {str(name): int(spent) for name, spent in units.items()}
        found[TimeRange(lo, hi)] = UserSpend(known, bool(complete), *map(str, groups))
    return found
