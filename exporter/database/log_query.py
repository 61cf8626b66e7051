"""The one aggregate query on the log, composed for the columns it has."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import sql

from exporter.config import UPPER_BOUNDS, Classification
from exporter.config.expressions import Expression
from exporter.config.sections import TimeUnit
from exporter.database import values
from exporter.database.columns import INTEGERS, Column
from exporter.database.currency import known
from exporter.database.labels import READ_LENGTH, timeout_steps
from exporter.database.layout import FAILED, FINAL, OUTCOMES, Relation
from exporter.database.names import identifier, literal, written
from exporter.figures import DURATIONS, SUMMED
from exporter.ledger.model import TimeRange
from exporter.prices.model import PRICE_TIERS

INVALID_REASONS = ("nan", "negative", "too_large")
"""Why a number is not used."""

CURRENCY = "currency"
"""Why a cost is not used that is a number: what its currency is in dollars is not known."""

_SCALE = re.compile(r"numeric\(\d+,(\d+)\)")
_ZONE_MARGIN = timedelta(hours=3)  # more than any zone's clock is ever moved at once


PER_SECOND: Mapping[TimeUnit, int] = {"s": 1, "ms": 1000, "us": 1_000_000}
"""How many of a unit make a second."""

FAR = 10**11
"""Seconds since the epoch that no call has: a time of another unit than the configuration says."""

Moment = datetime | int
"""A moment in the time column's own terms."""


@dataclass(frozen=True)
class LogTable:
    """The log: where it is, and the columns of `layout.LOG_ROLES` that it has, or expressions for them.

    `outcomes` says how a call ended by the word in `status` (None: NULL), `time_unit` what the time column counts,
    `where` which rows are calls (None: all), `rates` what one of a currency is in US dollars: costs are converted.
    """

    relation: Relation
    columns: Mapping[str, Column]
    outcomes: Mapping[str | None, str] = field(default_factory=lambda: OUTCOMES)
    time_unit: TimeUnit = "timestamp"
    where: Expression | None = None
    rates: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def has_status(self) -> bool:
        """Whether rows change from pending to final (layout "status")."""
        return "status" in self.columns

    @property
    def outcome_role(self) -> str:
        """The role that says how a call ended."""
        return "status" if self.has_status else "success"

    @property
    def has_zone(self) -> bool:
        """Whether the time column tells an instant by itself."""
        return self.time_unit != "timestamp" or self.columns["time"].has_zone

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The table's own columns that are read, those in expressions among them."""
        expressions = [column.expression for column in self.columns.values()] + [self.where]
        within = (name for expression in expressions if expression is not None for name in expression.columns)
        plain = (column.name for column in self.columns.values() if column.expression is None)
        return tuple(self.relation.columns[name] for name in dict.fromkeys((*plain, *within)))

    def source(self, *more: Column) -> sql.Composable:
        """What to read from: the table, or a sub-select that has an expression's value by the name of its column.

        PostgreSQL pulls it up, so that the table's index serves. `more` are further columns of the table.
        """
        table = identifier(*self.relation.name.parts)
        made = [
            _MADE.format(written(column.expression), identifier(column.name))
            for column in self.columns.values()
            if column.expression is not None
        ]
        if not made and self.where is None:
            return table
        plain = [column for column in self.columns.values() if column.expression is None]
        names = dict.fromkeys(column.name for column in (*plain, *more))
        return _SOURCE.format(
            sql.SQL(", ").join([*map(identifier, names), *made]),
            table,
            sql.SQL("") if self.where is None else _WHERE.format(written(self.where)),
        )

    def column(self, role: str) -> sql.Identifier:
        """The column that has a role, quoted."""
        return identifier(self.columns[role].name)

    def text(self, role: str) -> sql.Composable:
        """The value of the column that has a role, as text; NULL where there is none."""
        return values.text(self.columns[role]) if role in self.columns else sql.SQL("NULL::text")

    def number(self, role: str) -> sql.Composable:
        """The value of the column that has a role, as NUMERIC; NULL where there is none."""
        return values.number(self.columns[role]) if role in self.columns else sql.SQL("NULL::numeric")

    def message(self) -> sql.Composable:
        """The beginning of the error's message; NULL where the log has none."""
        column = self.columns.get("error_message")
        return sql.SQL("NULL::text") if column is None else values.message(column)


