"""A cheap query on the log: a few sums of each slice, to find slices that no longer hold what the ledger has read."""

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg import sql

from exporter.config import Classification
from exporter.database.columns import INTEGERS
from exporter.database.log_query import LogTable, bounds, final_and_failed, instant
from exporter.database.names import identifier
from exporter.database.session import Session
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import TimeRange
from exporter.ledger.probing import Sums

_SCALE = re.compile(r"numeric\(\d+,(\d+)\)")
_KEPT_DECIMALS = 12

_MARGIN = 10800  # seconds; more than any zone ever shifts its clock at once

# One range scan of the time index for each slice, and nothing per row but the sums: no arithmetic on times, no groups.
# Values are accepted by the same rules as in `span_query`: otherwise a probe would find a difference forever.
_STATEMENT = sql.SQL("""
SELECT probed.lo, sums.*
FROM {slices}
CROSS JOIN LATERAL (
  SELECT count(*), count(*) FILTER (WHERE {final}), count(*) FILTER (WHERE {failed}),
         sum({cost}), sum({input_tokens}), sum({output_tokens}), {latency}
  FROM {table}
  WHERE {time} >= probed.since AND {time} < probed.until AND {within}
) AS sums
""")

_BY_COLUMN = sql.SQL(
    "unnest(%(lo)s::bigint[], %(hi)s::bigint[], %(since)s::{type}[], %(until)s::{type}[])"
    " AS probed (lo, hi, since, until)"
)

# The local times that can mean an instant of the slice, by each offset that the zone has near it.
_BY_ZONE = sql.SQL("""(
  SELECT lo, hi, to_timestamp(lo) AT TIME ZONE 'UTC' + min(shift) AS since,
         to_timestamp(hi) AT TIME ZONE 'UTC' + max(shift) AS until
  FROM unnest(%(lo)s::bigint[], %(hi)s::bigint[]) AS slice (lo, hi)
  CROSS JOIN LATERAL (
    SELECT to_timestamp(moment) AT TIME ZONE {zone} - to_timestamp(moment) AT TIME ZONE 'UTC' AS shift
    FROM (VALUES (lo - {margin}), (lo), (hi), (hi + {margin})) AS near (moment)
  ) AS shifts
  GROUP BY lo, hi
) AS probed""")


def probe_query(
    log: LogTable, classification: Classification, spans: Sequence[TimeRange]
) -> tuple[sql.Composed, dict[str, Any]]:
    """The query for the sums of some spans, and its parameters.

    Columns of the result: 0 the span's start, 1 rows, 2 calls, 3 failed calls, 4 cost in USD, 5 and 6 tokens, 7 latency
    in microseconds; a sum is NULL where no row has a value.
    """
    zoned = not log.has_zone and classification.log_time_zone != "UTC"
    final, failed = final_and_failed(log)
    time_type = sql.SQL("timestamptz" if log.has_zone else "timestamp")
    statement = _STATEMENT.format(
        slices=_zone_slices(classification) if zoned else _BY_COLUMN.format(type=time_type),
        within=sql.SQL("{0} >= probed.lo AND {0} < probed.hi").format(instant(log, classification))
        if zoned
        else sql.SQL("true"),
        table=identifier(*log.relation.name.parts),
        time=log.column("time"),
        final=final,
        failed=failed,
        cost=_usd(log),
        input_tokens=_usable(log, "input_tokens"),
        output_tokens=_usable(log, "output_tokens"),
        latency=_microseconds(log, final),
    )
    limits: list[tuple[datetime, datetime]] = [] if zoned else [bounds(log, classification, span) for span in spans]
    return statement, {
        "lo": [span.lo for span in spans],
        "hi": [span.hi for span in spans],
        "since": [since for since, _ in limits],
        "until": [until for _, until in limits],
        **{f"most_{measure}": most for measure, most in classification.bounds.items()},
    }


def read_sums(
    session: Session, log: LogTable, classification: Classification, spans: Sequence[TimeRange]
) -> dict[TimeRange, Sums]:
    """What the rows of each span add up to; spans must not begin at the same moment."""
    if not spans:
        return {}
    found = {row[0]: row[1:] for row in session.run(*probe_query(log, classification, spans))}
    return {
        span: Sums(
            rows, calls, failures, money_units(Decimal(cost or 0)), int(read or 0), int(written or 0), int(latency or 0)
        )
        for span in spans
        for rows, calls, failures, cost, read, written, latency in [found[span.lo]]
    }


def _zone_slices(classification: Classification) -> sql.Composed:
    return _BY_ZONE.format(zone=sql.Literal(classification.log_time_zone), margin=sql.Literal(_MARGIN))


def _is_integer(log: LogTable, measure: str) -> bool:
    return log.columns[measure].type in INTEGERS


def _usable(log: LogTable, measure: str) -> sql.Composed:
    """The value where it can be used, else NULL. Anything but integers is compared as NUMERIC, where NaN is highest."""
    value: sql.Composable = log.column(measure) if _is_integer(log, measure) else log.number(measure)
    return sql.SQL("CASE WHEN {0} BETWEEN 0 AND {1} THEN {0} END").format(value, sql.Placeholder(f"most_{measure}"))


def _usd(log: LogTable) -> sql.Composed:
    usable, type_ = _usable(log, "cost"), log.columns["cost"].type
    scale = _SCALE.fullmatch(type_)
    exact = _is_integer(log, "cost") or (scale is not None and int(scale[1]) <= _KEPT_DECIMALS)
    return usable if exact else sql.SQL("round({}, {})").format(usable, sql.Literal(_KEPT_DECIMALS))


def _microseconds(log: LogTable, final: sql.Composed) -> sql.Composed:
    whole = (
        "sum({}) FILTER (WHERE {}) * 1000" if _is_integer(log, "latency") else "sum(round({} * 1000)) FILTER (WHERE {})"
    )
    return sql.SQL(whole).format(_usable(log, "latency"), final)
