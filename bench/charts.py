"""Charts of the tables: both axes logarithmic, as SVG that is readable on light and on dark pages.

One grey serves both: a picture in a page does not know which theme the page has.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

from bench.report import Table, cell

Lines = Mapping[str, Sequence[tuple[float, float]]]
"""Points by the name of their line; both figures above zero."""

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 44, 50
COLOURS = ("#1f8a62", "#808080", "#c8602f", "#8a6bd1", "#2f7fc1")
"""With at least 3 to 1 of contrast on white and on nearly black."""

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #808080 } .title { font-weight: 600; font-size: 14px }
.grid { stroke: #8884; stroke-width: 1 } polyline { fill: none; stroke-width: 2.5 }
"""


def chart(title: str, across: str, up: str, lines: Lines) -> str:
    """The chart of some lines."""
    points = [point for line in lines.values() for point in line]
    x_range, y_range = _decades([x for x, _ in points]), _decades([y for _, y in points])

    def x_of(value: float) -> float:
        return LEFT + _share(value, x_range) * (WIDTH - LEFT - RIGHT)

    def y_of(value: float) -> float:
        return HEIGHT - BOTTOM - _share(value, y_range) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>']
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for x in _ticks(x_range):
        parts.append(f'<line class="grid" x1="{x_of(x):.1f}" y1="{TOP}" x2="{x_of(x):.1f}" y2="{bottom}"/>')
        parts.append(f'<text text-anchor="middle" x="{x_of(x):.1f}" y="{bottom + 18}">{x:,.10g}</text>')
    for y in _ticks(y_range):
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y_of(y):.1f}" x2="{right}" y2="{y_of(y):.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{LEFT - 8}" y="{y_of(y) + 4:.1f}">{y:,.10g}</text>')
    parts.append(f'<text text-anchor="middle" x="{(LEFT + right) / 2}" y="{HEIGHT - 10}">{escape(across)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 7}">{escape(up)}</text>')
    labels = _apart([y_of(line[-1][1]) for line in lines.values()])
    for (name, line), colour, label in zip(lines.items(), COLOURS, labels, strict=False):
        path = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        parts.append(f'<polyline stroke="{colour}" points="{path}"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in line]
        parts.append(f'<text style="fill: {colour}" x="{right + 10}" y="{label + 4:.1f}">{escape(name)}</text>')
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{_STYLE}</style>\n{inside}\n</svg>\n'
    )


def lines_of(table: Table, across: str, up: str, by: str) -> Lines:
    """The points of a table: two of its columns, and a third one that names the lines."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for name, x, y in zip(table.column(by), table.column(across), table.column(up), strict=True):
        if isinstance(x, int | float) and isinstance(y, int | float) and x > 0 and y > 0:
            lines.setdefault(cell(name), []).append((x, y))
    return lines


def columns_of(table: Table, across: str, ups: Mapping[str, str]) -> Lines:
    """The points of a table: one column against several others, whose lines are named by `ups`."""
    return {
        name: [
            (x, y)
            for x, y in zip(table.column(across), table.column(up), strict=True)
            if isinstance(x, int | float) and isinstance(y, int | float) and x > 0 and y > 0
        ]
        for up, name in ups.items()
    }


def chart_of(table: Table) -> tuple[str, str] | None:
    """The name and the text of a table's chart, if there is one of it."""
    match table.name:
        case "alternatives":
            found = dict(lines_of(table, "Rows", "Database time, ms", "Program"))
            # in the colours of the other charts
            lines = {name: found[name] for name in ("ai-operation-exporter", "the floor") if name in found} | found
            return "rows", chart("Database time of one scrape", "Rows in the table", "ms", lines)
        case "load":
            names = {"Database time a scrape, ms": "ai-operation-exporter", "Floor, ms": "the floor"}
            title = "Database time of one scrape"
            return "rate", chart(title, "Rows a second", "ms", columns_of(table, "Rows a second", names))
        case "users":
            names = {"At the peak, MiB": "peak memory, MiB", "Own CPU a scrape, ms": "CPU a scrape, ms"}
            title = "Memory, and CPU of one scrape"
            return "users", chart(title, "Users a day", "MiB, ms", columns_of(table, "Users a day", names))
        case "pages":
            names = {"Own CPU, ms": "while rows arrive", "Without new rows, ms": "without new rows"}
            return "pages", chart("CPU of one scrape", "Samples on the page", "ms", columns_of(table, "Samples", names))
        case _:
            return None


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _share(value: float, decades: tuple[int, int]) -> float:
    return (log10(value) - decades[0]) / (decades[1] - decades[0])


def _ticks(decades: tuple[int, int]) -> list[float]:
    return [float(10**exponent) for exponent in range(decades[0], decades[1] + 1)]


def _apart(places: Sequence[float]) -> list[float]:
    """The places, moved down where two would overlap."""
    found = dict[int, float]()
    for number in sorted(range(len(places)), key=places.__getitem__):
        lowest = max(found.values(), default=0.0)
        found[number] = max(places[number], lowest + 16)
    return [found[number] for number in range(len(places))]