_SOURCE = sql.SQL("(SELECT {} FROM {}{}) AS log")
_WHERE = sql.SQL(" WHERE ({})")
_MADE = sql.SQL("({}) AS {}")


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


class Outcome(StrEnum):
    """How a call ended, or that it has not: `ended` in the result, which has the class of error for `FAILED`.

    `REFUND` is a row that is no call, but money that comes back.
    """

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    PENDING = "pending"
    RUNNING = "running"
    NULL = "null"
    UNKNOWN = "unknown"
    REFUND = "refund"


_FAILED = sql.Literal("failed")
_BY_SUCCESS = sql.SQL("CASE WHEN {0} THEN 'ok' WHEN {0} IS NULL THEN 'null' ELSE {1} END")
_BY_STATUS = sql.SQL("CASE {0} {1} ELSE CASE WHEN {0} IS NULL THEN {2} ELSE 'unknown' END END")
_IS_INVALID = sql.SQL("{usable} IS NULL AND {measure} IS NOT NULL")
_INVALID = sql.SQL(
    "CASE WHEN {usable} IS NOT NULL OR {measure} IS NULL THEN 0 {nan} WHEN {measure} < 0 THEN {negative} "
    "ELSE {too_large} END"
)
_IS_INVALID_OR_REFUND = sql.SQL("{usable} IS NULL AND {measure} IS NOT NULL OR {usable} < 0")
_INVALID_OR_REFUND = sql.SQL(
    "CASE WHEN {usable} < 0 THEN {negative} WHEN {usable} IS NOT NULL OR {measure} IS NULL THEN 0 {nan} "
    "ELSE {too_large} END"
)
_WHEN_NAN = sql.SQL("WHEN {} = 'NaN' THEN {}")
_KNOWN_CURRENCY = sql.SQL("{} AS known_currency")
_NAN_OR_UNKNOWN = sql.SQL("CASE WHEN known_currency THEN {} ELSE {} END")
# most ids begin with a character that can be seen, which is quicker to tell than whether they have one
_TYPE_IF_NEEDED = sql.SQL("CASE WHEN {0} BETWEEN '!' AND '~' OR {0} ~ '[!-~]' THEN NULL ELSE {1} END")
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
    rows, measures = _rows_of_span(log, classification, moved), _measures(log, classification)
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
        instant=_seconds(log, classification),
        user=_key(user) if by_user else sql.NULL,
        username=_key_name(user, "username") if by_user else sql.NULL,
        **_group(log, by_user=by_user),
        ended=outcome(log, _error_class(log, classification)),
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


def invalid_values(code: int) -> list[tuple[str, str]]:
    """The measures whose values are not used, each with the reason, by what `invalid` says."""
    digits = [(measure, code >> 2 * place & 0b11) for place, measure in enumerate(UPPER_BOUNDS)]
    unknown = [("cost", CURRENCY)] if code & _UNKNOWN_CURRENCY else []
    return [(measure, INVALID_REASONS[digit - 1]) for measure, digit in digits if digit] + unknown


_UNKNOWN_CURRENCY = 1 << 2 * len(UPPER_BOUNDS)
"""What a cost in a currency without a rate adds to `invalid`."""


def _invalid_code(measure: str, reason: str) -> sql.Literal:
    """What a value that is not used adds to `invalid`: each measure has a digit of base 4."""
    return sql.Literal(1 + INVALID_REASONS.index(reason) << 2 * list(UPPER_BOUNDS).index(measure))


def _names(log: LogTable) -> dict[str, sql.Composable]:
    """The names of a row, whole."""
    operation = log.text("operation" if "operation" in log.columns else "operation_type")
    return {"operation": operation, "operation_type": _operation_type(log), "model": log.text("model")}


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
    return values.text(key) if _is_own_key(column) else _cut(values.text(replace(key, type="text")))


