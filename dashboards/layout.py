"""Where panels stand: sections of lines of cells, on Grafana's grid of 24 columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib.core import GridPos, RowPanel

COLUMNS = 24


@dataclass(frozen=True)
class Cell:
    """A panel and how many of the 24 columns it takes."""

    panel: Any
    width: int


@dataclass(frozen=True)
class Line:
    """Panels side by side, all of one height in grid units (30 pixels and a gap)."""

    height: int
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Section:
    """Lines under a title; a collapsed one is opened by a click, and asks for its data only then."""

    title: str
    lines: Sequence[Line]
    collapsed: bool = False


def line(height: int, *panels: Any) -> Line:
    """A line of panels of one width."""
    return Line(height, [Cell(panel, COLUMNS // len(panels)) for panel in panels])


def arrange(sections: Sequence[Section]) -> list[Any]:
    """The panels with their places, from top to bottom. A section without a title has no row of its own."""
    placed: list[Any] = []
    y = 0
    for section in sections:
        row = None
        if section.title:
            row = RowPanel(title=section.title, collapsed=section.collapsed, gridPos=GridPos(h=1, w=COLUMNS, x=0, y=y))
            placed.append(row)
            y += 1
        into = row.panels if row is not None and section.collapsed else placed
        for each in section.lines:
            x = 0
            for cell in each.cells:
                cell.panel.gridPos = GridPos(h=each.height, w=cell.width, x=x, y=y)
                into.append(cell.panel)
                x += cell.width
            y += each.height
    return placed
