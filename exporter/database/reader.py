"""Reading a span of the log into minutes."""

from exporter.config import Classification
from exporter.database.log_query import LogTable, span_query, undated_query
from exporter.database.rows import read_minutes
from exporter.database.session import Session
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Minute, Skip, Span

MOST_UNDATED = 1000
"""Rows without a usable time that are counted of each kind."""


def read_span(
    session: Session, log: LogTable, rules: Classification, span: Span, *, width: int = MINUTE, piece: int | None = None
) -> dict[int, Minute]:
    """What the log holds for a span, in slices of `width` seconds, by their start.

    With `piece` the span is read by several statements for that many seconds each, out of the same snapshot.
    """
    minutes: dict[int, Minute] = {}
    step = piece or span.hi - span.lo
    for lo in range(span.lo, span.hi, step):
        rows = session.run(*span_query(log, rules, Span(lo, min(lo + step, span.hi)), width))
        minutes.update(read_minutes(rows, rules.aliases))
    return minutes


def read_undated(session: Session, log: LogTable) -> dict[Skip, int]:
    """How many rows have no usable time, `MOST_UNDATED` of each kind at most."""
    ((null, infinite, minus_infinite),) = session.run(undated_query(log, MOST_UNDATED))
    return {Skip("time", "null"): null, Skip("time", "infinite"): infinite + minus_infinite}
