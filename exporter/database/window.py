"""Reading the open window again and again: most of its rows have been read before."""

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from psycopg.rows import namedtuple_row

from exporter.config import Classification
from exporter.database.log_query import LogTable, Shape, span_query
from exporter.database.rows import BucketReader
from exporter.database.session import Session
from exporter.figures import Figure
from exporter.ledger.calendar import MINUTE
from exporter.ledger.model import Bucket, TimeRange

FEW = 4000
"""Rows of the log up to which they are read as they are: that is quicker than to have them summed."""

MOST_KEPT = 20_000
"""Rows of a result up to which they are kept, to be compared with the next one."""


class WindowReader:
    """Reads a span by the minute. A minute with the same rows as in the last read is the same bucket again.

    For one thread at a time.
    """

    def __init__(self) -> None:
        self._few = True
        self._classification: Classification | None = None
        self._known: dict[int, tuple[list[Any], Bucket]] = {}

    def read(
        self, session: Session, log: LogTable, classification: Classification, span: TimeRange
    ) -> dict[int, Bucket]:
        """As `read_span`, by the minute."""
        if classification is not self._classification:
            self._classification, self._reader, self._known = classification, BucketReader(classification), {}
        if self._few:
            query = span_query(log, classification, span, MINUTE, FEW + 1, shape=Shape.EACH)
            rows = list(session.stream(*query, namedtuple_row))
            if len(rows) <= FEW:
                return self._buckets(rows)
        stream = session.stream(*span_query(log, classification, span, MINUTE), namedtuple_row)
        rows = list(islice(stream, MOST_KEPT + 1))
        if len(rows) <= MOST_KEPT:
            buckets = self._buckets(rows)
        else:
            self._known = {}
            buckets = self._reader.of(chain(rows, stream))
        self._few = sum(cell[Figure.ROWS] for bucket in buckets.values() for cell in bucket.cells.values()) <= FEW
        return buckets

    def _buckets(self, rows: Iterable[Any]) -> dict[int, Bucket]:
        """The bucket of each minute: only those are made of which a row has changed."""
        minutes: dict[int, list[Any]] = {}
        for row in rows:
            minutes.setdefault(row.slice, []).append(row)
        self._known = {start: (found, self._bucket(start, found)) for start, found in minutes.items()}
        return {start: bucket for start, (_, bucket) in self._known.items()}

    def _bucket(self, start: int, rows: list[Any]) -> Bucket:
        known = self._known.get(start)
        return known[1] if known is not None and known[0] == rows else self._reader.of(rows)[start]
