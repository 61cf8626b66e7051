"""Check that clocks and time zones agree."""

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import Classification
from exporter.database.log_table import LogTable
from exporter.database.log_time import Moment, bounds, ends_of_time, instant
from exporter.database.replication import Replication
from exporter.findings import Finding, fail, ok, warn
from exporter.humanize import span_text
from exporter.ledger.calendar import DAY, HOUR, QUARTER_HOUR
from exporter.ledger.model import TimeRange
from exporter.preflight.context import CheckContext
from exporter.zones import find_zone

CLOCK, REPLICATION, TIME_ZONES = "clock", "replication", "time zones"

SKEW_WARN, SKEW_FAIL = 5.0, 60.0
"""Seconds. Counting follows the database's clock alone, so a skew loses nothing. But alerts compare times from the
database with Prometheus' clock. NTP never leaves 5 s. Beyond a minute, the shortest `for` of a rule, an alert on an age
is late or false."""

FUTURE = 60.0
"""Seconds that a row can be ahead of the database before the writer's clock or time zone is in doubt."""

_NEAR = 120.0  # seconds within which a distance counts as a zone's offset
_MOST_OFFSET = 14 * HOUR
_MOST_ROWS = 1000
_MONTH = 30 * DAY

_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
_AHEAD = sql.SQL("""
SELECT count(*) FROM (SELECT FROM {table} WHERE {time} > %(limit)s AND {time} < {end} LIMIT %(most)s) AS found
""")
_NEWEST = sql.SQL("""
SELECT {instant}::float8 FROM {table}
WHERE {time} < {end} AND {time} > {start} ORDER BY {time} DESC LIMIT 1
""")
_CONVERTED = re.compile(r"timezone\(|at time zone", re.IGNORECASE)


@dataclass(frozen=True)
class LogTimes:
    """The times in the log.

    `lead` is the seconds that the newest row is ahead of the database (None: no row), `ahead` the number of rows more
    than `FUTURE` ahead, `has_zone` whether the column has a time zone, `default` its default as SQL (None: none).
    """

    lead: float | None
    ahead: int
    has_zone: bool
    default: str | None = None


def check_clock(context: CheckContext) -> list[Finding]:
    """Check that this machine and the database agree on the time."""
    before = time.time()
    ((there,),) = context.session.run(_CLOCK)
    return [evaluate_clock(there, before, time.time())]


def evaluate_clock(there: float, before: float, after: float) -> Finding:
    """Evaluate the database's clock, read between two readings of ours; the time between them is no skew."""
    skew = min(there - before, 0.0) or max(there - after, 0.0)
    if abs(skew) <= SKEW_WARN:
        return ok(CLOCK, f"the database's clock and this machine's agree within {SKEW_WARN:g} s")
    side = "ahead of" if skew > 0 else "behind"
    detail = f"the database's clock is {span_text(abs(skew))} {side} this machine's"
    hint = "synchronize both with NTP: alerts compare the database's times with Prometheus' clock"
    return (fail if abs(skew) > SKEW_FAIL else warn)(CLOCK, detail, hint)


def check_replication(context: CheckContext) -> list[Finding]:
    """Check that the server is a primary, or a standby that keeps up with one."""
    return [evaluate_replication(context.session.replication, context.config.database.max_replica_lag)]


def evaluate_replication(replication: Replication, most: float) -> Finding:
    """Evaluate the server's role, if a lag of `most` seconds is accepted."""
    if not replication.standby:
        return ok(REPLICATION, "the server is a primary")
    if replication.lag is None:
        return warn(
            REPLICATION,
            "the server is a standby, and does not show its lag",
            "connect to the primary, or monitor the lag with the provider's tools",
        )
    if (problem := replication.problem(most)) is not None:
        detail, hint = problem
        now = "" if math.isinf(replication.lag) else f"; now {span_text(replication.lag)}"
        return fail(REPLICATION, f"{detail}{now}", hint)
    lag = f"{span_text(replication.lag)} behind its primary (accepted: {span_text(most)})"
    return ok(REPLICATION, f"the server is a standby, {lag}")


def check_time_zones(context: CheckContext) -> list[Finding]:
    """Check that the log's times are in the time zone of the configuration."""
    context.session.prove_visible(context.relation)
    times = _read_times(context)
    config, server_zone = context.config, context.server.time_zone
    return [
        evaluate_time_zones(times, context.session.clock, config.log_time_zone, config.budget_time_zone, server_zone)
    ]


