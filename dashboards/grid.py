"""Where panels stand: rows of lines of panels, on Grafana's grid of 24 columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import attr
from grafanalib.core import GridPos, RowPanel

from dashboards.panels import Panel

COLUMNS = 24

TILE = 3
"""The height of a tile with a number: on a phone, where they stand one below the other, six fill a screen."""


def rows_high(rows: int) -> int:
    """The height of a table that shows so many rows, beside its title and its header, without scrolling."""
    title_and_edges, row, unit, gap = 46, 36, 38, 8
    return -(-(title_and_edges + row * (rows + 1) + gap) // unit)


@dataclass(frozen=True)
class Line:
    """Panels side by side, with their widths in columns, all of one height in grid units (30 pixels and a gap)."""

    height: int
    panels: Sequence[Panel]
    widths: Sequence[int]


@dataclass(frozen=True)
class Row:
    """Lines under a title. A collapsed row opens on a click and queries its data only then."""

    title: str
    lines: Sequence[Line]
    collapsed: bool = False

    @property
    def panels(self) -> Iterator[Panel]:
        """The panels in reading order."""
        return (panel for line in self.lines for panel in line.panels)


def line(height: int, *panels: Panel, widths: Sequence[int] = ()) -> Line:
    """A line of panels of these widths, or of one width."""
    return Line(height, panels, widths or [COLUMNS // len(panels)] * len(panels))


def arrange(rows: Sequence[Row]) -> list[Any]:
    """Grafanalib's panels with their places, from top to bottom. A row without a title has no header."""
    placed: list[Any] = []
    y = 0
    for row in rows:
        into = placed
        if row.title:
            header = RowPanel(title=row.title, collapsed=row.collapsed, gridPos=GridPos(h=1, w=COLUMNS, x=0, y=y))
            placed.append(header)
            into = header.panels if row.collapsed else placed
            y += 1
        for each in row.lines:
            x = 0
            for panel, width in zip(each.panels, each.widths, strict=True):
                into.append(attr.evolve(panel.widget, gridPos=GridPos(h=each.height, w=width, x=x, y=y)))
                x += width
            y += each.height
    return placed
