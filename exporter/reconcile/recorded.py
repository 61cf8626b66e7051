"""What the ledger has recorded, from its state folder: read beside a running exporter, and never changed."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from exporter.config import Config
from exporter.ledger.calendar import day_of, first_user_day
from exporter.ledger.model import Progress, State
from exporter.ledger.plan import first_day
from exporter.reconcile.comparison import Source
from exporter.reconcile.period import By, DayRange, day_name
from exporter.state.codec import decode_progress
from exporter.state.parts import fill_parts
from exporter.state.provenance import CLASSIFICATION
from exporter.state.store import peek

NAME = "recorded"
"""The name of this source."""


@dataclass(frozen=True)
class Recorded:
    """The sums by day that a state holds, and the settings that it was kept by."""

    state: State
    classification: Any


def read_recorded(config: Config) -> Recorded | str:
    """What the state folder holds, or why that cannot be told."""
    try:
        with peek(config.state_dir) as db:
            if db is None:
                return f"no state in {config.state_dir}: name the exporter's folder with --state-dir"
            meta = dict(db.execute("SELECT name, value FROM meta").fetchall())
            if "progress" not in meta:
                return f"the state in {config.state_dir} holds nothing yet"
            state = State(decode_progress(meta["progress"]))
            fill_parts(db, "parts", state, ("days", "user_days", "group_days"))
        return Recorded(state, json.loads(meta.get(CLASSIFICATION, "{}")))
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
        return f"the state in {config.state_dir} cannot be read: {error}"


def as_source(recorded: Recorded | str, by: By, period: DayRange) -> Source:
    """What was recorded of the period; without amounts where the state does not hold it."""
    if isinstance(recorded, str):
        return Source(NAME, note=recorded)
    if recorded.classification.get("budget_time_zone") != period.zone.key:
        zone = recorded.classification.get("budget_time_zone")
        return Source(NAME, note=f"days are recorded in the time zone {zone}")
    if by == "group" and not recorded.classification.get("log_columns", {}).get("group"):
        return Source(NAME, note="groups are not recorded: columns.log.group was not set")
    if not period.is_whole_days:
        return Source(NAME, note="whole days are recorded: --from and --to must be days")
    since = kept_since(recorded.state.progress, period.zone, by_user=by in ("user", "group"))
    if period.days.start < since:
        return Source(NAME, note=f"recorded are the days since {day_name(since)}: use a later --from")
    amounts: dict[str, int] = {}
    state = recorded.state
    pairs: Any = {"user": state.user_days, "group": state.group_days}.get(by, state.days)
    for (day, key), units in pairs.items():
        if day in period.days:
            label = {"user": key, "group": key, "day": day_name(day)}.get(by) or getattr(key, by)
            amounts[label] = amounts.get(label, 0) + units
    return Source(NAME, {label: units for label, units in amounts.items() if units})


def kept_since(progress: Progress, zone: ZoneInfo, *, by_user: bool) -> int:
    """The first day whose sums are kept and whole, by the exporter's own clock."""
    today = day_of(progress.now, zone)
    first = first_user_day(progress.now, zone) if by_user else first_day(today)
    return max(first, day_of(progress.began, zone))