def _measures(log: LogTable, classification: Classification) -> dict[str, sql.Composed]:
    """The parts of the statement that name each of `UPPER_BOUNDS`: its value, and what of it can be used or not."""
    measures, usables, doubts, codes = [], [], [], []
    for measure in UPPER_BOUNDS:
        name, usable_name = sql.Identifier(measure), sql.Identifier(f"usable_{measure}")
        measures.append(sql.SQL("{} AS {}").format(measure_value(log, classification, measure), name))
        usables.append(sql.SQL("{} AS {}").format(_usable_value(log, classification, measure, name), usable_name))
        if is_read(log, classification, measure):
            doubt, code = _doubt(log, classification, measure)
            doubts.append(doubt)
            codes.append(code)
            if _has_currency(log, measure):
                measures.append(_KNOWN_CURRENCY.format(known(log.columns["currency"], log.rates)))
    if "free" in log.columns:
        measures.append(sql.SQL("{} AS free").format(log.column("free")))
    # a log may lack all of them
    invalid = (
        sql.SQL("CASE WHEN {} THEN {} ELSE 0 END").format(sql.SQL(" OR ").join(doubts), sql.SQL(" + ").join(codes))
        if doubts
        else sql.Composed([sql.SQL("0")])
    )
    return {"measures": sql.SQL(", ").join(measures), "usable": sql.SQL(", ").join(usables), "invalid": invalid}


def _doubt(log: LogTable, classification: Classification, measure: str) -> tuple[sql.Composed, sql.Composed]:
    """A condition that a value is not used, or is a refund, and what it adds to `invalid` then."""
    signed = _is_signed(classification, measure)
    nan: sql.Composable = _invalid_code(measure, "nan")
    if _has_currency(log, measure):
        nan = _NAN_OR_UNKNOWN.format(nan, sql.Literal(_UNKNOWN_CURRENCY))
    parts = {"usable": sql.Identifier(f"usable_{measure}"), "measure": sql.Identifier(measure)}
    code = (_INVALID_OR_REFUND if signed else _INVALID).format(
        **parts,
        nan=sql.SQL("") if is_integer(log, measure) else _WHEN_NAN.format(parts["measure"], nan),
        negative=_invalid_code(measure, "negative"),
        too_large=_invalid_code(measure, "too_large"),
    )
    return (_IS_INVALID_OR_REFUND if signed else _IS_INVALID).format(**parts), code


def _is_signed(classification: Classification, measure: str) -> bool:
    return measure == "cost" and classification.refunds


def _has_currency(log: LogTable, measure: str) -> bool:
    return measure == "cost" and "currency" in log.columns


def _usable_value(log: LogTable, classification: Classification, measure: str, value: sql.Composable) -> sql.Composable:
    """A measure's usable value, rounded where its column can have more decimals than are kept."""
    if not is_read(log, classification, measure):
        return value
    decimals = SUMMED[measure].decimals if measure in SUMMED else 0
    rounded = 0 if is_exact(log, measure, decimals) else decimals
    return usable(classification, measure, value, upper_bound(measure), rounded)


def usable(
    classification: Classification,
    measure: str,
    value: sql.Composable,
    most: sql.Composable,
    decimals: int | None = None,
) -> sql.Composed:
    """A measure's value where it can be used, else NULL; rounded to as many decimals as are kept, or to `decimals`.

    Of costs, those below 0 are refunds.
    """
    kept = (SUMMED[measure].decimals if measure in SUMMED else 0) if decimals is None else decimals
    return values.usable(value, most, kept, signed=_is_signed(classification, measure))


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


def measure_value(log: LogTable, classification: Classification, measure: str) -> sql.Composable:
    """A measure's value, or NULL. What is not an integer is NUMERIC, where NaN is above everything."""
    if not is_read(log, classification, measure):
        return sql.SQL("NULL::numeric")
    return log.column(measure) if is_integer(log, measure) else log.number(measure)


def is_integer(log: LogTable, measure: str) -> bool:
    """Whether a measure's column holds integers alone."""
    return log.columns[measure].type in INTEGERS


def is_exact(log: LogTable, measure: str, decimals: int) -> bool:
    """Whether a measure's column cannot hold more decimals than that."""
    scale = _SCALE.fullmatch(log.columns[measure].type)
    return is_integer(log, measure) or (scale is not None and int(scale[1]) <= decimals)


def is_read(log: LogTable, classification: Classification, measure: str) -> bool:
    """Whether the table has a column for a measure, and the classification is of a version that reads it."""
    return measure in log.columns and measure in classification.bounds


