"""Check that calls do not take longer than the open window: a row that comes later is not seen by the next scrape."""

import math
import re

from psycopg import sql

from exporter.config import UPPER_BOUNDS
from exporter.database import values
from exporter.findings import Finding, ok, warn
from exporter.humanize import span_text
from exporter.ledger.calendar import HOUR, MINUTE
from exporter.preflight.context import CheckContext
from exporter.preflight.recent_activity import unread

LONG_CALLS = "long calls"

_IN_PROGRESS = {"pending", "running"}
_DATED_NOW = re.compile(
    r"\bnow\(|current_timestamp|localtimestamp|(clock|statement|transaction)_timestamp", re.IGNORECASE
)

_TAKEN = sql.SQL("""
SELECT count(taken), count(*) FILTER (WHERE taken > {window}), max(taken)
FROM (SELECT {taken} AS taken FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s) AS calls
""")


def check_long_calls(context: CheckContext) -> list[Finding]:
    """Check how long the calls of the last day took beside the open window."""
    log, window = context.log, context.config.open_window_seconds
    if "latency" not in log.columns:
        return [ok(LONG_CALLS, "the log has no latency, so it cannot be told how long calls take")]
    context.session.prove_visible(context.relation)
    statement = _TAKEN.format(
        window=sql.Literal(1000 * window),
        taken=values.usable(log.number("latency"), sql.Literal(UPPER_BOUNDS["latency"])),
        table=log.source(),
        time=log.column("time"),
    )
    found = context.in_a_day(statement)
    if found is None:
        return [unread(LONG_CALLS)]
    reach, calls, longer, milliseconds = found
    longest = float(milliseconds or 0) / 1000
    within = f"of the last {span_text(reach)}"
    if not longer:
        took = f", and the longest took {longest:.1f} s" if calls else ""
        return [ok(LONG_CALLS, f"{calls} calls {within} have a latency{took}: open_window is {span_text(window)}")]
    detail = (
        f"{longer} of {calls} calls {within} took longer than open_window ({span_text(window)}), "
        f"the longest {span_text(longest)}"
    )
    if _dated_when_written(context):
        return [ok(LONG_CALLS, f"{detail}; their rows get their time when they are written")]
    minutes = min(HOUR // MINUTE, math.ceil(longest / MINUTE) + 1)
    later = "two minutes" if longest < HOUR else "fifteen minutes"
    return [
        warn(
            LONG_CALLS,
            f"{detail}: if a row has the time at which its call began, such a call shows up to {later} late",
            f"if that is too late: open_window: {minutes}m",
        )
    ]


def _dated_when_written(context: CheckContext) -> bool:
    """Whether a row most likely has the time at which it was written, and was written when its call had ended."""
    log, default = context.log, context.time_default
    if context.config.source != "helix" or default is None or _DATED_NOW.search(default) is None:
        return False
    return not (log.has_status and _IN_PROGRESS & set(log.outcomes.values()))
