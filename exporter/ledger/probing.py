"""Which slices to probe for late rows, and which of them differ from what the ledger holds.

A probe brings a few sums of each slice, which are compared with the ledger's own aggregates: no extra state is kept,
and a restart loses nothing. What differs is read again in full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from exporter.figures import SUMMED, Figure
from exporter.ledger.aggregate import FAILURES, HISTOGRAMS, LATENCY_SUMS, net, total
from exporter.ledger.calendar import HOUR, MINUTE, QUARTER_HOUR
from exporter.ledger.model import Cell, Phase, Series, Slice, State, TimeRange
from exporter.ledger.packed import once
from exporter.ledger.schedule import oldest_open

RECENT = HOUR + 5 * MINUTE
"""Each round probes all slices with anything younger than this, in seconds: an hour, and time to find a late row."""

ROUNDS = 10
"""The number of rounds in which each older slice is probed once."""

MANY = 3
"""If so many slices differ in one round, the whole log may have changed."""

MOST_TRIES = 3
"""After so many rereads in vain, only a change in the ledger makes a slice worth another try."""

NEWEST = 2**62
"""A sequence after those of all reads."""

Slices = Mapping[int, Slice]
"""The slices of a state, by their start."""


class Sums(NamedTuple):
    """What a probe sums up over the rows of one slice: durations in microseconds, `columns` (of `SUMMED`) in units."""

    rows: int = 0
    calls: int = 0
    failures: int = 0
    latency: int = 0
    columns: Mapping[str, int] = dict.fromkeys(SUMMED, 0)
    time_to_first_token: int = 0


@dataclass(frozen=True)
class Unresolved:
    """A difference that reading the slice again did not settle: what the probe found, and what the ledger held."""

    found: Sums
    held: Sums
    tries: int = 1


@dataclass(frozen=True)
class Suspect:
    """A slice that differs; `sequence` orders the probe's snapshot among all reads."""

    span: TimeRange
    found: Sums
    sequence: int


@dataclass(frozen=True)
class ProbeMemory:
    """What is remembered from one round to the next while the process lives.

    The rotation through older slices goes on at `cursor`. `whole` asks the next round for all older slices: at the
    start, and after an older slice or many slices were found to differ, since such changes rarely come alone.
    """

    cursor: int = 0
    whole: bool = True
    suspects: tuple[Suspect, ...] = ()
    unresolved: Mapping[TimeRange, Unresolved] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """The slices to probe in one round: all of `recent`, and as many of `older`, in order, as time allows."""

    recent: Sequence[TimeRange] = ()
    older: Sequence[TimeRange] = ()


def held_sums(item: Slice) -> Sums:
    """The sums that the ledger holds for a slice."""
    return once(item.cells, _sums_of)


def _sums_of(cells: Mapping[Series, Cell]) -> Sums:
    sums = total(cell.current for cell in cells.values())
    return Sums(
        rows=sums[Figure.ROWS],
        calls=sums[Figure.CALLS],
        failures=sum(sums[FAILURES]),
        latency=sum(sums[LATENCY_SUMS]),
        # in the column of costs, refunds are below 0
        columns={name: net(sums) if figure is Figure.COST else sums[figure] for name, figure in SUMMED.items()},
        time_to_first_token=sum(sums[HISTOGRAMS["time_to_first_token"].sums]),
    )


