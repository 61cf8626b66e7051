"""Rows that changed settings have dated ahead: counted, and not there until they are due.

Once the log can no longer be read by the settings that dated them, nobody can say under which labels other settings
find them. What was counted is then recognized in what these find, figure by figure.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from exporter.figures import AT_MERGE, Figure
from exporter.ledger.aggregate import FAILURES, ZERO, Aggregate, add, lowest, subtract
from exporter.ledger.model import PUT_OFF, Cell, Series, Slice, State, Tally

Place = tuple[int, Series]
"""The start of a slice, and one of its series."""

_JUDGED = frozenset((Figure.OVER_TIMEOUT, *range(FAILURES.start, FAILURES.stop)))
"""The figures of a call that other settings may judge differently, though the call is the same."""

_UNLIKE = _JUDGED | {Figure.FALLBACKS, *AT_MERGE}
"""The figures that may differ though the rows are the same."""


def _same(figures: Aggregate) -> Aggregate:
    return tuple(0 if at in _UNLIKE else figure for at, figure in enumerate(figures))


_ALIKE: Sequence[Callable[[Place, Aggregate], Hashable]] = (
    lambda place, figures: (place, _same(figures)),
    lambda place, figures: (place[0], _same(figures)),
    lambda place, _: place,
    lambda place, _: place[0],
    lambda place, _: place[1],
    lambda *_: None,
)
"""Where to look for what was counted, the surest place first: a whole series, perhaps renamed, by its figures in the
slice; then any part of it in its place, in its slice, in its series, and anywhere."""


def slices_ahead(state: State) -> dict[int, Slice]:
    """The slices of a state, by their start, that hold rows which are counted and not due."""
    return {start: item for start, item in state.slices.items() if lies_ahead(item, state.progress.position)}


def lies_ahead(item: Slice, position: int) -> bool:
    """Whether a slice holds such rows, when the log was read up to `position`."""
    return item.start >= position or (item.stage == PUT_OFF and item.start + item.width > position)


def recognize(counted: Mapping[int, Slice], found: Mapping[int, Slice]) -> dict[int, Slice]:
    """The slices of `found`, with what was counted of them as their high-water marks.

    `counted` are those of the state, and `found` is what other settings make of all rows that lie ahead, with a slice
    for each of `counted`. What is not found stays counted where it was; what is found beyond it counts when it is due.
    """
    now = {(start, name): cell.current for start, item in found.items() for name, cell in item.cells.items()}
    marks = _recognized(
        {(start, name): cell.high_water for start, item in counted.items() for name, cell in item.cells.items()}, now
    )
    cells: dict[int, dict[Series, Cell]] = {start: {} for start in found}
    for (start, name), mark in sorted(marks.items()):
        cells[start][name] = Cell(now.get((start, name), ZERO), mark)
    result = {}
    for start, item in found.items():
        known = {skip: tally.high_water for skip, tally in counted[start].skipped.items()} if start in counted else {}
        skips = {skip: tally.current for skip, tally in item.skipped.items()}
        tallies = {skip: Tally(skips.get(skip, 0), known.get(skip, 0)) for skip in sorted({*skips, *known})}
        result[start] = replace(item, cells=cells[start], skipped=tallies)
    return result


def _recognized(counted: Mapping[Place, Aggregate], found: Mapping[Place, Aggregate]) -> dict[Place, Aggregate]:
    """How much of what is found was counted, and what was counted beyond it, by place."""
    left, unknown = dict(counted), dict(found)
    # a series that is new in a slice is what the changed settings have made of another one
    order = sorted(found, key=lambda place: (place in counted, place))
    for alike in _ALIKE:
        keys = {place: alike(place, rest) for place, rest in left.items()}
        pools: dict[Hashable, Aggregate] = {}
        for place, rest in left.items():
            pools[keys[place]] = add(pools.get(keys[place], ZERO), rest)
        for place in order:
            if (key := alike(place, unknown[place])) in pools:
                known = lowest(pools[key], unknown[place])
                unknown[place], pools[key] = subtract(unknown[place], known), subtract(pools[key], known)
        for place, key in keys.items():
            left[place] = lowest(pools[key], left[place])
            pools[key] = subtract(pools[key], left[place])
    marks = {place: _known(found[place], subtract(found[place], rest)) for place, rest in unknown.items()}
    for place, rest in left.items():
        marks[place] = add(marks.get(place, ZERO), rest)
    return marks


def _known(found: Aggregate, mark: Aggregate) -> Aggregate:
    """The mark, with what other settings make of calls that have all been counted."""
    if mark[Figure.CALLS] < found[Figure.CALLS]:
        return mark
    return tuple(found[at] if at in _JUDGED else figure for at, figure in enumerate(mark))
