"""Check that no expression divides whole numbers, which drops the decimals: 150 cents / 100 are 1 dollar."""

import psycopg

from exporter.config import UPPER_BOUNDS
from exporter.config.expressions import Expression
from exporter.database.columns import INTEGERS
from exporter.database.errors import DatabaseError
from exporter.database.mapping import made_column
from exporter.findings import Finding, fail, ok, warn
from exporter.preflight.context import CheckContext

DIVISION = "division"


def check_division(context: CheckContext) -> list[Finding]:
    """Check the types of all quotients in the expressions of figures."""
    found = []
    for role in UPPER_BOUNDS:
        column = context.log.columns.get(role)
        quotients = () if column is None or column.expression is None else column.expression.quotients
        whole = [quotient for quotient in quotients if _is_whole(context, role, quotient)]
        if whole:
            # a part of a cent is money, and a part of a millisecond is none
            found.append(
                (fail if role == "cost" else warn)(
                    DIVISION,
                    f"columns.log.{role}: {whole[0]} divides whole numbers, which drops the decimals",
                    "divide by a number with decimals, such as 100.0; div(a, b) says that they are to be dropped",
                )
            )
    return found or [ok(DIVISION, "no expression divides whole numbers")]


def _is_whole(context: CheckContext, role: str, quotient: Expression) -> bool:
    try:
        with context.session.savepoint():
            return made_column(context.session, context.relation, role, quotient).type in INTEGERS
    except (psycopg.Error, DatabaseError):
        if context.session.lost:
            raise
        return False  # the parser writes a part in another way than PostgreSQL reads it
