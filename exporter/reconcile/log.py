"""What the log says, summed in the database."""

from collections.abc import Callable, Mapping
from typing import Any

from psycopg import sql

from exporter.config import Classification
from exporter.database.errors import TooManyRows
from exporter.database.labels import Names
from exporter.database.log_table import LogTable, name_column, operation_columns
from exporter.database.log_time import instant, span_bounds
from exporter.database.measures import upper_bound, usable
from exporter.database.session import Session
from exporter.errors import UserError
from exporter.ledger.aggregate import money_units
from exporter.ledger.model import TimeRange
from exporter.reconcile.period import By, DayRange

MOST_KEYS = 250_000
"""Names that amounts are told apart by, at most."""

# days are cut by whole seconds, which a float holds exactly
_SUMS = sql.SQL("""
SELECT key, further, coalesce(sum({usd}), 0) AS usd, count(*) AS rows FROM (
  SELECT at, cost, {key} AS key, {further} AS further
  FROM (SELECT {instant} AS at, {cost} AS cost, {operation} AS operation, {operation_type} AS operation_type,
               {model} AS model, {user} AS username, {group} AS grouped
        FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s) AS raw
  WHERE at >= %(lo)s AND at < %(hi)s
) AS keyed
GROUP BY 1, 2 LIMIT %(most_keys)s
""")

_KEYS: Mapping[By, sql.SQL] = {
    "operation": sql.SQL("operation"),
    "model": sql.SQL("model"),
    "user": sql.SQL("username"),
    "group": sql.SQL("grouped"),
    "day": sql.SQL("(to_timestamp(floor(at)::float8) AT TIME ZONE %(zone)s)::date::text"),
}


def logged(
    session: Session, log: LogTable, rules: Classification, by: By, period: DayRange
) -> dict[str, tuple[int, int]]:
    """Money units and rows by label. Raises `TooManyRows` where there are more than `MOST_KEYS`."""
    statement, parameters = sums_query(log, rules, by, period)
    label, found, count = _labels(rules, by), dict[str, tuple[int, int]](), 0
    for key, further, usd, rows in session.stream(statement, parameters=parameters):
        count += 1
        name = label(key, further)
        units, known = found.get(name, (0, 0))
        found[name] = units + money_units(usd), known + rows
    if count > MOST_KEYS:
        raise TooManyRows(
            f"the log has more than {MOST_KEYS} names to tell apart", "use another --by, or a day at a time"
        )
    return found


def sums_query(log: LogTable, rules: Classification, by: By, period: DayRange) -> tuple[sql.Composed, dict[str, Any]]:
    """The query for the cost of a period by key, in USD as the ledger counts it, and its parameters."""
    if by == "group" and "group" not in log.columns:
        raise UserError("--by group: the log has no column for groups — use another one")
    operation, operation_type = operation_columns(log)
    statement = _SUMS.format(
        usd=usable(rules, "cost", sql.Identifier("cost"), upper_bound("cost")),
        key=_KEYS[by],
        further=sql.SQL("operation_type" if by == "operation" else "NULL::text"),
        instant=instant(log, rules),
        cost=log.number("cost"),
        operation=operation,
        operation_type=operation_type,
        model=name_column(log, "model"),
        user=name_column(log, "user"),
        group=name_column(log, "group") if by == "group" else sql.SQL("NULL::text"),
        table=log.source(),
        time=log.column("time"),
    )
    return statement, {
        **span_bounds(log, rules, TimeRange(period.lo, period.hi)),
        "zone": period.zone.key,
        "most_keys": MOST_KEYS + 1,
        "most_cost": rules.bounds["cost"],
    }


def _labels(rules: Classification, by: By) -> Callable[[str | None, str | None], str]:
    names = Names(rules)
    if by == "operation":
        return names.operation
    if by == "model":
        return lambda text, _: names.model(text)
    if by in ("user", "group"):
        return lambda text, _: names.user(text)
    return lambda text, _: str(text)
