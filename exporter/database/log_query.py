"""The one aggregate query on the log, composed for the columns it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import UPPER_BOUNDS, Classification
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.labels import READ_LENGTH, timeout_steps
from exporter.database.layout import Relation
from exporter.database.names import identifier
from exporter.ledger.aggregate import LATENCY_EDGES
from exporter.ledger.model import TimeRange

INVALID_REASONS = ("nan", "negative", "too_large")
"""Why a number is not used."""

_ZONE_MARGIN = timedelta(hours=3)  # more than any zone's clock is ever moved at once


@dataclass(frozen=True)
class LogTable:
    """The log: where it is, and the columns of `layout.LOG_ROLES` that it has."""

    relation: Relation
    columns: Mapping[str, Column]

    @property
    def has_status(self) -> bool:
        """Whether rows change from pending to final (layout "status")."""
        return "status" in self.columns

    @property
    def has_zone(self) -> bool:
        """Whether the time column knows its zone."""
        return self.columns["time"].has_zone

    def column(self, role: str) -> sql.Identifier:
        """The column that has a role, quoted."""
        return identifier(self.columns[role].name)

    def text(self, role: str) -> sql.Composed:
        """The value of the column that has a role, as text."""
        return values.text(self.columns[role])

    def number(self, role: str) -> sql.Composed:
        """The value of the column that has a role, as NUMERIC."""
        return values.number(self.columns[role])


# `raw` takes each row as it is, `fit` judges its values, and the outer query sums them in one pass: by series, by
# user, and whole. Numbers are compared as NUMERIC, where NaN is above everything. Of a name as much is taken as a label
# can be made of, and blanks around it: in a database that does not know its encoding `left` counts bytes.
_STATEMENT = sql.SQL("""
WITH raw AS (
  SELECT {instant} AS at, {placed} AS placed,
         {operation} AS operation, {operation_type} AS operation_type, {model} AS model,
         CASE WHEN %(by_user)s THEN {user} END AS username,
         {outcome} AS outcome, {error_class} AS error_class,
         {cost} AS cost, {input_tokens} AS input_tokens,
         {output_tokens} AS output_tokens, {latency} AS latency
  FROM {table}
  WHERE {searched} >= %(from)s AND {searched} < %(until)s
), fit AS (
  SELECT *,
         {slice} AS slice,
         CASE WHEN outcome = 'failed' THEN error_class ELSE outcome END AS class,
         outcome IN ('ok', 'failed', 'timeout') AS final,
         round(CASE WHEN cost BETWEEN 0 AND %(most_cost)s THEN cost END, 12) AS usd,
         CASE WHEN input_tokens BETWEEN 0 AND %(most_input_tokens)s THEN input_tokens END AS read_tokens,
         CASE WHEN output_tokens BETWEEN 0 AND %(most_output_tokens)s THEN output_tokens END AS written_tokens,
         CASE WHEN latency BETWEEN 0 AND %(most_latency)s THEN latency END AS ms,
         {faults}
  FROM raw
  WHERE {within}
), judged AS (
  SELECT *, CASE WHEN final THEN {buckets} - width_bucket(-ms, %(edges)s::numeric[]) END AS bucket,
         CASE WHEN final THEN width_bucket(ms, %(timeouts)s::numeric[]) END AS reached
  FROM fit
)
SELECT grouping(class, username), slice, operation, operation_type, model, username, class, bucket, reached,
       count(*), sum(usd), sum(read_tokens), sum(written_tokens), sum(round(ms * 1000)) FILTER (WHERE final),
       count(*) FILTER (WHERE final AND coalesce(cost, 0) = 0
                              AND coalesce(read_tokens, 0) + coalesce(written_tokens, 0) > 0),
       max(at)::float8, min(at)::float8,
       {fault_counts}
