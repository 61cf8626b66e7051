"""Check that calls do not take longer than the open window: a row that comes later is not seen by the next scrape."""

import math
import re
from dataclasses import dataclass

from psycopg import sql

from exporter.config import UPPER_BOUNDS
from exporter.database import values
from exporter.database.log_table import LogTable
from exporter.findings import Finding, ok, warn
from exporter.humanize import span_text
from exporter.ledger.calendar import HOUR, MINUTE
from exporter.preflight.context import CheckContext
from exporter.preflight.recent_activity import read_a_day, unread

LONG_CALLS = "long calls"

_IN_PROGRESS = {"pending", "running"}
_DATED_NOW = re.compile(
    r"\bnow\(|current_timestamp|localtimestamp|(clock|statement|transaction)_timestamp", re.IGNORECASE
)

_TAKEN = sql.SQL("""
SELECT count(taken), count(*) FILTER (WHERE taken > {window}), max(taken)
FROM (SELECT {taken} AS taken FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s) AS calls
""")


@dataclass(frozen=True)
class Taken:
    """Of the last `reach` seconds the calls with a latency, those that took `longer` than the open window, and the
    `longest` in seconds (0: no calls).
    """

    reach: int
    calls: int
    longer: int
    longest: float


def check_long_calls(context: CheckContext) -> list[Finding]:
    """Check how long the calls of the last day took."""
    log = context.log
    if "latency" not in log.columns:
        return [ok(LONG_CALLS, "the log has no latency, so it cannot be told how long calls take")]
    context.session.prove_visible(context.relation)
    window = context.config.open_window_seconds
    found = read_a_day(context.session, lambda age: _read(context, age, window))
    if found is None:
        return [unread(LONG_CALLS)]
    return [evaluate_long_calls(found, window, dated_when_written=_dated_when_written(context))]


def evaluate_long_calls(found: Taken, window: float, *, dated_when_written: bool) -> Finding:
    """Evaluate how long calls took beside the open window of so many seconds."""
    within = f"of the last {span_text(found.reach)}"
    if not found.longer:
        longest = f", and the longest took {found.longest:.1f} s" if found.calls else ""
        return ok(
            LONG_CALLS, f"{found.calls} calls {within} have a latency{longest}: open_window is {span_text(window)}"
        )
    detail = (
        f"{found.longer} of {found.calls} calls {within} took longer than open_window ({span_text(window)}), "
        f"the longest {span_text(found.longest)}"
    )
    if dated_when_written:
        return ok(LONG_CALLS, f"{detail}; their rows get their time when they are written")
    minutes = min(HOUR // MINUTE, math.ceil(found.longest / MINUTE) + 1)
    later = "two minutes" if found.longest < HOUR else "fifteen minutes"
    return warn(
        LONG_CALLS,
        f"{detail}: if a row has the time at which its call began, such a call shows up to {later} late",
        f"if that is too late: open_window: {minutes}m",
    )


def _dated_when_written(context: CheckContext) -> bool:
    """Whether a row most likely has the time at which it was written, and was written when its call had ended."""
    log, default = context.log, context.time_default
    if context.config.source != "helix" or default is None or _DATED_NOW.search(default) is None:
        return False
    return not (log.has_status and _IN_PROGRESS & set(log.outcomes.values()))


def _read(context: CheckContext, age: int, window: float) -> Taken:
    ((calls, longer, longest),) = context.session.run(_taken(context.log, window), context.last(age))
    return Taken(age, calls, longer, float(longest or 0) / 1000)


def _taken(log: LogTable, window: float) -> sql.Composed:
    return _TAKEN.format(
        window=sql.Literal(1000 * window),
        taken=values.usable(log.number("latency"), sql.Literal(UPPER_BOUNDS["latency"])),
        table=log.source(),
        time=log.column("time"),
    )
