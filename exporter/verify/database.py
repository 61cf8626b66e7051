"""Check the database, and sum the spend of a time range with plain SQL."""

from decimal import Decimal

from psycopg import sql

from exporter.config import UPPER_BOUNDS, Config
from exporter.database.conninfo import ConnInfo
from exporter.database.errors import DatabaseError, scrub
from exporter.database.log_time import instant, span_bounds
from exporter.database.one_session import one_session
from exporter.findings import Finding, fail, ok
from exporter.ledger.model import TimeRange

NAME = "database"
_SECONDS = 60.0

# A plain sum. Of the exporter's code it uses only the meaning of a time and of a usable cost.
_SPENT = sql.SQL("""
SELECT coalesce(sum({cost}) FILTER (WHERE {cost} BETWEEN 0 - %(most)s AND %(most)s), 0)
FROM {table} WHERE {time} >= %(from)s AND {time} < %(until)s AND {instant} >= %(lo)s AND {instant} < %(hi)s
""")


def check_database(config: Config, info: ConnInfo) -> Finding:
    """Check that the server answers, and that the role sees every row of the log."""
    try:
        with one_session(config, info, "verify", _SECONDS) as session:
            log = session.log(config.classification())
        return ok(NAME, f"{log.relation.name} at {scrub(info.display, info)}, every row visible")
    except DatabaseError as error:
        return fail(NAME, error.detail, error.hint)


def spent_since(config: Config, info: ConnInfo, start: int) -> Decimal:
    """USD in the log from `start` (seconds since the epoch) to now by the database's clock. Raises `DatabaseError`."""
    rules = config.classification()
    with one_session(config, info, "verify", _SECONDS) as session:
        log = session.log(rules)
        span = TimeRange(start, int(session.clock) + 1)
        statement = _SPENT.format(
            cost=log.number("cost"),
            time=log.column("time"),
            instant=instant(log, rules),
            table=log.source(),
        )
        words = span_bounds(log, rules, span) | {"hi": session.clock, "most": UPPER_BOUNDS["cost"]}
        ((usd,),) = session.run(statement, words)
    return Decimal(usd)
