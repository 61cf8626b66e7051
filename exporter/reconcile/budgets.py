"""What the tables beside the log say of costs: budgets whose spend is wrong, and routes that cost another amount."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from psycopg import sql

from exporter.catalog import USD
from exporter.config import LARGEST_AMOUNT, Classification, Config, clean_label
from exporter.database import values
from exporter.database.budgets import MOST_BUDGETS
from exporter.database.errors import TooManyRows
from exporter.database.labels import READ_LENGTH, user_name
from exporter.database.log_table import LogTable
from exporter.database.routes import MOST_ROUTES
from exporter.database.session import Session
from exporter.database.tables import Table, find_table
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import day_window, month_window
from exporter.ledger.model import UNATTRIBUTED, UNKNOWN
from exporter.reconcile.comparison import LEAST
from exporter.reconcile.log import logged
from exporter.reconcile.period import DayRange

_AMOUNTS = sql.SQL("SELECT left({name}, {length}), {amount} FROM {table} LIMIT {rows}")
_CORRECTION = sql.SQL("UPDATE {table} SET {column} = {usd} WHERE {user} = {name};")


@dataclass(frozen=True)
class WrongBudget:
    """A budget row whose recorded spend of a window (day or month) is not the log's; money units, and the SQL."""

    user: str
    window: str
    recorded: int
    logged: int
    correction: str


@dataclass(frozen=True)
class WrongEstimate:
    """An operation whose calls cost another amount than its route says: money units a call, and how many calls."""

    operation: str
    estimated: int
    logged: int
    calls: int


def wrong_budgets(
    session: Session, config: Config, rules: Classification, tolerance: Decimal, now: DayRange
) -> list[WrongBudget]:
    """The budget rows that disagree with the log past the tolerance, the largest difference first.

    `now` is any period that ends at the present. Raises `DatabaseError`.
    """
    table = find_table(session, config, "budgets")
    if table is None:
        return []
    log = session.log(rules)
    windows = {"day": ("spent_today", day_window), "month": ("spent_month", month_window)}
    found: list[WrongBudget] = []
    for name, (role, window) in windows.items():
        if role not in table.columns:
            continue
        bounds = window(now.hi - 1, now.zone)
        amounts = logged(session, log, rules, "user", DayRange(bounds.start, now.hi, now.zone))
        found += _disagreeing(
            session, table, role, name, {user: units for user, (units, _) in amounts.items()}, tolerance
        )
    return sorted(found, key=lambda each: (-abs(each.recorded - each.logged), each.user, each.window))


def _disagreeing(
    session: Session, table: Table, role: str, window: str, amounts: Mapping[str, int], tolerance: Decimal
) -> Iterator[WrongBudget]:
    for text, spent in _amounts(session, table, "user", role, MOST_BUDGETS, signed=True):
        user = user_name(text)
        if user == UNATTRIBUTED or text is None:
            continue
        recorded, known = money_units(spent or Decimal(0)), amounts.get(user, 0)
        if abs(recorded - known) > max(tolerance * abs(known), Decimal(LEAST)):
            yield WrongBudget(user, window, recorded, known, _correction(table, role, text, known))


def _correction(table: Table, role: str, user: str, units: int) -> str:
    # to the micro-dollar, which both layouts hold
    usd = sql.Literal(round(Decimal(units) / USD, 6))
    statement = _CORRECTION.format(
        table=table.name, column=table.column(role), usd=usd, user=table.column("user"), name=sql.Literal(user)
    )
    return statement.as_string(None)


def wrong_estimates(
    session: Session, config: Config, log: LogTable, rules: Classification, tolerance: Decimal, period: DayRange
) -> list[WrongEstimate]:
    """The operations whose calls cost another amount, past the tolerance, than `estimated_cost_usd` of their route."""
    table = find_table(session, config, "routes")
    if table is None or "estimated_cost" not in table.columns:
        return []
    # finding a table proves that its rows are visible, which holds for the one that was looked at last
    estimates = {
        clean_label(operation, UNKNOWN): money_units(usd)
        for operation, usd in _amounts(session, table, "operation", "estimated_cost", MOST_ROUTES, signed=False)
        if usd is not None
    }
    session.log(rules)
    found = []
    for operation, (units, calls) in sorted(logged(session, log, rules, "operation", period).items()):
        estimated = estimates.get(operation)
        if estimated is not None and calls and abs(units - estimated * calls) > tolerance * estimated * calls:
            found.append(WrongEstimate(operation, estimated, units // calls, calls))
    return found


def _amounts(
    session: Session, table: Table, name: str, amount: str, most: int, *, signed: bool
) -> Iterator[tuple[str | None, Decimal | None]]:
    query = _AMOUNTS.format(
        name=table.value(name),
        length=sql.Literal(READ_LENGTH),
        amount=values.usd(table.value(amount), sql.Literal(LARGEST_AMOUNT), signed=signed),
        table=table.name,
        rows=sql.Literal(most + 1),
    )
    rows = session.run(query)
    if len(rows) > most:
        raise TooManyRows(
            f"{table.relation.name} has more than {most} rows, too many to read", "name a view with fewer"
        )
    yield from rows
