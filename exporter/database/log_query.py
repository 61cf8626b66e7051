"""The one aggregate query on the log, composed for the columns it has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from psycopg import sql

from exporter.config import UPPER_BOUNDS, Classification
from exporter.database import values
from exporter.database.columns import INTEGERS, Column
from exporter.database.labels import READ_LENGTH, timeout_steps
from exporter.database.log_table import LogTable, cut, operation_type
from exporter.database.log_time import bounds, epoch_seconds, is_utc, span_bounds
from exporter.database.measures import is_integer, is_read, measure_parts
from exporter.database.names import identifier
from exporter.database.outcomes import error_class, error_patterns, outcome
from exporter.figures import DURATIONS, SUMMED
from exporter.ledger.model import TimeRange
from exporter.prices.model import PRICE_TIERS
from exporter.unchanged import kept_while_the_same

# `raw` takes each row as it is, `fit` judges its values, and the outer query sums them in one pass, by series, by user
# and, if the log has groups, by group. Behind OFFSET 0 each value is made once, however often it is used. Rows are
# grouped by whole names: as much of each is taken, once for each group, as a label can be made of, and blanks around
# it; in a database that does not know its encoding `left` counts bytes.
_STATEMENT = sql.SQL("""
WITH raw AS (
  SELECT {instant} AS at, {placed} AS placed,
         {operation} AS operation, {operation_type} AS operation_type, {model} AS model, {user} AS username,
         {group}{ended} AS ended, {measures}
  FROM {table}
  WHERE {searched} >= %(from)s AND {searched} < %(until)s {changed}
), fit AS (
  SELECT *, {slice} AS slice, {usable}
  FROM raw
  WHERE {within}
  OFFSET 0
)
SELECT {grouped_by} AS grouped_by, slice, left(operation, {length}) AS operation,
       left(operation_type, {length}) AS operation_type, left(model, {length}) AS model, {username} AS username,
       {groupname}ended, {invalid} AS invalid, {buckets},
       width_bucket({latency}, %(timeouts)s::{latency_type}[]) AS timeouts_reached,
       CASE WHEN {priced}
            THEN CASE WHEN {whole_input} < %(first_tier)s THEN 0
                      ELSE width_bucket({whole_input}::numeric, %(price_tiers)s::numeric[]) END END AS price_tier,
       {sums}
