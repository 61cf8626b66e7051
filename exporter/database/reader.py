"""Reading a span of the log into minutes."""

from dataclasses import dataclass

from psycopg.rows import namedtuple_row

from exporter.config import Classification
from exporter.database.log_query import Moved, Shape, span_parameters, span_statement
from exporter.database.log_table import LogTable
from exporter.database.log_time import first_query, undated_query
from exporter.database.measures import spend_query
from exporter.database.rows import BucketReader
from exporter.database.session import Session
from exporter.ledger.aggregate import money_units
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR
from exporter.ledger.model import Bucket, SkippedValue, TimeRange
from exporter.prices.book import Prices

MOST_UNDATED = 1000
"""Rows without a usable time that are counted of each kind."""


@dataclass(frozen=True)
class SpanRows:
    """What the log holds for a span, in slices by their start, and out of how many result rows that was made."""

    buckets: dict[int, Bucket]
    rows: int


def read_rows(
    session: Session,
    log: LogTable,
    classification: Classification,
    span: TimeRange,
    *,
    width: int = MINUTE,
    piece: int | None = None,
    most: int | None = None,
    users_since: int = 0,
    moved: Moved | None = None,
    prices: Prices | None = None,
) -> SpanRows | None:
    """What the log holds for a span, in slices of `width` seconds; None where the result has more than `most` rows.

    With `piece` the span is read by several statements for that many seconds each, out of the same snapshot. Rows are
    taken as they arrive: what is in memory are the slices, and of these the users take up most. Statements that end
    by `users_since` leave them out. What the ledger counts is read with its `prices`.
    `moved` says which rows the span means where that is not said by their own times.
    """
    found = BucketReader(classification, prices, width)
    step = piece or span.hi - span.lo
    # what is wider than a quarter-hour is one slice, wherever it begins
    origin = span.lo if width > QUARTER_HOUR else 0
    for lo in range(span.lo, span.hi, step):
        stretch = TimeRange(lo, min(lo + step, span.hi))
        limit = None if most is None else most - found.rows + 1
        by_user = stretch.hi > users_since
        shape = Shape.USERS if by_user else Shape.SERIES
        statement = sums_of_span(session, log, classification, shape, moved)
        parameters = span_parameters(log, classification, stretch, width, limit, origin, moved)
        found.add(session.stream(statement, parameters, namedtuple_row), by_user=by_user)
        if most is not None and found.rows > most:
            return None
    return SpanRows(found.buckets(), found.rows)


def sums_of_span(
    session: Session, log: LogTable, classification: Classification, shape: Shape, moved: Moved | None = None
) -> bytes:
    """The statement of `log_query.span_query`, composed once for as long as it is the same."""
    return session.composed(
        f"span by {shape}",
        (log, classification, moved),
        lambda: span_statement(log, classification, shape, moved),
    )


def read_span(
    session: Session,
    log: LogTable,
    classification: Classification,
    span: TimeRange,
    *,
    width: int = MINUTE,
    piece: int | None = None,
    prices: Prices | None = None,
) -> dict[int, Bucket]:
    """As `read_rows`, however many rows there are: the slices alone, by their start."""
    found = read_rows(session, log, classification, span, width=width, piece=piece, prices=prices)
    return {} if found is None else found.buckets


def read_spend(session: Session, log: LogTable, classification: Classification, span: TimeRange) -> int:
    """Money units of all rows of a span, summed by the database."""
    ((usd,),) = session.run(*spend_query(log, classification, span))
    return money_units(usd)


def read_first(session: Session, log: LogTable, classification: Classification, span: TimeRange) -> float | None:
    """The time of the first row of a span, in seconds since the epoch; None where it has none. See `first_query`."""
    found = session.run(*first_query(log, classification, span))
    return float(found[0][0]) if found else None


def has_rows(session: Session, log: LogTable, classification: Classification, span: TimeRange) -> bool:
    """Whether a span may have rows; where this is false, it has none. A failure leaves the transaction usable.

    Any row would do. But a plan that hopes for one of many to come soon goes over all that lie before them.
    """
    return bool(session.attempt(*first_query(log, classification, span)))


def read_undated(session: Session, log: LogTable) -> dict[SkippedValue, int]:
    """How many rows have no usable time, `MOST_UNDATED` of each kind at most."""
    ((null, infinite, minus_infinite),) = session.run(undated_query(log, MOST_UNDATED))
    return {SkippedValue("time", "null"): null, SkippedValue("time", "infinite"): infinite + minus_infinite}
