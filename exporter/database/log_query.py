"""The one aggregate query on the log, composed for the columns it has."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.catalog import LATENCY_EDGES
from exporter.config import UPPER_BOUNDS, Classification
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.labels import READ_LENGTH, timeout_steps
from exporter.database.layout import FAILED, FINAL, OUTCOMES, Relation
from exporter.database.names import identifier
from exporter.figures import SUMMED
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
         {measures}
  FROM {table}
  WHERE {searched} >= %(from)s AND {searched} < %(until)s
), fit AS (
  SELECT *,
         {slice} AS slice,
         CASE WHEN outcome = 'failed' THEN error_class ELSE outcome END AS ended,
         outcome IN ({final}) AS final,
         {usable},
         {invalid}
  FROM raw
  WHERE {within}
), judged AS (
  SELECT *,
         CASE WHEN final THEN {buckets} - width_bucket(-usable_latency, %(edges)s::numeric[]) END AS latency_bucket,
         CASE WHEN final THEN width_bucket(usable_latency, %(timeouts)s::numeric[]) END AS timeouts_reached
  FROM fit
)
SELECT grouping(ended, username) AS grouped_by, slice, operation, operation_type, model, username, ended,
       latency_bucket, timeouts_reached, count(*) AS rows, {sums},
       sum(round(usable_latency * 1000)) FILTER (WHERE final) AS microseconds,
       count(*) FILTER (WHERE final AND coalesce(cost, 0) = 0
                              AND coalesce(usable_input_tokens, 0) + coalesce(usable_output_tokens, 0) > 0) AS unpriced,
       max(at)::float8 AS newest, min(at)::float8 AS oldest,
       {invalid_counts}
FROM judged
GROUP BY GROUPING SETS ((slice, operation, operation_type, model, ended, latency_bucket, timeouts_reached),
                        (slice, username), (slice))
LIMIT %(most_rows)s
""")

BY_SERIES, BY_USER, WHOLE = 0b01, 0b10, 0b11
"""The grouping sets, as `grouped_by` tells them apart."""


class Outcome(StrEnum):
    """How a call ended, or that it has not: `ended` in the result, which has the class of error for `FAILED`."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    PENDING = "pending"
    RUNNING = "running"
    NULL = "null"
    UNKNOWN = "unknown"


_BY_SUCCESS = sql.SQL("CASE WHEN {0} THEN 'ok' WHEN {0} IS NULL THEN 'null' ELSE 'failed' END")
_BY_STATUS = sql.SQL("CASE {0} {1} ELSE CASE WHEN {0} IS NULL THEN 'null' ELSE 'unknown' END END")
_INVALID = sql.SQL(
    "CASE WHEN {measure} = 'NaN' THEN 'nan' WHEN {measure} < 0 THEN 'negative' "
    "WHEN {measure} > {most} THEN 'too_large' END AS {invalid_measure}"
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

    Result rows have the names of the statement's columns. `grouped_by` is `BY_SERIES`, `BY_USER` or `WHOLE`. The
    `slice`, `newest` and `oldest` are times in seconds. `ended` is an `Outcome` or a class of error, `timeouts_reached`
    how many of `labels.timeout_steps` the latency has reached. Each of `SUMMED` has a column with its sum, and each
    measure has counts of its invalid values (`count_of_invalid`). Labels are as the log has them, not yet cleaned.
    """
    operation, operation_type = operation_columns(log)
    statement = _STATEMENT.format(
        instant=instant(log, classification),
        operation=operation,
        operation_type=operation_type,
        outcome=outcome(log),
        error_class=_error_class(log, classification),
        table=identifier(*log.relation.name.parts),
        buckets=sql.Literal(len(LATENCY_EDGES)),
        final=texts(FINAL),
        **_measures(log, classification),
        **_rows_of_span(log, moved),
        **{role: name_column(log, role) for role in ("model", "user")},
    )
    parameters = _parameters(log, classification, span, width) | {"most_rows": most, "by_user": by_user}
    return statement, parameters | _moved_parameters(moved, span)


def count_of_invalid(measure: str, reason: str) -> str:
    """The result's column that counts the values of a measure which are not used for a reason."""
    return f"{measure}_{reason}"