def adds_up(log: LogTable, classification: Classification) -> bool:
    """Whether figures of single rows add up to those of sums: of a figure without decimals a sum drops them once."""
    whole = (measure for measure, figure in SUMMED.items() if not figure.decimals)
    return all(is_exact(log, measure, 0) for measure in whole if is_read(log, classification, measure))


def _rows_of_span(log: LogTable, classification: Classification, moved: Moved | None) -> dict[str, sql.Composable]:
    """The parts of the statement that say which rows are read, and in which slice each lies."""
    if moved is None:
        # the time column's own bounds say all there is to say, but for the margin of a zone
        within = sql.SQL("true") if is_utc(log, classification) else _PLAIN_SPAN
        plain = {"placed": sql.NULL, "searched": log.column("time"), "within": within, "slice": _PLAIN_SLICE}
        return {**plain, "changed": sql.SQL("")}
    history = moved.before is not None
    return {
        "placed": _seconds(moved.log, moved.classification),
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
        # a size that is reached is not exceeded yet
        "price_tiers": [size + 1 for size in PRICE_TIERS],
        # most calls lie below, and looking through the sizes takes longer than comparing with one
        "first_tier": PRICE_TIERS[0] + 1,
        "timeouts": [round(1000 * seconds, 6) for seconds in timeout_steps(classification)],
        # descending edges below zero: width_bucket counts from below and excludes its upper bound, `le` includes it
        **{f"{role}_edges": [-1000 * edge for edge in reversed(each.edges)] for role, each in DURATIONS.items()},
        **{f"most_{measure}": classification.bounds.get(measure) for measure in UPPER_BOUNDS},
        **_patterns(classification),
        **_moved_parameters(moved, span),
    }


def upper_bound(measure: str) -> sql.Placeholder:
    """The parameter for the most that a measure can plausibly be."""
    return sql.Placeholder(f"most_{measure}")


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


def _seconds(log: LogTable, classification: Classification) -> sql.Composed:
    """As `instant`, as a float, which is quicker: in this century it tells microseconds apart."""
    if log.time_unit in PER_SECOND:
        return sql.SQL("({}::float8 / {})").format(log.column("time"), sql.Literal(PER_SECOND[log.time_unit]))
    return sql.SQL("date_part('epoch', {})").format(_zoned(log, classification))


def name_column(log: LogTable, role: str) -> sql.Composed:
    """The column that has a role, as text that is not cleaned and has `READ_LENGTH` characters at most."""
    return _cut(log.text(role))


def _cut(text: sql.Composable) -> sql.Composed:
    return sql.SQL("left({}, {})").format(text, sql.Literal(READ_LENGTH))


def _operation_type(log: LogTable) -> sql.Composable:
    """The operation's type where its id may have nothing that can be seen, else NULL: few rows need both."""
    if not {"operation", "operation_type"} <= log.columns.keys():
        return sql.SQL("NULL::text")
    return _TYPE_IF_NEEDED.format(log.text("operation"), log.text("operation_type"))


def operation_columns(log: LogTable) -> tuple[sql.Composable, sql.Composable]:
    """What `labels.operation_name` takes: the operation's id, and its type where that may be needed."""
    return name_column(log, "operation" if "operation" in log.columns else "operation_type"), _cut(_operation_type(log))


def outcome(log: LogTable, failed: sql.Composable = _FAILED) -> sql.Composed:
    """How the row's call ended, as `Outcome` has it; `failed` stands for calls that have failed."""
    if log.has_status:
        shown = {
            word: failed if outcome == Outcome.FAILED else sql.Literal(outcome)
            for word, outcome in log.outcomes.items()
        }
        without_word = shown.get(None, sql.Literal(Outcome.NULL))
        cases = [
            sql.SQL("WHEN {} THEN {}").format(literal(word), ended) for word, ended in shown.items() if word is not None
        ] or [sql.Composed([sql.SQL("WHEN NULL THEN NULL")])]  # a CASE has one at least
        return _BY_STATUS.format(log.text("status"), sql.SQL(" ").join(cases), without_word)
    return _BY_SUCCESS.format(log.column("success"), failed)


def final_and_failed(log: LogTable) -> tuple[sql.Composed, sql.Composed]:
    """Conditions for what `outcome` calls final (ok, failed or timeout), and for failed or timeout."""
    if log.has_status:
        return _has_word(log, FINAL), _has_word(log, FAILED)
    success = log.column("success")
    return sql.SQL("{} IS NOT NULL").format(success), sql.SQL("NOT {}").format(success)