def _read_times(context: CheckContext) -> LogTimes:
    log, clock, zone = context.log, context.session.clock, context.config.log_time_zone
    start, end = ends_of_time(log)
    place = {"table": log.source(), "time": log.column("time"), "start": start, "end": end}
    limit = _in_column(log, clock + FUTURE, zone, context.rules)
    ((ahead,),) = context.session.run(_AHEAD.format(**place), {"limit": limit, "most": _MOST_ROWS})
    newest = context.session.run(_NEWEST.format(instant=instant(log, context.rules), **place))
    lead = newest[0][0] - clock if newest else None
    return LogTimes(lead, ahead, log.has_zone, context.time_default)


def _in_column(log: LogTable, instant: float, zone: str, rules: Classification) -> Moment:
    if log.time_unit != "timestamp":
        return bounds(log, rules, TimeRange(0, math.ceil(instant)))[1]
    moment = datetime.fromtimestamp(instant, UTC)
    return moment if log.has_zone else moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def evaluate_time_zones(times: LogTimes, clock: float, log_zone: str, budget_zone: str, server_zone: str) -> Finding:
    """Evaluate whether the newest rows are in the future, or off by the difference between the time zones."""
    zones = f"days start at midnight in {budget_zone}; the server's time zone is {server_zone}"
    meaning = "the column has a time zone" if times.has_zone else f"the log's times are read as {log_zone}"
    if times.lead is None:
        return _evaluate_empty(times, log_zone, server_zone, f"{meaning}; {zones}; the log is empty", clock)
    if times.ahead:
        rows = f"{times.ahead} rows" if times.ahead < _MOST_ROWS else f"{_MOST_ROWS} rows or more"
        found = f"{rows} are in the future, the newest by {span_text(times.lead)}; {meaning}; {zones}"
        return warn(TIME_ZONES, found, _hint(times, clock, log_zone, server_zone))
    difference = _offset(server_zone, clock) - _offset(log_zone, clock)
    if not times.has_zone and difference < 0 and abs(times.lead - difference) < _NEAR:
        found = f"the newest row is {span_text(-times.lead)} old: the difference of the two time zones"
        return warn(TIME_ZONES, f"{found}; {meaning}; {zones}", _hint(times, clock, log_zone, server_zone))
    return ok(TIME_ZONES, f"{meaning}; {zones}; the newest row is {span_text(max(-times.lead, 0.0))} old")


def _evaluate_empty(times: LogTimes, log_zone: str, server_zone: str, detail: str, clock: float) -> Finding:
    """Evaluate an empty log by its default: `now()` in a column without a time zone is the server's local time."""
    converted = times.default is not None and _CONVERTED.search(times.default)
    if times.has_zone or converted or _same_all_year(log_zone, server_zone, clock):
        return ok(TIME_ZONES, detail)
    by_default = f" (the column's default is {times.default})" if times.default else ""
    return warn(
        TIME_ZONES,
        f"{detail}: now() writes local time in {server_zone} there{by_default}, which is read as {log_zone}",
        f"write {log_zone}, for example with the default now() AT TIME ZONE '{log_zone}'; "
        f"if local time is intended, set log_time_zone: {server_zone}",
    )


def _same_all_year(one: str, other: str, clock: float) -> bool:
    """Whether two time zones agree now and in every month of a year; False for one that only the server knows."""
    if one == other:
        return True
    zones = find_zone(one), find_zone(other)
    if None in zones:
        return False
    moments = [clock + month * _MONTH for month in range(13)]
    return all(len({datetime.fromtimestamp(at, zone).utcoffset() for zone in zones}) == 1 for at in moments)


def _hint(times: LogTimes, clock: float, log_zone: str, server_zone: str) -> str:
    lead = times.lead or 0.0
    wrong_clock = "synchronize the writer's clock with NTP; the rows are counted when their time comes"
    steps = round(lead / QUARTER_HOUR) * QUARTER_HOUR
    if times.has_zone or abs(lead - steps) >= _NEAR or not 0 < abs(steps) <= _MOST_OFFSET:
        return wrong_clock
    offset = steps + _offset(log_zone, clock)
    if _offset(server_zone, clock) == offset:
        return f"log_time_zone: {server_zone}"
    hours = f"{'-' if offset < 0 else '+'}{timedelta(seconds=abs(offset))}"[:-3]
    return f"set log_time_zone to the writer's time zone, which is now {hours} from UTC; or {wrong_clock}"


def _offset(zone: str, clock: float) -> int:
    """Seconds that a zone is ahead of UTC; 0 where only the server knows it."""
    offset = datetime.fromtimestamp(clock, find_zone(zone) or UTC).utcoffset()
    return int((offset or timedelta()).total_seconds())
