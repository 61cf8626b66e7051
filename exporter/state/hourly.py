"""The hourly history on disk: a row for each hour, which memory holds only when somebody asks for it."""

import json
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from sys import intern
from typing import Any

from exporter.ledger.hourly import HourTotal, Known
from exporter.ledger.model import Hour, HourFigures, Series, UserSpend
from exporter.pseudonyms import Pseudonyms
from exporter.state.codec import dumps

HOURLY = "hourly"
"""The name in `meta` of `KnownHours`."""


@dataclass(frozen=True)
class KnownHours:
    """What is known of the history: by which settings it was counted, and for how many weeks it was asked for."""

    key: str
    weeks: int
    known: Known

    @classmethod
    def restored(cls, kept: Any) -> "KnownHours | None":
        """What `kept` holds. Raises as `KeptState.load` does where that is damaged."""
        if kept is None:
            return None
        known = Known(int(kept["lo"]), int(kept["hi"]), None if kept["oldest"] is None else int(kept["oldest"]))
        return cls(str(kept["key"]), int(kept["weeks"]), known)

    def as_kept(self) -> dict[str, Any]:
        """For `meta`."""
        return {"key": self.key, "weeks": self.weeks, **asdict(self.known)}


@dataclass(frozen=True)
class StoredHours:
    """What the file has of the history: what is known, the totals of all hours, and the `RECENT` last hours."""

    known: KnownHours | None
    totals: Mapping[int, HourTotal]
    recent: Mapping[int, Hour]


NO_HOURS = StoredHours(None, {}, {})

RECENT = 52
"""Hours that the ledger may still change, at most: its longest horizon and some."""


def make_table(db: sqlite3.Connection) -> None:
    """The table, empty."""
    db.execute(
        "CREATE TABLE IF NOT EXISTS hours (start INTEGER PRIMARY KEY, series TEXT NOT NULL, users TEXT NOT NULL)"
    )


def empty(db: sqlite3.Connection) -> None:
    """Forget the history."""
    db.execute("DELETE FROM hours")
    db.execute("DELETE FROM meta WHERE name = ?", (HOURLY,))


def write(db: sqlite3.Connection, hours: Mapping[int, Hour | None]) -> None:
    """Put hours in the place of those with the same start; None removes one."""
    if not hours:
        return
    db.executemany("DELETE FROM hours WHERE start = ?", ((start,) for start, hour in hours.items() if hour is None))
    db.executemany(
        "REPLACE INTO hours VALUES (?, ?, ?)",
        (
            (start, dumps(_nested(hour.cells)), dumps([hour.users.complete, hour.users.units]))
            for start, hour in hours.items()
            if hour is not None
        ),
    )


def load_totals(db: sqlite3.Connection, known: KnownHours | None) -> StoredHours:
    """What is needed to go on with the history: only the recent hours are in memory as a whole."""
    totals: dict[int, HourTotal] = {}
    recent: deque[Hour] = deque(maxlen=RECENT)
    for hour in each_hour(db):
        totals[hour.start] = HourTotal.of(hour)
        recent.append(hour)
    return StoredHours(known, totals, {hour.start: hour for hour in recent})


def each_hour(db: sqlite3.Connection) -> Iterator[Hour]:
    """All hours in order, one at a time in memory."""
    return (_decoded(*row) for row in db.execute("SELECT start, series, users FROM hours ORDER BY start"))


def hours_at(db: sqlite3.Connection, starts: Iterable[int]) -> dict[int, Hour]:
    """The hours that begin at these times; those that are not kept are left out."""
    found = {}
    for start in starts:
        for row in db.execute("SELECT start, series, users FROM hours WHERE start = ?", (start,)).fetchall():
            found[start] = _decoded(*row)
    return found


def cut_off(stored: StoredHours, until: int) -> tuple[dict[int, Hour | None], dict[str, Any] | None]:
    """What removes all hours from `until` on, and what `meta` has after that: nothing where no hour is left."""
    gone: dict[int, Hour | None] = {start: None for start in stored.totals if start >= until}
    if stored.known is None or stored.known.known.lo >= until:
        return gone, None
    known = replace(stored.known.known, hi=min(stored.known.known.hi, until))
    return gone, replace(stored.known, known=known).as_kept()


def rename_users(db: sqlite3.Connection, pseudonyms: Pseudonyms) -> None:
    """Give every user of the history the name that the pseudonyms have for them."""
    for start, users in db.execute("SELECT start, users FROM hours").fetchall():
        complete, units = json.loads(users)
        db.execute("UPDATE hours SET users = ? WHERE start = ?", (dumps([complete, pseudonyms.sums(units)]), start))


def _nested(cells: Mapping[Series, HourFigures]) -> dict[str, dict[str, HourFigures]]:
    nested: dict[str, dict[str, HourFigures]] = {}
    for (operation, model), figures in cells.items():
        nested.setdefault(operation, {})[model] = figures
    return nested


def _decoded(start: int, series: str, users: str) -> Hour:
    cells = {
        Series(intern(operation), intern(model)): HourFigures(*figures)
        for operation, models in json.loads(series).items()
        for model, figures in models.items()
    }
    complete, units = json.loads(users)
    # the same names come in each hour
    return Hour(start, cells, UserSpend({intern(user): spent for user, spent in units.items()}, complete))
