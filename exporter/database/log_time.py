"""When a call was: the time column as an instant, and spans of time in its own terms."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import Classification
from exporter.config.columns import TimeUnit
from exporter.database.log_table import LogTable
from exporter.database.names import identifier
from exporter.ledger.model import TimeRange

_ZONE_MARGIN = timedelta(hours=3)  # more than any zone's clock is ever moved at once

PER_SECOND: Mapping[TimeUnit, int] = {"s": 1, "ms": 1000, "us": 1_000_000}
"""How many of a unit make a second."""

FAR = 10**11
"""Seconds since the epoch that no call has: a time of another unit than the configuration says."""

Moment = datetime | int
"""A moment in the time column's own terms."""


def bounds(log: LogTable, classification: Classification, span: TimeRange) -> tuple[Moment, Moment]:
    """The span in the time column's own terms, so that its index serves; a zone with gaps and folds gets a margin."""
    if log.time_unit in PER_SECOND:
        return span.lo * PER_SECOND[log.time_unit], span.hi * PER_SECOND[log.time_unit]
    lo, hi = (datetime.fromtimestamp(second, UTC) for second in (span.lo, span.hi))
    if log.has_zone:
        return lo, hi
    if is_utc(log, classification):
        return lo.replace(tzinfo=None), hi.replace(tzinfo=None)
    zone = ZoneInfo(classification.log_time_zone)
    return (
        lo.astimezone(zone).replace(tzinfo=None) - _ZONE_MARGIN,
        hi.astimezone(zone).replace(tzinfo=None) + _ZONE_MARGIN,
    )


def span_bounds(log: LogTable, classification: Classification, span: TimeRange) -> dict[str, Any]:
    """The parameters that choose a span's rows: `from` and `until` by the column's index, `lo` and `hi` exactly."""
    lower, upper = bounds(log, classification, span)
    return {"from": lower, "until": upper, "lo": span.lo, "hi": span.hi}


def is_utc(log: LogTable, classification: Classification) -> bool:
    """Whether the time column tells an instant without a zone's gaps and folds."""
    return log.has_zone or classification.log_time_zone == "UTC"


def _zoned(log: LogTable, classification: Classification) -> sql.Composable:
    if is_utc(log, classification):
        return log.column("time")
    return sql.SQL("{} AT TIME ZONE {}").format(log.column("time"), sql.Literal(classification.log_time_zone))


def instant(log: LogTable, classification: Classification) -> sql.Composed:
    """The row's time in seconds since the epoch, as NUMERIC."""
    if log.time_unit in PER_SECOND:
        return sql.SQL("({} / {}::numeric)").format(log.column("time"), sql.Literal(PER_SECOND[log.time_unit]))
    return sql.SQL("extract(epoch FROM {})").format(_zoned(log, classification))


def epoch_seconds(log: LogTable, classification: Classification) -> sql.Composed:
    """As `instant`, as a float, which is quicker: in this century it tells microseconds apart."""
    if log.time_unit in PER_SECOND:
        return sql.SQL("({}::float8 / {})").format(log.column("time"), sql.Literal(PER_SECOND[log.time_unit]))
    return sql.SQL("date_part('epoch', {})").format(_zoned(log, classification))


_FIRST = sql.SQL("""
SELECT {instant} AS at FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s ORDER BY {time} LIMIT 1
""")


def first_query(log: LogTable, classification: Classification, span: TimeRange) -> tuple[sql.Composed, dict[str, Any]]:
    """A query for the time of the first row of a span in seconds since the epoch, and its parameters.

    In a zone with gaps and folds the row may lie up to three hours before the span, or after it.
    """
    statement = _FIRST.format(
        instant=instant(log, classification), table=identifier(*log.relation.name.parts), time=log.column("time")
    )
    return statement, span_bounds(log, classification, span)


_UNDATED = sql.SQL("""
SELECT (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} IS NULL LIMIT {most}) AS found),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} {after} LIMIT {most}) AS found),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} {before} LIMIT {most}) AS found)
""")


def undated_query(log: LogTable, most: int) -> sql.Composed:
    """A query for the rows with a NULL, infinite and minus infinite time: a count of each, `most` at most."""
    first, last = ends_of_time(log)
    after, before = ("= {}", "= {}") if log.time_unit == "timestamp" else (">= {}", "<= {}")
    return _UNDATED.format(
        table=log.source(),
        time=log.column("time"),
        most=sql.Literal(most),
        after=sql.SQL(after).format(last),
        before=sql.SQL(before).format(first),
    )


def ends_of_time(log: LogTable) -> tuple[sql.Literal, sql.Literal]:
    """What lies before and after all times that can be meant, in the time column's own terms."""
    if log.time_unit in PER_SECOND:
        far = FAR * PER_SECOND[log.time_unit]
        return sql.Literal(-far), sql.Literal(far)
    return sql.Literal("-infinity"), sql.Literal("infinity")
