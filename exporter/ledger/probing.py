"""Which slices to look at for late rows, and which of them differ from what the ledger holds.

A probe brings a few sums of each slice. The ledger's own aggregates are what they are compared with, so nothing has to
be kept for it, and a restart loses nothing. What differs is read again in full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.ledger.agenda import oldest_open
from exporter.ledger.aggregate import BUCKET_SUMS, FAILURES, Field
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER
from exporter.ledger.model import RUNNING, Slice, Span, State

RECENT = HOUR + 5 * MINUTE
"""Slices with anything younger than this, in seconds, are looked at in each round: an hour, and time to find it."""

ROUNDS = 10
"""The number of rounds in which all older slices have been looked at once."""

MANY = 3
"""So many slices that differ in one round are taken for a change that goes through the whole log."""

MOST_TRIES = 3
"""How often a slice is read again in vain before only a change in the ledger makes it worth another try."""

NEWEST = 2**62
"""A place after those of all reads."""

Slices = Mapping[int, Slice]
"""The slices of a state, by their start."""


class Sums(NamedTuple):
    """What a probe sums up over the rows of one slice; money in ledger units, latency in microseconds."""

    rows: int = 0
    calls: int = 0
    failures: int = 0
    cost: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    latency: int = 0


@dataclass(frozen=True)
class Unresolved:
    """A difference that reading the slice again did not settle: what the probe found, what the ledger held then."""

    found: Sums
    held: Sums
    tries: int = 1


@dataclass(frozen=True)
class Suspect:
    """A slice that differs, by a probe whose snapshot has the place `sequence` among all reads."""

    span: Span
    found: Sums
    sequence: int


@dataclass(frozen=True)
class Watch:
    """What is remembered from one round to the next, for as long as the process lives.

    `cursor` is the older slice with which the rotation goes on. `whole` asks the next round for all older slices: so it
    is at the start, and after an older one or many were found to differ, since such changes come in numbers.
    """

    cursor: int = 0
    whole: bool = True
    suspects: tuple[Suspect, ...] = ()
    unresolved: Mapping[Span, Unresolved] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """The slices to look at in one round: all of `recent`, and as many of `older`, in order, as time allows."""

    recent: Sequence[Span] = ()
    older: Sequence[Span] = ()


def held_sums(item: Slice) -> Sums:
    """The sums that the ledger holds for a slice."""
    current = [cell.current for cell in item.cells.values()]
    return Sums(
        sum(figures[Field.ROWS] for figures in current),
        sum(figures[Field.CALLS] for figures in current),
        sum(sum(figures[FAILURES]) for figures in current),
        sum(figures[Field.COST] for figures in current),
        sum(figures[Field.INPUT_TOKENS] for figures in current),
        sum(figures[Field.OUTPUT_TOKENS] for figures in current),
        sum(sum(figures[BUCKET_SUMS]) for figures in current),
    )


def next_round(watch: Watch, state: State, now: int) -> Round:
    """What to look at: every slice that may change, up to where the next read of the open window begins anyway."""
    progress = state.progress
    if progress.phase != RUNNING:
        return Round()
    quarters = [Span(start, start + QUARTER) for start in range(state.changeable, progress.merged, QUARTER)]
    minutes = range(progress.merged, oldest_open(state, progress), MINUTE)
    spans = quarters + [Span(start, start + MINUTE) for start in minutes]
    recent = [span for span in reversed(spans) if span.hi > now - RECENT]
    older = [span for span in spans if span.hi <= now - RECENT]
    rotated = [span for span in older if span.lo >= watch.cursor] + [span for span in older if span.lo < watch.cursor]
    most = len(older) if watch.whole else -(-len(older) // ROUNDS)
    return Round(recent, rotated[:most])


def judge(watch: Watch, asked: Round, slices: Slices, found: Mapping[Span, Sums], sequence: int) -> Watch:
    """What is to be remembered of a round that asked for some slices and `found` the sums of them, or of fewer.

    `sequence` is the place of its snapshot among all reads.
    """
    suspects = []
    waiting = [suspect for suspect in watch.suspects if suspect.span not in found]
    unresolved = {span: known for span, known in watch.unresolved.items() if _slice_of(slices, span) is not None}
    for span, sums in found.items():
        item = _slice_of(slices, span, sequence)
        if item is None:
            continue
        held = held_sums(item)
        if held == sums:
            unresolved.pop(span, None)
        elif not _is_known(unresolved.get(span), sums, held):
            suspects.append(Suspect(span, sums, sequence))
    looked_at = [span for span in asked.older if span in found]
    unfinished = watch.whole and len(looked_at) < len(asked.older)
    return Watch(
        cursor=looked_at[-1].hi if looked_at else watch.cursor,
        whole=unfinished or len(suspects) >= MANY or not {s.span for s in suspects}.isdisjoint(looked_at),
        suspects=tuple(sorted([*waiting, *suspects], key=lambda suspect: suspect.span.lo)),
        unresolved=unresolved,
    )


def next_span(watch: Watch, slices: Slices, length: int) -> Span | None:
    """The newest run of neighbouring suspects, at most `length` seconds of them; None where nothing is left.

    Quarters and minutes are not mixed, and what was read since its probe is not a suspect any more.
    """
    spans = [s.span for s in watch.suspects if _slice_of(slices, s.span, s.sequence) is not None]
    if not spans:
        return None
    newest = spans.pop()
    width, lo = newest.hi - newest.lo, newest.lo
    while spans and spans[-1] == Span(lo - width, lo) and newest.hi - lo + width <= max(length, width):
        lo = spans.pop().lo
    return Span(lo, newest.hi)


def settle(watch: Watch, slices: Slices, read: Span) -> Watch:
    """What is to be remembered once the suspects within a span have been read again; `slices` are those after it."""
    unresolved = dict(watch.unresolved)
    left = []
    for suspect in watch.suspects:
        span = suspect.span
        if not (read.lo <= span.lo and span.hi <= read.hi):
            left.append(suspect)
            continue
        known, item = unresolved.pop(span, None), _slice_of(slices, span)
        if item is not None and (held := held_sums(item)) != suspect.found:
            tries = known.tries if known is not None and known.held == held else 0
            unresolved[span] = Unresolved(suspect.found, held, tries + 1)
    return replace(watch, suspects=tuple(left), unresolved=unresolved)


def _slice_of(slices: Slices, span: Span, sequence: int = NEWEST) -> Slice | None:
    """The slice of exactly this span, unless a snapshot that is newer than `sequence` has replaced it."""
    item = slices.get(span.lo)
    if item is None or item.start + item.width != span.hi or item.sequence > sequence:
        return None
    return item


def _is_known(known: Unresolved | None, found: Sums, held: Sums) -> bool:
    return known is not None and known.held == held and (known.found == found or known.tries >= MOST_TRIES)