def next_round(memory: ProbeMemory, state: State, now: int) -> Round:
    """What to probe: every slice that may change, up to the open window, which each scrape reads anyway."""
    progress = state.progress
    if progress.phase != Phase.RUNNING:
        return Round()
    quarters = [
        TimeRange(start, start + QUARTER_HOUR) for start in range(state.changeable, progress.merged, QUARTER_HOUR)
    ]
    minutes = range(progress.merged, oldest_open(state), MINUTE)
    spans = quarters + [TimeRange(start, start + MINUTE) for start in minutes]
    # newest first: most late rows are minutes late
    recent = [span for span in reversed(spans) if span.hi > now - RECENT]
    older = [span for span in spans if span.hi <= now - RECENT]
    # a restart of the rotation would probe the same slices for ever where time is short
    rotated = [span for span in older if span.lo >= memory.cursor] + [span for span in older if span.lo < memory.cursor]
    most = len(older) if memory.whole else -(-len(older) // ROUNDS)
    return Round(recent, rotated[:most])


def judge(
    memory: ProbeMemory, asked: Round, slices: Slices, found: Mapping[TimeRange, Sums], sequence: int
) -> ProbeMemory:
    """What to remember of a round that asked for some slices and `found` the sums of all or some of them.

    `sequence` orders its snapshot among all reads.
    """
    suspects = []
    # what was probed again is judged by the newer sums
    waiting = [suspect for suspect in memory.suspects if suspect.span not in found]
    unresolved = {span: known for span, known in memory.unresolved.items() if _slice_of(slices, span) is not None}
    for span, sums in found.items():
        item = _slice_of(slices, span, sequence)
        if item is None:
            continue
        held = held_sums(item)
        if held == sums:
            unresolved.pop(span, None)
        # what reading again does not settle must not be read for ever
        elif not _is_known(unresolved.get(span), sums, held):
            suspects.append(Suspect(span, sums, sequence))
    looked_at = [span for span in asked.older if span in found]
    unfinished = memory.whole and len(looked_at) < len(asked.older)
    return ProbeMemory(
        cursor=looked_at[-1].hi if looked_at else memory.cursor,
        whole=unfinished or len(suspects) >= MANY or not {s.span for s in suspects}.isdisjoint(looked_at),
        suspects=tuple(sorted([*waiting, *suspects], key=lambda suspect: suspect.span.lo)),
        unresolved=unresolved,
    )


def next_span(memory: ProbeMemory, slices: Slices, length: int) -> TimeRange | None:
    """The newest run of neighbouring suspects, at most `length` seconds of them; None if none is left.

    Quarters and minutes are not mixed. What was read since its probe is no longer a suspect.
    """
    spans = [s.span for s in memory.suspects if _slice_of(slices, s.span, s.sequence) is not None]
    if not spans:
        return None
    # the newest rows matter most to alerts
    newest = spans.pop()
    width, lo = newest.hi - newest.lo, newest.lo
    while spans and spans[-1] == TimeRange(lo - width, lo) and newest.hi - lo + width <= max(length, width):
        lo = spans.pop().lo
    return TimeRange(lo, newest.hi)


def settle(memory: ProbeMemory, slices: Slices, read: TimeRange) -> ProbeMemory:
    """What to remember once the suspects within a span have been read again; `slices` are those after that."""
    unresolved = dict(memory.unresolved)
    left = []
    for suspect in memory.suspects:
        span = suspect.span
        if not (read.lo <= span.lo and span.hi <= read.hi):
            left.append(suspect)
            continue
        known, item = unresolved.pop(span, None), _slice_of(slices, span)
        if item is not None and (held := held_sums(item)) != suspect.found:
            # a change in the ledger is progress: the count of tries begins anew
            tries = known.tries if known is not None and known.held == held else 0
            unresolved[span] = Unresolved(suspect.found, held, tries + 1)
    return replace(memory, suspects=tuple(left), unresolved=unresolved)


def _slice_of(slices: Slices, span: TimeRange, sequence: int = NEWEST) -> Slice | None:
    """The slice of exactly this span, unless it was read from a snapshot newer than `sequence`."""
    item = slices.get(span.lo)
    if item is None or item.start + item.width != span.hi or item.sequence > sequence:
        return None
    return item


def _is_known(known: Unresolved | None, found: Sums, held: Sums) -> bool:
    return known is not None and known.held == held and (known.found == found or known.tries >= MOST_TRIES)
