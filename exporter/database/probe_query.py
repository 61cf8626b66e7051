"""A cheap query on the log: a few sums of each slice, to find slices that no longer hold what the ledger has read."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from psycopg import sql

from exporter.config import Classification
from exporter.database.log_table import LogTable
from exporter.database.log_time import Moment, bounds, instant, is_utc
from exporter.database.measures import is_integer, is_read, measure_value, usable_value
from exporter.database.outcomes import final_and_failed
from exporter.database.session import Session
from exporter.figures import DURATIONS, SUMMED
from exporter.ledger.aggregate import units_of
from exporter.ledger.model import TimeRange
from exporter.ledger.probing import Sums

_MARGIN = 10800  # seconds; more than any zone ever shifts its clock at once

# One range scan of the time index for each slice, and nothing per row but the sums: no arithmetic on times, no groups.
# Values are accepted by the same rules as in `span_query`: otherwise a probe would find a difference forever.
_STATEMENT = sql.SQL("""
SELECT probed.lo, sums.*
FROM {slices}
CROSS JOIN LATERAL (
  SELECT count(*), count(*) FILTER (WHERE {final}), count(*) FILTER (WHERE {failed}), {durations}, {sums}
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


def probe_query(log: LogTable, classification: Classification) -> sql.Composed:
    """The query for the sums of some spans; its parameters are the `probe_parameters`.

    Columns of the result: the span's start, rows, calls, failed calls, the sum of each of `DURATIONS` in microseconds,
    and that of each of `SUMMED`; a sum is NULL where no row has a value.
    """
    zoned = not is_utc(log, classification)
    final, failed = final_and_failed(log)
    whole = log.time_unit != "timestamp"
    time_type = sql.SQL("bigint" if whole else "timestamptz" if log.has_zone else "timestamp")
    return _STATEMENT.format(
        slices=_BY_ZONE.format(zone=sql.Literal(classification.log_time_zone), margin=sql.Literal(_MARGIN))
        if zoned
        else _BY_COLUMN.format(type=time_type),
        within=sql.SQL("{0} >= probed.lo AND {0} < probed.hi").format(instant(log, classification))
        if zoned
        else sql.SQL("true"),
        table=log.source(),
        time=log.column("time"),
        final=final,
        failed=failed,
        durations=sql.SQL(", ").join(_microseconds(log, classification, role, final) for role in DURATIONS),
        sums=sql.SQL(", ").join(_sum(log, classification, name) for name in SUMMED),
    )


def probe_parameters(log: LogTable, classification: Classification, spans: Sequence[TimeRange]) -> dict[str, Any]:
    """The parameters of `probe_query` for some spans."""
    by_column = is_utc(log, classification)
    limits: list[tuple[Moment, Moment]] = [bounds(log, classification, span) for span in spans] if by_column else []
    return {
        "lo": [span.lo for span in spans],
        "hi": [span.hi for span in spans],
        "since": [since for since, _ in limits],
        "until": [until for _, until in limits],
        **{f"most_{measure}": most for measure, most in classification.bounds.items()},
    }


def read_sums(
    session: Session, log: LogTable, classification: Classification, spans: Sequence[TimeRange]
) -> dict[TimeRange, Sums]:
    """What the rows of each span add up to; spans must not begin at the same moment.

    A failure leaves the transaction usable.
    """
    if not spans:
        return {}
    found: dict[int, Sums] = {}
    statement = session.composed("probe", (log, classification), lambda: probe_query(log, classification))
    probed = session.attempt(statement, probe_parameters(log, classification, spans))
    for start, rows, calls, failures, latency, first_token, *sums in probed:
        totals = zip(SUMMED.items(), sums, strict=True)
        columns = {name: units_of(figure, Decimal(total or 0)) for (name, figure), total in totals}
        found[start] = Sums(rows, calls, failures, int(latency or 0), columns, int(first_token or 0))
    return {span: found[span.lo] for span in spans}


def _usable(log: LogTable, classification: Classification, measure: str) -> sql.Composable:
    return usable_value(log, classification, measure, measure_value(log, classification, measure))


def _sum(log: LogTable, classification: Classification, measure: str) -> sql.Composable:
    if not is_read(log, classification, measure):
        return sql.SQL("NULL::numeric")
    return sql.SQL("sum({})").format(_usable(log, classification, measure))


def _microseconds(log: LogTable, classification: Classification, role: str, final: sql.Composed) -> sql.Composable:
    if not is_read(log, classification, role):
        return sql.SQL("NULL::numeric")
    whole = "sum({}) FILTER (WHERE {}) * 1000" if is_integer(log, role) else "sum(round({} * 1000)) FILTER (WHERE {})"
    return sql.SQL(whole).format(_usable(log, classification, role), final)
