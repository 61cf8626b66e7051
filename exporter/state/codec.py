"""Ledger values as text for the store. Integers of any size survive, which SQLite's own integers would not."""

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from exporter.catalog import ERROR_CLASSES
from exporter.figures import DURATIONS, Figure
from exporter.ledger.aggregate import WIDTH, Aggregate
from exporter.ledger.calendar import MINUTE, QUARTER_HOUR
from exporter.ledger.model import Cell, Phase, Progress, Series, SkippedValue, Slice, Tally, Waiting
from exporter.ledger.packed import pack

LAYOUT: dict[str, list[Any]] = {
    "figures": [field.name.lower() for field in Figure],
    "error_classes": list(ERROR_CLASSES),
    **{f"{role}_edges": list(metric.edges) for role, metric in DURATIONS.items()},
}
"""What the positions in an aggregate mean. A file of a version with fewer of them is carried over by their names."""

FIRST_LAYOUT: dict[str, list[Any]] = {
    "figures": ["rows", "calls", "cost", "input_tokens", "output_tokens", "over_timeout", "fallbacks", "unpriced"],
    "error_classes": [
        "timeout",
        "rate_limit",
        "auth",
        "context_length",
        "content_filter",
        "provider",
        "network",
        "other",
    ],
    "latency_edges": [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0],
}
"""That of the files which do not name it."""

_STORED_NAMES = {"compacted": "folded", "rows_overflowed": "rows_folded"}
"""What files call the fields of a progress that have another name here."""

_SLICES_KNOWN = 4
"""Slices whose cells' texts are kept from one commit to the next: as many as a scrape usually writes."""

Sparse = list[int]
"""Position and value of each figure that is not 0, in one flat list."""


def layout_problem(found: Any) -> str | None:
    """What keeps aggregates of another layout from being read; None where they are of this one, or carried over.

    Counted failures and histograms cannot be sorted into other classes and buckets, and no figure may be lost. A
    figure or histogram that is new here begins at 0.
    """
    for name, wanted in LAYOUT.items():
        kept = found.get(name) if isinstance(found, dict) else None
        known = isinstance(kept, list) and name == "figures" and set(kept) <= set(wanted)
        known = known or (isinstance(found, dict) and name not in found and name not in FIRST_LAYOUT)
        if kept != wanted and not known:
            what = name.replace("_", " ")
            return f"was kept with the {what} {_listed(kept)}, and this version has {_listed(wanted)}"
    return None


def carry_over(kept: Any) -> Callable[[Sparse], Sparse]:
    """What moves the figures of an aggregate from where another layout has them; see `layout_problem` first."""
    positions = {name: position for position, name in enumerate(_positions(LAYOUT))}
    moves = [positions[name] for name in _positions(kept)]

    def moved(sparse: Sparse) -> Sparse:
        values = {moves[position]: value for position, value in zip(sparse[::2], sparse[1::2], strict=True)}
        return [number for pair in sorted(values.items()) for number in pair]

    return moved


def _positions(layout: Any) -> list[tuple[str, Any]]:
    """What each position of an aggregate holds: the single figures, the failures, the buckets' counts and sums."""
    buckets = [
        (f"{part} of {role}", edge)
        for role in DURATIONS
        if f"{role}_edges" in layout
        for part in ("counts", "sums")
        for edge in [*layout[f"{role}_edges"], "beyond"]
    ]
    return [
        *(("figure", name) for name in layout["figures"]),
        *(("failures", name) for name in layout["error_classes"]),
        *buckets,
    ]


def _listed(items: Any) -> str:
    return ", ".join(map(str, items)) if isinstance(items, list) else "(none)"


def encode_aggregate(aggregate: Aggregate) -> Sparse:
    """Position and value of each figure that is not 0, in one flat list: most figures of most cells are 0."""
    return [number for position, value in enumerate(aggregate) if value for number in (position, value)]


