"""The view to create over a table with columns of unfit types, as SQL to paste."""

from collections.abc import Sequence

from exporter.config import QualifiedName
from exporter.database.columns import Column, Kind, fits
from exporter.database.names import LONGEST_NAME, quoted, table_sql

_SUFFIX = "_readable"

_NUMBER = "^ *[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,3})? *$"
_TIME = "^ *[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONED = ":[0-9]{2}([.][0-9]*)? *(Z|[-+][0-9]{2}(:?[0-9]{2})?) *$"
_TRUE, _FALSE = "'t', 'true', 'y', 'yes', 'on', '1'", "'f', 'false', 'n', 'no', 'off', '0'"


def view_sql(table: QualifiedName, wanted: Sequence[tuple[Column, Kind]]) -> str | None:
    """SQL for a view with the wanted columns, each as the kind of value that is needed, under its own name.

    None where a column holds nothing that could be such a value, such as a time without its day.
    """
    expressions = [_expression(column, kind) for column, kind in wanted]
    if None in expressions:
        return None
    selected = ", ".join(str(expression) for expression in expressions)
    query = f"SELECT {selected} FROM {table_sql(table)}"  # noqa: S608
    # so that no function or operator of somebody else is called
    path = "SET search_path = pg_catalog, pg_temp"
    return f"{path}; CREATE VIEW {table_sql(view_name(table))} AS {query}; RESET search_path;"


def view_name(table: QualifiedName) -> QualifiedName:
    """The name of that view: beside the table."""
    kept = table.name.encode()[: LONGEST_NAME - len(_SUFFIX)].decode(errors="ignore")
    return QualifiedName(table.schema, kept + _SUFFIX)


def _expression(column: Column, kind: Kind) -> str | None:
    name = quoted(column.name)
    if fits(column, kind):
        return name
    match kind:
        case Kind.NUMBER:
            made: str | None = _number(column)
        case Kind.TIME:
            made = _time(column)
        case Kind.FLAG:
            made = _flag(column)
        case _:
            made = _text(column)
    return None if made is None else f"{made} AS {name}"


def _text(column: Column) -> str:
    name = quoted(column.name)
    if column.type in ("json", "jsonb"):
        return f"({name} #>> '{{}}')"
    return f"encode({name}, 'escape')" if column.type == "bytea" else f"{name}::text"


def _compared(column: Column) -> str:
    return f'{_text(column)} COLLATE "C"'


def _is_written(column: Column) -> bool:
    """Whether the value is written in letters and digits, in some form."""
    return column.category in "SE" or column.type in ("json", "jsonb", "bytea", '"char"')


def _number(column: Column) -> str | None:
    if column.category == "T":
        return f"(extract(epoch FROM {quoted(column.name)}) * 1000)::numeric"
    if column.category == "N":
        return f"{_text(column)}::numeric"
    if not _is_written(column):
        return None
    # a text that is not a number becomes NaN, which is reported, and not NULL, which is not
    compared = _compared(column)
    number = f"WHEN {compared} ~ '{_NUMBER}' THEN {_text(column)}::numeric"
    return f"CASE {number} WHEN {compared} ~ '[^ ]' THEN 'NaN'::numeric END"


def _time(column: Column) -> str | None:
    name, text = quoted(column.name), _text(column)
    if column.type == "date":
        return f"{name}::timestamp"
    if column.category == "N":
        # seconds, milliseconds or microseconds since 1970: of these only one is near the present
        number = f"{name}::numeric"
        unit = f"CASE WHEN abs({number}) < 1e11 THEN 1 WHEN abs({number}) < 1e14 THEN 1e3 ELSE 1e6 END"
        return f"to_timestamp(({number} / {unit})::double precision)"
    if _is_written(column):
        return (
            f"CASE WHEN {_compared(column)} ~ '{_ZONED}' THEN {text}::timestamptz "
            f"WHEN {_compared(column)} ~ '{_TIME}' THEN {text}::timestamp AT TIME ZONE 'UTC' END"
        )
    return None


def _flag(column: Column) -> str | None:
    if column.category == "N":
        return f"({quoted(column.name)}::numeric <> 0)"
    if not _is_written(column) and column.category != "V":
        return None
    word = f"lower({_compared(column)})"
    return f"CASE WHEN {word} IN ({_TRUE}) THEN true WHEN {word} IN ({_FALSE}) THEN false END"
