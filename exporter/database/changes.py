"""Read a window by what has changed in it since the last read, where the versions of its rows tell that."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from psycopg import sql
from psycopg.rows import namedtuple_row

from exporter.config import Classification
from exporter.database.encoding import Numbered
from exporter.database.log_query import OLDEST_UNDER_WAY, Shape, span_parameters, span_statement
from exporter.database.log_table import LogTable
from exporter.database.log_time import bounds
from exporter.database.names import identifier
from exporter.database.rows import COUNTING, BucketReader, SpanRow, named_rows
from exporter.database.session import Session
from exporter.ledger.calendar import MINUTE, floor_to
from exporter.ledger.model import Bucket, TimeRange
from exporter.prices.book import Prices

LONGEST = 900
"""Seconds after which a window is read whole again."""

TORN_READS = 10
"""Reads that take minutes whole at once, after rows of minutes as old have been found changed or deleted."""

_UNDER_WAY = sql.SQL("SELECT {}").format(OLDEST_UNDER_WAY)
_COUNT = sql.SQL(", (SELECT count(*) FROM {table} WHERE {time} >= {lower} AND {time} < {upper})")
_FIRST = "3"
"""The oldest transaction that can have written a row."""

_EMPTY = Bucket()


@dataclass(frozen=True)
class _Minute:
    """What is known of a minute: of the `rows` that are settled, and of all.

    `loose` are those that are not settled, None where they are some that were read as sums.
    """

    rows: int = 0
    settled: Bucket = _EMPTY
    loose: Sequence[SpanRow] | None = field(default_factory=list)
    bucket: Bucket = _EMPTY


_NOTHING = _Minute()


@dataclass(frozen=True)
class _Window:
    """A window as read: by what, when (seconds since the epoch), and which transactions had ended by then."""

    source: Hashable
    clock: float
    span: TimeRange
    settled_before: str
    minutes: Mapping[int, _Minute]


class _Parts(NamedTuple):
    """Rows of a minute that were read, by whether they are settled."""

    settled: list[SpanRow]
    loose: list[SpanRow]


@dataclass
class _Found:
    """What a read has brought: rows by minute, the rows of the log in each minute that was known, and what is settled.

    `kept` says that rows are in memory as the log has them, and not as sums.
    """

    settled_before: str
    counts: Mapping[int, int]
    kept: bool
    minutes: dict[int, _Parts] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Iterable[int], counted: Sequence[Any], rows: Iterable[Any], *, kept: bool) -> Self:
        """What the two statements have brought; `asked` are the minutes that were counted."""
        settled_before, *counts = counted
        found = cls(settled_before, dict(zip(asked, counts, strict=True)), kept)
        for row in rows:
            parts = found.minutes.get(row.slice)
            if parts is None:
                parts = found.minutes[row.slice] = _Parts([], [])
            (parts.settled if row.settled else parts.loose).append(row)
            if row.grouped_by in COUNTING:
                found.rows[row.slice] = found.rows.get(row.slice, 0) + row.rows
        return found


def _is_whole(start: int, known: _Window, since: int, found: _Found) -> bool:
    """Whether what is known of a minute is still there, beside what was found."""
    before = known.minutes.get(start, _NOTHING).rows if start < since else 0
    return found.counts[start] == before + found.rows.get(start, 0)


class ChangeReader:
    """Reads a span by the minute: a minute in which nothing has changed is the same bucket again. For one thread."""

    def __init__(self, prices: Prices | None = None) -> None:
        """The cost of calls is checked by `prices`."""
        self._prices = prices
        self._few = 0
        self._source: Hashable = None
        self._window: _Window | None = None
        self._reads_each = {True: True, False: True}  # by whether a window is known
        self._torn_seconds = self._torn_reads = 0

    def read(
        self,
        session: Session,
        log: LogTable,
        classification: Classification,
        span: TimeRange,
        *,
        proof: Hashable,
        few: int,
    ) -> dict[int, Bucket]:
        """As `read_span`. `proof` is what `look_at_versions` says of the log; more than `few` rows are read as sums."""
        self._few = few
        self._prepare(session, log, classification, proof)
        known, self._window = self._window, None  # not kept where this fails
        if known is not None and not self._serves(known, session, span):
            known = None
        since = span.lo if known is None else max(span.lo, min(known.span.hi, self._at_once(span)))
        found = self._read(session, span, known, since)
        if known is not None and (torn := [at for at in found.counts if not _is_whole(at, known, since, found)]):
            # rows have been changed, or are gone, or have moved: from there on nothing is taken as known
            since = min(torn)
            self._torn_seconds, self._torn_reads = span.hi - since, TORN_READS
            found = self._read(session, span, known, since)
        self._torn_reads -= 1
        minutes = self._joined(known, since, span, found)
        self._window = _Window(self._source, session.clock, span, found.settled_before, minutes)
        return {start: minute.bucket for start, minute in minutes.items()}

    def _prepare(self, session: Session, log: LogTable, classification: Classification, proof: Hashable) -> None:
        source = proof, log, classification, session.charset
        if source != self._source:
            self._source, self._window = None, None
            self._log, self._classification = log, classification
            self._reader = BucketReader(classification, self._prices)
            self._each = Numbered.of(session.encoded(span_statement(log, classification, Shape.EACH, changed=True)))
            self._sums = span_statement(log, classification, Shape.USERS, changed=True)
            self._counted: dict[int, Numbered] = {}
            self._source = source

    def _serves(self, known: _Window, session: Session, span: TimeRange) -> bool:
        """Whether a span can be read by what is known of another one."""
        in_time = known.clock <= session.clock <= known.clock + LONGEST
        return in_time and known.span.lo <= span.lo and known.span.hi <= span.hi

    def _at_once(self, span: TimeRange) -> int:
        """From when on minutes are taken whole at once, since it is likely that rows of them have changed."""
        return floor_to(span.hi - self._torn_seconds, MINUTE) if self._torn_reads > 0 else span.hi

    def _read(self, session: Session, span: TimeRange, known: _Window | None, since: int) -> _Found:
        """Rows from `since` on, and of those before it all that are not settled by what is known."""
        log, classification = self._log, self._classification
        asked = range(span.lo, since, MINUTE)
        counts = self._counts(session, [TimeRange(start, min(start + MINUTE, span.hi)) for start in asked])
        parameters = {
            **span_parameters(log, classification, span, MINUTE),
            "known_until": bounds(log, classification, TimeRange(since, span.hi))[0],
            "settled_before": _FIRST if known is None else known.settled_before,
        }
        if self._reads_each[known is not None]:
            each = self._each, {**parameters, "most_rows": self._few + 1}
            (_, (counted,)), (names, rows) = session.tables([counts, each])
            if len(rows) <= self._few:
                return _Found.of(asked, counted, named_rows(names, rows), kept=True)
        ((_, (counted,)),) = session.tables([counts])
        sums = session.stream(self._sums, parameters, namedtuple_row)
        found = _Found.of(asked, counted, sums, kept=False)
        self._reads_each[known is not None] = sum(found.rows.values()) <= self._few
        return found

    def _counts(self, session: Session, stretches: Sequence[TimeRange]) -> tuple[Numbered, dict[str, Any]]:
        """The statement for the oldest transaction under way, and for the rows in each stretch; its parameters."""
        parameters: dict[str, Any] = {}
        for number, stretch in enumerate(stretches):
            lower, upper = bounds(self._log, self._classification, stretch)
            parameters |= {f"from_{number}": lower, f"until_{number}": upper}
        if len(stretches) not in self._counted:
            self._counted = {len(stretches): Numbered.of(session.encoded(self._count_statement(len(stretches))))}
        return self._counted[len(stretches)], parameters

    def _count_statement(self, stretches: int) -> sql.Composed:
        table, time = identifier(*self._log.relation.name.parts), self._log.column("time")
        counts = [
            _COUNT.format(
                table=table,
                time=time,
                lower=sql.Placeholder(f"from_{number}"),
                upper=sql.Placeholder(f"until_{number}"),
            )
            for number in range(stretches)
        ]
        return _UNDER_WAY + sql.Composed(counts)

    def _joined(self, known: _Window | None, since: int, span: TimeRange, found: _Found) -> dict[int, _Minute]:
        """All minutes that have rows, by what is known of those before `since`, and by what was found."""
        before = {} if known is None else known.minutes
        starts = {start for start in before if span.lo <= start < since} | found.minutes.keys()
        minutes = {
            start: self._minute(start, before.get(start, _NOTHING), found, known=start < since)
            for start in sorted(starts)
        }
        return {start: minute for start, minute in minutes.items() if minute.rows or minute.loose != []}

    def _minute(self, start: int, before: _Minute, found: _Found, *, known: bool) -> _Minute:
        """A minute beside what was found of it, if it is `known` else: as it was `before` only where that is the same.

        The one that is the same is the very same bucket again.
        """
        base, parts = before if known else _NOTHING, found.minutes.get(start) or _Parts([], [])
        settled = self._with(start, base.settled, parts.settled)
        if settled is base.settled and parts.loose == base.loose:
            return base
        bucket = self._with(start, settled, parts.loose)
        return _Minute(
            rows=base.rows + sum(row.rows for row in parts.settled if row.grouped_by in COUNTING),
            settled=settled,
            loose=parts.loose if found.kept or not parts.loose else None,
            bucket=before.bucket if bucket == before.bucket else bucket,
        )

    def _with(self, start: int, bucket: Bucket, rows: Sequence[SpanRow]) -> Bucket:
        return self._reader.extended(start, bucket, rows) if rows else bucket
