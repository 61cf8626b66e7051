"""What is measured of a call, such as its cost: the value of its column, and whether it can be used."""

import re
from typing import Any

from psycopg import sql

from exporter.config import UPPER_BOUNDS, Classification
from exporter.database import values
from exporter.database.columns import INTEGERS
from exporter.database.currency import known
from exporter.database.log_table import LogTable
from exporter.database.log_time import instant, span_bounds
from exporter.figures import SUMMED
from exporter.ledger.model import TimeRange

INVALID_REASONS = ("nan", "negative", "too_large")
"""Why a number is not used."""

CURRENCY = "currency"
"""Why a cost is not used that is a number: what its currency is in dollars is not known."""

_SCALE = re.compile(r"numeric\(\d+,(\d+)\)")

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


def measure_parts(log: LogTable, classification: Classification) -> dict[str, sql.Composed]:
    """The parts of the statement that name each of `UPPER_BOUNDS`: its value, and what of it can be used or not."""
    measures, usables, doubts, codes = [], [], [], []
    for measure in UPPER_BOUNDS:
        name, usable_name = sql.Identifier(measure), sql.Identifier(f"usable_{measure}")
        measures.append(sql.SQL("{} AS {}").format(measure_value(log, classification, measure), name))
        usables.append(sql.SQL("{} AS {}").format(usable_value(log, classification, measure, name), usable_name))
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


def usable_value(log: LogTable, classification: Classification, measure: str, value: sql.Composable) -> sql.Composable:
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


def upper_bound(measure: str) -> sql.Placeholder:
    """The parameter for the most that a measure can plausibly be."""
    return sql.Placeholder(f"most_{measure}")


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