def _measures(log: LogTable, classification: Classification) -> dict[str, sql.Composed]:
    """The parts of the statement that name each of `UPPER_BOUNDS`: its value, what of it can be used, and its sum."""

    def each(part: sql.SQL, measures: Iterable[str] = UPPER_BOUNDS) -> sql.Composed:
        return sql.SQL(", ").join(
            part.format(
                measure=sql.Identifier(measure),
                value=measure_value(log, classification, measure),
                usable=usable(sql.Identifier(measure), measure),
                most=upper_bound(measure),
                usable_measure=sql.Identifier(f"usable_{measure}"),
                invalid_measure=sql.Identifier(f"invalid_{measure}"),
            )
            for measure in measures
        )

    counts = (
        sql.SQL("count(*) FILTER (WHERE {} = {}) AS {}").format(
            sql.Identifier(f"invalid_{measure}"), sql.Literal(reason), sql.Identifier(count_of_invalid(measure, reason))
        )
        for measure in UPPER_BOUNDS
        for reason in INVALID_REASONS
    )
    return {
        "measures": each(sql.SQL("{value} AS {measure}")),
        "usable": each(sql.SQL("{usable} AS {usable_measure}")),
        "invalid": each(_INVALID),
        "sums": each(sql.SQL("sum({usable_measure}) AS {measure}"), SUMMED),
        "invalid_counts": sql.SQL(", ").join(counts),
    }


def usable(value: sql.Composable, measure: str) -> sql.Composed:
    """The value where it can be used, with as many decimals as are kept; else NULL."""
    figure = SUMMED.get(measure)
    return values.usable(value, upper_bound(measure), 0 if figure is None else figure.decimals)


def measure_value(log: LogTable, classification: Classification, measure: str) -> sql.Composable:
    """A measure's value as NUMERIC, or NULL."""
    return log.number(measure) if is_read(log, classification, measure) else sql.SQL("NULL::numeric")


def is_read(log: LogTable, classification: Classification, measure: str) -> bool:
    """Whether the table has a column for a measure, and the classification is of a version that reads it."""
    return measure in log.columns and measure in classification.bounds


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
        **{f"most_{measure}": classification.bounds.get(measure) for measure in UPPER_BOUNDS},
        **{f"pattern_{n}": "|".join(f"({p})" for p in c.patterns) for n, c in enumerate(classification.error_classes)},
    }


def upper_bound(measure: str) -> sql.Placeholder:
    """The parameter for the most that a measure can plausibly be."""
    return sql.Placeholder(f"most_{measure}")


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
        cases = (
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(status), sql.Literal(shown))
            for status, shown in OUTCOMES.items()
        )
        return _BY_STATUS.format(log.text("status"), sql.SQL(" ").join(cases))
    return _BY_SUCCESS.format(log.column("success"))


def final_and_failed(log: LogTable) -> tuple[sql.Composed, sql.Composed]:
    """Conditions for what `outcome` calls final (ok, failed or timeout), and for failed or timeout."""
    if log.has_status:
        final, failed = (
            sql.SQL("{} IN ({})").format(log.text("status"), texts(_statuses(outcomes))) for outcomes in (FINAL, FAILED)
        )
        return final, failed
    success = log.column("success")
    return sql.SQL("{} IS NOT NULL").format(success), sql.SQL("NOT {}").format(success)


def texts(words: Iterable[str]) -> sql.Composed:
    """Texts in SQL, with commas between them."""
    return sql.SQL(", ").join(map(sql.Literal, words))


def _statuses(outcomes: Collection[str]) -> list[str]:
    return [status for status, shown in OUTCOMES.items() if shown in outcomes]


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


_SPEND = sql.SQL("""
SELECT coalesce(sum({usd}), 0)
FROM (SELECT {instant} AS at, {cost} AS cost FROM {table}
      WHERE {time} >= %(from)s AND {time} < %(until)s) AS raw
WHERE at >= %(lo)s AND at < %(hi)s
""")


def spend_query(log: LogTable, classification: Classification, span: TimeRange) -> tuple[sql.Composed, dict[str, Any]]:
    """A query for the cost of all rows of a span in USD, by the rules of `span_query`, and its parameters."""
    lower, upper = bounds(log, classification, span)
    statement = _SPEND.format(
        instant=instant(log, classification),
        usd=usable(sql.Identifier("cost"), "cost"),
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


def error_class(log: LogTable, classification: Classification) -> tuple[sql.Composed, dict[str, str]]:
    """The class that a failed row's message belongs to, and the parameters of this expression."""
    classes = enumerate(classification.error_classes)
    patterns = {f"pattern_{n}": "|".join(f"({pattern})" for pattern in known.patterns) for n, known in classes}
    return _error_class(log, classification), patterns