FROM fit
{groups}
LIMIT %(most_rows)s
""")

EACH, BY_SERIES, BY_USER, BY_GROUP = 0b00, 0b01, 0b10, 0b11
"""What a row of the result stands for, as `grouped_by` tells it: one row of the log, or all of a series, user or group.
"""

_SERIES_KEYS = "slice, operation, operation_type, model, ended, invalid, latency_bucket, timeouts_reached, price_tier"


class Shape(Enum):
    """What the result has rows for: each row of the log, each series, or each series and, beside them, each user and
    group.

    A few rows are read faster as they are than as sums.
    """

    EACH = "each"
    SERIES = "series"
    USERS = "users"


_SHAPES = {
    Shape.EACH: (sql.SQL("0"), sql.SQL("")),
    Shape.SERIES: (sql.SQL("1"), sql.SQL("GROUP BY " + _SERIES_KEYS + "{more}{also}")),
    Shape.USERS: (
        sql.SQL("grouping(ended, username)"),
        sql.SQL("GROUP BY GROUPING SETS ((" + _SERIES_KEYS + "{more}{also}), (slice, username{also}){by_group})"),
    ),
}
"""How each of them says what a row stands for, and by what it groups."""

_BY_GROUP = sql.SQL(", (slice, groupname{also})")
_OLDEST_UNDER_WAY = "pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()) & 4294967295"
OLDEST_UNDER_WAY = sql.SQL("(" + _OLDEST_UNDER_WAY + ")::pg_catalog.text")
"""The oldest transaction that may be under way when the snapshot is taken, as text: all before it have ended."""

_IS_SETTLED = sql.SQL(
    ", placed > (SELECT pg_catalog.age((" + _OLDEST_UNDER_WAY + ")::pg_catalog.text::pg_catalog.xid)) AS settled"
)
_CHANGED = sql.SQL(
    "AND ({time} >= %(known_until)s OR pg_catalog.age(xmin) <="
    " (SELECT pg_catalog.age(%(settled_before)s::pg_catalog.text::pg_catalog.xid)))"
)
_UNPRICED = sql.SQL("coalesce(cost, 0) = 0 AND (usable_input_tokens > 0 OR usable_output_tokens > 0)")
_BUCKET = sql.SQL("{last} - width_bucket(-{value}, {edges}::{type}[]) AS {name}")
_NO_BUCKET = sql.SQL("NULL::integer AS {name}")
_PRICED = sql.SQL("ended = 'ok' AND (cost IS NULL OR usable_cost >= 0) OR usable_cost > 0")
_PRICED_AS_BEFORE = sql.SQL("ended = 'ok' OR usable_cost > 0")
"""That of the versions that knew no refunds."""

_NOT_FREE = sql.SQL("({}) AND free IS NOT TRUE")
_WHOLE_INPUT = sql.SQL("usable_input_tokens")
_INPUT_AND_CACHED = sql.SQL("(usable_input_tokens + coalesce(usable_cached_tokens, 0))")


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


_PLAIN_SLICE = sql.SQL("%(origin)s + floor((at - %(origin)s) / %(width)s)::bigint * %(width)s")
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
    shape: Shape = Shape.USERS,
    origin: int = 0,
    moved: Moved | None = None,
) -> tuple[sql.Composed, dict[str, Any]]:
    """The query for a span in slices of `width` seconds, and its parameters; with `moved` slices are as that says.

    Slices are counted from `origin`, in seconds since the epoch. The query ends after `most` rows of its result.

    Result rows have the names of the statement's columns; `groupname` is there only if the log has groups. `grouped_by`
    is `EACH`, `BY_SERIES`, `BY_USER` or `BY_GROUP`. `slice`, `newest` and `oldest` are times in seconds. `ended` is an
    `Outcome` or a class of error, `timeouts_reached` how many of `labels.timeout_steps` the latency has reached,
    `price_tier` how many of `PRICE_TIERS` the input exceeds (None where the cost of the call is not checked), and
    `invalid` says which values are not used (`invalid_values`). Each of `SUMMED` has a column with its sum. Refunds and
    costs above 0 are never in one row of the result. Labels are as the log has them, not yet cleaned.
    """
    parameters = span_parameters(log, classification, span, width, most, origin, moved)
    return span_statement(log, classification, shape, moved), parameters


def span_statement(
    log: LogTable,
    classification: Classification,
    shape: Shape,
    moved: Moved | None = None,
    *,
    changed: bool = False,
) -> sql.Composed:
    """The statement of `span_query`, which is the same for any span.

    With `changed` it reads of the rows before `known_until` only those that a transaction from `settled_before` on has
    written, two more parameters. Its result has a column more: rows are `settled` which were written before the
    `OLDEST_UNDER_WAY`.
    """
    grouped_by, groups = _SHAPES[shape]
    by_user, user = shape is not Shape.SERIES, log.columns.get("user")
    rows, measures = _rows_of_span(log, classification, moved), measure_parts(log, classification)
    settled: sql.Composable = sql.SQL("")
    if changed:
        rows["placed"], settled = sql.SQL("pg_catalog.age(xmin)"), sql.SQL(", settled")
        rows["changed"] = _CHANGED.format(time=log.column("time"))
        measures["usable"] = sql.Composed([measures["usable"], _IS_SETTLED])
    return _STATEMENT.format(
        **_names(log),
        priced=_unless_free(log, _PRICED if classification.refunds else _PRICED_AS_BEFORE),
        whole_input=_WHOLE_INPUT if classification.cached_in_input else _INPUT_AND_CACHED,
        **measures,
        **_durations(log, classification),
        **rows,
        instant=epoch_seconds(log, classification),
        user=_key(user) if by_user else sql.NULL,
        username=_key_name(user, "username") if by_user else sql.NULL,
        **_group(log, by_user=by_user),
        ended=outcome(log, error_class(log, classification)),
        table=log.source() if moved is None else log.source(moved.log.columns["time"]),
        length=sql.Literal(READ_LENGTH),
        sums=sql.Composed([_sums(log, classification, each=shape is Shape.EACH), settled]),
        grouped_by=grouped_by,
        groups=groups.format(
            also=settled,
            more=_more_keys(log, classification),
            by_group=_BY_GROUP.format(also=settled) if "group" in log.columns else sql.SQL(""),
        ),
    )


def _unless_free(log: LogTable, condition: sql.SQL) -> sql.Composable:
    """A condition on the cost of a call, for those that are not free of charge."""
    return _NOT_FREE.format(condition) if "free" in log.columns else condition


def _names(log: LogTable) -> dict[str, sql.Composable]:
    """The names of a row, whole."""
    operation = log.text("operation" if "operation" in log.columns else "operation_type")
    return {"operation": operation, "operation_type": operation_type(log), "model": log.text("model")}


def _key(column: Column | None) -> sql.Composable:
    """What tells the values of a column apart: itself where that is quicker than its text, and the same."""
    if column is None:
        return sql.SQL("NULL::text")
    return identifier(column.name) if _is_own_key(column) else values.text(column)


def _group(log: LogTable, *, by_user: bool) -> dict[str, sql.Composable]:
    """The parts of the statement that name the group of a call; nothing where the log has none."""
    column, more = log.columns.get("group"), sql.SQL("{} AS groupname, ")
    if column is None:
        return {"group": sql.SQL(""), "groupname": sql.SQL("")}
    return {
        "group": more.format(_key(column) if by_user else sql.NULL),
        "groupname": more.format(_key_name(column, "groupname") if by_user else sql.NULL),
    }


def _is_own_key(column: Column) -> bool:
    return column.type in ("uuid", *INTEGERS)


def _key_name(column: Column | None, name: str) -> sql.Composable:
    """The name of a user or group, whose `_key` has this name."""
    if column is None:
        return sql.Identifier(name)
    key = replace(column, name=name)
    return values.text(key) if _is_own_key(column) else cut(values.text(replace(key, type="text")))


def _durations(log: LogTable, classification: Classification) -> dict[str, sql.Composable]:
    """The parts of the statement that sort durations into buckets, and the usable latency with its type."""
    latency, latency_type = _duration(log, classification, "latency")
    buckets = sql.SQL(", ").join(_bucket(log, classification, role) for role in DURATIONS)
    return {"latency": latency, "latency_type": latency_type, "buckets": buckets}


def _bucket(log: LogTable, classification: Classification, role: str) -> sql.Composed:
    value, kind = _duration(log, classification, role)
    return (_BUCKET if is_read(log, classification, role) else _NO_BUCKET).format(
        last=sql.Literal(len(DURATIONS[role].edges)),
        value=value,
        edges=sql.Placeholder(f"{role}_edges"),
        type=kind,
        name=sql.Identifier(f"{role}_bucket"),
    )


def _duration(log: LogTable, classification: Classification, role: str) -> tuple[sql.Composable, sql.Composable]:
    """The usable duration and its type: an integer is a float without loss, and quicker."""
    name = sql.Identifier(f"usable_{role}")
    if is_read(log, classification, role) and is_integer(log, role):
        return sql.SQL("{}::float8").format(name), sql.SQL("float8")
    return name, sql.SQL("numeric")


def _more_keys(log: LogTable, classification: Classification) -> sql.Composed:
    """What rows are grouped by besides `_SERIES_KEYS`: the buckets of durations that few logs have."""
    read = (role for role in DURATIONS if role != "latency" and is_read(log, classification, role))
    return sql.Composed([sql.SQL(", {}").format(sql.Identifier(f"{role}_bucket")) for role in read])


def _sums(log: LogTable, classification: Classification, *, each: bool) -> sql.Composed:
    """What a row of the result says of its rows of the log; of a single one, if it stands for `each`."""
    total, number, newest, oldest = (
        (sql.SQL("{}"), sql.SQL("CASE WHEN {} THEN 1 ELSE 0 END"), sql.SQL("at"), sql.SQL("at"))
        if each
        else (sql.SQL("sum({})"), sql.SQL("count(*) FILTER (WHERE {})"), sql.SQL("max(at)"), sql.SQL("min(at)"))
    )
    columns = {
        "rows": sql.SQL("1" if each else "count(*)"),
        **{measure: total.format(sql.Identifier(f"usable_{measure}")) for measure in SUMMED},
        **{f"{role}_microseconds": _microseconds(log, classification, role, total) for role in DURATIONS},
        "unpriced": number.format(_unless_free(log, _UNPRICED)),
        "newest": newest,
        "oldest": oldest,
    }
    return sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(value, sql.Identifier(name)) for name, value in columns.items()
    )


def _microseconds(log: LogTable, classification: Classification, role: str, total: sql.SQL) -> sql.Composable:
    if not is_read(log, classification, role):
        return sql.SQL("NULL::numeric")
    value = sql.Identifier(f"usable_{role}")
    # a thousand times a number may be too much for its type
    if is_integer(log, role):
        return sql.SQL("{} * 1000").format(total.format(sql.SQL("{}::bigint").format(value)))
    return total.format(sql.SQL("round({} * 1000)").format(value))


def _rows_of_span(log: LogTable, classification: Classification, moved: Moved | None) -> dict[str, sql.Composable]:
    """The parts of the statement that say which rows are read, and in which slice each lies."""
    if moved is None:
        # the time column's own bounds say all there is to say, but for the margin of a zone
        within = sql.SQL("true") if is_utc(log, classification) else _PLAIN_SPAN
        plain = {"placed": sql.NULL, "searched": log.column("time"), "within": within, "slice": _PLAIN_SLICE}
        return {**plain, "changed": sql.SQL("")}
    history = moved.before is not None
    return {
        "placed": epoch_seconds(moved.log, moved.classification),
        "searched": (log if history else moved.log).column("time"),
        "within": _MOVED_HISTORY if history else _MOVED_SPAN,
        "slice": _MOVED_SLICE,
        "changed": sql.SQL(""),
    }


def _moved_parameters(moved: Moved | None, span: TimeRange) -> dict[str, Any]:
    if moved is None:
        return {}
    parameters: dict[str, Any] = {"merged": moved.merged}
    if moved.before is not None:
        return parameters | {"before": moved.before}
    lower, upper = bounds(moved.log, moved.classification, span)
    return parameters | {"from": lower, "until": upper, "kept_lo": moved.kept.lo, "kept_hi": moved.kept.hi}


def span_parameters(
    log: LogTable,
    classification: Classification,
    span: TimeRange,
    width: int,
    most: int | None = None,
    origin: int = 0,
    moved: Moved | None = None,
) -> dict[str, Any]:
    """The parameters of `span_query`."""
    return {
        **span_bounds(log, classification, span),
        "width": width,
        "most_rows": most,
        "origin": origin,
        **_fixed_parameters(classification),
        **_moved_parameters(moved, span),
    }


@kept_while_the_same
def _fixed_parameters(classification: Classification) -> Mapping[str, Any]:
    """The parameters that are the same for each span."""
    return {
        # a size that is reached is not exceeded yet
        "price_tiers": _array(size + 1 for size in PRICE_TIERS),
        # most calls lie below, and looking through the sizes takes longer than comparing with one
        "first_tier": PRICE_TIERS[0] + 1,
        "timeouts": _array(round(1000 * seconds, 6) for seconds in timeout_steps(classification)),
        # descending edges below zero: width_bucket counts from below and excludes its upper bound, `le` includes it
        **{f"{role}_edges": _array(-1000 * edge for edge in reversed(each.edges)) for role, each in DURATIONS.items()},
        **{f"most_{measure}": classification.bounds.get(measure) for measure in UPPER_BOUNDS},
        **error_patterns(classification),
    }


def _array(numbers: Iterable[float]) -> str:
    """Numbers as PostgreSQL writes an array of them: the driver would make that of a list each time."""
    return f"{{{','.join(map(str, numbers))}}}"
