"""From the configuration's columns and expressions to the log as it is read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import psycopg
from psycopg import sql

from exporter.config.columns import LogColumns
from exporter.config.expressions import Expression
from exporter.database.catalog import read_column
from exporter.database.columns import Column
from exporter.database.currency import in_dollars
from exporter.database.errors import SchemaProblem
from exporter.database.layout import OUTCOMES, Relation, find_log_columns
from exporter.database.log_table import LogTable
from exporter.database.names import identifier, written
from exporter.unchanged import kept_while_the_same

# What an expression gives, by its columns' types alone: no table is read. The inner query is never run.
_TYPED = sql.SQL("""
WITH RECURSIVE typed AS (
  SELECT pg_catalog.pg_typeof(made.value)::oid AS declared, pg_catalog.pg_typeof(made.value)::oid AS type,
         -1 AS modifier
  FROM (SELECT) AS one LEFT JOIN (SELECT {expression} AS value FROM (SELECT {columns}) AS log LIMIT 0) AS made ON true
UNION ALL
  SELECT d.declared, t.typbasetype, t.typtypmod
  FROM typed d JOIN pg_catalog.pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
)
SELECT n.nspname, t.typname, pg_catalog.format_type(d.type, d.modifier), t.typcategory,
       t.oid::bigint, pg_catalog.format_type(d.declared, -1)
FROM typed d
JOIN pg_catalog.pg_type t ON t.oid = d.type
JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype <> 'd'
""")
FORMS = """
SELECT pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
       pg_catalog.set_config('IntervalStyle', 'postgres', true), pg_catalog.set_config('extra_float_digits', '1', true),
       pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('lc_time', 'C', true),
       pg_catalog.set_config('lc_numeric', 'C', true), pg_catalog.set_config('lc_monetary', 'C', true)
"""
"""Settings for the transaction, by which expressions make the same of times and numbers whatever the role's own are."""
_VALUE = sql.SQL("NULL::{} AS {}")


class Catalog(Protocol):
    """What can be asked, in one transaction."""

    def run(self, statement: str | sql.Composed, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement."""

    def look_up(self, statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement that only reads the catalog, and has no characters beyond ASCII."""


def find_log(catalog: Catalog, relation: Relation, settings: LogColumns) -> LogTable:
    """The log: its columns, expressions with the types that the server gives them, and how it is read.

    From then on the transaction has the settings by which expressions are made.

    Raises `SchemaProblem` for a column that is missing or unfit, and for an expression that the server refuses.
    """
    plain = _plain_log(relation, settings)
    if plain is not None:
        return plain
    if settings.has_expressions:
        catalog.run(FORMS)
    made = {
        role: made_column(catalog, relation, role, expression)
        for role, expression in settings.roles.items()
        if isinstance(expression, Expression) and not expression.is_null and _has_columns(relation, expression)
    }
    columns = find_log_columns(relation, settings, made)
    if settings.where is not None:
        condition = made_column(catalog, relation, "where", settings.where)
        if condition.type != "boolean":
            found = f"columns.log.where is of type {condition.type}, where a condition is needed"
            raise SchemaProblem(found, 'write a condition, such as "type IN (2, 5)"')
    if {"cost", "currency"} <= columns.keys():
        converted = in_dollars(columns["cost"], columns["currency"], settings.currencies)
        columns["cost"] = made_column(catalog, relation, "cost", converted)
    outcomes = OUTCOMES if settings.outcomes is None else settings.outcomes.by_word
    return LogTable(relation, columns, outcomes, settings.time_unit, settings.where, settings.currencies)


@kept_while_the_same
def _plain_log(relation: Relation, settings: LogColumns) -> LogTable | None:
    """The log, where the server computes none of it: then the same settings find the same in the same table."""
    columns = {} if settings.has_expressions else find_log_columns(relation, settings, {})
    if not columns or "currency" in columns:
        return None
    outcomes = OUTCOMES if settings.outcomes is None else settings.outcomes.by_word
    return LogTable(relation, columns, outcomes, settings.time_unit, None, settings.currencies)


def _has_columns(relation: Relation, expression: Expression) -> bool:
    return all(name in relation.columns for name in expression.columns)


def made_column(
    catalog: Catalog, relation: Relation, role: str, expression: Expression, section: str = "columns.log"
) -> Column:
    """The column that an expression stands for; no column of a table can have its name.

    `section` is where the configuration has the role. Raises `SchemaProblem`.
    """
    values = [_VALUE.format(_type(relation.columns[name]), identifier(name)) for name in expression.columns]
    statement = _TYPED.format(expression=written(expression), columns=sql.SQL(", ").join(values))
    text = statement.as_string()
    try:
        (found,) = catalog.look_up(text, {}) if text.isascii() else catalog.run(statement)
    except (psycopg.ProgrammingError, psycopg.DataError) as error:
        said = error.diag.message_primary or "it is refused"
        raise SchemaProblem(
            f"{section}.{role}: PostgreSQL refuses {str(expression)!r}: {said}",
            "correct the expression; cast a value that is of another type, such as (a #>> '{b}')::numeric",
        ) from error
    return replace(read_column(f"={role}", *found), expression=expression)


def _type(column: Column) -> sql.Composable:
    """The type beneath the column's domains, in SQL."""
    if "." in column.type and not column.type.startswith("numeric"):
        return sql.Identifier(*column.type.split(".", 1))
    return sql.SQL(column.type)  # as PostgreSQL's format_type writes it