FROM judged
GROUP BY GROUPING SETS ((slice, operation, operation_type, model, class, bucket, reached), (slice, username), (slice))
LIMIT %(most_rows)s
""")

BY_SERIES, BY_USER, WHOLE = 0b01, 0b10, 0b11
"""The grouping sets, as the query's first column tells them apart."""

FIRST_FAULT = 17
"""The first of the columns that count unusable values: for each of `UPPER_BOUNDS`, each of `INVALID_REASONS`."""

_BY_SUCCESS = sql.SQL("CASE WHEN {0} THEN 'ok' WHEN {0} IS NULL THEN 'null' ELSE 'failed' END")
_BY_STATUS = sql.SQL(
    "CASE {0} WHEN 'success' THEN 'ok' WHEN 'failed' THEN 'failed' WHEN 'timeout' THEN 'timeout' "
    "WHEN 'pending' THEN 'pending' WHEN 'running' THEN 'running' "
    "ELSE CASE WHEN {0} IS NULL THEN 'null' ELSE 'unknown' END END"
)
_FAULT = sql.SQL(
    "CASE WHEN {0} = 'NaN' THEN 'nan' WHEN {0} < 0 THEN 'negative' WHEN {0} > {1} THEN 'too_large' END AS {2}"
)


@dataclass(frozen=True)
class Moved:
    """Which rows a span means for changed settings that date the same rows otherwise than those in force.

    With `before` it is a span of the new times, without those rows that have an old one from `before` on. Else it is a
    span of the old times: of its rows those with a new one in `kept` are read, wherever that lies. Slices are quarters
    before `merged`, and minutes after it. Times are seconds since the epoch.
    """

    log: LogTable
    classification: Classification
    kept: TimeRange
    merged: int
    before: int | None = None


_PLAIN_SLICE = sql.SQL("floor(at / %(width)s)::bigint * %(width)s")
_PLAIN_SPAN = sql.SQL("at >= %(lo)s AND at < %(hi)s")
_MOVED_SLICE = sql.SQL(
    "CASE WHEN at < %(merged)s THEN floor(at / 900)::bigint * 900 ELSE floor(at / 60)::bigint * 60 END"
)
_MOVED_SPAN = sql.SQL("placed >= %(lo)s AND placed < %(hi)s AND at >= %(kept_lo)s AND at < %(kept_hi)s")
_MOVED_HISTORY = sql.SQL("at >= %(lo)s AND at < %(hi)s AND (placed < %(before)s OR placed IS NULL AND at < %(before)s)")


def span_query(
    log: LogTable,
    classification: Classification,
    span: TimeRange,
    width: int,
    most: int | None = None,
    *,
    by_user: bool = True,
    moved: Moved | None = None,
) -> tuple[sql.Composed, dict[str, Any]]:
    """The query for a span in slices of `width` seconds, and its parameters; with `moved` slices are as that says.

    It ends after `most` rows of its result. Without `by_user` a slice has one row for all its users.

    Columns of the result: 0 the grouping set (`BY_SERIES`, `BY_USER` or `WHOLE`), 1 slice, 2 operation and 3 its type
    where `labels.operation_name` may need it, 4 model, 5 user, 6 class (ok, an error class, or the status of a row that
    is not final), 7 latency bucket, 8 how many of `labels.timeout_steps` the latency reached, 9 rows, 10 cost in USD,
    11 and 12 tokens, 13 latency in microseconds, 14 calls with tokens and no price, 15 newest and 16 oldest time in
    seconds; from `FIRST_FAULT` on the counts of unusable values. Names are as the log has them, not yet cleaned.
    """
    faults = sql.SQL(", ").join(
        _FAULT.format(sql.Identifier(measure), sql.Placeholder(f"most_{measure}"), sql.Identifier(f"{measure}_fault"))
        for measure in UPPER_BOUNDS
    )
    fault_counts = sql.SQL(", ").join(
        sql.SQL("count(*) FILTER (WHERE {} = {})").format(sql.Identifier(f"{measure}_fault"), sql.Literal(fault))
        for measure in UPPER_BOUNDS
        for fault in INVALID_REASONS
    )
    operation, operation_type = operation_columns(log)
    statement = _STATEMENT.format(
        instant=instant(log, classification),
        operation=operation,
        operation_type=operation_type,
        outcome=outcome(log),
        error_class=_error_class(log, classification),
        table=identifier(*log.relation.name.parts),
        buckets=sql.Literal(len(LATENCY_EDGES)),
        faults=faults,
        fault_counts=fault_counts,
        **_rows_of_span(log, moved),
        **{role: name_column(log, role) for role in ("model", "user")},
        **{measure: log.number(measure) for measure in UPPER_BOUNDS},
    )
    parameters = _parameters(log, classification, span, width) | {"most_rows": most, "by_user": by_user}
    return statement, parameters | _moved_parameters(moved, span)


