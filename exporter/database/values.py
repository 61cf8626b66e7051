"""A column's value in SQL, in one form for each kind of value, whatever its type and collation."""

from collections.abc import Mapping
from typing import LiteralString

from psycopg import sql

from exporter.database.columns import Column
from exporter.database.names import identifier
from exporter.figures import Figure

MESSAGE_LENGTH = 4000
"""Characters (of bytea: bytes) of an error message that are looked at."""

TEXT_FORMS: Mapping[str, LiteralString] = {
    "": "%I::pg_catalog.text",
    "jsonb": "(%I OPERATOR(pg_catalog.#>>) ARRAY[]::pg_catalog.text[])",  # of a string what is in its quotes
}
"""A column as text, by its type, as PostgreSQL's `format` has it; the empty type stands for all others."""

NUMBER_FORMS: Mapping[str, LiteralString] = {
    "": "%I::numeric",
    "real": "%I::pg_catalog.text::numeric",  # all digits that distinguish it; a plain cast would cut them to six
}
"""A column as NUMERIC, likewise."""

KEPT_DECIMALS = Figure.COST.decimals
"""Decimal places that an amount in USD is rounded to."""

_TEXT = sql.SQL('({} COLLATE pg_catalog."C")')
_MESSAGE = sql.SQL('(pg_catalog.left({}, {}) COLLATE pg_catalog."default")')
_BYTES = sql.SQL("pg_catalog.encode(substring({} FROM 1 FOR {}), 'escape')")


def text(column: Column) -> sql.Composed:
    """The value as text that is compared byte by byte: equal is what is the same.

    The column's own collation may call texts equal that differ, cannot be used for patterns then, and may be unlike
    that of the column beside it.
    """
    return _TEXT.format(_as_text(column))


def message(column: Column) -> sql.Composed:
    """The beginning of the value as text that patterns can be matched with."""
    length = sql.Literal(MESSAGE_LENGTH)
    if column.type == "bytea":
        return _MESSAGE.format(_BYTES.format(identifier(column.name), length), length)
    return _MESSAGE.format(_as_text(column), length)


def number(column: Column) -> sql.Composed:
    """The value as NUMERIC."""
    return _formed(NUMBER_FORMS, column)


def usable(number: sql.Composable, most: sql.Composable, decimals: int = 0, *, signed: bool = False) -> sql.Composed:
    """The number where it is none that cannot be, else NULL: NaN, more than `most`, or negative.

    If `signed`, it may be negative, to the same extent. NUMERIC has NaN above everything. Rounded to `decimals`;
    without them it is as it is.
    """
    least = sql.SQL("0 - {}").format(most) if signed else sql.SQL("0")
    found = sql.SQL("CASE WHEN {0} BETWEEN {1} AND {2} THEN {0} END").format(number, least, most)
    return sql.SQL("round({}, {})").format(found, sql.Literal(decimals)) if decimals else found


def usd(number: sql.Composable, most: sql.Composable, *, signed: bool = False) -> sql.Composed:
    """The usable number as an amount in USD; one that is `signed` may be below 0."""
    return usable(number, most, KEPT_DECIMALS, signed=signed)


def _as_text(column: Column) -> sql.Composed:
    return _formed(TEXT_FORMS, column)


def _formed(forms: Mapping[str, LiteralString], column: Column) -> sql.Composed:
    form = forms.get(column.type, forms[""])
    return sql.SQL(form.replace("%I", "{}", 1)).format(identifier(column.name))