def is_refund(log: LogTable) -> sql.Composed:
    """A condition for what `outcome` calls a refund."""
    return _has_word(log, (Outcome.REFUND,)) if log.has_status else sql.Composed([sql.SQL("false")])


def texts(words: Iterable[str]) -> sql.Composed:
    """Texts in SQL, with commas between them."""
    return sql.SQL(", ").join(map(literal, words))


def _has_word(log: LogTable, outcomes: Collection[str]) -> sql.Composed:
    words = [word for word, outcome in log.outcomes.items() if outcome in outcomes]
    text, named = log.text("status"), [word for word in words if word is not None]
    among = sql.SQL("{} IN ({})").format(text, texts(named)) if named else sql.Composed([sql.SQL("false")])
    return sql.SQL("({} OR {} IS NULL)").format(among, text) if None in words else among


def _error_class(log: LogTable, classification: Classification) -> sql.Composed:
    message = log.message()
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
    statement = _SPEND.format(
        instant=instant(log, classification),
        usd=usable(classification, "cost", sql.Identifier("cost"), upper_bound("cost")),
        cost=log.number("cost"),
        table=log.source(),
        time=log.column("time"),
    )
    return statement, span_bounds(log, classification, span) | {"most_cost": classification.bounds["cost"]}


_FIRST = sql.SQL("""
SELECT {instant} AS at FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s ORDER BY {time} LIMIT 1
""")


def first_query(log: LogTable, classification: Classification, span: TimeRange) -> tuple[sql.Composed, dict[str, Any]]:
    """A query for the time of the first row of a span in seconds since the epoch, and its parameters.

    In a zone with gaps and folds the row may lie up to three hours before the span.
    """
    statement = _FIRST.format(
        instant=instant(log, classification), table=identifier(*log.relation.name.parts), time=log.column("time")
    )
    return statement, span_bounds(log, classification, span)


_ANY = sql.SQL("""
SELECT EXISTS (SELECT FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s)
""")


def any_query(log: LogTable, classification: Classification, span: TimeRange) -> tuple[sql.Composed, dict[str, Any]]:
    """A query for whether a span may have rows, and its parameters: it ends at the first one that it meets.

    In a zone with gaps and folds, a row up to three hours before the span or after it counts, too.
    """
    statement = _ANY.format(table=identifier(*log.relation.name.parts), time=log.column("time"))
    return statement, span_bounds(log, classification, span)


_UNDATED = sql.SQL("""
SELECT (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} IS NULL LIMIT {most}) AS found),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} {after} LIMIT {most}) AS found),
       (SELECT count(*) FROM (SELECT FROM {table} WHERE {time} {before} LIMIT {most}) AS found)
""")


def undated_query(log: LogTable, most: int) -> sql.Composed:
    """A query for the rows with a NULL, infinite and minus infinite time: a count of each, `most` at most."""
    first, last = ends_of_time(log)
    equal = sql.SQL("= {}")
    return _UNDATED.format(
        table=log.source(),
        time=log.column("time"),
        most=sql.Literal(most),
        after=(equal if log.time_unit == "timestamp" else sql.SQL(">= {}")).format(last),
        before=(equal if log.time_unit == "timestamp" else sql.SQL("<= {}")).format(first),
    )


def ends_of_time(log: LogTable) -> tuple[sql.Literal, sql.Literal]:
    """What lies before and after all times that can be meant, in the time column's own terms."""
    if log.time_unit in PER_SECOND:
        far = FAR * PER_SECOND[log.time_unit]
        return sql.Literal(-far), sql.Literal(far)
    return sql.Literal("-infinity"), sql.Literal("infinity")


def error_class(log: LogTable, classification: Classification) -> tuple[sql.Composed, dict[str, str]]:
    """The class that a failed row's message belongs to, and the parameters of this expression."""
    return _error_class(log, classification), _patterns(classification)


def _patterns(classification: Classification) -> dict[str, str]:
    """The parameters of `_error_class`."""
    classes = enumerate(classification.error_classes)
    return {f"pattern_{number}": "|".join(f"({each})" for each in known.patterns) for number, known in classes}