def _rows_of_span(log: LogTable, moved: Moved | None) -> dict[str, sql.Composable]:
    """The parts of the statement that say which rows are read, and in which slice each lies."""
    if moved is None:
        time = log.column("time")
        return {"placed": sql.NULL, "searched": time, "within": _PLAIN_SPAN, "slice": _PLAIN_SLICE}
    history = moved.before is not None
    return {
        "placed": instant(moved.log, moved.classification),
        "searched": (log if history else moved.log).column("time"),
        "within": _MOVED_HISTORY if history else _MOVED_SPAN,
        "slice": _MOVED_SLICE,
    }


def _moved_parameters(moved: Moved | None, span: TimeRange) -> dict[str, Any]:
    if moved is None:
        return {}
    parameters: dict[str, Any] = {"merged": moved.merged}
    if moved.before is not None:
        return parameters | {"before": moved.before}
    lower, upper = bounds(moved.log, moved.classification, span)
    return parameters | {"from": lower, "until": upper, "kept_lo": moved.kept.lo, "kept_hi": moved.kept.hi}


def _parameters(log: LogTable, classification: Classification, span: TimeRange, width: int) -> dict[str, Any]:
    lower, upper = bounds(log, classification, span)
    return {
        "from": lower,
        "until": upper,
        "lo": span.lo,
        "hi": span.hi,
        "width": width,
        "timeouts": [round(1000 * seconds, 6) for seconds in timeout_steps(classification)],
        # descending edges below zero: width_bucket counts from below and excludes its upper bound, `le` includes it
        "edges": [-1000 * edge for edge in reversed(LATENCY_EDGES)],
        **{f"most_{measure}": classification.bounds[measure] for measure in UPPER_BOUNDS},
        **{f"pattern_{n}": "|".join(f"({p})" for p in c.patterns) for n, c in enumerate(classification.error_classes)},
    }


def bounds(log: LogTable, classification: Classification, span: TimeRange) -> tuple[datetime, datetime]:
    """The span in the time column's own terms, so that its index serves; a zone with gaps and folds gets a margin."""
    lo, hi = (datetime.fromtimestamp(second, UTC) for second in (span.lo, span.hi))
    if log.has_zone:
        return lo, hi
    if classification.log_time_zone == "UTC":
        return lo.replace(tzinfo=None), hi.replace(tzinfo=None)
    zone = ZoneInfo(classification.log_time_zone)
    return (
        lo.astimezone(zone).replace(tzinfo=None) - _ZONE_MARGIN,
        hi.astimezone(zone).replace(tzinfo=None) + _ZONE_MARGIN,
    )


def instant(log: LogTable, classification: Classification) -> sql.Composed:
    """The row's time in seconds since the epoch, as NUMERIC."""
    if log.has_zone or classification.log_time_zone == "UTC":
        return sql.SQL("extract(epoch FROM {})").format(log.column("time"))
    zoned = sql.SQL("extract(epoch FROM {} AT TIME ZONE {})")
    return zoned.format(log.column("time"), sql.Literal(classification.log_time_zone))