def decode_aggregate(sparse: Sparse) -> Aggregate:
    """The inverse of `encode_aggregate`."""
    values = [0] * WIDTH
    for position, value in zip(sparse[::2], sparse[1::2], strict=True):
        values[position] = value
    return tuple(values)


def _cell_text(series: Series, cell: Cell) -> str:
    current = encode_aggregate(cell.current)
    # most cells have never held more than they do
    high_water = current if cell.high_water == cell.current else encode_aggregate(cell.high_water)
    return dumps([*series, current, high_water])


def _decode_cell(current: Sparse, high_water: Sparse) -> Cell:
    known = decode_aggregate(current)
    return Cell(known, known if high_water == current else decode_aggregate(high_water))


def encode_slice(item: Slice) -> str:
    """A slice without its users and its place in the order of reads."""
    return _slice_text(item, itertools.starmap(_cell_text, item.cells.items()))


def _slice_text(item: Slice, cells: Iterable[str]) -> str:
    rest = {
        "width": item.width,
        "held": item.held,
        "stage": item.stage,
        "skipped": [[*skip, tally.current, tally.high_water] for skip, tally in item.skipped.items()],
        "waiting": [[status, *waiting] for status, waiting in item.waiting.items()],
    }
    return f'{dumps(rest)[:-1]},"cells":[{",".join(cells)}]}}'


class SliceEncoder:
    """Encodes slices as `encode_slice` does, and makes only the texts of cells that it does not know.

    Most cells of a slice that is written again are the ones that it was written with before. For one thread.
    """

    def __init__(self) -> None:
        self._known: dict[int, dict[Series, tuple[Cell, str]]] = {}

    def encode(self, slices: Mapping[int, Slice | None]) -> dict[int, str | None]:
        """The texts of the slices of one commit, by their start. Those of the last few are known to the next one."""
        newest = set(sorted(slices)[-_SLICES_KNOWN:])
        known, self._known = self._known, {}
        texts: dict[int, str | None] = {}
        for start, item in slices.items():
            if item is None:
                texts[start] = None
            elif item.width == MINUTE and start in newest:
                cells = self._known[start] = _cell_texts(item, known.get(start, {}))
                texts[start] = _slice_text(item, (text for _, text in cells.values()))
            else:
                texts[start] = encode_slice(item)
        return texts


def _cell_texts(item: Slice, known: Mapping[Series, tuple[Cell, str]]) -> dict[Series, tuple[Cell, str]]:
    texts = {}
    for series, cell in item.cells.items():
        before = known.get(series)
        texts[series] = before if before is not None and before[0] is cell else (cell, _cell_text(series, cell))
    return texts


def decode_slice(start: int, text: str, users: dict[str, int]) -> Slice:
    """The inverse of `encode_slice`."""
    data = json.loads(text)
    cells = {
        Series(operation, model): _decode_cell(current, high_water)
        for operation, model, current, high_water in data["cells"]
    }
    return Slice(
        start=start,
        width=data["width"],
        cells=pack(cells) if data["width"] == QUARTER_HOUR else cells,
        skipped={
            SkippedValue(field, reason): Tally(current, high_water)
            for field, reason, current, high_water in data["skipped"]
        },
        waiting={status: Waiting(rows, oldest) for status, rows, oldest in data["waiting"]},
        users=users,
        held=data["held"],
        stage=data["stage"],
    )


def encode_progress(progress: Progress) -> str:
    """The progress by the names that its fields have in files."""
    return dumps({_STORED_NAMES.get(name, name): value for name, value in vars(progress).items()})


def decode_progress(text: str) -> Progress:
    """The inverse of `encode_progress`."""
    stored = json.loads(text)
    renamed = {name: stored.pop(old) for name, old in _STORED_NAMES.items() if old in stored}
    return Progress(**{**stored, **renamed, "phase": Phase(stored["phase"])})


def dumps(value: Any) -> str:
    """JSON without spaces."""
    # most of what a commit writes is a sum
    return str(value) if type(value) is int else _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
