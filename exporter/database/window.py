"""Reading the open window again and again: most of its rows have been read before."""

from itertools import groupby
from operator import itemgetter
from typing import Any

from psycopg.rows import namedtuple_row

from exporter.config import Classification
from exporter.database.changes import ChangeReader
from exporter.database.encoding import Charset
from exporter.database.log_query import Shape, span_parameters, span_statement
from exporter.database.log_table import LogTable
from exporter.database.log_time import is_utc
from exporter.database.measures import adds_up
from exporter.database.reader import sums_of_span
from exporter.database.rows import BucketReader, named_rows
from exporter.database.session import Session
from exporter.database.versions import Versions, look_at_versions
from exporter.figures import Figure
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Bucket, TimeRange
from exporter.prices.book import Prices

_LONGEST_BY_CHANGES = 240 * MINUTE
"""Seconds of a span up to which it is read by its changes: each of its minutes is counted by itself, and what a
statement brings has at most 1,664 columns."""

FEW = 4000
"""Rows of the log up to which they are read as they are: that is quicker than to have them summed."""

Row = tuple[Any, ...]

_UNKNOWN: tuple[list[Row], Bucket] = ([], Bucket())


def versions_of(session: Session, log: LogTable, classification: Classification) -> Versions:
    """Whether the window is read by what has changed in it."""
    if not adds_up(log, classification):
        return Versions(blind="its whole numbers may have decimals")
    if not is_utc(log, classification):
        return Versions(blind="its times are of a zone with gaps")
    return look_at_versions(session, log)


class WindowReader:
    """Reads a span by the minute. A minute with the same rows as in the last read is the same bucket again, and to
    one that has the same rows and more only those are added.

    For one thread at a time.
    """

    def __init__(self, prices: Prices | None = None) -> None:
        """The cost of calls is checked by `prices`."""
        self._prices = prices
        self._changes = ChangeReader(prices)
        self._few = True
        self._source: tuple[LogTable, Classification, Charset] | None = None
        self._known: dict[int, tuple[list[Row], Bucket]] = {}

    def read(
        self, session: Session, log: LogTable, classification: Classification, span: TimeRange
    ) -> dict[int, Bucket]:
        """As `read_span`, by the minute."""
        if span.hi - span.lo <= _LONGEST_BY_CHANGES:
            versions = versions_of(session, log, classification)
            if not versions.blind:
                self._known = {}
                return self._changes.read(session, log, classification, span, proof=versions.proof, few=FEW)
        if self._few and adds_up(log, classification):
            few = self._read_few(session, log, classification, span)
            if few is not None:
                return few
        return self._read_many(session, log, classification, span)

    def _read_many(
        self, session: Session, log: LogTable, classification: Classification, span: TimeRange
    ) -> dict[int, Bucket]:
        """The rows as sums. These may be many: none is kept."""
        self._known = {}
        found = BucketReader(classification, self._prices)
        statement = sums_of_span(session, log, classification, Shape.USERS)
        found.add(session.stream(statement, span_parameters(log, classification, span, MINUTE), namedtuple_row))
        buckets = found.buckets()
        self._few = sum(cell[Figure.ROWS] for bucket in buckets.values() for cell in bucket.cells.values()) <= FEW
        return buckets

    def _read_few(
        self, session: Session, log: LogTable, classification: Classification, span: TimeRange
    ) -> dict[int, Bucket] | None:
        """The rows as they are, or None where they are more than `FEW`."""
        self._prepare(session, log, classification)
        names, rows = session.table(self._statement, span_parameters(log, classification, span, MINUTE, FEW + 1))
        if len(rows) > FEW:
            return None
        minutes: dict[int, list[Row]] = {}
        # most rows come in the order of their times
        for start, run in groupby(rows, itemgetter(names.index("slice"))):
            minutes.setdefault(start, []).extend(run)
        self._known = {start: (found, self._bucket(names, start, found)) for start, found in minutes.items()}
        return {start: bucket for start, (_, bucket) in self._known.items()}

    def _prepare(self, session: Session, log: LogTable, classification: Classification) -> None:
        """Compose the statement, unless it is the last one: what is known was read by that."""
        source = log, classification, session.charset
        if source != self._source:
            self._source, self._known, self._reader = None, {}, BucketReader(classification, self._prices)
            self._statement = session.encoded(span_statement(log, classification, Shape.EACH))
            self._source = source

    def _bucket(self, names: tuple[str, ...], start: int, rows: list[Row]) -> Bucket:
        known, bucket = self._known.get(start, _UNKNOWN)
        if known == rows:
            return bucket
        more = _beside(known, rows)
        if more is None:
            bucket, more = Bucket(), rows
        return self._reader.extended(start, bucket, named_rows(names, more))


def _beside(known: list[Row], rows: list[Row]) -> list[Row] | None:
    """The rows behind those that are known, or before them, as an index has them; None where they lie otherwise."""
    more = len(rows) - len(known)
    if rows[: len(known)] == known:
        return rows[len(known) :]
    return rows[:more] if more > 0 and rows[more:] == known else None
