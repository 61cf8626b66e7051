"""Costs in other currencies: converted to US dollars at the configuration's rates, or not used."""

from collections.abc import Mapping
from decimal import Decimal

from psycopg import sql

from exporter.config.expressions import MARK, Expression
from exporter.config.types import DOLLARS
from exporter.database.columns import Column
from exporter.database.names import quoted, written


def known(currency: Column, rates: Mapping[str, Decimal]) -> sql.SQL:
    """A condition that a row's currency, by the column's name, is the dollar or has a rate; NULL where it has none."""
    code = _code(quoted(currency.name))
    return written(Expression(f"{MARK}{code} IN ({', '.join(map(_text, (*DOLLARS, *rates)))})"))


def in_dollars(cost: Column, currency: Column, rates: Mapping[str, Decimal]) -> Expression:
    """The cost in US dollars, exactly; NaN where the currency has no rate, but nothing costs nothing in any."""
    amount, code = _amount(cost), _code(_value(currency))
    converted = "".join(f" WHEN {code} = {_text(name)} THEN {amount} * {rate:f}" for name, rate in rates.items())
    return Expression(
        f"{MARK}CASE WHEN {_value(cost)} IS NULL OR {amount} = 0 THEN {amount}"
        f" WHEN {code} IN ({', '.join(map(_text, DOLLARS))}) THEN {amount}{converted} ELSE 'NaN'::numeric END"
    )


def _value(column: Column) -> str:
    return quoted(column.name) if column.expression is None else f"({column.expression.sql})"


def _amount(cost: Column) -> str:
    value = _value(cost)
    # of a real, a plain cast would cut digits that distinguish it
    if cost.type == "real":
        return f"{value}::text::numeric"
    if cost.type:
        return f"{value}::numeric"
    # which type it is, the server alone knows: JSON has all digits of any number
    made = f"to_jsonb({value})"
    return f"(CASE jsonb_typeof({made}) WHEN 'number' THEN ({made} #>> '{{}}')::numeric ELSE {value}::numeric END)"


def _code(currency: str) -> str:
    return f"upper(btrim({currency}::text))"


def _text(code: str) -> str:
    return f"'{code}'"
