"""The parts of a state and of the shadow that are mappings: how they are kept, a row of JSON for each key."""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import astuple
from typing import Any, NamedTuple

from exporter.ledger.model import Admission, Candidate, Series, SkippedValue
from exporter.state.codec import decode_aggregate, dumps, encode_aggregate


class PartCodec(NamedTuple):
    """How a key and a value are made of JSON, and the JSON of a value; that of a key is the key as a list."""

    key: Callable[[Any], Any]
    value: Callable[[Any], Any]
    json: Callable[[Any], Any] = lambda value: value


def _series(key: Any) -> Series:
    return Series(*key)


PARTS = {
    "totals": PartCodec(_series, decode_aggregate, encode_aggregate),
    "corrections": PartCodec(_series, int),
    "skipped": PartCodec(lambda key: SkippedValue(*key), int),
    "days": PartCodec(lambda key: (key[0], _series(key[1])), int),
    "user_days": PartCodec(tuple, int),
    "group_days": PartCodec(tuple, int),
    "admitted": PartCodec(_series, lambda value: Admission(*value), astuple),
    "seen_operations": PartCodec(str, float),
    "seen_models": PartCodec(str, float),
    "succeeded_models": PartCodec(str, float),
    "shown_users": PartCodec(str, int),
    "shown_groups": PartCodec(str, int),
    "candidates": PartCodec(_series, lambda value: Candidate(*value)),
}
"""By the name of the field in `State`, and in `Shadow` where it has one."""


def fill_parts(db: sqlite3.Connection, table: str, target: Any, names: Iterable[str]) -> None:
    """Fill the parts of a state or shadow, by their names, from a table."""
    for name in names:
        part = PARTS[name]
        rows = db.execute(f"SELECT key, value FROM {table} WHERE part = ?", (name,))  # noqa: S608 -- one of two constants
        getattr(target, name).update((part.key(json.loads(key)), part.value(json.loads(value))) for key, value in rows)


def write_parts(db: sqlite3.Connection, table: str, source: Any, names: Iterable[str]) -> None:
    """Write the parts of changes, by their names, into a table; None removes a key."""
    for name in names:
        encode, values = PARTS[name].json, getattr(source, name)
        if not values:
            continue
        # made one by one: there may be a hundred thousand users
        gone = ((name, dumps(key)) for key, value in values.items() if value is None)
        kept = ((name, dumps(key), dumps(encode(value))) for key, value in values.items() if value is not None)
        db.executemany(f"DELETE FROM {table} WHERE part = ? AND key = ?", gone)  # noqa: S608 -- one of two constants
        db.executemany(f"REPLACE INTO {table} VALUES (?, ?, ?)", kept)  # noqa: S608