def name_column(log: LogTable, role: str) -> sql.Composed:
    """The column that has a role, as text that is not cleaned and has `READ_LENGTH` characters at most."""
    return sql.SQL("left({}, {})").format(log.text(role), sql.Literal(READ_LENGTH))


def _operation_type(log: LogTable) -> sql.Composable:
    """The operation's type where its id may have nothing that can be seen, else NULL: few rows need both."""
    if not {"operation", "operation_type"} <= log.columns.keys():
        return sql.SQL("NULL::text")
    visible = sql.SQL("coalesce({} ~ '[!-~]', false)").format(log.text("operation"))
    return sql.SQL("CASE WHEN NOT {} THEN {} END").format(visible, name_column(log, "operation_type"))


def operation_columns(log: LogTable) -> tuple[sql.Composable, sql.Composable]:
    """What `labels.operation_name` takes: the operation's id, and its type where that may be needed."""
    return name_column(log, "operation" if "operation" in log.columns else "operation_type"), _operation_type(log)


def outcome(log: LogTable) -> sql.Composed:
    """How the row's call ended: ok, failed, timeout, pending, running, null or unknown."""
    if log.has_status:
        return _BY_STATUS.format(log.text("status"))
    return _BY_SUCCESS.format(log.column("success"))


def final_and_failed(log: LogTable) -> tuple[sql.Composed, sql.Composed]:
    """Conditions for what `outcome` calls final (ok, failed or timeout), and for failed or timeout."""
    if log.has_status:
        status = log.text("status")
        return (
            sql.SQL("{} IN ('success', 'failed', 'timeout')").format(status),
            sql.SQL("{} IN ('failed', 'timeout')").format(status),
        )
    success = log.column("success")
    return sql.SQL("{} IS NOT NULL").format(success), sql.SQL("NOT {}").format(success)


def _error_class(log: LogTable, classification: Classification) -> sql.Composed:
    message = values.message(log.columns["error_message"])
    cases = [
        sql.SQL("WHEN {} ~* {} THEN {}").format(
            message, sql.Placeholder(f"pattern_{number}"), sql.Literal(error_class.name)
        )
        for number, error_class in enumerate(classification.error_classes)
    ]
    return (
        sql.SQL("CASE {} ELSE 'other' END").format(sql.SQL(" ").join(cases))
        if cases
        else sql.Composed([sql.SQL("'other'")])
    )


# The same judgement of a cost as in `_STATEMENT`.
_SPEND = sql.SQL("""
SELECT coalesce(sum(round(cost, 12)) FILTER (WHERE cost BETWEEN 0 AND %(most_cost)s), 0)
FROM (SELECT {instant} AS at, {cost} AS cost FROM {table}
      WHERE {time} >= %(from)s AND {time} < %(until)s) AS raw
WHERE at >= %(lo)s AND at < %(hi)s
""")


def spend_query(log: LogTable, classification: Classification, span: TimeRange) -> tuple[sql.Composed, dict[str, Any]]:
    """A query for the cost of all rows of a span in USD, by the rules of `span_query`, and its parameters."""
    lower, upper = bounds(log, classification, span)
    statement = _SPEND.format(
        instant=instant(log, classification),
        cost=log.number("cost"),
        table=identifier(*log.relation.name.parts),
        time=log.column("time"),
    )
    return statement, {
        "from": lower,
        "until": upper,
        "lo": span.lo,
        "hi": span.hi,
        "most_cost": classification.bounds["cost"],
    }


_UNDATED = sql.SQL("""
SELECT (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} IS NULL LIMIT {most}) AS found),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} = 'infinity' LIMIT {most}) AS found),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} = '-infinity' LIMIT {most}) AS found)
""")


def undated_query(log: LogTable, most: int) -> sql.Composed:
    """A query for the rows with a NULL, infinite and minus infinite time: a count of each, `most` at most."""
    table = identifier(*log.relation.name.parts)
    return _UNDATED.format(table=table, time=log.column("time"), most=sql.Literal(most))
