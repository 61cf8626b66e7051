"""A column's value in SQL, in one form for each kind of value, whatever its type and collation."""

from psycopg import sql

from exporter.database.columns import Column
from exporter.database.names import identifier

MESSAGE_LENGTH = 4000
"""Characters (of bytea: bytes) of an error message that are looked at."""

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
    """The value as NUMERIC. A REAL keeps all digits that distinguish it, which a plain cast would cut to six."""
    via = "{}::pg_catalog.text::numeric" if column.type == "real" else "{}::numeric"
    return sql.SQL(via).format(identifier(column.name))


def _as_text(column: Column) -> sql.Composed:
    # of a JSON string this is the text without its quotes
    form = "({} OPERATOR(pg_catalog.#>>) '{{}}')" if column.type == "jsonb" else "{}::pg_catalog.text"
    return sql.SQL(form).format(identifier(column.name))
