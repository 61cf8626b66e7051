"""Check that no cost is in another currency than US dollars, where the log has a column that says."""

from collections.abc import Mapping

import psycopg
from psycopg import sql

from exporter.config.types import DOLLARS
from exporter.database import values
from exporter.database.columns import Column
from exporter.database.currency import known
from exporter.database.log_table import LogTable
from exporter.database.names import quoted, table_sql
from exporter.findings import Finding, fail, ok, warn
from exporter.humanize import listing
from exporter.ledger.calendar import DAY
from exporter.preflight.context import CheckContext

CURRENCY = "currency"

NAMES = ("currency", "currency_code", "cost_currency", "price_currency")
"""What a column that says the currency is called."""

_COUNTED = sql.SQL("""
SELECT coalesce(left({currency}, 20), ''), count(*) FROM {table}
WHERE {time} >= %(from)s AND {time} < %(until)s AND {wanted}
GROUP BY 1 ORDER BY 2 DESC LIMIT 8
""")
_UNKNOWN = sql.SQL("{cost} = 'NaN' AND {known} IS NOT TRUE")
_NAMED = sql.SQL("{currency} IS NOT NULL")


def check_currency(context: CheckContext) -> list[Finding]:
    """Check the currencies of the last day's calls, unless the configuration reads them itself."""
    log = context.log
    context.session.prove_visible(context.relation)
    if "cost" in log.columns and "currency" in log.columns:
        currency = log.columns["currency"]
        unknown = _UNKNOWN.format(cost=log.number("cost"), known=known(currency, log.rates))
        return [_evaluate_rates(log, _counted(context, currency, log.source(), unknown))]
    column = next((log.relation.columns[name] for name in NAMES if name in log.relation.columns), None)
    if column is None or "cost" not in log.columns:
        return [ok(CURRENCY, "costs are read as US dollars")]
    if column in log.read_columns:
        return [ok(CURRENCY, f"the configuration reads {column.name}")]
    try:
        with context.session.savepoint():
            found = _counted(context, column, log.source(column), _NAMED.format(currency=values.text(column)))
    except psycopg.errors.InsufficientPrivilege:
        detail = f"{log.relation.name} has a column {column.name}, which {context.server.user} cannot read"
        grant = (
            f"GRANT SELECT ({quoted(column.name)}) ON {table_sql(log.relation.name)} TO {quoted(context.server.user)};"
        )
        return [warn(CURRENCY, detail, grant)]
    return [_evaluate_currency(column.name, found)]


def _counted(context: CheckContext, currency: Column, table: sql.Composable, wanted: sql.Composed) -> dict[str, int]:
    """The wanted calls of the last day, by their currency."""
    statement = _COUNTED.format(
        currency=values.text(currency), table=table, time=context.log.column("time"), wanted=wanted
    )
    return dict(context.session.run(statement, context.last(DAY)))


def _evaluate_rates(log: LogTable, unknown: Mapping[str, int]) -> Finding:
    """Evaluate the costs in currencies without a rate, with the number of calls in each."""
    column = log.columns["currency"].shown
    if not unknown:
        return ok(CURRENCY, f"the last day's costs are in US dollars or have a rate, by {column}")
    named = listing([f"{word.strip() or 'no currency'} ({calls})" for word, calls in unknown.items()])
    codes = dict.fromkeys(word.strip().upper() for word in unknown if word.strip())
    rates = ", ".join([*(f"{code}: {rate:f}" for code, rate in log.rates.items()), *(f"{code}: ..." for code in codes)])
    return warn(
        CURRENCY,
        f"the last day's costs in {named}, by {column}, are not used: no rate is known",
        f"write the rate in US dollars: columns.log.currencies: {{{rates}}}"
        if codes
        else f"say what calls without one are in, as columns.log.currency: \"=COALESCE({quoted(column)}, 'USD')\"",
    )


def _evaluate_currency(column: str, found: Mapping[str, int]) -> Finding:
    """Evaluate the currencies, with the number of calls in each: another one would be added as dollars."""
    others = {word: calls for word, calls in found.items() if word.strip().upper() not in ("", *DOLLARS)}
    if not others:
        return ok(CURRENCY, f"the last day's costs are in US dollars, by {column}")
    named = listing([f"{word} ({calls})" for word, calls in others.items()])
    return fail(
        CURRENCY,
        f"costs of the last day are also in {named}, by {column}: they would be added as US dollars",
        f"write columns.log.currency: {quoted(column)}; to count the others too, write their rates in US dollars, "
        "as in columns.log.currencies: {RMB: 0.14}",
    )
